"""Two games without a discriminator: what each term is, whose step moves whom, seeds, and when a run is over."""

import copy
import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from anonrep import losses
from anonrep.data.dataset import Dataset
from anonrep.game import GameConfig, pretrain_autoencoder, reconstruct, warm_up
from anonrep.methods.adversaries import (
    OBJECTIVES,
    AdversaryConfig,
    Optimisers,
    gradient_reversal,
    maximum_entropy,
    play_against,
    update,
)
from anonrep.networks import Players
from anonrep.stages.checkpoints import load_players, save_players
from anonrep.utils.images import to_tensor

SIZE, PEOPLE = 8, 3
NAMES = ("autoencoder", "discriminator", "private_classifier")
ARCHITECTURE = {
    "height": SIZE,
    "width": SIZE,
    "n_private": PEOPLE,
    "hidden": 8,
    "channels": 8,
    "adversary_channels": 4,
    "variational": False,
}
TINY = {"batch": 8, "epochs": 2, "rate": 0.005, "adversary_rate": 0.01}
BOTH = pytest.mark.parametrize("objective", OBJECTIVES)
LOGITS = st.builds(
    lambda n, k, scale, seed: scale * torch.randn(n, k, generator=torch.Generator().manual_seed(seed)),
    *(st.integers(1, 9), st.integers(2, 6), st.sampled_from([0.1, 1.0, 30.0]), st.integers(0, 999)),
)
QUICK = settings(max_examples=50, deadline=None)


def tiny(n: int = 48, seed: int = 0) -> Dataset:
    """Bright squares on noise whose column is the private label."""
    draw = np.random.default_rng(seed)
    images, z = draw.integers(0, 60, (n, SIZE, SIZE), np.uint8), np.arange(n) % PEOPLE
    for image, person, row in zip(images, z, draw.integers(0, SIZE - 2, n), strict=True):
        image[row : row + 2, 2 * person : 2 * person + 2] = 255
    return Dataset(images, z, {}, np.zeros(n, np.uint8), {"source": "synthetic", "private": "writer"})


@pytest.fixture(scope="module")
def prepared() -> Players:
    """Players whose autoencoder redraws `tiny` and whose private classifier reads it; to be copied, not played with."""
    players, data = Players.build(**ARCHITECTURE, seed=0), tiny()
    config = GameConfig(hidden=8, channels=8, batch=8, pixel_epochs=40, pixel_rate=0.01, warm_up_epochs=15)
    pretrain_autoencoder(players.autoencoder, to_tensor(data.images), config, 0)
    warm_up(players, data, config, 0, "cpu")
    return players


