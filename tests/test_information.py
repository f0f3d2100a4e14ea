"""Information from attackers: lower bounds that stay below the truth and near it, on channels whose truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

from anonrep.evaluation.information import entropy, fano, information_bounds, least_error
from anonrep.evaluation.intervals import wilson

NAMES = ("information_fano", "information", "information_low")
SEEDS = st.integers(0, 2**32 - 1)


def symmetric(classes, error):
    """P(z, x) (classes, classes): x is z, but for a share `error` of the times, when it is any other."""
    off = error / (classes - 1)
    return (np.full((classes, classes), off) + (1 - error - off) * np.eye(classes)) / classes


def true_information(joint):
    """I(Z; X), nats."""
    return float(rel_entr(joint, np.outer(joint.sum(1), joint.sum(0))).sum())


def bayes(joint):
    """The best attacker's beliefs P(z | x), a row an x; and its probability of error."""
    return (joint / joint.sum(0)).T, 1 - joint.max(0).sum()


def drawn(joint, n, rng):
    """n pairs (z, x)."""
    return np.unravel_index(rng.choice(joint.size, n, p=joint.ravel()), joint.shape)


def counted(table):
    """The pairs (z, x) of a table of counts."""
    return np.repeat(np.indices(table.shape).reshape(2, -1), table.ravel(), axis=1)


def random_table(seed, most=6):
    """Counts (|Z|, |X|) of any channel, where everybody has an image."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(2, most, 2)
    table = rng.integers(0, 12, shape) * (rng.random(shape) < 0.7)
    return table + (np.arange(shape[1]) == 0) * (table.sum(1, keepdims=True) == 0)


# On the whole population, where nothing is left to chance.


@given(SEEDS)
def test_the_best_attackers_beliefs_tell_all_and_its_errors_tell_no_more(seed):
    table = random_table(seed)
    (z, x), joint = counted(table), table / table.sum()
    beliefs, error = bayes(joint[:, table.sum(0) > 0])
    column = np.cumsum(table.sum(0) > 0) - 1
    found = information_bounds(beliefs[column[x]], np.arange(len(table)), z, error=error)
    assert list(found) == list(NAMES)
    assert found["information"] == pytest.approx(true_information(joint), abs=1e-9)
    assert 0 <= found["information_low"] <= found["information"]
    assert 0 <= found["information_fano"] <= true_information(joint) + 1e-9


@given(SEEDS, st.floats(0.05, 20))
def test_no_other_attackers_beliefs_tell_more_than_there_is(seed, spread):
    """Whatever it believes, and whomever it has in mind besides: two of its classes do not occur."""
    table, rng = random_table(seed), np.random.default_rng(seed)
    z, x = counted(table)
    beliefs = rng.dirichlet(np.full(len(table) + 2, spread), table.shape[1])
    beliefs = (beliefs + 1e-9) / (beliefs + 1e-9).sum(1, keepdims=True)
    error = np.mean(beliefs.argmax(1)[x] != z)
    found = information_bounds(beliefs[x], np.arange(len(table) + 2), z, error=error)
    truth = true_information(table / table.sum())
    assert all(0 <= found[name] <= truth + 1e-9 for name in NAMES)


@pytest.mark.parametrize("classes", [2, 3, 10, 30])
@pytest.mark.parametrize("error", [0.0, 0.1, 0.4])
def test_on_a_symmetric_channel_errors_tell_all(classes, error):
    """Fano's inequality is an equation where all wrong answers are equally likely."""
    joint = symmetric(classes, error)
    truth = math.log(classes) - (error and -error * math.log(error) - (1 - error) * math.log(1 - error))
    truth -= error * math.log(classes - 1)
    assert true_information(joint) == pytest.approx(truth, abs=1e-9)
    assert math.log(classes) - fano(error, classes) == pytest.approx(truth, abs=1e-9)
    assert least_error(truth, joint.sum(1)) == pytest.approx(error, abs=1e-6)


# On held-out images, where chance plays in.


@pytest.mark.parametrize("name", ["symmetric", "skewed"])
def test_the_lower_limits_hold_as_often_as_they_say(name):
    """600 assessments of 400 images; without a margin, the control, every second one is above the truth."""
    joint = symmetric(5, 0.3)
    if name == "skewed":
        joint = np.array([0.6, 0.2, 0.1, 0.05, 0.05])[:, None] * symmetric(5, 0.3) * 5
    rng, truth, (beliefs, _) = np.random.default_rng(0), true_information(joint), bayes(joint)
    above = {name: 0 for name in NAMES}
    for _ in range(600):
        z, x = drawn(joint, 400, rng)
        low, _ = wilson(int(np.sum(beliefs[x].argmax(1) == z)), 400)
        found = information_bounds(beliefs[x], np.arange(5), z, error=1 - low)
        for key in NAMES:
            above[key] += (found[key] > truth) / 600
    assert above["information_low"] <= 0.05 + 0.03
    assert above["information_fano"] <= 0.025 + 0.02
    assert 0.3 < above["information"] < 0.6


# Fano's inequality, and what follows for every classifier.


@given(SEEDS)
def test_no_classifier_errs_less_than_the_information_allows(seed):
    joint = random_table(seed) / random_table(seed).sum()
    information, p_z = true_information(joint), joint.sum(1)
    limit = least_error(information, p_z)
    assert 0 <= limit <= bayes(joint[:, joint.sum(0) > 0])[1] + 1e-9
    assert least_error(information + 0.1, p_z) <= limit <= least_error(max(0.0, information - 0.1), p_z)


def test_the_least_error_at_its_edges():
    uniform, skewed = np.full(4, 0.25), np.array([0.7, 0.1, 0.1, 0.1])
    assert least_error(0, uniform) == pytest.approx(0.75, abs=1e-6)
    assert least_error(math.log(4), uniform) == pytest.approx(0, abs=1e-6)
    assert least_error(100, uniform) == least_error(math.inf, uniform) == least_error(entropy(skewed), skewed) == 0
    assert least_error(0, skewed) == pytest.approx(0.3)  # a blind guess's: its wrong answers are equally likely
    assert least_error(0, np.array([1.0])) == 0
