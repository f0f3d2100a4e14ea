"""Oriented gradients: which way edges run, whatever the light; known angles, turns, and scikit-image's own."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.feature import hog
from torch import Tensor

from anonrep.methods.gradients import OrientedGradients

SIDE, DIRECTIONS, CELL = 40, 8, 5
LOOK = OrientedGradients(DIRECTIONS, CELL)
SEEDS = st.integers(0, 2**31 - 1)


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


# --- light and contrast


@given(SEEDS, st.floats(-0.1, 0.1), st.floats(0.5, 1))
def test_light_and_contrast_drop_out(seed, light, contrast):
    x = clouds(seed)
    plain = LOOK(x)
    torch.testing.assert_close(LOOK(x + light), plain, atol=1e-3, rtol=1e-2)
    changed = (LOOK(contrast * x) - plain).norm() / plain.norm()
    assert changed < 0.05
    other = (LOOK(clouds(seed + 1)) - plain).norm() / plain.norm()
    assert other > 10 * changed


# --- against others


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
