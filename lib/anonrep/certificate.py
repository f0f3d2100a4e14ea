r"""Bounds that hold for every classifier, for a release that shows one of K fixed images.

Such a release is a discrete channel from person z to code k, and n held-out pairs (k, z) say how much it can tell.
Assumed throughout:

- the held-out images took no part in any choice: encoder, images and references were made on other data;
- they are independent draws of P_ZK, and the attacked images are drawn like them (several images of one person:
  independently given the person);
- the attacker may know everything about the release, and nothing else about the person: other side information is not
  covered. The same image released again has the same code, so that releasing it again tells nothing more.

Codes are integers in 0..K-1, persons integers in 0..|Z|-1, information is in nats, accuracies are fractions.
"""

import math

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import gammaln, logsumexp, rel_entr, xlogy
from scipy.stats import beta


def accuracy_bound(codes: np.ndarray, z: np.ndarray, delta: float = 0.05) -> float:
    r"""Upper limit, at confidence 1 - delta, for the accuracy of every classifier that sees one released image.

    .. math:: S = \sum_k \max_z N_{zk}, \qquad \text{Clopper and Pearson's upper limit for } S \text{ hits in } n

    The best classifier, of accuracy B*, is one fixed rule from codes to persons. Its hits in the n held-out images are
    binomial with B*, so that their upper limit (Clopper and Pearson, 1934) is at least B* with probability 1 - delta.
    No rule hits more than S times, and the limit grows with the hits. `codes`, `z`: (n,) held-out pairs. Raises
    ValueError for what is no list of pairs.
    """
    _check_level(delta)
    table = _table(codes, z)
    n, hits = table.sum(), table.max(axis=0).sum()
    return 1.0 if hits == n else float(beta.ppf(1 - delta, hits + 1, n - hits))


def clip_accuracy_bound(codes: np.ndarray, z: np.ndarray, clips: np.ndarray, delta: float = 0.05) -> float:
    r"""`accuracy_bound` where whole clips are the independent draws, and frames of one clip are alike.

    .. math:: S = \sum_k \max_z \sum_c N_{ckz} / N_c, \qquad \mathrm{kl}(S / C \,\|\, B) = \log(1 / \delta) / C

    Accuracy is that on a random frame of a random clip. The best rule hits a share of each clip's N_c frames; over C
    clips these shares are independent, in [0, 1], and sum to S at most. Chernoff's bound, which holds for them as for
    single hits (Hoeffding, 1963), gives the limit B. Much wider than counting frames, and honest: a clip is one draw.
    `codes`, `z`, `clips`: (n,) held-out images.
    """
    _check_level(delta)
    _, clip, sizes = np.unique(clips, return_inverse=True, return_counts=True)
    table = np.zeros(_table(codes, z).shape)
    np.add.at(table, (z, codes), 1 / sizes[clip])
    share, room = table.max(axis=0).sum() / len(sizes), -math.log(delta) / len(sizes)

    def excess(bound: float) -> float:
        return float(rel_entr([share, 1 - share], [bound, 1 - bound]).sum()) - room

    most = 1 - 1e-12
    return 1.0 if share >= most or excess(most) <= 0 else float(brentq(excess, share, most))


def plug_in_information(codes: np.ndarray, z: np.ndarray) -> float:
    r"""Plug-in estimate of I(Z; K): the sum of J log(J / (J_z J_k)) over the empirical joint table J.

    `codes`, `z`: (n,). Nats. Biased up by about (K-1)(|Z|-1) / (2n), K and |Z| counting those in use, and off by chance
    on either side: an estimate, not a bound.
    """
    joint = _table(codes, z) / len(z)
    return float(rel_entr(joint, np.outer(joint.sum(axis=1), joint.sum(axis=0))).sum())


