r"""Bounds that hold for every classifier, for a release that shows one of K fixed images.

Such a release is a discrete channel from person z to code k. The bounds follow from n held-out pairs (k, z), under
these assumptions:

- the held-out images took no part in any choice: encoder, codewords and references were made on other data;
- they are independent draws of P_ZK, and the attacked images are drawn like them (several images of one person:
  independently given the person). Images held out of a file of N that has equally many of each kind from everybody by
  design are more regular than independent draws. Counting then errs on the safe side. The limit for the information
  comes out too low, by up to about (K - 1)(|Z| - 1) / 2N nats, the mean plug-in information of N independent draws
  that tell nothing: `certify` adds that where it is told N;
- the attacker may know everything about the release, and nothing else about the person: other side information is not
  covered. An image that is released again has the same code, which tells nothing new.

Codes are integers in 0..K-1, persons integers in 0..|Z|-1, information is in nats, accuracies are fractions.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import rel_entr

from anonrep.evaluation.contingency import check_level, count_pairs, plug_in_information
from anonrep.evaluation.divergence import information_bound
from anonrep.evaluation.intervals import chernoff, clopper_pearson


def accuracy_bound(codes: np.ndarray, z: np.ndarray, delta: float = 0.05) -> float:
    r"""Upper limit, at confidence 1 - delta, for the accuracy of every classifier that sees one released image.

    .. math:: S = \sum_k \max_z N_{zk}, \qquad \text{Clopper and Pearson's upper limit for } S \text{ hits in } n

    The best classifier, of accuracy B*, is one fixed rule from codes to persons. Its hits in the n held-out images are
    binomial with B*, so that their upper limit (Clopper and Pearson, 1934) is at least B* with probability 1 - delta.
    No rule hits more than S times, and the limit grows with the hits. `codes`, `z`: (n,) held-out pairs; ValueError for
    anything else.
    """
    check_level(delta)
    return clopper_pearson(best_hits(codes, z), len(z), delta)


def best_hits(codes: np.ndarray, z: np.ndarray) -> int:
    """S of `accuracy_bound`: how often the rule is right that fits the pairs best."""
    return int(count_pairs(codes, z).max(axis=0).sum())


def clip_accuracy_bound(codes: np.ndarray, z: np.ndarray, clips: np.ndarray, delta: float = 0.05) -> float:
    r"""`accuracy_bound` where clips are the independent draws, and frames of a clip are similar.

    .. math:: S = \sum_k \max_z \sum_c N_{ckz} / N_c, \qquad \mathrm{kl}(S / C \,\|\, B) = \log(1 / \delta) / C

    Accuracy is that on a random frame of a random clip. The best rule hits a share of each clip's N_c frames; over C
    clips these shares are independent, in [0, 1], and sum to S at most. Chernoff's bound, which holds for them as for
    single hits (Hoeffding, 1963), gives the limit B. It is much wider than the limit that counts frames.
    `codes`, `z`, `clips`: (n,) held-out images.
    """
    check_level(delta)
    _, clip, sizes = np.unique(clips, return_inverse=True, return_counts=True)
    table = np.zeros(count_pairs(codes, z).shape)
    np.add.at(table, (z, codes), 1 / sizes[clip])
    return chernoff(table.max(axis=0).sum() / len(sizes), len(sizes), delta)


def group_bound(information: float, m: int, p_max: float) -> float:
    r"""Upper limit for the accuracy of every classifier that holds m released images of one person.

    .. math:: \max \{B : B \log\tfrac{B}{p} + (1 - B) \log\tfrac{1 - B}{1 - p} \le m D\}, \qquad p = \max_z p_z

    `information`: D(P_ZK || p_z x p_k) in nats, or an upper limit for it; `p_max`: p, of the same p_z. By data
    processing on the event that the classifier is right, the left side is at most the divergence of (Z, K_1, ..., K_m)
    from p_z x p_k x ... x p_k, where every classifier's accuracy is at most p. For images drawn independently
    given the person that divergence is D(P_Z || p_z) + m E_z D(P_{K|z} || p_k) <= m D.
    """
    if not (information >= 0 and m >= 1 and 0 < p_max <= 1):
        raise ValueError(f"{information} nats, m = {m}, p_max = {p_max}: expected nats >= 0, m >= 1, 0 < p_max <= 1")

    def excess(accuracy: float) -> float:
        return float(rel_entr([accuracy, 1 - accuracy], [p_max, 1 - p_max]).sum()) - m * information

    return 1.0 if m * information >= -math.log(p_max) else float(brentq(excess, p_max, 1))


def certify(
    codes: np.ndarray,
    z: np.ndarray,
    *,
    p_z: np.ndarray,
    p_k: np.ndarray,
    images_per_person: Sequence[int] = (1, 5, 20),
    design_size: int | None = None,
    delta: float = 0.05,
) -> list[dict]:
    """One row for each number m of images of one person.

    m, delta, n
    bound             for `m` images: by counting for one, by information for more. It holds by itself at 1 - delta
    joint_bound       the same, and all rows hold together at 1 - delta. They rest on two events, that counting and that
                      the limit for the information hold, which each get delta / 2 (Bonferroni)
    hits              S of `accuracy_bound`
    information_bound, information  nats: the limit, and the plug-in estimate

    design_size  N, where the images were held out of a file with equally many of each kind from everybody: what that
                 makes the limit for the information too low by (see above) is added to it

    The other arguments as in `information_bound`. A row also bounds an attacker who holds fewer images, so that no
    bound is below that by counting.
    """
    regular = 0.0 if design_size is None else (len(p_k) - 1) * (len(p_z) - 1) / (2 * design_size)
    both = 1 in images_per_person and max(images_per_person) > 1
    alone = _bounds(codes, z, p_z, p_k, images_per_person, regular, delta)
    joint = _bounds(codes, z, p_z, p_k, images_per_person, regular, delta / 2) if both else alone
    shared = {"delta": delta, "hits": best_hits(codes, z), "information_bound": alone[1]}
    shared |= {"information": plug_in_information(codes, z), "n": len(z)}
    rows = zip(images_per_person, alone[0], joint[0], strict=True)
    return [{"m": m, "bound": bound, "joint_bound": together, **shared} for m, bound, together in rows]


def _bounds(
    codes: np.ndarray, z: np.ndarray, p_z: np.ndarray, p_k: np.ndarray, ms: Sequence[int], regular: float, delta: float
) -> tuple[list[float], float]:
    """The bound for each number of images, and the limit for the information, each at confidence 1 - delta."""
    d = information_bound(codes, z, p_z=p_z, p_k=p_k, delta=delta) + regular
    one, p_max = accuracy_bound(codes, z, delta), float(np.max(p_z))
    return [one if m == 1 else max(one, group_bound(d, m, p_max)) for m in ms], d
