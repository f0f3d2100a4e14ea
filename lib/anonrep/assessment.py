"""What can still be read from a release: fresh attackers, tuned on validation, reported on test with intervals."""

import numpy as np
from sklearn.base import clone
from tqdm import tqdm

from anonrep.attackers import Suite
from anonrep.dataset import Dataset
from anonrep.intervals import wilson
from anonrep.seeds import numpy_generator


def task_labels(data: Dataset, task: str) -> np.ndarray:
    """The labels (N,) of the private task or of a named attribute."""
    columns = {data.provenance["private"]: data.z, **data.attributes}
    if task not in columns:
        raise KeyError(f"no task {task!r}: the data set has {sorted(columns)}")
    return columns[task]


def assess(release: Dataset, task: str, attackers: Suite, *, permute: int | None = None) -> list[dict]:
    """Train every attacker on the release's training images, choose on validation, report on test.

    Returns a row an attacker: task, attacker, accuracy, low, high (Wilson, 95 %, each attacker for itself), n,
    candidates (how many were tried). With `permute`, a seed, the labels are shuffled over all images first: the control
    that must come out at chance.
    """
    labels = task_labels(release, task)
    if permute is not None:
        labels = numpy_generator(permute, "permuted labels", task).permutation(labels)
    images, truth = {}, {}
    for index, split in enumerate(("train", "validation", "test")):
        images[split], truth[split] = release.images[release.split == index], labels[release.split == index]
    rows = []
    for name, candidates in tqdm(attackers.items(), desc=f"attackers on {task}", mininterval=10):
        fitted = [clone(candidate).fit(images["train"], truth["train"]) for candidate in candidates]
        best = max(fitted, key=lambda attacker: attacker.score(images["validation"], truth["validation"]))
        hits, n = int((best.predict(images["test"]) == truth["test"]).sum()), len(truth["test"])
        low, high = wilson(hits, n)
        rows.append(
            {"task": task, "attacker": name, "accuracy": hits / n, "low": low, "high": high, "n": n}
            | {"candidates": len(candidates)}
        )
    return rows
