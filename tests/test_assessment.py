"""The assessment: controls for every attacker, tuning that never sees the test set, calibration, groups of images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import log_loss

from anonrep.data.dataset import Dataset
from anonrep.evaluation.assessment import Attack, assess, attack, attack_rows, parts
from anonrep.evaluation.attackers import AttackBudget, suite
from anonrep.evaluation.intervals import wilson

PEOPLE, SIZE = 4, 12
COLUMNS = ["task", "attacker", "m", "accuracy", "low", "high", "n", "attackers", "candidates", "n_train"]
COLUMNS += ["restarts", "trained"]
INFORMATION = ["information_fano", "information", "information_low"]


def carrying(n: int = 900, seed: int = 0) -> Dataset:
    """Images that carry the private label (where the square is) and a digit (how bright it is)."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 40, (n, SIZE, SIZE), np.uint8)
    z, digit = draw.integers(0, PEOPLE, n), draw.integers(0, 2, n)
    for image, person, bright in zip(images, z, digit, strict=True):
        image[3 * person : 3 * person + 3, 4:8] = 120 + 130 * bright
    split = np.repeat([0, 1, 2], [n - 400, 200, 200]).astype(np.uint8)
    return Dataset(images, z, {"digit": digit}, split, {"source": "synthetic", "private": "writer"})


def shares(labels: np.ndarray) -> np.ndarray:
    """How common each label is."""
    return np.unique(labels, return_counts=True)[1] / len(labels)


class Says(ClassifierMixin, BaseEstimator):
    """Believes what is drawn in one row of the image, a pixel a class: an attacker we know all about."""

    def __init__(self, row=0):
        self.row = row

    def fit(self, images, labels):
        self.classes_ = np.unique(labels)
        return self

    def predict_proba(self, images):
        beliefs = images[:, self.row, : len(self.classes_)].astype(float)
        return beliefs / beliefs.sum(1, keepdims=True)


def drawn(*beliefs: np.ndarray) -> np.ndarray:
    """Images that `Says` reads: each (n, C), sums of at most 1, is a row."""
    return np.stack([np.round(255 * one) for one in beliefs], axis=1).astype(np.uint8)


