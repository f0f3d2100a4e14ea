"""The game: whose step moves whom, what each phase does, and when a run is over."""

import copy
import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from anonrep import game, losses
from anonrep.data.dataset import Dataset
from anonrep.game import GameConfig, Optimisers, collapse, play, prepare, reconstruct, update
from anonrep.networks import Players
from anonrep.utils import images
from anonrep.utils.images import to_tensor

SIZE, PEOPLE = 8, 3
NAMES = ("autoencoder", "discriminator", "private_classifier")
TINY = {
    "hidden": 4,
    "channels": 2,
    "adversary_channels": 2,
    "batch": 8,
    "pixel_epochs": 2,
    "fidelity_epochs": 1,
    "private_epochs": 1,
    "pixel_rate": 0.01,
    "rate": 0.01,
    "adversary_rate": 0.01,
}
DEPARTURES = {
    "kl": 0.001,
    "freeze_decoder": True,
    "pixel_anchor": 10.0,
    "anchor_blur": 3,
    "r1": 0.1,
    "warm_up_epochs": 2,
    "ema": 0.9,
    "clip": 1.0,
    "adam_eps": 0.001,
}
LEARNED = {"hidden": 8, "channels": 8, "pixel_epochs": 60}  # enough for outputs that differ from image to image
ORDER = ["pixels", "fidelity", "warm-up"]
BOTH = pytest.mark.parametrize("departures", [{}, DEPARTURES], ids=["faithful", "stabilised"])
QUICK = settings(max_examples=50, deadline=None)


def tiny(n: int = 24, seed: int = 0) -> Dataset:
    """Bright squares on noise whose column is the private label."""
    draw = np.random.default_rng(seed)
    images, z = draw.integers(0, 60, (n, SIZE, SIZE), np.uint8), np.arange(n) % PEOPLE
    for image, person, row in zip(images, z, draw.integers(0, SIZE - 2, n), strict=True):
        image[row : row + 2, 2 * person : 2 * person + 2] = 255
    return Dataset(images, z, {}, np.zeros(n, np.uint8), {"source": "synthetic", "private": "writer"})


def fresh(config: GameConfig, seed: int = 0) -> Players:
    """Untrained players for `tiny`."""
    sizes = {name: getattr(config, name) for name in ("hidden", "channels", "adversary_channels")}
    shape = {"height": SIZE, "width": SIZE, "n_private": PEOPLE}
    return Players.build(**shape, **sizes, variational=config.kl > 0, seed=seed)


def weights(module: nn.Module) -> list[torch.Tensor]:
    """A copy of all weights of a module."""
    return [value.detach().clone() for value in module.state_dict().values()]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    """Bit by bit."""
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def turn(
    players: Players, *moving: str, lam: float | None = 1.0, step: int = 1, **departures: object
) -> dict[str, float]:
    """One `update` on all of `tiny`, in which only the optimisers of the named players have an effect."""
    config = GameConfig(**(TINY | departures))
    optimisers = Optimisers.build(players, config)
    for name in set(NAMES) - set(moving):
        for group in getattr(optimisers, name).param_groups:
            group["lr"] = 0.0
    return update(players, optimisers, *batch_of(tiny()), lam=lam, config=config, step=step)


