r"""Lower bounds on the mutual information I(Z; X_hat) between the private label and a release, from attackers. Nats.

An attacker with high accuracy proves that information is there. One with low accuracy proves nothing, so that none of
these numbers bounds what another attacker can learn. That takes an upper bound, which a finite release has
(`certificate`); `least_error` says what follows from it.
"""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import entr, xlogy
from scipy.stats import norm


def entropy(p: np.ndarray) -> float:
    """H of a distribution (k,)."""
    return float(entr(p).sum())


def fano(error: float, classes: int) -> float:
    r"""The most that H(Z | X_hat) can be when some attacker errs with this probability.

    .. math:: H(Z \mid \hat X) \le h(P_e) + P_e \log(|Z| - 1)

    Fano's inequality (Cover and Thomas, 2006, Theorem 2.10.1); h is the binary entropy. An error above that of a
    uniform guess among `classes` says nothing: log |Z|.
    """
    error = min(error, 1 - 1 / classes)
    return float(entr(error) + entr(1 - error) + xlogy(error, max(classes - 1, 1)))


def least_error(information: float, p_z: np.ndarray) -> float:
    """The least probability of error of any classifier whatever, where I(Z; X_hat) is at most `information`.

    Fano's inequality solved for the error. `p_z`: (|Z|,), the marginal. 0 where the bound on the information is too
    large for anything to follow.
    """
    left = entropy(p_z) - information
    if left <= 0:
        return 0.0
    most = 1 - 1 / len(p_z)
    return most if left >= fano(most, len(p_z)) else brentq(lambda error: fano(error, len(p_z)) - left, 0, most)


def information_bounds(
    probabilities: np.ndarray, classes: np.ndarray, labels: np.ndarray, *, error: float, confidence: float = 0.95
) -> dict[str, float]:
    """Lower bounds on I(Z; X_hat) from one attacker on held-out images.

    probabilities  (n, C), none of them 0, by an attacker that has not seen these images; classes  (C,);  labels  (n,)
    error          its probability of error, or an upper limit of it

    information_fano   from its errors (`fano`), at the confidence of `error`
    information        from its probabilities: H(Z) - E[-log q(z | x_hat)] <= I(Z; X_hat) (Barber and Agakov, 2003),
                       estimated; H(Z) is that of these labels
    information_low    its lower limit at `confidence`, one-sided, by the normal approximation

    A bound below 0 is returned as 0.
    """
    p_z = np.unique(labels, return_counts=True)[1] / len(labels)
    known = np.isin(labels, classes)
    place = np.searchsorted(classes, np.where(known, labels, classes[0]))
    q = np.where(known, probabilities[np.arange(len(labels)), place], 1e-6)  # a label that no training image has
    gain = np.log(q) - np.log(p_z[np.searchsorted(np.unique(labels), labels)])  # its mean is H(Z) - cross-entropy
    low = gain.mean() - norm.ppf(confidence) * gain.std() / math.sqrt(len(gain))
    return {
        "information_fano": max(0.0, entropy(p_z) - fano(error, len(p_z))),
        "information": max(0.0, float(gain.mean())),
        "information_low": max(0.0, float(low)),
    }
