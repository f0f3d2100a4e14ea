"""Figures of the faces: arrays and rows in, Figure out."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from anonrep.data.dataset import Dataset
from anonrep.data.ferg_reader import CHARACTERS, EXPRESSIONS
from anonrep.reports.plots import COLOURS, mosaic, title_suffix
from anonrep.stages.results_ferg import PAPER

STYLES = {
    "raw": {"color": "black", "marker": "*"},
    "standard": {"color": COLOURS["cnn"], "marker": "s"},
    "restricted": {"color": COLOURS["cnn"], "marker": "v"},
    "pixels": {"color": COLOURS["kept"], "marker": "P"},
    "substituted": {"color": COLOURS["worst"], "marker": "o"},
    "finite": {"color": COLOURS["certified"], "marker": "D"},
}


def person(target: int) -> str:
    """The name of a character, or what stands for nobody."""
    return CHARACTERS[target] if target < len(CHARACTERS) else "nobody"


def sheet(data: Dataset, artificial: Dataset | None = None, *, setting: str = "full") -> Figure:
    """Two images for each character (rows; last the artificial one) and expression (columns), from different clips."""
    rows, labels = [], []
    for one in (data, artificial) if artificial is not None else (data,):
        for z in np.unique(one.z):
            cells = [
                np.flatnonzero((one.z == z) & (one.attributes["expression"] == e)) for e in range(len(EXPRESSIONS))
            ]
            blank = np.full((2, *one.images.shape[1:]), 255, np.uint8)
            pairs = [one.images[cell[[len(cell) // 4, 3 * len(cell) // 4]]] if len(cell) else blank for cell in cells]
            rows.append(np.concatenate(pairs))
            labels.append(person(z))
    figure = Figure(figsize=(11, 0.8 * len(rows) + 0.8), layout="constrained")
    axis = figure.subplots()
    mosaic(axis, rows, labels, ink=False)
    pitch = data.images.shape[2] + 2
    axis.set(xticks=[pitch * (2 * i + 1) for i in range(len(EXPRESSIONS))], xticklabels=EXPRESSIONS)
    figure.suptitle(f"Two images of each character and expression: {title_suffix(data.source, setting)}")
    return figure


def rows_of_images(rows: Mapping[str, np.ndarray], title: str, *, source: str, setting: str = "full") -> Figure:
    """The same test images as each release shows them: label to uint8 (K, H, W)."""
    width = max(map(len, rows.values()))
    figure = Figure(figsize=(0.62 * width + 1.8, 0.62 * len(rows) + 0.7), layout="constrained")
    mosaic(figure.subplots(), list(rows.values()), list(rows), ink=False)
    figure.suptitle(f"{title}: {title_suffix(source, setting)}", fontsize=10, wrap=True)
    return figure


def table1(
    table: pd.DataFrame, certificate: pd.DataFrame, majority: Mapping[str, float], *, source: str, setting: str = "full"
) -> Figure:
    """Identity against expression, a panel a split, a point a method and target: right and down is better.

    table        `results_ferg.releases`: the best attacker of each release
    certificate  `results_ferg.certificates`: what no classifier exceeds, as lines
    majority     split to the accuracy of a blind guess at the identity

    The paper's points are of FERG-DB and a network alone.
    """
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(majority), sharey=True))
    for axis, (split, chance) in zip(panels, majority.items(), strict=True):
        mine = table[table.split == split]
        for method, style in STYLES.items():
            points = mine[mine.method == method]
            if len(points):
                axis.scatter(points.expression, points.identity, **style, s=50, alpha=0.85, label=method)
            if method in ("substituted", "finite"):
                for row in points.itertuples():
                    place = (row.expression, row.identity)
                    axis.annotate(f"{row.target:g}", place, textcoords="offset points", xytext=(5, 4), fontsize=8)
        if split == "random":
            identity, expression = np.array(list(PAPER.values())).T
            axis.scatter(expression, identity, marker="x", color="grey", label="paper, Table 1 (FERG-DB)")
        axis.axhline(chance, color=COLOURS["chance"], linestyle="--", linewidth=1, label="majority")
        for row in certificate[certificate.split == split].itertuples():
            bound = row.bound if split == "random" else row.clip_bound
            axis.axhline(bound, color=COLOURS["certified"], linewidth=1, label="finite: certified, any classifier")
        axis.set(title=f"split: {split}", xlabel="expression found by the best attacker")
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.grid(alpha=0.3)
    panels[0].set_ylabel("identity found by the best attacker")
    key = {}
    for axis in panels:
        key |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(key.values(), key.keys(), loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    figure.suptitle(f"Identity against expression, numbers are targets: {title_suffix(source, setting)}")
    return figure
