"""Figures: arrays in, Figure out. Nothing here trains or loads."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import matplotlib.ticker
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from anonrep.data.dataset import Dataset
from anonrep.utils.files import replacing

REPRODUCIBLE = {"svg.hashsalt": "anonrep"}  # names inside an SVG are random without it
SOURCE_NAMES = {
    "uci": "UCI pen-digits",
    "unknown": "pen strokes of unknown origin, not UCI's file",
    "ferg": "FERG-DB",
    "synthetic": "synthetic, not the real data",
    "own": "own images",
}


def source_name(source: str) -> str:
    """What a figure's title calls the data; synthetic data is named in plain words."""
    return SOURCE_NAMES.get(source, source)


def title_suffix(source: str, setting: str = "full") -> str:
    """What every title ends with, so that neither synthetic data nor a small setting passes as the real thing."""
    return f"{source_name(source)}" + ("" if setting == "full" else f", {setting.upper()} SETTING, not the results")


def save(figure: Figure, path: str | Path) -> None:
    """Write `path`.svg and `path`.png; the same figure gives the same bytes."""
    with matplotlib.rc_context(REPRODUCIBLE):
        for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
            with replacing(f"{path}.{kind}") as temporary:
                figure.savefig(temporary, format=kind, metadata=metadata, dpi=150)


def svg(figure: Figure) -> str:
    """The figure as SVG text; the same figure gives the same text."""
    with matplotlib.rc_context(REPRODUCIBLE), io.StringIO() as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
        return file.getvalue()


