"""Two games without a discriminator: what each term is, whose step moves whom, seeds, and when a run is over."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_game import NAMES, batch_of, fresh, moved, same, tiny, weights
from torch import nn
from torch.optim import SGD

from anonrep import losses
from anonrep.game import GameConfig, pretrain_autoencoder, reconstruct, warm_up
from anonrep.methods import adversaries
from anonrep.methods.adversaries import (
    OBJECTIVES,
    AdversaryConfig,
    gradient_reversal,
    maximum_entropy,
    play_against,
)
from anonrep.networks import Players

TINY = {"batch": 8, "epochs": 2, "rate": 0.005, "adversary_rate": 0.01}
DATA = tiny(48)
BOTH = pytest.mark.parametrize("objective", OBJECTIVES)
LOGITS = st.builds(
    lambda n, k, scale, seed: scale * torch.randn(n, k, generator=torch.Generator().manual_seed(seed)),
    *(st.integers(1, 9), st.integers(2, 6), st.sampled_from([0.1, 1.0, 30.0]), st.integers(0, 999)),
)


@pytest.fixture(scope="module")
def prepared() -> Players:
    """Players whose autoencoder redraws DATA and whose private classifier reads it; to be copied, not played with."""
    config = GameConfig(hidden=8, channels=8, adversary_channels=4, batch=8, pixel_epochs=40, pixel_rate=0.01)
    players = fresh(config)
    pretrain_autoencoder(players.autoencoder, batch_of(DATA)[0], config, 0)
    warm_up(players, DATA, GameConfig(batch=8, warm_up_epochs=15), 0, "cpu")
    return players


def played(players: Players, objective: str, *, lam: float = 1.0, seed: int = 0, **changes: object):
    """A game from a copy of the players: the outcome and the players at its end."""
    players, config = copy.deepcopy(players), AdversaryConfig(**(TINY | changes))
    return play_against(players, DATA, objective, lam, config, seed, "cpu", DATA.images[:5]), players


# What each term is.


@given(LOGITS)
def test_the_gradient_of_gradient_reversal_is_the_classifiers_own_reversed(logits):
    logits.requires_grad_()
    z = torch.arange(len(logits)) % logits.shape[1]
    (own,) = torch.autograd.grad(losses.private_loss(logits, z), logits)
    (found,) = torch.autograd.grad(gradient_reversal(logits, z, torch.ones(logits.shape[1])), logits)
    assert torch.equal(found, -own)


@given(LOGITS)
def test_maximum_entropy_is_the_divergence_from_the_marginal(logits):
    p_z = torch.softmax(torch.linspace(-1, 1, logits.shape[1]), 0)
    z = torch.zeros(len(logits), dtype=torch.int64)
    of = torch.distributions.Categorical
    divergence = torch.distributions.kl_divergence(of(logits=logits), of(probs=p_z)).mean()
    found = maximum_entropy(logits, z, p_z)
    torch.testing.assert_close(found, divergence, rtol=1e-4, atol=1e-5)
    assert -1e-6 <= found <= -p_z.min().log() + 1e-5
    torch.testing.assert_close(maximum_entropy(p_z.log() + 0 * logits, z, p_z), torch.tensor(0.0), rtol=0, atol=1e-6)


def test_maximum_entropy_is_finite_where_somebody_has_no_image():
    assert math.isfinite(maximum_entropy(torch.zeros(2, 3), torch.tensor([0, 1]), torch.tensor([0.5, 0.5, 0.0])))


# Who moves whom.


@BOTH
@pytest.mark.parametrize("still", ["rate", "adversary_rate"])
def test_each_optimiser_moves_its_own_player_and_no_other(prepared, objective, still):
    before = {name: weights(getattr(prepared, name)) for name in NAMES}
    outcome, players = played(prepared, objective, **{still: 0.0})
    assert moved(players, before) == {{"rate": "private_classifier", "adversary_rate": "autoencoder"}[still]}
    assert outcome.autoencoder is players.autoencoder


@BOTH
def test_each_player_descends_its_own_loss_and_nothing_else_gathers(prepared, objective, float32):
    """With all rates 0 the gradients left behind are those of the two losses, computed here one by one."""
    players, lam, config = copy.deepcopy(prepared), 1.5, AdversaryConfig(pixel_weight=7.0)
    optimisers = SGD(players.autoencoder.parameters(), lr=0.0), SGD(players.private_classifier.parameters(), lr=0.0)
    x, z, p_z = batch_of(DATA)
    row = adversaries.update(players, optimisers, x, z, p_z, objective=objective, lam=lam, config=config)
    x_hat = players.autoencoder(x)
    pixels = nn.functional.binary_cross_entropy(x_hat, x)
    logits_z = players.private_classifier(x_hat)
    own = {
        "private_classifier": losses.private_loss(players.private_classifier(x_hat.detach()), z),
        "autoencoder": 7.0 * pixels + lam * OBJECTIVES[objective](logits_z, z, p_z),
    }
    for name, loss in own.items():
        of = list(getattr(players, name).parameters())
        expected = torch.autograd.grad(loss, of, retain_graph=True)
        for weight, other in zip(of, expected, strict=True):
            torch.testing.assert_close(weight.grad, other, rtol=1e-3, atol=1e-6)
    assert row["pixels"] == pytest.approx(pixels.item(), rel=1e-4)
    assert row["private"] == pytest.approx(losses.private_loss(logits_z, z).item(), rel=1e-4)


def test_at_lambda_zero_both_are_the_same_game_and_at_one_they_are_not(prepared):
    for lam in (0.0, 1.0):
        ends = [weights(*played(prepared, objective, lam=lam)[1]) for objective in OBJECTIVES]
        assert same(*ends) == (lam == 0)


@BOTH
def test_lambda_buys_privacy_with_fidelity(prepared, objective):
    changes = {"epochs": 6, "adversary_rate": 0.005}
    free, dear = (played(prepared, objective, lam=lam, **changes)[0].history[-1] for lam in (0.0, 10.0))
    assert dear["private_accuracy"] < 0.7 < 0.9 < free["private_accuracy"]
    assert dear["private"] > free["private"] + 0.5
    assert dear["pixels"] > free["pixels"]


# The record, the seeds, and when a run is over.


@BOTH
def test_the_record_is_whole_and_the_seed_alone_decides(prepared, objective):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    outcome, players = played(prepared, objective)
    assert torch.equal(state, torch.get_rng_state())
    assert outcome.collapsed is None
    assert [(row["phase"], row["epoch"]) for row in outcome.history] == [(objective, 0), (objective, 1)]
    for row in outcome.history:
        seen = {"private_accuracy", "private", "objective", "pixels", "mse", "gradient", "pixel_std"}
        assert set(row) == seen | {"phase", "epoch"}
        assert all(math.isfinite(row[name]) for name in seen)
    for snapshot, network in ((0, prepared.autoencoder), (-1, outcome.autoencoder)):
        np.testing.assert_array_equal(outcome.snapshots[snapshot], reconstruct(network, DATA.images[:5]))
    torch.manual_seed(2)
    again, same_players = played(prepared, objective)
    assert outcome.history == again.history
    assert same(weights(*players), weights(*same_players))
    assert not same(weights(*players), weights(*played(prepared, objective, seed=1)[1]))


@BOTH
def test_constant_output_and_what_is_no_number_end_the_run_and_a_lost_classifier_does_not(prepared, objective):
    constant = copy.deepcopy(prepared)
    for weight in constant.autoencoder.lower.parameters():
        nn.init.zeros_(weight)
    outcome, _ = played(constant, objective, epochs=9, rate=0.0)
    when = f"of the {objective} phase: for 3 epochs the output was all but constant"
    assert outcome.collapsed.startswith(f"collapsed in epoch 2 {when}")
    assert len(outcome.history) == 3
    outcome, _ = played(prepared, objective, epochs=9, rate=1e30)
    assert outcome.collapsed == f"collapsed in epoch 0 of the {objective} phase: a loss is no longer finite"
    assert played(prepared, objective, epochs=4, adversary_rate=0.0)[0].collapsed is None


def test_what_cannot_be_played_is_refused(prepared):
    with pytest.raises(ValueError, match="no objective 'gan'; expected one of gradient_reversal, maximum_entropy"):
        play_against(prepared, DATA, "gan", 1.0, AdversaryConfig(), 0)
    for lam in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"lambda is {lam}; expected a number from 0"):
            play_against(prepared, DATA, "maximum_entropy", lam, AdversaryConfig(), 0)
    for wrong, error, message in (
        ({"rate": -1.0}, ValueError, r"rate is -1\.0; expected a number from 0"),
        ({"batch": 1}, ValueError, "batch is 1; expected a whole number from 2"),
        ({"pixel_weight": math.nan}, ValueError, "pixel_weight is nan"),
        ({"epochs": 1.5}, TypeError, r"epochs is 1\.5; expected a int"),
    ):
        with pytest.raises(error, match=message):
            AdversaryConfig(**wrong)
