"""What the report on faces says in words and tables: every number comes from the rows it is handed."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.data.ferg_reader import EXPRESSIONS
from anonrep.reports import old_elements as elements
from anonrep.reports import plots
from anonrep.reports.plots_ferg import person
from anonrep.stages.old_results import percent
from anonrep.stages.results_ferg import ASKED, METHODS, PAPER, best_target, with_interval
from anonrep.utils.files import read_arrays, read_json

TABLE_ALT = (
    "Identity against expression for every method and target, a panel for each split; the numbers are in Table 1."
)
TABLE_CAPTION = (
    "Each point is a release, judged by the best of its attackers; right and down is better. Crosses are the paper's "
    "own numbers, of the real FERG-DB and of one network."
)
SPLITS = {
    "random": "By the paper's random split, frames of a test image's own clip among those trained on",
    "clips": "By a split that keeps clips whole",
}
SHOWN = ("standard", "restricted", "pixels", "substituted", "finite")  # by the slider, in this order
WARNING = (
    "**The faces are synthetic.** A program drew them; they are nobody's, and no number here is a result on "
    "FERG-DB, which is handed out on request alone."
)


def warning(source: str, setting: str) -> str:
    """A block that says in plain words when the report does not show the real results; empty when it does."""
    notes = [WARNING] if source == "synthetic" else []
    if setting != "full":
        notes.append(f"**This is the {setting} setting**: a shortened run that shows what the report looks like.")
    return "\n\n".join(f"> {note}" for note in notes)


def headline(table: pd.DataFrame, certificate: pd.DataFrame, split: str, majority: float) -> str:
    """The result on one split in a paragraph. `table`: `results_ferg.releases`."""
    mine = table[table.split == split].set_index("method")
    raw, best = mine.loc["raw"], best_target(table, split)
    said = [
        f"**{SPLITS[split]}.** On raw images the best attacker names the person in {percent(raw.identity)} and the "
        f"expression in {percent(raw.expression)} of test images; always naming the commonest person is right in "
        f"{percent(majority)}."
    ]
    if "standard" in mine.index:
        standard = mine.loc["standard"]
        said.append(
            f"The standard method: a network that has seen raw faces alone, as an eye has, names the person in "
            f"{_percent(standard.recognised)} of its images, and one trained on them in {percent(standard.identity)}."
        )
    if best is None:
        said.append("Every game restricted to a target collapsed.")
    else:
        words = "" if best.expression >= ASKED[1] else " (no target keeps more)"
        said.append(
            f"After substitution with target {best.target:g}, {person(int(best.target))}, identity falls to "
            f"**{percent(best.identity)}** and expression stays at **{percent(best.expression)}**{words}."
        )
    row, finite = certificate[certificate.split == split].iloc[0], mine.loc[["finite"]].iloc[0]
    bound, how = (row.bound, "frames") if split == "random" else (row.clip_bound, "clips")
    counted = row.n if split == "random" else row.clips
    said.append(
        f"The finite release of {row.used:g} pictures keeps **{percent(finite.expression)}** of expressions, which it "
        f"was never told, and no classifier of any kind names the person in more than **{percent(bound)}** (certified "
        f"at 95.0 % confidence on {counted:g} test {how} taken as independent draws)."
    )
    return " ".join(said)


def table1(table: pd.DataFrame, split: str) -> pd.DataFrame:
    """Table 1 for people, as HTML cells: a row a target and method, the paper's numbers beside the substituted ones."""
    rows = []
    mine = table[table.split == split]
    for method in METHODS:
        for row in mine[mine.method == method].sort_values("target").to_dict("records"):
            row, target = pd.Series(row), row["target"]
            known = not pd.isna(target)
            paper = PAPER.get(int(target)) if known and method == "substituted" else None
            cells = {
                "method": method,
                "target": f"{target:g} {person(int(target))}" if known else "",
                "identity": _two_lines(with_interval(row, "identity")),
                "identity, CNN": _percent(row.get("identity_cnn")),
                "identity, raw reader": _percent(row.recognised),
                "expression": _two_lines(with_interval(row, "expression")),
                "expression, raw reader": _percent(row.readable),
                **{side: _percent(row[side]) for side in ("pose", "gaze") if side in row},
                "paper, identity/expression": " / ".join(map(percent, paper)) if paper else "",
            }
            rows.append(cells)
    return pd.DataFrame(rows)


def _two_lines(cell: str) -> str:
    """The interval small, under its value."""
    value, _, interval = escape(cell).partition(" (")
    return f"{value}<br><small>{interval.removesuffix(')')}</small>" if interval else value


def _percent(value: float | None) -> str:
    return "–" if value is None or pd.isna(value) else percent(value)


def certificate_table(certificate: pd.DataFrame) -> pd.DataFrame:
    """The finite release's bounds, a row a split."""
    return pd.DataFrame(
        {
            "split": certificate.split,
            "pictures": certificate.used,
            "frames": certificate.n,
            "bound, frames as draws": certificate.bound.map(percent),
            "clips": certificate.clips,
            "bound, clips as draws": certificate.clip_bound.map(percent),
            "commonest person": certificate.majority.map(percent),
        }
    )


