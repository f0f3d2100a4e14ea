"""Wilson's interval: printed values, its level by simulation, alone and several at once, its edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from anonrep.evaluation.intervals import wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # Newcombe (1998), Statistics in Medicine 17, Table I, method 3 (score, without continuity correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_agrees_with_newcombes_table(hits, n, low, high):
    assert wilson(hits, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 3000), st.data())
@settings(max_examples=100, deadline=None)
def test_solves_its_own_equation(n, data):
    """Each bound p is where the score test just reaches the level: (p - hits / n)^2 = z^2 p (1 - p) / n."""
    hits = data.draw(st.integers(0, n))
    for bound in wilson(hits, n):
        assert (bound - hits / n) ** 2 == pytest.approx(1.959964**2 * bound * (1 - bound) / n, abs=1e-7)


@given(st.integers(1, 3000), st.data(), st.floats(0.5, 0.999))
@settings(max_examples=100, deadline=None)
def test_holds_the_estimate_stays_within_zero_and_one_and_mirrors(n, data, confidence):
    hits = data.draw(st.integers(0, n))
    low, high = wilson(hits, n, confidence)
    assert 0 <= low <= hits / n + 1e-12
    assert hits / n - 1e-12 <= high <= 1
    assert wilson(n - hits, n, confidence) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    wider = wilson(hits, n, (1 + confidence) / 2)
    assert wider[0] <= low + 1e-12
    assert wider[1] >= high - 1e-12


@pytest.mark.parametrize("n", [1, 10, 1000])
def test_at_the_edges_it_is_no_point(n):
    none, every = wilson(0, n), wilson(n, n)
    z2 = 1.959964**2
    assert none == pytest.approx((0, z2 / (n + z2)), abs=1e-6)
    assert every == pytest.approx((n / (n + z2), 1), abs=1e-6)


@pytest.mark.parametrize("truth", [1 / 30, 0.1, 0.5, 0.97])
def test_covers_the_truth_about_as_often_as_it_says(truth):
    draws = np.random.default_rng(0).binomial(1000, truth, 3000)
    covered = np.mean([low <= truth <= high for low, high in map(wilson, draws, np.full(3000, 1000))])
    assert 0.93 <= covered <= 0.97  # three standard errors are 0.012; the level itself wavers by 0.01


@pytest.mark.parametrize(("hits", "n"), [(-1, 10), (11, 10), (0, 0), (0, -5), (float("nan"), 10)])
def test_impossible_counts_are_refused(hits, n):
    with pytest.raises(ValueError, match="expected 0 <= hits <= n and n > 0"):
        wilson(hits, n)


def test_more_images_narrow_it():
    widths = [high - low for low, high in (wilson(n // 10, n) for n in (10, 100, 1000, 10000))]
    assert widths == sorted(widths, reverse=True)


# Several at once.


@given(st.integers(1, 3000), st.data(), st.floats(0.5, 0.999), st.integers(1, 200))
@settings(max_examples=100, deadline=None)
def test_one_of_several_shares_the_error_with_the_others(n, data, confidence, several):
    """Bonferroni: each errs a k-th as often. It holds what it would hold alone."""
    hits = data.draw(st.integers(0, n))
    found, alone = wilson(hits, n, confidence, several), wilson(hits, n, confidence)
    assert found == pytest.approx(wilson(hits, n, 1 - (1 - confidence) / several), abs=1e-9)
    assert 0 <= found[0] <= alone[0] + 1e-12
    assert alone[1] - 1e-12 <= found[1] <= 1
    if several == 1:
        assert found == alone


@pytest.mark.parametrize("several", [1, 10, 100])
@pytest.mark.parametrize("n", [1, 200])
def test_at_the_edges_it_is_no_point_among_several_either(n, several):
    z2 = norm.isf(0.025 / several) ** 2
    assert wilson(0, n, simultaneous=several) == pytest.approx((0, z2 / (n + z2)), abs=1e-9)
    assert wilson(n, n, simultaneous=several) == pytest.approx((n / (n + z2), 1), abs=1e-9)


@pytest.mark.parametrize("together", [False, True])
def test_several_hold_all_at_once_only_if_they_are_told_how_many_they_are(together):
    """Ten attackers with accuracies of their own; the control is ten intervals that each hold alone."""
    truths, n = np.linspace(0.1, 0.9, 10), 500
    low, high = np.transpose([wilson(k, n, simultaneous=len(truths) if together else 1) for k in range(n + 1)])
    hits = np.random.default_rng(0).binomial(n, truths, (3000, len(truths)))
    held = ((low[hits] <= truths) & (truths <= high[hits])).all(axis=1).mean()
    assert 0.935 <= held <= 0.965 if together else held == pytest.approx(0.95**10, abs=0.04)