def information_bound(
    codes: np.ndarray, z: np.ndarray, *, p_z: np.ndarray, p_k: np.ndarray, delta: float = 0.05
) -> float:
    r"""Upper limit d, at confidence 1 - delta, for D = D(P_ZK || p_z x p_k), hence for I(Z; K) <= D. Nats.

    `codes`, `z`: (n,) held-out pairs; `p_z`: (|Z|,), `p_k`: (K,) references fixed on other data, without zeros (see
    `smoothed`). Raises ValueError for references that are no such distributions and for pairs out of their range.

    .. math:: d = \min_{s, a > 0,\, b} \frac{1}{an} \Big[ \log\frac{c_n}{\delta} + sT + \sum_{zk}
              \sup_{0 \le \lambda \le n} \log E_\lambda e^{-s g(N; \mu)} + a\,g(\lambda; \mu) + b(\lambda - \mu) \Big]

    where mu_zk = n p_z p_k, g(N; mu) = N log(N / mu) - N + mu, T is the sum of g(N_zk; mu_zk) over the table (half the
    G statistic), E_lambda has N Poisson with mean lambda, and c_n = e^n n! / n^n. The proof:

    1. The counts are independent Poisson(lambda_zk), lambda_zk = n P_zk, given that their total is n. That total is a
       Poisson(n), which is n with probability 1 / c_n: no event is more than c_n times likelier than without "given".
    2. Chernoff: P(T <= t) <= c_n e^{st} times the product of the E_lambda e^{-s g}, for every s > 0.
    3. The lambda sum to n as the mu do, and the g(lambda; mu) to nD. So with the bracket at T = t, where the truth is
       one of the lambda, log P(T <= t) <= bracket - anD + log delta (weak Lagrangian duality).
    4. Hence D > d(t) implies P(T <= t) < delta. As d grows with t, the event d(T) < D is T <= t*, t* the largest value
       of T with d(t*) < D, and has probability below delta. The minimum may thus be taken after seeing T; what an
       imperfect search finds is larger, and holds too.

    The suprema are bounded from above, not sampled (`_worst_cell`). Cells that expect far less than one pair make the
    limit wide: rare codes, or n of the order of K |Z|. A table more regular than chance makes them has a limit of 0:
    such tables are within the share delta that the confidence leaves, and no finding.
    """
    _check_level(delta)
    p_z, p_k = _reference(p_z, "p_z"), _reference(p_k, "p_k")
    table = _table(codes, z, shape=(len(p_z), len(p_k)))
    n = int(table.sum())
    mu = n * np.outer(p_z, p_k)
    statistic = (rel_entr(table, mu) - table + mu).sum()
    price = n + gammaln(n + 1) - n * math.log(n) - math.log(delta)

    def limit(point: np.ndarray, cells: np.ndarray, sizes: np.ndarray, step: float) -> float:
        s, a, b = math.exp(point[0]), math.exp(point[0] + point[1]), point[2] / math.sqrt(n)
        worst = _worst_table(s, a, b, cells, sizes, n, step)
        return max(0.0, float(price + s * statistic + worst) / (a * n))

    # The bracket is convex in (s, a, b), so its ratio to a has one valley; it has kinks too, on which a simplex can get
    # stuck, hence the second round. The search lumps similar cells under their least mu (rare cells limit a) and steps
    # widely; the value returned does neither: its chords add at most about n step^2 / 8 nats to the bracket.
    lumps = np.array_split(np.sort(mu, axis=None), min(32, mu.size))
    rough = np.array([lump[0] for lump in lumps]), np.array([len(lump) for lump in lumps])
    point = np.array([-1.6, -0.6, 0.0])
    for _ in range(2):
        point = minimize(
            lambda point: math.log(limit(point, *rough, step=0.05) + 1e-9),
            point,
            method="Nelder-Mead",
            bounds=[(-6, 2), (-4, 1), (-20, 20)],
            options={"initial_simplex": point + 0.3 * np.eye(4, 3, -1), "xatol": 0.05, "fatol": 1e-3},
        ).x
    return limit(point, *np.unique(mu, return_counts=True), step=0.3 / math.sqrt(n))


def group_bound(information: float, m: int, p_max: float) -> float:
    r"""Upper limit for the accuracy of every classifier that holds m released images of one person.

    .. math:: \max \{B : B \log\tfrac{B}{p} + (1 - B) \log\tfrac{1 - B}{1 - p} \le m D\}, \qquad p = \max_z p_z

    `information`: D(P_ZK || p_z x p_k) in nats, or an upper limit for it; `p_max`: p, of the same p_z. By data
    processing on the event "named rightly", the left side is at most the divergence of (Z, K_1, ..., K_m) from
    p_z x p_k x ... x p_k, where nobody names more than p rightly. For images drawn independently given the person that
    divergence is D(P_Z || p_z) + m E_z D(P_{K|z} || p_k) <= m D.
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
    images: tuple[int, ...] = (1, 5, 20),
    delta: float = 0.05,
) -> list[dict]:
    """One row for each number m of images of one person: its bound is by counting for m = 1, by information for more.

    Arguments as in `information_bound`. Each row holds at confidence 1 - delta by itself; for all rows at once divide
    delta by their number (Bonferroni). A row also bounds whoever holds fewer images. `information_bound` and
    `information`, the plug-in estimate, are nats.
    """
    d, p_max = information_bound(codes, z, p_z=p_z, p_k=p_k, delta=delta), float(np.max(p_z))
    shared = {"delta": delta, "information_bound": d, "information": plug_in_information(codes, z), "n": len(z)}
    bounds = (accuracy_bound(codes, z, delta) if m == 1 else group_bound(d, m, p_max) for m in images)
    return [{"m": m, "bound": bound, **shared} for m, bound in zip(images, bounds, strict=True)]


def smoothed(labels: np.ndarray, size: int, weight: float = 1.0) -> np.ndarray:
    """Frequencies (size,) of integer labels 0..size-1, `weight` added to every count so that none is 0."""
    counts = np.bincount(labels, minlength=size) + weight
    if len(counts) > size:
        raise ValueError(f"label {len(counts) - 1}: expected labels below {size}; check the size")
    return counts / counts.sum()


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
    """The attacker to set beside the bounds: it knows the encoder, counts codes in training data, names by naive Bayes.

    `sizes`: (|Z|, K). Each person's held-out images are dealt at random into disjoint groups of m; a rest of fewer is
    left out. Returns (groups named rightly, groups); raises ValueError if no person has m images.
    """
    prior = np.log(smoothed(z_train, sizes[0]))
    likelihood = np.log([smoothed(codes_train[z_train == person], sizes[1]) for person in range(sizes[0])])
    groups = deal(z, m, rng)
    if not len(groups):
        raise ValueError(f"no person has {m} held-out images: expected at least one who has; take a smaller m")
    named = (prior[:, None] + likelihood[:, codes[groups]].sum(axis=2)).argmax(axis=0)
    return int((named == z[groups[:, 0]]).sum()), len(groups)


def deal(z: np.ndarray, m: int, rng: np.random.Generator) -> np.ndarray:
    """Each person's images dealt at random into disjoint groups of m, a rest of fewer left out: int64 (groups, m).

    `z`: (n,). Rows are positions in it, persons in order.
    """
    own = [rng.permutation(np.flatnonzero(z == person)) for person in np.unique(z)]
    return np.concatenate([index[: len(index) // m * m].reshape(-1, m) for index in own])


def _check_level(delta: float) -> None:
    if not 0 < delta < 1:
        raise ValueError(f"delta = {delta}: expected 0 < delta < 1, such as 0.05")


def _table(codes: np.ndarray, z: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Counts N_zk (|Z|, K) of the pairs; without a shape, as large as the labels ask for."""
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


