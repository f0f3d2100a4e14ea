"""The paper's Fig. 2: what fresh attackers read from releases against lambda."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from anonrep.reports import tables
from anonrep.reports.figures import COLOURS, mosaic, percent_axes, title_suffix
from anonrep.reports.tables import at
from anonrep.stages.results import Results, best_attackers

CURVES = {  # name to colour and marker
    "utility": (COLOURS["utility"], "o"),
    "cnn": (COLOURS["cnn"], "s"),
    "best": (COLOURS["best"], "^"),
    "bound": (COLOURS["certified"], "D"),
}


def curves(results: Results, split: str) -> dict[str, tuple[str, pd.DataFrame]]:
    """The four curves, as name to label and rows method, setting, seed, accuracy.

    The best attacker of a release has the largest mean over the seeds that it was trained on, so that an attacker of
    the first seed alone counts too.
    """
    private, utility = results.private, results.to_keep
    mine, kept = (at(results.attackers(task), split=split) for task in (private, utility))
    bound = tables.first_codes(results).rename(columns={"bound": "accuracy"})
    return {
        "utility": (f"{utility}: fresh CNN (paper)", kept[kept.attacker == "cnn"]),
        "cnn": (f"{private}: fresh CNN (paper)", mine[mine.attacker == "cnn"]),
        "best": (f"{private}: best attacker", best_attackers(mine)),
        "bound": (f"{private}: certified bound for every classifier", at(bound, split=split, m=1)),
    }


def panel(axis: Axes, found: Mapping[str, tuple[str, pd.DataFrame]], method: str, *, chance: float) -> None:
    """The curves of one method against lambda, with the same attackers on raw images and chance as lines."""
    for name, (label, rows) in found.items():
        colour, marker = CURVES[name]
        here, raw = rows[rows.method == method].astype({"setting": float}), rows[rows.method == "raw"]
        if len(here):
            # The band is from the smallest to the largest seed: nothing random in it.
            style = {"color": colour, "marker": marker, "markersize": 5, "errorbar": ("pi", 100), "legend": False}
            sns.lineplot(here, x="setting", y="accuracy", ax=axis, label=label, **style)
        if len(raw):
            axis.axhline(raw.accuracy.mean(), color=colour, linestyle=":", linewidth=1, label=f"_{label}, raw images")
    axis.axhline(chance, color=COLOURS["chance"], linestyle="--", linewidth=1, label="_chance")
    axis.set(xlabel="λ, the weight of privacy", ylabel="", ylim=(0, 1.02))
    percent_axes(axis, x=False)
    axis.grid(alpha=0.3)


def figure2(
    results: Results, strips: Mapping[str, Mapping[str, np.ndarray]], split: str, setting: str = "full"
) -> Figure:
    """A panel for each method, and below it the same images for each lambda.

    strips: method to {label: uint8 (K, H, W)}, a row of images each; "raw" is one of the labels. A collapsed run is a
    cross at the top and never a point of a curve.
    """
    most, found, chance = max(map(len, strips.values())), curves(results, split), tables.chance(results, split)
    private, runs = results.private, at(results.runs, split=split)
    heights = [4, 1.1, 0.42 * most]  # inches: curves, legend, strips
    width, total = 4.9 * len(strips) + 0.4, sum(heights) + 1
    # Fixed places: a legend that spans all panels is more than the layout engines can weigh.
    figure = Figure(figsize=(width, total))
    grid = figure.add_gridspec(3, len(strips), height_ratios=heights, hspace=0, wspace=0.18)
    grid.update(left=0.8 / width, right=1 - 0.15 / width, top=1 - 0.8 / total, bottom=0.2 / total)
    panels = []
    for column, (method, rows) in enumerate(strips.items()):
        axis = figure.add_subplot(grid[0, column])
        panel(axis, found, method, chance=chance)
        lost = runs[(runs.method == method) & runs.collapsed.notna()]
        axis.plot(lost.setting, np.full(len(lost), 1.02), "x", color="black", clip_on=False, label="_collapsed run")
        axis.set(title=method, ylabel="accuracy on released images" if column == 0 else "")
        blank = [np.zeros_like(rows["raw"])] * (most - len(rows))
        mosaic(figure.add_subplot(grid[2, column]), [*rows.values(), *blank], [*rows, *[""] * len(blank)])
        panels.append(axis)
    key = _key(panels, private, collapsed=runs[runs.method.isin(list(strips))].collapsed.notna().any())
    keys = figure.add_subplot(grid[1, :])
    keys.axis("off")
    keys.legend(key.values(), key.keys(), loc="lower center", ncols=3, fontsize=8, frameon=False)
    title = f"Accuracy of fresh attackers against λ: {title_suffix(results.source, setting)}"
    figure.suptitle(title, y=1 - 0.15 / total, wrap=True)
    return figure


def _key(panels: Sequence[Axes], private: str, collapsed: bool) -> dict[str, Line2D]:
    """One entry for each curve of any panel, then the lines that are in every panel."""
    key = {}
    for axis in panels:
        key |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    key["the same on raw images, in its colour"] = Line2D([], [], color="grey", linestyle=":", linewidth=1)
    key[f"{private}: chance"] = Line2D([], [], color=COLOURS["chance"], linestyle="--", linewidth=1)
    if collapsed:
        key["collapsed run"] = Line2D([], [], color="black", marker="x", linestyle="")
    return key
