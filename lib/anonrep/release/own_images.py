"""Your own images: a demonstration to try everything on, a preflight check, and the training of a finite release.

`image_folder.load_folder` makes the data set first. `model_audit.audit` judges the model afterwards, and
`folder.release_folder` applies it to new images.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from anonrep.data.dataset import SPLITS, Dataset
from anonrep.data.image_files import SYNTHETIC
from anonrep.data.pendigits import render
from anonrep.data.synthetic.pendigits import synthetic_pendigits
from anonrep.data.unipen import parse_unipen
from anonrep.evaluation.attackers import AttackBudget
from anonrep.game import GameConfig
from anonrep.methods.finite import FiniteConfig
from anonrep.release.anonymiser import load
from anonrep.release.folder import as_seen, check_apart, check_force, check_places, png, read_as
from anonrep.stages.finite import release_by_codebook
from anonrep.stages.game import prepare_seeds
from anonrep.utils.files import read_json, whole_folder, write_bytes, write_text


def demonstration(folder: str | Path, *, writers: int = 10, images: int = 60, new: int = 6, seed: int = 0) -> Path:
    """Synthetic handwriting to try everything on, made in `folder` unless it exists; returns its path.

    It holds `images` with a folder of so many for each writer, `attributes.csv` with their digits, and `new` with later
    images by the same writers. Every image says that it is synthetic, and so does whatever derives from it.
    """
    made = Path(folder) / f"synthetic-{writers}-writers-{images}-and-{new}-images-seed-{seed}"
    if made.exists():
        return made
    digits, lines = parse_unipen(synthetic_pendigits(seed, writers, images + new)), ["file,digit"]
    with whole_folder(made) as room:
        for digit, image in zip(digits, render(digits), strict=True):
            name, later = f"writer-{digit.writer:02d}/{digit.instance:03d}.png", digit.instance > images
            paper = 255 - image  # black ink on white
            write_bytes(room / ("new" if later else "images") / name, png(paper, comment=f"{SYNTHETIC} handwriting"))
            lines += [] if later else [f"{name},{digit.label}"]
        write_text(room / "attributes.csv", "\n".join(lines) + "\n")
    return made


def train(
    data: Dataset, game: dict, config: dict, codes: int, lam: float, *, seed: int, out: str | Path, device: str = "auto"
) -> Path:
    """Phases (i) and (ii), then a finite release of at most `codes` codewords at `lam`: the path of the model in `out`.

    `game`: fields of `GameConfig`; `config`: fields of `FiniteConfig`. Everything is checked before the first step.
    Raises ValueError where something is wrong, and where the preparation collapsed.
    """
    check(data, game, {**config, "codes": codes}, lam)
    out = Path(out)
    prepare_seeds(data, game, [seed], out / "start", device=device)
    (run,) = read_json(out / "start" / "runs.json")
    if run["collapsed"]:
        raise ValueError(f"the preparation {run['collapsed']}: there is no model; try another seed or other numbers")
    release_by_codebook(data, config, [codes], lam=lam, start=out / "start", out=out / "finite", device=device)
    return out / "finite" / f"codes-{codes}-seed-{seed}"


def check(data: Dataset, game: dict, config: dict, lam: float) -> None:
    """Raise ValueError (TypeError for an unknown name) for numbers that would only fail after training."""
    GameConfig(**game)
    neighbours = FiniteConfig(**config).neighbours
    if type(lam) not in (int, float) or not lam >= 0:
        raise ValueError(f"lambda {lam!r}; expected a number from 0")
    for part in SPLITS[:2]:
        counts = np.bincount(data.subset(part).z)
        others = int(counts.sum() - counts.max())
        if others < neighbours:
            raise ValueError(
                f"of the {part} images, {others} are not of the person with most; expected at least {neighbours}, "
                "the number of `neighbours`: take more images, a larger share or fewer neighbours"
            )


def preflight(
    data: Dataset,
    folder: str | Path,
    new: str | Path,
    out: str | Path,
    budget: dict,
    force: Collection[str] = (),
    mapping: str | Path = "",
) -> None:
    """Raise ValueError for what would otherwise fail hours later, in the audit or in the release.

    data    the training images, from `folder`
    new     the folder of images to release, or ""
    budget  of the audit
    out, force, mapping  as `folder.release_folder` takes them, with replace=True
    """
    AttackBudget(**budget)
    check_force(force)
    if not new:
        return
    new, folder = Path(new).expanduser(), Path(folder).expanduser()
    check_places(new, Path(out).expanduser(), Path(mapping).expanduser() if mapping else None, replace=True)
    check_apart(new, folder, "other images than the training images")
    found = read_as(data.provenance, data.images.shape[1:], new)
    known = {image.tobytes() for image in data.images}
    doubles = [name for name, image in zip(found.names, found.images, strict=True) if image.tobytes() in known]
    if doubles:
        raise ValueError(
            f"{new}: {len(doubles)} of {len(found)} images are training images, {doubles[0]} is the first; expected "
            "other images: the certificate holds for new ones"
        )


def before_and_after(data: Dataset, path: str | Path, n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """The first n test images and what the model at `path` releases for them, as their files look: uint8 (n, H, W)."""
    model, images = load(path), data.subset("test").images[:n]
    return as_seen(images, data.provenance), as_seen(model.redraw(images), data.provenance)
