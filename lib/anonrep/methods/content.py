"""Content: what an image shows besides the person, in coordinates learned from the person and from runs of images.

Images that are frames of clips have two labels: the person, and the clip. Content is what differs between clips of one
person and stays the same within a clip: on faces, above all, the expression. Head, gaze and light change within a clip
and drop out. No expression is named. But no clip of faces goes from one expression to another (FERG-DB keeps a folder
for each, and so do the synthetic faces), so that clip numbers refine the expression label and tell part of it.
`similar_runs` are learned from images and the person alone.

Content gives the cross-identity neighbours that a finite release is trained with (`finite`), and for each image the
image of a target that should replace it (`matches`).
"""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from torch import nn

from anonrep.data.dataset import Dataset
from anonrep.methods.augmentations import View, nearest_others
from anonrep.methods.gradients import OrientedGradients
from anonrep.utils.images import blur, jitter, to_tensor
from anonrep.utils.seeds import subseed

PRINCIPAL = 200  # principal components that are used; edges have thousands, most of them empty
PAPER = 0.6  # the grey around a face, in [0, 1], which a moved image shows at its edge


@torch.no_grad()
def edges(images: np.ndarray, device: torch.device | str = "cpu") -> np.ndarray:
    """`OrientedGradients` of uint8 (N, H, W): float32 (N, F)."""
    look = OrientedGradients()
    return torch.cat([look(part) for part in to_tensor(images, device).split(500)]).cpu().numpy()


def by_person(features: np.ndarray, z: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Features (N, F) standardised by person; mean and deviation come from the images of the mask `train` (N,)."""
    found = np.empty_like(features)
    for person in np.unique(z):
        mine = z == person
        known = features[mine & train]
        if not len(known):
            raise ValueError(f"no training image of private label {person}: its mean is not known")
        found[mine] = (features[mine] - known.mean(0)) / (
            known.std(0) + 0.01
        )  # or an edge that is never there becomes noise
    return found


def similar_runs(data: Dataset) -> np.ndarray:
    """Runs of similar images by one person, from images and private labels alone: int64 (N,), for `content`.

    Each training image and the nearest training image by the same person, in pixels, are in one run (the first round of
    single linkage; Boruvka, 1926), so that a run has two images at least and nothing has to be set. No clip number and
    no order of files is used, which on faces would know the expression. Other images are in no run: -1.
    """
    found, train = np.full(len(data), -1), data.split == 0
    for person in np.unique(data.z[train]):
        mine = np.flatnonzero(train & (data.z == person))
        rows = data.images[mine].reshape(len(mine), -1) / 255
        distances = cdist(rows, rows)
        np.fill_diagonal(distances, np.inf)
        links = coo_array((np.ones(len(mine)), (np.arange(len(mine)), distances.argmin(1))), (len(mine), len(mine)))
        found[mine] = found.max() + 1 + connected_components(links, directed=False)[1]
    return found


def content(data: Dataset, clips: np.ndarray, *, dimensions: int = 15, seed: int = 0) -> np.ndarray:
    """Coordinates of content, float64 (N, dimensions); their mean square norm over training images is 1.

    clips  int64 (N,), consecutive frames of one person, or `similar_runs`; only those of training images are used

    Linear discriminants (Fisher, 1936) with clips as classes: directions in which the clips of a person differ most
    relative to the frames of a clip. Features are standardised by person (`by_person`), so that no coordinate is the
    person.
    """
    train = data.split == 0
    features = by_person(edges(data.images), data.z, train)
    clip = np.unique(clips, return_inverse=True)[1]
    known = train & (np.bincount(clip, weights=train)[clip] > 1)  # one frame does not show what a clip has in common
    principal = PCA(min(PRINCIPAL, *(n - 1 for n in features[known].shape)), random_state=subseed(seed, "content"))
    discriminant = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.01, n_components=dimensions)
    found = make_pipeline(principal, discriminant).fit(features[known], clips[known]).transform(features)
    return found / np.sqrt(np.square(found[train]).sum(1).mean())


def content_views(
    data: Dataset, coordinates: np.ndarray, *, copies: int, strength: float, neighbours: int, generator: torch.Generator
) -> dict[str, View]:
    """The views "train" and "validation" that a finite encoder on `OrientedGradients` is trained on.

    `coordinates`: of `content`; they take the place of the hidden layer, and neighbours are near in them. `strength` of
    `images.jitter`. Test images are not used.
    """
    look, found = OrientedGradients(), {}
    for index, name in enumerate(("train", "validation")):
        part = data.split == index
        x, z = to_tensor(data.images[part]), torch.from_numpy(data.z[part])
        hidden = torch.from_numpy(coordinates[part]).float()
        moved = [jitter(x - PAPER, generator, strength) + PAPER for _ in range(copies)]
        with torch.no_grad():
            seen = torch.stack([torch.cat([look(some) for some in copy.split(500)]) for copy in moved])
        one_hot = nn.functional.one_hot(z, data.n_private).float()
        found[name] = View(seen, hidden, one_hot, nearest_others(hidden, z, neighbours))
    return found


def matches(data: Dataset, coordinates: np.ndarray, target: int, *, pose: float = 0.3) -> np.ndarray:
    """For each training image the image of `target` that should replace it: int64 (n,), places among the target's.

    The two are similar in content and, weighted by `pose`, in how head and light depart from the person's mean, in
    blurred pixels. Each image of the target replaces equally many images of each person, give or take one (an
    assignment; Kuhn, 1955), so that on training images it tells next to nothing about the person. Otherwise some images
    of the target would stand for one person alone.
    """
    train = data.split == 0
    z, coordinates = data.z[train], coordinates[train]
    rows = blur(to_tensor(data.images[train]), 5)[..., ::2, ::2].flatten(1).numpy()
    rows = rows - np.stack([rows[z == person].mean(0) for person in range(data.n_private)])[z]
    own, found = np.flatnonzero(z == target), np.empty(len(z), np.int64)
    if not len(own):
        raise ValueError(f"no training image of private label {target}; expected one of {np.unique(z).tolist()}")
    for person in np.unique(z):
        mine = np.flatnonzero(z == person)
        costs = (cdist(part[mine], part[own], "sqeuclidean") for part in (coordinates, rows))
        cost = sum(weight * one / (np.median(one) or 1) for weight, one in zip((1, pose), costs, strict=True))
        places = np.tile(cost, -(-len(mine) // len(own)))
        places[:, -len(own) :] += (
            len(mine) * cost.max()
        )  # the last share is for images that find no place in the others
        row, column = linear_sum_assignment(places)
        found[mine[row]] = column % len(own)
    return found


def nearest_codewords(coordinates: np.ndarray, codes: np.ndarray, templates: np.ndarray) -> np.ndarray:
    """Which image of a target shows each code: int64 (K,), places among `templates`.

    It is the nearest to the mean content of the code's images. `coordinates`: (n, d), `codes`: (n,), each of 0 ...
    K - 1 at least once; `templates`: (T, d), the content of the target's images.
    """
    centres = np.stack([coordinates[codes == code].mean(0) for code in range(codes.max() + 1)])
    return cdist(centres, templates).argmin(1)
