"""Releases of K codewords: exact substitution, and baselines that use training images alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anonrep.data.codebook import Codebook, usage
from anonrep.data.dataset import Dataset
from anonrep.methods.codebooks import kmeans_codes, medoids, second_codes, substitute, substitution_codebook
from anonrep.utils.files import read_arrays


def grey(n: int, size: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size), np.uint8)


def people(n: int = 60) -> Dataset:
    """Noise of three persons: the first two thirds train, then validation, then test."""
    split = np.repeat([0, 1, 2], [n - n // 3, n // 6, n // 3 - n // 6]).astype(np.uint8)
    return Dataset(grey(n), np.arange(n) % 3, {}, split, {"source": "synthetic", "private": "writer"})


def blobs(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features around four corners, far apart: (n, 2), and the corner of each (n,)."""
    draw = np.random.default_rng(seed)
    corner = draw.permutation(np.arange(n) % 4)
    return 100.0 * np.stack([corner // 2, corner % 2], axis=1) + draw.standard_normal((n, 2)), corner


# --- the codebook


@given(k=st.integers(1, 6), n=st.integers(0, 20), seed=st.integers(0, 99))
def test_round_trip_and_same_bytes(tmp_path_factory, k, n, seed):
    folder = tmp_path_factory.mktemp("round")
    book = Codebook(grey(k, seed=seed), np.random.default_rng(seed).integers(0, k, n))
    book.save(folder / "a.npz", {"source": "uci"})
    book.save(folder / "deep" / "b.npz", {"source": "uci"})
    again = Codebook.load(folder / "a.npz")
    for name in ("images", "codes"):
        assert getattr(again, name).dtype == getattr(book, name).dtype
        np.testing.assert_array_equal(getattr(again, name), getattr(book, name))
    assert (folder / "a.npz").read_bytes() == (folder / "deep" / "b.npz").read_bytes()
    assert read_arrays(folder / "a.npz")["provenance"] == {"source": "uci"}


@pytest.mark.parametrize(
    ("images", "codes", "message"),
    [
        (grey(3) / 255, np.zeros(2, np.int64), r"codewords are float64 .* expected uint8 \(K, H, W\)"),
        (grey(3), np.zeros(2, np.int32), r"codes are int32 \(2,\); expected int64"),
        (grey(3), np.array([0, 3]), "codes run from 0 to 3 beside 3 codewords; expected 0 to 2"),
        (grey(3), np.array([-1, 2]), "codes run from -1 to 2"),
    ],
)
def test_what_does_not_fit_together_is_an_error(images, codes, message):
    with pytest.raises(ValueError, match=message):
        Codebook(images, codes)


# --- substitution


def naive(images: np.ndarray, templates: np.ndarray) -> list[int]:
    """The definition, one pair at a time in Python's own integers, the first of equals."""
    flat = [[image.ravel().tolist() for image in stack] for stack in (images, templates)]
    distances = [[sum((a - b) ** 2 for a, b in zip(x, t, strict=True)) for t in flat[1]] for x in flat[0]]
    return [row.index(min(row)) for row in distances]


def stacks(shape: tuple[int, int], levels: list[int]) -> st.SearchStrategy:
    return st.integers(1, 7).flatmap(lambda n: arrays(np.uint8, (n, *shape), elements=st.sampled_from(levels)))


@given(
    st.data(),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from([[0, 1], [0, 255], list(range(256))]),  # few levels: many ties
    st.integers(1, 3),
)
def test_agrees_with_the_definition_ties_included_whatever_the_batch(data, shape, levels, batch):
    images, templates = data.draw(stacks(shape, levels)), data.draw(stacks(shape, levels))
    rows, pixels = len(templates), shape[0] * shape[1]
    memory_mb = 8 * (rows * pixels + batch * (rows + pixels)) / 1e6
    nearest = substitute(images, templates, memory_mb=memory_mb + 1e-9)
    assert nearest.dtype == np.int64
    assert nearest.tolist() == naive(images, templates)


def test_is_exact_where_float32_is_not():
    """Bright faces of 50 x 50 that differ by one level of one pixel: the first template by two, the second by one."""
    image = np.full((1, 50, 50), 250, np.uint8)
    templates = np.repeat(image, 2, axis=0)
    templates[0, 0, 0], templates[1, 0, 0] = 252, 251
    x, t = (stack.reshape(len(stack), -1).astype(np.float32) for stack in (image, templates))
    assert ((t**2).sum(1) - 2 * x @ t.T).argmin(1) == [0]  # the control: so it would go wrong
    assert substitute(image, templates).tolist() == [1]


@pytest.mark.parametrize("target", [0, 2])
def test_everybody_becomes_a_training_image_of_the_target(target):
    raw = people()
    book = substitution_codebook(raw, raw.images, target)
    own = (raw.split == 0) & (raw.z == target)
    np.testing.assert_array_equal(book.images, raw.images[own])
    np.testing.assert_array_equal(book.release()[own], raw.images[own])  # the target's own are nearest themselves


# --- k-means and medoids


def test_medoids_are_training_images_nearest_the_centroids():
    data = people()
    features, corner = blobs(len(data))
    book = medoids(data, features, 4, seed=0)
    train = np.flatnonzero(data.split == 0)
    codes, centroids = kmeans_codes(features[train], features, 4, seed=0)
    np.testing.assert_array_equal(book.codes, codes)
    for image, centroid in zip(book.images, centroids, strict=True):
        nearest = train[np.linalg.norm(features[train] - centroid, axis=1).argmin()]
        np.testing.assert_array_equal(image, data.images[nearest])
    assert len({tuple(sorted(set(corner[book.codes == code]))) for code in range(4)}) == 4


def test_nothing_but_training_images_decides_the_codewords():
    """Other held-out images, other labels: the same codewords, and the same codes for the training images."""
    data = people()
    features, _ = blobs(len(data))
    train = data.split == 0
    moved = np.where(train[:, None], features, features[::-1] * 3)
    other = Dataset(np.where(train[:, None, None], data.images, 0), 2 - data.z, {}, data.split, data.provenance)
    first, second = medoids(data, features, 4, seed=0), medoids(other, moved, 4, seed=0)
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.codes[train], second.codes[train])


def test_a_second_code_finds_what_the_first_leaves():
    """Four far corners, each a code, and within every one of them the same two halves, far nearer to each other."""
    features, corner = blobs(120)
    half, train = np.random.default_rng(1).integers(0, 2, 120), np.arange(120) < 80
    features[:, 0] += 20 * half
    pairs = second_codes(corner, features, train, 2, seed=0)
    assert pairs.dtype == np.int64
    assert sorted(set(pairs)) == sorted(set(pairs[train])) == list(range(8))
    found = {pair: {(c, h) for c, h, p in zip(corner, half, pairs, strict=True) if p == pair} for pair in set(pairs)}
    assert {len(values) for values in found.values()} == {1}
    # Two codes by themselves, the control, tell the corners apart and not the halves.
    alone, _ = kmeans_codes(features[train], features, 2, seed=0)
    assert abs(np.corrcoef(alone, half)[0, 1]) < 0.5


# --- showing and counting


@given(st.integers(0, 50), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_usage_is_each_persons_share_of_each_code(n, n_codes, n_private, seed):
    draw = np.random.default_rng(seed)
    codes, z = draw.integers(0, n_codes, n), draw.integers(0, n_private, n)
    table = usage(codes, z, n_codes, n_private)
    assert table.shape == (n_codes, n_private)
    for person in range(n_private):
        own = codes[z == person]
        expected = [(own == code).mean() if len(own) else 0 for code in range(n_codes)]
        np.testing.assert_allclose(table[:, person], expected)
