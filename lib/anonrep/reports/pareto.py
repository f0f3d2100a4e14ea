"""Figures of what attackers find against what a release keeps: by method, by target, by images per person."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from anonrep.reports import tables
from anonrep.reports.figures import BASELINES, COLOURS, FACES, OURS, WORDS, percent_axes, title_suffix
from anonrep.reports.tables import Point, at
from anonrep.stages.results import Results

CHANCE = {"color": COLOURS["chance"], "linestyle": "--", "linewidth": 1}


def pareto(results: Results, split: str, setting: str = "full") -> Figure:
    """The best attacker against utility and against naturalness, a point for each of our releases and the baselines.

    Bars reach from the lowest to the highest end of the seeds' intervals.
    """
    private, utility, releases = results.private, results.to_keep, at(results.releases, split=split)
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"utility_cnn": f"{utility}: fresh CNN", "utility_reader": f"{utility}: network trained on raw images"}
    for axis, (column, title) in zip(panels, titles.items(), strict=True):
        for method, style in (OURS | BASELINES).items():
            rows = releases[releases.method == method].sort_values("setting")
            if len(rows):
                _points(axis, rows, column, joined=method in OURS, label=WORDS.get(method, method), **style)
        axis.axhline(tables.chance(results, split), **CHANCE, label=f"{private}: chance")
        axis.set(xlabel=title, ylim=(0, None))
        axis.set_title("better: right and down ↘", loc="right", fontsize=8, color="gray")
        axis.grid(alpha=0.3)
    percent_axes(*panels)
    panels[0].set_ylabel(f"{private}: best attacker")
    _legend(figure, panels[0], loc="outside lower center", ncols=5)
    figure.suptitle(f"What attackers find and what is kept: {title_suffix(results.source, setting)}", wrap=True)
    return figure


def _points(axis: Axes, rows: pd.DataFrame, column: str, *, joined: bool, label: str, color: str, marker: str) -> None:
    style = {"color": color, "marker": marker, "linestyle": "-" if joined else "", "linewidth": 1, "markersize": 6}
    ends = _ends(rows.private, rows.private_low, rows.private_high)
    axis.errorbar(rows[column], rows.private, yerr=ends, elinewidth=0.7, label=label, **style)
    for row in rows.iloc[[0, -1]].drop_duplicates("setting").itertuples():
        if not np.isnan(row.setting) and row.method != "substitution":
            place, aside = (getattr(row, column), row.private), {"textcoords": "offset points", "fontsize": 7}
            halo = [withStroke(linewidth=2, foreground="white")]  # readable across a neighbour's marker
            axis.annotate(f"{row.setting:g}", place, (5, 4), color=color, path_effects=halo, zorder=5, **aside)


def _ends(middle: pd.Series, low: pd.Series, high: pd.Series) -> list[pd.Series]:
    """Lengths of bars; a mean of equal values may be off by its last digit, and no bar is negative."""
    return [(middle - low).clip(lower=0), (high - middle).clip(lower=0)]


def _legend(figure: Figure, axis: Axes, **where: object) -> None:
    """Releases first, and then the lines they are compared with."""
    entries = list(zip(*axis.get_legend_handles_labels(), strict=True))
    entries.sort(key=lambda entry: isinstance(entry[0], Line2D))
    figure.legend(*zip(*entries, strict=True), fontsize=8, frameon=False, **where)


def terms(results: Results, setting: str = "full") -> Figure:
    """Best attacker against utility for the private terms of the same games (`tables.terms`), a panel a variant."""
    table, split = tables.terms(results), next(iter(results.about["splits"]))
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, max(1, table.variant.nunique()), sharey=True, sharex=True))
    colours = dict(zip(tables.TERMS.values(), (COLOURS["best"], COLOURS["cnn"], COLOURS["utility"]), strict=True))
    for axis, (variant, mine) in zip(panels, table.groupby("variant", sort=False), strict=False):
        for term, rows in mine.groupby("term", sort=False):
            lost = rows.collapsed.notna().sum()
            name = f"{term} ({lost} of {len(rows)} collapsed)" if lost else term
            axis.scatter(rows.reader, rows.private, 12 + 14 * rows.setting, colours[term], label=name, alpha=0.8)
        axis.axhline(tables.chance(results, split), **CHANCE, label="chance")
        axis.set(title=variant, ylim=(0, None), xlabel=f"{results.to_keep}: network trained on raw images")
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    percent_axes(*panels)
    panels[0].set_ylabel(f"{results.private}: best attacker of each kind")
    figure.suptitle(f"The private term; larger points are larger λ: {title_suffix(results.source, setting)}", wrap=True)
    return figure


def targets(results: Results, setting: str = "full") -> Figure:
    """The private label against the utility label, best attackers, a panel a split, a point a method and target."""
    private, utility, releases = results.private, results.to_keep, tables.releases(results)
    splits = list(results.about["splits"])
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(splits), sharey=True))
    for axis, split in zip(panels, splits, strict=True):
        mine = releases[releases.split == split]
        for method, style in FACES.items():
            points = mine[mine.method == method]
            if len(points):
                axis.scatter(points.utility, points.private, **style, s=50, alpha=0.85, label=method)
            if method in ("substituted", "finite"):
                for row in points.itertuples():
                    place = (row.utility, row.private)
                    axis.annotate(f"{row.target:g}", place, textcoords="offset points", xytext=(5, 4), fontsize=8)
        axis.axhline(tables.chance(results, split), **CHANCE, label="chance")
        for bound in mine.bound.dropna().unique()[:1]:
            axis.axhline(bound, color=COLOURS["certified"], linewidth=1, label="finite: certified for every classifier")
        axis.set(title=f"split: {split}", xlabel=f"{utility}: best attacker")
        axis.grid(alpha=0.3)
    percent_axes(*panels)
    panels[0].set_ylabel(f"{private}: best attacker")
    key = {}
    for axis in panels:
        key |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(key.values(), key.keys(), loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    title = f"{private} against {utility}; numbers are targets: {title_suffix(results.source, setting)}"
    figure.suptitle(title[0].upper() + title[1:])
    return figure


def images_per_person(results: Results, points: Sequence[Point], setting: str = "full") -> Figure:
    """The best attacker of the first seed against how many images of one unknown person it holds, and the bound.

    points: split, method and setting of each release.
    """
    private, rows = results.private, tables.best_by_knowledge(results, points)
    rows, proofs = rows[rows.knowledge == "release"], tables.first_codes(results)
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axis = figure.subplots()
    for place, ((method, release), mine) in enumerate(rows.groupby(["method", "release"], sort=False)):
        mine, colour = mine.sort_values("m"), OURS.get(method, {}).get("color", COLOURS["utility"])
        ends, aside = _ends(mine.accuracy, mine.low, mine.high), 1.03**place  # so that bars do not hide one another
        style = {"color": colour, "marker": "o", "markersize": 5}
        axis.errorbar(mine.m * aside, mine.accuracy, yerr=ends, capsize=3, label=release, **style)
        certified = at(proofs, method=method, setting=mine.setting.iloc[0], seed=mine.seed.iloc[0]).sort_values("m")
        if len(certified):
            style, label = {"color": colour, "marker": "D", "linestyle": ":"}, f"{release}: certified bound"
            axis.plot(certified.m * aside, certified.bound, label=label, **style)
    axis.axhline(tables.chance(results, rows.split.iloc[0]), **CHANCE, label="chance")
    axis.set(xscale="log", xlabel="images per person", ylabel=f"{private}: best attacker", ylim=(0, 1.03))
    ticks = sorted(rows.m.unique())
    axis.set_xticks(ticks, labels=map(str, ticks))
    axis.minorticks_off()
    percent_axes(axis, x=False)
    axis.grid(alpha=0.3)
    _legend(figure, axis, loc="outside right center")
    figure.suptitle(
        f"Attackers who hold several images: {title_suffix(results.source, setting)}", fontsize=11, wrap=True
    )
    return figure
