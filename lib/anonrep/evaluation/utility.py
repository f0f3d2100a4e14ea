"""What a release keeps besides the utility label: how well each attribute can still be predicted from it."""

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.metrics import accuracy_score, r2_score
from tqdm import tqdm

from anonrep.data.dataset import Dataset
from anonrep.evaluation.attackers import on_pixels
from anonrep.utils.seeds import subseed

# At each split the root of the number of pixels, for both kinds: the regressor's default, all pixels, gains one to
# three points of R2 on raw digits and takes a dozen times as long.
FOREST = {"n_estimators": 100, "min_samples_leaf": 2, "max_features": "sqrt"}


def utility_scores(release: Dataset, names: Sequence[str], seed: int) -> list[dict]:
    """Predict each attribute from released images: fitted on training images, scored on test images.

    The predictor is extremely randomised trees (Geurts, Ernst and Wehenkel, 2006) on the pixels, for releases of any
    kind; on K codewords it finds a value for each. Returns a row for each attribute:

    attribute  its name
    kind       "accuracy" (a fraction) where the attribute is whole numbers; "R2" where it is real: 1 is perfect, 0 the
               mean of the test images, below 0 worse than that
    score      of the trees
    chance     the share of the commonest value among all images; for "R2" the score of the mean of the training images

    Raises KeyError for a name that is not in the data set.
    """
    train, test = release.split == 0, release.split == 2
    rows = []
    for name in tqdm(names, desc="utility", mininterval=10):
        values = release.task(name)
        kind = ExtraTreesClassifier if _whole(values) else ExtraTreesRegressor
        trees = on_pixels(kind(**FOREST, random_state=subseed(seed, "kept", name)))
        predicted = trees.fit(release.images[train], values[train]).predict(release.images[test])
        rows.append(_row(release, name, predicted))
    return rows


def utility_by_code(data: Dataset, codes: np.ndarray, names: Sequence[str]) -> list[dict]:
    """The rows of `utility_scores` for a release of K codewords, predicted from the codes alone.

    `codes`: integers (N,) from 0, one for each image of `data`. The prediction for a code is the majority (of equals
    the least) or the mean of its training images, or of all training images where it has none. Raises ValueError for
    another number of codes, KeyError for a name that is not in the data set.
    """
    if codes.shape != data.z.shape:
        raise ValueError(f"codes {codes.shape} beside {len(data)} images; expected one an image")
    return [_row(data, name, _look_up(data, codes, name)) for name in names]


def _row(data: Dataset, name: str, predicted: np.ndarray) -> dict:
    """`predicted`: a value for each test image."""
    truth = data.task(name)[data.split == 2]
    kind, score = ("accuracy", accuracy_score) if _whole(truth) else ("R2", r2_score)
    mean = _look_up(data, np.zeros_like(data.z), name)
    chance = data.chance(name) if kind == "accuracy" else float(score(truth, mean))
    return {"attribute": name, "kind": kind, "score": float(score(truth, predicted)), "chance": chance}


def _look_up(data: Dataset, codes: np.ndarray, name: str) -> np.ndarray:
    """The prediction for each test image from the training images with its code."""
    train, test = data.split == 0, data.split == 2
    values = data.task(name)[train]
    members = codes[train] == np.arange(codes.max() + 1)[:, None]
    members[~members.any(1)] = True  # a code without training images: the prediction of chance
    if _whole(values):
        labels, columns = np.unique(values, return_inverse=True)
        answers = labels[(members @ np.eye(len(labels))[columns]).argmax(1)]
    else:
        answers = members @ values / members.sum(1)
    return answers[codes[test]]


def _whole(values: np.ndarray) -> bool:
    return np.issubdtype(values.dtype, np.integer)
