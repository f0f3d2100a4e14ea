"""The finite release as a stage: an encoder and a codebook for every seed and number of codes, at one lambda.

The folder holds `codes-K-seed-N.safetensors` with its JSON, the codebooks, `history.json` (a row every ten steps),
`codebooks.json` (a row a codebook, judged on validation) and `releases.json`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.evaluation.frontier import validation_bound
from anonrep.game import encode
from anonrep.methods.augmentations import View
from anonrep.methods.code_encoder import decode_codewords, features, make_codebook, save_encoder, used_codes
from anonrep.methods.codebooks import second_codes
from anonrep.methods.content import content, content_views, nearest_codewords, similar_runs
from anonrep.methods.finite import FiniteConfig, learn, prepare
from anonrep.networks import Autoencoder
from anonrep.stages.checkpoints import load_players
from anonrep.stages.game import with_artificial
from anonrep.stages.releases import pick_device, row, save_index
from anonrep.utils.files import read_json, write_json
from anonrep.utils.seeds import torch_generator


def release_by_codebook(
    data: Dataset,
    config: Mapping,
    codes: Sequence[int],
    *,
    lam: float,
    targets: Sequence[int] | None = None,
    runs: str = "clips",
    title: str = "finite",
    start: str | Path,
    out: str | Path,
    device: str = "auto",
) -> None:
    """A finite release at one lambda, for every seed prepared in `start` and every number of `codes`, to `out`.

    config   the other fields of `FiniteConfig`
    targets  None: learned on the hidden layer of the autoencoder in `start`, and each code is shown by its decoded
             mean. People: learned on content (`methods.content`), and each code is shown by the image of a target that
             is nearest in content, in a codebook for each target. Which target is shown tells nothing more about the
             person, since a codeword is a function of its index
    runs     what content is learned from, where there are targets: the data's "clips", or by "similarity" the images
             alone (`content.similar_runs`)
    title    what the release is called in tables
    """
    out, config = Path(out), FiniteConfig(**config)
    learned = _on_autoencoders if targets is None else _on_content
    codebooks, history, releases = [], [], []
    options = {"targets": targets, "runs": runs, "start": Path(start), "device": pick_device(device)}
    for seed, k, found in learned(data, config, codes, lam, **options):
        name = f"codes-{k}-seed-{seed}"
        description = {"lam": lam, "seed": seed, "config": vars(config), "restarts": found["restarts"]}
        save_encoder(out / name, found["encoder"], found["architecture"], **description, provenance=data.provenance)
        (chosen,) = [restart for restart in found["restarts"] if restart["chosen"]]
        indices = found["books"][0][2].codes
        key = {"lam": lam, "codes": k, "seed": seed}
        codebooks.append({**key, **chosen, "validation_bound": validation_bound(data, indices)})
        history += [{**key, **values} for values in found["history"]]
        for place, (method, target, book) in enumerate(found["books"]):
            file = f"{name}{'' if target is None else f'-target-{target}'}{'' if method == 'finite' else '-two'}.npz"
            book.save(out / file, data.provenance | key | {"target": target})
            attacked = method == "finite" and k == codes[0]
            certified = targets is None or place == 0  # the certificate is the index's, whichever target shows it
            called = method.replace("finite", title)
            flags = {"attacked": attacked, "certified": certified}
            releases.append(row(called, lam, seed, file, target=target, codes=k, **flags))
    for run in read_json(options["start"] / "runs.json") if targets is None else ():
        if run["collapsed"]:  # there is no autoencoder to learn on
            releases.append(row(title, lam, run["seed"], None, codes=codes[0], collapsed=run["collapsed"]))
    write_json(out / "codebooks.json", codebooks)
    write_json(out / "history.json", history)
    save_index(out, releases)


def _on_autoencoders(
    data: Dataset, config: FiniteConfig, codes: Sequence[int], lam: float, *, start: Path, device: str, **_: object
) -> Iterator[tuple[int, int, dict]]:
    """For every seed and number of codes: the encoder, how it was learned, and its codebooks.

    The second codebook has a code of two beside each code (`codebooks.second_codes`).
    """
    for run in read_json(start / "runs.json"):
        if run["collapsed"]:
            continue
        seed = run["seed"]
        autoencoder = load_players(start / f"seed-{seed}", device).autoencoder.eval()
        architecture, seen = read_json(start / f"seed-{seed}.json")["architecture"], None
        for k in codes:
            seen = seen or prepare(autoencoder, data, config, seed)
            encoder, history, restarts = learn(autoencoder.encoder, seen, lam, replace(config, codes=k), seed)
            book = make_codebook(autoencoder, encoder, data)
            books = [("finite", None, book), ("finite, two codes", None, two_codes(autoencoder, data, book, seed))]
            how = {"encoder": encoder, "architecture": architecture, "history": history, "restarts": restarts}
            yield seed, k, {**how, "books": books}


def two_codes(autoencoder: Autoencoder, data: Dataset, book: Codebook, seed: int) -> Codebook:
    """A codebook with a second code of two beside each code, for what the first leaves."""
    hidden = encode(autoencoder, data.images, autoencoder.mean.weight.device).cpu().numpy()
    return decoded(autoencoder, data, second_codes(book.codes, hidden, data.split == 0, 2, seed))


def decoded(autoencoder: Autoencoder, data: Dataset, codes: np.ndarray) -> Codebook:
    """The indices with a codeword for each, decoded from the mean of its training images."""
    train = data.split == 0
    return Codebook(decode_codewords(autoencoder, data.images[train], codes[train]), codes)


def _on_content(
    data: Dataset,
    config: FiniteConfig,
    codes: Sequence[int],
    lam: float,
    *,
    targets: Sequence[int],
    runs: str,
    device: str,
    seed: int = 0,
    **_: object,
) -> Iterator[tuple[int, int, dict]]:
    """The same on content, for one seed: no autoencoder takes part."""
    architecture = {"height": data.images.shape[1], "width": data.images.shape[2]}
    both = with_artificial(data)
    found = content(both, both.attributes["clip"] if runs == "clips" else similar_runs(both))
    how = {"copies": config.copies, "strength": config.jitter, "neighbours": config.neighbours}
    seen = content_views(data, found[: len(data)], **how, generator=torch_generator(seed, "finite views"))
    seen = {name: View(**{part: value.to(device) for part, value in vars(view).items()}) for name, view in seen.items()}
    train = np.flatnonzero(data.split == 0)
    for k in codes:
        encoder, history, restarts = learn(features(architecture)[0], seen, lam, replace(config, codes=k), seed)
        indices, books = used_codes(encoder, data), []
        for target in targets:
            mine = np.flatnonzero((both.split == 0) & (both.z == target))
            chosen = mine[nearest_codewords(found[train], indices[train], found[mine])]
            books.append(("finite", target, Codebook(both.images[chosen], indices)))
        how = {"encoder": encoder, "architecture": architecture, "history": history, "restarts": restarts}
        yield seed, k, {**how, "books": books}
