"""What all figures share: colours, titles, files, and how a notebook shows them. Nothing here trains or loads."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from IPython.display import SVG, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from anonrep.data.dataset import Dataset
from anonrep.data.ferg_reader import CHARACTERS, EXPRESSIONS
from anonrep.utils.files import replacing

REPRODUCIBLE = {"svg.hashsalt": "anonrep"}  # names inside an SVG are random without it
COLOURS = {  # Okabe and Ito, 2008
    "utility": "#0072b2",
    "cnn": "#e69f00",
    "best": "#d55e00",
    "certified": "#009e73",
    "chance": "#000000",
}
SOURCE_NAMES = {
    "uci": "UCI pen-digits",
    "unknown": "pen strokes of unknown origin, not UCI's file",
    "ferg": "FERG-DB",
    "synthetic": "synthetic data, not the real images",
    "own": "own images",
}
NAMES = {"identity": (*CHARACTERS, "nobody"), "expression": EXPRESSIONS}  # of values; others are numbers
GAP = 2  # pixels between images
PERCENT = FuncFormatter(lambda value, _: f"{100 * value:g}%")
OURS = {  # our methods: a line joins the lambdas of a method; colours of Okabe and Ito, 2008, as in Fig. 2
    "faithful": {"color": "#999999", "marker": "o"},
    "stabilised": {"color": COLOURS["best"], "marker": "s"},
    "finite": {"color": COLOURS["certified"], "marker": "D"},
}
BASELINES = {  # other ways to hide the person
    "stabilised-reversal": {"color": "#cc79a7", "marker": "v"},
    "stabilised-kl": {"color": "#cc79a7", "marker": "^"},
    "faithful-reversal": {"color": "#999999", "marker": "v"},
    "faithful-kl": {"color": "#999999", "marker": "^"},
    "gaussian_noise": {"color": COLOURS["utility"], "marker": "P"},
    "gaussian_blur": {"color": COLOURS["utility"], "marker": "X"},
    "pixelate": {"color": COLOURS["utility"], "marker": "p"},
    "without_identity": {"color": "#56b4e9", "marker": "<"},
    "leace": {"color": "#56b4e9", "marker": ">"},
    "k_same": {"color": COLOURS["cnn"], "marker": "*"},
    "substitution": {"color": "black", "marker": "d"},
}
FACES = {  # the methods on faces
    "raw": {"color": "black", "marker": "*"},
    "standard": {"color": COLOURS["cnn"], "marker": "s"},
    "standard, no anchor": {"color": "#cc79a7", "marker": "s"},
    "restricted": {"color": COLOURS["cnn"], "marker": "v"},
    "restricted, no match": {"color": "#cc79a7", "marker": "v"},
    "pixels": {"color": COLOURS["utility"], "marker": "P"},
    "substituted": {"color": COLOURS["best"], "marker": "o"},
    "substituted, no match": {"color": "#cc79a7", "marker": "o"},
    "finite": {"color": COLOURS["certified"], "marker": "D"},
    "finite, own runs": {"color": "#56b4e9", "marker": "D"},
}
PAPER = {  # Table 1 of the paper, on FERG-DB: target to identity and expression, after substitution
    0: (0.4247, 0.7245),
    2: (0.3825, 0.7746),
    3: (0.3621, 0.7232),
    4: (0.3277, 0.6679),
    5: (0.3162, 0.7295),
}
WORDS = {
    "stabilised-reversal": "stabilised, gradient reversal",
    "stabilised-kl": "stabilised, divergence",
    "faithful-reversal": "faithful, gradient reversal",
    "faithful-kl": "faithful, divergence",
    "faithful-printed-sign": "faithful, printed sign",
    "gaussian_noise": "Gaussian noise",
    "gaussian_blur": "Gaussian blur",
    "pixelate": "pixelation",
    "without_identity": "PCA without identity",
    "leace": "LEACE",
    "k_same": "k-same",
}
RIVALS = tuple(name for name in WORDS if name.startswith(("faithful-", "stabilised-")))  # other terms in the same games
LAMBDA = (*OURS, *RIVALS)  # methods whose setting is lambda


def source_name(source: str) -> str:
    """The name of the data in titles; synthetic data is called synthetic."""
    return SOURCE_NAMES.get(source, source)


def synthetic(source: str) -> bool:
    """Whether a program drew the images."""
    return source == "synthetic"


def title_suffix(source: str, setting: str = "full") -> str:
    """The end of every title. It says where the images come from and whether the setting is a small one."""
    return source_name(source) + ("" if setting == "full" else f", {setting.upper()} SETTING, not the results")


def named(task: str, value: float) -> str:
    """The name of a value of a task: "anger", or the number itself."""
    return NAMES[task][int(value)] if task in NAMES else f"{value:g}"


def release_name(method: str, setting: float | None = None) -> str:
    """The name of a release in figures and tables: "stabilised, λ = 4"."""
    word = WORDS.get(method, method)
    if setting is None or np.isnan(setting) or method == "substitution":  # whose images it shows is no setting
        return word
    return f"{word}, {'λ = ' if method in LAMBDA else ''}{setting:g}"


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


def show(figure: Figure | str | Path, alt: str, caption: str = "", file: str | Path | None = None) -> None:
    """Display a figure, or a saved SVG, with a text for people who cannot see it and a caption below it.

    file  where to `save` the figure as well
    """
    if file is not None:
        save(figure, file)
    image = SVG(svg(figure)) if isinstance(figure, Figure) else SVG(filename=str(figure))
    display(image, metadata={"image/svg+xml": {"alt": alt, "caption": caption}})


def percent_axes(*axes: Axes, x: bool = True, y: bool = True) -> None:
    """Ticks in percent."""
    for axis in axes:
        for wanted, one in ((x, axis.xaxis), (y, axis.yaxis)):
            if wanted:
                one.set_major_formatter(PERCENT)


def mosaic(axis: Axes, rows: Sequence[np.ndarray], labels: Sequence[str], *, gap: int = GAP, ink: bool = True) -> None:
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


def contact_sheet(
    *datasets: Dataset,
    attribute: str | None = None,
    people: int = 15,
    each: int = 1,
    setting: str = "full",
) -> Figure:
    """A row for each value of `attribute`, a column for each of at most `people` people; empty where there is none.

    attribute  None: what the data set's releases should keep (`Dataset.utility`)
    each       images in a cell, spread over all images of that person with that value
    """
    first = datasets[0]
    attribute, everybody = attribute or first.utility, [(data, z) for data in datasets for z in np.unique(data.z)]
    chosen = np.linspace(0, len(everybody) - 1, min(people, len(everybody))).round().astype(int)
    values, shape = np.unique(first.attributes[attribute]), first.images.shape[1:]
    rows = []
    for value in values:
        row = np.full((len(chosen) * each, *shape), 0 if first.ink else 255, np.uint8)
        for column, (data, z) in enumerate(everybody[i] for i in chosen):
            found = np.flatnonzero((data.attributes[attribute] == value) & (data.z == z))
            if len(found):
                row[column * each : (column + 1) * each] = data.images[
                    found[(2 * np.arange(each) + 1) * len(found) // (2 * each)]
                ]
        rows.append(row)
    scale = 0.5 if each == 1 else 0.75
    figure = Figure(figsize=(scale * len(rows[0]) + 1.2, scale * len(rows) + 1.1), layout="constrained")
    axis = figure.subplots()
    mosaic(axis, rows, [named(attribute, value) for value in values], ink=first.ink)
    places = (shape[1] + GAP) * each * (np.arange(len(chosen)) + 0.5)
    axis.set_xticks(places, [named(first.private, everybody[i][1]) for i in chosen])
    axis.set(xlabel=first.private, ylabel=attribute)
    figure.suptitle(f"Images of each {attribute} and {first.private}: {title_suffix(first.source, setting)}", wrap=True)
    return figure


def strips(
    rows: Mapping[str, np.ndarray], title: str, *, source: str, setting: str = "full", ink: bool = True
) -> Figure:
    """Rows of images under one another: label to uint8 (K, H, W)."""
    widest = max(map(len, rows.values()))
    scale, width = (0.42, max(6.5, 0.42 * widest)) if ink else (0.62, 0.62 * widest + 1.8)
    figure = Figure(figsize=(width, scale * len(rows) + 0.7), layout="constrained")
    axis = figure.subplots()
    mosaic(axis, list(rows.values()), list(rows), ink=ink)
    axis.set_anchor("W")  # in the middle, long names would begin outside
    figure.suptitle(f"{title}: {title_suffix(source, setting)}", fontsize=10, wrap=True)
    return figure


def epochs_strip(
    snapshots: np.ndarray, *, source: str, setting: str = "full", columns: int = 12, ink: bool = True
) -> Figure:
    """The paper's Fig. 3: images through the epochs of phase (iii). `snapshots`: uint8 (epochs + 1, K, H, W)."""
    chosen = np.unique(np.linspace(0, len(snapshots) - 1, min(columns, len(snapshots))).round().astype(int))
    figure = Figure(figsize=(0.6 * len(chosen) + 0.8, 0.6 * snapshots.shape[1] + 0.8), layout="constrained")
    axis = figure.subplots()
    mosaic(axis, list(snapshots[chosen].swapaxes(0, 1)), [""] * snapshots.shape[1], ink=ink)
    pitch = snapshots.shape[3] + GAP
    axis.set(xticks=[pitch * (i + 0.5) for i in range(len(chosen))], xticklabels=chosen, xlabel="epoch of phase (iii)")
    figure.suptitle(f"Images by epoch: {title_suffix(source, setting)}", fontsize=9, wrap=True)
    return figure


