"""Other ways to hide the person as a stage: one method at each of its values.

Two kinds: a perturbation of the images (`methods.perturbations`) and a codebook that knows no privacy (CODEBOOKS).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.game import encode
from anonrep.methods.codebooks import kmeans_codes, medoids, substitution_codebook
from anonrep.methods.perturbations import NEED_THE_PERSON, perturb
from anonrep.networks import Autoencoder
from anonrep.stages.checkpoints import load_players
from anonrep.stages.finite import decoded
from anonrep.stages.releases import row, save_index
from anonrep.utils.files import read_json

Hidden = tuple[Autoencoder, np.ndarray]  # an autoencoder of phases (i) and (ii), and its hidden layer for every image


def kmeans(data: Dataset, start: Callable[[], Hidden], k: int, seed: int) -> Codebook:
    """k-means of the hidden layer, each code shown by its decoded mean."""
    autoencoder, hidden = start()
    return decoded(autoencoder, data, kmeans_codes(hidden[data.split == 0], hidden, k, seed)[0])


CODEBOOKS = {  # of a number of codes; `substitution codebook` of a person, whose real images stand for everybody's
    "k-means": kmeans,
    "medoids": lambda data, start, k, seed: medoids(data, start()[1], k, seed),
    "substitution codebook": lambda data, start, target, seed: substitution_codebook(data, data.images, target),
}


def baseline_release(
    data: Dataset, method: str, values: Sequence[float | None], *, start: str | Path, out: str | Path
) -> None:
    """One method at every value, written to the folder `out`.

    Perturbations and substitution do not depend on an autoencoder and are made once, with the first seed prepared in
    `start`; the other codebooks for every seed.
    """
    start, out, releases = Path(start), Path(out), []
    runs = read_json(start / "runs.json")
    once = method not in ("k-means", "medoids")
    for value in values:
        for run in runs[:1] if once else runs:
            seed, collapsed = run["seed"], None if once else run["collapsed"]
            name = f"{'only' if value is None else f'{value:g}'}-{seed}.npz"
            how = {"method": method, "setting": value, "seed": seed}
            if method not in CODEBOOKS:
                people = data.known() if method in NEED_THE_PERSON else data
                people.released(perturb(people, method, value, seed), **how).save(out / name)
                releases.append(row(method, value, seed, name))
                continue
            codes, seed = (None, value) if method == "substitution codebook" else (value, seed)
            if not collapsed:
                book = CODEBOOKS[method](data, lambda seed=seed: _hidden(data, start, seed), value, seed)
                book.save(out / name, data.provenance | how)
                codes = codes or len(book)
            flags = {"attacked": False, "certified": True}
            title = method.removesuffix(" codebook")
            releases.append(row(title, None, seed, name, codes=codes, collapsed=collapsed, **flags))
    save_index(out, releases)


def _hidden(data: Dataset, start: Path, seed: int) -> Hidden:
    autoencoder = load_players(start / f"seed-{seed}").autoencoder.eval()
    return autoencoder, encode(autoencoder, data.images).numpy()
