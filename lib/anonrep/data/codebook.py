"""A codebook: the K images that a release may show, and which of them each image of a data set becomes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage

from anonrep.utils.files import read_arrays, write_arrays


@dataclass(frozen=True)
class Codebook:
    """K codewords (images that may be released), and which of them each image of a data set becomes.

    images  uint8 (K, H, W), the codewords
    codes   int64 (N,), the index of each image's codeword, 0 ... K - 1, in the order of the data set's images
    """

    images: np.ndarray
    codes: np.ndarray

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 3:
            raise ValueError(f"codewords are {self.images.dtype} {self.images.shape}; expected uint8 (K, H, W)")
        if self.codes.dtype != np.int64 or self.codes.ndim != 1:
            raise ValueError(f"codes are {self.codes.dtype} {self.codes.shape}; expected int64 (N,)")
        if len(self.codes) and not 0 <= self.codes.min() <= self.codes.max() < len(self):
            found = f"{self.codes.min()} to {self.codes.max()}"
            raise ValueError(f"codes run from {found} beside {len(self)} codewords; expected 0 to {len(self) - 1}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def counts(self) -> np.ndarray:
        """How many images become each codeword: int64 (K,), sums to N."""
        return np.bincount(self.codes, minlength=len(self))

    @property
    def used(self) -> int:
        """How many of the K codewords at least one image becomes."""
        return int(np.count_nonzero(self.counts))

    def release(self) -> np.ndarray:
        """What is released for each image: uint8 (N, H, W), for `Dataset.released`."""
        return self.images[self.codes]

    def take(self, index: np.ndarray) -> "Codebook":
        """The same codewords, with the codes of the images at `index` (integers or a mask) alone."""
        return Codebook(self.images, self.codes[index])

    def save(self, path: str | Path, provenance: Mapping) -> None:
        """Write one npz without pickle; the same codebook gives the same bytes. `provenance`: of the images shown."""
        write_arrays(path, provenance, images=self.images, codes=self.codes)

    @classmethod
    def load(cls, path: str | Path) -> "Codebook":
        """Read what `save` wrote; a missing or damaged file is named."""
        return read_arrays(path, "codebook", lambda arrays: cls(arrays["images"], arrays["codes"]))


def ordered(images: np.ndarray) -> np.ndarray:
    """An order that puts similar codewords side by side: int64 (K,), for images uint8 (K, H, W).

    The leaves of a tree of average linkage over pixel distances, turned so that neighbours are as near as the tree
    allows (Bar-Joseph, Gifford and Jaakkola, 2001). For hundreds of images, not for thousands.
    """
    if len(images) < 2:
        return np.arange(len(images))
    tree = linkage(images.reshape(len(images), -1).astype(float), "average", optimal_ordering=True)
    return leaves_list(tree).astype(np.int64)


def usage(codes: np.ndarray, z: np.ndarray, n_codes: int, n_private: int) -> np.ndarray:
    """How each person's images are spread over the codes: float64 (K, |Z|), shares; a column sums to 1.

    Equal columns tell nothing about who is shown. A person without images has a column of zeros.
    """
    for name, values, n in (("codes", codes, n_codes), ("private labels", z, n_private)):
        if len(values) and not 0 <= values.min() <= values.max() < n:
            raise ValueError(f"{name} run from {values.min()} to {values.max()}; expected 0 to {n - 1}")
    table = np.bincount(codes * n_private + z, minlength=n_codes * n_private).reshape(n_codes, n_private)
    return table / np.maximum(table.sum(0), 1)
