"""The stages of the pipeline as functions: a folder in, a folder out, the seeds of a run one after the other.

A folder of prepared or trained runs holds, for each seed, `seed-N.safetensors` with its `seed-N.json`; trained ones
also the release `seed-N.npz` and the watched images through the epochs, `snapshots-N.npz`; and for all seeds
`history.json` (a row an epoch) and `runs.json` (a row a run, `collapsed` a message or null).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from anonrep.data.dataset import Dataset
from anonrep.evaluation.assessment import assess
from anonrep.evaluation.attackers import FEW, PAPERS, AttackBudget, suite
from anonrep.evaluation.naturalness import naturalness
from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.game import GameConfig, play, prepare, reconstruct
from anonrep.networks import Players
from anonrep.stages.checkpoints import load_players, save_players
from anonrep.utils.files import read_json, write_arrays, write_json


def pick_device(wish: str = "auto") -> str:
    """ "auto" is CUDA where there is one, else the CPU; any other word is PyTorch's name of a device."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if wish == "auto" else wish


def plain(row: dict) -> dict:
    """A loss that is no longer finite has no number in JSON: null."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}


def prepare_seeds(data: Dataset, game: dict, seeds: Sequence[int], out: str | Path, *, device: str = "auto") -> None:
    """Phases (i) and (ii) for every seed, written to the folder `out`."""
    out, device, config = Path(out), pick_device(device), GameConfig(**game)
    history, runs = [], []
    for seed in seeds:
        architecture = {
            "height": data.images.shape[1],
            "width": data.images.shape[2],
            "n_private": data.n_private,
            "hidden": config.hidden,
            "channels": config.channels,
            "adversary_channels": config.adversary_channels,
            "variational": config.kl > 0,
        }
        players = Players.build(**architecture, seed=seed).to(torch.device(device))
        outcome = prepare(players, data.subset("train"), config, seed, device)
        save_players(out / f"seed-{seed}", players, architecture, game=asdict(config), provenance=data.provenance)
        history += [{"seed": seed, **plain(row)} for row in outcome.history]
        runs.append({"seed": seed, "collapsed": outcome.collapsed})
    write_json(out / "history.json", history)
    write_json(out / "runs.json", runs)


def train_lambda(
    data: Dataset, game: dict, lam: float, *, start: str | Path, out: str | Path, watch: int = 10, device: str = "auto"
) -> None:
    """Phase (iii) at one lambda for every seed prepared in `start`; runs, releases and history go to the folder `out`.

    A seed whose preparation or game collapsed gets no release: there is nothing in it to attack. `watch`: how many test
    images are followed through the epochs.
    """
    if f"{lam:g}" != str(lam):
        raise ValueError(f"lambda {lam!r}: write it as {lam:g}: files are named after it")
    start, out, device, config = Path(start), Path(out), pick_device(device), GameConfig(**game)
    train, watched = data.subset("train"), data.subset("test").images[:watch]
    history, runs = [], []
    for run in read_json(start / "runs.json"):
        seed, collapsed = run["seed"], run["collapsed"]
        if not collapsed:
            players = load_players(start / f"seed-{seed}", device)
            options = {"epochs": config.private_epochs, "config": config, "seed": seed, "device": device}
            outcome = play(players, train, lam=lam, watch=watched, **options)
            players.autoencoder, collapsed = outcome.autoencoder, outcome.collapsed
            architecture = read_json(start / f"seed-{seed}.json")["architecture"]
            how = {"lam": lam, "seed": seed, "collapsed": collapsed}
            save_players(
                out / f"seed-{seed}", players, architecture, game=asdict(config), provenance=data.provenance, **how
            )
            history += [{"seed": seed, **plain(row)} for row in outcome.history]
            write_arrays(out / f"snapshots-{seed}.npz", data.provenance | how, snapshots=outcome.snapshots)
        if not collapsed:
            images = reconstruct(players.autoencoder, data.images, device)
            data.released(images, **how).save(out / f"seed-{seed}.npz")
        runs.append({"lam": lam, "seed": seed, "collapsed": collapsed})
    write_json(out / "history.json", history)
    write_json(out / "runs.json", runs)


def assess_controls(
    data: Dataset,
    tasks: Sequence[str],
    seeds: Sequence[int],
    budget: dict,
    *,
    images: Sequence[int] = (1,),
    out: str | Path,
    device: str = "auto",
) -> None:
    """The controls of every table, raw images, permuted labels and a constant image, and the reader of naturalness.

    Writes `controls.json` and the reader's weights `reader.safetensors` to the folder `out`. `tasks`: the private task
    first, then what the release should keep; `images`: how many of one person an attacker holds. The whole suite is set
    on raw images with the first seed and on permuted labels; FEW of it on raw images with other seeds and on the
    constant image, in which there is nothing to be found.
    """
    out, device, budget = Path(out), pick_device(device), AttackBudget(**budget)
    blank = data.released(np.full_like(data.images, data.images.mean().round()))
    rows, options = [], {"budget": budget, "device": device, "images": images, "lam": None}
    for seed in seeds:
        rows += attacked(data, tasks, seed=seed, everyone=seed == seeds[0], variant="raw", **options)
    rows += attacked(data, tasks, seed=seeds[0], variant="permuted", permute=True, **options)
    rows += attacked(blank, tasks, seed=seeds[0], everyone=False, variant="constant", **options)
    train = data.subset("train")
    reader = NetworkAttacker(epochs=budget.reader_epochs, device=device).fit(train.images, train.attributes[tasks[1]])
    reader.save(out / "reader.safetensors")
    write_json(out / "controls.json", rows)


def attacked(
    release: Dataset,
    tasks: Sequence[str],
    *,
    budget: AttackBudget,
    seed: int,
    device: str,
    images: Sequence[int] = (1,),
    everyone: bool = True,
    permute: bool = False,
    **key: object,
) -> list[dict]:
    """Every attacker's row on every task (`assessment.assess`), led by `key` and the seed.

    The private label is attacked by everyone, what is to be kept by FEW and with one image; where not `everyone` is
    asked for, by FEW and by the paper's own.
    """
    rows = []
    for task in tasks:
        attackers, private = suite(budget, seed=seed, device=device), task == tasks[0]
        if not (private and everyone):
            attackers = {name: attackers[name] for name in (FEW if private or everyone else PAPERS)}
        found = assess(
            release, task, attackers, permute=seed if permute else None, images_per_person=images if private else (1,)
        )
        rows += [{**key, "seed": seed, **row, "source": release.source} for row in found]
    return rows


def assess_runs(
    data: Dataset,
    tasks: Sequence[str],
    budget: dict,
    variant: str,
    *,
    images: Sequence[int] = (1,),
    whole: bool = True,
    runs: str | Path,
    controls: str | Path,
    out: str | Path,
    device: str = "auto",
) -> None:
    """Every attacker against every seed's release in the folder `runs`, and its naturalness: one JSON file `out`.

    The whole suite goes for the first release, unless `whole` is False, and FEW of it for the others. A collapsed run
    keeps its place in `runs` and has no row in `accuracy` or `naturalness`: never reported as private.
    """
    runs, device, budget = Path(runs), pick_device(device), AttackBudget(**budget)
    reader = NetworkAttacker(device=device).load(Path(controls) / "reader.safetensors")
    accuracy, natural, found = [], [], []
    for run in read_json(runs / "runs.json"):
        seed, key = run["seed"], {"variant": variant, "lam": run["lam"]}
        found.append({**key, "seed": seed, "collapsed": run["collapsed"], "source": data.source})
        if run["collapsed"]:
            continue
        release = Dataset.load(runs / f"seed-{seed}.npz")
        options = {"budget": budget, "seed": seed, "device": device}
        accuracy += attacked(release, tasks, images=images, everyone=whole and not natural, **options, **key)
        judged = naturalness(data, release, reader=reader, task=tasks[1], **options)
        natural.append({**key, "seed": seed, **judged, "source": data.source})
    write_json(out, {"accuracy": accuracy, "naturalness": natural, "runs": found})
