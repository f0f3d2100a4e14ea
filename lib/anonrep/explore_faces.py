"""The faces of `notebooks/explore.ipynb`: a slider over who is shown in everybody's place, as HTML text and as widgets.

What is shown is made in `explore_faces_data`. Faces are light, not ink: they are shown as they are.
"""

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
from ipywidgets import HTML, Dropdown, HBox, Layout, SelectionSlider, VBox

from anonrep.codebook import Codebook
from anonrep.dataset import Dataset
from anonrep.explore_data import ALL, UNUSABLE
from anonrep.explore_faces_data import TARGETS, Faces
from anonrep.explore_html import CHANGES, Cell, difference, note, table
from anonrep.ferg_reader import CHARACTERS, EXPRESSIONS
from anonrep.plots import COLOURS
from anonrep.plots_ferg import person
from anonrep.report_ferg import warning
from anonrep.results import percent
from anonrep.results_ferg import with_interval

METHODS = {
    "restricted: the game, without substitution": "restricted",
    "substituted: the target's image nearest to that": "substituted",
    "pixels: the target's image nearest to the raw one": "pixels",
    "finite: one of a few pictures of the target": "finite",
}
WIDTH = 100  # of an image, about, in pixels
LIGHT = ("lighter", "darker")  # what the colours of a difference say, in the order of CHANGES


def light(image: np.ndarray, alt: str) -> Cell:
    """A face for `explore_html.table`: grey uint8 (H, W) as colours, which are not turned into ink on paper."""
    return np.repeat(image[..., None], 3, axis=2), alt


def before_and_after(data: Dataset, chosen: Sequence[int], release: Codebook | str, target: int) -> str:
    """Images, what becomes of them and the difference, a column each; without a release, the images alone.

    chosen   positions in `data`;  release  of the images of `data`, or why there is none
    """
    if not chosen:
        return note("Among the test images nobody like that has this expression.")
    who = [(person(data.z[i]), EXPRESSIONS[data.attributes["expression"][i]]) for i in chosen]
    names, before = [", ".join(pair) for pair in who], data.images[chosen]
    rows = [("image", [light(*cell) for cell in zip(before, names, strict=True)])]
    if isinstance(release, Codebook):
        after, shown = release.images[release.codes[chosen]], f"target {target}, {person(target)}"
        rows.append(("released", [light(*cell) for cell in zip(after, [f"{n}, with {shown}" for n in names], strict=True)]))
        changes = [difference(*pair) for pair in zip(before, after, strict=True)]
        words = [
            f'<b style="color:{COLOURS[colour]}">{word}</b>' for colour, word in zip(CHANGES, LIGHT, strict=True)
        ]
        label = "<br>".join(["difference", *(f"<small>{word}</small>" for word in words)])
        rows.append((label, [(change, f"{n}, difference") for change, n in zip(changes, names, strict=True)]))
    return table([*rows, ("", [f"<small>{'<br>'.join(pair)}</small>" for pair in who])], WIDTH)


def readout(raw: pd.Series, after: pd.Series | None) -> str:
    """The best attackers on one release beside those on raw images, with their intervals; None has no column.

    raw, after   rows of `results_ferg.releases`
    """
    columns = {"raw images": raw} | ({} if after is None else {"released": after})
    lines = [("", [f"<b>{name}</b>" for name in columns])]
    for task in ("identity", "expression"):
        cells = [escape(with_interval(row, task)) for row in columns.values()]
        lines.append((f"{task} found by the best attacker", cells))
    cells = [percent(row.readable) for row in columns.values()]
    return table([*lines, ("expression, read by a network trained on raw images", cells)])


def verdict(split: str, majority: float, certificate: pd.Series | None) -> str:
    """What may be said of one release, in a sentence or two. `certificate`: of the split, where it speaks of this one."""
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


class FacesExplorer(VBox):
    """A slider over the targets: test images before and after, and what was measured on that release."""

    def __init__(self, found: Faces, *, setting: str = "full") -> None:
        self.found, self.setting, wide = found, setting, Layout(width="200px")
        expressions = [(name, i) for i, name in enumerate(EXPRESSIONS)]
        people = [(name, i) for i, name in enumerate(CHARACTERS)]
        self.split = Dropdown(options=found.splits, description="split", layout=wide)
        self.method = Dropdown(
            options=METHODS.items(), value="substituted", description="method", layout=Layout(width="420px")
        )
        self.person = Dropdown(options=[(ALL, ALL), *people], value=ALL, description="person", layout=wide)
        self.expression = Dropdown(
            options=[(ALL, ALL), *expressions], value=expressions[0][1], description="expression", layout=wide
        )
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
        """Show what was chosen, then read that method's other targets, so that a move of the slider reads nothing."""
        self._show()
        try:
            for target in TARGETS:
                self.found.release(self.split.value, self.method.value, target)
        except UNUSABLE:
            pass  # the data set itself, as `_show` has said

    def _show(self, change: object = None) -> None:
        """All that depends on the slider: a move costs this."""
        split, method, target = self.split.value, self.method.value, self.target.value
        self.warning.value = self.readout.value = ""
        try:
            data, chosen = self.found.data(split), self.found.choose(split, self.person.value, self.expression.value)
            release = self.found.release(split, method, target)
        except UNUSABLE as error:
            self.pictures.value = note(str(error))
            return
        ...