def batch_of(data: Dataset) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x, z and p_z."""
    return to_tensor(data.images), torch.from_numpy(data.z), torch.from_numpy(data.p_z).float()


def gradients(module: nn.Module) -> list[torch.Tensor | None]:
    """What has gathered at each weight."""
    return [None if weight.grad is None else weight.grad.clone() for weight in module.parameters()]


# Who moves whom.


@BOTH
@pytest.mark.parametrize("mover", NAMES)
def test_each_optimiser_moves_its_own_player_and_no_other(mover, departures):
    players = fresh(GameConfig(**(TINY | departures)))
    before = {name: weights(getattr(players, name)) for name in NAMES}
    turn(players, mover, step=0, **departures)
    for name in NAMES:
        assert same(before[name], weights(getattr(players, name))) == (name != mover), name


@BOTH
def test_the_adversaries_steps_leave_the_autoencoder_bit_equal(departures):
    players = fresh(GameConfig(**(TINY | departures)))
    before = weights(players.autoencoder)
    for step in range(5):
        turn(players, "discriminator", "private_classifier", step=step, **departures)
    assert same(before, weights(players.autoencoder))


def test_without_lambda_the_private_classifier_sits_out():
    players = fresh(GameConfig(**TINY))
    before = weights(players.private_classifier)
    row = turn(players, *NAMES, lam=None)
    assert same(before, weights(players.private_classifier))
    assert gradients(players.private_classifier) == [None] * len(before)
    assert not {"private", "objective", "private_accuracy"} & set(row)


def test_each_player_descends_its_own_loss_and_nothing_else_gathers(float32):
    """With all rates 0 the gradients left behind are those of eqs. 13, 14 and 12, computed here one by one."""
    players, lam, anchor = fresh(GameConfig(**TINY)), 1.5, 2.0
    turn(players, lam=lam, pixel_anchor=anchor)
    found = {name: gradients(getattr(players, name)) for name in NAMES}
    autoencoder, discriminator, classifier = players
    x, z, p_z = batch_of(tiny())
    x_hat = autoencoder(x)
    v, y = torch.cat([x, x_hat.detach()]), torch.cat([torch.ones(len(x)), torch.zeros(len(x))])
    own = {
        "discriminator": losses.discriminator_loss(discriminator(v), y),
        "private_classifier": losses.private_loss(classifier(x_hat.detach()), z),
        "autoencoder": losses.autoencoder_loss(
            losses.fool_loss(discriminator(x_hat)), losses.mutual_information_surrogate(classifier(x_hat), z, p_z), lam
        )
        + anchor * (x_hat - x).square().mean(),
    }
    for name, loss in own.items():
        expected = torch.autograd.grad(loss, list(getattr(players, name).parameters()), retain_graph=True)
        for one, other in zip(found[name], expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


@torch.no_grad()
def seen_by_the_adversaries(players: Players) -> tuple[torch.Tensor, torch.Tensor]:
    """The discriminator's and the private classifier's logits on reconstructions of `tiny`."""
    x_hat = players.autoencoder(to_tensor(tiny().images))
    return players.discriminator(x_hat), players.private_classifier(x_hat)


def test_the_autoencoder_answers_adversaries_that_have_just_moved(float32):
    players = fresh(GameConfig(**TINY))
    row = turn(players, "discriminator", "private_classifier")
    logits_y, logits_z = seen_by_the_adversaries(players)
    assert row["fool"] == pytest.approx(float(losses.fool_loss(logits_y)), rel=1e-5)
    assert row["private"] == pytest.approx(float(losses.private_loss(logits_z, torch.from_numpy(tiny().z))), rel=1e-5)


@BOTH
def test_mixed_precision_sees_the_same_losses_and_leaves_float32(monkeypatch, departures):
    rows = {}
    for enabled in (False, True):
        mixed = torch.autocast("cpu", torch.bfloat16, enabled=enabled)
        monkeypatch.setattr("anonrep.utils.precision.mixed_precision", lambda device, mixed=mixed: mixed)
        players = fresh(GameConfig(**(TINY | departures)))
        rows[enabled] = turn(players, step=0, **departures)
        assert {weight.dtype for player in players for weight in player.parameters()} == {torch.float32}
    assert rows[True] != rows[False]  # or there was one precision
    for name in set(rows[True]) - {"gradient", "private_accuracy"}:
        assert rows[True][name] == pytest.approx(rows[False][name], rel=0.02, abs=1e-4), name


def test_lambda_zero_moves_the_autoencoder_exactly_as_fidelity_alone(float32):
    start = fresh(GameConfig(**TINY))
    ends = {}
    for lam in (None, 0.0, 1.0):
        players = copy.deepcopy(start)
        turn(players, *NAMES, lam=lam)
        ends[lam] = weights(players.autoencoder)
    assert same(ends[None], ends[0.0])
    assert not same(ends[None], ends[1.0])


@BOTH
def test_a_frozen_decoder_is_bit_equal_after_the_game(departures):
    config = GameConfig(**(TINY | departures))
    players = fresh(config)
    parts = ("encoder", "mean", "expand", "upper", "lower")
    before = {part: weights(getattr(players.autoencoder, part)) for part in parts}
    outcome = play(players, tiny(), lam=1.0, epochs=2, config=config, seed=0)
    for network in (players.autoencoder, outcome.autoencoder):
        for part in parts:
            stays = config.freeze_decoder and part in ("expand", "upper", "lower")
            assert same(before[part], weights(getattr(network, part))) == stays, part


def test_the_warm_up_moves_the_private_classifier_alone():
    config = GameConfig(**(TINY | DEPARTURES))
    players = fresh(config)
    before = {name: weights(getattr(players, name)) for name in NAMES}
    history = game.warm_up(players, tiny(), config, 0, "cpu")
    assert [name for name in NAMES if not same(before[name], weights(getattr(players, name)))] == ["private_classifier"]
    assert [(row["phase"], row["epoch"]) for row in history] == [("warm-up", 0), ("warm-up", 1)]


# The departures from the paper.


def test_r1_is_the_squared_slope_of_a_linear_discriminator():
    slope = torch.arange(1.0, 5.0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(4, 1), nn.Flatten(0))
    linear[1].weight.data = slope[None]
    penalty = game.r1_penalty(linear, torch.rand(3, 1, 2, 2))
    assert penalty.item() == pytest.approx(float(slope.square().sum()))
    penalty.backward()
    torch.testing.assert_close(linear[1].weight.grad, 2 * slope[None])


def test_r1_acts_on_the_discriminator_now_and_then_and_on_nobody_else():
    start, steps = fresh(GameConfig(**TINY)), (0, 1, game.R1_EVERY - 1, game.R1_EVERY)
    found = {}
    for r1 in (0.0, 100.0):
        for step in steps:
            players = copy.deepcopy(start)
            turn(players, step=step, r1=r1)
            found[r1, step] = {name: gradients(getattr(players, name)) for name in NAMES}
    for step in steps:
        differ = [name for name in NAMES if not same(found[0.0, step][name], found[100.0, step][name])]
        assert differ == (["discriminator"] if step % game.R1_EVERY == 0 else []), step


@pytest.mark.parametrize("clip", [0.0, 1e-4])
def test_clipping_bounds_the_step_and_the_log_tells_the_gradient_before_it(clip):
    config = GameConfig(**TINY, clip=clip)
    players = fresh(config)
    optimisers = Optimisers.build(players, config)
    optimisers.autoencoder = torch.optim.SGD(players.autoencoder.parameters(), lr=1)
    before = weights(players.autoencoder)
    row = update(players, optimisers, *batch_of(tiny()), lam=1.0, config=config, step=1)
    pairs = zip(before, weights(players.autoencoder), strict=True)
    moved = math.sqrt(sum(float((a - b).square().sum()) for a, b in pairs))
    assert row["gradient"] > 2e-4
    assert moved == pytest.approx(clip or row["gradient"], rel=0.01)


def test_the_anchor_pulls_towards_the_image():
    config = GameConfig(**TINY)
    errors = {}
    for anchor in (0.0, 100.0):
        players = fresh(config)
        anchored = GameConfig(**TINY, pixel_anchor=anchor)
        errors[anchor] = play(players, tiny(), lam=None, epochs=10, config=anchored, seed=0).history[-1]["mse"]
    assert errors[100.0] < errors[0.0]


@given(st.sampled_from([1, 3, 5]), st.integers(0, 99))
@QUICK
def test_blurring_keeps_the_shape_and_lets_a_stroke_move(width, seed):
    noise = torch.rand(2, 1, 8, 9, generator=torch.Generator().manual_seed(seed))
    assert images.blur(noise, width).shape == noise.shape
    stroke = torch.zeros(1, 1, 15, 15)
    stroke[..., 7] = 1
    costs = [float(images.blur(stroke - stroke.roll(by, 3), width).square().sum()) for by in (0, 1, 5)]
    assert costs[0] == 0
    assert costs[1] < costs[2] if width > 1 else costs[1] == costs[2]


def test_the_average_is_released_and_is_neither_the_start_nor_the_end():
    config = GameConfig(**TINY, ema=0.9)
    players = fresh(config)
    start = weights(players.autoencoder)
    outcome = play(players, tiny(), lam=1.0, epochs=2, config=config, seed=0)
    end, released = weights(players.autoencoder), weights(outcome.autoencoder)
    assert not same(released, end)
    assert not same(released, start)
    distance = [sum(float((a - b).square().sum()) for a, b in zip(one, end, strict=True)) for one in (start, released)]
    assert distance[1] < distance[0]


def test_the_average_follows_its_formula():
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    expected = [0.75 * a + 0.25 * b for a, b in zip(weights(one), weights(two), strict=True)]
    game._average(list(one.parameters()), list(two.parameters()), 0.75)
    for found, value in zip(weights(one), expected, strict=True):
        torch.testing.assert_close(found, value)


def test_without_an_average_the_player_itself_is_released():
    config = GameConfig(**TINY)
    players = fresh(config)
    assert play(players, tiny(), lam=1.0, epochs=1, config=config, seed=0).autoencoder is players.autoencoder


# The phases.


@pytest.mark.parametrize("kl", [0.0, 1e-5])
def test_phase_one_learns_a_few_images_by_heart(kl):
    config = GameConfig(**(TINY | {"hidden": 8, "channels": 8, "batch": 6, "pixel_epochs": 300, "kl": kl}))
    players, data = fresh(config), tiny(6)
    others = [weights(players.discriminator), weights(players.private_classifier)]
    before = to_tensor(reconstruct(players.autoencoder, data.images))
    history = game.pretrain_autoencoder(players.autoencoder, to_tensor(data.images), config, 0)
    after = to_tensor(reconstruct(players.autoencoder, data.images))
    errors = [float((x_hat - to_tensor(data.images)).square().mean()) for x_hat in (before, after)]
    assert errors[1] < 0.005 < 0.05 < errors[0]
    assert [row["epoch"] for row in history] == list(range(300))
    assert same(others[0], weights(players.discriminator))
    assert same(others[1], weights(players.private_classifier))


def test_prepare_goes_through_pixels_fidelity_and_warm_up():
    config = GameConfig(**(TINY | DEPARTURES | LEARNED | {"fidelity_epochs": 2}))
    outcome = prepare(fresh(config), tiny(), config, 0)
    phases = {phase: [row["epoch"] for row in outcome.history if row["phase"] == phase] for phase in ORDER}
    assert list(dict.fromkeys(row["phase"] for row in outcome.history)) == ORDER
    assert phases == {"pixels": list(range(60)), "fidelity": [0, 1], "warm-up": [0, 1]}
    assert outcome.collapsed is None


def test_prepare_leaves_the_released_autoencoder_among_the_players():
    config = GameConfig(**(TINY | {"ema": 0.5}))
    players = fresh(config)
    assert prepare(players, tiny(), config, 0).autoencoder is players.autoencoder


@BOTH
def test_the_log_has_a_finite_row_an_epoch_and_the_snapshots_one_more(departures):
    config, data = GameConfig(**(TINY | departures | LEARNED)), tiny()
    players = fresh(config)
    game.pretrain_autoencoder(players.autoencoder, to_tensor(data.images), config, 0)
    before = reconstruct(players.autoencoder, data.images[:5])
    outcome = play(players, data, lam=1.0, epochs=2, config=config, seed=0, watch=data.images[:5])
    asked = {"discriminator", "fool", "private", "objective", "mse", "gradient", "private_accuracy", "pixel_std"}
    for epoch, row in enumerate(outcome.history):
        assert asked | {"phase", "epoch"} == set(row)
        assert (row["phase"], row["epoch"]) == ("privacy", epoch)
        assert all(math.isfinite(row[name]) for name in asked)
    assert outcome.snapshots.shape == (3, 5, SIZE, SIZE)
    assert outcome.snapshots.dtype == np.uint8
    assert np.array_equal(outcome.snapshots[0], before)
    assert np.array_equal(outcome.snapshots[-1], reconstruct(outcome.autoencoder, data.images[:5]))


@given(n=st.integers(1, 40), size=st.integers(1, 20), seed=st.integers(0, 9))
@QUICK
def test_batches_are_full_and_show_every_image_at_most_once(n, size, seed):
    """Only what does not fill a batch is left out of an epoch; fewer images than a batch are all shown at once."""
    batches = list(game.batches(n, size, torch.Generator().manual_seed(seed)))
    shown = torch.cat(batches).tolist()
    assert len(set(shown)) == len(shown)
    assert set(shown) <= set(range(n))
    assert len(shown) == (n - n % size if n >= size else n)
    assert {len(batch) for batch in batches} == {min(n, size)}


def test_batches_differ_from_epoch_to_epoch():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.cat(list(game.batches(20, 5, generator))).tolist() for _ in range(2))
    assert first != second
    assert sorted(first) == sorted(second)


def test_a_release_is_eight_bit_and_does_not_depend_on_its_neighbours():
    players, data = fresh(GameConfig(**TINY)), tiny()
    release = reconstruct(players.autoencoder, data.images)
    assert release.dtype == np.uint8
    assert release.shape == data.images.shape
    exact = players.autoencoder(to_tensor(data.images)).squeeze(1).detach().numpy() * 255
    assert np.abs(release - exact).max() < 0.51
    alone = np.concatenate([reconstruct(players.autoencoder, data.images[i : i + 1]) for i in range(len(data))])
    assert np.abs(alone.astype(int) - release).max() <= 1
    assert reconstruct(players.autoencoder, data.images[:0]).shape == (0, SIZE, SIZE)


# Seeds.


def whole_game(departures: dict, seed: int) -> tuple[list[dict], list[torch.Tensor], np.ndarray]:
    """All three phases from one seed."""
    config, data = GameConfig(**(TINY | departures)), tiny()
    players = fresh(config, seed)
    start = prepare(players, data, config, seed)
    outcome = play(players, data, lam=1.0, epochs=2, config=config, seed=seed, watch=data.images[:3])
    ends = [*weights(outcome.autoencoder), *weights(players.discriminator), *weights(players.private_classifier)]
    return start.history + outcome.history, ends, outcome.snapshots


@BOTH
def test_same_seed_same_history_and_weights_whatever_the_global_generators_hold(departures):
    torch.manual_seed(1)
    history, ends, snapshots = whole_game(departures, 0)
    torch.manual_seed(2)
    random.seed(3)
    again, same_ends, same_snapshots = whole_game(departures, 0)
    assert history == again
    assert same(ends, same_ends)
    assert np.array_equal(snapshots, same_snapshots)


@BOTH
def test_another_seed_is_another_game(departures):
    history, ends, _ = whole_game(departures, 0)
    other, other_ends, _ = whole_game(departures, 1)
    assert all(row["mse"] != second["mse"] for row, second in zip(history, other, strict=True) if "mse" in row)
    assert not any(torch.equal(a, b) for a, b in zip(ends, other_ends, strict=True) if a.any() and a.ndim > 1)


@BOTH
def test_the_same_start_played_with_another_seed_is_another_game(departures):
    config = GameConfig(**(TINY | departures))
    ends = [
        weights(play(fresh(config), tiny(), lam=1.0, epochs=1, config=config, seed=seed).autoencoder) for seed in (0, 1)
    ]
    assert not same(*ends)


@BOTH
def test_training_leaves_the_global_generators_alone(departures):
    torch.manual_seed(5)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    whole_game(departures, 0)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert np.array_equal(states[2], np.random.get_state()[1])  # noqa: NPY002


# Other real images, and another anchor.


def dark(n: int = 24) -> np.ndarray:
    """Images that are none of `tiny`: dark, with a square at the lower right."""
    images = np.random.default_rng(9).integers(0, 30, (n, SIZE, SIZE), np.uint8)
    images[:, 6:, 6:] = 200
    return images


class Seen(nn.Module):
    """A player that keeps what it is shown."""

    def __init__(self, player: nn.Module) -> None:
        super().__init__()
        self.player, self.shown = player, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.shown.append(x.detach().clone())
        return self.player(x)


def one_update(players: Players, config: GameConfig, step: int = 1, **others: torch.Tensor) -> dict[str, float]:
    optimisers = Optimisers.build(players, config)
    return update(players, optimisers, *batch_of(tiny()), lam=1.0, config=config, step=step, **others)


@BOTH
def test_showing_the_batch_itself_as_real_and_anchor_is_the_default_bit_by_bit(departures):
    config, x = GameConfig(**(TINY | departures)), batch_of(tiny())[0]
    start, ends = fresh(config), []
    for others in ({}, {"real": x, "anchor": x}):
        players = copy.deepcopy(start)
        row = one_update(players, config, step=0, **others)
        ends.append([row, *(weights(getattr(players, name)) for name in NAMES)])
    assert ends[0][0] == ends[1][0]
    assert all(same(one, other) for one, other in zip(ends[0][1:], ends[1][1:], strict=True))


@pytest.mark.parametrize("n", [24, 5])
def test_the_discriminator_is_shown_other_real_images_and_nobody_else_is(n):
    """As many as are handed in, and each as real; step 0, so that the R1 penalty is among what it sees."""
    config, x, real = GameConfig(**TINY, r1=0.1), batch_of(tiny())[0], to_tensor(dark(n))
    players = fresh(config)
    for name in NAMES:
        setattr(players, name, Seen(getattr(players, name)))
    one_update(players, config, step=0, real=real)
    (redrawn,) = players.autoencoder.shown
    assert torch.equal(redrawn, x)
    turn_, penalty, fool = players.discriminator.shown
    assert torch.equal(turn_[:n], real)
    assert torch.equal(penalty, real)
    assert turn_.shape[0] == n + len(x)
    for seen in (turn_[n:], fool, *players.private_classifier.shown):
        assert seen.shape == x.shape
        assert not torch.equal(seen, x)  # outputs


def test_the_discriminator_learns_that_the_other_images_are_real_and_the_batch_is_not(float32):
    """Its turns alone; the control is shown the batch, and takes the batch for real."""
    x, real = batch_of(tiny())[0], to_tensor(dark())
    logits = {}
    for name, shown in (("batch", x), ("other", real)):
        config = GameConfig(**(TINY | {"rate": 0.0, "adversary_rate": 0.02}))
        players = fresh(config)
        optimisers = Optimisers.build(players, config)
        for step in range(40):
            update(players, optimisers, *batch_of(tiny()), lam=None, config=config, step=step, real=shown)
        with torch.no_grad():
            logits[name] = {
                "batch": float(players.discriminator(x).mean()),
                "other": float(players.discriminator(real).mean()),
            }
    assert logits["batch"]["batch"] > logits["other"]["batch"] + 1
    assert logits["other"]["other"] > logits["batch"]["other"] + 1


def test_with_an_anchor_the_output_comes_to_it_and_without_to_the_image():
    config = GameConfig(**(TINY | {"hidden": 8, "channels": 8, "pixel_anchor": 200.0}))
    held, x = to_tensor(dark()), batch_of(tiny())[0]
    distances = {}
    for name, anchor in (("own", None), ("other", dark())):
        players = fresh(config)
        outcome = play(players, tiny(), lam=0.0, epochs=40, config=config, seed=0, anchor=anchor)
        x_hat = to_tensor(reconstruct(outcome.autoencoder, tiny().images))
        distances[name] = [float((x_hat - other).square().mean()) for other in (x, held)]
    assert distances["other"][1] < distances["own"][1] / 2
    assert distances["own"][0] < distances["other"][0]


def test_every_image_is_held_to_its_own_place_among_the_anchors():
    """Shuffled with the batch, as the images are: anchors in another order make another game."""
    config, data = GameConfig(**TINY, pixel_anchor=50.0), tiny()
    ends = {}
    for name, anchor in (("none", None), ("itself", data.images), ("turned", data.images[::-1].copy())):
        outcome = play(fresh(config), data, lam=1.0, epochs=2, config=config, seed=0, anchor=anchor)
        ends[name] = [*weights(outcome.autoencoder), torch.tensor([row["mse"] for row in outcome.history])]
    assert same(ends["none"], ends["itself"])
    assert not same(ends["none"], ends["turned"])


def test_an_anchor_without_weight_holds_nobody():
    config = GameConfig(**TINY)
    ends = [
        weights(play(fresh(config), tiny(), lam=1.0, epochs=1, config=config, seed=0, anchor=anchor).autoencoder)
        for anchor in (None, dark())
    ]
    assert same(*ends)


def test_play_shows_the_discriminator_a_target_alone():
    config, target = GameConfig(**TINY), dark(3)
    known = {image.tobytes() for image in target}
    batch = min(config.batch, len(tiny()))
    for real in (target, None):
        players = fresh(config)
        players.discriminator = Seen(players.discriminator)
        play(players, tiny(), lam=1.0, epochs=2, config=config, seed=0, real=real)
        turns = [shown for shown in players.discriminator.shown if len(shown) == 2 * batch]
        assert len(turns) == 2 * (len(tiny()) // batch)
        shown = {(x * 255).round().byte().numpy().tobytes() for turn_ in turns for x in turn_[:batch, 0]}
        if real is None:
            assert shown == {image.tobytes() for image in tiny().images}
        else:
            assert shown == known  # all of them, and nothing else


def test_output_is_called_constant_by_the_spread_of_what_stands_for_real():
    """A target who hardly moves: an output that varies as little is what was asked for, and no collapse."""
    config = GameConfig(**(TINY | {"rate": 0.0, "adversary_rate": 0.0}))
    still = np.repeat(dark(1), 5, axis=0)
    still[1] += 1
    for real, reason in ((None, "constant"), (dark(), "constant"), (still, None)):
        players = fresh(config)
        players.autoencoder = Redrawn(0.01)
        outcome = play(players, tiny(), lam=1.0, epochs=4, config=config, seed=0, real=real)
        assert (reason in outcome.collapsed) if reason else outcome.collapsed is None


# When a run is over.

HEALTHY = {"phase": "privacy", "discriminator": 0.6, "fool": 0.8, "mse": 0.01, "gradient": 1.0, "pixel_std": 0.2}


def epochs(*changes: dict) -> list[dict]:
    """A history, each row healthy but for what is given."""
    return [HEALTHY | {"epoch": epoch} | change for epoch, change in enumerate(changes)]


LOST = {
    "the output was all but constant": {"pixel_std": 0.019},
    "the discriminator won": {"discriminator": 0.009},
}


@pytest.mark.parametrize(("reason", "row"), LOST.items(), ids=LOST)
def test_three_lost_epochs_in_a_row_end_the_run_and_fewer_do_not(reason, row):
    assert collapse(epochs({}, row, row), 0.2) is None
    assert collapse(epochs(row, row, {}, row, row), 0.2) is None
    assert collapse(epochs(row, row, row, {}), 0.2) is None
    message = collapse(epochs({}, row, row, row), 0.2)
    assert reason in message
    assert "epoch 3 of the privacy phase" in message


@pytest.mark.parametrize("name", ["discriminator", "fool", "mse", "gradient", "pixel_std"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_longer_finite_ends_the_run_at_once(name, value):
    assert "no longer finite" in collapse(epochs({name: value}), 0.2)
    assert "no longer finite" in collapse(epochs({}, {}, {}, {name: value}), 0.2)


def test_two_different_troubles_do_not_add_up():
    constant, won = LOST.values()
    assert collapse(epochs(constant, won, constant), 0.2) is None


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "discriminator": st.floats(0.01, 5),
                "fool": st.floats(0, 20),
                "mse": st.floats(0, 1),
                "gradient": st.floats(0, 1e6),
                "pixel_std": st.floats(0.02, 0.5),
            }
        ),
        min_size=1,
        max_size=8,
    )
)
@QUICK
def test_a_healthy_game_is_never_ended(rows):
    history = epochs(*rows)
    assert all(collapse(history[: end + 1], 0.2) is None for end in range(len(history)))


class Redrawn(nn.Module):
    """An autoencoder whose output is (1 - x) * scale."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (1 - x) * self.scale


