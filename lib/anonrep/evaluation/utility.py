"""What a release keeps that nobody trained it for: how well each attribute can still be predicted from it."""

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.metrics import accuracy_score, r2_score
from tqdm import tqdm

from anonrep.data.dataset import Dataset
from anonrep.evaluation.attackers import on_pixels
from anonrep.utils.seeds import subseed

# The root of the number of pixels at each split, for both kinds: the regressor's default, all of them, gains one
# to three points of R2 on raw digits and takes a dozen times as long.
FOREST = {"n_estimators": 100, "min_samples_leaf": 2, "max_features": "sqrt"}


def utility_scores(release: Dataset, names: Sequence[str], seed: int) -> list[dict]:
    """Predict each attribute from released images: fitted on training images, scored on test.

    The predictor is extremely randomised trees (Geurts, Ernst and Wehenkel, 2006) on the pixels, for releases of any
    kind: on one of K pictures they come down to a value a picture. Returns a row an attribute:

    attribute  its name
    kind       "accuracy" (a fraction) where the attribute is whole numbers; "R2" where it is real: 1 is perfect, 0 the
               mean of the test images, below 0 worse than that
    score      of the trees
    chance     the same score for an answer without looking: the training images' majority or mean

    Raises KeyError for a name that is not in the data set.
    """
    train, test = release.split == 0, release.split == 2
    rows = []
    for name in tqdm(names, desc="kept", mininterval=10):
        values = release.task(name)
        kind = ExtraTreesClassifier if _whole(values) else ExtraTreesRegressor
        trees = on_pixels(kind(**FOREST, random_state=subseed(seed, "kept", name)))
        predicted = trees.fit(release.images[train], values[train]).predict(release.images[test])
        rows.append(_row(release, name, predicted))
    return rows


def utility_by_code(data: Dataset, codes: np.ndarray, names: Sequence[str]) -> list[dict]:
    """The rows of `utility_scores` for a release of K fixed images, whose codes are all there is to see.

    `codes`: integers (N,) from 0, one an image of `data`. Each code answers with the majority (of equals the least) or
    the mean of the training images that have it; a code that none of them has answers without looking. Raises
    ValueError for another number of codes, KeyError for a name that is not in the data set.
    """
    if codes.shape != data.z.shape:
        raise ValueError(f"codes {codes.shape} beside {len(data)} images; expected one an image")
    return [_row(data, name, _look_up(data, codes, name)) for name in names]


def _row(data: Dataset, name: str, predicted: np.ndarray) -> dict:
    """`predicted`: a value for each test image."""
    truth = data.task(name)[data.split == 2]
    kind, score = ("accuracy", accuracy_score) if _whole(truth) else ("R2", r2_score)
    blind = _look_up(data, np.zeros_like(data.z), name)
    scores = {"score": float(score(truth, predicted)), "chance": float(score(truth, blind))}
    return {"attribute": name, "kind": kind, **scores}


def _look_up(data: Dataset, codes: np.ndarray, name: str) -> np.ndarray:
    """What the table of training images answers for each test image."""
    train, test = data.split == 0, data.split == 2
    values = data.task(name)[train]
    members = codes[train] == np.arange(codes.max() + 1)[:, None]
    members[~members.any(1)] = True  # a code without training images answers as if all had it
    if _whole(values):
        labels, columns = np.unique(values, return_inverse=True)
        answers = labels[(members @ np.eye(len(labels))[columns]).argmax(1)]
    else:
        answers = members @ values / members.sum(1)
    return answers[codes[test]]


def _whole(values: np.ndarray) -> bool:
    return np.issubdtype(values.dtype, np.integer)
