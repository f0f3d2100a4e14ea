"""Intervals for accuracies that were counted: hits in n independent images."""

from scipy.stats import binomtest


def wilson(hits: int, n: int, confidence: float = 0.95, simultaneous: int = 1) -> tuple[float, float]:
    """Two-sided Wilson score interval for a proportion (Wilson, 1927): fractions (low, high).

    It keeps its level near 0 and 1, where the textbook interval shrinks to a point. With `simultaneous` > 1 it is one
    of so many intervals that hold together at `confidence` (Bonferroni). Raises ValueError for impossible counts.
    """
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"{hits} hits in {n}: expected 0 <= hits <= n and n > 0")
    found = binomtest(hits, n, p=hits / n).proportion_ci(1 - (1 - confidence) / simultaneous, method="wilson")
    return float(found.low), float(found.high)
