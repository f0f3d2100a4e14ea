"""Numbers as prose writes them."""

import math


def percent(value: float | None) -> str:
    """A fraction in percent: "14.3 %"; a dash for None and NaN, which were not measured."""
    return "–" if value is None or value != value else f"{100 * value:.1f} %"


def at_most(bound: float | None, digits: int = 1) -> str:
    """An upper bound in percent, rounded up: rounded down, it would promise too much. 0.08907 is "9.0 %"."""
    if bound is None or bound != bound:
        return "–"
    scale = 10**digits
    return f"{math.ceil(round(100 * scale * bound, 6)) / scale:.{digits}f} %"  # 0.09 is a little more in binary
