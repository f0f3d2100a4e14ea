"""Wilson's interval: printed values, its level by simulation, alone and several at once, its edges."""

import numpy as np
import pytest
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


@pytest.mark.parametrize(("hits", "n"), [(-1, 10), (11, 10), (0, 0), (0, -5), (float("nan"), 10)])
def test_impossible_counts_are_refused(hits, n):
    with pytest.raises(ValueError, match="expected 0 <= hits <= n and n > 0"):
        wilson(hits, n)


# Several at once.


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
