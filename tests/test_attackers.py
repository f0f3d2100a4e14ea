"""The attackers: scikit-learn's conventions, weights that come back bit by bit, and seeds."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from anonrep.attackers import Effort, NetworkAttacker, jitter, large_network, plain_network, suite

QUICK = Effort(network_epochs=1, large_epochs=1, trees=3)


def labelled(n: int = 120, people: int = 3, size: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright square whose place is the label."""
    draw = np.random.default_rng(seed)
    images, labels = draw.integers(0, 100, (n, size, size), np.uint8), draw.integers(0, people, n)
    for image, label in zip(images, labels, strict=True):
        image[3 * label : 3 * label + 3, 4:7] = 255
    return images, labels


def all_candidates() -> list:
    """Every candidate of the suite, with its name."""
    return [pytest.param(c, id=f"{n}-{i}") for n, cs in suite(QUICK, seed=3).items() for i, c in enumerate(cs)]


@pytest.mark.parametrize("candidate", all_candidates())
def test_every_candidate_follows_the_conventions(candidate):
    images, labels = labelled()
    before = repr(candidate.get_params())
    fitted = clone(candidate).fit(images, labels)
    assert repr(candidate.get_params()) == before  # the candidate itself stays as it was
    assert fitted.predict(images).shape == labels.shape
    assert set(fitted.predict(images)) <= set(labels)
    assert list(fitted.classes_) == [0, 1, 2]
    assert fitted.score(images, labels) == pytest.approx((fitted.predict(images) == labels).mean())


@pytest.mark.parametrize("candidate", all_candidates())
def test_same_seed_same_predictions_whatever_the_global_generators_hold(candidate):
    images, labels = labelled()
    torch.manual_seed(1)
    first = clone(candidate).fit(images, labels).predict(labelled(seed=1)[0])
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert np.array_equal(first, clone(candidate).fit(images, labels).predict(labelled(seed=1)[0]))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("network", [plain_network, large_network])
@pytest.mark.parametrize("augment", [0.0, 0.06])
def test_probabilities_are_equal_bit_by_bit_for_the_same_seed_only(network, augment):
    images, labels = labelled()
    probabilities = [
        NetworkAttacker(network, epochs=1, augment=augment, seed=seed).fit(images, labels).predict_proba(images)
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(probabilities[0], probabilities[1])
    assert not np.array_equal(probabilities[0], probabilities[2])


@pytest.mark.parametrize("network", [plain_network, large_network])
def test_a_network_finds_a_label_of_any_kind(network):
    images, labels = labelled(300)
    names = np.array([30, 7, -2])[labels]
    attacker = NetworkAttacker(network, epochs=6, batch=16, rate=2e-3).fit(images, names)
    assert list(attacker.classes_) == [-2, 7, 30]
    fresh, truth = labelled(60, seed=1)
    assert attacker.score(fresh, np.array([30, 7, -2])[truth]) > 0.95
    probabilities = attacker.predict_proba(fresh)
    assert probabilities.shape == (60, 3)
    assert probabilities.sum(1) == pytest.approx(np.ones(60), abs=1e-5)


def test_prediction_does_not_depend_on_the_company_or_on_dropout():
    images, labels = labelled()
    attacker = NetworkAttacker(epochs=1).fit(images, labels)
    together = attacker.predict_proba(images)
    assert np.array_equal(together, attacker.predict_proba(images))
    assert attacker.predict_proba(images[5:6])[0] == pytest.approx(together[5], abs=1e-5)


@pytest.mark.parametrize("network", [plain_network, large_network])
def test_weights_come_back_bit_by_bit(tmp_path, network):
    """Trained with channels last, so that a write that forgets the memory layout would mix the weights up."""
    images, labels = labelled()
    attacker = NetworkAttacker(network, epochs=2).fit(images, labels + 10)
    inner = [w for w in attacker.module_.parameters() if w.ndim == 4 and w.shape[1] > 1]
    assert inner
    assert all(w.is_contiguous(memory_format=torch.channels_last) and not w.is_contiguous() for w in inner)
    attacker.save(tmp_path / "deep" / "a.safetensors")
    loaded = NetworkAttacker(network).load(tmp_path / "deep" / "a.safetensors")
    fresh = labelled(seed=1)[0]
    assert np.array_equal(attacker.predict_proba(fresh), loaded.predict_proba(fresh))
    assert np.array_equal(attacker.predict(fresh), loaded.predict(fresh))
    assert list(loaded.classes_) == [10, 11, 12]
    for name, value in attacker.module_.state_dict().items():
        assert torch.equal(value, loaded.module_.state_dict()[name]), name
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("size", [(4, 4), (7, 9), (12, 12), (13, 14), (15, 20), (20, 20), (50, 50)])
@pytest.mark.parametrize("network", [plain_network, large_network])
@torch.no_grad()
def test_networks_take_images_of_many_sizes(network, size):
    assert network(*size, 5)(torch.rand(2, 1, *size)).shape == (2, 5)


def test_a_users_own_network_is_an_attacker(tmp_path):
    images, labels = labelled(300)
    mine = NetworkAttacker(tiny_network, epochs=8, batch=16, rate=0.01)
    assert clone(mine).fit(images, labels).score(*labelled(60, seed=1)) > 0.95


def tiny_network(height: int, width: int, classes: int) -> nn.Module:
    """The shortest network there is."""
    return nn.Sequential(nn.Flatten(), nn.Linear(height * width, classes))


def test_jitter_moves_images_a_little_and_never_outside_zero_and_one():
    x, generator = torch.from_numpy(labelled(50)[0])[:, None] / 255, torch.Generator().manual_seed(0)
    torch.testing.assert_close(jitter(x, generator, 0.0), x)
    moved = [(jitter(x, generator, strength) - x).abs().mean((1, 2, 3)) for strength in (0.03, 0.3)]
    assert (moved[0] > 0).all()
    assert moved[0].mean() < moved[1].mean()
    assert -1e-5 <= jitter(x, generator, 0.3).min() <= jitter(x, generator, 0.3).max() <= 1 + 1e-5


@pytest.mark.parametrize("wrong", [{"network_epochs": 0}, {"trees": 2.0}, {"reader_epochs": True}, {"trees": "9"}])
def test_an_impossible_effort_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*; expected a whole number from 1"):
        Effort(**wrong)


def test_the_suite_holds_five_families_and_the_papers_own():
    families = suite(QUICK, seed=0)
    assert list(families) == ["cnn", "cnn_large", "trees", "svm", "neighbours"]
    assert families["cnn"][0].augment == 0 < families["cnn_large"][0].augment
