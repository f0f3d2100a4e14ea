"""FERG-DB as a data set: what it should hold, and how its frames are put into training, validation and test."""

import warnings

import numpy as np
import pandas as pd

from anonrep.data.dataset import SPLITS, Dataset, random_split
from anonrep.data.ferg_format import CHARACTERS, EXPRESSIONS, SIZE
from anonrep.data.ferg_reader import Frames
from anonrep.utils.seeds import numpy_generator

COUNTS = np.array(  # images a character (rows) and expression (columns): 55767
    [
        [1644, 1596, 1116, 1232, 1200, 1469, 1746],
        [2059, 2088, 1255, 1438, 1243, 1506, 1682],
        [1479, 1321, 1858, 1317, 1344, 1475, 1961],
        [1100, 1190, 1018, 1089, 1083, 1034, 1065],
        [1428, 911, 1035, 1140, 941, 1045, 1058],
        [1459, 1465, 1137, 1114, 1128, 1098, 1200],
    ]
)
URL = "https://grail.cs.washington.edu/projects/deepexpr/ferg-2d-db.html"
ORIGINS = {
    "ferg": {
        "url": URL,
        "licence": "for research, on request; the images must not be passed on",
        "citation": (
            "D. Aneja, A. Colburn, G. Faigin, L. Shapiro and B. Mones, "
            "Modeling Stylized Character Expressions via Deep Learning, ACCV 2016"
        ),
    },
    "synthetic": {
        "licence": "MIT, made by this project",
        "citation": "synthetic faces in place of FERG-DB; its characters bear the real ones' names and are others",
    },
}
SPLIT_WAYS = ("clips", "random")


def found(frames: Frames) -> np.ndarray:
    """How many images there are of each character (rows) and expression (columns): int64 (6, 7)."""
    counts = np.zeros(COUNTS.shape, np.int64)
    np.add.at(counts, (frames.character, frames.expression), 1)
    return counts


def count_table(counts: np.ndarray, source: str) -> pd.DataFrame:
    """What was found beside what the data set should hold, for people to read; synthetic data is held to nothing.

    counts  int64 (6, 7), as `found` gives them
    """
    cells = [
        [f"{n}" if source == "synthetic" or n == whole else f"{n} of {whole}" for n, whole in zip(*row, strict=True)]
        for row in zip(counts, COUNTS, strict=True)
    ]
    return pd.DataFrame(cells, index=pd.Index(CHARACTERS, name=source), columns=EXPRESSIONS)


def build(
    frames: Frames,
    *,
    split: str = "clips",
    split_sizes: tuple[int, int, int] = (70, 15, 15),
    seed: int = 0,
    run: int = 50,
    gap: int = 5,
) -> Dataset:
    """Images, private labels (the character, 0 ... 5), attributes and split.

    split        "random": each image by itself, as in the paper; the neighbours of a test image, which look nearly the
                 same, are then in training, and every accuracy is flattered. "clips": whole clips
    split_sizes  proportions of train, validation and test; the paper gives none for this data set
    seed         decides the split alone
    run, gap     where no clips are recorded, as for the real data, runs of at most `run` consecutive frames stay
                 together, and a frame that another split's follows within `gap` numbers is left out

    A character's expression that has another number of images than it should is a warning with the table of counts.
    """
    source = "synthetic" if frames.synthetic else "ferg"
    counts = found(frames)
    if source == "ferg" and (counts != COUNTS).any():
        missing, extra = np.maximum(COUNTS - counts, 0).sum(), np.maximum(counts - COUNTS, 0).sum()
        warnings.warn(
            f"{missing} of the {COUNTS.sum()} images of FERG-DB are missing and {extra} are more than there should be:"
            f"\n{count_table(counts, source).to_string()}",
            stacklevel=2,
        )
    if split not in SPLIT_WAYS:
        raise ValueError(f"split {split!r}; expected one of {', '.join(SPLIT_WAYS)}")
    clips = frames.recorded["clip"] if frames.recorded else runs(frames, run)
    if split == "random":
        parts = random_split(len(frames), tuple(split_sizes), numpy_generator(seed, "split"))
        kept = np.ones(len(frames), bool)
    else:
        parts = clip_split(_cell(frames), clips, split_sizes, numpy_generator(seed, "split"))
        kept = np.ones(len(frames), bool) if frames.recorded else ~too_close(frames, parts, gap)
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
            **ORIGINS[source],
            "counts": {
                name: dict(zip(EXPRESSIONS, row, strict=True))
                for name, row in zip(CHARACTERS, counts.tolist(), strict=True)
            },
            "size": frames.images.shape[1],
            "original_size": SIZE,
            "split": split,
            "split_seed": seed,
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
