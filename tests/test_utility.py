"""What a release keeps: everything the raw images show, nothing a constant shows, a mean for each code in between."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import r2_score

from anonrep.data.dataset import Dataset
from anonrep.evaluation.utility import utility_by_code, utility_scores

SIZE = 10
NAMES = ["place", "height", "coin", "noise"]


def bars(n: int = 500, seed: int = 0) -> Dataset:
    """An upright bar in one of three places and of some height; a coin and a number that no image shows."""
    draw = np.random.default_rng(seed)
    images, place, height = np.zeros((n, SIZE, SIZE), np.uint8), draw.integers(0, 3, n), draw.integers(2, SIZE, n)
    for image, at, tall in zip(images, place, height, strict=True):
        image[:tall, 2 + 3 * at] = 255
    hidden = {"coin": draw.integers(0, 2, n), "noise": draw.standard_normal(n)}
    split = np.repeat([0, 1, 2], [n - 200, 50, 150]).astype(np.uint8)
    attributes = {"place": place, "height": height / SIZE, **hidden}
    return Dataset(images, draw.integers(0, 2, n), attributes, split, {"source": "synthetic", "private": "writer"})


def by_name(release: Dataset, seed: int = 0) -> dict[str, dict]:
    return {row["attribute"]: row for row in utility_scores(release, NAMES, seed)}


def test_raw_images_keep_what_they_show_and_nothing_else():
    rows = by_name(bars())
    assert list(rows) == NAMES
    assert {name: row["kind"] for name, row in rows.items()} == {
        **{"place": "accuracy", "height": "R2"},
        **{"coin": "accuracy", "noise": "R2"},
    }
    assert rows["place"]["score"] == 1
    assert rows["height"]["score"] > 0.98
    # Had the trees seen test images, they would know these two by heart.
    assert abs(rows["coin"]["score"] - 0.5) < 3.3 * np.sqrt(0.25 / 150)
    assert rows["noise"]["score"] < 0.1


def test_a_constant_image_keeps_nothing():
    data = bars()
    train, test = data.subset("train"), data.subset("test")
    rows = by_name(data.released(np.full_like(data.images, 7)))
    for name in ("height", "noise"):
        assert rows[name]["score"] == pytest.approx(rows[name]["chance"], abs=1e-12)
    majority = np.bincount(train.attributes["place"]).argmax()
    assert rows["place"]["score"] == (test.attributes["place"] == majority).mean()
    assert rows["place"]["chance"] == np.bincount(data.attributes["place"]).max() / len(data)
    assert rows["height"]["score"] <= 0
    assert rows["noise"]["score"] <= 0


# --- by the code alone


def by_code(data: Dataset, codes: np.ndarray) -> dict[str, dict]:
    return {row["attribute"]: row for row in utility_by_code(data, codes, NAMES)}


def test_the_codes_say_what_the_trees_find_in_their_codewords():
    data = bars()
    codes = data.attributes["place"] * 2 + (data.attributes["height"] > 0.5)
    codes = np.where(np.random.default_rng(3).random(len(codes)) < 0.3, 0, codes)
    codewords = np.random.default_rng(1).integers(0, 256, (6, SIZE, SIZE), np.uint8)
    seen, known = by_name(data.released(codewords[codes])), by_code(data, codes)
    for name in NAMES:
        assert known[name] | {"score": 0} == seen[name] | {"score": 0}
        assert known[name]["score"] == pytest.approx(seen[name]["score"], abs=0.03)
    assert 0.6 < known["place"]["score"] < 0.9


@given(n_codes=st.integers(1, 40), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_is_the_definition_one_image_at_a_time(n_codes, seed):
    """Against scikit-learn's guess at chance, fitted to each code's training images; validation does not count."""
    data = bars(300, seed)
    codes = np.random.default_rng(seed).integers(0, n_codes, 300)
    train, test = data.split == 0, data.split == 2
    rows = by_code(data, codes)
    for name, blind in (("place", DummyClassifier()), ("height", DummyRegressor())):
        values, guess = data.attributes[name], np.empty(300)
        for code in np.unique(codes):
            own = train & (codes == code)
            own = own if own.any() else train  # a code that no training image has
            guess[codes == code] = blind.fit(np.zeros((own.sum(), 1)), values[own]).predict([[0]])[0]
        score = np.mean(guess[test] == values[test]) if name == "place" else r2_score(values[test], guess[test])
        assert rows[name]["score"] == pytest.approx(score)
        mean = r2_score(values[test], np.full(test.sum(), values[train].mean()))
        chance = np.unique(values, return_counts=True)[1].max() / 300 if name == "place" else mean
        assert rows[name]["chance"] == pytest.approx(chance)


def test_codes_of_other_images_and_unknown_attributes_are_errors():
    data = bars()
    with pytest.raises(ValueError, match=r"codes \(499,\) beside 500 images; expected one an image"):
        utility_by_code(data, np.zeros(499, int), ["place"])
    with pytest.raises(KeyError, match=r"no task 'mood'.*height"):
        utility_by_code(data, np.zeros(500, int), ["mood"])
