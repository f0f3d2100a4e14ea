"""Arrays and numbers of the explorer as HTML text: pictures, tables, and a marker on the curves of Fig. 2."""

import io
from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.transforms import Bbox

from anonrep.reports.explore_data import ALL, Artefacts, Numbers
from anonrep.reports.explore_run import NEIGHBOURS, Run
from anonrep.reports.old_elements import note, slider, table, uri
from anonrep.reports.plots import COLOURS, figure2
from anonrep.stages.old_results import certified, percent, worst

CURVES = {"kept": ("kept", "●"), "private": ("cnn", "■"), "worst": ("worst", "▲"), "bound": ("certified", "◆")}
CHANGES = {"worst": "added", "kept": "taken away"}  # the colours of a difference
AXIS = 0.65  # inches under a panel of Fig. 2 for its ticks and label


def difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What a release does to an image, uint8 (H, W) twice to uint8 (H, W, 3): ink added red, taken away blue.

    White where nothing changes, the full colour where paper became ink or ink paper.
    """
    change = (after.astype(float) - before)[..., None] / 255
    added, taken = (255 * np.array(to_rgb(COLOURS[name])) for name in CHANGES)
    colour = np.where(change > 0, added, taken)
    return (255 + np.abs(change) * (colour - 255)).round().astype(np.uint8)


def _two_lines(name: str) -> str:
    return f"<small>{escape(name).replace(', ', '<br>')}</small>"


def before_and_after(
    found: Artefacts, chosen: Sequence[int], released: np.ndarray | None, lam: float, width: int = 60
) -> str:
    """Images, what becomes of them and the difference, a column each; without a release, the images alone.

    chosen    positions in the data set
    released  uint8 (N, H, W), the whole data set as released
    width     of an image, about, in pixels
    """
    if not chosen:
        return note(f"Among the test images no {found.private} like that has drawn this {found.kept}.")
    images, names = found.data.images, found.names(chosen)
    rows = [("image", [(images[i], name) for i, name in zip(chosen, names, strict=True)])]
    if released is not None:
        after = [(released[i], f"{name}, released at λ = {lam:g}") for i, name in zip(chosen, names, strict=True)]
        changes = [difference(images[i], released[i]) for i in chosen]
        added, taken = (f'<b style="color:{COLOURS[name]}">ink {word}</b>' for name, word in CHANGES.items())
        label = f"difference<br><small>{added}<br>{taken}</small>"
        rows += [(f"released at λ = {lam:g}", after)]
        rows += [(label, [(change, f"{name}, difference") for change, name in zip(changes, names, strict=True)])]
    return table([*rows, ("", [_two_lines(name) for name in names])], width)


def readout(found: Artefacts, before: Numbers, after: Numbers | None, collapsed: str | None) -> str:
    """The numbers of one release beside those of raw images, with the marks of their curves in Fig. 2, and what may be
    said of them: a collapsed run has none and is no evidence of privacy."""
    labels = {
        "kept": f"{found.kept}, fresh CNN (paper)",
        "private": f"{found.private}, fresh CNN (paper)",
        "worst": f"{found.private}, best attacker of the suite",
        "bound": f"{found.private}, certified bound",
        "natural": f"{found.kept}, read by a network trained on raw images",
    }
    columns = {"raw images": before} | ({"released": after} if after else {})
    lines = [("", "", [f"<b>{name}</b>" for name in columns])]
    for field, label in labels.items():
        colour, mark = CURVES.get(field, ("chance", ""))
        swatch = f'<span style="color:{COLOURS[colour]}">{mark}</span>'
        lines.append((swatch, label, [_value(numbers, field) for numbers in columns.values()]))
    top = "vertical-align:top; padding:1px 0 1px"
    number = f'<td style="{top} 14px; text-align:right; white-space:nowrap">{{}}</td>'
    body = ""
    for mark, label, values in lines:
        cells = "".join(map(number.format, values))
        body += f'<tr><td style="{top}">{mark}</td><td style="{top} 4px">{escape(label)}</td>{cells}</tr>'
    return f'<table style="line-height:1.35">{body}</table>{note(verdict(found, after, collapsed))}'


def _value(numbers: Numbers, field: str) -> str:
    value = getattr(numbers, field)
    name = f"<br><small>{escape(str(numbers.attacker))}</small>" if field == "worst" else ""
    return "–" if value is None else percent(value) + name


def lambda_slider(found: Artefacts, variant: str) -> str:
    """A variant's first seed through every lambda: test images, one for each value of what is to be kept, before and
    after, and what was measured. A lambda that collapsed says so and shows no numbers."""
    run, raw = Run(found, variant, found.seeds(variant)[0]), found.numbers("raw")
    chosen, panels = found.choose(ALL, ALL), {}
    for lam in found.lambdas:
        numbers = found.numbers(variant, lam, run.seed) if lam in run.releases else None
        images = before_and_after(found, chosen, run.releases.get(lam), lam, width=40)
        panels[f"{lam:g}"] = images + readout(found, raw, numbers, run.collapsed.get(lam))
    return slider(f"lambda-{variant}", f"{variant}, seed {run.seed}: λ", panels)


def verdict(found: Artefacts, after: Numbers | None, collapsed: str | None) -> str:
    """What may be said of one release, in a sentence or two."""
    blind = f"A blind guess names the {found.private} in {percent(1 / found.data.n_private)}."
    if collapsed:
        return f"This run {collapsed}. It is no evidence of privacy and has no accuracy."
    if after is None:
        return "There is no run at this lambda with this variant and seed."
    if after.bound is None:
        return f"{blind} No certificate: nothing bounds an attacker that was not tried."
    return (
        f"{blind} No classifier of any kind names the {found.private} in more than {percent(after.bound)} of images "
        f"drawn like these, at {percent(1 - after.delta)} confidence."
    )


class Curves:
    """The panel of Fig. 2 of one variant, drawn once, and where its values are: a move only draws marks."""

    def __init__(self, found: Artefacts, variant: str, setting: str) -> None:
        figure = figure2(
            found.accuracy,
            worst(found.accuracy, found.private),
            found.runs,
            {variant: {"raw": found.data.images[:1]}},
            certified(found.certificate.to_dict("records"), found.codes),
            private=found.private,
            kept=found.kept,
            chance=1 / found.data.n_private,
            setting=setting,
        )
        # Without the legend and the strip of images: the readout and the table of pictures say that, and move.
        self.panel, *others = figure.axes
        for axis in others:
            axis.remove()
        width, height = figure.get_size_inches()
        low = height * self.panel.get_position().y0 - AXIS
        with io.BytesIO() as file:
            figure.savefig(file, format="svg", bbox_inches=Bbox.from_extents(0, low, width, height))
            source = uri(file.getvalue(), "svg+xml")
        alt = f"Fig. 2 for {variant}: accuracies on the release against λ"
        self.base = f'<img src="{source}" alt="{alt}" style="width:100%; display:block; background:white">'
        self.size, self.top = (width * figure.dpi, (height - low) * figure.dpi), height * figure.dpi

    def marks(self, lam: float, numbers: Numbers | None) -> str:
        """A line at lambda with a ring at each accuracy; without numbers the line alone. To be laid over `base`."""
        (x, bottom), (_, top) = self._place(lam, 0), self._place(lam, 1)
        shapes = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom:.1f}" y2="{top:.1f}" stroke="black" opacity="0.4"/>'
        for field, (colour, _) in CURVES.items():
            value = numbers and getattr(numbers, field)
            if value is not None:
                x, y = self._place(lam, value)
                style = f'r="8" fill="none" stroke="{COLOURS[colour]}" stroke-width="3"'
                shapes += f'<circle cx="{x:.1f}" cy="{y:.1f}" {style}/>'
        size = "{:.0f} {:.0f}".format(*self.size)
        return f'<svg viewBox="0 0 {size}" style="width:100%; display:block" aria-hidden="true">{shapes}</svg>'

    def _place(self, lam: float, value: float) -> tuple[float, float]:
        """Pixels from the left and from the top."""
        x, y = self.panel.transData.transform((lam, value))
        return x, self.top - y


def beliefs(found: Artefacts, columns: Sequence[tuple[str, np.ndarray, np.ndarray, Numbers]]) -> str:
    """A drawing, what becomes of it at each lambda, whom an attacker takes its author for, and how often that one is
    right. `columns`: heading, uint8 (H, W), `believe`'s shares, the release's numbers."""
    pictures, guesses, right = [], [], []
    for head, image, shares, numbers in columns:
        top = np.argsort(-shares, kind="stable")[:3]
        lines = [f"{person}: {percent(shares[person])}" for person in top if shares[person]]
        pictures.append((image, f"{head}; {found.private} " + ", ".join(lines)))
        guesses.append("<br>".join(f"<small>{line}</small>" for line in lines))
        right.append(percent(numbers.neighbours))
    heads = [f"<small>{head}</small>" for head, *_ in columns]
    label = f"which {found.private}?<br><small>of the {NEIGHBOURS} nearest<br>training images</small>"
    return table([("", heads), ("", pictures), (label, guesses), ("such an attacker<br>is right in", right)])


def walk(
    found: Artefacts, chosen: Sequence[int], frames: Sequence[tuple[float, np.ndarray]], trained: Sequence[float]
) -> str:
    """`Run.walk` as a table: a row an image, a column a step, trained lambdas named."""
    heads = [f"<small>{lam:g}</small>" if lam in trained else "" for lam, _ in frames]
    rows = [
        (_two_lines(name), [(images[row], f"{name} at λ = {lam:.2f}") for lam, images in frames])
        for row, name in enumerate(found.names(chosen))
    ]
    return table([("λ", heads), *rows], width=40)
