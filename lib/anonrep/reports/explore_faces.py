"""The faces of `notebooks/explore.ipynb`: a slider over who is shown in everybody's place, as HTML text and as widgets.

What is shown is made in `explore_faces_data`. Faces are light, not ink: they are shown as they are.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import count

import pandas as pd
from ipywidgets import HTML, Dropdown, HBox, Layout, SelectionSlider, VBox

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.data.ferg_reader import CHARACTERS, EXPRESSIONS
from anonrep.reports.explore import UNUSABLE
from anonrep.reports.explore_data import ALL
from anonrep.reports.explore_faces_data import TARGETS, Faces
from anonrep.reports.explore_html import CHANGES, difference
from anonrep.reports.old_elements import light, note, table
from anonrep.reports.plots import COLOURS
from anonrep.reports.plots_ferg import person
from anonrep.reports.report_ferg import warning
from anonrep.stages.old_results import percent
from anonrep.stages.results_ferg import with_interval

METHODS = {
    "restricted: the game, without substitution": "restricted",
    "substituted: the target's image nearest to that": "substituted",
    "pixels: the target's image nearest to the raw one": "pixels",
    "finite: one of a few pictures of the target": "finite",
}
WIDTH = 100  # of an image, about, in pixels
LIGHT = ("lighter", "darker")  # what the colours of a difference say, in the order of CHANGES


def before_and_after(data: Dataset, chosen: Sequence[int], release: Codebook | str, target: int) -> str:
    """Images, what becomes of them and the difference, a column each; without a release, the images and why.

    chosen   positions in `data`;  release  of the images of `data`, or why there is none
    """
    if not chosen:
        return note("Among the test images nobody like that has this expression.")
    who = [(person(data.z[i]), EXPRESSIONS[data.attributes["expression"][i]]) for i in chosen]
    names, before = [", ".join(pair) for pair in who], data.images[chosen]
    rows = [("image", [light(*cell) for cell in zip(before, names, strict=True)])]
    if isinstance(release, Codebook):
        after = release.images[release.codes[chosen]]
        shown = [f"{name}, released with target {target}, {person(target)}" for name in names]
        rows.append(("released", [light(*cell) for cell in zip(after, shown, strict=True)]))
        cells = zip(before, after, names, strict=True)
        rows.append((_changes(), [(difference(x, y), f"{name}, difference") for x, y, name in cells]))
    shown = table([*rows, ("", [f"<small>{'<br>'.join(pair)}</small>" for pair in who])], WIDTH)
    return shown + (note(release) if isinstance(release, str) else "")


def _changes() -> str:
    words = [f'<b style="color:{COLOURS[name]}">{word}</b>' for name, word in zip(CHANGES, LIGHT, strict=True)]
    return f"difference<br><small>{'<br>'.join(words)}</small>"


def readout(columns: Mapping[str, pd.Series]) -> str:
    """The best attackers on each release with their intervals: heading to row of `results_ferg.releases`."""
    lines = [("", [f"<b>{name}</b>" for name in columns])]
    for task in ("identity", "expression"):
        cells = [escape(with_interval(row, task)) for row in columns.values()]
        lines.append((f"{task}, found by the best attacker", cells))
    cells = [percent(row.readable) for row in columns.values()]
    lines.append(("expression, read by a network<br>trained on raw images", cells))
    apart = '<span style="padding:0 8px">{}</span>'
    return table([(label, [apart.format(cell) for cell in cells]) for label, cells in lines])


def verdict(split: str, majority: float, certificate: pd.Series | None) -> str:
    """What may be said of one release. `certificate`: the split's, where it is about this release."""
    blind = f"Naming the commonest person for every image is right in {percent(majority)}."
    if certificate is None:
        return f"{blind} No certificate: nothing bounds an attacker that was not tried."
    bound, draws = certificate.bound, f"{certificate.n:g} test frames"
    if split != "random":
        bound, draws = certificate.clip_bound, f"{certificate.clips:g} test clips"
    return (
        f"{blind} No classifier of any kind names the person in more than {percent(bound)} of images drawn like these, "
        f"at 95.0 % confidence, the {draws} taken as independent draws."
    )


def measured(found: Faces, split: str, method: str, target: int, *, released: bool) -> str:
    """`readout` and `verdict`; of what was not released there is nothing to say beside raw images."""
    columns = {"raw images": found.numbers(split, "raw")}
    if released:
        columns["released"] = found.numbers(split, method, target)
    shown = readout({name: row for name, row in columns.items() if row is not None})
    if not released:
        return shown
    return shown + note(verdict(split, found.majority(split), found.bound(split) if method == "finite" else None))


class FacesExplorer(VBox):
    """A slider over the targets: test images before and after, and what was measured on that release."""

    def __init__(self, found: Faces, *, setting: str = "full") -> None:
        self.found, self.setting, wide = found, setting, Layout(width="200px")
        people, expressions = ([(ALL, ALL), *zip(names, count())] for names in (CHARACTERS, EXPRESSIONS))
        self.split = Dropdown(options=found.splits, description="split", layout=wide)
        methods = {"options": METHODS, "value": "substituted", "layout": Layout(width="420px")}
        self.method = Dropdown(description="method", **methods)
        self.person = Dropdown(options=people, value=ALL, description="person", layout=wide)
        self.expression = Dropdown(options=expressions, value=0, description="expression", layout=wide)
        # Every target, though a small setting has one: a slider needs more than one stop.
        self.target = SelectionSlider(
            options=[(f"{target} {person(target)}", target) for target in TARGETS],
            value=next(iter(found.targets), 0),
            description="target",
            layout=Layout(width="600px"),
        )
        self.warning, self.pictures, self.readout = HTML(), HTML(), HTML()
        choice = HBox([self.split, self.method, self.person, self.expression], layout=Layout(flex_flow="row wrap"))
        super().__init__([self.warning, choice, self.target, self.pictures, self.readout])
        self.add_class("anonrep-faces")
        for widget in (self.split, self.method):
            widget.observe(self._set_release, "value")
        for widget in (self.person, self.expression, self.target):
            widget.observe(self._show, "value")
        self._set_release()

    def _set_release(self, change: object = None) -> None:
        """Show what was chosen, then read its other targets, so that a move of the slider waits for no file."""
        self._show()
        self.found.read(self.split.value, self.method.value)

    def _show(self, change: object = None) -> None:
        """All that depends on the slider: a move costs this."""
        self.warning.value, self.pictures.value, self.readout.value = self._shown()

    def _shown(self) -> tuple[str, str, str]:
        found, split, method, target = self.found, self.split.value, self.method.value, self.target.value
        try:
            data, chosen = found.data(split), found.choose(split, self.person.value, self.expression.value)
            release = found.release(split, method, target)
        except UNUSABLE as error:
            return "", note(str(error)), ""
        try:
            numbers = measured(found, split, method, target, released=isinstance(release, Codebook))
        except UNUSABLE as error:
            numbers = note(str(error))
        said = warning(data.source, self.setting).replace("**", "").replace("> ", "")
        return note(said) if said else "", before_and_after(data, chosen, release, target), numbers
