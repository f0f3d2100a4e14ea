"""The stages of the finite release as functions: a folder in, a folder out, the seeds of a run one after the other.

A folder of one lambda holds, for each seed, the release `seed-N.npz` at the first number of codes, and for every number
of codes K the encoder `codes-K-seed-N.safetensors` with its JSON and the codebook `codes-K-seed-N.npz`; for all of them
`runs.json` and `history.json` as in `experiment`, and `codebooks.json` (a row a codebook, judged on validation).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.evaluation.frontier import answer, certificate_rows, choose, promise, utility_rows, validation_bound
from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.game import encode
from anonrep.methods.code_encoder import decode_codewords, make_codebook, save_encoder
from anonrep.methods.codebooks import kmeans_codes, medoids, second_codes, substitution_codebook
from anonrep.methods.finite import FiniteConfig, learn, prepare
from anonrep.networks import Autoencoder
from anonrep.stages.checkpoints import load_players
from anonrep.stages.experiment import pick_device
from anonrep.stages.old_results import finite_codebooks, load_codebook
from anonrep.utils.files import read_json, write_json


def train_finite(
    data: Dataset,
    config: dict,
    codes: Sequence[int],
    lam: float,
    *,
    start: str | Path,
    out: str | Path,
    device: str = "auto",
) -> None:
    """A finite release at one lambda, for every seed prepared in `start` and every number of `codes`, to folder `out`.

    `config`: the other fields of `FiniteConfig`. A seed whose preparation collapsed has no autoencoder to learn on.
    """
    if f"{lam:g}" != str(lam):
        raise ValueError(f"lambda {lam!r}: write it as {lam:g}: files are named after it")
    start, out, device = Path(start), Path(out), pick_device(device)
    runs, codebooks, history = [], [], []
    for run in read_json(start / "runs.json"):
        seed = run["seed"]
        runs.append({"lam": lam, "seed": seed, "collapsed": run["collapsed"]})
        if run["collapsed"]:
            continue
        autoencoder = load_players(start / f"seed-{seed}", device).autoencoder.eval()
        numbers = FiniteConfig(**config)
        seen = prepare(autoencoder, data, numbers, seed)
        for k in codes:
            encoder, steps, restarts = learn(autoencoder.encoder, seen, lam, replace(numbers, codes=k), seed)
            codebook = make_codebook(autoencoder, encoder, data)
            key, path = {"lam": lam, "codes": k, "seed": seed}, out / f"codes-{k}-seed-{seed}"
            codebook.save(path.with_suffix(".npz"), data.provenance | key)
            architecture = read_json(start / f"seed-{seed}.json")["architecture"]
            how = {"lam": lam, "seed": seed, "config": config, "restarts": restarts, "provenance": data.provenance}
            save_encoder(path, encoder, architecture, **how)
            (chosen,) = [row for row in restarts if row["chosen"]]
            codebooks.append({**key, **chosen, "validation_bound": validation_bound(data, codebook.codes)})
            history += [{**key, **row} for row in steps]
            if k == codes[0]:
                data.released(codebook.release(), **key).save(out / f"seed-{seed}.npz")
    write_json(out / "runs.json", runs)
    write_json(out / "codebooks.json", codebooks)
    write_json(out / "history.json", history)


def certify_releases(
    data: Dataset,
    kept: str,
    *,
    lambdas: Sequence[float],
    codes: Sequence[int],
    targets: Sequence[int],
    models: str | Path,
    start: str | Path,
    controls: str | Path,
    out: str | Path,
) -> None:
    """The certificate, the attackers and what is kept, for every release of fixed pictures: two JSON files in `out`.

    certificate.json  the finite releases in the folder `models`, by themselves and with a second code; k-means codes
                      and medoids for each number of `codes`; substitution by each of the people `targets`, who stand as
                      its seed (`frontier.certificate_rows`)
    kept.json         the attributes that nobody trained for (`frontier.utility_rows`)
    """
    reader = NetworkAttacker().load(Path(controls) / "reader.safetensors")
    names = [name for name in data.attributes if name != kept]
    certificate, attributes = [], []
    start = Path(start)
    releases = [*_learned(data, models, lambdas, start), *_baselines(data, codes, targets, start)]
    for key, codebook in releases:
        key = {"dataset": data.provenance["dataset"], **key}
        certificate += certificate_rows(data, codebook, reader=reader, key=key)
        attributes += utility_rows(data, codebook, names, key=key)
    write_json(Path(out) / "certificate.json", certificate)
    write_json(Path(out) / "kept.json", attributes)


def _learned(
    data: Dataset, models: str | Path, lambdas: Sequence[float], start: Path
) -> Iterator[tuple[dict, Codebook]]:
    """The finite releases, and each of them again with a second code of two beside its codes."""
    drawn = {}
    for row in finite_codebooks(models, lambdas).to_dict("records"):
        key, book, seed = {"lam": row["lam"], "codebook": row["codes"]}, load_codebook(models, row), row["seed"]
        yield {"method": "finite", **key, "seed": seed}, book
        if seed not in drawn:
            drawn[seed] = _drawing(data, start, seed)
        autoencoder, hidden = drawn[seed]
        pairs = second_codes(book.codes, hidden, data.split == 0, 2, seed)
        yield {"method": "finite, two codes", **key, "seed": seed}, _drawn(autoencoder, data, pairs)


def _baselines(
    data: Dataset, codes: Sequence[int], targets: Sequence[int], start: Path
) -> Iterator[tuple[dict, Codebook]]:
    for seed in [run["seed"] for run in read_json(start / "runs.json") if not run["collapsed"]]:
        autoencoder, hidden = _drawing(data, start, seed)
        for k in codes:
            key = {"lam": None, "codebook": k, "seed": seed}
            found, _ = kmeans_codes(hidden[data.split == 0], hidden, k, seed)
            yield {"method": "k-means", **key}, _drawn(autoencoder, data, found)
            yield {"method": "medoids", **key}, medoids(data, hidden, k, seed)
    for target in targets:
        codebook = substitution_codebook(data, data.images, target)
        yield {"method": "substitution", "lam": None, "codebook": len(codebook), "seed": target}, codebook


def _drawing(data: Dataset, start: Path, seed: int) -> tuple[Autoencoder, np.ndarray]:
    """An autoencoder of phases (i) and (ii), and its hidden layer for every image."""
    autoencoder = load_players(start / f"seed-{seed}").autoencoder.eval()
    return autoencoder, encode(autoencoder, data.images).numpy()


def _drawn(autoencoder: Autoencoder, data: Dataset, codes: np.ndarray) -> Codebook:
    """The codes with a picture of each, from its training images."""
    train = data.split == 0
    return Codebook(decode_codewords(autoencoder, data.images[train], codes[train]), codes)


def answer_all(
    data: Dataset, asked: Sequence[float], *, lambdas: Sequence[float], models: str | Path, out: str | Path
) -> None:
    """For every wanted probability p the release that validation chooses, certified once on test: a JSON file `out`.

    A row a p: lam, codes and seed of the choice (null where there is none), validation_bound, what `frontier.promise`
    found, and the answer in words.
    """
    candidates, rows = finite_codebooks(models, lambdas), []
    if candidates.empty:
        raise ValueError(f"{models} holds no finite release: every preparation collapsed (see runs.json)")
    for p in asked:
        chosen = choose(candidates, p)
        book = None if chosen is None else load_codebook(models, chosen)
        found = promise(data, book, p)
        release = {
            key: None if chosen is None else chosen[key].item() for key in ("lam", "codes", "seed", "validation_bound")
        }
        rows.append({**found, **release, "answer": answer(found, chosen, candidates), "source": data.source})
    write_json(out, rows)
