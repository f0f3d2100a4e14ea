"""What can still be read from a release.

Attackers are trained from scratch on released training images with the true labels, tuned on validation images, and
reported on test images with intervals. The numbers are lower limits of what a release tells: only a certificate says
that no attacker does better.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.special import softmax
from sklearn.base import clone
from tqdm import tqdm

from anonrep.data.dataset import SPLITS, Dataset
from anonrep.evaluation.attackers import Suite
from anonrep.evaluation.contingency import deal
from anonrep.evaluation.information import information_bounds
from anonrep.evaluation.intervals import wilson
from anonrep.utils.seeds import numpy_generator

Labelled = tuple[np.ndarray, np.ndarray]  # images uint8 (N, H, W) and labels (N,)
TEMPERATURES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
MIXING = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0)  # shares of the uniform distribution in calibrated probabilities


@dataclass(frozen=True)
class Attack:
    """One attacker of the suite, after tuning, and its probabilities for every image.

    attacker          its name
    classes, prior    (C,), all labels of the training images, and their shares
    validation, test  float64 (n, C): probabilities, calibrated on validation; rows sum to 1
    candidates        how many were tried
    n_train           how many training images it learned from; for an ensemble the most of its members
    restarts          how often a network was started again (`NetworkAttacker`)
    trained           False for a network that ended at chance on its own training images each time
    """

    attacker: str
    classes: np.ndarray
    prior: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    candidates: int
    n_train: int
    restarts: int = 0
    trained: bool = True

    def on(self, index: np.ndarray | slice) -> "Attack":
        """The same attacker on some of the test images."""
        return replace(self, test=self.test[index])


def parts(release: Dataset, labels: np.ndarray) -> list[Labelled]:
    """Images and labels of training, validation and test, for `attack`."""
    masks = (release.split == index for index in range(len(SPLITS)))
    return [(release.images[mask], labels[mask]) for mask in masks]


def attack(attackers: Suite, train: Labelled, validation: Labelled, test: Labelled, what: str = "") -> list[Attack]:
    """Fit every candidate on `train`, choose and calibrate on `validation`, apply to `test`.

    The last attack is that of the ensemble: the mean of the probabilities of the best attackers, as many of them as
    validation chooses. The labels of `test` are not used.
    """
    classes, counts = np.unique(train[1], return_counts=True)
    prior, found = counts / len(train[1]), []
    for name, candidates in tqdm(attackers.items(), desc=f"attackers {what}", mininterval=10):
        fitted = (clone(candidate).fit(*train) for candidate in candidates)
        tried = [(one, _probabilities(one, validation[0], classes)) for one in fitted]
        best, raw = max(tried, key=lambda pair: _accuracy(pair[1], classes, validation[1]))
        calibrate = _calibration(raw, classes, validation[1])
        calibrated = calibrate(raw), calibrate(_probabilities(best, test[0], classes))
        n_train = getattr(best, "n_train_", len(train[1]))
        again, trained = getattr(best, "restarts_", 0), getattr(best, "trained_", True)
        found.append(Attack(name, classes, prior, *calibrated, len(candidates), n_train, again, trained))
    return [*found, _ensemble(found, validation[1])]


def _probabilities(attacker, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """float64 (N, C); a class that the attacker has not seen has probability 0.

    Each distinct image is predicted once: a release of codewords has few.
    """
    places: dict[bytes, int] = {}
    which = np.array([places.setdefault(image.tobytes(), len(places)) for image in images])
    first = np.unique(which, return_index=True)[1]
    probabilities = np.zeros((len(first), len(classes)))
    probabilities[:, np.searchsorted(classes, attacker.classes_)] = attacker.predict_proba(images[first])
    return probabilities[which]


def _accuracy(probabilities: np.ndarray, classes: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(classes[probabilities.argmax(1)] == labels))


def _calibration(probabilities: np.ndarray, classes: np.ndarray, labels: np.ndarray) -> Callable:
    """Temperature scaling (Guo et al., 2017), then mixing with the uniform distribution; fitted by log loss.

    p -> (1 - w) softmax(log p / T) + w / C. The likeliest class stays the likeliest.
    """

    def at(temperature: float, share: float, p: np.ndarray) -> np.ndarray:
        return (1 - share) * softmax(np.log(p + 1e-6) / temperature, axis=1) + share / p.shape[1]

    known = np.isin(labels, classes)  # a label without training images cannot be learned
    options = list(product(TEMPERATURES, MIXING))
    rows = np.arange(known.sum()), np.searchsorted(classes, labels[known])
    costs = [-np.log(at(*option, probabilities[known])[rows]).mean() for option in options]
    temperature, share = options[int(np.argmin(costs))]
    # A share of 1 would make all classes equally likely and lose the likeliest one; a little less keeps it.
    return lambda p: at(temperature, min(share, 1 - 1e-6), p)


def _ensemble(members: Sequence[Attack], labels: np.ndarray) -> Attack:
    classes, prior = members[0].classes, members[0].prior
    ranked = sorted(members, key=lambda one: _accuracy(one.validation, classes, labels), reverse=True)
    means = [np.mean([one.validation for one in ranked[:size]], axis=0) for size in range(2, len(ranked) + 1)]
    if not means:
        return replace(ranked[0], attacker="ensemble", candidates=1, restarts=0, trained=True)
    size = 2 + int(np.argmax([_accuracy(mean, classes, labels) for mean in means]))
    test = np.mean([one.test for one in ranked[:size]], axis=0)
    n_train = max(one.n_train for one in ranked[:size])
    return Attack("ensemble", classes, prior, means[size - 2], test, len(means), n_train)


def attack_rows(
    attacks: Sequence[Attack], labels: np.ndarray, *, images_per_person: Iterable[int] = (1,), seed: int = 0
) -> list[dict]:
    """The results of `attacks` on test images with the true `labels` (n,): a row for each attacker and each m.

    attacker     its name
    m            of `images_per_person`: how many images of the same unknown person the attacker holds; it adds up the
                 log-probabilities of each (naive Bayes)
    accuracy     over n groups of m images. Each person's images are dealt at random into groups; what is left over is
                 not used
    low, high    Wilson interval; the intervals of all attackers hold together at 95 % (Bonferroni)
    n            groups; images for m = 1
    attackers    how many attacked the release
    candidates   how many of this attacker were tried on validation
    n_train      how many training images it learned from; `attackers.AtMost` limits some
    restarts     how often a network was started again, because it ended at chance on its own training images
    trained      false for a network that ended there each time: its accuracy says nothing of the release

    and, for m = 1, the columns of `information.information_bounds`. There is no row where nobody has m images.
    """
    rows = []
    for m in images_per_person:
        groups = deal(labels, m, numpy_generator(seed, "groups", m))
        if not len(groups):
            continue
        for one in attacks:
            scores = np.log(one.test)[groups].sum(1) - (m - 1) * np.log(one.prior)
            hits, n = int(np.sum(one.classes[scores.argmax(1)] == labels[groups[:, 0]])), len(groups)
            low, high = wilson(hits, n, simultaneous=len(attacks))
            row = {"attacker": one.attacker, "m": m, "accuracy": hits / n, "low": low, "high": high, "n": n}
            row |= {"attackers": len(attacks), "candidates": one.candidates, "n_train": one.n_train}
            row |= {"restarts": one.restarts, "trained": one.trained}
            if m == 1:
                row |= information_bounds(one.test, one.classes, labels, error=1 - low)
            rows.append(row)
    return rows


def assess(
    release: Dataset,
    task: str,
    attackers: Suite,
    *,
    permute: int | None = None,
    images_per_person: Iterable[int] = (1,),
) -> list[dict]:
    """Let every attacker, and their ensemble, attack a release: `attack_rows`, led by the task.

    With `permute`, a seed, the labels are shuffled over all images first: the control that must come out at chance.
    """
    labels = release.task(task)
    if permute is not None:
        labels = numpy_generator(permute, "permuted labels", task).permutation(labels)
    train, validation, test = parts(release, labels)
    attacks = attack(attackers, train, validation, test, f"on {task}")
    return [{"task": task, **row} for row in attack_rows(attacks, test[1], images_per_person=images_per_person)]