def believing(n: int, strength: float, seed: int, rows: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Images of rows of beliefs, each with an error of its own, and their labels among PEOPLE."""
    draw = np.random.default_rng(seed)
    z = draw.integers(0, PEOPLE, n)
    return drawn(*softmax(strength * np.eye(PEOPLE)[z] + draw.normal(0, 1, (rows, n, PEOPLE)), axis=2)), z


TRAIN = believing(40, 1, 99)  # `Says` learns nothing from it but the classes
assert len(np.unique(TRAIN[1])) == PEOPLE


# Controls.


BUDGET = AttackBudget(network_epochs=8, large_epochs=8, trees=30, boosting_rounds=10)
ATTACKERS = suite(BUDGET, seed=0)


def test_every_attacker_finds_what_is_there_and_nothing_in_permuted_labels():
    data, task, people = carrying(), "writer", PEOPLE
    found = {row["attacker"]: row for row in assess(data, task, ATTACKERS)}
    control = {row["attacker"]: row for row in assess(data, task, ATTACKERS, permute=0)}
    assert list(found) == list(control) == [*ATTACKERS, "ensemble"]
    test = data.task(task)[data.split == 2]
    commonest = np.bincount(data.task(task)[data.split == 0]).argmax()
    assert found.pop("majority")["accuracy"] == np.mean(test == commonest)
    assert all(row["accuracy"] > 0.95 for row in found.values())
    assert all(row["information_low"] > 0.5 * np.log(people) for row in found.values())
    for row in control.values():
        # 3.3 standard errors: all of them together hold more than 99 times in 100, and the seeds are set.
        assert abs(row["accuracy"] - 1 / people) < 3.3 * np.sqrt((people - 1) / people**2 / 200), row
        assert row["information_low"] < 0.01


def test_a_constant_release_gives_nothing_away():
    data = carrying(600)
    blank = data.released(np.full_like(data.images, 7))
    budget = AttackBudget(network_epochs=1, large_epochs=0, trees=5, boosting_rounds=2)
    for row in assess(blank, "writer", suite(budget, seed=0)):
        # Where all images are one, all answers are: right as often as the person who is named.
        assert any(row["accuracy"] == share for share in shares(data.z[data.split == 2])), row
        assert row["information_fano"] == 0
        assert row["information_low"] < 0.01


# Rows.


def test_the_rows_hold_what_was_counted():
    data, attackers = carrying(500), {name: ATTACKERS[name] for name in ("logistic", "neighbours", "trees")}
    rows = assess(data, "writer", attackers, images_per_person=(1, 5))
    assert [(row["attacker"], row["m"]) for row in rows] == [(n, m) for m in (1, 5) for n in (*attackers, "ensemble")]
    for row in rows:
        assert list(row) == COLUMNS + (INFORMATION if row["m"] == 1 else [])
        assert row["task"] == "writer"
        assert row["n"] == (np.bincount(data.z[data.split == 2]) // row["m"]).sum()
        assert row["attackers"] == 4
        tried = {name: len(candidates) for name, candidates in attackers.items()} | {"ensemble": 2}  # of 2 and of 3
        assert row["candidates"] == tried[row["attacker"]]
        assert row["n_train"] == 100
        assert (row["restarts"], row["trained"]) == (0, True)
        hits = round(row["accuracy"] * row["n"])
        assert hits / row["n"] == row["accuracy"]
        assert (row["low"], row["high"]) == wilson(hits, row["n"], simultaneous=4)
    assert [row["n"] for row in rows if row["m"] == 1] == [200] * 4


# The choice.


class Knowing(ClassifierMixin, BaseEstimator):
    """Knows the labels of one split by heart, recognised by its images, and is wrong about all others.

    Every call is written down, with the images it was shown.
    """

    calls: list = []  # noqa: RUF012

    def __init__(self, name, split, data):
        self.name, self.split, self.data = name, split, data

    def fit(self, images, labels):
        self.calls.append((self.name, "fit", images))
        self.classes_ = np.arange(PEOPLE)
        return self

    def predict_proba(self, images):
        self.calls.append((self.name, "predict_proba", images))
        mine = {image.tobytes() for image in self.data.subset(self.split).images}
        truth = {image.tobytes(): z for image, z in zip(self.data.images, self.data.z, strict=True)}
        answers = [truth[key] if key in mine else (truth[key] + 1) % PEOPLE for key in map(np.ndarray.tobytes, images)]
        return np.eye(PEOPLE)[answers]

    def __sklearn_clone__(self):
        return Knowing(self.name, self.split, self.data)


def test_test_images_never_influence_the_choice():
    """A candidate that is only good on test is not chosen, and is never asked about test."""
    data = carrying(500)
    Knowing.calls.clear()
    candidates = [Knowing(split, split, data) for split in ("test", "train", "validation")]
    rows = assess(data, "writer", {"knowing": candidates})
    assert [row["accuracy"] for row in rows] == [0, 0]  # who knows validation was chosen, and is wrong about test
    assert [row["information"] for row in rows] == [0, 0]
    of = {split: data.subset(split).images for split in ("train", "validation", "test")}
    shown = [(name, call, next(s for s in of if np.array_equal(of[s], images))) for name, call, images in Knowing.calls]
    assert {(name, split) for name, call, split in shown if call == "fit"} == {(c.name, "train") for c in candidates}
    assert [name for name, call, split in shown if split == "test"] == ["validation"]


# Calibration.


@given(st.integers(2, 6), st.floats(0, 4), st.floats(0.05, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_calibration_keeps_the_choice_and_costs_nothing(classes, strength, sureness, seed):
    """However good an attacker is and however sure of itself; of some classes it may be certain that they are not."""
    draw = np.random.default_rng(seed)
    z = np.r_[np.arange(classes), draw.integers(0, classes, 60)]
    beliefs = softmax(sureness * (strength * np.eye(classes)[z] + draw.normal(0, 1, (len(z), classes))), axis=1)
    images = drawn(beliefs)
    found, _ = attack({"says": [Says()]}, (images, z), (images, z), (images[::-1], None))
    raw = Says().fit(images, z).predict_proba(images)
    assert found.validation.dtype == np.float64
    for calibrated in (found.validation, found.test):
        assert np.isfinite(calibrated).all()
        assert (calibrated > 0).all()
        assert calibrated.sum(1) == pytest.approx(np.ones(len(z)))
    assert np.array_equal(found.validation.argmax(1), raw.argmax(1))
    assert np.array_equal(found.test, found.validation[::-1])  # the same for both, and made on validation alone
    cost = log_loss(z, found.validation, labels=range(classes))
    assert cost <= min(log_loss(z, raw, labels=range(classes)) + 2e-3, np.log(classes) + 1e-5)


@pytest.mark.parametrize(("sureness", "gain"), [(6, 0.5), (0.15, 0.15)])
def test_calibration_helps_who_is_too_sure_and_who_is_not_sure_enough(sureness, gain):
    draw = np.random.default_rng(0)
    z = draw.integers(0, 3, 800)
    votes = 1.5 * np.eye(3)[z] + draw.normal(0, 1, (800, 3))
    images = drawn(softmax(sureness * votes, axis=1))
    told, untold = (images[:400], z[:400]), (images[400:], None)
    found, _ = attack({"says": [Says()]}, told, told, untold)
    raw = Says().fit(*told).predict_proba(images[400:]) + 1e-6
    before, after = (log_loss(z[400:], p / p.sum(1, keepdims=True)) for p in (raw, found.test))
    assert after < before - gain
    honest = log_loss(z[400:], softmax(1.5 * votes[400:], axis=1))  # what such votes deserve, by Bayes' rule
    assert after < honest + 0.05


# The ensemble.


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Of those who name classes 0 ... C - 1."""
    return float(np.mean(probabilities.argmax(1) == labels))


def test_an_ensemble_of_several_minds_beats_each_of_them():
    """Five attackers equally good whose errors are their own; and it is the one that is best on validation."""
    attackers = {f"says {row}": [Says(row)] for row in range(5)}
    (held, v), (test, z) = (believing(800, 1, part, rows=5) for part in (0, 1))
    *members, ensemble = attack(attackers, TRAIN, (held, v), (test, None))
    assert [one.attacker for one in members] == list(attackers)
    assert ensemble.attacker == "ensemble"
    assert ensemble.candidates == 4  # the best two to the best five
    assert accuracy(ensemble.test, z) > max(accuracy(one.test, z) for one in members) + 0.05
    ranked = sorted(members, key=lambda one: accuracy(one.validation, v), reverse=True)
    means = [np.mean([one.validation for one in ranked[:size]], axis=0) for size in range(2, 6)]
    best = int(np.argmax([accuracy(mean, v) for mean in means]))
    assert np.array_equal(ensemble.validation, means[best])
    assert np.array_equal(ensemble.test, np.mean([one.test for one in ranked[: best + 2]], axis=0))


# Classes that are not everywhere.


def test_a_person_missing_from_training_is_never_named_and_breaks_nothing():
    data = carrying(700)
    attackers = {name: ATTACKERS[name] for name in ("logistic", "boosted", "svm", "cnn")}
    train, validation, test = parts(data, data.z)
    known = train[1] != 2
    attacks = attack(attackers, (train[0][known], train[1][known]), validation, test)
    for one, row in zip(attacks, attack_rows(attacks, test[1], images_per_person=(1,)), strict=True):
        assert list(one.classes) == [0, 1, 3]
        assert one.prior == pytest.approx(shares(train[1][known]))
        assert one.test.shape == (200, 3)
        present = test[1] != 2
        assert row["accuracy"] <= present.mean()  # the others are found, and this one cannot be
        assert row["accuracy"] > 0.9 * present.mean()
        assert all(np.isfinite(row[name]) for name in INFORMATION)


# Several images of one person.

PRIOR = np.array([0.55, 0.25, 0.12, 0.08])


def noisy(n: int, m: int, seed: int, noise: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """What the best attacker believes of m images of each of n people drawn from PRIOR, z (n,) and beliefs (n, m, C).

    An image shows where its person is among four corners, and errs by `noise`; so that the mean of m errs by
    noise / sqrt(m).
    """
    draw = np.random.default_rng(seed)
    z = draw.choice(PEOPLE, n, p=PRIOR)
    shown = np.eye(PEOPLE)[z][:, None] + draw.normal(0, noise, (n, m, PEOPLE))
    return z, softmax(np.log(PRIOR) + shown / noise**2, axis=2)


def known(beliefs: np.ndarray) -> Attack:
    """An attack with these beliefs (n, C)."""
    return Attack("bayes", np.arange(PEOPLE), PRIOR, beliefs, beliefs, 1, 100)


def test_more_images_are_worth_what_bayes_rule_makes_of_them():
    """Against whoever holds one image m times less noisy. Four people, rarely seen or often: the prior counts once."""
    z, beliefs = noisy(12000, 1, seed=0)
    rows = attack_rows([known(beliefs[:, 0])], z, images_per_person=(1, 4, 16))
    assert [row["m"] for row in rows] == [1, 4, 16]
    for row in rows:
        truth, best = noisy(40000, 1, seed=1, noise=2 / np.sqrt(row["m"]))
        expected = accuracy(best[:, 0], truth)
        assert row["accuracy"] == pytest.approx(
            expected, abs=3.5 * np.sqrt(expected * (1 - expected) / row["n"]) + 0.01
        )
        assert row["low"] < row["accuracy"] < row["high"]
    accuracies = [row["accuracy"] for row in rows]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] > accuracies[0] + 0.2


@pytest.mark.parametrize("seed", range(2))
def test_a_group_is_of_one_person(seed):
    """Everybody has five images: groups of five are exactly the persons, whatever the dealer does."""
    draw, people = np.random.default_rng(seed), 30
    prior, z = draw.dirichlet(np.full(people, 5)), np.repeat(np.arange(people), 5)
    beliefs = softmax(np.log(prior) + np.eye(people)[z] + draw.normal(0, 1, (5 * people, people)), axis=1)
    order = draw.permutation(5 * people)
    one = Attack("bayes", np.arange(people), prior, beliefs, beliefs[order], 1, 100)
    (row,) = attack_rows([one], z[order], images_per_person=(5,), seed=seed)
    total = np.log(beliefs).reshape(people, 5, people).sum(1) - 4 * np.log(prior)
    assert (row["n"], row["accuracy"]) == (people, accuracy(total, np.arange(people)))
    assert 0.3 < row["accuracy"] < 0.95
