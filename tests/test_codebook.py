"""Releases of K pictures: exact substitution, baselines that look at training images alone, and their files."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anonrep.data.codebook import Codebook, ordered, usage
from anonrep.data.dataset import Dataset
from anonrep.methods.codebooks import kmeans_codes, medoids, second_codes, shown_as, substitute, substitution_codebook
from anonrep.utils.files import read_arrays, write_arrays


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
@settings(max_examples=20, deadline=None)
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


def test_releases_counts_and_used():
    book = Codebook(grey(4), np.array([2, 0, 2, 2]))
    assert len(book) == 4
    assert book.counts.tolist() == [1, 0, 3, 0]
    assert book.used == 2
    assert book.release().dtype == np.uint8
    for image, code in zip(book.release(), book.codes, strict=True):
        np.testing.assert_array_equal(image, book.images[code])


@pytest.mark.parametrize(
    ("images", "codes", "message"),
    [
        (grey(3) / 255, np.zeros(2, np.int64), r"codewords are float64 .* expected uint8 \(K, H, W\)"),
        (grey(3)[0], np.zeros(2, np.int64), r"codewords are uint8 \(6, 6\)"),
        (grey(3), np.zeros(2, np.int32), r"codes are int32 \(2,\); expected int64"),
        (grey(3), np.zeros((2, 1), np.int64), r"codes are int64 \(2, 1\)"),
        (grey(3), np.array([0, 3]), "codes run from 0 to 3 beside 3 codewords; expected 0 to 2"),
        (grey(3), np.array([-1, 2]), "codes run from -1 to 2"),
    ],
)
def test_what_does_not_fit_together_is_an_error(images, codes, message):
    with pytest.raises(ValueError, match=message):
        Codebook(images, codes)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz is missing: `dvc repro`"):
        Codebook.load(tmp_path / "none.npz")


@pytest.mark.parametrize("damage", ["cut", "text", "other arrays", "codes out of range"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "book.npz"
    Codebook(grey(9), np.arange(9)).save(path, {})
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "text":
        path.write_text("not an archive")
    elif damage == "other arrays":
        write_arrays(path, {}, a=np.arange(3))
    else:
        write_arrays(path, {}, images=grey(2), codes=np.array([5]))
    with pytest.raises(ValueError, match=r"book\.npz is not a readable codebook"):
        Codebook.load(path)


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
@settings(max_examples=150, deadline=None)
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


def test_works_within_its_memory():
    images, templates = grey(500, size=20), grey(200, size=20, seed=1)
    substitute(images[:1], templates)
    tracemalloc.start()
    bounded = substitute(images, templates, memory_mb=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.05e6  # all at once: 3 MB
    np.testing.assert_array_equal(bounded, substitute(images, templates))


def test_impossible_substitutions_are_refused():
    images = grey(4)
    with pytest.raises(ValueError, match="images are float64"):
        substitute(images / 255, images)
    with pytest.raises(ValueError, match="expected one or more of their size"):
        substitute(images, grey(4, size=5))
    with pytest.raises(ValueError, match="expected one or more of their size"):
        substitute(images, images[:0])
    with pytest.raises(ValueError, match=r"memory_mb is 0\.001; 4 templates need at least 0\.0014"):
        substitute(images, images, memory_mb=0.001)
    assert substitute(images[:0], images).tolist() == []


@pytest.mark.parametrize("target", [0, 2])
def test_everybody_becomes_a_training_image_of_the_target(target):
    raw = people()
    book = substitution_codebook(raw, raw.images, target)
    own = (raw.split == 0) & (raw.z == target)
    np.testing.assert_array_equal(book.images, raw.images[own])
    np.testing.assert_array_equal(book.release()[own], raw.images[own])  # the target's own are nearest themselves


def test_what_is_replaced_may_be_a_release_and_the_pictures_stay_real():
    raw = people()
    rolled = np.roll(raw.images, -3, axis=0)  # everybody shows the next image of the same person
    book = substitution_codebook(raw, rolled, 1)
    np.testing.assert_array_equal(book.images, substitution_codebook(raw, raw.images, 1).images)
    np.testing.assert_array_equal(book.codes, np.roll(substitution_codebook(raw, raw.images, 1).codes, -3))


def test_a_target_without_training_images_is_an_error():
    raw = people()
    with pytest.raises(ValueError, match=r"no training image of private label 7; expected one of \[0, 1, 2\]"):
        substitution_codebook(raw, raw.images, 7)


@pytest.mark.parametrize("target", [0, 2])
def test_a_codebook_may_be_shown_as_somebody_and_keeps_its_codes(target):
    raw = people()
    book = Codebook(grey(7, seed=5), np.random.default_rng(0).integers(0, 7, len(raw)))
    shown = shown_as(book, raw, target)
    np.testing.assert_array_equal(shown.codes, book.codes)
    templates = raw.images[(raw.split == 0) & (raw.z == target)]
    np.testing.assert_array_equal(shown.images, templates[naive(book.images, templates)])
    # Who shows the target's own training images shows them as they are.
    own = Codebook(templates, np.arange(len(raw)) % len(templates))
    np.testing.assert_array_equal(shown_as(own, raw, target).images, templates)


def test_shown_as_somebody_without_training_images_is_an_error():
    raw = people()
    with pytest.raises(ValueError, match="no training image of private label 7"):
        shown_as(Codebook(grey(2), np.zeros(len(raw), np.int64)), raw, 7)


# --- k-means and medoids


def test_kmeans_finds_far_clusters_and_their_means():
    features, corner = blobs(80)
    codes, centroids = kmeans_codes(features[:60], features, 4, seed=0)
    assert codes.dtype == np.int64
    assert codes.shape == (80,)
    for code in range(4):
        assert len(set(corner[codes == code])) == 1
        np.testing.assert_allclose(centroids[code], features[:60][codes[:60] == code].mean(0))


def test_the_same_seed_gives_the_same_codes_and_another_may_not():
    features = np.random.default_rng(0).standard_normal((200, 3))
    first, second, other = (kmeans_codes(features, features, 12, seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


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


def test_nothing_but_training_images_decides_the_pictures():
    """Other held-out images, other labels: the same pictures, and the same codes for the training images."""
    data = people()
    features, _ = blobs(len(data))
    train = data.split == 0
    moved = np.where(train[:, None], features, features[::-1] * 3)
    other = Dataset(np.where(train[:, None, None], data.images, 0), 2 - data.z, {}, data.split, data.provenance)
    first, second = medoids(data, features, 4, seed=0), medoids(other, moved, 4, seed=0)
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.codes[train], second.codes[train])


def test_features_of_other_images_are_an_error():
    with pytest.raises(ValueError, match="59 rows of features beside 60 images"):
        medoids(people(), np.zeros((59, 2)), 4, seed=0)


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


@given(st.integers(2, 6), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_pair_says_the_first_code_and_training_images_have_every_pair(k, parts, seed):
    draw = np.random.default_rng(seed)
    train, codes = draw.permutation(60) < 25, draw.permutation(np.arange(60) % k)
    codes[train] = np.arange(25) % k  # every code has training images
    features = draw.standard_normal((60, 2))
    pairs = second_codes(codes, features, train, parts, seed)
    assert set(pairs) == set(pairs[train]) == set(range(pairs.max() + 1))
    first = {pair: set(codes[pairs == pair]) for pair in set(pairs)}
    assert all(len(values) == 1 for values in first.values())
    moved = np.where(train[:, None], features, features + 100)  # held-out images decide nothing
    np.testing.assert_array_equal(second_codes(codes, moved, train, parts, seed)[train], pairs[train])


# --- showing and counting


@given(st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_order_lays_out_a_line_end_to_end(n, seed):
    """Pictures that get brighter step by step, shuffled: the order runs through them one way or the other."""
    line = np.arange(n)[:, None, None] * np.full((1, 3, 3), 20, np.int64)
    shuffle = np.random.default_rng(seed).permutation(n)
    order = shuffle[ordered(line.astype(np.uint8)[shuffle])]
    assert order.tolist() in (list(range(n)), list(range(n))[::-1])


def test_the_order_of_anything_is_a_permutation_shorter_than_chance():
    images = grey(40)
    order = ordered(images)
    assert sorted(order) == list(range(40))

    def length(stack: np.ndarray) -> float:
        return np.linalg.norm(np.diff(stack.reshape(40, -1).astype(float), axis=0), axis=1).sum()

    assert length(images[order]) < length(images)


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


def test_usage_refuses_labels_out_of_range():
    one = np.array([0, 1])
    with pytest.raises(ValueError, match="codes run from 0 to 3; expected 0 to 2"):
        usage(np.array([0, 3]), one, 3, 2)
    with pytest.raises(ValueError, match="private labels run from 0 to 1; expected 0 to 0"):
        usage(one, one, 3, 1)
