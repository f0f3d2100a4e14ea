"""One protocol for every release: who attacks what, and one row schema."""

import numpy as np
import pytest

from anonrep.data.dataset import Dataset
from anonrep.evaluation.assessment import assess
from anonrep.evaluation.attackers import FEW, AttackBudget, suite
from anonrep.evaluation.judge import ALL, RAW_READER, judge
from anonrep.evaluation.network_attacker import NetworkAttacker

BUDGET = AttackBudget(network_epochs=2, large_epochs=0, trees=5, boosting_rounds=2)
KEY = {"dataset": "toy", "method": "raw", "seed": None}


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Images that show a person by a row, a digit by a column, and nothing of the side."""
    draw, n = np.random.default_rng(0), 240
    z, digit, side = draw.integers(0, 4, n), draw.integers(0, 3, n), draw.integers(0, 2, n)
    images = draw.integers(0, 60, (n, 12, 12), np.uint8)
    images[np.arange(n), 3 * z] += 90
    images[np.arange(n), :, 4 * digit] += 90
    split = np.repeat([0, 1, 2], [n - 120, 60, 60]).astype(np.uint8)
    provenance = {"source": "synthetic", "private": "writer", "utility": "digit"}
    return Dataset(images, z, {"digit": digit, "side": side}, split, provenance)


def test_each_task_is_attacked_by_those_who_are_named(data):
    plan = {"private": FEW, "utility": ("trees", "cnn"), "side": ("trees",), "side_tasks": ["side"]}
    rows = judge(data, BUDGET, **plan, images_per_person=(1, 5), key=KEY)
    told = [(row["task"], row["m"], row["attacker"]) for row in rows]
    assert told == [
        *[("writer", m, name) for m in (1, 5) for name in (*FEW, "ensemble")],
        *[("digit", 1, name) for name in ("trees", "cnn", "ensemble")],
        ("side", 1, "trees"),  # alone, without an ensemble
    ]
    for row in rows:
        assert {name: row[name] for name in KEY} == KEY
        assert row["source"] == "synthetic"
    # A task's rows do not depend on the other tasks.
    attackers = suite(BUDGET, seed=0)
    (alone,) = assess(data, "digit", {"trees": attackers["trees"], "cnn": attackers["cnn"]})[1:2]
    assert alone.items() <= rows[told.index(("digit", 1, "cnn"))].items()


def test_the_whole_suite_finds_what_is_there_and_nothing_in_permuted_labels(data):
    found, control = (judge(data, BUDGET, private=ALL, permute=permute, key=KEY) for permute in (None, 0))
    assert [row["attacker"] for row in found] == [*suite(BUDGET, seed=0), "ensemble"]
    assert max(row["accuracy"] for row in found) > 0.9
    assert max(row["accuracy"] for row in control) < 0.25 + 4 * np.sqrt(0.25 * 0.75 / 60)


def test_a_raw_reader_reads_released_test_images(data):
    train, blank = data.subset("train"), data.released(np.zeros_like(data.images))
    reader = NetworkAttacker(epochs=10, batch=16).fit(train.images, train.task("digit"))
    for release, low, high in ((data, 0.9, 1), (blank, 0, 0.6)):
        (row,) = judge(release, BUDGET, private=(), readers={"digit": reader}, key=KEY)
        assert (row["task"], row["attacker"], row["m"], row["n"]) == ("digit", RAW_READER, 1, 60)
        assert low <= row["accuracy"] <= high
        assert row["low"] <= row["accuracy"] <= row["high"]


def test_an_unknown_attacker_is_named(data):
    with pytest.raises(KeyError, match="oracle"):
        judge(data, BUDGET, private=("oracle",), key=KEY)
