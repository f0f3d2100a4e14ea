"""Numbers as prose writes them."""


def percent(value: float | None) -> str:
    """A fraction in percent: "14.3 %"; a dash for None and NaN, which were not measured."""
    return "–" if value is None or value != value else f"{100 * value:.1f} %"
