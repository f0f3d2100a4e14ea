"""What a release keeps: everything the raw images show, nothing a constant shows, a mean a picture in between."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from anonrep.dataset import Dataset
from anonrep.kept import kept_attributes

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
    return Dataset(images, draw.integers(0, 2, n), attributes, split, {"source": "standin", "private": "writer"})


def by_name(release: Dataset, seed: int = 0) -> dict[str, dict]:
    return {row["attribute"]: row for row in kept_attributes(release, NAMES, seed)}


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
    for row in rows.values():
        assert row["score"] == pytest.approx(row["chance"], abs=1e-12)
    majority = np.bincount(train.attributes["place"]).argmax()
    assert rows["place"]["chance"] == (test.attributes["place"] == majority).mean()
    assert rows["height"]["score"] <= 0
    assert rows["noise"]["score"] <= 0


def test_of_k_pictures_the_trees_learn_the_best_answer_for_each():
    """Six pictures of noise: the trees come down to each picture's majority and mean among the training images."""
    data = bars()
    codes = data.attributes["place"] * 2 + (data.attributes["height"] > 0.5)
    pictures = np.random.default_rng(1).integers(0, 256, (6, SIZE, SIZE), np.uint8)
    rows = by_name(data.released(pictures[codes]))
    assert rows["place"]["score"] == 1
    train, test, height = data.split == 0, data.split == 2, data.attributes["height"]
    means = np.array([height[train & (codes == code)].mean() for code in range(6)])
    assert rows["height"]["score"] == pytest.approx(r2_score(height[test], means[codes[test]]))
    assert 0.5 < rows["height"]["score"] < 0.9  # high or low is kept, how high is not


def test_a_release_worse_than_the_mean_is_reported_below_zero():
    """Test images turned upside down against what was learned."""
    data = bars()
    lying = data.attributes | {
        "height": np.where(data.split == 2, 1 - data.attributes["height"], data.attributes["height"])
    }
    (row,) = kept_attributes(Dataset(data.images, data.z, lying, data.split, data.provenance), ["height"], 0)
    assert row["score"] < -0.5


def test_validation_is_not_looked_at_and_the_seed_decides():
    data = bars()
    blank = data.images.copy()
    blank[data.split == 1] = 0
    assert by_name(data) == by_name(data.released(blank))
    grainy = data.released(np.random.default_rng(2).integers(0, 256, data.images.shape, np.uint8))
    assert by_name(grainy)["noise"] != by_name(grainy, seed=1)["noise"]  # bars are few: every seed learns them whole
    (alone,) = kept_attributes(data, ["noise"], 0)
    assert alone == by_name(data)["noise"]  # its company does not matter


def test_an_unknown_attribute_is_named():
    with pytest.raises(KeyError, match=r"no task 'mood'.*'height'"):
        kept_attributes(bars(), ["mood"], 0)