def batch_of(data: Dataset) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x, z and p_z."""
    return to_tensor(data.images), torch.from_numpy(data.z), torch.from_numpy(data.p_z).float()


def weights(module: nn.Module) -> list[torch.Tensor]:
    return [value.detach().clone() for value in module.state_dict().values()]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    """Bit by bit."""
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def turn(players: Players, *moving: str, objective: str, lam: float = 1.0, **changes: object) -> dict[str, float]:
    """One `update` on all of `tiny`, in which only the optimisers of the named players have an effect."""
    config = AdversaryConfig(**(TINY | changes))
    optimisers = Optimisers.build(players, config)
    for name in {"autoencoder", "private_classifier"} - set(moving):
        for group in getattr(optimisers, name).param_groups:
            group["lr"] = 0.0
    return update(players, optimisers, *batch_of(tiny()), objective=objective, lam=lam, config=config)


def played(players: Players, objective: str, *, lam: float = 1.0, seed: int = 0, **changes: object):
    """A game from a copy of the players: the outcome and the players at its end."""
    players = copy.deepcopy(players)
    return play_against(players, tiny(), objective, lam, AdversaryConfig(**(TINY | changes)), seed), players


# What each term is.


@given(LOGITS)
@QUICK
def test_the_gradient_of_gradient_reversal_is_the_classifiers_own_reversed(logits):
    logits.requires_grad_()
    z = torch.arange(len(logits)) % logits.shape[1]
    p_z = torch.full((logits.shape[1],), 1 / logits.shape[1])
    (own,) = torch.autograd.grad(losses.private_loss(logits, z), logits)
    (reversed_one,) = torch.autograd.grad(gradient_reversal(logits, z, p_z), logits)
    assert torch.equal(reversed_one, -own)


@given(LOGITS)
@QUICK
def test_maximum_entropy_is_the_divergence_from_the_marginal(logits):
    p_z = torch.softmax(torch.linspace(-1, 1, logits.shape[1]), 0)
    divergence = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=logits), torch.distributions.Categorical(probs=p_z)
    )
    z = torch.zeros(len(logits), dtype=torch.int64)
    found = maximum_entropy(logits, z, p_z)
    torch.testing.assert_close(found, divergence.mean(), rtol=1e-4, atol=1e-5)
    assert -1e-6 <= found <= -p_z.min().log() + 1e-5
    torch.testing.assert_close(maximum_entropy(logits + 5, z + 1, p_z), found, rtol=1e-4, atol=1e-5)


def test_maximum_entropy_at_the_marginal_and_at_certainty():
    p_z, z = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0, 1])
    marginal = p_z.log().repeat(2, 1).requires_grad_()
    loss = maximum_entropy(marginal, z, p_z)
    (slope,) = torch.autograd.grad(loss, marginal)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert slope.abs().max() < 1e-6
    uniform = torch.full((3,), 1 / 3)
    assert maximum_entropy(100 * torch.eye(3), z, uniform).item() == pytest.approx(math.log(3), rel=1e-5)
    nobody = maximum_entropy(torch.zeros(2, 3), z, torch.tensor([0.5, 0.5, 0.0]))
    assert math.isfinite(nobody)


# Who moves whom.


@BOTH
@pytest.mark.parametrize("mover", ["autoencoder", "private_classifier"])
def test_each_optimiser_moves_its_own_player_and_no_other(prepared, objective, mover):
    players = copy.deepcopy(prepared)
    before = {name: weights(getattr(players, name)) for name in NAMES}
    turn(players, mover, objective=objective)
    for name in NAMES:
        assert same(before[name], weights(getattr(players, name))) == (name != mover), name


@BOTH
def test_all_of_the_autoencoder_plays(prepared, objective):
    outcome, players = played(prepared, objective)
    assert outcome.autoencoder is players.autoencoder
    for before, after in zip(weights(prepared.autoencoder), weights(players.autoencoder), strict=True):
        assert not torch.equal(before, after)
    assert same(weights(prepared.discriminator), weights(players.discriminator))


@BOTH
def test_each_player_descends_its_own_loss_and_nothing_else_gathers(prepared, objective, float32):
    """With all rates 0 the gradients left behind are those of the two losses, computed here one by one."""
    players, lam, weight = copy.deepcopy(prepared), 1.5, 7.0
    row = turn(players, objective=objective, lam=lam, pixel_weight=weight)
    x, z, p_z = batch_of(tiny())
    x_hat = players.autoencoder(x)
    pixels = nn.functional.binary_cross_entropy(x_hat, x)
    logits_z = players.private_classifier(x_hat)
    own = {
        "private_classifier": losses.private_loss(players.private_classifier(x_hat.detach()), z),
        "autoencoder": weight * pixels + lam * OBJECTIVES[objective](logits_z, z, p_z),
    }
    for name, loss in own.items():
        moved = list(getattr(players, name).parameters())
        expected = torch.autograd.grad(loss, moved, retain_graph=True)
        for one, other in zip([weight.grad for weight in moved], expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
    norm = math.sqrt(sum(float(weight.grad.square().sum()) for weight in players.autoencoder.parameters()))
    assert row["gradient"] == pytest.approx(norm, rel=1e-4)
    assert row["pixels"] == pytest.approx(pixels.item(), rel=1e-4)
    assert row["private"] == pytest.approx(losses.private_loss(logits_z, z).item(), rel=1e-4)


@BOTH
def test_a_step_without_fidelity_makes_the_classifier_worse(prepared, objective):
    """And its own step, the control, makes it better."""

    def private(players: Players) -> float:
        x, z, _ = batch_of(tiny())
        with torch.no_grad():
            return float(losses.private_loss(players.private_classifier(players.autoencoder(x)), z))

    for mover, sign in (("autoencoder", 1), ("private_classifier", -1)):
        players = copy.deepcopy(prepared)
        turn(players, mover, objective=objective, pixel_weight=0.0, rate=1e-4, adversary_rate=1e-4)
        assert sign * (private(players) - private(prepared)) > 0


def test_the_autoencoder_answers_a_classifier_that_has_just_moved(float32, prepared):
    players = copy.deepcopy(prepared)
    row = turn(players, "private_classifier", objective="maximum_entropy")
    x, z, _ = batch_of(tiny())
    with torch.no_grad():
        after = losses.private_loss(players.private_classifier(players.autoencoder(x)), z)
    assert row["private"] == pytest.approx(float(after), rel=1e-4)


def test_at_lambda_zero_both_are_the_same_game(prepared):
    ends = {}
    for lam in (0.0, 1.0):
        for objective in OBJECTIVES:
            outcome, players = played(prepared, objective, lam=lam)
            rows = [{**row, "phase": None} for row in outcome.history]
            ends[lam, objective] = rows, weights(players.autoencoder), weights(players.private_classifier)
    (rows, *ours), (other_rows, *others) = (ends[0.0, objective] for objective in OBJECTIVES)
    assert rows == other_rows
    assert all(map(same, ours, others))
    assert not any(map(same, *(ends[1.0, objective][1:] for objective in OBJECTIVES)))


@BOTH
def test_lambda_buys_privacy_with_fidelity(prepared, objective):
    changes = {"epochs": 6, "adversary_rate": 0.005}
    free, dear = (played(prepared, objective, lam=lam, **changes)[0].history[-1] for lam in (0.0, 10.0))
    assert dear["private_accuracy"] < 0.7 < 0.9 < free["private_accuracy"]
    assert dear["private"] > free["private"] + 0.5
    assert dear["pixels"] > free["pixels"]


# The record, the seeds, and when a run is over.


@BOTH
def test_the_log_has_a_finite_row_an_epoch_and_the_snapshots_one_more(prepared, objective, tmp_path):
    save_players(tmp_path / "seed-0", prepared, ARCHITECTURE)  # as the stages hand players over
    players, watch = load_players(tmp_path / "seed-0"), tiny().images[:5]
    outcome = play_against(players, tiny(), objective, 1.0, AdversaryConfig(**TINY), 0, "cpu", watch)
    asked = {"private_accuracy", "private", "objective", "pixels", "mse", "gradient", "spread"}
    for epoch, row in enumerate(outcome.history):
        assert asked | {"phase", "epoch"} == set(row)
        assert (row["phase"], row["epoch"]) == (objective, epoch)
        assert all(math.isfinite(row[name]) for name in asked)
    assert outcome.collapsed is None
    assert outcome.snapshots.shape == (TINY["epochs"] + 1, 5, SIZE, SIZE)
    assert outcome.snapshots.dtype == np.uint8
    np.testing.assert_array_equal(outcome.snapshots[0], reconstruct(prepared.autoencoder, watch))
    np.testing.assert_array_equal(outcome.snapshots[-1], reconstruct(outcome.autoencoder, watch))


@BOTH
def test_same_seed_same_bits_and_the_global_generators_neither_read_nor_moved(prepared, objective):
    torch.manual_seed(1)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    outcome, players = played(prepared, objective)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert np.array_equal(states[2], np.random.get_state()[1])  # noqa: NPY002
    torch.manual_seed(2)
    again, same_players = played(prepared, objective)
    assert outcome.history == again.history
    assert all(same(weights(one), weights(other)) for one, other in zip(players, same_players, strict=True))
    _, others = played(prepared, objective, seed=1)
    assert not same(weights(players.autoencoder), weights(others.autoencoder))


@BOTH
def test_constant_output_ends_the_run_and_is_named(prepared, objective):
    constant = copy.deepcopy(prepared)
    for weight in constant.autoencoder.lower.parameters():
        nn.init.zeros_(weight)
    outcome, _ = played(constant, objective, epochs=9, rate=0.0)
    assert outcome.collapsed.startswith(
        f"collapsed in epoch 2 of the {objective} phase: for 3 epochs the output was all"
    )
    assert len(outcome.history) == 3
    outcome, _ = played(constant, objective, epochs=1, rate=0.0)
    assert outcome.collapsed.startswith(f"collapsed in epoch 0 of the {objective} phase, its last")


@BOTH
def test_a_loss_that_is_no_number_ends_the_run_and_is_named(prepared, objective):
    outcome, _ = played(prepared, objective, epochs=9, rate=1e30)
    assert outcome.collapsed == f"collapsed in epoch 0 of the {objective} phase: a loss is no longer finite"
    assert len(outcome.history) == 1


@BOTH
def test_a_classifier_that_has_lost_or_won_is_no_collapse(prepared, objective):
    for changes in ({"adversary_rate": 0.0}, {"adversary_rate": 0.01, "rate": 0.0}):
        assert played(prepared, objective, epochs=4, **changes)[0].collapsed is None


def test_what_cannot_be_played_is_refused(prepared):
    with pytest.raises(ValueError, match="no objective 'gan'; expected one of gradient_reversal, maximum_entropy"):
        play_against(prepared, tiny(), "gan", 1.0, AdversaryConfig(), 0)
    for lam in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"lambda is {lam}; expected a number from 0"):
            play_against(prepared, tiny(), "maximum_entropy", lam, AdversaryConfig(), 0)
    for wrong, message in (
        ({"rate": -1.0}, r"rate is -1\.0; expected a number from 0"),
        ({"batch": 1}, "batch is 1; expected a whole number from 2"),
        ({"epochs": 0}, "epochs is 0; expected a whole number from 1"),
        ({"pixel_weight": math.nan}, "pixel_weight is nan"),
    ):
        with pytest.raises(ValueError, match=message):
            AdversaryConfig(**wrong)
    for wrong in ({"epochs": 1.5}, {"rate": "0.1"}, {"pixel_weight": True}):
        with pytest.raises(TypeError, match=f"{next(iter(wrong))} is .*; expected a (int|float)"):
            AdversaryConfig(**wrong)
