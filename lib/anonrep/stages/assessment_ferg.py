"""Fresh attackers on every release of faces: the rows of table1.json."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.evaluation.assessment import assess
from anonrep.evaluation.attackers import FEW, AttackBudget, suite
from anonrep.evaluation.intervals import wilson
from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.stages.experiment import pick_device
from anonrep.stages.results_ferg import READER
from anonrep.utils.files import read_json, write_json

TWO = ("trees", "cnn")  # where FEW would take too long
TABLE = ("trees",)  # on a release of fixed pictures they come down to a table, as others do
TABLE_TREES = 20  # there: 50 find the same to 0.2 points
READ = ("identity", "expression")  # what networks that saw raw faces alone, as eyes do, are asked to read
SIDES = ("pose", "gaze")  # recorded of synthetic frames; attackers tell three sides of them


def in_thirds(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Real values as three sides of equal size among the images of the mask `train`: int64 (N,), 0 to 2."""
    return np.searchsorted(np.quantile(values[train], [1 / 3, 2 / 3]), values)


def judged(data: Dataset) -> tuple[Dataset, list[str]]:
    """The data with SIDES as classes where they are recorded, and the tasks that a release is judged by."""
    sides = {name: in_thirds(data.attributes[name], data.split == 0) for name in SIDES if name in data.attributes}
    data = replace(data, attributes={**data.attributes, **sides})
    return data, [data.provenance["private"], "expression", *sides]


def assess_references(
    data: Dataset, budget: dict, *, standard: str | Path, out: str | Path, device: str = "auto"
) -> None:
    """Raw images and the standard method, without a target: `table.json`, and the raw readers, in the folder `out`."""
    standard, out, device, budget = Path(standard), Path(out), pick_device(device), AttackBudget(**budget)
    train, readers = data.subset("train"), {}
    for task in READ:
        readers[task] = NetworkAttacker(epochs=budget.reader_epochs, device=device)
        readers[task].fit(train.images, train.task(task)).save(out / f"reader-{task}.safetensors")
    rows = face_rows(data, *[("majority", *FEW)] * 2, readers, budget, target=None, method="raw", seed=None)
    for run in read_json(standard / "runs.json"):
        if not run["collapsed"]:
            release = Dataset.load(standard / f"seed-{run['seed']}.npz")
            rows += face_rows(release, FEW, FEW, readers, budget, target=None, method="standard", seed=run["seed"])
    write_json(out / "table.json", rows)


def assess_target(
    data: Dataset,
    budget: dict,
    target: int,
    *,
    models: str | Path,
    out: str | Path,
    device: str = "auto",
) -> None:
    """Every method that shows one `target`, from the folder `models` of one split: rows of table1.json, to a file.

    restricted   the game's output
    substituted  the nearest training image of the target to that output
    pixels       the nearest to the raw image: substitution without an autoencoder
    finite       the finite release
    A collapsed run has no row for what it made.
    """
    models, device, budget = Path(models), pick_device(device), AttackBudget(**budget)
    readers = {
        task: NetworkAttacker(device=device).load(models / "references" / f"reader-{task}.safetensors") for task in READ
    }
    fixed = {"expression": readers["expression"]}  # pictures of the target: everybody is read as the target
    table = replace(budget, trees=min(budget.trees, TABLE_TREES))
    runs, rows, key = models / f"target-{target}", [], {"target": target}
    for run in read_json(runs / "runs.json"):
        seed = run["seed"]
        if not run["collapsed"]:
            release = Dataset.load(runs / f"seed-{seed}.npz")
            rows += face_rows(release, TWO, TWO, readers, budget, **key, method="restricted", seed=seed)
            shown = data.released(Codebook.load(runs / f"substituted-{seed}.npz").release())
            rows += face_rows(shown, FEW, TWO, fixed, table, **key, method="substituted", seed=seed)
    finite = models / "finite" / f"target-{target}.npz"
    for method, path in (("pixels", runs / "pixels.npz"), ("finite", finite)):
        shown = data.released(Codebook.load(path).release())
        rows += face_rows(shown, TABLE, TABLE, fixed, table, **key, method=method, seed=0)
    write_json(out, rows)


def face_rows(
    release: Dataset,
    names: Sequence[str],
    kept: Sequence[str],
    readers: Mapping[str, NetworkAttacker],
    budget: AttackBudget,
    *,
    seed: int | None,
    **key: object,
) -> list[dict]:
    """Fresh attackers, and their ensemble, on a release: rows of table1.json, led by `key`.

    `names` of those who go for the identity, `kept` for the expression; sides are told by trees alone. Beside them, on
    the tasks of `readers`, networks trained on raw images.
    """
    release, tasks = judged(release)
    key, rows = {**key, "seed": seed, "split": release.provenance["split"]}, []
    for task in tasks:
        everybody = suite(budget, seed=seed or 0, device=readers["expression"].device)
        chosen = {tasks[0]: names, "expression": kept}.get(task, TABLE)
        found = assess(release, task, {name: everybody[name] for name in chosen})
        rows += [
            {**key, **row, "source": release.source} for row in found if len(chosen) > 1 or row["attacker"] in chosen
        ]
    test = release.subset("test")
    for task, reader in readers.items():
        hits, n = int((reader.predict(test.images) == test.task(task)).sum()), len(test)
        low, high = wilson(hits, n)
        row = {"task": task, "attacker": READER, "accuracy": hits / n, "low": low, "high": high, "n": n}
        rows.append({**key, **row, "source": release.source})
    return rows
