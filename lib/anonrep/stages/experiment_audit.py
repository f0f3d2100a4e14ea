"""The stages of the audit as functions: baselines under the same attackers, and attackers who know less.

Rows of attackers have the columns of `assessment.attack_rows`, led by dataset, method, setting, seed, task and
knowledge: what the attacker was trained on ("release" where nothing else is said).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from anonrep.data.dataset import Dataset
from anonrep.evaluation.assessment import attack, attack_rows
from anonrep.evaluation.attackers import AttackBudget, suite
from anonrep.evaluation.naturalness import naturalness
from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.game import reconstruct
from anonrep.methods.adversaries import OBJECTIVES, AdversaryConfig, play_against
from anonrep.methods.perturbations import perturb
from anonrep.stages.checkpoints import load_players
from anonrep.stages.experiment import attacked, pick_device
from anonrep.stages.results_audit import file_name
from anonrep.utils.files import read_json, write_json
from anonrep.utils.seeds import numpy_generator


def baseline(
    data: Dataset,
    tasks: Sequence[str],
    budget: dict,
    method: str,
    settings: Sequence[float | None],
    *,
    game: dict,
    images: Sequence[int] = (1,),
    start: str | Path,
    controls: str | Path,
    releases: str | Path,
    out: str | Path,
    device: str = "auto",
) -> None:
    """One baseline at every setting: its releases to the folder `releases`, what attackers find to the JSON file `out`.

    A perturbation (`perturbations.METHODS`) is made once, with the first seed; a game (`adversaries.OBJECTIVES`, whose
    settings are lambdas and whose numbers are `game`) for every seed prepared in `start`, since games differ by seed.
    The whole suite goes for the first seed, FEW of it for the others. `out` has accuracy, naturalness and runs, as
    `experiment.assess_runs` writes them; a collapsed run has a row in runs alone.
    """
    device, budget, releases = pick_device(device), AttackBudget(**budget), Path(releases)
    reader = NetworkAttacker(device=device).load(Path(controls) / "reader.safetensors")
    rows = {"accuracy": [], "naturalness": [], "runs": []}
    runs = read_json(Path(start) / "runs.json")
    for setting in settings:
        full = False  # has the whole suite been set on this setting?
        for run in runs if method in OBJECTIVES else runs[:1]:
            seed, collapsed = run["seed"], run["collapsed"]
            key = {"dataset": data.provenance["dataset"], "method": method, "setting": setting}
            if method not in OBJECTIVES:
                made, collapsed = perturb(data, method, setting, seed), None
            elif not collapsed:
                made, collapsed = _play(data, method, setting, AdversaryConfig(**game), Path(start), seed, device)
            rows["runs"].append({**key, "seed": seed, "collapsed": collapsed, "source": data.source})
            if collapsed:
                continue
            release = data.released(made, method=method, setting=setting, seed=seed)
            release.save(releases / f"{file_name(setting)}-{seed}.npz")
            options = {"budget": budget, "seed": seed, "device": device}
            rows["accuracy"] += attacked(release, tasks, images=images, everyone=not full, **options, **key)
            full = True
            judged = naturalness(data, release, reader=reader, task=tasks[1], **options)
            rows["naturalness"].append({**key, "seed": seed, **judged, "source": data.source})
    write_json(out, rows)


def _play(
    data: Dataset, objective: str, lam: float, config: AdversaryConfig, start: Path, seed: int, device: str
) -> tuple[np.ndarray, str | None]:
    players = load_players(start / f"seed-{seed}", device)
    outcome = play_against(players, data.subset("train"), objective, lam, config, seed, device)
    return reconstruct(outcome.autoencoder, data.images, device), outcome.collapsed


def assess_outsiders(
    data: Dataset,
    task: str,
    budget: dict,
    points: Mapping[str, float],
    *,
    images: Sequence[int] = (1,),
    models: str | Path,
    out: str | Path,
    device: str = "auto",
) -> None:
    """Attackers who know less than a release's own training images, set on it: rows to the JSON file `out`.

    points     {variant: lambda}: the releases, of every seed, in the folder `models`
    knowledge  "raw": trained and tuned on raw images, applied to released ones. "unseen": trained on the released
               validation images, which no anonymiser was trained on, and tuned on as many released training images.
               "as few": its control, the two the other way round: what as many images that the anonymiser was trained
               on are worth

    All are reported on released test images.
    """
    device, budget, rows = pick_device(device), AttackBudget(**budget), []
    releases = _releases(points, Path(models))
    labels, train, test = data.task(task), data.split == 0, data.split == 2
    held, few = data.split == 1, np.zeros(len(data), bool)
    chosen = numpy_generator(0, "as few").choice(np.flatnonzero(train), min(held.sum(), train.sum()), replace=False)
    few[chosen] = True
    seeds = sorted({seed for *_, seed, _ in releases})
    everyone = {seed: suite(budget, seed=seed, device=device) for seed in seeds}

    def rows_of(attacks: list, variant: str, lam: float, seed: int, knowledge: str) -> list[dict]:
        key = {"dataset": data.provenance["dataset"], "method": variant, "setting": lam, "seed": seed, "task": task}
        found = attack_rows(attacks, labels[test], images_per_person=images)
        return [{**key, "knowledge": knowledge, **row, "source": data.source} for row in found]

    def part(release: Dataset, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return release.images[mask], labels[mask]

    # Fitted once, set on the test images of all releases at once, and told apart again.
    shown = np.concatenate([release.images[test] for *_, release in releases])
    outsiders = attack(everyone[seeds[0]], part(data, train), part(data, held), (shown, None), "from raw images")
    for place, (variant, lam, seed, release) in enumerate(releases):
        mine = slice(place * test.sum(), (place + 1) * test.sum())
        rows += rows_of([one.on(mine) for one in outsiders], variant, lam, seed, "raw")
        for knowledge, known, tuned in (("unseen", held, few), ("as few", few, held)):
            told = part(release, known), part(release, tuned), part(release, test)
            rows += rows_of(attack(everyone[seed], *told, knowledge), variant, lam, seed, knowledge)
    write_json(out, rows)


def _releases(points: Mapping[str, float], models: Path) -> list[tuple[str, float, int, Dataset]]:
    """Variant, lambda, seed and release of every run that did not collapse."""
    found = []
    for variant, lam in points.items():
        folder = models / variant / f"lambda-{lam:g}"
        for run in read_json(folder / "runs.json"):
            if not run["collapsed"]:
                found.append((variant, lam, run["seed"], Dataset.load(folder / f"seed-{run['seed']}.npz")))
    if not found:
        raise ValueError(f"{models}: all runs of {dict(points)} collapsed; there is nothing to audit")
    return found
