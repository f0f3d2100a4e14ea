"""Releases without a game: each does what its name says, to every image alike, and hides what it claims and no more."""

import numpy as np
import pytest
import torch
from concept_erasure import LeaceEraser
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from anonrep.data.dataset import Dataset
from anonrep.methods.perturbations import (
    METHODS,
    erase,
    gaussian_blur,
    k_same,
    leace,
    perturb,
    pixelate,
    without_identity,
)

SETTINGS = {
    "gaussian_noise": 0.5,
    "gaussian_blur": 1.0,
    "pixelate": 2,
    "without_identity": 1,
    "leace": None,
    "k_same": 2,
    "substitution": 1,
}
FITTED = pytest.mark.parametrize("method", ["without_identity", "leace"])
PEOPLE = 4


def dataset(images: np.ndarray, z: np.ndarray, split: np.ndarray | None = None) -> Dataset:
    split = np.zeros(len(z), np.uint8) if split is None else split
    return Dataset(images, z.astype(np.int64), {}, split, {"source": "synthetic", "private": "writer"})


def grey(n: int, size: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size), np.uint8)


def people(n: int = 240, seed: int = 0, contrast: float = 1.0) -> Dataset:
    """Noise around mid-grey, brighter in a row and column of one's own; some have more images than others.

    The first two thirds train. With a large `contrast` many pixels are black or white.
    """
    draw = np.random.default_rng(seed)
    z = np.sort(draw.permutation(np.arange(n) % 5 % PEOPLE))[draw.permutation(n)]  # the first has twice as many
    values = draw.normal(0, 20, (n, 6, 6))
    values[np.arange(n), z] += 25
    values[np.arange(n), :, z] += 25
    split = np.repeat([0, 1, 2], [n - n // 3, n // 6, n // 3 - n // 6]).astype(np.uint8)
    return dataset((128 + contrast * values).clip(0, 255).astype(np.uint8), z, split)


def linear_probe(x: np.ndarray, z: np.ndarray) -> float:
    """How often the best linear classifier is right on the images it is fitted to."""
    x = (x.reshape(len(x), -1) - 128.0) / 64
    return LogisticRegression(C=100, max_iter=1000).fit(x, z).score(x, z)


def largest_gap(x: np.ndarray, z: np.ndarray) -> float:
    """How far any person's mean is from the mean of all, in grey levels, at the worst pixel."""
    x = x.reshape(len(x), -1).astype(float)
    return max(np.abs(x[z == person].mean(0) - x.mean(0)).max() for person in np.unique(z))


# --- all of them


def test_every_method_is_tried_here():
    assert set(SETTINGS) == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_a_release_fits_its_data_set_and_comes_again(method):
    data = people()
    before = data.images.copy()
    images = perturb(data, method, SETTINGS[method], seed=3)
    assert len(data.released(images, method=method)) == len(data)
    assert images.shape == data.images.shape
    np.testing.assert_array_equal(data.images, before)
    assert not np.array_equal(images, before)
    np.testing.assert_array_equal(images, perturb(data, method, SETTINGS[method], seed=3))
    assert np.array_equal(images, perturb(data, method, SETTINGS[method], seed=4)) == (method != "gaussian_noise")


@pytest.mark.parametrize(
    ("method", "setting", "message"),
    [
        ("mosaic", 2, "no method 'mosaic'; expected one of gaussian_noise, gaussian_blur, .*, k_same"),
        ("leace", 2, "leace at setting 2; expected None"),
        ("pixelate", None, "pixelate at setting None; expected a number"),
        ("gaussian_noise", -0.1, r"sigma is -0\.1; expected a number, 0 or more"),
        ("gaussian_blur", np.nan, "sigma is nan"),
        ("pixelate", 2.5, r"block is 2\.5; expected a whole number"),
        ("without_identity", PEOPLE, f"directions is {PEOPLE}; expected a whole number, 0 to {PEOPLE - 1}"),
        ("k_same", PEOPLE + 1, f"k is {PEOPLE + 1}; expected a whole number, 1 to {PEOPLE}"),
    ],
)
def test_what_cannot_be_done_is_refused(method, setting, message):
    with pytest.raises(ValueError, match=message):
        perturb(people(), method, setting, seed=0)


# --- noise, blur and coarse pixels


@given(st.sampled_from([0.5, 1.0, 1.5]), st.integers(0, 20), st.integers(0, 20))
def test_blur_spreads_a_dot_round_about_and_stays_in_its_image(sigma, row, column):
    images = np.zeros((3, 21, 21), np.uint8)
    images[1, row, column] = 255
    blurred = gaussian_blur(dataset(images, np.zeros(3)), sigma)
    assert not blurred[[0, 2]].any()
    assert np.unravel_index(blurred[1].argmax(), (21, 21)) == (row, column)
    rows, columns = np.mgrid[:21, :21]
    squares = (rows - row) ** 2 + (columns - column) ** 2
    kernel = np.exp(-squares / (2 * sigma**2)) / sum(np.exp(-(np.arange(-9, 10) ** 2) / (2 * sigma**2))) ** 2
    np.testing.assert_allclose(blurred[1], 255 * kernel, atol=0.6)  # paper outside: nothing is reflected


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 10), st.integers(0, 99))
def test_every_block_becomes_its_mean_whatever_the_size(height, width, block, seed):
    images = np.random.default_rng(seed).integers(0, 256, (2, height, width), np.uint8)
    coarse = pixelate(dataset(images, np.zeros(2)), block)
    for top in range(0, height, block):
        for left in range(0, width, block):
            place = np.s_[:, top : top + block, left : left + block]
            assert np.ptp(coarse[place], axis=(1, 2)).tolist() == [0, 0]
            assert np.abs(images[place].mean((1, 2)) - coarse[place][:, 0, 0]).max() <= 0.5 + 1e-9


