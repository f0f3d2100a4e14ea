"""A trained model as it is applied to new images, with its audit.

A model is named by its path without suffix, as `save_encoder` and `save_players` take it. The codewords of a finite
release lie beside it in `path`.npz, and its audit in `path`.audit.json. The audit holds a checksum of its own and those
of the model's files: if a bit flips in any of them, the model counts as unaudited.
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
from anonrep.stages.releases import pick_device
from anonrep.utils.files import read_json, read_sealed

ADVICE = "To train a model of your own again, run notebooks/own_images.ipynb"


@dataclass(frozen=True)
class Anonymiser:
    """A trained model as it is applied.

    apply       uint8 (N, H, W) to indices of codewords (N,), or to redrawn images where there are no codewords
    codewords   uint8 (K, H, W), the only images it releases; None where each image is redrawn by itself
    size        (H, W)
    lam, seed   None where they were not recorded
    collapsed   why the model is no release, or None
    provenance  of the data it was trained on
    sha256      of its files, by name
    """

    apply: Callable[[np.ndarray], np.ndarray]
    codewords: np.ndarray | None
    size: tuple[int, int]
    lam: float | None
    seed: int | None
    collapsed: str | None
    provenance: dict
    sha256: dict[str, str]

    def redraw(self, images: np.ndarray) -> np.ndarray:
        """What is released for each image: uint8 (N, H, W) to the same."""
        found = self.apply(images)
        return found if self.codewords is None else self.codewords[found]

    def facts(self) -> dict:
        """The entry `model` of a privacy card, before any audit."""
        return {
            "kind": "adversarial" if self.codewords is None else "finite",
            "codewords": None if self.codewords is None else len(self.codewords),
            "lam": self.lam,
            "seed": self.seed,
            "sha256": self.sha256,
            "collapsed": self.collapsed,
            "audited": False,
        }


def load(path: str | Path, device: str = "auto") -> Anonymiser:
    """Read a finite or an adversarial model.

    Raises FileNotFoundError or ValueError that names what is missing or damaged, and ValueError for a model of phases
    (i) and (ii), which hides nobody.
    """
    path = stem(path)
    if not Path(f"{path}.json").exists():
        raise FileNotFoundError(f"{path}.json is missing; expected the path of a model without its suffix")
    try:
        return _read(path, pick_device(device))
    except (FileNotFoundError, ValueError) as error:
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"{error}. {ADVICE}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}.json does not describe a model ({error!r}). {ADVICE}") from error


def _read(path: Path, device: str) -> Anonymiser:
    description = read_json(f"{path}.json")
    finite = "codes" in description
    files = [Path(f"{path}.{suffix}") for suffix in ("safetensors", "json", *(["npz"] if finite else []))]
    for file in files:
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing; expected it beside {path.name}.json")
    size = tuple(description["architecture"][side] for side in ("height", "width"))
    if finite:
        apply, codewords = load_encoder(path, device).codes, Codebook.load(f"{path}.npz").images
        if codewords.shape != (description["codes"], *size):
            expected = f"{description['codes']} codewords of {size[0]} x {size[1]} pixels"
            raise ValueError(f"{path}.npz holds {codewords.shape}; expected {expected}, as the model was saved with")
    elif "lam" not in description:
        raise ValueError(f"{path} was prepared and not trained at a lambda: it copies images and hides nobody")
    else:
        autoencoder, codewords = load_players(path, device).autoencoder.eval(), None

        def apply(images: np.ndarray) -> np.ndarray:
            return reconstruct(autoencoder, images, device)

    return Anonymiser(
        apply=apply,
        codewords=codewords,
        size=size,
        lam=description.get("lam"),
        seed=description.get("seed"),
        collapsed=None if finite else description["collapsed"],
        provenance=description["provenance"],
        sha256={file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
    )


def stem(path: str | Path) -> Path:
    """A model's path without the suffix of its weights."""
    return Path(path).with_suffix("") if Path(path).suffix == ".safetensors" else Path(path)


def audited(path: str | Path, model: Anonymiser) -> dict | None:
    """The audit of this model, the facts of a card; None if there is none, or if it is of other files.

    Raises ValueError for an audit that is damaged or was changed.
    """
    file = Path(f"{stem(path)}.audit.json")
    if not file.exists():
        return None
    found = read_sealed(file, "audit the model again, with `anonrep.release.model_audit.audit`")
    # Digests are compared by order, not by name: the files may have been moved and renamed.
    return found if list(found["model"]["sha256"].values()) == list(model.sha256.values()) else None


def change(images: np.ndarray, released: np.ndarray) -> np.ndarray:
    """The mean squared difference between each image, in [0, 1], and its release: uint8 (N, H, W) to (N,)."""
    return np.square((images.astype(np.float32) - released) / 255).mean((1, 2))
