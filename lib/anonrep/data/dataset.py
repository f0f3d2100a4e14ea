"""A labelled image data set: what the game trains on, what a release is, what attackers are given."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anonrep.utils.files import read_arrays, write_arrays
from anonrep.utils.seeds import numpy_generator

SPLITS = ("train", "validation", "test")
UNSEEN = len(SPLITS)  # in the place of a split: images of people who took part in nothing


@dataclass(frozen=True)
class Dataset:
    """N grey images with their private labels.

    images      uint8 (N, H, W), 0 background and 255 ink, or, where not `ink`, 0 black and 255 white
    z           int64 (N,), the private label, 0 ... |Z| - 1
    attributes  named int64 or float64 (N,); used to judge a release, never to train one
    split       uint8 (N,), index into SPLITS; or UNSEEN, for people who took part in nothing: they come after all
                others, in the order of images and of z
    provenance  JSON-able, and kept by whatever derives from the data: dataset, source, private (the name of z), utility
                (the attribute that a release should keep, where there is one), split (the way in which images were put
                into train, validation and test), sha256, counts, licence ...
    """

    images: np.ndarray
    z: np.ndarray
    attributes: dict[str, np.ndarray]
    split: np.ndarray
    provenance: dict

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 3:
            raise ValueError(f"images are {self.images.dtype} {self.images.shape}; expected uint8 (N, H, W)")
        columns = {"z": self.z, "split": self.split, **self.attributes}
        wrong = {name: value.shape for name, value in columns.items() if value.shape != (len(self.images),)}
        if wrong:
            raise ValueError(f"{wrong} beside {len(self.images)} images; expected one value an image")
        if len(self.z) and (self.z.min() < 0 or self.split.max() > UNSEEN):
            raise ValueError(
                "private labels start at 0 and splits are 0 (train), 1 (validation), 2 (test) and 3 (unseen)"
            )
        unseen = self.split == UNSEEN
        if unseen.any() and (unseen[:-1] > unseen[1:]).any() | (self.z[unseen].min() < self.n_private):
            raise ValueError("unseen people among the others; expected them last, with the last private labels")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def source(self) -> str:
        """Where the images come from in a word, e.g. "uci" or "synthetic"; every result row repeats it."""
        return self.provenance["source"]

    @property
    def private(self) -> str:
        """The name of the private label z, e.g. "writer"."""
        return self.provenance["private"]

    @property
    def utility(self) -> str | None:
        """The name of the attribute that a release should keep, e.g. "digit"; None where none is named."""
        return self.provenance.get("utility")

    def task(self, name: str) -> np.ndarray:
        """The labels (N,) of the private label or of an attribute, by its name. KeyError names what there is."""
        columns = {self.provenance.get("private"): self.z, **self.attributes}
        if name not in columns:
            raise KeyError(f"no task {name!r}: the data set has {', '.join(map(str, columns))}")
        return columns[name]

    def chance(self, task: str) -> float:
        """The accuracy of always naming the commonest label of a task: its share of all images, at least 1/|Z|."""
        counts = np.unique(self.task(task)[self.split != UNSEEN], return_counts=True)[1]
        return float(counts.max() / counts.sum())

    @property
    def ink(self) -> bool:
        """Whether 255 is ink, to be shown black on white; else it is light."""
        return self.provenance.get("ink", True)

    @property
    def balanced(self) -> bool:
        """Whether everybody was asked for equally many images of each kind, so that counts vary less than by chance."""
        return self.provenance.get("balanced", False)

    @property
    def n_private(self) -> int:
        """|Z|, the number of private classes; unseen people are none of them."""
        return int(self.z[self.split != UNSEEN].max(initial=-1)) + 1

    @property
    def p_z(self) -> np.ndarray:
        """The empirical marginal of the private label (paper, below eq. 15): float64 (|Z|,), sums to 1."""
        z = self.z[self.split != UNSEEN]
        return np.bincount(z, minlength=self.n_private) / len(z)

    def subset(self, split: str) -> "Dataset":
        """The images of one split, in their order."""
        return self.take(np.flatnonzero(self.split == SPLITS.index(split)))

    def known(self) -> "Dataset":
        """The data without unseen people: what a game is trained on and what most judges are given."""
        return self.take(self.split != UNSEEN)

    def unseen(self, sizes: tuple[int, int, int] = (45, 10, 45)) -> "Dataset | None":
        """The unseen people as a data set of their own, whom judges take like others; None where there are none.

        Their private labels start at 0, and their images are put into train, validation and test at random, always the
        same way: attackers learn from some of their images and are tried on others.
        """
        part = self.take(self.split == UNSEEN)
        if not len(part):
            return None
        z = np.unique(part.z, return_inverse=True)[1].astype(np.int64)
        return replace(part, z=z, split=random_split(len(part), sizes, numpy_generator(0, "unseen people")))

    def take(self, index: np.ndarray) -> "Dataset":
        """The images at `index` (integers or a mask), with everything that belongs to them."""
        attributes = {name: value[index] for name, value in self.attributes.items()}
        return replace(self, images=self.images[index], z=self.z[index], attributes=attributes, split=self.split[index])

    def released(self, images: np.ndarray, **how: object) -> "Dataset":
        """The same people with other images: a release. `how` joins the provenance."""
        return replace(self, images=images, provenance={**self.provenance, **how})

    def save(self, path: str | Path) -> None:
        """Write one npz without pickle; the same data set gives the same bytes."""
        attributes = {f"attribute/{name}": value for name, value in self.attributes.items()}
        write_arrays(path, self.provenance, images=self.images, z=self.z, split=self.split, **attributes)

    @classmethod
    def load(cls, path: str | Path) -> "Dataset":
        """Read what `save` wrote; a missing or damaged file is named."""
        return read_arrays(path, "data set", cls._of)

    @classmethod
    def _of(cls, arrays: dict) -> "Dataset":
        own = {name: arrays.pop(name) for name in ("images", "z", "split", "provenance")}
        return cls(**own, attributes={name.removeprefix("attribute/"): value for name, value in arrays.items()})


def random_split(n: int, sizes: tuple[int, int, int], generator: np.random.Generator) -> np.ndarray:
    """Put n images into train, validation and test at random: uint8 (n,).

    `sizes` are the paper's counts; when they do not add up to n they are taken as proportions of it.
    """
    if min(sizes) <= 0:
        raise ValueError(f"split sizes {sizes}: each of train, validation and test needs at least one image")
    bounds = np.round(np.cumsum(sizes) * n / sum(sizes)).astype(int)
    split = np.empty(n, np.uint8)
    for index, part in enumerate(np.split(generator.permutation(n), bounds[:-1])):
        split[part] = index
    return split
