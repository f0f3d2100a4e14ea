"""Releases that need no game: noise, blur, coarse pixels, erased directions, averages over people, substitution.

All take a data set and return uint8 (N, H, W) in its order, for `Dataset.released`. What is fitted is fitted to
training images alone. Only `k_same` uses the private label of every image: to average over people one must know them,
so that it cannot be applied to unseen people.
"""

import numpy as np
import torch
from concept_erasure import LeaceEraser
from scipy.ndimage import gaussian_filter
from sklearn.metrics import pairwise_distances_argmin

from anonrep.data.dataset import Dataset
from anonrep.methods.codebooks import substitution_codebook
from anonrep.utils.seeds import numpy_generator


def gaussian_noise(data: Dataset, sigma: float, seed: int) -> np.ndarray:
    """White noise of standard deviation `sigma`, as a share of full ink, clipped to what 8 bits hold.

    `sigma` only scales the noise of a seed: an attacker who knows the seed can subtract most of it.
    """
    # Drawn image by image: unseen people, who come last, change nobody's noise.
    noise = numpy_generator(seed, "gaussian noise").standard_normal(data.images.shape, np.float32)
    return _eight_bits(data.images + 255 * _in_range("sigma", sigma, 0, whole=False) * noise)


def gaussian_blur(data: Dataset, sigma: float) -> np.ndarray:
    """Each pixel becomes the mean around it, weighted by a Gaussian of `sigma` pixels; outside the image is 0."""
    sigmas = (0, _in_range("sigma", sigma, 0, whole=False), sigma)  # never across images
    return _eight_bits(gaussian_filter(data.images.astype(np.float32), sigmas, mode="constant"))


def pixelate(data: Dataset, block: int) -> np.ndarray:
    """Each pixel becomes the mean of its block of `block` x `block` pixels; blocks at the far edges are cut off."""
    block = _in_range("block", block, 1)
    values = data.images.astype(np.float64)
    for axis in (1, 2):
        starts = np.arange(0, values.shape[axis], block)
        widths = np.diff(starts, append=values.shape[axis])
        shape = [-1 if i == axis else 1 for i in range(3)]
        means = np.add.reduceat(values, starts, axis) / widths.reshape(shape)
        values = np.repeat(means, widths, axis)
    return _eight_bits(values)


def without_identity(data: Dataset, directions: int) -> np.ndarray:
    """The image without the `directions` directions in which people's means differ most, relative to within people.

    Linear discriminant analysis among the principal components (fisherfaces; Belhumeur et al., 1997): all components
    that vary, at most as many as images less people. After whitening, the directions are the principal ones of people's
    means. Along them every image is set to the mean of all. All |Z| - 1 directions together are what LEACE without
    shrinkage removes.

    This hides what a linear attacker reads in these directions, except for what rounding and clipping bring back. It
    does not hide how a person's images differ from their mean: a scatter, a curve, a product of two pixels.
    """
    x, train = _pixels(data), data.split == 0
    people, counts = np.unique(data.z[train], return_counts=True)
    directions = _in_range("directions", directions, 0, len(people) - 1)
    centred = x - x[train].mean(0)
    variances, axes = np.linalg.eigh(centred[train].T @ centred[train] / train.sum())
    varying = np.flatnonzero(variances > 1e-10 * variances[-1])[-max(1, train.sum() - len(people)) :]
    std, axes = np.sqrt(variances[varying]), axes[:, varying]
    white = centred @ axes / std
    means = np.stack([white[train & (data.z == person)].mean(0) for person in people])
    identity = np.linalg.svd(np.sqrt(counts)[:, None] * means, full_matrices=False)[2][:directions].T
    erased = x - (white @ identity) @ (identity.T * std @ axes.T)
    return _eight_bits(erased.reshape(data.images.shape))


def erase(data: Dataset) -> np.ndarray:
    """LEACE (Belrose et al., 2023): the least change of x after which no linear classifier finds z: float64 (N, H * W).

    It is exact on the training images, to which it is fitted: every person's mean becomes the mean of all, and the best
    linear classifier is at chance. On other images it holds approximately. The values leave [0, 255]: `leace` is what
    can be released.
    """
    x, train = torch.from_numpy(_pixels(data)), data.split == 0
    z = torch.nn.functional.one_hot(torch.from_numpy(data.z)[train]).double()
    # Their defaults trade exactness for stability, which float64 does not need.
    return LeaceEraser.fit(x[train], z, svd_tol=1e-8, constrain_cov_trace=False)(x).numpy()


