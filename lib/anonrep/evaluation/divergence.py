r"""An upper limit for the divergence of codes and persons from independence, from counts of held-out pairs.

`certificate` states the assumptions, and what follows for an attacker who holds several images of one person.
"""

import math

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, logsumexp, rel_entr, xlogy

from anonrep.evaluation.contingency import check_level, count_pairs


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
       of T with d(t*) < D, and has probability below delta. So the minimum may be taken after seeing T; an imperfect
       search finds a larger value, which holds too.

    The suprema are bounded from above, not sampled (`_worst_cell`). Cells that expect far less than one pair make the
    limit wide: rare codes, or n of the order of K |Z|. A table that is more regular than chance allows has a limit of
    0; such tables are within the share delta of errors.
    """
    check_level(delta)
    p_z, p_k = _reference(p_z, "p_z"), _reference(p_k, "p_k")
    table = count_pairs(codes, z, shape=(len(p_z), len(p_k)))
    n = int(table.sum())
    mu = n * np.outer(p_z, p_k)
    statistic = (rel_entr(table, mu) - table + mu).sum()
    price = n + gammaln(n + 1) - n * math.log(n) - math.log(delta)

    def limit(point: np.ndarray, cells: np.ndarray, sizes: np.ndarray, step: float) -> float:
        s, a, b = math.exp(point[0]), math.exp(point[0] + point[1]), point[2] / math.sqrt(n)
        worst = _worst_table(s, a, b, cells, sizes, n, step)
        return max(0.0, float(price + s * statistic + worst) / (a * n))

    # The bracket is convex in (s, a, b), so that its ratio to a has one valley, but with kinks, where a simplex can get
    # stuck: hence the second round. The search lumps similar cells under their least mu (rare cells limit a) and takes
    # wide steps. The returned value does neither: its chords add at most about n step^2 / 8 nats to the bracket.
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
