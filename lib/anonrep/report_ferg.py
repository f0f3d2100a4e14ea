"""What the report on faces says in words and tables: every number comes from the rows it is handed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from anonrep import plots
from anonrep.codebook import Codebook
from anonrep.dataset import Dataset
from anonrep.files import read_arrays, read_json
from anonrep.plots_ferg import person
from anonrep.results import percent
from anonrep.results_ferg import ASKED, METHODS, PAPER, best_target, with_interval

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
WARNING = (
    "**The faces are a synthetic stand-in.** A program drew them; they are nobody's, and no number here is a result on "
    "FERG-DB, which is handed out on request alone."
)


def warning(source: str, setting: str) -> str:
    """A block that says in plain words when the report does not show the real results; empty when it does."""
    notes = [WARNING] if source == "standin" else []
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
        said.append(f"The standard method leaves identity at {percent(mine.loc['standard'].identity)}.")
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
    """Table 1 for people: a row for each target and method, the paper's numbers beside the substituted ones."""
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
                "identity": with_interval(row, "identity"),
                "identity, CNN": _percent(row.get("identity_cnn")),
                "expression": with_interval(row, "expression"),
                "expression, raw reader": _percent(row.readable),
                **{side: _percent(row[side]) for side in ("pose", "gaze") if side in row},
                "paper, identity/expression": " / ".join(map(percent, paper)) if paper else "",
            }
            rows.append(cells)
    return pd.DataFrame(rows)


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


def examples(
    data: Dataset, models: str | Path, targets: Sequence[int], method: str, seed: int = 0
) -> dict[str, np.ndarray]:
    """A test image of each person and of four expressions, and under them what a method makes of them, a row a target.

    `method`: restricted, substituted, pixels or finite; a collapsed game has no row. `models`: of one split.
    """
    test, expression = data.split == 2, data.attributes["expression"]
    cells = [
        np.flatnonzero(test & (data.z == z) & (expression == e)) for z in range(data.n_private) for e in (0, 3, 5, 6)
    ]
    chosen = np.array([cell[len(cell) // 2] for cell in cells if len(cell)])
    rows = {"image": data.images[chosen]}
    for target in targets:
        path = Path(models) / f"target-{target}"
        files = {
            "restricted": path / f"seed-{seed}.npz",
            "substituted": path / f"substituted-{seed}.npz",
            "pixels": path / "pixels.npz",
            "finite": Path(models) / "finite" / f"target-{target}.npz",
        }
        if files[method].exists():
            images = (
                Dataset.load(files[method]).images if method == "restricted" else Codebook.load(files[method]).release()
            )
            rows[person(target)] = images[chosen]
    return rows


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