@pytest.mark.parametrize(
    ("scale", "adversary_rate", "reason", "played"),
    [(0.0, 0.0, "constant", 3), (1.0, 0.02, "discriminator won", None), (math.nan, 0.0, "no longer finite", 1)],
)
def test_a_lost_game_is_stopped_and_says_why(scale, adversary_rate, reason, played, capsys):
    config = GameConfig(**(TINY | {"rate": 0.0, "adversary_rate": adversary_rate}))
    players = fresh(config)
    players.autoencoder = Redrawn(scale)
    outcome = play(players, tiny(), lam=1.0, epochs=60, config=config, seed=7, watch=tiny().images[:2])
    assert reason in outcome.collapsed
    assert len(outcome.history) < 60
    assert played in (None, len(outcome.history))
    assert len(outcome.snapshots) == len(outcome.history) + 1
    told = capsys.readouterr().out
    assert "seed 7" in told
    assert outcome.collapsed in told
    assert "says nothing about privacy" in told


def test_a_preparation_that_is_lost_is_not_warmed_up():
    config = GameConfig(**(TINY | {"pixel_epochs": 0, "fidelity_epochs": 9, "rate": 0.0, "warm_up_epochs": 2}))
    players = fresh(config)
    for weight in players.autoencoder.lower.parameters():
        weight.data.zero_()
    outcome = prepare(players, tiny(), config, 0)
    assert "fidelity phase" in outcome.collapsed
    assert {row["phase"] for row in outcome.history} == {"fidelity"}
    assert len(outcome.history) == 3