def leace(data: Dataset) -> np.ndarray:
    """`erase`, mapped to 8 bits by one affine map from the range of the training images: white paper turns grey.

    An affine map keeps LEACE's guarantee, and rounding costs little. Clipping would cost much: it is not linear, and on
    black and white images it brings back most of what a linear attacker found.
    """
    erased, train = erase(data), data.split == 0
    low, high = erased[train].min(), erased[train].max()
    return _eight_bits((erased - low) * (255 / max(high - low, 1e-9))).reshape(data.images.shape)


def k_same(data: Dataset, k: int) -> np.ndarray:
    """k-Same (Newton, Sweeney and Malin, 2005): averages over similar images of k people, group by group.

    Within each split the first image left and the nearest images of k - 1 other people, one each, Euclidean over the
    pixels, become their average. When fewer than k people have images left, these join the groups of nearest average.
    Every released image then stands for at least k people: an attacker who holds it and the originals of its group is
    right with probability 1/k at best, or with the person's share of the group where images have joined. Not covered
    are several images of one person (in the original everybody has one), and what the choice of a group tells. Nothing
    is fitted: the one who releases must know the person in every image.
    """
    people = [len(np.unique(data.z[data.split == split])) for split in np.unique(data.split)]
    k, released = _in_range("k", k, 1, min(people, default=1)), np.empty_like(data.images)
    for split in np.unique(data.split):
        here = data.split == split
        groups = _groups(_pixels(data)[here], data.z[here], k)
        released[here] = _averages(data.images[here], groups)
    return released


def _groups(x: np.ndarray, z: np.ndarray, k: int) -> np.ndarray:
    """The nearest images of k people at a time: x (n, d) whole numbers, z (n,) to groups int64 (n,), from 0."""
    groups, lengths = np.full(len(x), -1), np.einsum("nd,nd->n", x, x)
    while len(np.unique(z[left := np.flatnonzero(groups < 0)])) >= k:
        # Exact, in whichever order BLAS adds: whole numbers far below 2^53. No other image is nearer than the first.
        distances = np.where(left == left[0], -np.inf, lengths[left] - 2 * (x @ x[left[0]])[left])
        order = left[np.argsort(distances, kind="stable")]
        nearest = np.sort(np.unique(z[order], return_index=True)[1])  # the first place of each person in that order
        groups[order[nearest[:k]]] = groups.max() + 1
    if len(left):
        means = np.stack([x[groups == group].mean(0) for group in range(groups.max() + 1)])
        groups[left] = pairwise_distances_argmin(x[left], means)
    return groups


def _averages(images: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Each image's group average: uint8 (n, H, W) and int64 (n,) to uint8 (n, H, W)."""
    totals = np.zeros((groups.max() + 1, *images.shape[1:]))
    np.add.at(totals, groups, images)
    return _eight_bits(totals / np.bincount(groups)[:, None, None])[groups]


def _pixels(data: Dataset) -> np.ndarray:
    """Whole numbers in float64 (N, H * W)."""
    return data.images.reshape(len(data), -1).astype(np.float64)


def _eight_bits(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _in_range(name: str, value: float, least: float, most: float = np.inf, *, whole: bool = True) -> float:
    """`value`, if it can be used; as an int where it has to be `whole`."""
    if not (least <= value <= most and np.isfinite(value)) or (whole and value != int(value)):
        kind, above = "a whole number" if whole else "a number", "or more" if most == np.inf else f"to {most}"
        raise ValueError(f"{name} is {value}; expected {kind}, {least} {above}")
    return int(value) if whole else value


NEED_THE_PERSON = ("k_same",)
METHODS = {
    "gaussian_noise": gaussian_noise,
    "gaussian_blur": lambda data, sigma, seed: gaussian_blur(data, sigma),
    "pixelate": lambda data, block, seed: pixelate(data, block),
    "without_identity": lambda data, directions, seed: without_identity(data, directions),
    "leace": lambda data, nothing, seed: leace(data),
    "k_same": lambda data, k, seed: k_same(data, k),
    "substitution": lambda data, target, seed: substitution_codebook(data, data.images, int(target)).release(),
}


def perturb(data: Dataset, method: str, setting: float | None, seed: int) -> np.ndarray:
    """The release by one of METHODS at one setting, the method's argument after the data; None for `leace`.

    Returns uint8 (N, H, W) in the data set's order. `seed` matters for noise alone.
    """
    if method not in METHODS:
        raise ValueError(f"no method {method!r}; expected one of {', '.join(METHODS)}")
    if (setting is None) != (method == "leace"):
        raise ValueError(f"{method} at setting {setting}; expected {'None' if method == 'leace' else 'a number'}")
    return METHODS[method](data, setting, seed)
