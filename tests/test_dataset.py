"""The data set: what it holds, that it comes back from disk as it was, and that damage is named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonrep.data.dataset import SPLITS, UNSEEN, Dataset, random_split


def some(n: int = 12, people: int = 3, seed: int = 0) -> Dataset:
    draw = np.random.default_rng(seed)
    return Dataset(
        images=draw.integers(0, 256, (n, 4, 5), np.uint8),
        z=np.arange(n) % people,
        attributes={"digit": draw.integers(0, 10, n), "slant": draw.standard_normal(n)},
        split=(np.arange(n) % 3).astype(np.uint8),
        provenance={"source": "synthetic", "counts": {"digits": n}},
    )


def same(first: Dataset, second: Dataset) -> bool:
    names = ("images", "z", "split")
    pairs = [(getattr(first, name), getattr(second, name)) for name in names]
    pairs += [(value, second.attributes[name]) for name, value in first.attributes.items()]
    return (
        first.provenance == second.provenance
        and first.attributes.keys() == second.attributes.keys()
        and all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
    )


@given(n=st.integers(1, 30), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_round_trip_and_same_bytes(tmp_path_factory, n, seed):
    folder = tmp_path_factory.mktemp("round")
    dataset = some(n, seed=seed)
    dataset.save(folder / "a.npz")
    dataset.save(folder / "deep" / "b.npz")
    assert same(Dataset.load(folder / "a.npz"), dataset)
    assert (folder / "a.npz").read_bytes() == (folder / "deep" / "b.npz").read_bytes()
    assert [path.name for path in sorted(folder.rglob("*.npz"))] == ["a.npz", "b.npz"]  # no temporary file stays


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz is missing: `dvc repro`"):
        Dataset.load(tmp_path / "none.npz")


def test_what_does_not_fit_together_is_an_error():
    good = some()
    with pytest.raises(ValueError, match="expected uint8"):
        good.released(good.images / 255)
    with pytest.raises(ValueError, match="expected one value an image"):
        good.released(good.images[:3])


def test_take_subset_and_marginal():
    dataset = some(12, people=3)
    assert dataset.p_z.tolist() == pytest.approx([1 / 3] * 3)
    assert sum(len(dataset.subset(name)) for name in SPLITS) == 12
    part = dataset.take(dataset.z == 1)
    assert part.z.tolist() == [1] * 4
    np.testing.assert_array_equal(part.attributes["slant"], dataset.attributes["slant"][1::3])


def test_tasks_are_the_private_label_and_the_attributes():
    dataset = some().released(some().images, private="writer")
    assert (dataset.private, dataset.utility) == ("writer", None)
    assert dataset.task("writer") is dataset.z
    assert dataset.task("digit") is dataset.attributes["digit"]
    with pytest.raises(KeyError, match="no task 'age': the data set has writer, digit, slant"):
        dataset.task("age")


def test_a_release_keeps_the_people_and_says_how():
    dataset = some()
    release = dataset.released(255 - dataset.images, lam=2.0)
    assert release.provenance == {**dataset.provenance, "lam": 2.0}
    assert "lam" not in dataset.provenance
    assert same(release.released(dataset.images), Dataset(**{**vars(dataset), "provenance": release.provenance}))


def test_the_papers_split_sizes():
    split = random_split(7494, (5494, 1000, 1000), np.random.default_rng(0))
    assert np.bincount(split).tolist() == [5494, 1000, 1000]


@given(n=st.integers(3, 3000), sizes=st.tuples(*[st.integers(1, 9999)] * 3), seed=st.integers(0, 9))
def test_split_sizes_are_met_or_kept_in_proportion(n, sizes, seed):
    split = random_split(n, sizes, np.random.default_rng(seed))
    counts = np.bincount(split, minlength=3)
    assert counts.sum() == n
    np.testing.assert_allclose(counts, np.array(sizes) * n / sum(sizes), atol=1)
    assert np.array_equal(split, random_split(n, sizes, np.random.default_rng(seed)))


def test_an_empty_part_is_an_error():
    with pytest.raises(ValueError, match="needs at least one image"):
        random_split(10, (9, 0, 1), np.random.default_rng(0))


@given(st.integers(2, 300), st.booleans(), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_chance_is_the_largest_share_of_all_images_however_they_were_split(people, even, seed):
    """Of the training part's commonest person the test part has too few: named always, they were right too seldom."""
    rng = np.random.default_rng(seed)
    z = rng.permutation(np.repeat(np.arange(people), 100 if even else rng.integers(1, 60, people)))
    split = random_split(len(z), (60, 15, 25), rng)
    data = Dataset(np.zeros((len(z), 2, 2), np.uint8), z, {}, split, {"private": "person"})
    assert data.chance("person") == np.bincount(z).max() / len(z) >= 1 / people
    if even:
        assert data.chance("person") == pytest.approx(1 / people)


def with_unseen(n: int = 12) -> Dataset:
    """Three people, and after them two who took part in nothing."""
    data, other = some(n), some(n, people=2, seed=1)
    attributes = {name: np.concatenate([data.attributes[name], other.attributes[name]]) for name in data.attributes}
    images, z = np.concatenate([data.images, other.images]), np.concatenate([data.z, 3 + other.z])
    return Dataset(images, z, attributes, np.r_[data.split, np.full(n, UNSEEN, np.uint8)], data.provenance)


def test_unseen_people_are_a_data_set_of_their_own():
    both, alone = with_unseen(), some()
    assert same(both.known(), alone)
    assert (both.n_private, both.p_z.tolist(), alone.unseen()) == (3, alone.p_z.tolist(), None)
    assert all(same(both.subset(name), alone.subset(name)) for name in SPLITS)
    unseen = both.unseen()
    assert (unseen.n_private, unseen.z.tolist()) == (2, [0, 1] * 6)
    assert np.bincount(unseen.split).tolist() == [5, 2, 5]
    assert same(unseen, both.unseen())
    with pytest.raises(ValueError, match="unseen people among the others"):
        both.take(np.arange(24)[::-1])