def _reference(p: np.ndarray, name: str) -> np.ndarray:
    p = np.asarray(p, float)
    if p.ndim != 1 or not (p > 0).all() or not math.isclose(p.sum(), 1, abs_tol=1e-9):
        found = f"shape {p.shape}, least {p.min():g}, sum {p.sum():g}"
        raise ValueError(f"{name}: {found}: expected a distribution without zeros; see `smoothed`")
    return p


def _worst_table(s: float, a: float, b: float, cells: np.ndarray, sizes: np.ndarray, n: int, step: float) -> float:
    r"""The sum of suprema in `information_bound`, from above: `sizes` cells with each mu in `cells`.

    .. math:: \log E_\lambda e^{-s g(N; \mu)} = \Lambda(s \log\mu + \log\lambda) - s\mu - \lambda

    so that one table of Lambda, over theta in steps of `step`, serves all cells.
    """
    low, high = (1 + s) * math.log(cells.min()) - 8, s * math.log(cells.max()) + math.log(n)
    theta = np.arange(low, high + 2 * step, step)
    series = _log_series(theta, s)
    return sum(size * _worst_cell(theta, series, s, a, b, mu, n) for mu, size in zip(cells, sizes, strict=True))


def _log_series(theta: np.ndarray, s: float) -> np.ndarray:
    r"""Lambda, from above: theta (L,) ascending to (L,).

    .. math:: \Lambda(\theta) = \log \sum_N \frac{1}{N!} \exp(N\theta - s(N \log N - N))

    Past N = M a term is at most exp(theta) / M^(1+s) of the one before it. Once that is below a half, all terms to come
    add up to no more than the last one, which is counted twice.
    """
    parts = []
    for part in np.array_split(theta, 1 + len(theta) // 32):
        count = np.arange(math.ceil(math.exp((part[-1] + math.log(2)) / (1 + s))) + 21.0)
        terms = np.outer(part, count) - s * (xlogy(count, count) - count) - gammaln(count + 1)
        terms[:, -1] += math.log(2)
        parts.append(logsumexp(terms, axis=1))
    return np.concatenate(parts)


def _worst_cell(theta: np.ndarray, series: np.ndarray, s: float, a: float, b: float, mu: float, n: int) -> float:
    """One supremum in `information_bound`, from above.

    Lambda is convex in log lambda and the rest is convex in lambda, so between two grid points each lies below its
    chord. The chords sum to u log(lambda) + v lambda and a constant, largest at -u / v or at an end. Below the grid,
    Lambda, which grows, is at most its first value.
    """
    lam = np.exp(theta - s * math.log(mu))
    rest = a * (lam * np.log(lam / mu) - lam + mu) + b * (lam - mu) - s * mu - lam
    u, v = np.diff(series) / np.diff(theta), np.diff(rest) / np.diff(lam)
    left, right = lam[:-1], lam[1:]
    peak = np.clip(u / np.maximum(-v, 1e-300), left, np.minimum(right, n))
    chords = series[:-1] + u * np.log(peak / left) + rest[:-1] + v * (peak - left)
    below = series[0] + max(rest[0], (a - b - s) * mu)
    return max(below, chords[left < n].max())
