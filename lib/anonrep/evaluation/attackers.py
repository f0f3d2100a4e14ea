"""Attackers: classifiers trained from scratch on released images with the true labels.

Each follows scikit-learn's estimator conventions on uint8 images: `fit(images (N, H, W), labels (N,))` and
`predict_proba(images)`, float (N, classes) in the order of `classes_`. An attacker is a list of candidates that differ
in their tuning; `assessment.attack` picks one on validation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
from scipy.special import softmax
from skimage.transform import resize_local_mean
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

from anonrep.evaluation.network_attacker import NetworkAttacker, large_network, perceptron
from anonrep.utils.checks import check_fields
from anonrep.utils.seeds import numpy_generator

Suite = Mapping[str, Sequence[BaseEstimator]]
FEW = ("neighbours", "trees", "svm", "cnn")  # one of each kind, for where the whole suite would take too long
PAPERS = ("cnn",)  # the paper's own protocol


@dataclass(frozen=True)
class AttackBudget:
    """How much the attackers, and the networks that measure naturalness, may compute."""

    network_epochs: int = 16  # of the attackers `cnn` and `mlp`
    large_epochs: int = 24  # of the attacker `cnn_large`, which takes longer than all others together; 0 leaves it out
    trees: int = 200
    boosting_rounds: int = 20  # of the boosted trees
    pairwise_images: int = 6000  # the most that `neighbours` and `svm`, which compare pairs of images, are trained on
    reader_epochs: int = 16  # of the network, trained on raw images, that reads the released ones
    two_sample_epochs: int = 4  # of the network that tells real from released images

    def __post_init__(self) -> None:
        check_fields(self, **{field.name: (1,) for field in fields(self) if field.name != "large_epochs"})


def suite(budget: AttackBudget, *, seed: int, device: str = "cpu") -> Suite:
    """The attackers by name, each with the candidates that validation chooses from.

    `cnn` is the paper's own kind of assessment network. The others are there because an adversarial game may hide the
    label from networks like its own and not from them. A further attacker is one more entry. Their ensemble is made by
    `assessment.attack`.
    """
    network = {"seed": seed, "device": device}
    few = partial(AtMost, most=budget.pairwise_images, seed=seed)
    large = NetworkAttacker(
        large_network, epochs=budget.large_epochs, batch=256, rate=8e-3, augment=0.09, smoothing=0.1, **network
    )
    boosted = HistGradientBoostingClassifier(
        max_iter=budget.boosting_rounds, max_leaf_nodes=31, max_bins=63, early_stopping=False, random_state=seed
    )
    return {
        "majority": [on_pixels(DummyClassifier(strategy="prior"))],
        "logistic": [on_pixels(LogisticRegression(C=c, max_iter=200)) for c in (0.1, 1)],
        "neighbours": [few(on_pixels(KNeighborsClassifier(k, weights="distance"))) for k in (1, 5, 15)],
        "trees": [on_pixels(ExtraTreesClassifier(budget.trees, min_samples_leaf=2, random_state=seed))],
        "boosted": [make_pipeline(FunctionTransformer(coarse), boosted)],
        "svm": [few(on_pixels(SupportVectors(gamma))) for gamma in (0.02, 0.05)],
        "mlp": [NetworkAttacker(perceptron, epochs=2 * budget.network_epochs, rate=2e-3, **network)],
        "cnn": [NetworkAttacker(epochs=budget.network_epochs, **network)],
        **({"cnn_large": [large]} if budget.large_epochs else {}),
    }


def pixels(images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W) to float32 rows (N, H * W) in [0, 1]."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def coarse(images: np.ndarray, size: int = 10) -> np.ndarray:
    """Means over a grid of `size` x `size`, as rows: a tree for each round and class is too slow on all pixels."""
    return resize_local_mean(images, (len(images), size, size), preserve_range=True).reshape(len(images), -1)


def on_pixels(estimator: BaseEstimator) -> BaseEstimator:
    """A scikit-learn classifier that takes images."""
    return make_pipeline(FunctionTransformer(pixels), estimator)


class AtMost(ClassifierMixin, BaseEstimator):
    """An attacker trained on at most `most` images, drawn at random with `seed`, with each label at least once.

    For attackers whose time and memory grow with the square of the number of images. Where there are no more than
    `most`, it is the attacker itself. `n_train_` is the number of images it was trained on.
    """

    def __init__(self, attacker: BaseEstimator, most: int, seed: int) -> None:
        self.attacker, self.most, self.seed = attacker, most, seed

    def fit(self, images: np.ndarray, labels: np.ndarray) -> "AtMost":
        drawn = numpy_generator(self.seed, "at most").permutation(len(labels))
        once = drawn[np.unique(labels[drawn], return_index=True)[1]]
        others = drawn[~np.isin(drawn, once)]
        chosen = np.sort(np.concatenate([once, others])[: self.most])
        self.attacker_ = clone(self.attacker).fit(images[chosen], labels[chosen])
        self.classes_, self.n_train_ = self.attacker_.classes_, len(chosen)
        return self

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """The attacker's."""
        return self.attacker_.predict_proba(images)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The attacker's, (N,)."""
        return self.attacker_.predict(images)


class SupportVectors(ClassifierMixin, BaseEstimator):
    """A support vector machine with the radial kernel exp(-gamma |x - y|^2), one against one.

    The kernel is a matrix product, twice as fast as within libsvm. Its probabilities are the softmax of the
    votes; `assessment.attack` calibrates them like everybody's.
    """

    def __init__(self, gamma: float, C: float = 10.0) -> None:
        self.gamma, self.C = gamma, C

    def fit(self, x: np.ndarray, labels: np.ndarray) -> "SupportVectors":
        self.machine_ = SVC(C=self.C, kernel=partial(rbf_kernel, gamma=self.gamma)).fit(x, labels)
        self.classes_ = self.machine_.classes_
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """float64 (N, classes)."""
        votes = self.machine_.decision_function(x)
        return softmax(votes if votes.ndim == 2 else np.stack([-votes, votes], axis=1), axis=1)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The label with most votes, (N,)."""
        return self.classes_[self.predict_proba(x).argmax(1)]
