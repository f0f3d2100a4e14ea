"""A small project as the pipeline leaves it, made up: digits with lambdas, and faces with targets."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.data.pendigits import Options, build
from anonrep.data.synthetic.pendigits import synthetic_pendigits
from anonrep.data.unipen import parse_unipen
from anonrep.game import reconstruct
from anonrep.methods.code_encoder import CodeEncoder, make_codebook, save_encoder
from anonrep.networks import Players
from anonrep.pipeline.parameters import read
from anonrep.reports.artefacts import Artefacts
from anonrep.stages import paths
from anonrep.stages.checkpoints import save_players
from anonrep.stages.releases import row, save_index
from anonrep.stages.results import KINDS
from anonrep.utils.files import write_arrays, write_json
from anonrep.utils.images import to_tensor
from anonrep.utils.seeds import seeded_initialisation

LAMBDAS, SEEDS = (0, 0.5, 2), {"faithful": (0,), "stabilised": (0, 1), "finite": (0, 1)}
LOST = ("faithful", 2)  # the game of digits that collapsed
TARGETS, LOST_TARGET, SPLITS = (0, 1, 3, 6), 3, ("random", "clips")
WHY = "collapsed in epoch 2 of the privacy phase: the output was all but constant"
DIGITS = parse_unipen(synthetic_pendigits(seed=0, writers=3, digits_per_writer=60))
SHAPE = {"height": 20, "width": 20, "n_private": 3, "hidden": 6, "channels": 4, "adversary_channels": 4}
FOUND = {("private", "cnn"): 0.8, ("private", "svm"): 0.9, ("private", "neighbours"): 0.7, ("utility", "cnn"): 0.95}
READER, UNSEEN = "raw reader", {"people": "unseen"}


def make_project(folder: Path) -> Path:
    """A project in `folder`: parameters, data sets, releases and metrics."""
    releases = {}
    (folder / "dvc.yaml").write_text("stages: {}\n")
    _digits(folder, releases)
    _faces(folder, releases)
    datasets = {"pendigits": {"splits": ["random"]}, "ferg": {"splits": list(SPLITS)}}
    with (folder / "params.yaml").open("w") as file:
        YAML().dump({"setting": "smoke", "datasets": datasets, "releases": releases}, file)
    return folder


def opened() -> dict[str, Artefacts]:
    """What lies in the project that is the working directory, by data set."""
    params = read("params.yaml")
    return {name: Artefacts(name, one["splits"], params["releases"]) for name, one in params["datasets"].items()}


def attacks(data: Dataset, key: dict, factor: float, tasks: dict = FOUND) -> list[dict]:
    """Rows of attackers, of whom the support vectors name the person best; of a reader on faces."""
    rows, names = [], {"private": data.private, "utility": data.utility}
    for (task, attacker), value in tasks.items():
        accuracy = factor * value
        found = {"accuracy": accuracy, "low": accuracy - 0.05, "high": accuracy + 0.05, "n": 45, "m": 1}
        more = {"attackers": 3, "n_train": 90, "information": accuracy, "information_low": 0.1, "information_fano": 0.0}
        more |= {"restarts": 0, "trained": True}
        rows.append({**key, "task": names[task], "attacker": attacker, **found, **more, "knowledge": "release"})
    return [{**one, "source": "synthetic"} for one in rows]


def key(data: Dataset, method: str, setting: float | None, target: int | None, seed: int) -> dict:
    """The columns that name a run."""
    return {
        "dataset": data.provenance["dataset"],
        "split": data.provenance["split"],
        "people": "known",
        "method": method,
        "setting": setting,
        "target": target,
        "seed": seed,
    }


def write_metrics(folder: Path, data: Dataset, splits: dict, unseen: dict | None = None, **rows: list[dict]) -> None:
    """The files that stage `results` writes; `unseen`: what about.json says of unseen people."""
    about = {"dataset": data.provenance["dataset"], "private": data.private, "utility": data.utility}
    about |= {"source": data.source, "n_private": data.n_private, "splits": splits, "unseen": unseen}
    about["chance"] = dict.fromkeys(splits, data.chance(data.private))
    out = folder / paths.metrics_folder(about["dataset"])
    write_json(out / "about.json", about)
    for kind in (*KINDS, "target_accuracy"):
        write_json(out / f"{kind}.json", rows.get(kind, []))


def _digits(folder: Path, releases: dict) -> None:
    data = build(DIGITS, {"source": "synthetic"}, Options(split_sizes=(2, 1, 1)))
    data.save(folder / paths.data_file("pendigits", "random"))
    rows = {kind: [] for kind in KINDS}
    for seed in (0, 1):
        start = folder / paths.start_folder("pendigits-stabilised") / f"seed-{seed}"
        save_players(start, _players(seed), SHAPE | {"variational": False})
        watched = np.stack([data.images[:4], data.images[:4] // 2])
        write_arrays(start.with_name(f"snapshots-{seed}.npz"), data.provenance, snapshots=watched)
        rows["attacks"] += attacks(data, key(data, "raw", None, None, seed), 1.0 - 0.02 * seed)
    rows["attacks"] += attacks(data, key(data, "raw", None, None, 0) | UNSEEN, 0.95)
    for method, seeds in SEEDS.items():
        for lam in LAMBDAS:
            name = f"pendigits-{method}-{lam:g}".replace(".", "_")
            place, index = folder / paths.release_folder(name), []
            releases[name] = {"data": "pendigits", "split": "random", "start": "pendigits-stabilised"}
            releases[name] |= {"method": "finite" if method == "finite" else "game", "options": {"lam": lam}}
            for seed in seeds:
                run, lost = key(data, method, lam, None, seed), (method, lam) == LOST
                make = _finite if method == "finite" else _game
                file, codes = ("codes-8-seed-{}.npz", 8) if method == "finite" else ("seed-{}.npz", None)
                flags = {"codes": codes, "collapsed": WHY if lost else None, "certified": codes is not None}
                index.append(row(method, lam, seed, file.format(seed), **flags))
                rows["runs"].append({**run, "collapsed": WHY if lost else None, "source": "synthetic"})
                if lost:
                    continue
                make(place / file.format(seed), data, lam, seed)
                rows["attacks"] += attacks(data, run, 0.9 - lam / 10 - 0.02 * seed)
                rows["attacks"] += attacks(data, run | UNSEEN, 0.9 - lam / 20) if seed == 0 else []
                natural = {"digit_accuracy": 0.85, "ssim": 0.5, "two_sample_accuracy": 0.6}
                rows["naturalness"].append({**run, **natural, "source": "synthetic"})
                if method == "finite":
                    rows["certificate"] += list(_certified({**run, "codes": 8}, 0.6 - lam / 20 + 0.01 * seed))
                    rows["certificate"] += list(_certified({**run | UNSEEN, "codes": 8}, 0.7 - lam / 20))
                    shown = {"measure": "3 guesses", "value": 0.5, "low": 0.4, "high": 0.6, "n": 45, "who": None}
                    rows["exposure"].append({**run, "codes": 8, **shown, "delta": 0.05, "source": "synthetic"})
                    kept = {"attribute": "aspect", "kind": "R2", "score": 0.4, "chance": 0.0}
                    rows["utility"].append({**run, "codes": 8, **kept, "source": "synthetic"})
            save_index(place, index)
            losses = {"discriminator": 0.6, "fool": 0.7, "private": 1.0, "objective": 1.1}
            losses = {"distortion": 0.5} if method == "finite" else losses
            epochs = [{"seed": seed, "epoch": epoch, **losses} for seed in seeds for epoch in (1, 2)]
            write_json(place / "history.json", epochs)
            if method != "finite":
                watched = np.repeat(data.images[None, :4], 3, axis=0)
                for seed in seeds:
                    write_arrays(place / f"snapshots-{seed}.npz", data.provenance, snapshots=watched)
    rows["target_accuracy"] = [{"answer": "At most 20 % can be had.", "source": "synthetic"}]
    splits = {"random": [int((data.split == part).sum()) for part in range(3)]}
    write_metrics(folder, data, splits, {"people": 2, "images": 40, "chance": 0.55}, **rows)


def _certified(run: dict, bound: float) -> Iterator[dict]:
    for m in (1, 5):
        found = {"m": m, "bound": bound + m / 100, "delta": 0.05, "n": 45, "information_bound": 0.1, "used": 8}
        found |= {"joint_bound": found["bound"] + 0.01, "hits": 20}
        found |= {"best_attacker": 0.2, "attacker": "table", "utility": 0.9, "naturalness": 0.8}
        yield {**run, **found, "validation_bound": bound, "source": "synthetic"}


def _players(seed: int) -> Players:
    """Untrained players whose autoencoder draws something else for everything."""
    players = Players.build(**SHAPE, variational=False, seed=seed)
    players.autoencoder.expand[0].weight.data *= 20
    return players


def _game(path: Path, data: Dataset, lam: float, seed: int) -> None:
    players = _players(10 * LAMBDAS.index(lam) + seed)
    save_players(path.with_suffix(""), players, SHAPE | {"variational": False})
    data.released(reconstruct(players.autoencoder, data.images), lam=lam, seed=seed).save(path)


def _finite(path: Path, data: Dataset, lam: float, seed: int) -> None:
    autoencoder = _players(seed).autoencoder
    with seeded_initialisation(LAMBDAS.index(lam), "head"):
        encoder = CodeEncoder(autoencoder.encoder, autoencoder.mean.in_features, codes=8, units=8)
    for layer in encoder.head:
        layer.momentum = 1.0  # one look at the data sets every scale, or untrained features would have one code
    encoder.train()(to_tensor(data.images))
    make_codebook(autoencoder, encoder.eval(), data).save(path, data.provenance)
    save_encoder(path.with_suffix(""), encoder, SHAPE)  # now without the codes that no image has


def _faces(folder: Path, releases: dict) -> None:
    draw, rows, sizes = np.random.default_rng(0), {"attacks": [], "runs": [], "certificate": []}, {}
    read = {("private", READER): 0.4, ("utility", READER): 0.6}
    for split in SPLITS:
        data = face_data(split, draw)
        data.save(folder / paths.data_file("ferg", split))
        sizes[split] = [int((data.split == part).sum()) for part in range(3)]
        tasks = FOUND | read | {("private", "majority"): 0.2}
        rows["attacks"] += attacks(data, key(data, "raw", None, None, 0), 1, tasks)
        for target in (None, *TARGETS):
            name = f"ferg-{split}-{'standard' if target is None else f'target-{target}'}"
            place, lost = folder / paths.release_folder(name), target == LOST_TARGET
            releases[name] = {"data": "ferg", "split": split, "start": f"ferg-{split}", "method": "game", "options": {}}
            method, why = "standard" if target is None else "restricted", WHY if lost else None
            index = [row(method, 1, 0, "seed-0.npz", target=target, collapsed=why)]
            if not lost:
                data.released(data.images // 2 + 10 * (target or 0)).save(place / "seed-0.npz")
            watched = np.repeat(data.images[None, :2], 3, axis=0)
            write_arrays(place / "snapshots-0.npz", data.provenance, snapshots=watched)
            for other in ("substituted", "pixels") if target is not None else ():
                if not (lost and other == "substituted"):
                    setting = 1 if other == "substituted" else None
                    index.append(row(other, setting, 0, f"{other}.npz", target=target, codes=5))
                    _book(data, draw, 5).save(place / f"{other}.npz", data.provenance)
            save_index(place, index)
            rows["runs"] += [
                {**key(data, one["method"], one["setting"], target, 0), "collapsed": one["collapsed"]} for one in index
            ]
            for place_, one in enumerate(one for one in index if not one["collapsed"]):
                run = key(data, one["method"], one["setting"], target, 0)
                rows["attacks"] += attacks(data, run, 0.9 - place_ / 10 - (target or 0) / 50, FOUND | read)
        name = f"ferg-{split}-finite"
        place, index = folder / paths.release_folder(name), []
        releases[name] = {"data": "ferg", "split": split, "start": f"ferg-{split}", "method": "finite", "options": {}}
        indices = _book(data, draw, 4).codes
        for target in TARGETS:
            file = f"codes-4-seed-0-target-{target}.npz"
            Codebook(draw.integers(0, 256, (4, 12, 12), np.uint8), indices).save(place / file, data.provenance)
            index.append(row("finite", 4, 0, file, target=target, codes=4, certified=target == TARGETS[0]))
            rows["attacks"] += attacks(data, key(data, "finite", 4, target, 0), 0.3, FOUND | read)
        save_index(place, index)
        found = {"codes": 4, "m": 1, "bound": 0.25, "clip_bound": 0.45, "n": 168, "clips": 21, "delta": 0.05, "used": 4}
        found |= {"joint_bound": 0.25, "hits": 32}
        rows["certificate"].append({**key(data, "finite", 4, TARGETS[0], 0), **found, "source": "synthetic"})
    artificial = face_data("random", draw).take(np.arange(56))
    nobody = np.full(len(artificial), 6)
    attributes = artificial.attributes | {"expression": np.arange(56) // 8}
    artificial = Dataset(artificial.images, nobody, attributes, artificial.split * 0, artificial.provenance)
    artificial.save(folder / paths.data_file("ferg", "artificial"))
    write_metrics(folder, data, sizes, **rows)


def face_data(split: str, draw: np.random.Generator) -> Dataset:
    """Eight frames of each person and expression, in two clips."""
    axes = np.meshgrid(np.arange(6), np.arange(7), np.arange(8), indexing="ij")
    z, expression, frame = (axis.ravel() for axis in axes)
    part = np.array([0, 2, 1, 2, 0, 2, 0, 2], np.uint8)[frame]
    attributes = {"expression": expression, "clip": (z * 7 + expression) * 2 + frame // 4}
    provenance = {"dataset": "ferg", "source": "synthetic", "private": "identity", "utility": "expression"}
    provenance |= {"ink": False, "split": split}
    return Dataset(draw.integers(0, 256, (len(z), 12, 12), np.uint8), z, attributes, part, provenance)


def _book(data: Dataset, draw: np.random.Generator, codes: int) -> Codebook:
    return Codebook(draw.integers(0, 256, (codes, 12, 12), np.uint8), draw.integers(0, codes, len(data)))
