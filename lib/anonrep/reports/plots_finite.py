"""Figures of releases that show one of K pictures: arrays in, Figure out. Nothing here trains or loads."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from anonrep.reports.plots import COLOURS, mosaic, title_suffix

PERCENT = FuncFormatter(lambda value, _: f"{100 * value:g}%")


def codebook(
    images: np.ndarray,
    counts: np.ndarray,
    usage: np.ndarray,
    *,
    private: str,
    source: str,
    setting: str = "full",
    title: str = "The pictures of the release",
) -> Figure:
    """The pictures side by side, how many images become each, and how much each person uses it.

    images  uint8 (K, H, W), in the order they are to be shown (`codebook.ordered`)
    counts  whole numbers (K,), how many images become each picture
    usage   float (K, |Z|), shares as `codebook.usage` gives them: a person's column sums to 1

    If the pictures told nothing about the person, every row of the heat map would look like the bars.
    """
    people = usage.shape[1]
    # Fixed places, in inches: a picture, its bar and its column of the heat map stand exactly under one another.
    cell = float(np.clip(9 / len(images), 0.2, 0.9))  # from 10 to 45 pictures the figure is equally wide
    wide, tall, high = cell * len(images), max(1.2, 0.11 * people), cell * images.shape[1] / images.shape[2]
    width, height = max(wide + 2.2, 6), tall + high + 2.4
    figure, left = Figure(figsize=(width, height)), (width - wide - 0.2) / 2

    def panel(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, y / height, w / width, h / height))

    _pictures(panel(left, tall + 1.7, wide, high), images)
    # A number fits above each of the wider bars.
    _bars(panel(left, tall + 0.65, wide, 0.9), counts / max(1, np.sum(counts)), numbers=cell > 0.35)
    heat, key = panel(left, 0.5, wide, tall), panel(left + wide + 0.1, 0.5, 0.15, tall)
    colours = sns.light_palette(COLOURS["kept"], as_cmap=True)
    field = heat.imshow(usage.T, aspect="auto", cmap=colours, vmin=0, interpolation="nearest")
    heat.set(xticks=[], yticks=range(0, people, max(1, round(people / 6))), ylabel=f"{private} z")
    figure.colorbar(field, cax=key, format=PERCENT, label=f"share of the {private}'s images")
    note = f"If the pictures told nothing about the {private}, every row would look like the bars."
    figure.text(0.5, 0.15 / height, note, ha="center", fontsize=8)
    figure.suptitle(f"{title}:\n{title_suffix(source, setting)}", y=1 - 0.1 / height, fontsize=10)
    return figure


def _pictures(axis: Axes, images: np.ndarray, gap: int = 2) -> None:
    """Each picture in the middle of its column; `mosaic` leaves the gap on the right."""
    mosaic(axis, [images], [""], gap)
    axis.set(xlim=(-0.5 - gap / 2, axis.get_xlim()[1] - gap / 2), aspect="auto")


def _bars(axis: Axes, shares: np.ndarray, *, numbers: bool) -> None:
    """Shares as bars, with their numbers or else with an axis."""
    drawn = axis.bar(np.arange(len(shares)), shares, width=0.8, color="grey")
    axis.set(xlim=(-0.5, len(shares) - 0.5), xticks=[], ylabel="share of\nall images")
    axis.spines[["top", "right"]].set_visible(False)
    if numbers:
        axis.bar_label(drawn, fmt=lambda share: f"{100 * share:.1f}%", fontsize=7, padding=1)
        axis.margins(y=0.2)
        axis.set(yticks=[])
    else:
        axis.yaxis.set_major_locator(MaxNLocator(3))
        axis.yaxis.set_major_formatter(PERCENT)


TERMS = ["distortion", "consistency", "code_usage", "information"]


def terms(history: pd.DataFrame, *, source: str, setting: str = "full") -> Figure:
    """The terms of the finite release's objective by step, a panel for each number of codes; a band over seeds and
    restarts. `history`: rows codes, seed, restart, step, price (lambda so far), and TERMS in nats (`finite.train`)."""
    groups = history.groupby("codes")
    figure = Figure(figsize=(5.2 * len(groups), 3.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(groups), sharey=True))
    for axis, (codes, rows) in zip(panels, groups, strict=True):
        long = rows.melt("step", TERMS, "term", "nats")
        sns.lineplot(long, x="step", y="nats", hue="term", errorbar=("pi", 100), palette="colorblind", ax=axis)
        axis.set(title=f"{codes} codes at the start")
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    figure.suptitle(f"The objective by step: {title_suffix(source, setting)}", fontsize=10, wrap=True)
    return figure


METHODS = {  # colours of Okabe and Ito, 2008; the learned release has the certificate's of Fig. 2
    "finite": {"color": COLOURS["certified"], "marker": "D", "markersize": 5},
    "finite, two codes": {"color": COLOURS["worst"], "marker": "P", "markersize": 5},
    "k-means": {"color": COLOURS["kept"], "marker": "o", "markersize": 8},  # medoids have its codes: both must show
    "medoids": {"color": "#cc79a7", "marker": "s", "markersize": 4.5},
    "substitution": {"color": COLOURS["cnn"], "marker": "^", "markersize": 6},
}
NAMED = {"finite": (7, "left"), "k-means": (-7, "right")}  # number of codes aside: points, alignment
POINT = ["method", "lam", "codebook"]


def frontier(
    table: pd.DataFrame,
    kept: pd.DataFrame,
    *,
    private: str,
    attribute: str,
    chance: float,
    source: str,
    setting: str = "full",
) -> Figure:
    """What a release keeps against what it can tell about the person, a point for each method, lambda and codebook.

    table      rows method, lam, codebook (how many codes were asked for), seed, m, bound, worst_attacker, utility,
               naturalness; fractions, of which those of one image (m = 1) are drawn, as means over seeds
    kept       rows method, lam, codebook, seed, and those of `utility.utility_by_code`: attribute, kind, score, chance;
               a small panel for each attribute
    attribute  what utility and naturalness are about, "digit" for instance
    chance     accuracy of a blind guess at the private label

    `lam` is missing (None, NaN) where a method has none.
    """
    points = _means(table[table.m == 1], ["bound", "worst_attacker", "utility", "naturalness"])
    scores = _means(kept, ["score", "chance"], "attribute", "kind")
    panels = scores.groupby(["attribute", "kind"], sort=False)
    figure = Figure(figsize=(11, 8.8), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=[5, 3, 0.5])
    large, small = _panels(figure, grid[0], 2), _panels(figure, grid[1], len(panels))
    words = [f"{attribute} read from the code", f"{attribute} read from the picture by a network trained on raw images"]
    for axis, column, label in zip(large, ["utility", "naturalness"], words, strict=True):
        _attacked(axis, points, column)
        _certified(axis, points, column, named=True)
        axis.set_xlabel(label)
        axis.set_title("better: right and down ↘", loc="right", color="grey", fontsize=9)
        axis.margins(x=0.15)  # room for the numbers of codes
        axis.xaxis.set_major_formatter(PERCENT)
    for axis, ((name, kind), rows) in zip(small, panels, strict=True):
        _certified(axis, rows.merge(points, on=POINT), "score", named=False)
        axis.axvline(rows.chance.mean(), color="grey", linestyle=":", linewidth=1)
        axis.set_title(f"{name} ({kind.replace('R2', 'R²')})", fontsize=10)
        if kind == "accuracy":
            axis.xaxis.set_major_formatter(PERCENT)
    for axis in [*large, *small]:
        axis.axhline(chance, color=COLOURS["chance"], linestyle="--", linewidth=1)
        axis.grid(alpha=0.3)
    for axis, label in ((large[0], f"accuracy of naming the {private}"), (small[0], "certified bound")):
        axis.set(ylim=(0, None), ylabel=label)
        axis.yaxis.set_major_formatter(PERCENT)
    keys = figure.add_subplot(grid[2])
    keys.axis("off")
    key = _key(points.method.unique(), private)
    keys.legend(key.values(), key.keys(), loc="center", ncols=4, fontsize=8, frameon=False)
    title = f"What a release tells about the {private}, and what it keeps"
    figure.suptitle(f"{title}: {title_suffix(source, setting)}", wrap=True)
    return figure


def _means(rows: pd.DataFrame, values: Sequence[str], *more: str) -> pd.DataFrame:
    """Means over seeds, for each POINT and what else is named. A missing lambda is a value like others."""
    rows = rows.astype({"lam": float, "codebook": float})
    return rows.groupby([*POINT, *more], dropna=False, sort=False, as_index=False)[list(values)].mean()


def _panels(figure: Figure, place: SubplotSpec, columns: int) -> list[Axes]:
    """A row of panels with the same y axis."""
    grid, axes = place.subgridspec(1, columns), []
    for column in range(columns):
        axes.append(figure.add_subplot(grid[column], sharey=axes[0] if axes else None))
        axes[-1].tick_params(labelleft=column == 0)
    return axes


def _certified(axis: Axes, points: pd.DataFrame, column: str, *, named: bool) -> None:
    """Filled markers at the bounds, joined over lambda; `named`: with K at the first of a line."""
    for (method, codes), line in points.groupby(["method", "codebook"], dropna=False):
        line, style = line.sort_values("lam"), METHODS[method]
        axis.plot(line[column], line.bound, linewidth=1, **style)
        if named and method in NAMED:
            (aside, align), place = NAMED[method], (line[column].iloc[0], line.bound.iloc[0])
            style = {"color": style["color"], "fontsize": 8, "ha": align, "va": "center"}
            axis.annotate(f"K = {codes:g}", place, (aside, 0), textcoords="offset points", **style)


def _attacked(axis: Axes, points: pd.DataFrame, column: str) -> None:
    """Hollow markers at the best attackers, each with a thin line up to its bound."""
    for method, rows in points.groupby("method"):
        style = METHODS[method]
        axis.vlines(rows[column], rows.worst_attacker, rows.bound, color=style["color"], linewidth=0.7, alpha=0.5)
        axis.plot(rows[column], rows.worst_attacker, linestyle="", markerfacecolor="none", **style)


def _key(methods: Sequence[str], private: str) -> dict[str, Line2D]:
    """One entry for each method, then what markers and lines mean."""
    key = {name: Line2D([], [], linestyle="", **style) for name, style in METHODS.items() if name in methods}
    for label, face in (("certified bound, any classifier", "grey"), ("best attacker found", "white")):
        key[label] = Line2D([], [], color="grey", marker="o", markerfacecolor=face, linestyle="", markersize=5)
    key[f"{private}: blind guess"] = Line2D([], [], color=COLOURS["chance"], linestyle="--", linewidth=1)
    key["attribute: answer without looking"] = Line2D([], [], color="grey", linestyle=":", linewidth=1)
    return key
