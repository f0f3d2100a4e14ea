"""Oriented gradients: which way edges run, whatever the light; known angles, turns, and scikit-image's own."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import hog
from torch import Tensor

from anonrep.methods.gradients import OrientedGradients

SIDE, DIRECTIONS, CELL = 40, 8, 5
LOOK = OrientedGradients(DIRECTIONS, CELL)
SEEDS = st.integers(0, 2**31 - 1)
SOME = settings(max_examples=25, deadline=None)


def waves(angle: float, height: int = SIDE, width: int = SIDE, period: float = 9.0) -> Tensor:
    """Stripes whose brightness changes along `angle`, in turns of pi: 0 across, 1/2 down."""
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    place = across * math.cos(math.pi * angle) + down * math.sin(math.pi * angle)
    return (0.5 + 0.4 * torch.sin(2 * math.pi * place / period))[None, None]


def clouds(seed: int, height: int = SIDE, width: int = SIDE, n: int = 1) -> Tensor:
    """Smooth noise in 0.1 to 0.9."""
    draw = torch.Generator().manual_seed(seed)
    rough = torch.rand(n, 1, height // 4 + 1, width // 4 + 1, generator=draw)
    smooth = torch.nn.functional.interpolate(rough, (height, width), mode="bicubic", align_corners=True)
    return 0.1 + 0.8 * smooth.clamp(0, 1)


def blocks(features: Tensor, height: int = SIDE, width: int = SIDE) -> Tensor:
    """(B, F) to (B, 2, 2, directions, rows, columns): the cell's place in its block, direction, the block's place."""
    return features.unflatten(1, (2, 2, DIRECTIONS, height // CELL - 1, width // CELL - 1))


def by_direction(x: Tensor) -> Tensor:
    """The share of each direction in one image: (directions,)."""
    total = blocks(LOOK(x), *x.shape[2:]).sum((0, 1, 2, 4, 5))
    return total / total.sum()


# --- directions


@pytest.mark.parametrize("direction", range(DIRECTIONS))
def test_stripes_at_a_known_angle_are_found_in_its_direction(direction):
    shares = by_direction(waves(direction / DIRECTIONS))
    assert shares.argmax() == direction
    assert shares[direction] > 0.6
    # The control: a third of a turn away there is next to nothing.
    assert shares[(direction + 3) % DIRECTIONS] < 0.05


@pytest.mark.parametrize("direction", range(DIRECTIONS))
def test_what_runs_between_two_directions_is_shared_by_both(direction):
    shares = by_direction(waves((direction + 0.5) / DIRECTIONS))
    both = shares[[direction, (direction + 1) % DIRECTIONS]]
    assert float(both.min()) > 0.3
    assert set(shares.topk(2).indices.tolist()) == {direction, (direction + 1) % DIRECTIONS}


@given(st.floats(0, 1))
@SOME
def test_the_angle_can_be_read_from_the_shares(angle):
    turns = torch.polar(by_direction(waves(angle)), 2 * math.pi * torch.arange(DIRECTIONS) / DIRECTIONS).sum()
    off = (float(turns.angle()) / (2 * math.pi) - angle + 0.5) % 1 - 0.5
    assert abs(off) < 0.02  # of half a turn: less than four degrees


def test_dark_on_light_is_the_edge_that_light_on_dark_is():
    x = clouds(0)
    torch.testing.assert_close(LOOK(1 - x), LOOK(x), atol=1e-5, rtol=1e-4)


# --- turns and mirrors


@given(SEEDS)
@SOME
def test_half_a_turn_permutes_the_features(seed):
    x = clouds(seed)
    here, there = blocks(LOOK(x)), blocks(LOOK(x.rot90(2, (2, 3))))
    torch.testing.assert_close(there, here.flip(1, 2, 4, 5), atol=1e-4, rtol=1e-3)
    assert (there - here).abs().max() > 0.05  # or a constant would pass


@given(SEEDS)
@SOME
def test_a_quarter_turn_moves_every_direction_by_half_of_them(seed):
    x = clouds(seed)
    turned = by_direction(x.rot90(1, (2, 3)))
    torch.testing.assert_close(turned, by_direction(x).roll(DIRECTIONS // 2), atol=1e-4, rtol=1e-3)


def test_a_mirror_reverses_the_directions():
    x = waves(1 / DIRECTIONS)
    assert by_direction(x.flip(3)).argmax() == DIRECTIONS - 1
    assert by_direction(x.flip(2)).argmax() == DIRECTIONS - 1
    assert by_direction(x.flip(2, 3)).argmax() == 1


# --- light and contrast


@given(SEEDS, st.floats(-0.1, 0.1), st.floats(0.5, 1))
@SOME
def test_light_and_contrast_drop_out(seed, light, contrast):
    x = clouds(seed)
    plain = LOOK(x)
    torch.testing.assert_close(LOOK(x + light), plain, atol=1e-3, rtol=1e-2)
    changed = (LOOK(contrast * x) - plain).norm() / plain.norm()
    assert changed < 0.05
    other = (LOOK(clouds(seed + 1)) - plain).norm() / plain.norm()
    assert other > 10 * changed


def test_contrast_below_the_floor_is_not_blown_up_into_edges():
    x = clouds(0)
    assert LOOK(1e-4 * x).max() < 0.05 < 0.25 < LOOK(x).max()
    flat = LOOK(torch.full((1, 1, SIDE, SIDE), 0.7))
    assert (flat == 0).all()


@given(SEEDS)
@SOME
def test_shares_are_neither_negative_nor_above_the_ceiling(seed):
    found = LOOK(torch.rand(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)))
    assert 0 <= found.min() <= found.max() <= 0.3
    assert found.isfinite().all()


# --- sizes and batches


@given(st.integers(2, 12), st.integers(2, 7), st.integers(0, 30), st.integers(0, 30))
@SOME
def test_it_says_beforehand_how_many_numbers_there_will_be(directions, cell, more_rows, more_columns):
    height, width = 2 * cell + more_rows, 2 * cell + more_columns
    look = OrientedGradients(directions, cell)
    assert look(torch.zeros(3, 1, height, width)).shape == (3, look.outputs(height, width))


@given(SEEDS, st.integers(1, 6))
@SOME
def test_an_image_does_not_depend_on_its_neighbours(seed, n):
    x = clouds(seed, 25, 30, n)
    together = LOOK(x)
    for one, row in zip(x, together, strict=True):
        torch.testing.assert_close(LOOK(one[None])[0], row, atol=1e-6, rtol=1e-5)


def test_there_is_nothing_to_learn():
    assert list(LOOK.parameters()) == []
    assert LOOK.state_dict() == {}
    assert torch.equal(LOOK(clouds(3)), OrientedGradients(DIRECTIONS, CELL)(clouds(3)))


# --- against others


def one_by_one(image: np.ndarray) -> np.ndarray:
    """The same, pixel by pixel, as Dalal and Triggs describe it: (2, 2, directions, rows, columns)."""
    height, width = image.shape
    cells = np.zeros((height // CELL, width // CELL, DIRECTIONS))
    edge = np.pad(image, 1, mode="edge")
    for i in range(height // CELL * CELL):
        for j in range(width // CELL * CELL):
            across, down = edge[i + 1, j + 2] - edge[i + 1, j], edge[i + 2, j + 1] - edge[i, j + 1]
            place = (math.atan2(down, across) / math.pi) % 1 * DIRECTIONS
            lower = int(place) % DIRECTIONS
            share, size = place - int(place), math.hypot(across, down) / CELL**2
            cells[i // CELL, j // CELL, lower] += size * (1 - share)
            cells[i // CELL, j // CELL, (lower + 1) % DIRECTIONS] += size * share
    rows, columns = len(cells) - 1, len(cells[0]) - 1
    found = np.zeros((2, 2, DIRECTIONS, rows, columns))
    for i in range(rows):
        for j in range(columns):
            block = cells[i : i + 2, j : j + 2]
            found[..., i, j] = block / math.sqrt((block**2).sum() + 1e-4)
    return np.minimum(found, 0.3)


@given(SEEDS, st.integers(10, 23), st.integers(10, 23))
@settings(max_examples=8, deadline=None)
def test_it_is_what_pixel_by_pixel_comes_to(seed, height, width):
    x = clouds(seed, height, width)
    found = blocks(LOOK(x), height, width)[0].numpy()
    np.testing.assert_allclose(found, one_by_one(x[0, 0].double().numpy()), atol=2e-3)


def by_skimage(x: Tensor) -> np.ndarray:
    """scikit-image's, whose directions lie half a step further on and are not shared: mixed, (2, 2, 8, rows, columns).

    Its gradient is 0 at the image's edge, where ours is not.
    """
    image = x[0, 0].double().numpy()
    how = {"pixels_per_cell": (CELL, CELL), "cells_per_block": (2, 2), "block_norm": "L2", "feature_vector": False}
    found = hog(image, DIRECTIONS, **how).transpose(2, 3, 4, 0, 1)
    return (found + np.roll(found, 1, axis=2)) / 2


@pytest.mark.parametrize("seed", range(5))
def test_scikit_image_sees_the_same(seed):
    x = clouds(seed)
    mine, theirs = blocks(LOOK(x))[0].numpy(), by_skimage(x)
    assert mine.shape == theirs.shape

    def likeness(one: np.ndarray) -> float:
        return np.corrcoef(one.ravel(), theirs.ravel())[0, 1]

    assert likeness(mine) > 0.85
    for wrong in (mine[:, :, ::-1], mine.swapaxes(3, 4), mine[::-1], blocks(LOOK(clouds(seed + 50)))[0].numpy()):
        assert likeness(wrong) < 0.6
