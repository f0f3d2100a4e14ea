"""Your own images: a demonstration to try everything on, and the training of a finite release in one call.

`image_folder.load_folder` makes the data set before it; `model_audit.audit` judges the model after it and
`folder.release_folder` applies it to new images.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from anonrep.data.dataset import SPLITS, Dataset
from anonrep.data.folder_reader import read
from anonrep.data.image_reader import SYNTHETIC
from anonrep.data.pendigits import render
from anonrep.data.synthetic.pendigits import synthetic_pendigits
from anonrep.data.unipen import parse_unipen
from anonrep.evaluation.attackers import AttackBudget
from anonrep.game import GameConfig
from anonrep.methods.finite import FiniteConfig
from anonrep.release.anonymiser import load
from anonrep.release.folder import as_seen, check_excuses, check_places
from anonrep.reports import plots
from anonrep.stages.experiment import prepare_seeds
from anonrep.stages.experiment_finite import train_finite
from anonrep.utils.files import read_json, whole_folder, write_text


def demonstration(folder: str | Path, *, writers: int = 10, images: int = 60, new: int = 6, seed: int = 0) -> Path:
    """Synthetic handwriting to try everything on, made in `folder` unless it is there; returns where it lies.

    There are `images`, with a folder of so many for each writer, `attributes.csv` with their digits, and `new`: images
    by the same writers that come later. Every image says that it is synthetic, and so does whatever derives from it.
    """
    made = Path(folder) / f"synthetic-{writers}-writers-{images}-and-{new}-images-seed-{seed}"
    if made.exists():
        return made
    digits = parse_unipen(synthetic_pendigits(seed, writers, images + new))
    lines = ["file,digit"]
    with whole_folder(made) as room:
        for digit, image in zip(digits, render(digits), strict=True):
            name, later = f"writer-{digit.writer:02d}/{digit.instance:03d}.png", digit.instance > images
            _write_synthetic(room / ("new" if later else "images") / name, 255 - image)  # black ink on white paper
            lines += [] if later else [f"{name},{digit.label}"]
        write_text(room / "attributes.csv", "\n".join(lines) + "\n")
    return made


def _write_synthetic(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    comment = PngInfo()
    comment.add_text("Comment", f"{SYNTHETIC} handwriting to try things on: drawn by a program, nobody wrote it")
    Image.fromarray(image).save(path, pnginfo=comment)


def train(
    data: Dataset, game: dict, config: dict, codes: int, lam: float, *, seed: int, out: str | Path, device: str = "auto"
) -> Path:
    """Phases (i) and (ii), then a finite release of at most `codes` pictures at `lam`: the path of the model in `out`.

    `game`: fields of `GameConfig`; `config`: those of `FiniteConfig`. Everything is checked before the first step.
    Raises ValueError where something is wrong, and where the preparation collapsed.
    """
    check(data, game, {**config, "codes": codes}, lam)
    out = Path(out)
    prepare_seeds(data, game, [seed], out / "start", device=device)
    train_finite(data, config, [codes], lam, start=out / "start", out=out / "finite", device=device)
    (run,) = read_json(out / "finite" / "runs.json")
    if run["collapsed"]:
        raise ValueError(f"the preparation {run['collapsed']}: there is no model; try another seed or other numbers")
    return out / "finite" / f"codes-{codes}-seed-{seed}"


def check(data: Dataset, game: dict, config: dict, lam: float) -> None:
    """Raise ValueError (TypeError for an unknown number) for what would otherwise come to light after training."""
    GameConfig(**game)
    neighbours = FiniteConfig(**config).neighbours
    if type(lam) not in (int, float) or not lam >= 0 or f"{lam:g}" != str(lam):
        raise ValueError(f"lambda {lam!r}; expected a number from 0, written like 0.5 or 2: files are named after it")
    for part in SPLITS[:2]:
        counts = np.bincount(data.subset(part).z)
        others = int(counts.sum() - counts.max())
        if others < neighbours:
            raise ValueError(
                f"of the {part} images of {len(data)} in all, {others} are by others than the one with most; expected "
                f"{neighbours}, as many as there are `neighbours`: more images, a larger share, or fewer neighbours"
            )


def foresee(
    data: Dataset,
    folder: str | Path,
    new: str | Path,
    out: str | Path,
    budget: dict,
    despite: Collection[str] = (),
    mapping: str | Path = "",
) -> None:
    """Raise ValueError for what would otherwise come to light in the audit or the release, hours later.

    data    the training images, from `folder`;  new  those to release, or ""
    budget  of the audit;  out, despite, mapping  as `folder.release_folder` takes them, with replace
    """
    AttackBudget(**budget)
    check_excuses(despite)
    if not new:
        return
    new, folder = Path(new).expanduser(), Path(folder).expanduser()
    check_places(new, Path(out).expanduser(), Path(mapping).expanduser() if mapping else None, replace=True)
    inside, trained = new.resolve(), folder.resolve()
    if inside == trained or trained in inside.parents or inside in trained.parents:
        raise ValueError(f"{new} and {folder} lie inside one another; expected other images than those to train on")
    reading = data.provenance["reading"]
    found = read(new, size=data.images.shape[1:] if reading["resized"] else None, invert=reading["inverted"])
    if found.images.shape[1:] != data.images.shape[1:]:
        sizes = ("{} x {}".format(*images.shape[1:]) for images in (found.images, data.images))
        raise ValueError("{}: images of {} pixels; expected {}, as those to train on".format(new, *sizes))
    known = {image.tobytes() for image in data.images}
    doubles = [name for name, image in zip(found.names, found.images, strict=True) if image.tobytes() in known]
    if doubles:
        raise ValueError(
            f"{new}: {len(doubles)} of {len(found)} images are among those to train on, {doubles[0]} is the first; "
            "expected others: what is certified is certified of new images"
        )


def couples(data: Dataset, path: str | Path, *, setting: str = "full") -> Figure:
    """The first 24 test images and what the model at `path` releases for them, as their files look."""
    model, images = load(path), data.subset("test").images[:24]
    # Figures take what is bright for ink, and turn it black.
    pairs = [255 - as_seen(part, data.provenance) for part in (images, model.redraw(images))]
    return plots.couples(*pairs, source=data.source, setting=setting)
