"""Figures: arrays in, Figure out. Nothing here trains or loads."""

import numpy as np
from matplotlib.figure import Figure

from anonrep.dataset import Dataset

SOURCE_NAMES = {"uci": "UCI pen-digits", "standin": "synthetic stand-in, not the real data"}


def source_name(source: str) -> str:
    """What a figure's title calls the data; a stand-in is named in plain words."""
    return SOURCE_NAMES.get(source, source)


def contact_sheet(dataset: Dataset, *, attribute: str = "digit", columns: int = 15) -> Figure:
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
    figure.suptitle(f"One image for each {attribute} and person: {source_name(dataset.source)}")
    figure.supxlabel("private label z")
    figure.supylabel(attribute)
    return figure
