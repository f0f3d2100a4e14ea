"""The attackers: scikit-learn's conventions, what they are handed, weights that come back bit by bit, and seeds."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.svm import SVC

from anonrep.evaluation import network_attacker
from anonrep.evaluation.attackers import AtMost, AttackBudget, SupportVectors, suite
from anonrep.evaluation.network_attacker import NetworkAttacker, at_chance, large_network, perceptron, plain_network

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


@pytest.mark.parametrize("candidate", all_candidates())
def test_every_candidate_follows_the_conventions(candidate):
    names = ["you", "me"]
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


@pytest.mark.parametrize("name", SUITE)
def test_budget_and_seed_reach_whom_they_concern(name):
    fields = {"trees": "trees", "boosted": "boosting_rounds", "mlp": "network_epochs", "cnn": "network_epochs"}
    fields |= {"cnn_large": "large_epochs", "neighbours": "pairwise_images", "svm": "pairwise_images"}
    told = repr(suite(AttackBudget(), seed=0)[name])
    for field in ("network_epochs", "large_epochs", "trees", "boosting_rounds", "pairwise_images"):
        assert (repr(suite(AttackBudget(**{field: 77}), seed=0)[name]) != told) == (fields.get(name) == field), field
    assert (repr(suite(AttackBudget(), seed=5)[name]) != told) == (name in fields)


@pytest.mark.parametrize("wrong", [{"network_epochs": 0}, {"trees": 2.0}, {"boosting_rounds": "9"}])
def test_an_impossible_budget_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*; expected a whole number from 1"):
        AttackBudget(**wrong)


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


# The support vector machine.


@pytest.mark.parametrize("names", [["a", "b"], [0, 1, 2, 3, 4]], ids=["two", "five"])
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
def test_a_network_finds_a_label_of_any_kind(network):
    images, labels = labelled(200)
    names = np.array(["z", "x", "y"])
    attacker = NetworkAttacker(network, epochs=8, batch=16, rate=2e-3).fit(images, names[labels])
    assert list(attacker.classes_) == ["x", "y", "z"]
    fresh, truth = labelled(60, seed=1)
    assert attacker.score(fresh, names[truth]) > 0.95
    probabilities = attacker.predict_proba(fresh)
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (60, 3))


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


def test_a_healthy_network_is_what_it_was_without_the_check(monkeypatch):
    images, labels = labelled(200)
    healthy = NetworkAttacker(epochs=4, batch=16).fit(images, labels)
    assert (healthy.restarts_, healthy.trained_) == (0, True)
    monkeypatch.setattr(NetworkAttacker, "_is_dead", lambda *_: False)
    unchecked = clone(healthy).fit(images, labels)
    assert np.array_equal(healthy.predict_proba(images), unchecked.predict_proba(images))


def test_a_network_killed_by_its_rate_is_started_again_at_a_lower_one(tmp_path):
    """At a rate of 1 its units die, so that it says the same of every image; the next is another network."""
    images, labels = labelled(200)
    saved = NetworkAttacker(epochs=4, batch=16, rate=1.0).fit(images, labels)
    assert saved.trained_
    assert saved.restarts_ > 0
    assert saved.score(*labelled(60, seed=1)) > 0.95
    dead = NetworkAttacker(epochs=4, batch=16, rate=1000.0).fit(images, labels)
    assert (dead.restarts_, dead.trained_) == (network_attacker.RESTARTS, False)
    dead.save(tmp_path / "a.safetensors")
    loaded = NetworkAttacker().load(tmp_path / "a.safetensors")
    assert (loaded.restarts_, loaded.trained_) == (network_attacker.RESTARTS, False)


def test_where_nothing_can_be_learned_and_where_labels_are_learned_by_heart_no_network_is_called_dead():
    images, labels = labelled(200)
    shuffled = np.random.default_rng(0).permutation(labels)
    for shown, truth in ((np.full_like(images, 9), labels), (images, shuffled)):
        attacker = NetworkAttacker(perceptron, epochs=8, batch=16, rate=2e-3).fit(shown, truth)
        assert (attacker.restarts_, attacker.trained_) == (0, True)


@pytest.mark.parametrize("told", [0, 0.3], ids=["nothing", "a third"])
def test_chance_is_dead_only_where_a_table_of_the_images_does_better(told):
    """Twenty codewords: sixteen that all four labels share alike, and one for a share `told` of each label's images."""
    draw, n = np.random.default_rng(0), 5000
    labels = draw.choice(4, n, p=[0.4, 0.2, 0.2, 0.2])
    codes = np.where(draw.random(n) < told, 16 + labels, draw.integers(0, 16, n))
    images = np.repeat(codes.astype(np.uint8), 4).reshape(n, 2, 2)
    commonest = int((labels == 0).mean() * 2000)
    assert at_chance(commonest, 2000, images, labels) == (told > 0)
    assert not at_chance(commonest + 200, 2000, images, labels)
