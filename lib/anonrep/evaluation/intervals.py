"""Intervals for accuracies that were counted: hits in n independent images."""

import math

from scipy.stats import norm


def wilson(hits: int, n: int, confidence: float = 0.95, simultaneous: int = 1) -> tuple[float, float]:
    """Two-sided Wilson score interval for a proportion (Wilson, 1927): fractions (low, high).

    Holds its level near 0 and 1, where the textbook interval shrinks to a point. One of `simultaneous` intervals is
    wider, so that all of them hold together at `confidence` (Bonferroni). Raises ValueError for impossible counts.
    """
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"{hits} hits in {n}: expected 0 <= hits <= n and n > 0")
    z = norm.isf((1 - confidence) / (2 * simultaneous))
    centre = (hits + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * math.sqrt(hits * (n - hits) / n + z**2 / 4)
    return max(0.0, centre - half), min(1.0, centre + half)