def mosaic(axis: Axes, rows: Sequence[np.ndarray], labels: Sequence[str], gap: int = 2, ink: bool = True) -> None:
    """Rows of images, uint8 (K, H, W) each, as one picture with a label at each row, on white paper.

    `ink`: 255 is black ink on that paper; else it is light (`Dataset.ink`).
    """
    height, width = rows[0].shape[1:]
    paper = np.full((len(rows) * (height + gap), max(map(len, rows)) * (width + gap)), 0 if ink else 255, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            top, left = i * (height + gap), j * (width + gap)
            paper[top : top + height, left : left + width] = image
    axis.imshow(255 - paper if ink else paper, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axis.set(xticks=[], yticks=[(height + gap) * (i + 0.5) - gap / 2 for i in range(len(rows))], yticklabels=labels)
    axis.tick_params(length=0, labelsize=8)
    axis.spines[:].set_visible(False)


def contact_sheet(dataset: Dataset, *, attribute: str = "digit", columns: int = 15, setting: str = "full") -> Figure:
    """One row for each value of `attribute`, one column for each of `columns` people spread over all of them.

    Each cell is that person's first image with that value in the data set's order; empty where there is none.
    Ink is black on white, as on paper.
    """
    rows = np.unique(dataset.attributes[attribute])
    people = np.unique(dataset.z)
    people = people[np.linspace(0, len(people) - 1, min(columns, len(people))).round().astype(int)]
    figure = Figure(figsize=(0.5 * len(people) + 0.9, 0.5 * len(rows) + 1.1), layout="constrained")
    axes = figure.subplots(len(rows), len(people), squeeze=False)
    for row, value in zip(axes, rows, strict=True):
        for axis, person in zip(row, people, strict=True):
            found = np.flatnonzero((dataset.attributes[attribute] == value) & (dataset.z == person))
            if len(found):
                axis.imshow(255 - dataset.images[found[0]], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        row[0].set_ylabel(str(value), rotation=0, labelpad=10, va="center")
    for axis, person in zip(axes[-1], people, strict=True):
        axis.set_xlabel(str(person))
    figure.suptitle(f"One image for each {attribute} and person: {title_suffix(dataset.source, setting)}")
    figure.supxlabel("private label z")
    figure.supylabel(attribute)
    return figure


COLOURS = {  # Okabe and Ito, 2008
    "kept": "#0072b2",
    "cnn": "#e69f00",
    "worst": "#d55e00",
    "certified": "#009e73",
    "chance": "#000000",
}


def figure2(
    accuracy: pd.DataFrame,
    worst: pd.DataFrame,
    runs: pd.DataFrame,
    strips: Mapping[str, Mapping[str, np.ndarray]],
    certificate: pd.DataFrame | None = None,
    *,
    private: str,
    kept: str,
    chance: float,
    setting: str = "full",
) -> Figure:
    """The paper's Fig. 2, a panel for each variant, and under it the same images for each lambda.

    accuracy     rows variant, lam, seed, task, attacker, accuracy; "raw" is a variant without lambda
    worst        the rows of the attacker that did best on the private task, for each variant, lambda and seed
    runs         rows variant, lam, seed, collapsed: a collapsed run is a cross at the top, never a point of a curve
    strips       variant to {label: uint8 (K, H, W)}, a row of images each
    certificate  rows variant, lam, seed, bound: what no classifier exceeds; a variant without rows has no such curve
    chance       accuracy of a blind guess at the private label
    """
    most = max(map(len, strips.values()))
    heights = [4, 1.1, 0.42 * most]  # inches: curves, legend, strips
    width, total = 4.9 * len(strips) + 0.4, sum(heights) + 1
    # Fixed places: a legend that spans all panels is more than the layout engines can weigh.
    figure = Figure(figsize=(width, total))
    grid = figure.add_gridspec(3, len(strips), height_ratios=heights, hspace=0, wspace=0.18)
    grid.update(left=0.8 / width, right=1 - 0.15 / width, top=1 - 0.8 / total, bottom=0.2 / total)
    panels = []
    for column, (variant, rows) in enumerate(strips.items()):
        axis = figure.add_subplot(grid[0, column])
        _trade_off_panel(axis, accuracy, worst, certificate, variant, private, kept, chance)
        lost = runs[(runs.variant == variant) & runs.collapsed.notna()]
        axis.plot(lost.lam, np.full(len(lost), 1.02), "x", color="black", clip_on=False, label="_collapsed run")
        axis.set(title=variant, ylabel="accuracy on the released images" if column == 0 else "")
        blank = [np.zeros_like(rows["raw"])] * (most - len(rows))
        mosaic(figure.add_subplot(grid[2, column]), [*rows.values(), *blank], [*rows, *[""] * len(blank)])
        panels.append(axis)
    key = _trade_off_key(panels, private, collapsed=runs.collapsed.notna().any())
    keys = figure.add_subplot(grid[1, :])
    keys.axis("off")
    keys.legend(key.values(), key.keys(), loc="lower center", ncols=3, fontsize=8, frameon=False)
    title = f"What fresh attackers read from the release against λ: {title_suffix(accuracy.source.iloc[0], setting)}"
    figure.suptitle(title, y=1 - 0.15 / total, wrap=True)
    return figure


def _trade_off_panel(axis: Axes, accuracy, worst, certificate, variant: str, private: str, kept: str, chance: float):
    cnn = accuracy[accuracy.attacker == "cnn"]
    curves = [
        (f"{kept}: fresh CNN (paper)", cnn[cnn.task == kept], COLOURS["kept"], "o"),
        (f"{private}: fresh CNN (paper)", cnn[cnn.task == private], COLOURS["cnn"], "s"),
        (f"{private}: best attacker of the suite", worst, COLOURS["worst"], "^"),
    ]
    if certificate is not None:
        bound = certificate.rename(columns={"bound": "accuracy"})
        curves.append((f"{private}: certified bound, any classifier", bound, COLOURS["certified"], "D"))
    for label, rows, colour, marker in curves:
        here, raw = rows[rows.variant == variant].astype({"lam": float}), rows[rows.variant == "raw"]
        if len(here):
            # The band is from the smallest to the largest seed: nothing random in it.
            style = {"color": colour, "marker": marker, "markersize": 5, "errorbar": ("pi", 100), "legend": False}
            sns.lineplot(here, x="lam", y="accuracy", ax=axis, label=label, **style)
        if len(raw):
            axis.axhline(raw.accuracy.mean(), color=colour, linestyle=":", linewidth=1, label=f"_{label}, raw images")
    axis.axhline(chance, color=COLOURS["chance"], linestyle="--", linewidth=1, label="_blind guess")
    axis.set(xlabel="λ, the weight of privacy", ylabel="", ylim=(0, 1.02))
    axis.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=0))
    axis.grid(alpha=0.3)


def _trade_off_key(panels: Sequence[Axes], private: str, collapsed: bool) -> dict[str, Line2D]:
    """One entry for each curve of any panel, then the lines that are there for each of them or for none."""
    key = {}
    for axis in panels:
        key |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    key["the same on raw images, in its colour"] = Line2D([], [], color="grey", linestyle=":", linewidth=1)
    key[f"{private}: blind guess"] = Line2D([], [], color=COLOURS["chance"], linestyle="--", linewidth=1)
    if collapsed:
        key["collapsed run"] = Line2D([], [], color="black", marker="x", linestyle="")
    return key


PLAYERS = {
    "discriminator": "discriminator (13)",
    "fool": "autoencoder: fool",
    "private": "private classifier (14)",
    "objective": "objective (15)",
}


def players(histories: Mapping[str, pd.DataFrame], *, chance: float, source: str, setting: str = "full") -> Figure:
    """What each player minimises through the epochs, in nats, a panel for each history (rows epoch, then PLAYERS).

    chance: log |Z|, where the private classifier's loss (14) and the objective (15) meet when it knows nothing.
    """
    figure = Figure(figsize=(5.2 * len(histories), 3.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(histories), sharey=True))
    for axis, (name, history) in zip(panels, histories.items(), strict=True):
        long = history.rename(columns=PLAYERS).melt("epoch", list(PLAYERS.values()), "player", "nats")
        sns.lineplot(long, x="epoch", y="nats", hue="player", errorbar=("pi", 100), palette="colorblind", ax=axis)
        axis.axhline(chance, color="black", linestyle="--", linewidth=1)
        axis.axhline(np.log(2), color="grey", linestyle=":", linewidth=1)
        axis.set_title(name)
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    figure.suptitle(f"The game by epoch: {title_suffix(source, setting)}", fontsize=10, wrap=True)
    return figure


def epochs_strip(
    snapshots: np.ndarray, *, source: str, setting: str = "full", columns: int = 12, ink: bool = True
) -> Figure:
    """The paper's Fig. 3: rows of images as phase (iii) goes on. `snapshots`: uint8 (epochs + 1, K, H, W)."""
    chosen = np.unique(np.linspace(0, len(snapshots) - 1, min(columns, len(snapshots))).round().astype(int))
    figure = Figure(figsize=(0.6 * len(chosen) + 0.8, 0.6 * snapshots.shape[1] + 0.8), layout="constrained")
    axis = figure.subplots()
    mosaic(axis, list(snapshots[chosen].swapaxes(0, 1)), [""] * snapshots.shape[1], ink=ink)
    pitch = snapshots.shape[3] + 2
    axis.set(xticks=[pitch * (i + 0.5) for i in range(len(chosen))], xticklabels=chosen, xlabel="epoch of phase (iii)")
    figure.suptitle(f"From image to released image: {title_suffix(source, setting)}", fontsize=9, wrap=True)
    return figure


def couples(
    raw: np.ndarray, released: np.ndarray, *, source: str, setting: str = "full", columns: int = 12, ink: bool = True
) -> Figure:
    """The paper's Fig. 4: images above their releases, uint8 (K, H, W) each, K a multiple of `columns`."""
    rows, labels = [], []
    for start in range(0, len(raw), columns):
        rows += [raw[start : start + columns], released[start : start + columns]]
        labels += ["image", "release"]
    figure = Figure(figsize=(0.6 * columns + 1, 0.6 * len(rows) + 0.6), layout="constrained")
    mosaic(figure.subplots(), rows, labels, ink=ink)
    figure.suptitle(f"Test images and what is released: {title_suffix(source, setting)}", fontsize=9)
    return figure
