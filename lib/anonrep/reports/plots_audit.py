"""Figures of the audit: rows of `results_audit` in, Figure out."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import PercentFormatter

from anonrep.reports.plots import COLOURS, mosaic, title_suffix

OURS = {  # colours of Okabe and Ito, 2008, as in Fig. 2; lines join lambdas
    "faithful": {"color": "#999999", "marker": "o"},
    "stabilised": {"color": COLOURS["worst"], "marker": "s"},
    "finite": {"color": COLOURS["certified"], "marker": "D"},
}
BASELINES = {
    "gradient_reversal": {"color": "#cc79a7", "marker": "v"},
    "maximum_entropy": {"color": "#cc79a7", "marker": "^"},
    "gaussian_noise": {"color": COLOURS["kept"], "marker": "P"},
    "gaussian_blur": {"color": COLOURS["kept"], "marker": "X"},
    "pixelate": {"color": COLOURS["kept"], "marker": "p"},
    "without_identity": {"color": "#56b4e9", "marker": "<"},
    "leace": {"color": "#56b4e9", "marker": ">"},
    "k_same": {"color": COLOURS["cnn"], "marker": "*"},
    "substitution": {"color": "black", "marker": "d"},
}
NAMES = {
    "gradient_reversal": "gradient reversal",
    "maximum_entropy": "maximum entropy",
    "gaussian_noise": "Gaussian noise",
    "gaussian_blur": "Gaussian blur",
    "pixelate": "pixelation",
    "without_identity": "PCA without identity",
    "leace": "LEACE",
    "k_same": "k-same",
}


def named(method: str, setting: float | None = None) -> str:
    """What a figure or a table calls a release."""
    word = NAMES.get(method, method)
    if setting is None or np.isnan(setting) or method == "substitution":  # whose images it shows is no setting
        return word
    return f"{word}, {'λ = ' if method in OURS or method in list(BASELINES)[:2] else ''}{setting:g}"


def pareto(
    table: pd.DataFrame, *, private: str, kept: str, chance: float, source: str, setting: str = "full"
) -> Figure:
    """Worst attacker against utility and against naturalness, a point a release, bars from the least seed to the
    greatest. `table`: `results_audit.over_seeds`; `chance`: of naming the private label blindly."""
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"utility": f"{kept} found by a fresh network", "naturalness": f"{kept} read by a network of raw images"}
    for axis, (column, title) in zip(panels, titles.items(), strict=True):
        for method, style in (OURS | BASELINES).items():
            rows = table[table.method == method].sort_values("setting")
            if len(rows):
                _points(axis, rows, column, joined=method in OURS, label=NAMES.get(method, method), **style)
        axis.axhline(chance, color=COLOURS["chance"], linestyle="--", linewidth=1, label=f"{private}: blind guess")
        axis.set(xlabel=title, ylim=(0, None))
        axis.set_title("better: right and down ↘", loc="right", fontsize=8, color="gray")
        axis.xaxis.set_major_formatter(PercentFormatter(1))
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        axis.grid(alpha=0.3)
    panels[0].set_ylabel(f"{private} named by the best attacker")
    _legend(figure, panels[0], loc="outside lower center", ncols=5)
    figure.suptitle(f"What attackers find and what is kept: {title_suffix(source, setting)}", wrap=True)
    return figure


def _points(axis: Axes, rows: pd.DataFrame, column: str, *, joined: bool, label: str, color: str, marker: str) -> None:
    style = {"color": color, "marker": marker, "linestyle": "-" if joined else "", "linewidth": 1, "markersize": 6}
    ends = _ends(rows.worst_attacker, rows.least, rows.greatest)
    axis.errorbar(rows[column], rows.worst_attacker, yerr=ends, elinewidth=0.7, label=label, **style)
    for row in rows.iloc[[0, -1]].drop_duplicates("setting").itertuples():
        if not np.isnan(row.setting) and row.method != "substitution":
            place, aside = (getattr(row, column), row.worst_attacker), {"textcoords": "offset points", "fontsize": 7}
            halo = [withStroke(linewidth=2, foreground="white")]  # readable across a neighbour's marker
            axis.annotate(f"{row.setting:g}", place, (5, 4), color=color, path_effects=halo, zorder=5, **aside)


def _ends(middle: pd.Series, low: pd.Series, high: pd.Series) -> list[pd.Series]:
    """How far bars reach down and up; a mean of equal values may be off by its last digit, and no bar is negative."""
    return [(middle - low).clip(lower=0), (high - middle).clip(lower=0)]


def _legend(figure: Figure, axis: Axes, **where: object) -> None:
    """Releases first, and then the lines they are compared with."""
    entries = list(zip(*axis.get_legend_handles_labels(), strict=True))
    entries.sort(key=lambda entry: isinstance(entry[0], Line2D))
    figure.legend(*zip(*entries, strict=True), fontsize=8, frameon=False, **where)


def images_held(
    rows: pd.DataFrame, bounds: pd.DataFrame, *, private: str, chance: float, source: str, setting: str = "full"
) -> Figure:
    """The best attacker against how many images of one unknown person it holds; a certificate's bound beside it.

    rows    method, release (its name), m, accuracy, low, high: the best attacker of each
    bounds  release, m, bound; empty where nothing is certified
    """
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axis = figure.subplots()
    for place, ((method, release), mine) in enumerate(rows.groupby(["method", "release"], sort=False)):
        mine, colour = mine.sort_values("m"), OURS.get(method, {}).get("color", COLOURS["kept"])
        ends, aside = _ends(mine.accuracy, mine.low, mine.high), 1.03**place  # so that bars do not hide one another
        style = {"color": colour, "marker": "o", "markersize": 5}
        axis.errorbar(mine.m * aside, mine.accuracy, yerr=ends, capsize=3, label=release, **style)
        certified = bounds[bounds.release == release].sort_values("m")
        if len(certified):
            style, label = {"color": colour, "marker": "D", "linestyle": ":"}, f"{release}: no classifier exceeds"
            axis.plot(certified.m * aside, certified.bound, label=label, **style)
    axis.axhline(chance, color=COLOURS["chance"], linestyle="--", linewidth=1, label="blind guess")
    axis.set(
        xscale="log", xlabel=f"released images of one unknown {private}", ylabel=f"{private} named", ylim=(0, 1.03)
    )
    ticks = sorted(rows.m.unique())
    axis.set_xticks(ticks, labels=map(str, ticks))
    axis.minorticks_off()
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.grid(alpha=0.3)
    _legend(figure, axis, loc="outside right center")
    figure.suptitle(f"Attackers who hold several images: {title_suffix(source, setting)}", fontsize=11, wrap=True)
    return figure


def strips(rows: Mapping[str, np.ndarray], *, source: str, setting: str = "full") -> Figure:
    """The same images as each release shows them, a row each: name to uint8 (K, H, W)."""
    figure = Figure(figsize=(6.5, 0.42 * len(rows) + 0.7), layout="constrained")
    axis = figure.subplots()
    mosaic(axis, list(rows.values()), list(rows))
    axis.set_anchor("W")  # in the middle, long names would begin outside
    title = f"The same images as each release shows them: {title_suffix(source, setting)}"
    figure.suptitle(title, fontsize=10, wrap=True)
    return figure
