"""The one protocol by which every release is judged: fresh attackers on each task, and networks that saw raw images."""

from collections.abc import Mapping, Sequence

from anonrep.data.dataset import Dataset
from anonrep.evaluation.assessment import assess
from anonrep.evaluation.attackers import AttackBudget, Suite, suite
from anonrep.evaluation.intervals import wilson
from anonrep.evaluation.network_attacker import NetworkAttacker

ALL = "all"  # in the place of names: the whole suite
RAW_READER = "raw reader"  # the `attacker` of a row of `read`


def judge(
    release: Dataset,
    budget: AttackBudget,
    *,
    private: Sequence[str],
    utility: Sequence[str] = (),
    side: Sequence[str] = (),
    side_tasks: Sequence[str] = (),
    readers: Mapping[str, NetworkAttacker] | None = None,
    images_per_person: Sequence[int] = (1,),
    permute: int | None = None,
    device: str = "cpu",
    key: Mapping,
) -> list[dict]:
    """The rows of all attackers, and of their ensemble, on all tasks of a release (`assessment.attack_rows`).

    private, utility    names of the attackers of the private and of the utility label; ALL for the whole suite, () for
                        none
    side, side_tasks    names of the attackers of each of these attributes
    readers             networks trained on raw images, by the task that they read (`read`); not on permuted labels
    images_per_person   how many images of one person the attacker of the private label holds
    permute             a seed to shuffle the labels with: the control that must come out at chance
    key                 leads each row; its "seed", 0 where it is None, is the attackers'

    Each row is the key, the task, the columns of `attack_rows` and the source. Where one attacker is alone, there is no
    row of an ensemble.
    """
    everybody, rows = suite(budget, seed=key["seed"] or 0, device=device), []
    tasks = {release.private: private, release.utility: utility} | dict.fromkeys(side_tasks, side)
    for task, names in tasks.items():
        chosen = named(everybody, names)
        if chosen:
            images = images_per_person if task == release.private else (1,)
            found = assess(release, task, chosen, permute=permute, images_per_person=images)
            rows += [row for row in found if len(chosen) > 1 or row["attacker"] in chosen]
    for task, reader in (readers or {}).items() if permute is None else ():  # a reader knows the true labels
        rows.append(read(release, task, reader))
    return [{**key, **row, "source": release.source} for row in rows]


def named(attackers: Suite, names: Sequence[str]) -> Suite:
    """The attackers of these names, in their order; ALL for the whole suite. KeyError for a name that is not there."""
    return attackers if names == ALL else {name: attackers[name] for name in names}


def read(release: Dataset, task: str, reader: NetworkAttacker) -> dict:
    """A row for a network trained on raw images alone, which reads the released test images as an eye does.

    accuracy, with its Wilson interval low to high, over n images; restarts and trained as in `attack_rows`.
    """
    test = release.subset("test")
    hits, n = int((reader.predict(test.images) == test.task(task)).sum()), len(test)
    low, high = wilson(hits, n)
    row = {"task": task, "attacker": RAW_READER, "m": 1, "accuracy": hits / n, "low": low, "high": high, "n": n}
    return row | {"restarts": reader.restarts_, "trained": reader.trained_, "knowledge": "raw"}
