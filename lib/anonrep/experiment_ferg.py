"""The stages on faces as functions: the second method, a game restricted to a target, and what comes after it.

A folder of one target holds what `experiment.train_lambda` leaves for each seed, and two releases of fixed pictures,
the target's training images: `substituted-N.npz`, the nearest to each output, and `pixels.npz`, the nearest to each raw
image. The finite release's folder holds its encoder and a `target-T.npz` for each target that may be shown.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from anonrep.assessment import assess
from anonrep.attackers import FEW, Effort, suite
from anonrep.certificate import accuracy_bound, clip_accuracy_bound, plug_in_information
from anonrep.checkpoints import load_players, save_players
from anonrep.code_encoder import features, save_encoder, used_codes
from anonrep.codebook import Codebook, substitute
from anonrep.content import content, content_views, matches, pictures
from anonrep.dataset import Dataset
from anonrep.experiment import pick_device, plain
from anonrep.files import read_json, replacing, write_json
from anonrep.finite import FiniteConfig, learn
from anonrep.game import GameConfig
from anonrep.intervals import wilson
from anonrep.network_attacker import NetworkAttacker
from anonrep.pretraining import reconstruct
from anonrep.seeds import torch_generator
from anonrep.training import play

TWO = ("trees", "cnn")  # where FEW would take too long
TABLE = ("trees",)  # on K pictures all attackers come down to one table
READER = "raw reader"
SIDES = ("pose", "gaze")  # recorded of a stand-in's frames; attackers tell three sides of them


def with_artificial(data: Dataset, artificial: Dataset) -> Dataset:
    """The data, and after it the images of a person who does not exist, all of them for training."""
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


def train_target(
    data: Dataset,
    artificial: Dataset,
    game: dict,
    lam: float,
    target: int | None,
    *,
    start: str | Path,
    out: str | Path,
    device: str = "auto",
) -> None:
    """Phase (iii) with the discriminator's real images restricted to those of one `target`, then substitution.

    In the place of itself, every image is anchored to its match by the target (`content.matches`): an anchor to itself
    would hold on to who is shown. `artificial`: the images of a person who does not exist, whom `target` may be.
    Without a target: the standard method, where real images are everybody's, and the anchor, if any, the image itself.
    """
    start, out, device, config = Path(start), Path(out), pick_device(device), GameConfig(**game)
    train, templates, held = data.subset("train"), None, None
    if target is not None:
        both = with_artificial(data, artificial)
        templates = both.images[(both.split == 0) & (both.z == target)]
        held = templates[matches(both, content(both, both.attributes["clip"]), target)[: len(train)]]
    watched = np.stack([train.images[0], data.subset("validation").images[0]])
    history, runs = [], []
    for run in read_json(start / "runs.json"):
        seed, collapsed = run["seed"], run["collapsed"]
        if not collapsed:
            players = load_players(start / f"seed-{seed}", device)
            options = {"epochs": config.private_epochs, "config": config, "seed": seed, "device": device}
            outcome = play(players, train, lam=lam, watch=watched, real=templates, anchor=held, **options)
            players.autoencoder, collapsed = outcome.autoencoder, outcome.collapsed
            how = {"lam": lam, "target": target, "seed": seed, "collapsed": collapsed}
            architecture = read_json(start / f"seed-{seed}.json")["architecture"]
            path = out / f"seed-{seed}"
            save_players(path, players, architecture, game=asdict(config), provenance=data.provenance, **how)
            history += [{"seed": seed, **plain(row)} for row in outcome.history]
            with replacing(out / f"snapshots-{seed}.npz") as temporary:
                np.savez_compressed(temporary, snapshots=outcome.snapshots)
        if not collapsed:
            images = reconstruct(players.autoencoder, data.images, device)
            data.released(images, **how).save(out / f"seed-{seed}.npz")
            if target is not None:
                Codebook(templates, substitute(images, templates)).save(out / f"substituted-{seed}.npz")
        runs.append({"lam": lam, "target": target, "seed": seed, "collapsed": collapsed})
    if target is not None:
        Codebook(templates, substitute(data.images, templates)).save(out / "pixels.npz")
    write_json(out / "history.json", history)
    write_json(out / "runs.json", runs)


def train_finite_faces(
    data: Dataset,
    artificial: Dataset,
    config: dict,
    lam: float,
    targets: Sequence[int],
    *,
    out: str | Path,
    seed: int = 0,
) -> None:
    """The finite release on faces, learned on content (`content.content_views`), with its certificate.

    Each code is shown by the image of a target that is nearest in content; which target tells nothing more about who
    is shown, since a picture is a function of its code.
    """
    out, config = Path(out), FiniteConfig(**config)
    architecture = {"height": data.images.shape[1], "width": data.images.shape[2]}
    both = with_artificial(data, artificial)
    found = content(both, both.attributes["clip"])
    how = {"copies": config.copies, "strength": config.jitter, "neighbours": config.neighbours}
    seen = content_views(data, found[: len(data)], **how, generator=torch_generator(seed, "finite views"))
    encoder, history, restarts = learn(features(architecture)[0], seen, lam, config, seed)
    codes, train = used_codes(encoder, data), np.flatnonzero(data.split == 0)
    described = {"lam": lam, "seed": seed, "config": asdict(config), "restarts": restarts}
    save_encoder(out / f"seed-{seed}", encoder, architecture, **described, provenance=data.provenance)
    for target in targets:
        mine = np.flatnonzero((both.split == 0) & (both.z == target))
        chosen = mine[pictures(found[train], codes[train], found[mine])]
        Codebook(both.images[chosen], codes).save(out / f"target-{target}.npz")
    key = {"lam": lam, "seed": seed}
    write_json(out / "history.json", [{**key, "codes": config.codes, **row} for row in history])
    write_json(out / "certificate.json", [certificate(data, codes, **key)])


def certificate(data: Dataset, codes: np.ndarray, **key: object) -> dict:
    """What no classifier exceeds, on test images: a row.

    bound       frames as independent draws: right for new frames of the same clips, as a random split has them
    clip_bound  clips as independent draws: right for new clips
    majority    the share of the person with most test images, which a blind guess reaches
    """
    test = data.split == 2
    codes, z, clips = codes[test], data.z[test], data.attributes["clip"][test]
    return {
        **key,
        "split": data.provenance["split"],
        "used": len(np.unique(codes)),
        "bound": accuracy_bound(codes, z),
        "clip_bound": clip_accuracy_bound(codes, z, clips),
        "information": plug_in_information(codes, z),
        "majority": float(np.bincount(z).max() / len(z)),
        "n": len(z),
        "clips": len(np.unique(clips)),
        "source": data.source,
    }


def in_thirds(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Real values as three sides of equal size among the images of the mask `train`: int64 (N,), 0 to 2."""
    return np.searchsorted(np.quantile(values[train], [1 / 3, 2 / 3]), values)


