"""The game as stages: phases (i) and (ii) of every seed, and a release by phase (iii).

The folder of phases (i) and (ii) holds `seed-N.safetensors` with `seed-N.json`, `history.json` (a row an epoch),
`runs.json` (a row a seed; `collapsed` is a message or null) and for each seed `snapshots-N.npz`: the images of
`watched` at the end of phase (i) and after each epoch of phase (ii). A release's folder holds the same of phase (iii)
and, for each seed, the released images `seed-N.npz`; where a target is shown also two codebooks of the target's
training images: `substituted-N.npz`, the nearest to each output, and `pixels.npz`, the nearest to each raw image (once
a target, so not of a variant of the game).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.game import GameConfig, play, prepare, reconstruct
from anonrep.methods.codebooks import substitute
from anonrep.methods.content import content, matches
from anonrep.networks import Players
from anonrep.stages import paths
from anonrep.stages.checkpoints import load_players, save_players
from anonrep.stages.releases import pick_device, row, save_index
from anonrep.utils.files import read_json, write_arrays, write_json


def watched(data: Dataset) -> np.ndarray:
    """The images that are followed through the epochs: one for training, one for validation, and eight test images."""
    parts = ("train", 1), ("validation", 1), ("test", 8)
    return np.concatenate([data.subset(part).images[:n] for part, n in parts])


def json_safe(values: Mapping) -> dict:
    """A loss that is no longer finite has no number in JSON: null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


def prepare_seeds(
    data: Dataset, config: Mapping, seeds: Sequence[int], out: str | Path, *, device: str = "auto"
) -> None:
    """Phases (i) and (ii) for every seed, written to the folder `out`. `config`: fields of `GameConfig`."""
    out, device, config = Path(out), pick_device(device), GameConfig(**config)
    history, runs, watch = [], [], watched(data)
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
        outcome = prepare(players, data.subset("train"), config, seed, device, watch)
        save_players(out / f"seed-{seed}", players, architecture, game=asdict(config), provenance=data.provenance)
        write_arrays(out / f"snapshots-{seed}.npz", data.provenance | {"seed": seed}, snapshots=outcome.snapshots)
        history += [{"seed": seed, **json_safe(values)} for values in outcome.history]
        runs.append({"seed": seed, "collapsed": outcome.collapsed})
    write_json(out / "history.json", history)
    write_json(out / "runs.json", runs)


def release_by_game(
    data: Dataset,
    config: Mapping,
    method: str,
    *,
    lam: float,
    target: int | None = None,
    title: str | None = None,
    changes: Mapping | None = None,
    start: str | Path,
    out: str | Path,
    device: str = "auto",
) -> None:
    """Phase (iii) at one lambda for every seed prepared in `start`; weights, releases and history go to `out`.

    A seed whose preparation or game collapsed gets no release: there is nothing in it to attack.

    method   what the release is called in tables, unless `title` says otherwise. What follows a comma in a title names
             a variant, and its substitution likewise: "restricted, no match" is followed by "substituted, no match"
    config   fields of `GameConfig`; `changes` replaces some of them in this phase
    target   the person whose training images alone the discriminator is shown as real (paper, Section 3, the second
             method on faces), followed by substitution; the data set's artificial person may be one. In the place of
             itself, every image is anchored to its match by the target (`content.matches`): an anchor to itself would
             hold on to who is shown. With a `pixel_anchor` of 0 there is no match, as in the paper
    """
    start, out, device = Path(start), Path(out), pick_device(device)
    title = title or method
    variant = "".join(title.partition(",")[1:])  # ", no match" or nothing
    config = GameConfig(**{**config, **(changes or {})})
    train, templates, anchor = data.subset("train"), None, None
    if target is not None:
        both = with_artificial(data)
        templates = both.images[(both.split == 0) & (both.z == target)]
    if target is not None and config.pixel_anchor:
        anchor = templates[matches(both, content(both, both.attributes["clip"]), target)[: len(train)]]
    history, releases = [], []
    for run in read_json(start / "runs.json"):
        seed, collapsed = run["seed"], run["collapsed"]
        how = {"lam": lam, "target": target, "seed": seed}
        if not collapsed:
            players = load_players(start / f"seed-{seed}", device)
            options = {"epochs": config.private_epochs, "config": config, "seed": seed, "device": device}
            outcome = play(players, train, lam=lam, watch=watched(data), real=templates, anchor=anchor, **options)
            players.autoencoder, collapsed = outcome.autoencoder, outcome.collapsed
            how["collapsed"] = collapsed
            architecture = read_json(start / f"seed-{seed}.json")["architecture"]
            description = {"game": asdict(config), "provenance": data.provenance, **how}
            save_players(out / f"seed-{seed}", players, architecture, **description)
            history += [{"seed": seed, **json_safe(values)} for values in outcome.history]
            write_arrays(out / f"snapshots-{seed}.npz", data.provenance | how, snapshots=outcome.snapshots)
        releases.append(row(title, lam, seed, f"seed-{seed}.npz", target=target, collapsed=collapsed))
        if not collapsed:
            images = reconstruct(players.autoencoder, data.images, device)
            data.released(images, **how).save(out / f"seed-{seed}.npz")
            if target is not None:
                book, file = Codebook(templates, substitute(images, templates)), f"substituted-{seed}.npz"
                book.save(out / file, data.provenance | how)
                releases.append(row(f"substituted{variant}", lam, seed, file, target=target, codes=len(book)))
    if target is not None and not variant:  # else they would be the same
        book = Codebook(templates, substitute(data.images, templates))
        book.save(out / "pixels.npz", data.provenance | {"target": target})
        releases.append(row("pixels", None, 0, "pixels.npz", target=target, codes=len(book)))
    write_json(out / "history.json", history)
    save_index(out, releases)


def with_artificial(data: Dataset) -> Dataset:
    """The data, and after it the images of its artificial person, who does not exist: all of them for training."""
    artificial = Dataset.load(paths.artificial_file(data.provenance["dataset"]))
    if not (artificial.z == data.n_private).all() or artificial.split.any():
        raise ValueError(
            f"the artificial person's private label is {data.n_private}, and all its images are training's"
        )
    apart = data.attributes["clip"].max() + 1  # clips of both are numbered from 0
    attributes = {
        name: np.concatenate([values, artificial.attributes[name] + apart * (name == "clip")])
        for name, values in data.attributes.items()
        if name in artificial.attributes
    }
    return Dataset(
        images=np.concatenate([data.images, artificial.images]),
        z=np.concatenate([data.z, artificial.z]),
        attributes=attributes,
        split=np.concatenate([data.split, artificial.split]),
        provenance=data.provenance,
    )
