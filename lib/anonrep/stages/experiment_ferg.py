"""The stages on faces as functions: the second method, a game restricted to a target, and what comes after it.

A folder of one target holds what `experiment.train_lambda` leaves for each seed, and two releases of codewords,
the target's training images: `substituted-N.npz`, the nearest to each output, and `pixels.npz`, the nearest to each raw
image. The finite release's folder holds its encoder and a `target-T.npz` for each target that may be shown.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.evaluation.certificate import accuracy_bound, clip_accuracy_bound
from anonrep.evaluation.contingency import plug_in_information
from anonrep.game import GameConfig, play, reconstruct
from anonrep.methods.code_encoder import features, save_encoder, used_codes
from anonrep.methods.codebooks import substitute
from anonrep.methods.content import content, content_views, matches, nearest_codewords
from anonrep.methods.finite import FiniteConfig, learn
from anonrep.stages.checkpoints import load_players, save_players
from anonrep.stages.experiment import pick_device, plain
from anonrep.utils.files import read_json, write_arrays, write_json
from anonrep.utils.seeds import torch_generator


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
            write_arrays(out / f"snapshots-{seed}.npz", data.provenance | how, snapshots=outcome.snapshots)
        if not collapsed:
            images = reconstruct(players.autoencoder, data.images, device)
            data.released(images, **how).save(out / f"seed-{seed}.npz")
            if target is not None:
                book = Codebook(templates, substitute(images, templates))
                book.save(out / f"substituted-{seed}.npz", data.provenance | how)
        runs.append({"lam": lam, "target": target, "seed": seed, "collapsed": collapsed})
    if target is not None:
        book = Codebook(templates, substitute(data.images, templates))
        book.save(out / "pixels.npz", data.provenance | {"target": target})
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
        chosen = mine[nearest_codewords(found[train], codes[train], found[mine])]
        Codebook(both.images[chosen], codes).save(out / f"target-{target}.npz", both.provenance | {"target": target})
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
