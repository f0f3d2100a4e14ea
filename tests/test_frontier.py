"""The frontier: bounds above every attacker, controls on both sides, and promises that hold although chosen."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.evaluation.certificate import accuracy_bound
from anonrep.evaluation.frontier import answer, certificate_rows, choose, promise, validation_bound

PERSONS, DIGITS = 30, 10
KEY = {"dataset": "toy", "method": "finite", "lam": 1.5, "codebook": 12}


class Reader:
    """Reads an image's first pixel, as a network would its digit."""

    def predict(self, images: np.ndarray) -> np.ndarray:
        return images[:, 0, 0].astype(np.int64)


def people(n: int = 3000, persons: int = PERSONS, size: int = 4, seed: int = 0) -> Dataset:
    """Noise of persons and digits drawn at random: two thirds train, a sixth each validation and test."""
    draw = np.random.default_rng(seed)
    attributes = {"digit": draw.integers(0, DIGITS, n), "slant": draw.standard_normal(n)}
    split = np.repeat([0, 1, 2], [n - 2 * (n // 6), n // 6, n // 6]).astype(np.uint8)
    images = draw.integers(0, 256, (n, size, size), np.uint8)
    provenance = {"source": "synthetic", "private": "writer", "utility": "digit"}
    return Dataset(images, draw.permutation(np.arange(n) % persons), attributes, split, provenance)


def codewords(k: int, seed: int = 0) -> np.ndarray:
    """Noise of which `Reader` reads k modulo the number of digits."""
    images = np.random.default_rng(seed).integers(0, 256, (k, 4, 4), np.uint8)
    images[:, 0, 0] = np.arange(k) % DIGITS
    return images


def book(codes: np.ndarray, k: int = DIGITS) -> Codebook:
    return Codebook(codewords(k), codes)


def channel(z: np.ndarray, k: int, leak: float, seed: int) -> np.ndarray:
    """Codes from a random channel: the person's own (z modulo k) with probability `leak`, else by chance."""
    draw = np.random.default_rng(seed)
    own, spread = draw.random(len(z)) < leak, draw.dirichlet(np.ones(k))
    return np.where(own, z % k, draw.choice(k, len(z), p=spread))


def rows_of(data: Dataset, release: Codebook, **more: object) -> list[dict]:
    key = {**KEY, "seed": more.pop("seed", 0)}
    return certificate_rows(data, release, **{"reader": Reader(), "key": key, **more})


DATA = people()
INDEPENDENT = book(DATA.attributes["digit"])  # tells the digit alone
LEAKING = book(DATA.z, PERSONS)  # tells the person alone


# --- rows


def test_a_release_that_tells_the_digit_alone():
    one, five, twenty = rows_of(DATA, INDEPENDENT)
    assert one["best_attacker"] < 0.08  # chance is 3.3 %
    assert one["best_attacker"] <= one["bound"] < 0.15
    assert five["best_attacker"] <= five["bound"]
    assert five["attacker"] == "table"
    assert five["groups"] == (np.bincount(DATA.z[DATA.split == 2]) // 5).sum()
    assert one["groups"] is None
    assert one["utility"] == one["naturalness"] == 1
    assert one["used"] == DIGITS
    assert twenty["m"] == 20


def test_a_release_that_tells_the_person_alone():
    for row in rows_of(DATA, LEAKING):
        assert row["bound"] == 1
        assert row["best_attacker"] is None or row["best_attacker"] == 1
        assert row["utility"] < 0.2
        assert row["naturalness"] < 0.2


def test_codewords_that_show_another_digit_are_useful_and_not_natural():
    release = Codebook(np.roll(codewords(DIGITS), 1, axis=0), DATA.attributes["digit"])
    (row,) = rows_of(DATA, release, images_per_person=(1,))
    assert (row["utility"], row["naturalness"]) == (1, 0)


@given(st.integers(2, 20), st.floats(0, 1), st.integers(0, 2**32 - 1))
@settings(max_examples=4)
def test_no_attacker_on_one_image_is_above_the_bound(k, leak, seed):
    """Whatever the channel, however few the images: it is arithmetic, not luck."""
    data = people(240, persons=6, seed=seed % 1000)
    (row,) = rows_of(data, book(channel(data.z, k, leak, seed), k), images_per_person=(1,), seed=seed)
    assert row["best_attacker"] <= row["bound"]


# --- from a promise to lambda

CANDIDATES = pd.DataFrame(
    [
        {"lam": 0.0, "codes": 20, "seed": 0, "validation_bound": 0.4, "distortion": 0.1},
        {"lam": 1.0, "codes": 16, "seed": 0, "validation_bound": 0.2, "distortion": 0.3},
        {"lam": 2.0, "codes": 12, "seed": 1, "validation_bound": 0.1, "distortion": 0.5},
        {"lam": 3.0, "codes": 10, "seed": 0, "validation_bound": 0.09, "distortion": 0.5},
        {"lam": 4.0, "codes": 2, "seed": 0, "validation_bound": 0.08, "distortion": 0.9},
    ]
)


@pytest.mark.parametrize(("p", "lam"), [(0.9, 0), (0.4, 0), (0.39, 1), (0.15, 3), (0.095, 3), (0.08, 4), (0.07, None)])
def test_chooses_the_least_distorted_that_may_promise_p(p, lam):
    for candidates in (CANDIDATES, CANDIDATES[::-1]):
        chosen = choose(candidates, p)
        assert chosen is None if lam is None else chosen.lam == lam


def test_validation_and_test_each_use_their_own_images():
    codes = np.where(DATA.split == 1, DATA.z, 0)  # leaks on validation images alone
    validation, test = DATA.split == 1, DATA.split == 2
    assert validation_bound(DATA, codes) == 1
    assert validation_bound(DATA, np.zeros_like(codes), 0.1) == accuracy_bound(
        0 * codes[validation], DATA.z[validation], 0.1
    )
    assert validation_bound(DATA, codes * 0) == accuracy_bound(codes[validation] * 0, DATA.z[validation], 0.005)
    promised = promise(DATA, book(codes, PERSONS), 0.2)
    assert promised["bound"] == promised["least"] == accuracy_bound(codes[test], DATA.z[test])
    surer = promise(DATA, book(codes, PERSONS), 0.2, delta=0.01)
    assert surer["bound"] == surer["least"] == accuracy_bound(codes[test], DATA.z[test], 0.01)
    assert promised == {"p": 0.2, "holds": True, "n": 500, "delta": 0.05} | {
        name: promised[name] for name in ("bound", "least")
    }


@given(st.integers(1, 20), st.floats(0, 1), st.integers(0, 99), st.floats(0.01, 0.99))
def test_no_release_comes_below_the_least(k, leak, seed, p):
    promised = promise(DATA, book(channel(DATA.z, k, leak, seed), k), p)
    assert promised["least"] <= promised["bound"]
    assert promised["holds"] is (promised["bound"] <= p)
    assert json.loads(json.dumps(promised)) == promised


SIX = 1800  # images of six persons, 300 each for validation and test


def clear_channel(z: np.ndarray, seed: int) -> np.ndarray:
    """Each of six persons has a code of their own in nine of ten images: the best classifier has 0.9 + 0.1 / 6."""
    draw = np.random.default_rng(seed)
    return np.where(draw.random(len(z)) < 0.9, z, draw.integers(0, 6, len(z)))


def best_of(releases: np.ndarray, data: Dataset, by: int) -> np.ndarray:
    """The release whose limit is least on the images of one split."""
    images = data.split == by
    return releases[np.argmin([accuracy_bound(codes[images], data.z[images]) for codes in releases])]


def test_a_promise_holds_although_validation_chose_and_not_if_test_did():
    """Twenty releases that tell the same: the luckiest on validation is not lucky on test. Chosen on test, it is."""
    data, truth = people(SIX, persons=6), 0.9 + 0.1 / 6
    held = {1: 0, 2: 0}
    for trial in range(60):
        releases = np.array([clear_channel(data.z, 100 * trial + number) for number in range(20)])
        for by in held:
            held[by] += promise(data, book(best_of(releases, data, by), 6), 0.5)["bound"] >= truth
    assert held[1] >= 0.95 * 60 - 4  # two standard deviations
    assert held[2] < 0.7 * 60


# --- in words


def test_answers_in_words(golden):
    base = {"p": 0.15, "n": 1000, "delta": 0.05, "least": 0.05}
    chosen = choose(CANDIDATES, 0.15)
    given = [
        (base | {"bound": 0.12341, "holds": True}, chosen),
        (base | {"bound": 0.15001, "holds": False}, chosen),
        (promise(DATA, None, 0.07), None),
        (promise(DATA, None, 0.03, delta=0.1), None),
    ]
    golden("target_accuracy.txt", "".join(f"{answer(promised, one, CANDIDATES)}\n" for promised, one in given))


@pytest.mark.parametrize("p", [0, 1, -0.1, 5, float("nan")])
def test_impossible_promises_are_refused(p):
    with pytest.raises(ValueError, match="expected 0 < p < 1"):
        choose(CANDIDATES, p)
    with pytest.raises(ValueError, match="expected 0 < p < 1"):
        promise(DATA, INDEPENDENT, p)
