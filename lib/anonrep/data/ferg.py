"""FERG-DB as a data set: where it comes from, and how its frames are put into training, validation and test."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from anonrep.data.dataset import SPLITS, Dataset, random_split
from anonrep.data.ferg_reader import CHARACTERS, COUNTS, EXPRESSIONS, SIZE, Frames, read
from anonrep.data.sources import raw_path
from anonrep.data.synthetic import ferg as synthetic
from anonrep.utils.checks import check_fields
from anonrep.utils.seeds import numpy_generator

SPLIT_WAYS = ("clips", "random")
URL = "https://grail.cs.washington.edu/projects/deepexpr/ferg-2d-db.html"
ADVICE = (
    f"FERG-DB is handed out on request alone: ask for it at {URL}, then put its zip, or the folder unpacked from it, "
    "into data/raw/ferg (or into ferg/ in the folder that ANONREP_DATA names)"
)
REAL = {
    "url": URL,
    "licence": "for research, on request; the images must not be passed on",
    "citation": (
        "D. Aneja, A. Colburn, G. Faigin, L. Shapiro and B. Mones, "
        "Modeling Stylized Character Expressions via Deep Learning, ACCV 2016"
    ),
}


@dataclass(frozen=True)
class Options:
    """What `build_splits` is told.

    source       where the images come from: `sources.raw_path`; there is no download
    size         pixels a side
    images       of synthetic faces, about
    artificial   images of the artificial person, about
    split_sizes  proportions of train, validation and test; the paper gives none for this data set
    seed         decides the splits, and the synthetic faces
    run, gap     of the split "clips", where no clips are recorded, as for the real data: runs of at most `run`
                 consecutive frames stay together, and a frame that another part's follows within `gap` numbers is left
                 out
    """

    source: Literal["auto", "raw", "shared", "synthetic"] = "auto"
    size: int = 50
    images: int = 6000
    artificial: int = 420
    split_sizes: tuple[int, int, int] = (70, 15, 15)
    seed: int = 0
    run: int = 50
    gap: int = 5

    def __post_init__(self) -> None:
        check_fields(self, size=(8, 128), images=(COUNTS.size,), artificial=(len(EXPRESSIONS),), run=(1,))


def build_splits(options: Options, splits: Sequence[str], root: str | Path = ".") -> dict[str, Dataset]:
    """The data set in each of the `splits`, and the artificial person of the paper's remark as "artificial".

    Raises what `sources.raw_path` and `ferg_reader.read` raise.
    """
    path = raw_path("ferg", options.source, root, look=_look, advice=ADVICE)
    if path is None:
        path = Path(root, "build", "synthetic", "ferg")
        synthetic.write(path, images=options.images, seed=options.seed)
    frames = read(path, options.size)
    artificial = synthetic.nobody(options.artificial, options.size, options.seed)
    return {**{split: build(frames, split, options) for split in splits}, "artificial": artificial}


def _look(folder: Path) -> Path | None:
    """What to read in `folder`: itself if it holds images, else the first zip."""
    if any(name.endswith(".png") for _, _, names in os.walk(folder, followlinks=True) for name in names):
        return folder
    return next(iter(sorted(folder.glob("*.zip"))), None)


def build(frames: Frames, split: str, options: Options) -> Dataset:
    """Images, private labels (the character, 0 ... 5), attributes and split.

    split  "random": each image by itself, as in the paper; the neighbours of a test image, which look nearly the same,
           are then in training, and every accuracy is flattered. "clips": whole clips

    A character's expression that has another number of images than it should is a warning with the table of counts.
    """
    source = "synthetic" if frames.synthetic else "ferg"
    counts = np.bincount(_cell(frames), minlength=COUNTS.size).reshape(COUNTS.shape)
    if source == "ferg" and (counts != COUNTS).any():
        missing, extra = np.maximum(COUNTS - counts, 0).sum(), np.maximum(counts - COUNTS, 0).sum()
        warnings.warn(
            f"{missing} of the {COUNTS.sum()} images of FERG-DB are missing and {extra} are more than there should be:"
            f"\n{pd.DataFrame(counts.astype(str) + ' of ' + COUNTS.astype(str), CHARACTERS, EXPRESSIONS).to_string()}",
            stacklevel=2,
        )
    clips = frames.recorded["clip"] if frames.recorded else runs(frames, options.run)
    kept = np.ones(len(frames), bool)
    if split == "random":
        parts = random_split(len(frames), options.split_sizes, numpy_generator(options.seed, "split"))
    else:
        parts = clip_split(_cell(frames), clips, options.split_sizes, numpy_generator(options.seed, "split"))
        if not frames.recorded:
            kept = ~too_close(frames, parts, options.gap)
    return Dataset(
        images=frames.images,
        z=frames.character,
        attributes={"expression": frames.expression, "frame": frames.frame, **frames.recorded, "clip": clips},
        split=parts,
        provenance={
            "dataset": "ferg",
            "source": source,
            "private": "identity",
            "utility": "expression",
            "ink": False,
            "sha256": frames.sha256,
            **(REAL if source == "ferg" else synthetic.ORIGIN),
            "counts": {
                name: dict(zip(EXPRESSIONS, row, strict=True))
                for name, row in zip(CHARACTERS, counts.tolist(), strict=True)
            },
            "size": frames.images.shape[1],
            "original_size": SIZE,
            "split": split,
            "split_seed": options.seed,
            "left_out": int((~kept).sum()),
        },
    ).take(kept)


def _cell(frames: Frames) -> np.ndarray:
    """A number for each character and expression: int64 (N,)."""
    return frames.character * len(EXPRESSIONS) + frames.expression


def runs(frames: Frames, most: int) -> np.ndarray:
    """Number the runs of consecutive frames of a character's expression, cut to at most `most` frames: int64 (N,)."""
    cell = _cell(frames)
    fresh = np.r_[True, (np.diff(cell) != 0) | (np.diff(frames.frame) != 1)]
    places = np.arange(len(cell))
    since = places - np.maximum.accumulate(np.where(fresh, places, 0))
    return np.cumsum(since % most == 0) - 1