def collapsed(models: str | Path, splits: Sequence[str], targets: Sequence[int]) -> str:
    """Which games collapsed, as a list; a sentence when none did."""
    names = ["standard", *(f"target-{target}" for target in targets)]
    runs = [
        (f"{split}, {name}", run)
        for split in splits
        for name in names
        for run in read_json(Path(models) / split / name / "runs.json")
    ]
    lost = [f"- {name}, seed {run['seed']}: {run['collapsed']}" for name, run in runs if run["collapsed"]]
    if not lost:
        return f"None of the {len(runs)} games collapsed."
    return "\n".join([f"{len(lost)} of {len(runs)} games collapsed and have no accuracy:", "", *lost])


def target_slider(data: Dataset, models: str | Path, table: pd.DataFrame, split: str, targets: Sequence[int]) -> str:
    """A slider over who is shown in everybody's place: the same test images as each method releases them, and numbers.

    Two images of each person, so that every expression comes. `models`: of the split; `table`: `results_ferg.releases`;
    a collapsed game has no images and no numbers.
    """
    chosen, panels = _two_each(data), {}
    names = [f"{person(data.z[i])}, {EXPRESSIONS[data.attributes['expression'][i]]}" for i in chosen]
    under = ("", [f"<small>{name.replace(', ', '<br>')}</small>" for name in names])
    mine = table[table.split == split]
    for target in targets:
        rows = [(_found(mine[mine.method == "raw"], "image"), _cells(data.images[chosen], names))]
        for method in SHOWN:
            images = released(models, method, target)
            of_target = mine.target.isna() if method == "standard" else mine.target == target
            numbers = mine[(mine.method == method) & of_target]
            cells = ["collapsed"] if images is None else _cells(images[chosen], [f"{n}, {method}" for n in names])
            rows.append((_found(numbers, method), cells))
        panels[f"{target} {person(target)}"] = elements.table([*rows, under], data.images.shape[2])
    return elements.slider(f"target-{split}", f"split {split}, shown in everybody's place:", panels)


def _two_each(data: Dataset) -> list[int]:
    """Of each person two test images, of expressions that go round."""
    test, expression, chosen = data.split == 2, data.attributes["expression"], []
    for number in range(2 * data.n_private):
        mine = np.flatnonzero(test & (data.z == number // 2) & (expression == number % len(EXPRESSIONS)))
        chosen += mine[len(mine) // 2 :][:1].tolist()
    return chosen


def _cells(images: np.ndarray, names: Sequence[str]) -> list[elements.Cell]:
    return [elements.light(*cell) for cell in zip(images, names, strict=True)]


def _found(numbers: pd.DataFrame, what: str) -> str:
    """A row's label: what it shows and, as far as it was measured, what the best attackers find in it."""
    lines = [f"{task} {percent(row[task])}" for _, row in numbers.iterrows() for task in ("identity", "expression")]
    return f"{what}<br><small>{'<br>'.join(lines)}</small>"


def released(models: str | Path, method: str, target: int) -> np.ndarray | None:
    """All images of one split as one method releases them, uint8 (N, H, W); None where every game collapsed.

    `method`: standard, which shows nobody in particular, restricted or substituted, by the first seed that did not
    collapse; pixels or finite, which need no game. `models`: of the split.
    """
    folder = Path(models) / ("standard" if method == "standard" else f"target-{target}")
    if method == "finite":
        return Codebook.load(Path(models) / "finite" / f"{folder.name}.npz").release()
    if method == "pixels":
        return Codebook.load(folder / "pixels.npz").release()
    seeds = [run["seed"] for run in read_json(folder / "runs.json") if not run["collapsed"]]
    if not seeds:
        return None
    if method in ("standard", "restricted"):
        return Dataset.load(folder / f"seed-{seeds[0]}.npz").images
    return Codebook.load(folder / f"substituted-{seeds[0]}.npz").release()


def snapshots(folder: str | Path, *, source: str, setting: str, seed: int = 0) -> Figure:
    """The paper's Fig. 3: a training and a validation image (rows) through the epochs of one game."""
    path = Path(folder) / f"snapshots-{seed}.npz"
    return plots.epochs_strip(read_arrays(path)["snapshots"], source=source, setting=setting, ink=False)


def couples(data: Dataset, folder: str | Path, *, setting: str, seed: int = 0) -> Figure:
    """The paper's Fig. 4: 24 test images, spread over all of them, and what they are substituted by."""
    book, test = Codebook.load(Path(folder) / f"substituted-{seed}.npz"), np.flatnonzero(data.split == 2)
    chosen = test[np.linspace(0, len(test) - 1, 24).round().astype(int)]
    pair = (data.images[chosen], book.images[book.codes[chosen]])
    return plots.couples(*pair, source=data.source, setting=setting, ink=False)


def spread_of(data: Dataset, book: Codebook, names: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """What a finite release's codes hold: for each code its share of test images, and the commonest value of each of
    `names` with its share within the code."""
    test, rows = data.split == 2, []
    for code in range(len(book)):
        mine = test & (book.codes == code)
        row = {"picture": code + 1, "share of images": percent(mine.sum() / test.sum())}
        for name, words in names.items():
            values = data.z if name == data.provenance["private"] else data.attributes[name]
            counts = np.bincount(values[mine], minlength=len(words))
            row[name] = f"{words[counts.argmax()]} {percent(counts.max() / max(1, counts.sum()))}"
        rows.append(row)
    return pd.DataFrame(rows)
