"""Widgets of `notebooks/explore.ipynb`: a slider over lambda or over the target, the walk, a sheet to draw on.

What they show is made in `artefacts` and `redraw` (numbers, arrays) and `views` (elements).
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import anywidget
import numpy as np
import pandas as pd
import traitlets
from ipywidgets import HTML, Button, Dropdown, GridBox, HBox, Layout, SelectionSlider, VBox

from anonrep.reports import elements
from anonrep.reports.artefacts import ALL, Artefacts, Missing
from anonrep.reports.figures import NAMES, named, title_suffix
from anonrep.reports.redraw import NEIGHBOURS, Redrawer, drawing
from anonrep.reports.tables import at
from anonrep.reports.views import Curves, before_and_after, readout, value_name
from anonrep.utils.text import percent

FILES = Path(__file__).parent / "templates" / "explore"
UNUSABLE = (Missing, ValueError)  # not there, or damaged: both say what to do


class Explorer(VBox):
    """A slider over one axis of the releases: "setting" (lambda) or "target".

    `redrawer` has the method and seed that were chosen on the axis of lambda, and `chosen` the images shown, as
    positions in the data set. Other widgets observe both.
    """

    redrawer = traitlets.Instance(Redrawer, allow_none=True)
    chosen = traitlets.List()

    def __init__(self, found: Artefacts, axis: str, methods: Mapping[str, str], *, setting: str = "full") -> None:
        """`methods`: what each is called in the menu, to its name; the first is shown first."""
        self.found, self.axis, self.setting, self.curves = found, axis, setting, {}
        split, narrow, wrap = found.splits[0], Layout(width="200px"), Layout(flex_flow="row wrap")
        data, table = found.data(split), found.index[found.index.method.isin(list(methods.values()))]
        private, utility = data.private, data.utility
        shown = {label: method for label, method in methods.items() if method in set(table.method)}
        self.split = Dropdown(options=found.splits, description="split", layout=narrow)
        self.method = Dropdown(options=shown, description="method", layout=Layout(width="420px"))
        self.seed = Dropdown(options=self._seeds(), description="seed", layout=narrow)
        people = [(named(private, z), z) for z in range(data.n_private)]
        values = [(named(utility, value), value) for value in found.values(split)]
        first = 0 if axis == "setting" else ALL
        self.person = Dropdown(options=[(ALL, ALL), *people], value=first, description=private, layout=narrow)
        self.value = Dropdown(options=[(ALL, ALL), *values], value=ALL, description=utility, layout=narrow)
        there = stops = sorted(table[axis].dropna().unique().tolist())
        if len(there) == 1 and axis == "target":  # as at a small setting; a slider needs two stops
            stops = [float(target) for target in range(len(NAMES[private]))]
        self.slider = SelectionSlider(
            options=[(value_name(axis, value, private), value) for value in stops],
            value=there[0],
            description="λ" if axis == "setting" else axis,
            layout=Layout(width="600px"),
        )
        self.pictures, self.readout = HTML(), HTML(layout=Layout(width="460px"))
        # Both in one place of a grid: the marks lie over the curves, which are sent once.
        self.base, self.marks = (HTML(layout=Layout(grid_area="1 / 1", margin="0")) for _ in range(2))
        choice = [self.split] * (len(found.splits) > 1) + [self.method, self.seed, self.person, self.value]
        panel = [GridBox([self.base, self.marks], layout=Layout(width="420px"))] * (axis == "setting")
        super().__init__(
            [HBox(choice, layout=wrap), self.slider, self.pictures, HBox([self.readout, *panel], layout=wrap)]
        )
        self.add_class(f"anonrep-{axis}")
        self.method.observe(self._set_seeds, "value")
        for widget in (self.split, self.method, self.seed):
            widget.observe(self._set_run, "value")
        for widget in (self.split, self.person, self.value):
            widget.observe(self._set_images, "value")
        self.slider.observe(self._show, "value")
        self._set_run()
        self._set_images()

    def _seeds(self) -> list[int]:
        return sorted(at(self.found.index, method=self.method.value).seed.unique().tolist())

    def _set_seeds(self, change: object = None) -> None:
        self.seed.options = self._seeds()

    def _set_run(self, change: object = None) -> None:
        split, method, seed = self.split.value, self.method.value, self.seed.value
        if self.axis == "setting":
            if method not in self.curves:
                self.curves[method] = Curves(self.found, split, method, self.setting)
            self.redrawer = Redrawer(self.found, split, method, seed)
        self._show()
        # Afterwards the other stops, so that a move of the slider waits for no file.
        for _, run in at(self.found.index, split=split, method=method, seed=seed, collapsed=None).iterrows():
            with suppress(*UNUSABLE):
                self.found.images(run, [])

    def _set_images(self, change: object = None) -> None:
        self.chosen = self.found.choose(self.split.value, self.person.value, self.value.value)
        self._show()

    @property
    def run(self) -> pd.Series | None:
        """The row of `Artefacts.index` that is shown, whether or not it collapsed; None where there is none."""
        key = {"split": self.split.value, self.axis: self.slider.value}
        run = self.found.run(survived=False, method=self.method.value, seed=self.seed.value, **key)
        if run is None and self.axis == "target":  # nothing is made out of a game that collapsed: show the game
            lost = at(self.found.index, **key)
            run = next((row for _, row in lost[lost.collapsed.notna()].iterrows()), None)
        return run

    @property
    def title(self) -> str:
        """The run that is shown, of which data, at which setting."""
        suffix = title_suffix(self.found.data(self.split.value).source, self.setting)
        return f"{self.method.value}, seed {self.seed.value}: {suffix}"

    def _show(self, change: object = None) -> None:
        """All that depends on the slider: a move costs this."""
        found, split, run = self.found, self.split.value, self.run
        lost = run.collapsed if run is not None and isinstance(run.collapsed, str) else None
        label = value_name(self.axis, self.slider.value, found.data(split).private)
        shown = elements.note(self.title)
        try:
            shown += before_and_after(found, split, self.chosen, None if lost else run, label)
        except UNUSABLE as error:
            shown += elements.note(str(error))
        self.pictures.value = shown
        self.readout.value = readout(found, split, run, lost)
        if self.axis == "setting":
            curves = self.curves[self.method.value]
            numbers = None if lost or run is None else found.numbers(run, split)
            self.base.value, self.marks.value = curves.base, curves.marks(self.slider.value, numbers)


class Walk(HTML):
    """The explorer's images on their way from the least lambda to the greatest (`Redrawer.walk`)."""

    def __init__(self, explorer: Explorer) -> None:
        super().__init__()
        self.explorer = explorer
        explorer.observe(self._show, ["redrawer", "chosen"])
        self._show()

    def _show(self, change: object = None) -> None:
        explorer, chosen = self.explorer, self.explorer.chosen
        found, split, redrawer = explorer.found, explorer.split.value, explorer.redrawer
        if not chosen:
            self.value = ""
            return
        try:
            frames = redrawer.walk(found.data(split).images[chosen])
        except UNUSABLE as error:
            self.value = elements.note(str(error))
            return
        rows = [("λ", [elements.lines([f"{lam:g}" if lam in redrawer.runs else ""], small=True) for lam, _ in frames])]
        for place, name in enumerate(found.called(split, chosen)):
            cells = [elements.picture(images[place], f"{name} at λ = {lam:.2f}", 40) for lam, images in frames]
            rows.append((elements.lines(name.split(", "), small=True), cells))
        self.value = elements.note(explorer.title) + elements.table(rows)


