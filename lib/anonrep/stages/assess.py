"""Every judge on a release, as a stage: fresh attackers, naturalness, and the certificate where it shows codewords.

`assessment`, from params.yaml, says who judges:

budget      `AttackBudget`; `budgets` changes it for some methods
attackers   by method, or "default": the names of those who go for the private and for the utility label ("all" is the
            whole suite); "again" for the seeds after the first; "side" for the attributes `sides`
readers     tasks for which a network trained on raw images reads the release
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from anonrep.data.dataset import Dataset
from anonrep.evaluation.attackers import FEW, PAPERS, AttackBudget
from anonrep.evaluation.exposure import exposure_rows
from anonrep.evaluation.frontier import certificate_rows, unseen_rows, utility_rows
from anonrep.evaluation.judge import judge
from anonrep.evaluation.naturalness import naturalness
from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.stages.releases import Release, key_of, load, pick_device, read_index
from anonrep.utils.files import read_json, write_json

Readers = Mapping[str, NetworkAttacker]


def assess_release(
    data: Dataset, folder: str | Path, readers: Readers, assessment: Mapping, *, out: str | Path, device: str = "auto"
) -> None:
    """Every judge on every release in `folder`: one JSON file `out`, with rows by kind.

    attacks      what attackers found (`attack_release`); of the seeds of one setting the first faces the whole suite,
                 and some attackers go for unseen people as well (`attack_unseen`)
    naturalness  does a release still look like what it shows, where `assessment` asks for it
    certificate  what no classifier exceeds, of codebooks, and on unseen people; and `utility`, what else they keep
    exposure     of codebooks that attackers are trained on: the most exposed person and more (`evaluation.exposure`)
    runs         every run, why it collapsed, and the swings of a game that did not (`swings`). A collapsed run has a
                 row here alone: it is never reported as private
    """
    folder, device, raw = Path(folder), pick_device(device), data.known()
    rows = {"attacks": [], "naturalness": [], "certificate": [], "exposure": [], "utility": [], "runs": []}
    seen, history = set(), folder / "history.json"
    epochs = read_json(history) if history.exists() else []
    for found in read_index(folder):
        key = key_of(data, found)
        if found["attacked"] or found["collapsed"]:
            own = [row for row in epochs if row["seed"] == found["seed"] and row.get("phase") == "privacy"]
            moved = swings([] if found["collapsed"] or found["codes"] else own)
            rows["runs"].append({**key, "collapsed": found["collapsed"], **moved, "source": data.source})
        if found["collapsed"]:
            continue
        release = load(folder, data, found)
        if release.attacked:
            setting = (release.key["method"], release.key["setting"], release.key["target"])
            rows["attacks"] += attack_release(release, assessment, readers, first=setting not in seen, device=device)
            if release.unseen and setting not in seen:
                rows["attacks"] += attack_unseen(release.unseen, assessment, readers, device=device)
            seen.add(setting)
            if assessment["naturalness"]:
                how = {"reader": readers[data.utility], "task": data.utility, "seed": release.key["seed"]}
                budget = _budget(assessment, release.key["method"])
                found = naturalness(raw, release.data, budget=budget, device=device, **how)
                rows["naturalness"].append({**release.key, **found, "source": data.source})
        if release.certified:
            key = {**release.key, "codes": release.codes}
            how = {"reader": readers[data.utility], "images_per_person": assessment["images_per_person"], "key": key}
            rows["certificate"] += certificate_rows(raw, release.codebook, **how)
            if release.unseen:
                both = (raw, release.codebook), (data.unseen(), release.unseen.codebook)
                rows["certificate"] += unseen_rows(*both, **how | {"key": key | {"people": "unseen"}})
            if release.attacked:
                rows["exposure"] += exposure_rows(raw, release.codebook, key=key)
            names = [name for name in assessment["attributes"] if name in data.attributes]
            rows["utility"] += utility_rows(raw, release.codebook, names, key=key)
    write_json(out, rows)


def swings(epochs: Sequence[Mapping]) -> dict[str, float | None]:
    """How far a game swings in the last half of its phase (iii), where a settled one would stand still.

    swing      of the private classifier's accuracy (a fraction), for it means the same whichever private term is
               played; its loss does not: gradient reversal drives it beyond all bounds
    mse_swing  of the squared error a pixel between image and reconstruction, as a share of its mean

    A swing is the root mean square of the distances from the straight line fitted to the epochs: a steady rise or fall
    is learning and no swing. `epochs`: rows of `game.play`. None for fewer than three epochs, which any line fits.
    """
    last = epochs[len(epochs) // 2 :]
    if len(last) < 3:
        return {"swing": None, "mse_swing": None}
    place, found = np.arange(len(last)), {}
    for name, column in (("swing", "private_accuracy"), ("mse_swing", "mse")):
        values = np.array([row[column] for row in last])
        distances = values - np.polyval(np.polyfit(place, values, 1), place)
        scale = (values.mean() or 1) if name == "mse_swing" else 1
        found[name] = float(np.sqrt(np.square(distances).mean()) / scale)
    return found


def attack_release(
    release: Release,
    assessment: Mapping,
    readers: Readers,
    *,
    first: bool,
    permute: int | None = None,
    device: str = "cpu",
) -> list[dict]:
    """The attackers' rows on one release (`judge`), with those whom `assessment` names for its method.

    `first`: whether it is the first seed of its setting; `permute`: a seed to shuffle labels with, for the control.
    """
    method, plans = release.key["method"], assessment["attackers"]
    plan = plans.get(method, plans["default"])
    if not first or plan == "again":
        plan = plans.get("again", plan)
    data, sides = in_thirds(release.data, assessment["sides"])
    return judge(
        data,
        _budget(assessment, method),
        private=plan["private"],
        utility=plan["utility"],
        side=plans.get("side", ()),
        side_tasks=sides,
        readers={} if assessment["naturalness"] else _asked(readers, release),
        images_per_person=assessment["images_per_person"],
        permute=permute,
        device=device,
        key={**release.key, "knowledge": "release"},
    )


def attack_unseen(release: Release, assessment: Mapping, readers: Readers, *, device: str = "cpu") -> list[dict]:
    """The rows of attackers on a release of unseen people: one of each kind, who learn from released images of them.

    The utility label is predicted by the paper's network, and read by a network trained on raw images of known people.
    """
    task = release.data.utility
    return judge(
        release.data,
        _budget(assessment, release.key["method"]),
        private=FEW,
        utility=PAPERS,
        readers={task: readers[task]},
        images_per_person=assessment["images_per_person"],
        device=device,
        key={**release.key, "knowledge": "release"},
    )


def _budget(assessment: Mapping, method: str) -> AttackBudget:
    return AttackBudget(**assessment["budget"] | assessment["budgets"].get(method, {}))


def _asked(readers: Readers, release: Release) -> Readers:
    """Where codewords of one target are shown, everybody is read as the target: nothing to ask about the person."""
    fixed = release.codebook is not None
    return {task: reader for task, reader in readers.items() if not (fixed and task == release.data.private)}


def in_thirds(data: Dataset, names: Sequence[str]) -> tuple[Dataset, list[str]]:
    """The data with those attributes of `names` that it has, as three classes of equal size among training images."""
    train, sides = data.split == 0, {}
    for name in names:
        if name in data.attributes:
            values = data.attributes[name]
            sides[name] = np.searchsorted(np.quantile(values[train], [1 / 3, 2 / 3]), values)
    return replace(data, attributes={**data.attributes, **sides}), [*sides]
