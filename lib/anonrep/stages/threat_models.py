"""Attackers who know less than a release's own training images, as a stage."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from anonrep.data.dataset import Dataset
from anonrep.evaluation.assessment import attack, attack_rows
from anonrep.evaluation.attackers import AttackBudget, suite
from anonrep.stages.releases import load, pick_device, read_index
from anonrep.utils.files import write_json
from anonrep.utils.seeds import numpy_generator


def assess_threat_models(
    data: Dataset, folders: Sequence[str | Path], assessment: Mapping, *, out: str | Path, device: str = "auto"
) -> None:
    """Attackers on the private label of the releases in `folders`: rows to the JSON file `out`.

    The column `knowledge` says what they learned from; all are reported on released test images.

    raw     trained and tuned on raw images, applied to released ones
    unseen  trained on the released validation images, which no anonymiser was trained on, and tuned on as many
            released training images
    as few  its control, the two the other way round: what as many images that the anonymiser was trained on are worth
    """
    device, budget, images = pick_device(device), AttackBudget(**assessment["budget"]), assessment["images_per_person"]
    releases = [
        load(folder, data, found)
        for folder in folders
        for found in read_index(folder)
        if found["attacked"] and not found["collapsed"]
    ]
    if not folders:  # a data set may leave them out
        return write_json(out, [])
    if not releases:
        raise ValueError(f"{', '.join(map(str, folders))}: all runs collapsed; there is nothing to attack")
    data = data.known()
    labels, train, test = data.task(data.private), data.split == 0, data.split == 2
    held, few, rows = data.split == 1, np.zeros(len(data), bool), []
    chosen = numpy_generator(0, "as few").choice(np.flatnonzero(train), min(held.sum(), train.sum()), replace=False)
    few[chosen] = True
    seeds = sorted({release.key["seed"] for release in releases})
    everyone = {seed: suite(budget, seed=seed, device=device) for seed in seeds}

    def part(release: Dataset, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return release.images[mask], labels[mask]

    # Trained once, applied to the test images of all releases at once, and told apart again.
    shown = np.concatenate([release.data.images[test] for release in releases])
    outsiders = attack(everyone[seeds[0]], part(data, train), part(data, held), (shown, None), "from raw images")
    for place, release in enumerate(releases):
        mine = slice(place * test.sum(), (place + 1) * test.sum())
        found = {"raw": [one.on(mine) for one in outsiders]}
        for knowledge, known, tuned in (("unseen", held, few), ("as few", few, held)):
            told = part(release.data, known), part(release.data, tuned), part(release.data, test)
            found[knowledge] = attack(everyone[release.key["seed"]], *told, knowledge)
        for knowledge, attacks in found.items():
            key = {**release.key, "task": data.private, "knowledge": knowledge}
            more = attack_rows(attacks, labels[test], images_per_person=images)
            rows += [{**key, **row, "source": data.source} for row in more]
    write_json(out, rows)
