"""The controls of every table as a stage: the attackers on raw images, and networks that have seen raw images alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from anonrep.data.dataset import Dataset
from anonrep.evaluation.attackers import AttackBudget
from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.stages.assess import attack_release, attack_unseen
from anonrep.stages.releases import Release, key_of, pick_device
from anonrep.utils.files import write_json


def assess_controls(
    data: Dataset,
    assessment: Mapping,
    controls: Sequence[str],
    *,
    main: bool = True,
    out: str | Path,
    device: str = "auto",
) -> None:
    """What attackers find in raw images and in `controls`, and the raw readers: to the folder `out`.

    `main`: whether it is the data set's first split; in another one, raw images are attacked for the first seed alone.

    attacks.json             the rows of "raw", where attackers must succeed, for every seed of `assessment`, and for
                             the first on unseen people; and of `controls`: "permuted" labels and a "constant" image,
                             where they must fail
    reader-TASK.safetensors  a network trained on raw images for each task of `assessment`'s readers
    """
    out, device, unseen, data = Path(out), pick_device(device), data.unseen(), data.known()
    seeds, controls = (assessment["seeds"], controls) if main else (assessment["seeds"][:1], [])
    budget, train = AttackBudget(**assessment["budget"]), data.subset("train")
    readers = {}
    for task in assessment["readers"]:
        reader = NetworkAttacker(epochs=budget.reader_epochs, device=device).fit(train.images, train.task(task))
        reader.save(out / f"reader-{task}.safetensors")
        readers[task] = reader
    first, *others = seeds
    blank = data.released(np.full_like(data.images, data.images.mean().round()))
    rows = []
    for seed in (first, *others):
        rows += attack_release(_control("raw", data, seed), assessment, readers, first=seed == first, device=device)
    if unseen is not None:
        rows += attack_unseen(_control("raw", unseen, first, "unseen"), assessment, readers, device=device)
    if "permuted" in controls:
        control = _control("permuted", data, first)
        rows += attack_release(control, assessment, readers, first=True, permute=first, device=device)
    if "constant" in controls:
        rows += attack_release(_control("constant", blank, first), assessment, readers, first=True, device=device)
    write_json(out / "attacks.json", rows)


def load_readers(folder: str | Path, assessment: Mapping, device: str = "auto") -> dict[str, NetworkAttacker]:
    """The raw readers of the folder, by task."""
    device = pick_device(device)
    return {
        task: NetworkAttacker(device=pick_device(device)).load(Path(folder) / f"reader-{task}.safetensors")
        for task in assessment["readers"]
    }


def _control(method: str, data: Dataset, seed: int, people: str = "known") -> Release:
    key = key_of(data, {"method": method, "setting": None, "target": None, "seed": seed})
    return Release(key | {"people": people}, data, None, None, attacked=True, certified=False)