def couples(
    raw: np.ndarray,
    *released: np.ndarray,
    names: Sequence[str] = ("release",),
    source: str,
    setting: str = "full",
    columns: int = 12,
    ink: bool = True,
) -> Figure:
    """The paper's Fig. 4: images above their releases, uint8 (K, H, W) each, `columns` a row; `names` of releases."""
    rows, labels = [], []
    for start in range(0, len(raw), columns):
        rows += [images[start : start + columns] for images in (raw, *released)]
        labels += ["image", *names]
    figure = Figure(figsize=(0.6 * columns + 1.2, 0.6 * len(rows) + 0.6), layout="constrained")
    mosaic(figure.subplots(), rows, labels, ink=ink)
    figure.suptitle(f"Test images and their releases: {title_suffix(source, setting)}", fontsize=9)
    return figure


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
    import seaborn as sns  # here, because with SciPy's statistics it costs each stage that draws a second

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


def codebook(
    images: np.ndarray,
    counts: np.ndarray,
    usage: np.ndarray,
    *,
    private: str,
    source: str,
    setting: str = "full",
    title: str = "The codewords of the release",
    ink: bool = True,
) -> Figure:
    """The codewords side by side, how many images become each, and how much each person uses it.

    images  uint8 (K, H, W), in the order they are to be shown (`codebook.ordered`)
    counts  whole numbers (K,), how many images become each codeword
    usage   float (K, |Z|), shares as `codebook.usage` gives them: a person's column sums to 1

    If the codewords told nothing about the person, every row of the heat map would look like the bars.
    """
    import seaborn as sns

    people = usage.shape[1]
    # Fixed places, in inches: a codeword, its bar and its column of the heat map stand exactly under one another.
    cell = float(np.clip(9 / len(images), 0.2, 0.9))  # from 10 to 45 codewords the figure is equally wide
    wide, tall, high = cell * len(images), max(1.2, 0.11 * people), cell * images.shape[1] / images.shape[2]
    width, height = max(wide + 2.2, 6), tall + high + 2.4
    figure, left = Figure(figsize=(width, height)), (width - wide - 0.2) / 2

    def panel(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, y / height, w / width, h / height))

    words = panel(left, tall + 1.7, wide, high)
    mosaic(words, [images], [""], ink=ink)
    # Each codeword in the middle of its column; `mosaic` leaves the gap on the right.
    words.set(xlim=(-0.5 - GAP / 2, words.get_xlim()[1] - GAP / 2), aspect="auto")
    # A number fits above each of the wider bars.
    _bars(panel(left, tall + 0.65, wide, 0.9), counts / max(1, np.sum(counts)), numbers=cell > 0.35)
    heat, key = panel(left, 0.5, wide, tall), panel(left + wide + 0.1, 0.5, 0.15, tall)
    colours = sns.light_palette(COLOURS["utility"], as_cmap=True)
    field = heat.imshow(usage.T, aspect="auto", cmap=colours, vmin=0, interpolation="nearest")
    heat.set(xticks=[], yticks=range(0, people, max(1, round(people / 6))), ylabel=f"{private} z")
    figure.colorbar(field, cax=key, format=PERCENT, label=f"share of the {private}'s images")
    note = f"If the codewords told nothing about the {private}, every row would look like the bars."
    figure.text(0.5, 0.15 / height, note, ha="center", fontsize=8)
    figure.suptitle(f"{title}:\n{title_suffix(source, setting)}", y=1 - 0.1 / height, fontsize=10)
    return figure


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
