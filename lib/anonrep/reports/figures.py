"""What all figures share: colours, titles, files, and how a notebook shows them. Nothing here trains or loads."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import SVG, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from anonrep.utils.files import replacing

REPRODUCIBLE = {"svg.hashsalt": "anonrep"}  # names inside an SVG are random without it
COLOURS = {  # Okabe and Ito, 2008
    "utility": "#0072b2",
    "cnn": "#e69f00",
    "best": "#d55e00",
    "certified": "#009e73",
    "chance": "#000000",
}
SYNTHETIC = ("standin", "synthetic")  # sources whose images a program drew
SOURCE_NAMES = {
    "uci": "UCI pen-digits",
    "unknown": "pen strokes of unknown origin, not UCI's file",
    "ferg": "FERG-DB",
    "own": "own images",
} | dict.fromkeys(SYNTHETIC, "synthetic data, not the real images")
PERCENT = FuncFormatter(lambda value, _: f"{100 * value:g}%")


def source_name(source: str) -> str:
    """The name of the data in titles; synthetic data is called synthetic."""
    return SOURCE_NAMES.get(source, source)


def title_suffix(source: str, setting: str = "full") -> str:
    """The end of every title. It says where the images come from and whether the setting is a small one."""
    return source_name(source) + ("" if setting == "full" else f", {setting.upper()} SETTING, not the results")


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


def show(figure: Figure | str | Path, alt: str, caption: str = "") -> None:
    """Display a figure, or a saved SVG, with a text for people who cannot see it and a caption below it."""
    image = SVG(svg(figure)) if isinstance(figure, Figure) else SVG(filename=str(figure))
    display(image, metadata={"image/svg+xml": {"alt": alt, "caption": caption}})


def percent_axes(*axes: Axes, x: bool = True, y: bool = True) -> None:
    """Ticks in percent."""
    for axis in axes:
        for wanted, one in ((x, axis.xaxis), (y, axis.yaxis)):
            if wanted:
                one.set_major_formatter(PERCENT)


def mosaic(axis: Axes, rows: Sequence[np.ndarray], labels: Sequence[str], gap: int = 2, ink: bool = True) -> None:
    """Rows of images, uint8 (K, H, W) each, as one image with a label at each row, on white paper.

    `ink`: 255 is black ink on that paper; otherwise it is light (`Dataset.ink`).
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


PLAYERS = {
    "discriminator": "discriminator (13)",
    "fool": "autoencoder: fool",
    "private": "private classifier (14)",
    "objective": "objective (15)",
}


def players(histories: Mapping[str, pd.DataFrame], *, chance: float, source: str, setting: str = "full") -> Figure:
    """The players' losses by epoch, in nats, a panel for each history (columns epoch and those of PLAYERS).

    chance: log |Z|, where the private classifier's loss (14) and the objective (15) meet when it knows nothing.
    """
    renamed = {name: history.rename(columns=PLAYERS) for name, history in histories.items()}
    figure = _curves(renamed, "epoch", list(PLAYERS.values()), f"The game by epoch: {title_suffix(source, setting)}")
    for axis in figure.axes:
        axis.axhline(chance, color="black", linestyle="--", linewidth=1)
        axis.axhline(np.log(2), color="grey", linestyle=":", linewidth=1)
    return figure


def terms(history: pd.DataFrame, *, source: str, setting: str = "full") -> Figure:
    """The terms of the finite release's objective by step, in nats, a panel for each number of codes.

    history: rows codes, seed, restart, step, price (lambda so far), and a column for each term (`finite.train`).
    """
    columns = [name for name in history if name not in ("codes", "seed", "restart", "step", "price")]
    groups = {f"{codes} codes at the start": rows for codes, rows in history.groupby("codes")}
    return _curves(groups, "step", columns, f"The objective by step: {title_suffix(source, setting)}")


def _curves(histories: Mapping[str, pd.DataFrame], x: str, columns: Sequence[str], title: str) -> Figure:
    """A line for each column; its band reaches from the smallest to the largest value, so that nothing is random."""
    figure = Figure(figsize=(5.2 * len(histories), 3.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(histories), sharey=True))
    for axis, (name, history) in zip(panels, histories.items(), strict=True):
        long = history.melt(x, columns, "curve", "nats")
        sns.lineplot(long, x=x, y="nats", hue="curve", errorbar=("pi", 100), palette="colorblind", ax=axis)
        axis.set_title(name)
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    figure.suptitle(title, fontsize=10, wrap=True)
    return figure
