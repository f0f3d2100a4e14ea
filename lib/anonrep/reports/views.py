"""Images before and after a release, with what was measured on it, as elements of a page: one view for every axis.

The axis is "setting" (lambda) or "target" (the person who is shown in everybody's place).
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from anonrep.data.dataset import Dataset
from anonrep.reports import elements, fig2, tables, words
from anonrep.reports.artefacts import Artefacts
from anonrep.reports.figures import COLOURS, named, title_suffix
from anonrep.reports.tables import at
from anonrep.stages.results import Results
from anonrep.utils.text import at_most, percent

MARKS = {  # columns of `Artefacts.numbers` to curves of Fig. 2 and their signs
    "utility_cnn": ("utility", "●"),
    "private_cnn": ("cnn", "■"),
    "private": ("best", "▲"),
    "bound": ("bound", "◆"),
}
ADDED, TAKEN = COLOURS["best"], COLOURS["utility"]  # the colours of a difference


def difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The change of an image, uint8 (H, W) twice to uint8 (H, W, 3): where values grow red, where they fall blue.

    White where nothing changes, the full colour where 0 became 255 or 255 became 0.
    """
    change = (after.astype(float) - before)[..., None] / 255
    added, taken = (255 * np.array(to_rgb(colour)) for colour in (ADDED, TAKEN))
    return (255 + np.abs(change) * (np.where(change > 0, added, taken) - 255)).round().astype(np.uint8)


def value_name(axis: str, value: float, private: str) -> str:
    """A stop of the slider: "λ = 4" or "target 6, nobody"."""
    return f"λ = {value:g}" if axis == "setting" else f"target {value:g}, {named(private, value)}"


def pictures(data: Dataset, images: np.ndarray, names: Sequence[str], what: str = "", width: int = 60) -> list[Markup]:
    """Image elements, about `width` pixels wide: uint8 (K, H, W), or (K, H, W, 3) in colour, with their names."""
    width = max(width, data.images.shape[2])
    pairs = zip(images, names, strict=True)
    return [elements.picture(image, f"{name}{what}", width, ink=data.ink) for image, name in pairs]


def under(names: Sequence[str]) -> tuple[str, list[Markup]]:
    """A row of names, for below the images."""
    return "", [elements.lines(name.split(", "), small=True) for name in names]


def before_and_after(found: Artefacts, split: str, chosen: Sequence[int], run: pd.Series | None, label: str) -> Markup:
    """Images, their release and the difference, a column each; without a run, the images alone.

    chosen  positions in the data set;  label  of the stop of the slider
    """
    data = found.data(split)
    if not chosen:
        return elements.note(f"No test image shows this {data.private} with this {data.utility}.")
    names, before = found.called(split, chosen), data.images[chosen]
    rows = [("image", pictures(data, before, names))]
    if run is not None:
        after = found.images(run, chosen)
        grows, falls = ("ink added", "ink taken away") if data.ink else ("lighter", "darker")
        changed = ["difference", elements.coloured(grows, ADDED), elements.coloured(falls, TAKEN)]
        changes = np.stack([difference(*pair) for pair in zip(before, after, strict=True)])
        rows.append(("released", pictures(data, after, names, f", released with {label}")))
        rows.append((elements.lines(changed), pictures(data, changes, names, ", difference")))
    return elements.table([*rows, under(names)])


def readout(found: Artefacts, split: str, run: pd.Series | None, collapsed: str | None) -> Markup:
    """The numbers of one run beside those of raw images, with the marks of their curves in Fig. 2, and a sentence."""
    private, utility = found.results.private, found.results.to_keep
    after = None if collapsed or run is None else found.numbers(run, split)
    columns = {"raw images": found.numbers(None, split)} | ({"released": after} if after else {})
    labels = {
        "private_cnn": f"{private}: fresh CNN (paper)",
        "private": f"{private}: best attacker",
        "bound": f"{private}: certified bound",
        "private_reader": f"{private}: network trained on raw images",
        "utility_cnn": f"{utility}: fresh CNN (paper)",
        "utility": f"{utility}: best attacker",
        "utility_reader": f"{utility}: network trained on raw images",
    }
    rows = [("", [elements.lines([name], bold=True) for name in columns])]
    for field, label in labels.items():
        cells = [_value(numbers, field) for numbers in columns.values()]
        if any(cell != "–" for cell in cells):
            name, mark = MARKS.get(field, ("", ""))
            swatch = elements.coloured(mark, fig2.CURVES[name][0]) if mark else ""
            rows.append((label, [*cells, swatch]))
    return elements.table(rows, gap=8) + elements.note(words.explored(found.results, after, split, collapsed))


