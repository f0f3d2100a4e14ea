"""Widgets of `notebooks/explore.ipynb`: the lambda slider, the walk, a sheet to draw on.

What they show is made in `explore_data` and `explore_run` (numbers, arrays) and `explore_html` (text); here it is only
put in its place.
"""

from pathlib import Path

import anywidget
import traitlets
from ipywidgets import HTML, Button, Dropdown, GridBox, HBox, Layout, SelectionSlider, VBox

from anonrep.reports import explore_html as html
from anonrep.reports.explore_data import ALL, Artefacts, Missing, Numbers
from anonrep.reports.explore_run import Run, drawing
from anonrep.reports.plots import title_suffix

FILES = Path(__file__).parent / "templates" / "explore"
UNUSABLE = (Missing, ValueError)  # not there, or damaged: both say what to do


class Explorer(VBox):
    """A slider over the trained lambdas: images before and after, what was measured, and where that is in Fig. 2.

    `run` is the variant and seed that were chosen, None where their releases are missing; `chosen` the images shown, as
    positions in the data set. Other widgets observe both.
    """

    run = traitlets.Instance(Run, allow_none=True)
    chosen = traitlets.List()

    def __init__(self, found: Artefacts, variant: str, *, setting: str = "full") -> None:
        self.found, self.setting, self.curves, self.raw = found, setting, {}, found.numbers("raw")
        width, wrap = Layout(width="200px"), Layout(flex_flow="row wrap")
        first = variant if variant in found.variants else found.variants[0]
        self.variant = Dropdown(options=found.variants, value=first, description="variant", layout=width)
        self.seed = Dropdown(options=found.seeds(first), description="seed", layout=width)
        people = [ALL, *range(found.data.n_private)]
        self.person = Dropdown(options=people, value=0, description=found.private, layout=width)
        self.kept = Dropdown(options=[ALL, *found.values], description=found.kept, layout=width)
        self.lam = SelectionSlider(
            options=[(f"{lam:g}", lam) for lam in found.lambdas], description="λ", layout=Layout(width="600px")
        )
        self.pictures, self.readout = HTML(), HTML(layout=Layout(width="400px"))
        # Both in one place of a grid: the marks lie over the curves, which are sent once.
        self.base, self.marks = (HTML(layout=Layout(grid_area="1 / 1", margin="0")) for _ in range(2))
        panel = GridBox([self.base, self.marks], layout=Layout(width="420px"))
        choice = HBox([self.variant, self.seed, self.person, self.kept], layout=wrap)
        super().__init__([choice, self.lam, self.pictures, HBox([self.readout, panel], layout=wrap)])
        self.variant.observe(self._set_variant, "value")
        self.seed.observe(self._set_run, "value")
        self.person.observe(self._set_images, "value")
        self.kept.observe(self._set_images, "value")
        self.lam.observe(self._show, "value")
        self._set_run()
        self._set_images()

    def numbers(self, lam: float) -> Numbers | None:
        """What was measured on the chosen run at `lam`; None where it has no release."""
        run = self.run
        return self.found.numbers(run.variant, lam, run.seed) if lam in run.releases else None

    def title(self) -> str:
        """Which run is shown, of which data, at which setting, and where it collapsed."""
        run, suffix = self.run, title_suffix(self.found.data.source, self.setting)
        lost = ", ".join(f"{lam:g}" for lam in run.collapsed)
        return f"{run.variant}, seed {run.seed}: {suffix}" + (f". Collapsed and left out: λ = {lost}" if lost else "")

    def _set_variant(self, change: object = None) -> None:
        self.seed.options = self.found.seeds(self.variant.value)  # where that changes the seed, the run is set already
        self._set_run()

    def _set_run(self, change: object = None) -> None:
        variant, seed = self.variant.value, self.seed.value
        if self.run and (self.run.variant, self.run.seed) == (variant, seed):
            return
        if variant not in self.curves:
            self.curves[variant] = html.Curves(self.found, variant, self.setting)
        try:
            self.run = Run(self.found, variant, seed)
        except UNUSABLE as error:
            self.run = None
            self.pictures.value = html.note(str(error))
        self._show()

    def _set_images(self, change: object = None) -> None:
        self.chosen = self.found.choose(self.person.value, self.kept.value)
        self._show()

    def _show(self, change: object = None) -> None:
        """All that depends on the slider: a move costs this."""
        if self.run is None:
            self.readout.value = self.base.value = self.marks.value = ""
            return
        lam, curves = self.lam.value, self.curves[self.run.variant]
        numbers = self.numbers(lam)
        self.pictures.value = html.before_and_after(self.found, self.chosen, self.run.releases.get(lam), lam)
        self.readout.value = html.readout(self.found, self.raw, numbers, self.run.collapsed.get(lam))
        self.base.value, self.marks.value = curves.base, curves.marks(lam, numbers)


class Walk(HTML):
    """The explorer's images on their way from the least lambda to the greatest (`explore_run.Run.walk`)."""

    def __init__(self, explorer: Explorer) -> None:
        super().__init__()
        self.explorer = explorer
        explorer.observe(self._show, ["run", "chosen"])
        self._show()

    def _show(self, change: object = None) -> None:
        found, run, chosen = self.explorer.found, self.explorer.run, self.explorer.chosen
        if run is None or not chosen:
            self.value = ""
            return
        try:
            frames = run.walk(found.data.images[chosen])
        except UNUSABLE as error:
            self.value = html.note(str(error))
            return
        self.value = html.note(self.explorer.title()) + html.walk(found, chosen, frames, list(run.releases))


class Sheet(anywidget.AnyWidget):
    """A sheet to draw on; `strokes` are lists of [x, y], whole numbers from 0 to 500, y upwards."""

    _esm = FILES / "pad.js"
    _css = FILES / "pad.css"
    strokes = traitlets.List().tag(sync=True)


class Pad(VBox):
    """A sheet to draw on, and what every lambda of the explorer's run makes of the drawing.

    The drawing is rendered as the data is. Whom an attacker takes its author for: `explore_run.believe`.
    """

    def __init__(self, explorer: Explorer) -> None:
        self.explorer, self.sheet, self.answer = explorer, Sheet(), HTML()
        self.clear = Button(description="clear", layout=Layout(width="202px"))
        super().__init__([self.sheet, self.clear, self.answer])
        self.clear.on_click(lambda _: self.sheet.set_trait("strokes", []))
        self.sheet.observe(self._show, "strokes")
        explorer.observe(self._show, "run")
        self._show()

    def _show(self, change: object = None) -> None:
        explorer, run = self.explorer, self.explorer.run
        if run is None or not self.sheet.strokes:
            self.answer.value = html.note(f"Draw a {explorer.found.kept} above.")
            return
        image = drawing(self.sheet.strokes, explorer.found.data.provenance)
        try:
            redrawn = run.redraw(image)
        except UNUSABLE as error:
            self.answer.value = html.note(str(error))
            return
        columns = [("raw", image, run.believe(image), explorer.raw)]
        for lam, picture in redrawn.items():
            columns.append((f"λ = {lam:g}", picture, run.believe(picture, lam), explorer.numbers(lam)))
        self.answer.value = html.note(explorer.title()) + html.beliefs(explorer.found, columns)