def judged(data: Dataset) -> tuple[Dataset, list[str]]:
    """The data with SIDES as classes where they are recorded, and the tasks that a release is judged by."""
    sides = {name: in_thirds(data.attributes[name], data.split == 0) for name in SIDES if name in data.attributes}
    data = replace(data, attributes={**data.attributes, **sides})
    return data, [data.provenance["private"], "expression", *sides]


def assess_references(
    data: Dataset, effort: dict, *, standard: str | Path, out: str | Path, device: str = "auto"
) -> None:
    """Raw images and the standard method, without a target: `table.json`, and the raw reader, in the folder `out`."""
    standard, out, device, effort = Path(standard), Path(out), pick_device(device), Effort(**effort)
    reader = NetworkAttacker(epochs=effort.reader_epochs, device=device)
    train = data.subset("train")
    reader.fit(train.images, train.attributes["expression"]).save(out / "reader.safetensors")
    rows = face_rows(data, ("majority", *FEW), reader, effort, target=None, method="raw", seed=None)
    for run in read_json(standard / "runs.json"):
        if not run["collapsed"]:
            release = Dataset.load(standard / f"seed-{run['seed']}.npz")
            rows += face_rows(release, FEW, reader, effort, target=None, method="standard", seed=run["seed"])
    write_json(out / "table.json", rows)


def assess_target(
    data: Dataset,
    effort: dict,
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
    models, device, effort = Path(models), pick_device(device), Effort(**effort)
    reader = NetworkAttacker(device=device).load(models / "references" / "reader.safetensors")
    runs, rows, key = models / f"target-{target}", [], {"target": target}
    for run in read_json(runs / "runs.json"):
        seed = run["seed"]
        if not run["collapsed"]:
            release = Dataset.load(runs / f"seed-{seed}.npz")
            rows += face_rows(release, TWO, reader, effort, **key, method="restricted", seed=seed)
            shown = data.released(Codebook.load(runs / f"substituted-{seed}.npz").release())
            rows += face_rows(shown, FEW, reader, effort, **key, method="substituted", seed=seed)
    finite = models / "finite" / f"target-{target}.npz"
    for method, path, names in (("pixels", runs / "pixels.npz", TWO), ("finite", finite, TABLE)):
        shown = data.released(Codebook.load(path).release())
        rows += face_rows(shown, names, reader, effort, **key, method=method, seed=0)
    write_json(out, rows)


def face_rows(
    release: Dataset, names: Sequence[str], reader: NetworkAttacker, effort: Effort, *, seed: int | None, **key: object
) -> list[dict]:
    """Fresh attackers called `names`, and their committee, on a release: rows of table1.json, led by `key`.

    Beside them, on the expression, `reader`: a network trained on raw images. Sides are told by trees alone.
    """
    release, tasks = judged(release)
    key, rows = {**key, "seed": seed, "split": release.provenance["split"]}, []
    for task in tasks:
        everybody = suite(effort, seed=seed or 0, device=reader.device)
        chosen = TABLE if task in SIDES else names
        found = assess(release, task, {name: everybody[name] for name in chosen})
        rows += [
            {**key, **row, "source": release.source} for row in found if len(chosen) > 1 or row["attacker"] in chosen
        ]
    test = release.subset("test")
    hits, n = int((reader.predict(test.images) == test.attributes["expression"]).sum()), len(test)
    low, high = wilson(hits, n)
    row = {"task": "expression", "attacker": READER, "accuracy": hits / n, "low": low, "high": high, "n": n}
    return [*rows, {**key, **row, "source": release.source}]