def _value(numbers: Mapping | None, field: str) -> str:
    value = None if numbers is None else numbers[field]
    if field in ("private", "utility") and value is not None and not pd.isna(value):
        return elements.lines([percent(value), numbers[f"{field}_attacker"]])
    return at_most(value) if field == "bound" else percent(value)


def slider(found: Artefacts, split: str, axis: str, methods: Sequence[str], setting: str) -> Markup:
    """A slider without a script over an axis: test images as each of `methods` releases them, and numbers.

    The first seed of each. A run that collapsed says so and shows no image and no number.
    """
    results, data, table, panels = found.results, found.data(split), tables.releases(found.results), {}
    chosen, rows, caption = found.choose(split), at(found.index, split=split), tables.caption(data.source, setting)
    names = found.called(split, chosen)
    raw = _numbers(at(table, split=split, method="raw"), "raw images", results)
    for value in sorted(rows[rows.method.isin(methods)][axis].dropna().unique()):
        stop, lines = (
            value_name(axis, value, data.private),
            [(raw, pictures(data, data.images[chosen], names, width=40))],
        )
        for method in methods:
            mine = at(rows, method=method)
            # A method without this axis, as the standard one without a target, is the same at every stop.
            mine = mine[(mine[axis] == value) | mine[axis].isna()]
            for _, run in mine[mine.seed == mine.seed.min()].iterrows():
                if isinstance(run.collapsed, str):
                    lines.append((method, ["collapsed"]))
                    continue
                key = {"split": split, "method": method, "setting": run.setting, "target": run.target}
                shown = pictures(data, found.images(run, chosen), names, f", {method}, {stop}", width=40)
                lines.append((_numbers(at(table, **key), method, results), shown))
        panels[stop.removeprefix("λ = ").removeprefix("target ")] = elements.table([*lines, under(names)], caption)
    label = "λ:" if axis == "setting" else "the target, shown in everybody's place:"
    return elements.slider(f"{axis}-{split}-{methods[0]}", label, panels)


def _numbers(rows: pd.DataFrame, what: str, results: Results) -> Markup:
    """A row's label: what it shows and, as far as it was measured, what the best attackers find in it."""
    tasks = {results.private: "private", results.to_keep: "utility"}
    found = [f"{task} {percent(row[name])}" for _, row in rows.iterrows() for task, name in tasks.items()]
    bound = [f"certified {at_most(row.bound)}" for _, row in rows.iterrows() if not pd.isna(row.bound)]
    return elements.lines([what, *found, *bound])


class Curves:
    """The panel of Fig. 2 of one method, drawn once, and the places of its values: a move only draws marks."""

    def __init__(self, found: Artefacts, split: str, method: str, setting: str) -> None:
        results, figure = found.results, Figure(figsize=(5.4, 4.4), layout="constrained")
        self.panel = figure.subplots()
        fig2.panel(self.panel, fig2.curves(results, split), method, chance=tables.chance(results, split))
        self.panel.set_title(f"{method}: {title_suffix(results.source, setting)}", fontsize=9, wrap=True)
        with io.BytesIO() as file:
            figure.savefig(file, format="svg")
            source = elements.uri(file.getvalue(), "svg+xml")
        self.size = figure.get_size_inches() * figure.dpi
        self.base = elements.drawing(source, f"Fig. 2 for {method}: accuracies on the release against λ")

    def marks(self, lam: float, numbers: Mapping | None) -> Markup:
        """A line at lambda with a ring at each accuracy; without numbers the line alone. To be laid over `base`."""
        (x, bottom), (_, top) = self._place(lam, 0), self._place(lam, 1)
        values = {name: numbers[field] for field, (name, _) in MARKS.items()} if numbers else {}
        rings = [
            (*self._place(lam, value), fig2.CURVES[name][0]) for name, value in values.items() if not pd.isna(value)
        ]
        return elements.marks(*(round(side) for side in self.size), x, bottom, top, rings)

    def _place(self, lam: float, value: float) -> tuple[float, float]:
        """Pixels from the left and from the top."""
        x, y = self.panel.transData.transform((lam, value))
        return round(x, 1), round(self.size[1] - y, 1)
