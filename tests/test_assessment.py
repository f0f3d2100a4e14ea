"""The assessment: both controls for every family, tuning that never sees the test set, counts that add up."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from anonrep.assessment import assess, task_labels
from anonrep.attackers import Effort, suite
from anonrep.dataset import Dataset
from anonrep.intervals import wilson

PEOPLE, SIZE = 4, 12


def carrying(n: int = 900, seed: int = 0) -> Dataset:
    """Images that carry the private label (where the square is) and a digit (how bright it is)."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 40, (n, SIZE, SIZE), np.uint8)
    z, digit = draw.integers(0, PEOPLE, n), draw.integers(0, 2, n)
    for image, person, bright in zip(images, z, digit, strict=True):
        image[3 * person : 3 * person + 3, 4:8] = 120 + 130 * bright
    split = np.repeat([0, 1, 2], [n - 400, 200, 200]).astype(np.uint8)
    return Dataset(images, z, {"digit": digit}, split, {"source": "standin", "private": "writer"})


EFFORT = Effort(network_epochs=8, large_epochs=8, trees=30)


def test_every_family_finds_what_is_there_and_nothing_in_permuted_labels():
    data, attackers = carrying(), suite(EFFORT, seed=0)
    for task, chance in (("writer", 1 / PEOPLE), ("digit", 1 / 2)):
        found = {row["attacker"]: row for row in assess(data, task, attackers)}
        control = {row["attacker"]: row for row in assess(data, task, attackers, permute=0)}
        assert list(found) == list(control) == list(attackers)
        for name in attackers:
            assert found[name]["accuracy"] > 0.95, (task, name)
            # 3.3 standard errors: all of them together hold more than 99 times in 100, and the seeds are set.
            assert abs(control[name]["accuracy"] - chance) < 3.3 * np.sqrt(chance * (1 - chance) / 200), (task, name)


def test_a_constant_release_gives_nothing_away():
    data = carrying(600)
    blank = data.released(np.full_like(data.images, 7))
    for row in assess(blank, "writer", suite(Effort(network_epochs=1, large_epochs=1, trees=5), seed=0)):
        assert row["accuracy"] < 0.4, row


def test_the_rows_hold_what_was_counted():
    data, attackers = carrying(500), suite(Effort(network_epochs=1, large_epochs=1, trees=5), seed=0)
    for row in assess(data, "writer", attackers):
        assert set(row) == {"task", "attacker", "accuracy", "low", "high", "n", "candidates"}
        assert (row["task"], row["n"]) == ("writer", 200)
        assert row["candidates"] == len(attackers[row["attacker"]])
        hits = round(row["accuracy"] * row["n"])
        assert hits / row["n"] == row["accuracy"]
        assert (row["low"], row["high"]) == wilson(hits, 200)


def test_the_same_assessment_twice_gives_the_same_rows():
    data, attackers = carrying(500), suite(Effort(network_epochs=2, large_epochs=1, trees=5), seed=1)
    assert assess(data, "writer", attackers) == assess(data, "writer", attackers)
    assert assess(data, "writer", attackers, permute=1) == assess(data, "writer", attackers, permute=1)


class NearestMean(ClassifierMixin, BaseEstimator):
    """A user's own attacker: the person whose mean image is nearest."""

    def fit(self, images, labels):
        self.classes_ = np.unique(labels)
        self.means_ = np.stack([images[labels == label].mean(0) for label in self.classes_])
        return self

    def predict(self, images):
        return self.classes_[((images[:, None] - self.means_) ** 2).sum((2, 3)).argmin(1)]


def test_a_users_own_attacker_joins_the_suite():
    attackers = {**suite(Effort(network_epochs=1, large_epochs=1, trees=5), seed=0), "mine": [NearestMean()]}
    row = assess(carrying(), "writer", attackers)[-1]
    assert row["attacker"] == "mine"
    assert row["accuracy"] > 0.95


class Knowing(ClassifierMixin, BaseEstimator):
    """Knows the labels of one split by heart, recognised by its images, and is wrong about all others.

    Every call is written down, with the images it was shown.
    """

    calls: list = []  # noqa: RUF012

    def __init__(self, name, split, data):
        self.name, self.split, self.data = name, split, data

    def fit(self, images, labels):
        self.calls.append((self.name, "fit", images))
        return self

    def predict(self, images):
        self.calls.append((self.name, "predict", images))
        mine = self.data.subset(self.split)
        answers = {image.tobytes(): z for image, z in zip(mine.images, mine.z, strict=True)}
        return np.array([answers.get(image.tobytes(), -1) for image in images])

    def __sklearn_clone__(self):
        return Knowing(self.name, self.split, self.data)


def test_test_images_never_influence_the_choice():
    """A candidate that is only good on test is not chosen, and is never asked about test."""
    data = carrying(500)
    Knowing.calls.clear()
    candidates = [Knowing(split, split, data) for split in ("test", "train", "validation")]
    (row,) = assess(data, "writer", {"knowing": candidates})
    assert row["accuracy"] == 0  # the one that knows validation was chosen, and it is wrong about test
    of = {split: data.subset(split).images for split in ("train", "validation", "test")}
    shown = [(name, call, next(s for s in of if np.array_equal(of[s], images))) for name, call, images in Knowing.calls]
    assert {(name, split) for name, call, split in shown if call == "fit"} == {(c.name, "train") for c in candidates}
    assert [name for name, call, split in shown if split == "test"] == ["validation"]


@pytest.mark.parametrize("order", [1, -1])
def test_the_best_on_validation_is_chosen_wherever_it_stands(order):
    data = carrying(500)
    both = data.take(np.flatnonzero(data.split > 0))
    good = Knowing("good", "validation", replace(both, split=np.ones(len(both), np.uint8)))
    (row,) = assess(data, "writer", {"knowing": [good, Knowing("bad", "train", data)][::order]})
    assert row["accuracy"] == 1


def test_permuted_labels_keep_their_counts_and_lose_their_images():
    seen = []

    class Spy(NearestMean):
        def fit(self, images, labels):
            seen.append((images, labels.copy()))
            return super().fit(images, labels)

    data = carrying(500)
    assess(data, "writer", {"spy": [Spy()]})
    assess(data, "writer", {"spy": [Spy()]}, permute=0)
    assess(data, "writer", {"spy": [Spy()]}, permute=1)
    train = data.subset("train")
    (plain, permuted, other) = (labels for _, labels in seen)
    assert np.array_equal(plain, train.z)
    assert all(np.array_equal(images, train.images) for images, _ in seen)
    for labels in (permuted, other):
        assert 0.1 < (labels == train.z).mean() < 0.45  # 1 / PEOPLE
        assert np.abs(np.bincount(labels) - np.bincount(train.z)).max() < 20  # shuffled over all three splits
    assert not np.array_equal(permuted, other)


def test_tasks_are_the_private_label_and_the_attributes():
    data = carrying(500)
    assert np.array_equal(task_labels(data, "writer"), data.z)
    assert np.array_equal(task_labels(data, "digit"), data.attributes["digit"])
    with pytest.raises(KeyError, match=r"no task 'age': the data set has \['digit', 'writer'\]"):
        task_labels(data, "age")
