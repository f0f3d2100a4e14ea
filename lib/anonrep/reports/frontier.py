"""The figure of certified releases: bounds and attackers against what a release of codewords keeps."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D

from anonrep.reports import tables
from anonrep.reports.figures import COLOURS, percent_axes, title_suffix
from anonrep.reports.tables import at
from anonrep.stages.results import Results

METHODS = {  # colours of Okabe and Ito, 2008; the finite release has the certificate's of Fig. 2
    "finite": {"color": COLOURS["certified"], "marker": "D", "markersize": 5},
    "finite, two codes": {"color": COLOURS["best"], "marker": "P", "markersize": 5},
    "k-means": {"color": COLOURS["utility"], "marker": "o", "markersize": 8},  # medoids have its codes: both must show
    "medoids": {"color": "#cc79a7", "marker": "s", "markersize": 4.5},
    "substitution": {"color": COLOURS["cnn"], "marker": "^", "markersize": 6},
}
NAMED = {"finite": (7, "left"), "k-means": (-7, "right")}  # number of codes aside: points, alignment
POINT = ["method", "setting", "codes"]


def frontier(results: Results, setting: str = "full") -> Figure:
    """What a release keeps against what it can tell about the person, a point for each method, lambda and codebook.

    Certified bounds and best attackers on one image, means over seeds, against the utility label; and in a small panel
    for each attribute that nobody trained for, the bounds against its score. Of the first split.
    """
    split, private, attribute = next(iter(results.about["splits"])), results.private, results.to_keep
    certificate = at(results.certificate, split=split)
    chance = tables.chance(results, split)
    points = _means(certificate[certificate.m == 1], ["bound", "best_attacker", "utility", "naturalness"])
    kept, groups = results.utility, []
    if len(kept):
        scores = _means(at(kept, split=split), ["score", "chance"], "attribute", "kind")
        groups = list(scores.groupby(["attribute", "kind"], sort=False))
    figure = Figure(figsize=(11, 8.8), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=[5, 3, 0.5])
    large, small = _panels(figure, grid[0], 2), _panels(figure, grid[1], len(groups)) if groups else []
    words = [
        f"{attribute} read from the code",
        f"{attribute} read from the codeword by a network trained on raw images",
    ]
    for axis, column, label in zip(large, ["utility", "naturalness"], words, strict=True):
        _attacked(axis, points, column)
        _certified(axis, points, column, named=True)
        axis.set_xlabel(label)
        axis.set_title("better: right and down ↘", loc="right", color="grey", fontsize=9)
        axis.margins(x=0.15)  # room for the numbers of codes
    for axis, ((name, kind), rows) in zip(small, groups, strict=True):
        _certified(axis, rows.merge(points, on=POINT), "score", named=False)
        axis.axvline(rows.chance.mean(), color="grey", linestyle=":", linewidth=1)
        axis.set_title(f"{name} ({kind.replace('R2', 'R²')})", fontsize=10)
        percent_axes(axis, x=kind == "accuracy", y=False)
    percent_axes(*large)
    percent_axes(*small, x=False)
    for axis in [*large, *small]:
        axis.axhline(chance, color=COLOURS["chance"], linestyle="--", linewidth=1)
        axis.grid(alpha=0.3)
    labels = [f"accuracy of naming the {private}", "certified bound"]
    for (axis, *_), label in zip(filter(None, (large, small)), labels, strict=False):
        axis.set(ylim=(0, None), ylabel=label)
    keys = figure.add_subplot(grid[2])
    keys.axis("off")
    key = _key(points.method.unique(), private)
    keys.legend(key.values(), key.keys(), loc="center", ncols=4, fontsize=8, frameon=False)
    title = f"What a release tells about the {private}, and what it keeps"
    figure.suptitle(f"{title}: {title_suffix(results.source, setting)}", wrap=True)
    return figure


def _means(rows: pd.DataFrame, values: Sequence[str], *more: str) -> pd.DataFrame:
    """Means over seeds, for each POINT and what else is named. A missing lambda is a value like others."""
    rows = rows.astype({"setting": float, "codes": float})
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
    for (method, codes), line in points.groupby(["method", "codes"], dropna=False):
        line, style = line.sort_values("setting"), METHODS[method]
        axis.plot(line[column], line.bound, linewidth=1, **style)
        if named and method in NAMED:
            (aside, align), place = NAMED[method], (line[column].iloc[0], line.bound.iloc[0])
            style = {"color": style["color"], "fontsize": 8, "ha": align, "va": "center"}
            axis.annotate(f"K = {codes:g}", place, (aside, 0), textcoords="offset points", **style)


def _attacked(axis: Axes, points: pd.DataFrame, column: str) -> None:
    """Hollow markers at the best attackers, each with a thin line up to its bound."""
    for method, rows in points.groupby("method"):
        style = METHODS[method]
        axis.vlines(rows[column], rows.best_attacker, rows.bound, color=style["color"], linewidth=0.7, alpha=0.5)
        axis.plot(rows[column], rows.best_attacker, linestyle="", markerfacecolor="none", **style)


def _key(methods: Sequence[str], private: str) -> dict[str, Line2D]:
    """One entry for each method, then the markers and lines."""
    key = {name: Line2D([], [], linestyle="", **style) for name, style in METHODS.items() if name in methods}
    for label, face in (("certified bound for every classifier", "grey"), ("best attacker", "white")):
        key[label] = Line2D([], [], color="grey", marker="o", markerfacecolor=face, linestyle="", markersize=5)
    key[f"{private}: chance"] = Line2D([], [], color=COLOURS["chance"], linestyle="--", linewidth=1)
    key["attribute: chance"] = Line2D([], [], color="grey", linestyle=":", linewidth=1)
    return key
