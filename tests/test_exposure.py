"""What a release exposes: every limit covers the truth, on channels where the truth is known."""

import numpy as np
import pytest

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.evaluation.exposure import exposure_rows

KEY = {"method": "finite", "seed": 0}
CELLS = [(n, c) for n in range(6) for c in range(5)]


def drawn(channel: np.ndarray, n: int, seed: int, labels: int = 2) -> tuple[Dataset, Codebook]:
    """Pairs of a channel (|Z|, labels, K) with everybody and each label equally likely, half for training."""
    rng = np.random.default_rng(seed)
    z, label = rng.integers(len(channel), size=n), rng.integers(labels, size=n)
    codes = (channel[z, label].cumsum(1) < rng.random((n, 1))).sum(1)
    split = np.where(np.arange(n) % 2, 0, 2).astype(np.uint8)
    about = {"source": "synthetic", "private": "person", "utility": "sign", "split": "random", "dataset": "d"}
    data = Dataset(np.zeros((n, 2, 2), np.uint8), z, {"sign": label}, split, about)
    return data, Codebook(np.zeros((channel.shape[2], 2, 2), np.uint8), codes)


def truths(channel: np.ndarray) -> dict[str, float]:
    """What the best rule reaches, by brute force over the law itself."""
    joint = channel / (channel.shape[0] * channel.shape[1])
    table = joint.sum(1)
    posterior = table / table.sum(0)
    given = table / table.sum(1, keepdims=True)
    pairs = [np.abs(a - b).sum() / 2 for a in given for b in given]
    return {
        "3 guesses": np.sort(table, 0)[-3:].sum(),
        "5 guesses": np.sort(table, 0)[-5:].sum(),
        "knows sign": joint.max(0).sum(),
        "worst sign": (joint.max(0).sum(1) * channel.shape[1]).max(),
        "most telling codeword": posterior.max(),
        "two most exposed people": (1 + max(pairs)) / 2,
    }


def test_limits_cover_what_the_best_rule_reaches():
    rng, missed = np.random.default_rng(0), 0
    for seed in range(60):
        channel = rng.dirichlet(np.full(5, rng.choice([0.3, 1, 5])), (6, 2))
        truth, rows = truths(channel), exposure_rows(*drawn(channel, 1200, seed), key=KEY)
        highs = {row["measure"]: row["high"] for row in rows}
        assert all(row["low"] <= row["value"] <= row["high"] for row in rows)
        missed += sum(highs[name] < value for name, value in truth.items())
    assert missed <= 0.05 * 60 * len(truth) + 3 * np.sqrt(0.05 * 0.95 * 60 * len(truth))


def test_nothing_is_told_by_a_code_that_everybody_has_and_all_by_ones_own():
    alike = exposure_rows(*drawn(np.full((6, 2, 5), 0.2), 4000, 0), key=KEY)
    found = {row["measure"]: row for row in alike}
    assert found["two most exposed people"]["low"] < 0.55
    assert found["3 guesses"]["value"] == pytest.approx(0.5, abs=0.05)
    own = exposure_rows(*drawn(np.tile(np.eye(6)[:, None], (1, 2, 1)), 4000, 0), key=KEY)
    assert {row["value"] for row in own} == {1.0}
    assert min(row["low"] for row in own) > 0.95