class Sheet(anywidget.AnyWidget):
    """A sheet to draw on; `strokes` are lists of [x, y], whole numbers from 0 to 500, y upwards."""

    _esm = FILES / "pad.js"
    _css = FILES / "pad.css"
    strokes = traitlets.List().tag(sync=True)


class Pad(VBox):
    """A sheet to draw on, and what every lambda of the explorer's method and seed makes of the drawing.

    The drawing is rendered as the data is. Whom an attacker takes its author for: `redraw.believe`.
    """

    def __init__(self, explorer: Explorer) -> None:
        self.explorer, self.sheet, self.answer = explorer, Sheet(), HTML()
        self.clear = Button(description="clear", layout=Layout(width="202px"))
        super().__init__([self.sheet, self.clear, self.answer])
        self.clear.on_click(lambda _: self.sheet.set_trait("strokes", []))
        self.sheet.observe(self._show, "strokes")
        explorer.observe(self._show, "redrawer")
        self._show()

    def _show(self, change: object = None) -> None:
        explorer, redrawer = self.explorer, self.explorer.redrawer
        found, split = explorer.found, explorer.split.value
        private = found.data(split).private
        if not self.sheet.strokes:
            self.answer.value = elements.note(f"Draw a {found.data(split).utility} above.")
            return
        image = drawing(self.sheet.strokes, found.data(split).provenance)
        try:
            redrawn = redrawer.redraw(image)
        except UNUSABLE as error:
            self.answer.value = elements.note(str(error))
            return
        columns = [("raw", image, redrawer.believe(image), found.numbers(None, split))]
        for lam, after in redrawn.items():
            numbers = found.numbers(redrawer.runs[lam], split)
            columns.append((f"λ = {lam:g}", after, redrawer.believe(after, lam), numbers))
        heads, pictures, guesses, right = [], [], [], []
        for head, after, shares, numbers in columns:
            top = [person for person in np.argsort(-shares, kind="stable")[:3] if shares[person]]
            lines = [f"{named(private, person)}: {percent(shares[person])}" for person in top]
            heads.append(elements.lines([head], small=True))
            pictures.append(elements.picture(after, f"{head}; {private} {', '.join(lines)}"))
            guesses.append(elements.lines(lines, small=True))
            right.append(percent(numbers and numbers["neighbours"]))
        asked = elements.lines([f"which {private}?", f"of the {NEIGHBOURS} nearest", "training images"])
        answer = [("", heads), ("", pictures), (asked, guesses), ("such an attacker is right in", right)]
        self.answer.value = elements.note(explorer.title) + elements.table(answer)
