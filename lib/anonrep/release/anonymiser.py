"""A trained model as it is applied to new images, with what an audit found of it.

A model is named by its path without suffix, as `save_encoder` and `save_players` take it; a finite release has its
pictures beside it, `path`.npz, and what an audit found lies in `path`.audit.json, with its own checksum and those of
the model's files: a bit that flips in any of them undoes the audit.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anonrep.data.codebook import Codebook
from anonrep.game import reconstruct
from anonrep.methods.code_encoder import load_encoder
from anonrep.stages.checkpoints import load_players
from anonrep.stages.experiment import pick_device
from anonrep.utils.files import read_json, read_sealed

ADVICE = "A model of your own is made again by notebooks/own_images.ipynb"


@dataclass(frozen=True)
class Anonymiser:
    """A trained model as it is applied.

    apply       uint8 (N, H, W) to codes (N,), or to redrawn images where there are no fixed pictures
    pictures    uint8 (K, H, W), those that may be released; None where each image is redrawn by itself
    size        (H, W)
    lam, seed   None where they are not recorded
    collapsed   why the run is over, or None
    provenance  of the data it was trained on
    sha256      of its files, by their names
    """

    apply: Callable[[np.ndarray], np.ndarray]
    pictures: np.ndarray | None
    size: tuple[int, int]
    lam: float | None
    seed: int | None
    collapsed: str | None
    provenance: dict
    sha256: dict[str, str]

    def redraw(self, images: np.ndarray) -> np.ndarray:
        """What is released for each image: uint8 (N, H, W) to the same."""
        found = self.apply(images)
        return found if self.pictures is None else self.pictures[found]

    def facts(self) -> dict:
        """The entry `model` of a privacy card, before any audit."""
        return {
            "kind": "adversarial" if self.pictures is None else "finite",
            "pictures": None if self.pictures is None else len(self.pictures),
            **{"lam": self.lam, "seed": self.seed, "sha256": self.sha256},
            **{"collapsed": self.collapsed, "audited": False},
        }


def load(path: str | Path, device: str = "auto") -> Anonymiser:
    """Read a finite or an adversarial model. Raises ValueError for one of phases (i) and (ii), which hides nothing.

    What is missing or damaged is named in a FileNotFoundError or a ValueError.
    """
    path = stem(path)
    if not Path(f"{path}.json").exists():
        raise FileNotFoundError(f"{path}.json is missing; expected a model by its path without suffix")
    try:
        return _read(path, pick_device(device))
    except (FileNotFoundError, ValueError) as error:
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"{error}. {ADVICE}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}.json does not describe a model ({error!r}). {ADVICE}") from error


def _read(path: Path, device: str) -> Anonymiser:
    description = read_json(f"{path}.json")
    for kind in ("safetensors", "npz") if "codes" in description else ("safetensors",):
        if not Path(f"{path}.{kind}").exists():
            raise FileNotFoundError(f"{path}.{kind} is missing; expected it beside {path.name}.json")
    size = tuple(description["architecture"][side] for side in ("height", "width"))
    common = {"size": size, "provenance": description["provenance"]}
    if "codes" in description:
        encoder, pictures = load_encoder(path, device), Codebook.load(f"{path}.npz").images
        if len(pictures) != description["codes"] or pictures.shape[1:] != size:
            found = f"pictures {pictures.shape} for {description['codes']} codes of images {size}"
            raise ValueError(f"{path}.npz: {found}; expected those the encoder was saved with: train again")
        run = {name: description.get(name) for name in ("lam", "seed")}
        run |= {"collapsed": None, "sha256": _digests(path, "safetensors", "json", "npz")}
        return Anonymiser(apply=encoder.codes, pictures=pictures, **run, **common)
    if "lam" not in description:
        raise ValueError(f"{path} was prepared and not trained at a lambda: it copies images and hides nobody")
    autoencoder = load_players(path, device).autoencoder.eval()
    run = {name: description[name] for name in ("lam", "seed", "collapsed")}
    run["sha256"] = _digests(path, "safetensors", "json")
    return Anonymiser(apply=lambda images: reconstruct(autoencoder, images, device), pictures=None, **run, **common)


def stem(path: str | Path) -> Path:
    """A model's path without the suffix of its weights."""
    return Path(path).with_suffix("") if Path(path).suffix == ".safetensors" else Path(path)


def _digests(path: Path, *kinds: str) -> dict[str, str]:
    files = [Path(f"{path}.{kind}") for kind in kinds]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def audited(path: str | Path, model: Anonymiser) -> dict | None:
    """What the audit of this very model found, the facts of a card; None without one, or if it was of other files.

    Raises ValueError for an audit that is damaged or was changed.
    """
    file = Path(f"{stem(path)}.audit.json")
    if not file.exists():
        return None
    found = read_sealed(file, "audit the model again, with `anonrep.release.model_audit.audit`")
    # By their order, not by their names: the files may have been moved.
    return found if list(found["model"]["sha256"].values()) == list(model.sha256.values()) else None


def change(images: np.ndarray, released: np.ndarray) -> np.ndarray:
    """The mean squared difference of each image, in [0, 1], and what is released for it: uint8 (N, H, W) to (N,)."""
    return np.square((images.astype(np.float32) - released) / 255).mean((1, 2))
