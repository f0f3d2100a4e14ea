"""The contingency table of codes and persons of a release of K codewords: counts, smoothing, and an attack.

These are estimates and attacks; what holds for every classifier is in `certificate`.
Codes are integers in 0..K-1, persons integers in 0..|Z|-1, information is in nats.
"""

import numpy as np
from scipy.special import rel_entr


def count_pairs(codes: np.ndarray, z: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Counts N_zk (|Z|, K) of the pairs (n,); without a `shape`, just large enough for the labels."""
    codes, z = np.asarray(codes), np.asarray(z)
    if codes.shape != z.shape or codes.ndim != 1 or codes.size == 0:
        raise ValueError(f"codes {codes.shape}, z {z.shape}: expected two equal shapes (n,) with n > 0")
    shape = shape or (z.max() + 1, codes.max() + 1)
    for name, labels, size in (("z", z, shape[0]), ("codes", codes, shape[1])):
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= size:
            found = f"{labels.dtype} from {labels.min()} to {labels.max()}"
            raise ValueError(f"{name}: {found}: expected integers in 0..{size - 1}")
    table = np.zeros(shape, int)
    np.add.at(table, (z, codes), 1)
    return table


def smoothed(labels: np.ndarray, size: int, weight: float = 1.0) -> np.ndarray:
    """Frequencies (size,) of integer labels 0..size-1, with `weight` added to every count so that none is 0."""
    counts = np.bincount(labels, minlength=size) + weight
    if len(counts) > size:
        raise ValueError(f"label {len(counts) - 1}: expected labels below {size}; check the size")
    return counts / counts.sum()


def plug_in_information(codes: np.ndarray, z: np.ndarray) -> float:
    r"""Plug-in estimate of I(Z; K): the sum of J log(J / (J_z J_k)) over the empirical joint table J.

    `codes`, `z`: (n,). Nats. Biased up by about (K-1)(|Z|-1) / (2n), K and |Z| counting those in use, and off by chance
    on either side: an estimate, not a bound.
    """
    joint = count_pairs(codes, z) / len(z)
    return float(rel_entr(joint, np.outer(joint.sum(axis=1), joint.sum(axis=0))).sum())


def table_attack(
    codes_train: np.ndarray,
    z_train: np.ndarray,
    codes: np.ndarray,
    z: np.ndarray,
    *,
    sizes: tuple[int, int],
    m: int,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """The attacker beside the bounds: it knows the encoder, counts codes in training data, and applies naive Bayes.

    `sizes`: (|Z|, K). Each person's held-out images are dealt at random into disjoint groups of m (`deal`). Returns
    (correct groups, groups); raises ValueError if no person has m images.
    """
    prior = np.log(smoothed(z_train, sizes[0]))
    likelihood = np.log([smoothed(codes_train[z_train == person], sizes[1]) for person in range(sizes[0])])
    groups = deal(z, m, rng)
    if not len(groups):
        raise ValueError(f"no person has {m} held-out images: expected at least one who has; take a smaller m")
    named = (prior[:, None] + likelihood[:, codes[groups]].sum(axis=2)).argmax(axis=0)
    return int((named == z[groups[:, 0]]).sum()), len(groups)


def deal(z: np.ndarray, m: int, rng: np.random.Generator) -> np.ndarray:
    """Deal each person's images at random into disjoint groups of m; a rest of fewer is left out: int64 (groups, m).

    `z`: (n,). Each row holds positions in it; persons come in order.
    """
    own = [rng.permutation(np.flatnonzero(z == person)) for person in np.unique(z)]
    return np.concatenate([index[: len(index) // m * m].reshape(-1, m) for index in own])


def check_level(delta: float) -> None:
    """Raise ValueError unless delta can be the error probability of a bound."""
    if not 0 < delta < 1:
        raise ValueError(f"delta = {delta}: expected 0 < delta < 1, such as 0.05")
