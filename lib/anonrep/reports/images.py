"""Figures of images: contact sheets, images through the epochs, images beside their releases."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from anonrep.data.dataset import Dataset
from anonrep.reports.figures import mosaic, title_suffix

GAP = 2  # pixels between images


def contact_sheet(
    *datasets: Dataset,
    attribute: str,
    names: Mapping[str, Sequence[str]] | None = None,
    people: int = 15,
    each: int = 1,
    setting: str = "full",
) -> Figure:
    """A row for each value of `attribute`, a column for each of at most `people` people; empty where there is none.

    names  of the values of `attribute` and of the private label, in their order; without them, the numbers
    each   images in a cell, spread over all images of that person with that value
    """
    first, names = datasets[0], names or {}
    private, everybody = first.provenance["private"], [(data, z) for data in datasets for z in np.unique(data.z)]
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
    mosaic(axis, rows, [_name(names.get(attribute), value) for value in values], GAP, first.ink)
    places = (shape[1] + GAP) * each * (np.arange(len(chosen)) + 0.5)
    axis.set_xticks(places, [_name(names.get(private), everybody[i][1]) for i in chosen])
    axis.set(xlabel=private, ylabel=attribute)
    figure.suptitle(f"Images of each {attribute} and {private}: {title_suffix(first.source, setting)}", wrap=True)
    return figure


def _name(names: Sequence[str] | None, value: int) -> str:
    return str(value) if names is None else names[value]


def strips(
    rows: Mapping[str, np.ndarray], title: str, *, source: str, setting: str = "full", ink: bool = True
) -> Figure:
    """Rows of images under one another: label to uint8 (K, H, W)."""
    widest = max(map(len, rows.values()))
    scale, width = (0.42, max(6.5, 0.42 * widest)) if ink else (0.62, 0.62 * widest + 1.8)
    figure = Figure(figsize=(width, scale * len(rows) + 0.7), layout="constrained")
    axis = figure.subplots()
    mosaic(axis, list(rows.values()), list(rows), GAP, ink)
    axis.set_anchor("W")  # in the middle, long names would begin outside
    figure.suptitle(f"{title}: {title_suffix(source, setting)}", fontsize=10, wrap=True)
    return figure


def epochs(snapshots: np.ndarray, *, source: str, setting: str = "full", columns: int = 12, ink: bool = True) -> Figure:
    """The paper's Fig. 3: images through the epochs of phase (iii). `snapshots`: uint8 (epochs + 1, K, H, W)."""
    chosen = np.unique(np.linspace(0, len(snapshots) - 1, min(columns, len(snapshots))).round().astype(int))
    figure = Figure(figsize=(0.6 * len(chosen) + 0.8, 0.6 * snapshots.shape[1] + 0.8), layout="constrained")
    axis = figure.subplots()
    mosaic(axis, list(snapshots[chosen].swapaxes(0, 1)), [""] * snapshots.shape[1], GAP, ink)
    pitch = snapshots.shape[3] + GAP
    axis.set(xticks=[pitch * (i + 0.5) for i in range(len(chosen))], xticklabels=chosen, xlabel="epoch of phase (iii)")
    figure.suptitle(f"Images by epoch: {title_suffix(source, setting)}", fontsize=9, wrap=True)
    return figure


def couples(
    raw: np.ndarray, released: np.ndarray, *, source: str, setting: str = "full", columns: int = 12, ink: bool = True
) -> Figure:
    """The paper's Fig. 4: images above their releases, uint8 (K, H, W) each, `columns` a row."""
    rows, labels = [], []
    for start in range(0, len(raw), columns):
        rows += [raw[start : start + columns], released[start : start + columns]]
        labels += ["image", "release"]
    figure = Figure(figsize=(0.6 * columns + 1, 0.6 * len(rows) + 0.6), layout="constrained")
    mosaic(figure.subplots(), rows, labels, GAP, ink)
    figure.suptitle(f"Test images and their releases: {title_suffix(source, setting)}", fontsize=9)
    return figure