def clip_split(
    cell: np.ndarray, clips: np.ndarray, sizes: tuple[int, int, int], generator: np.random.Generator
) -> np.ndarray:
    """Put whole clips into train, validation and test: uint8 (N,).

    Clips come in random order, one `cell` after the other, and each goes to the part that is owed most images, so that
    every part has its share of every cell, as far as whole clips allow.
    """
    if min(sizes) <= 0:
        raise ValueError(f"split sizes {sizes}: each of train, validation and test needs at least one image")
    names, first, member, lengths = np.unique(clips, return_index=True, return_inverse=True, return_counts=True)
    part, owed = np.empty(len(names), np.uint8), np.zeros(len(SPLITS))
    for clip in np.lexsort((generator.random(len(names)), cell[first])):
        owed += lengths[clip] * np.array(sizes) / sum(sizes)
        part[clip] = owed.argmax()
        owed[part[clip]] -= lengths[clip]
    if len(np.unique(part)) < len(SPLITS):
        raise ValueError(f"{len(names)} clips do not fill train, validation and test in proportion {sizes}")
    return part[member]


def too_close(frames: Frames, split: np.ndarray, gap: int) -> np.ndarray:
    """Frames that another split's frame follows within `gap` numbers, in the same character's expression: bool (N,)."""
    cell, close = _cell(frames), np.zeros(len(frames), bool)
    for ahead in range(1, gap + 1):
        near = (cell[ahead:] == cell[:-ahead]) & (frames.frame[ahead:] - frames.frame[:-ahead] <= gap)
        close[:-ahead] |= near & (split[ahead:] != split[:-ahead])
    return close