# The numbers of the game.


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"hidden": 2.0}, TypeError, r"hidden is 2\.0; expected a int"),
        ({"rate": "0.01"}, TypeError, "rate is '0.01'; expected a float"),
        ({"freeze_decoder": 1}, TypeError, "freeze_decoder is 1; expected a bool"),
        ({"batch": True}, TypeError, "batch is True"),
        ({"kl": None}, TypeError, "kl is None"),
        ({"ema": -0.1}, ValueError, r"ema is -0\.1; expected 0 to 0\.9999"),
        ({"pixel_epochs": -1}, ValueError, "pixel_epochs is -1"),
        ({"hiden": 3}, TypeError, "hiden"),
        ({"batch": 1}, ValueError, "batch is 1; expected 2"),
        ({"anchor_blur": 4}, ValueError, "odd"),
        ({"kl": float("nan")}, ValueError, "kl is nan"),
    ],
)
def test_a_wrong_number_is_refused_by_name(wrong, error, message):
    with pytest.raises(error, match=message):
        GameConfig(**wrong)


def test_whole_numbers_may_stand_for_fractions():
    assert GameConfig(pixel_anchor=200, clip=1).pixel_anchor == 200


def test_every_departure_is_off_by_default():
    paper = GameConfig()
    assert not any(getattr(paper, name) for name in DEPARTURES if name not in ("anchor_blur", "adam_eps"))
    assert paper.anchor_blur == 1
    assert paper.adam_eps == torch.optim.Adam([nn.Parameter(torch.zeros(1))]).defaults["eps"]


def test_a_row_of_the_history_is_taken_of_tensors_that_numpy_cannot_read():
    """A GPU's losses; here, bfloat16 stands for them."""
    losses = [torch.tensor(value, dtype=torch.bfloat16) for value in (1.0, 3.0)]
    with pytest.raises(TypeError):
        losses[0].numpy()
    assert game.mean_row([{"loss": loss} for loss in losses]) == {"loss": 2.0}
