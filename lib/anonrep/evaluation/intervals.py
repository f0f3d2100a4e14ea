"""Intervals for accuracies that were counted: hits in n independent images."""

import math

from scipy.optimize import brentq
from scipy.special import rel_entr
from scipy.stats import beta, binomtest


def wilson(hits: int, n: int, confidence: float = 0.95, simultaneous: int = 1) -> tuple[float, float]:
    """Two-sided Wilson score interval for a proportion (Wilson, 1927): fractions (low, high).

    It keeps its level near 0 and 1, where the textbook interval shrinks to a point. With `simultaneous` > 1 it is one
    of so many intervals that hold together at `confidence` (Bonferroni). Raises ValueError for impossible counts.
    """
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"{hits} hits in {n}: expected 0 <= hits <= n and n > 0")
    found = binomtest(hits, n, p=hits / n).proportion_ci(1 - (1 - confidence) / simultaneous, method="wilson")
    return float(found.low), float(found.high)


def clopper_pearson(hits: float, n: float, delta: float) -> float:
    """One-sided upper limit, at confidence 1 - delta, for a proportion of which n draws show `hits` (1934)."""
    return 1.0 if hits >= n else float(beta.ppf(1 - delta, hits + 1, n - hits))


def chernoff(share: float, n: float, delta: float) -> float:
    r"""One-sided upper limit, at confidence 1 - delta, for a mean of n independent values in [0, 1] with mean `share`.

    .. math:: \mathrm{kl}(\text{share} \,\|\, B) = \log(1 / \delta) / n

    Hoeffding (1963), Theorem 1. For values in [0, w_i], w_i <= 1, n is the sum of the w_i and `share` that of the
    values over it: log E exp(t w X), t < 0, is convex in w and 0 at 0.
    """
    room, most = -math.log(delta) / n if n else math.inf, 1 - 1e-12

    def excess(bound: float) -> float:
        return float(rel_entr([share, 1 - share], [bound, 1 - bound]).sum()) - room

    return 1.0 if share >= most or excess(most) <= 0 else float(brentq(excess, share, most))
