"""Scikit-learn's 8 x 8 digits with a made-up private label: a data set that tests add as `anonrep.data.eights`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from anonrep.data.dataset import Dataset, random_split
from anonrep.utils.checks import check_fields

SPLIT_WAYS = ("random",)
INK = np.array([105, 155, 205, 255])  # of 255, for each of four hands that nobody has


@dataclass(frozen=True)
class Options:
    """`images` of them, in three parts; `seed` decides the hands and the split."""

    images: int = 600
    split_sizes: tuple[int, int, int] = (400, 100, 100)
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, images=(100, 1797))


def build_splits(options: Options, splits: Sequence[str], root: str | Path = ".") -> dict[str, Dataset]:
    """The one split; nothing is read from `root`."""
    digits = load_digits()
    draw = np.random.default_rng(options.seed)
    hand = draw.integers(0, len(INK), options.images)
    images = (digits.images[: options.images] / 16 * INK[hand, None, None]).round().astype(np.uint8)
    facts = {"dataset": "eights", "source": "synthetic", "private": "hand", "utility": "digit", "split": "random"}
    split = random_split(options.images, options.split_sizes, draw)
    return {"random": Dataset(images, hand, {"digit": digits.target[: options.images].astype(np.int64)}, split, facts)}
