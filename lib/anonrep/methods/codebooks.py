"""Releases that show one of K codewords, learned without an adversary: what the finite release is compared with.

All are fitted to training images alone and then applied to every image. k-means and medoids use no label; substitution
uses which training images are the target's.
"""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin
from tqdm import tqdm

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.utils.seeds import subseed


def kmeans_codes(
    features_train: np.ndarray, features_all: np.ndarray, k: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Codes and centroids of k-means (Lloyd, 1982), fitted to features of training images, the best of ten starts.

    Features are float (N, d), for instance an autoencoder's hidden layer. Returns the nearest centroid of each row of
    `features_all`, int64 (N,), and the centroids, (k, d); decoded to images, they make a `Codebook` with the codes.
    """
    kmeans = KMeans(k, n_init=10, random_state=subseed(seed, "k-means")).fit(features_train)
    return kmeans.predict(features_all).astype(np.int64), kmeans.cluster_centers_


def second_codes(codes: np.ndarray, features: np.ndarray, train: np.ndarray, parts: int, seed: int) -> np.ndarray:
    """Pairs of a given code and a second code for what the first leaves: int64 (N,), numbered anew from 0.

    The second code, one of `parts`, comes from k-means of the features (N, d) minus their mean over the training images
    of the first code. So it can describe what varies within all first codes, a slant for instance. A pair that no
    training image (mask `train`, (N,)) has is replaced by the commonest pair of its first code.
    """
    n = int(codes.max()) + 1
    centres = np.stack([features[train & (codes == code)].mean(0) for code in range(n)])
    second, _ = kmeans_codes((features - centres[codes])[train], features - centres[codes], parts, seed)
    counts = np.bincount((codes * parts + second)[train], minlength=n * parts).reshape(n, parts)
    second = np.where(counts[codes, second] > 0, second, counts.argmax(1)[codes])
    return np.searchsorted(np.flatnonzero(counts), codes * parts + second).astype(np.int64)


def medoids(dataset: Dataset, features: np.ndarray, k: int, seed: int) -> Codebook:
    """The clusters of `kmeans_codes`, each shown as the training image nearest its centroid.

    Beware: the codewords are real images of real people, and the release discloses those k images whole. `features` are
    float (N, d), a row for each image of `dataset`; distances are theirs.
    """
    if len(features) != len(dataset):
        raise ValueError(f"{len(features)} rows of features beside {len(dataset)} images; expected one an image")
    train = dataset.split == 0
    codes, centroids = kmeans_codes(features[train], features, k, seed)
    nearest = pairwise_distances_argmin(centroids, features[train])
    return Codebook(dataset.images[train][nearest], codes)


def substitution_codebook(raw: Dataset, images: np.ndarray, target: int, *, memory_mb: float = 512) -> Codebook:
    """Each image replaced by the nearest real training image of the person `target` (paper, Section 3).

    `images`, uint8 (N, H, W), are what gets replaced: in the paper the outputs of an autoencoder, `raw.images` for
    substitution by itself. Beware: the codewords are the target's real images, disclosed whole, unless the target is an
    artificial person (the paper's remark). Raises ValueError when the target has no training image.
    """
    train = raw.subset("train")
    templates = train.images[train.z == target]
    if not len(templates):
        raise ValueError(f"no training image of private label {target}; expected one of {np.unique(train.z).tolist()}")
    return Codebook(templates, substitute(images, templates, memory_mb=memory_mb))


def shown_as(codebook: Codebook, raw: Dataset, target: int) -> Codebook:
    """The same codes, each codeword replaced by the nearest real training image of the person `target`.

    What the codes tell about the person shown does not change. Beware: as in `substitution_codebook`.
    """
    nearest = substitution_codebook(raw, codebook.images, target)
    return Codebook(nearest.release(), codebook.codes)


def substitute(images: np.ndarray, templates: np.ndarray, *, memory_mb: float = 512) -> np.ndarray:
    """Which template is nearest each image in Euclidean distance over the pixels: int64 (N,), exact.

    images     uint8 (N, H, W)
    templates  uint8 (T, H, W); of several equally near the first counts
    memory_mb  megabytes to work in; the templates alone take 8 T H W bytes of them

    |x - t|^2 = |x|^2 + |t|^2 - 2 x.t, where |x|^2 is the same for all templates. In float64 products of whole numbers
    and their sums are exact below 2^53, in whichever order BLAS adds them; float32 is exact to 2^24 only, which 17 x 17
    bright pixels exceed.
    """
    _check_same_size(images, templates)
    rows = _rows(templates)
    lengths = np.einsum("td,td->t", rows, rows)
    rows *= -2
    batch = int((memory_mb * 1e6 - rows.nbytes) // (8 * sum(rows.shape)))
    if batch < 1:
        least = (rows.nbytes + 8 * sum(rows.shape)) / 1e6
        raise ValueError(f"memory_mb is {memory_mb}; {len(templates)} templates need at least {least:.3g}")
    starts = tqdm(range(0, len(images), batch), desc="substitution", mininterval=10)
    nearest = [_nearest(images[start : start + batch], rows, lengths) for start in starts]
    return np.concatenate([np.empty(0, np.int64), *nearest])


def _check_same_size(images: np.ndarray, templates: np.ndarray) -> None:
    for name, value in (("images", images), ("templates", templates)):
        if value.dtype != np.uint8 or value.ndim != 3:
            raise ValueError(f"{name} are {value.dtype} {value.shape}; expected uint8 (number, H, W)")
    if images.shape[1:] != templates.shape[1:] or not len(templates):
        raise ValueError(f"templates {templates.shape} for images {images.shape}; expected one or more of their size")


def _nearest(images: np.ndarray, rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """For one batch; `rows` are the templates times -2. A function, so that its distances are freed before the next."""
    distances = _rows(images) @ rows.T
    distances += lengths
    return distances.argmin(1)


def _rows(images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W) to whole numbers in float64 (N, H * W)."""
    return images.reshape(len(images), -1).astype(np.float64)
