"""The attackers: scikit-learn's conventions, what they are handed, weights that come back bit by bit, and seeds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.svm import SVC
from torch import nn

from anonrep.evaluation.attackers import FEW, PAPERS, AtMost, AttackBudget, SupportVectors, coarse, pixels, suite
from anonrep.evaluation.network_attacker import NetworkAttacker, large_network, perceptron, plain_network
from anonrep.utils.images import jitter
from anonrep.utils.precision import mixed_precision

QUICK = AttackBudget(network_epochs=1, large_epochs=1, trees=3, boosting_rounds=2)
NETWORKS = [plain_network, large_network, perceptron]
SUITE = ["majority", "logistic", "neighbours", "trees", "boosted", "svm", "mlp", "cnn", "cnn_large"]


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


# Everybody.


@pytest.mark.parametrize("names", [[0, 1, 2], ["me", "you"], [30, 7, -2]], ids=["counted", "two words", "any numbers"])
@pytest.mark.parametrize("candidate", all_candidates())
def test_every_candidate_follows_the_conventions(candidate, names):
    images, labels = labelled(90, people=len(names))
    labels = np.array(names)[labels]
    before = repr(candidate.get_params())
    fitted = clone(candidate).fit(images, labels)
    assert repr(candidate.get_params()) == before  # the candidate itself stays as it was
    assert list(fitted.classes_) == sorted(names)
    fresh = labelled(50, people=len(names), seed=1)[0]
    probabilities, named = fitted.predict_proba(fresh), fitted.predict(fresh)
    assert probabilities.shape == (50, len(names))
    assert (probabilities >= 0).all()
    assert probabilities.sum(1) == pytest.approx(np.ones(50), abs=1e-5)
    # Columns stand in the order of classes_: nothing is likelier than what is named. Ties are broken either way.
    columns = np.searchsorted(fitted.classes_, named)
    assert np.array_equal(fitted.classes_[columns], named)
    assert probabilities[np.arange(50), columns] == pytest.approx(probabilities.max(1), abs=1e-6)
    assert fitted.score(images, labels) == pytest.approx((fitted.predict(images) == labels).mean())


@pytest.mark.parametrize("candidate", all_candidates())
def test_same_seed_same_predictions_whatever_the_global_generators_hold(candidate):
    images, labels = labelled()
    torch.manual_seed(1)
    first = clone(candidate).fit(images, labels).predict_proba(labelled(seed=1)[0])
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert np.array_equal(first, clone(candidate).fit(images, labels).predict_proba(labelled(seed=1)[0]))
    assert torch.equal(state, torch.get_rng_state())


def test_the_suite_by_name():
    families = suite(QUICK, seed=0)
    assert list(families) == SUITE
    assert list(suite(AttackBudget(large_epochs=0), seed=0)) == SUITE[:-1]
    assert set(PAPERS) < set(FEW) < set(SUITE)
    (plain,), (large,), (connected,) = (families[name] for name in ("cnn", "cnn_large", "mlp"))
    assert (plain.network, plain.augment, plain.smoothing) == (plain_network, 0, 0)  # the paper's own kind
    assert (large.network, connected.network) == (large_network, perceptron)
    assert large.augment > 0 < large.smoothing


@pytest.mark.parametrize("name", SUITE)
def test_budget_and_seed_reach_whom_they_concern(name):
    fields = {"trees": "trees", "boosted": "boosting_rounds", "mlp": "network_epochs", "cnn": "network_epochs"}
    fields |= {"cnn_large": "large_epochs", "neighbours": "pairwise_images", "svm": "pairwise_images"}
    told = repr(suite(AttackBudget(), seed=0)[name])
    for field in ("network_epochs", "large_epochs", "trees", "boosting_rounds", "pairwise_images"):
        assert (repr(suite(AttackBudget(**{field: 77}), seed=0)[name]) != told) == (fields.get(name) == field), field
    assert (repr(suite(AttackBudget(), seed=5)[name]) != told) == (name in fields)


WRONG = [
    {"network_epochs": 0},
    {"trees": 2.0},
    {"reader_epochs": True},
    {"boosting_rounds": "9"},
    {"pairwise_images": 0},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_an_impossible_budget_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*; expected a whole number from 1"):
        AttackBudget(**wrong)


def test_only_the_largest_network_may_be_left_out():
    assert AttackBudget(large_epochs=0).large_epochs == 0
    with pytest.raises(ValueError, match="large_epochs is -1; expected a whole number from 0"):
        AttackBudget(large_epochs=-1)


# What they are handed.


@pytest.mark.parametrize("size", [(20, 20), (50, 50), (10, 30)])
def test_coarse_is_the_mean_of_blocks_where_they_fit(size):
    images = np.random.default_rng(0).integers(0, 256, (7, *size), np.uint8)
    height, width = size
    blocks = images.reshape(7, 10, height // 10, 10, width // 10).mean((2, 4))
    assert coarse(images) == pytest.approx(blocks.reshape(7, 100), abs=1e-3)


@pytest.mark.parametrize("size", [(12, 12), (13, 14), (50, 50), (7, 9)])
def test_coarse_keeps_brightness_and_mixes_no_images(size):
    images = np.random.default_rng(0).integers(0, 256, (10, *size), np.uint8)
    found = coarse(images)
    assert found.shape == (10, 100)
    assert coarse(np.full((2, *size), 77, np.uint8)) == pytest.approx(np.full((2, 100), 77), abs=1e-3)
    for row, image in zip(found, images, strict=True):
        assert coarse(image[None])[0] == pytest.approx(row, abs=1e-3)
        if min(size) >= 10:  # of larger cells; smaller ones repeat pixels unevenly
            assert row.mean() == pytest.approx(image.mean(), abs=0.01)


def test_coarse_takes_a_grid_of_another_size():
    images = labelled(3)[0]
    assert coarse(images, 3) == pytest.approx(images.reshape(3, 3, 4, 3, 4).mean((2, 4)).reshape(3, 9), abs=1e-3)


def test_pixels_are_rows_from_zero_to_one():
    images = np.arange(256, dtype=np.uint8).reshape(2, 8, 16)
    found = pixels(images)
    assert (found.dtype, found.shape) == (np.float32, (2, 128))
    assert np.array_equal(np.round(found * 255).ravel(), np.arange(256))


# Those that learn from some of the images.


@pytest.mark.parametrize("name", ["neighbours", "svm"])
def test_attackers_that_compare_pairs_learn_from_all_images_up_to_a_number_and_from_that_many_beyond(name):
    (images, truth), fresh = labelled(120), labelled(50, seed=1)[0]
    labels = np.random.default_rng(0).permutation(truth)  # nothing to be found: every image that is known counts
    limited, whole = (suite(AttackBudget(pairwise_images=most), seed=3)[name][-1] for most in (60, 120))
    bare = clone(whole.attacker).fit(images, labels)
    assert whole.fit(images, labels).n_train_ == 120
    assert np.array_equal(whole.predict_proba(fresh), bare.predict_proba(fresh))
    assert np.array_equal(whole.predict(fresh), bare.predict(fresh))
    assert limited.fit(images, labels).n_train_ == 60
    assert not np.array_equal(limited.predict_proba(fresh), bare.predict_proba(fresh))
    assert limited.fit(images, truth).score(*labelled(60, seed=2)) > 0.95


class Remembers(DummyClassifier):
    """Keeps what it was fitted on."""

    def fit(self, images, labels):
        self.seen_ = images, labels
        return super().fit(images, labels)


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 70), st.integers(0, 9))
def test_the_images_learned_from_are_drawn_once_each_with_every_label_among_them(labels, most, seed):
    labels, images = np.array(labels), np.arange(len(labels)).reshape(-1, 1, 1)
    first, again = (AtMost(Remembers(), most, seed).fit(images, labels) for _ in range(2))
    shown, told = first.attacker_.seen_
    assert np.array_equal(shown, again.attacker_.seen_[0])
    assert len(shown) == first.n_train_ == min(most, len(labels))
    assert (np.diff(shown.ravel()) > 0).all()  # none twice, in their old order
    assert np.array_equal(told, labels[shown.ravel()])
    if most >= len(np.unique(labels)):
        assert set(told) == set(labels)


def test_which_images_are_learned_from_is_drawn_by_the_seed_and_without_favour():
    images, labels = np.arange(100).reshape(-1, 1, 1), np.repeat([0, 1], 50)
    drawn = [AtMost(Remembers(), 20, seed).fit(images, labels).attacker_.seen_[0].ravel() for seed in range(400)]
    counts = np.bincount(np.concatenate(drawn), minlength=100)
    assert len({tuple(some) for some in drawn}) == 400
    assert counts.sum() == 400 * 20
    assert np.abs(counts - 80).max() < 5 * np.sqrt(80 * 0.8)  # binomial, five standard deviations


# The support vector machine.


@pytest.mark.parametrize("names", [["a", "b"], [3, 1, 2], [0, 1, 2, 3, 4]], ids=["two", "three", "five"])
def test_support_vectors_name_whom_scikit_learns_own_machine_names(names):
    """On clouds that overlap, so that there is something to disagree on."""
    draw, people = np.random.default_rng(0), len(names)
    centres = draw.normal(0, 0.7, (people, 6))
    train, test = (draw.integers(0, people, n) for n in (200, 300))
    x, fresh = (centres[label] + draw.normal(0, 1, (len(label), 6)) for label in (train, test))
    labels = np.array(names)[train]
    mine = SupportVectors(0.2, C=3).fit(x, labels)
    own = SVC(C=3, gamma=0.2, kernel="rbf", break_ties=True).fit(x, labels)
    assert 0.3 < own.score(fresh, np.array(names)[test]) < 0.95
    assert np.array_equal(mine.predict(fresh), own.predict(fresh))
    assert list(mine.classes_) == list(own.classes_)
    # Its probabilities are the softmax of the votes, which two classes share.
    votes, beliefs = own.decision_function(fresh), np.log(mine.predict_proba(fresh))
    if people == 2:
        assert beliefs[:, 1] - beliefs[:, 0] == pytest.approx(2 * votes, abs=1e-6)
    else:
        assert beliefs - beliefs[:, :1] == pytest.approx(votes - votes[:, :1], abs=1e-6)


# Networks.


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("augment", [0.0, 0.06])
def test_probabilities_are_equal_bit_by_bit_for_the_same_seed_only(network, augment):
    images, labels = labelled()
    probabilities = [
        NetworkAttacker(network, epochs=1, augment=augment, seed=seed).fit(images, labels).predict_proba(images)
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(probabilities[0], probabilities[1])
    assert not np.array_equal(probabilities[0], probabilities[2])


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_finds_a_label_of_any_kind(network):
    images, labels = labelled(200)
    names = np.array(["z", "x", "y"])
    attacker = NetworkAttacker(network, epochs=8, batch=16, rate=2e-3).fit(images, names[labels])
    assert list(attacker.classes_) == ["x", "y", "z"]
    fresh, truth = labelled(60, seed=1)
    assert attacker.score(fresh, names[truth]) > 0.95
    probabilities = attacker.predict_proba(fresh)
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (60, 3))


def test_the_perceptron_sees_pixels_alone_and_has_no_dropout():
    layers = [type(layer) for layer in perceptron(6, 7, 3)]
    assert layers == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    images, labels = labelled(30)
    by_heart = NetworkAttacker(perceptron, epochs=40, batch=16, rate=2e-3).fit(images, labels[::-1].copy())
    assert by_heart.score(images, labels[::-1]) == 1  # labels that have nothing to do with the images


def test_smoothing_tempers_beliefs_and_not_choices():
    images, labels = labelled(200)
    fresh, truth = labelled(60, seed=1)
    sure = {}
    for smoothing in (0.0, 0.3):
        attacker = NetworkAttacker(epochs=8, batch=16, rate=2e-3, smoothing=smoothing).fit(images, labels)
        assert attacker.score(fresh, truth) > 0.95
        sure[smoothing] = attacker.predict_proba(fresh).max(1).mean()
    assert sure[0.0] > 0.95
    assert sure[0.3] == pytest.approx(0.7 + 0.3 / 3, abs=0.05)  # what the loss asks for


def test_a_network_learns_in_mixed_precision_and_without(monkeypatch):
    images, labels = labelled(200)
    fresh, truth = labelled(60, seed=1)
    found = []
    for enabled in (False, True):
        mixed = torch.autocast("cpu", torch.bfloat16, enabled=enabled)
        monkeypatch.setattr("anonrep.utils.precision.mixed_precision", lambda device, mixed=mixed: mixed)
        attacker = NetworkAttacker(epochs=8, batch=16, rate=2e-3).fit(images, labels)
        assert {value.dtype for value in attacker.module_.parameters()} == {torch.float32}
        assert attacker.score(fresh, truth) > 0.95
        found.append(attacker.predict_proba(fresh))
        assert found[-1].dtype == np.float32
    assert not np.array_equal(*found)  # or there was one precision


def test_hardware_without_the_short_floats_is_not_made_to_emulate_them(monkeypatch):
    for able in (True, False):
        monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda able=able: able)
        monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
        with mixed_precision("cpu"):
            assert torch.is_autocast_enabled("cpu") == able


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
@pytest.mark.parametrize("network", NETWORKS)
@torch.no_grad()
def test_networks_take_images_of_many_sizes(network, size):
    assert network(*size, 5)(torch.rand(2, 1, *size)).shape == (2, 5)


def test_a_users_own_network_is_an_attacker(tmp_path):
    images, labels = labelled(200)
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
