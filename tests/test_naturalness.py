"""Naturalness: 1, 1 and a half for a release that changed nothing, and far from them for noise."""

import numpy as np
import pytest

from anonrep.data.dataset import Dataset
from anonrep.evaluation.attackers import AttackBudget
from anonrep.evaluation.naturalness import naturalness, reading_accuracy, two_sample_accuracy
from anonrep.evaluation.network_attacker import NetworkAttacker

SIZE = 12


def drawn(n: int = 700, seed: int = 0) -> Dataset:
    """A bright bar, upright (digit 0) or lying (digit 1), somewhere."""
    draw = np.random.default_rng(seed)
    images, digit = draw.integers(0, 30, (n, SIZE, SIZE), np.uint8), draw.integers(0, 2, n)
    for image, lying, at in zip(images, digit, draw.integers(2, SIZE - 2, n), strict=True):
        (image.T if lying else image)[2:10, at] = 250
    split = np.repeat([0, 1, 2], [n - 300, 100, 200]).astype(np.uint8)
    return Dataset(
        images, draw.integers(0, 3, n), {"digit": digit}, split, {"source": "synthetic", "private": "writer"}
    )


def noise(data: Dataset) -> Dataset:
    """A release that is nothing but noise."""
    return data.released(np.random.default_rng(9).integers(0, 256, data.images.shape, np.uint8))


@pytest.fixture(scope="module")
def reader() -> NetworkAttacker:
    """A network trained on raw images."""
    train = drawn(seed=1).subset("train")
    return NetworkAttacker(epochs=10, batch=16).fit(train.images, train.attributes["digit"])


def test_a_release_that_changed_nothing_is_perfect(reader):
    data = drawn()
    budget = AttackBudget(two_sample_epochs=4)
    row = naturalness(data, data.released(data.images.copy()), reader=reader, task="digit", budget=budget, seed=0)
    assert set(row) == {"digit_accuracy", "ssim", "two_sample_accuracy"}
    assert row["ssim"] == 1
    assert row["two_sample_accuracy"] == 0.5  # exactly: every test image comes in both forms, and the forms are equal
    assert row["digit_accuracy"] == reader.score(data.subset("test").images, data.subset("test").attributes["digit"])
    assert row["digit_accuracy"] > 0.95


def test_noise_is_not_taken_for_real(reader):
    data = drawn()
    row = naturalness(data, noise(data), reader=reader, task="digit", budget=AttackBudget(two_sample_epochs=4), seed=0)
    assert row["two_sample_accuracy"] > 0.95
    assert row["ssim"] < 0.2
    assert 0.3 < row["digit_accuracy"] < 0.7


def test_two_samples_of_the_same_kind_are_not_told_apart():
    data, other = drawn(), drawn(seed=5)
    accuracy = two_sample_accuracy(data, data.released(other.images), epochs=4, seed=0)
    assert abs(accuracy - 0.5) < 3.3 * np.sqrt(0.25 / 400)


def test_a_digit_that_became_another_is_seen_by_the_reader_alone(reader):
    """Every image turned by a quarter: real-looking bars that show the other digit."""
    data = drawn()
    turned = data.released(data.images.transpose(0, 2, 1).copy())
    assert reading_accuracy(reader, turned, "digit") < 0.05
    assert two_sample_accuracy(data, turned, epochs=4, seed=0) < 0.6


def test_the_two_sample_network_never_sees_an_image_in_both_forms_nor_a_test_image(monkeypatch):
    data, seen = drawn(), []

    class Spy(NetworkAttacker):
        def fit(self, images, labels):
            seen.append((images, labels))
            return super().fit(images, labels)

    monkeypatch.setattr("anonrep.evaluation.naturalness.NetworkAttacker", Spy)
    release = noise(data)
    two_sample_accuracy(data, release, epochs=1, seed=0)
    ((images, is_real),) = seen
    real, fake = data.subset("train").images, release.subset("train").images
    assert np.array_equal(images[is_real], real[is_real])
    assert np.array_equal(images[~is_real], fake[~is_real])
    assert is_real.mean() == 0.5