# --- linear erasure


@FITTED
def test_training_images_alone_decide_and_every_image_is_changed_by_itself(method):
    data, train = people(), people().split == 0
    other = dataset(np.where(train[:, None, None], data.images, grey(len(data))), data.z, data.split)
    other.z[~train] = 0
    first, second = (perturb(each, method, SETTINGS[method], seed=0) for each in (data, other))
    np.testing.assert_array_equal(first[train], second[train])
    copied = data.images.copy()
    copied[-1] = copied[0]  # a held-out image like a training image is released like it
    np.testing.assert_array_equal(
        perturb(dataset(copied, data.z, data.split), method, SETTINGS[method], 0)[-1], first[0]
    )


def test_a_linear_probe_succeeds_before_leace_and_guesses_after_it():
    data = people()
    train = data.subset("train")
    chance = np.bincount(train.z).max() / len(train)
    assert linear_probe(train.images, train.z) > 0.9
    erased = erase(data)[data.split == 0]
    assert linear_probe(erased, train.z) == pytest.approx(chance)
    assert largest_gap(erased, train.z) < 1e-6
    # Permuted labels, the other control: what they lead to erase is not what tells the people.
    other = dataset(train.images, np.random.default_rng(1).permutation(train.z))
    assert linear_probe(erase(other), train.z) > 0.9


def test_the_affine_map_to_eight_bits_keeps_the_guarantee_that_clipping_breaks():
    data = people(contrast=8)
    train = data.split == 0
    chance = np.bincount(data.z[train]).max() / train.sum()
    floats, released = erase(data)[train], leace(data)[train]
    assert ((floats < 0) | (floats > 255)).mean() > 0.1
    assert linear_probe(floats, data.z[train]) == pytest.approx(chance)
    assert linear_probe(released, data.z[train]) < chance + 0.05  # rounding alone
    clipped = np.rint(floats).clip(0, 255).astype(np.uint8)
    assert linear_probe(clipped, data.z[train]) > chance + 0.1  # the control


@given(st.integers(1, 5), st.integers(0, 9))
def test_all_directions_together_are_leace_without_shrinkage(size, seed):
    draw = np.random.default_rng(seed)
    z = np.arange(150) % PEOPLE
    images = (draw.normal(128, 10, (150, size, size)) + 8 * draw.normal(0, 1, (PEOPLE, size, size))[z]).astype(np.uint8)
    x = torch.from_numpy(images.reshape(150, -1)).double()
    theirs = LeaceEraser.fit(x, torch.eye(PEOPLE)[z], shrinkage=False, constrain_cov_trace=False, svd_tol=1e-8)(x)
    ours = without_identity(dataset(images, z), PEOPLE - 1).reshape(150, -1)
    assert np.abs(ours - theirs.numpy()).max() < 0.51


# --- k-Same


def crowds(seed: int, n: int, n_people: int) -> Dataset:
    """Images of few grey levels, so that ties occur, in two splits with everybody in both."""
    draw = np.random.default_rng(seed)
    z = np.concatenate([np.tile(np.arange(n_people), 2), draw.integers(0, n_people, n)])
    split = np.concatenate([np.repeat([0, 2], n_people), draw.choice([0, 2], n)]).astype(np.uint8)
    order = draw.permutation(len(z))
    return dataset(draw.integers(0, 4, (len(z), 2, 3), np.uint8) * 80, z[order], split[order])


def stands_for(images: np.ndarray, z: np.ndarray) -> int:
    """The fewest people that share an image."""
    shown: dict[bytes, set] = {}
    for image, person in zip(images, z, strict=True):
        shown.setdefault(image.tobytes(), set()).add(person)
    return min(map(len, shown.values()))


CROWDS = st.builds(crowds, st.integers(0, 999), st.integers(0, 40), st.integers(2, 6))


@given(CROWDS, st.data())
def test_every_released_image_stands_for_k_people_of_its_split(data, choice):
    k = choice.draw(st.integers(2, data.n_private))
    released = k_same(data, k)
    for split in (0, 2):
        here = data.split == split
        assert stands_for(released[here], data.z[here]) >= k
    np.testing.assert_array_equal(k_same(data, 1), data.images)
