"""What a release keeps that nobody trained it for: how well each attribute can still be predicted from it."""

from collections.abc import Sequence

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from tqdm import tqdm

from anonrep.assessment import task_labels
from anonrep.attackers import on_pixels
from anonrep.dataset import Dataset
from anonrep.seeds import subseed

# The root of the number of pixels at each split, for both kinds: the regressor's default, all of them, gains one
# to three points of R2 on raw digits and takes a dozen times as long.
FOREST = {"n_estimators": 100, "min_samples_leaf": 2, "max_features": "sqrt"}


def kept_attributes(release: Dataset, names: Sequence[str], seed: int) -> list[dict]:
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
    return [_kept(release, name, subseed(seed, "kept", name)) for name in tqdm(names, desc="kept", mininterval=10)]


def _kept(release: Dataset, name: str, seed: int) -> dict:
    values = task_labels(release, name)
    if np.issubdtype(values.dtype, np.integer):
        kind, trees, blind = "accuracy", ExtraTreesClassifier, DummyClassifier
    else:
        kind, trees, blind = "R2", ExtraTreesRegressor, DummyRegressor
    score = _score(trees(**FOREST, random_state=seed), release, values)
    return {"attribute": name, "kind": kind, "score": score, "chance": _score(blind(), release, values)}


def _score(predictor: BaseEstimator, release: Dataset, values: np.ndarray) -> float:
    """Fitted on training images, on test: the accuracy of a classifier, the R2 of a regressor."""
    train, test = release.split == 0, release.split == 2
    fitted = on_pixels(predictor).fit(release.images[train], values[train])
    return float(fitted.score(release.images[test], values[test]))
