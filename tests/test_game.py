"""The game: whose step moves whom, what each departure does, the phases, the seeds, and when a run is over."""

import copy
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_game import NAMES, SIZE, batch_of, fresh, moved, same, tiny, weights
from torch import Tensor, nn

from anonrep import game, losses
from anonrep.game import GameConfig, Optimisers, collapse, play, prepare, reconstruct, update
from anonrep.networks import Players
from anonrep.utils.images import to_tensor

TINY = {"hidden": 4, "channels": 2, "adversary_channels": 2, "batch": 8}
TINY |= {"pixel_epochs": 2, "fidelity_epochs": 1, "private_epochs": 1}
TINY |= {"pixel_rate": 0.01, "rate": 0.01, "adversary_rate": 0.01}
DEPARTURES = {"kl": 0.001, "freeze_decoder": True, "pixel_anchor": 10.0, "anchor_blur": 3, "r1": 0.1}
DEPARTURES |= {"warm_up_epochs": 2, "ema": 0.9, "clip": 1.0, "adam_eps": 0.001}
BOTH = pytest.mark.parametrize("departures", [{}, DEPARTURES], ids=["faithful", "stabilised"])


def step_of(players: Players, *movers: str, lam: float | None = 1.0, step: int = 1, **changes: object) -> dict:
    """One `update` on all of `tiny`, in which only the optimisers of the named players have an effect."""
    real = changes.pop("real", None)
    config = GameConfig(**(TINY | changes))
    optimisers = Optimisers.build(players, config)
    for name in set(NAMES) - set(movers):
        for group in getattr(optimisers, name).param_groups:
            group["lr"] = 0.0
    return update(players, optimisers, *batch_of(tiny()), lam=lam, config=config, step=step, real=real)


def gradients(players: Players) -> dict[str, list[Tensor | None]]:
    """What has gathered at each weight of each player."""
    return {name: [weight.grad for weight in getattr(players, name).parameters()] for name in NAMES}


def played(config: GameConfig, seed: int = 0, **options: object) -> tuple[game.Outcome, Players]:
    """Two epochs of phase (iii), or as `options` say, from fresh players."""
    players = fresh(config)
    options = {"lam": 1.0, "epochs": 2} | options
    return play(players, tiny(), config=config, seed=seed, **options), players


# One step.


@BOTH
@pytest.mark.parametrize("mover", NAMES)
def test_each_optimiser_moves_its_own_player_and_no_other(mover, departures):
    players = fresh(GameConfig(**(TINY | departures)))
    before = {name: weights(getattr(players, name)) for name in NAMES}
    step_of(players, mover, step=0, **departures)
    assert moved(players, before) == {mover}


@pytest.mark.parametrize("term", losses.PRIVATE_TERMS)
@pytest.mark.parametrize("printed", [False, True], ids=["fooling", "as printed"])
def test_each_player_descends_its_own_loss_and_nothing_else_gathers(float32, term, printed):
    """With all rates 0 the gradients left behind are those of eqs. 13, 14 and 12, computed here one by one."""
    players, lam, anchor = fresh(GameConfig(**TINY)), 1.5, 2.0
    row = step_of(players, lam=lam, pixel_anchor=anchor, private_term=term, printed_sign=printed)
    autoencoder, discriminator, classifier = players
    x, z, p_z = batch_of(tiny())
    x_hat = autoencoder(x)
    v, y = torch.cat([x, x_hat.detach()]), torch.cat([torch.ones(len(x)), torch.zeros(len(x))])
    log_q, logits_y = classifier(x_hat).log_softmax(1), discriminator(x_hat)
    private, objective = -log_q[torch.arange(len(z)), z].mean(), -(log_q @ p_z).mean()
    kl = (log_q.exp() * (log_q - p_z.log())).sum(1).mean()
    private_term = {"surrogate": (objective - private).abs(), "reversal": -private, "kl": kl}[term]
    fool = -nn.functional.logsigmoid(logits_y).mean()
    fidelity = -nn.functional.logsigmoid(-logits_y).mean() if printed else fool
    mse = (x_hat - x).square().mean()
    own = {
        "discriminator": losses.discriminator_loss(discriminator(v), y),
        "private_classifier": losses.private_loss(classifier(x_hat.detach()), z),
        "autoencoder": fidelity + anchor * mse + lam * private_term,
    }
    found = gradients(players)
    for name, loss in own.items():
        expected = torch.autograd.grad(loss, list(getattr(players, name).parameters()), retain_graph=True)
        for one, other in zip(found[name], expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)
    assert row["discriminator"] == pytest.approx(own["discriminator"].item(), rel=1e-5)
    assert row["mse"] == pytest.approx(mse.item(), rel=1e-5)
    assert row["fool"] == pytest.approx(fool.item(), rel=1e-5), "the record says the same whichever sign is played"


def test_the_autoencoder_answers_adversaries_that_have_just_moved(float32):
    players, (x, z, _) = fresh(GameConfig(**TINY)), batch_of(tiny())
    row = step_of(players, "discriminator", "private_classifier")
    with torch.no_grad():
        x_hat = players.autoencoder(x)
        fool, private = losses.fool_loss(players.discriminator(x_hat)), players.private_classifier(x_hat)
    assert row["fool"] == pytest.approx(fool.item(), rel=1e-5)
    assert row["private"] == pytest.approx(losses.private_loss(private, z).item(), rel=1e-5)


def test_with_its_printed_sign_eq_12_makes_reconstructions_easy_to_tell_and_with_the_gans_it_does_not():
    """From one start, with a discriminator that learns as fast: its own loss falls to nothing, or stays near log 2."""
    config = GameConfig(**(TINY | {"hidden": 8, "channels": 8, "pixel_epochs": 100, "rate": 0.002}))
    start, found = fresh(config), {}
    game.pretrain_autoencoder(start.autoencoder, batch_of(tiny())[0], config, 0)
    for sign in (False, True):
        players, config = copy.deepcopy(start), replace(config, printed_sign=sign)
        outcome = play(players, tiny(), lam=0.0, epochs=30, config=config, seed=0)
        found[sign] = [row["discriminator"] for row in outcome.history]
        assert sign == bool(outcome.collapsed)
    assert found[True][-1] < 0.01
    assert min(found[False]) > 0.3


def test_lambda_zero_moves_the_autoencoder_exactly_as_phase_two_does(float32):
    start, ends = fresh(GameConfig(**TINY)), {}
    for lam in (None, 0.0, 1.0):
        players = copy.deepcopy(start)
        row = step_of(players, *NAMES, lam=lam)
        ends[lam] = weights(players.autoencoder)
        assert ("private" in row) == (lam is not None)
        assert same(weights(start.private_classifier), weights(players.private_classifier)) == (lam is None)
    assert same(ends[None], ends[0.0])
    assert not same(ends[None], ends[1.0])


@BOTH
def test_mixed_precision_sees_the_same_losses_and_leaves_float32(monkeypatch, departures):
    rows = []
    for enabled in (False, True):
        mixed = torch.autocast("cpu", torch.bfloat16, enabled=enabled)
        monkeypatch.setattr("anonrep.utils.precision.mixed_precision", lambda device, mixed=mixed: mixed)
        players = fresh(GameConfig(**(TINY | departures)))
        rows.append(step_of(players, step=0, **departures))
        assert {weight.dtype for player in players for weight in player.parameters()} == {torch.float32}
    assert rows[0] != rows[1]  # or there was one precision
    for name in set(rows[0]) - {"gradient", "private_accuracy"}:
        assert rows[1][name] == pytest.approx(rows[0][name], rel=0.02, abs=1e-4), name


# The departures from the paper.


def test_every_departure_is_a_field_that_is_off_by_default():
    paper, off = GameConfig(), {"anchor_blur": 1, "adam_eps": 1e-8}
    assert set(game.DEPARTURES) == set(DEPARTURES)
    assert all(getattr(paper, name) == off.get(name, 0) for name in game.DEPARTURES)


@BOTH
def test_a_frozen_decoder_stays_as_it_is_and_another_does_not(departures):
    config = GameConfig(**(TINY | departures))
    start = fresh(config)
    outcome, players = played(config)
    for network in (players.autoencoder, outcome.autoencoder):
        for part in ("encoder", "mean", "expand", "upper", "lower"):
            stays = config.freeze_decoder and part in ("expand", "upper", "lower")
            assert same(weights(getattr(start.autoencoder, part)), weights(getattr(network, part))) == stays, part


def test_r1_is_the_squared_slope_of_a_linear_discriminator():
    linear = nn.Sequential(nn.Flatten(), nn.Linear(4, 1), nn.Flatten(0))
    slope = linear[1].weight
    penalty = game.r1_penalty(linear, torch.rand(3, 1, 2, 2))
    assert penalty.item() == pytest.approx(slope.square().sum().item())
    penalty.backward()
    torch.testing.assert_close(slope.grad, 2 * slope.detach())


def test_r1_acts_on_the_discriminator_now_and_then_and_on_nobody_else():
    start = fresh(GameConfig(**TINY))
    for step in (0, 1, game.R1_EVERY):
        ends = []
        for r1 in (0.0, 100.0):
            players = copy.deepcopy(start)
            step_of(players, step=step, r1=r1)
            ends.append(gradients(players))
        differ = [name for name in NAMES if not same(ends[0][name], ends[1][name])]
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
    length = math.sqrt(sum(float((a - b).square().sum()) for a, b in pairs))
    assert row["gradient"] > 2e-4
    assert length == pytest.approx(clip or row["gradient"], rel=0.01)


def test_the_released_average_follows_its_formula():
    """One epoch of one batch: the released weights lie a tenth of the way from the start to the end."""
    config = GameConfig(**(TINY | {"batch": 24, "ema": 0.9}))
    start = weights(fresh(config).autoencoder)
    outcome, players = played(config, epochs=1)
    rows = zip(start, weights(players.autoencoder), weights(outcome.autoencoder), strict=True)
    for first, last, released in rows:
        torch.testing.assert_close(released, 0.9 * first + 0.1 * last)
    plain, players = played(GameConfig(**TINY))
    assert plain.autoencoder is players.autoencoder


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden": 2.0}, r"hidden is 2\.0; expected a whole number from 1"),
        ({"rate": "0.01"}, "rate is '0.01'; expected a number from 0"),
        ({"freeze_decoder": 1}, "freeze_decoder is 1; expected one of False, True"),
        ({"ema": -0.1}, r"ema is -0\.1; expected a number from 0 to 0\.9999"),
        ({"batch": 1}, "batch is 1; expected a whole number from 2"),
        ({"anchor_blur": 4}, "odd"),
        ({"kl": math.nan}, "kl is nan"),
        ({"private_term": "gan"}, "private_term is 'gan'; expected one of surrogate, reversal, kl"),
    ],
)
def test_a_wrong_number_is_refused_by_name(wrong, message):
    with pytest.raises(ValueError, match=message):
        GameConfig(**wrong)


# Other real images, and another anchor.


def dark(n: int = 24) -> np.ndarray:
    """Images that are none of `tiny`: dark, with a square at the lower right."""
    images = np.random.default_rng(9).integers(0, 30, (n, SIZE, SIZE), np.uint8)
    images[:, 6:, 6:] = 200
    return images


class Recorded(nn.Module):
    """A player that keeps what it is shown."""

    def __init__(self, player: nn.Module) -> None:
        super().__init__()
        self.player, self.shown = player, []

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(x.detach().clone())
        return self.player(x)


def test_the_discriminator_is_shown_other_real_images_and_nobody_else_is():
    """Each of them as real, in its turn and in the R1 penalty (step 0)."""
    x, real = batch_of(tiny())[0], to_tensor(dark(5))
    players = fresh(GameConfig(**TINY))
    for name in NAMES:
        setattr(players, name, Recorded(getattr(players, name)))
    step_of(players, step=0, r1=0.1, real=real)
    (redrawn,), (both, penalty, fool) = players.autoencoder.shown, players.discriminator.shown
    assert torch.equal(redrawn, x)
    assert torch.equal(both[:5], real)
    assert torch.equal(penalty, real)
    for outputs in (both[5:], fool, *players.private_classifier.shown):
        assert outputs.shape == x.shape
        assert not torch.equal(outputs, x)


@pytest.mark.parametrize("real", [None, dark(3)], ids=["all", "target"])
def test_play_shows_the_discriminator_the_targets_images_alone(real):
    config = GameConfig(**TINY)
    players = fresh(config)
    players.discriminator = Recorded(players.discriminator)
    play(players, tiny(), lam=1.0, epochs=2, config=config, seed=0, real=real)
    turns = [shown[: config.batch, 0] for shown in players.discriminator.shown if len(shown) == 2 * config.batch]
    shown = {(image * 255).round().byte().numpy().tobytes() for turn in turns for image in turn}
    assert shown == {image.tobytes() for image in (tiny().images if real is None else real)}


def test_with_an_anchor_the_output_comes_to_it_and_without_to_the_image():
    config = GameConfig(**(TINY | {"hidden": 8, "channels": 8, "pixel_anchor": 200.0}))
    distances = []
    for anchor in (None, dark()):
        outcome, _ = played(config, lam=0.0, epochs=25, anchor=anchor)
        x_hat = reconstruct(outcome.autoencoder, tiny().images).astype(float)
        distances.append([np.square(x_hat - images).mean() for images in (tiny().images, dark())])
    (own, far), (lost, near) = distances
    assert near < far / 2
    assert own < lost


def test_every_image_is_held_to_its_own_place_among_the_anchors():
    """Shuffled with the batch, as the images are: anchors in another order make another game."""
    config, images = GameConfig(**TINY, pixel_anchor=50.0), tiny().images
    none, itself, turned = (
        weights(played(config, anchor=anchor)[0].autoencoder) for anchor in (None, images, images[::-1].copy())
    )
    assert same(none, itself)
    assert not same(none, turned)


# The phases.


@pytest.mark.parametrize("kl", [0.0, 1e-5])
def test_phase_one_learns_a_few_images_by_heart(kl):
    config = GameConfig(**(TINY | {"hidden": 8, "channels": 8, "batch": 6, "pixel_epochs": 200, "kl": kl}))
    players, x = fresh(config), batch_of(tiny(6))[0]
    before = {name: weights(getattr(players, name)) for name in NAMES}
    history = game.pretrain_autoencoder(players.autoencoder, x, config, 0)
    x_hat = to_tensor(reconstruct(players.autoencoder, tiny(6).images))
    assert (x_hat - x).square().mean() < 0.005 < 0.05 < history[0]["mse"]
    assert moved(players, before) == {"autoencoder"}


def test_the_warm_up_moves_the_private_classifier_alone():
    config = GameConfig(**(TINY | DEPARTURES))
    players = fresh(config)
    before = {name: weights(getattr(players, name)) for name in NAMES}
    game.warm_up(players, tiny(), config, 0, "cpu")
    assert moved(players, before) == {"private_classifier"}


def test_prepare_goes_through_pixels_fidelity_and_warm_up_and_play_goes_on():
    config = GameConfig(**(TINY | DEPARTURES | {"hidden": 8, "channels": 8, "pixel_epochs": 60, "fidelity_epochs": 2}))
    players, watch = fresh(config), tiny().images[:5]
    start = prepare(players, tiny(), config, 0, watch=watch)
    assert start.autoencoder is players.autoencoder
    assert start.collapsed is None
    before = reconstruct(players.autoencoder, watch)
    assert start.snapshots.shape == (3, 5, SIZE, SIZE)
    assert np.array_equal(start.snapshots[-1], before)
    assert not np.array_equal(start.snapshots[0], before), "it begins at the end of phase (i)"
    outcome = play(players, tiny(), lam=1.0, epochs=2, config=config, seed=0, watch=watch)
    found = [(row["phase"], row["epoch"]) for row in start.history + outcome.history]
    epochs = {"pixels": 60, "fidelity": 2, "warm-up": 2, "privacy": 2}
    assert found == [(phase, epoch) for phase, n in epochs.items() for epoch in range(n)]
    seen = {"discriminator", "fool", "private", "objective", "mse", "gradient", "private_accuracy", "pixel_std"}
    for row in outcome.history:
        assert set(row) == seen | {"phase", "epoch"}
        assert all(math.isfinite(row[name]) for name in seen)
    assert (outcome.snapshots.shape, outcome.snapshots.dtype) == ((3, 5, SIZE, SIZE), np.uint8)
    assert np.array_equal(outcome.snapshots[0], before)
    assert np.array_equal(outcome.snapshots[-1], reconstruct(outcome.autoencoder, watch))


@given(n=st.integers(1, 40), size=st.integers(1, 20), seed=st.integers(0, 9))
def test_batches_are_full_and_show_every_image_at_most_once(n, size, seed):
    """Only what does not fill a batch is left out of an epoch; fewer images than a batch are all shown at once."""
    generator = torch.Generator().manual_seed(seed)
    batches = list(game.batches(n, size, generator))
    shown = torch.cat(batches).tolist()
    assert len(set(shown)) == len(shown) == (n - n % size if n >= size else n)
    assert set(shown) <= set(range(n))
    assert {len(batch) for batch in batches} == {min(n, size)}
    assert n < 9 or torch.cat(list(game.batches(n, n, generator))).tolist() != shown  # the next epoch has its own order


def test_a_release_is_eight_bit_and_does_not_depend_on_its_neighbours():
    players, images = fresh(GameConfig(**TINY)), tiny().images
    release = reconstruct(players.autoencoder, images)
    assert (release.dtype, release.shape) == (np.uint8, images.shape)
    exact = players.autoencoder(to_tensor(images)).squeeze(1).detach().numpy() * 255
    assert np.abs(release - exact).max() < 0.51
    alone = np.concatenate([reconstruct(players.autoencoder, images[i : i + 1]) for i in range(len(images))])
    assert np.abs(alone.astype(int) - release).max() <= 1
    assert reconstruct(players.autoencoder, images[:0]).shape == (0, SIZE, SIZE)


# Seeds.


@BOTH
def test_the_seed_alone_decides_and_the_global_generators_are_neither_read_nor_moved(departures):
    def whole(seed: int, start: int) -> tuple[list[dict], list[Tensor]]:
        config = GameConfig(**(TINY | departures))
        players = fresh(config, start)
        prepared = prepare(players, tiny(), config, seed)
        outcome = play(players, tiny(), lam=1.0, epochs=2, config=config, seed=seed, watch=tiny().images[:3])
        return prepared.history + outcome.history, [*weights(outcome.autoencoder, *players), outcome.snapshots]

    torch.manual_seed(1)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    history, (*ends, snapshots) = whole(0, 0)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert np.array_equal(states[2], np.random.get_state()[1])  # noqa: NPY002
    torch.manual_seed(2)
    again, (*same_ends, same_snapshots) = whole(0, 0)
    assert history == again
    assert same(ends, same_ends)
    assert np.array_equal(snapshots, same_snapshots)
    for other in (whole(1, 0), whole(0, 1)):
        assert history != other[0]
        assert not same(ends, other[1][:-1])


# When a run is over.

HEALTHY = {"phase": "privacy", "discriminator": 0.6, "fool": 0.8, "mse": 0.01, "gradient": 1.0, "pixel_std": 0.2}
LOST = {"the output is all but constant": {"pixel_std": 0.019}}
LOST |= {"for 3 epochs the discriminator won": {"discriminator": 0.009}}


def epochs(*changes: dict) -> list[dict]:
    """A history, each row healthy but for what is given."""
    return [HEALTHY | {"epoch": epoch} | change for epoch, change in enumerate(changes)]


@pytest.mark.parametrize(("reason", "row"), LOST.items(), ids=LOST)
def test_three_lost_epochs_in_a_row_end_the_run_and_fewer_do_not(reason, row):
    assert collapse(epochs({}, row, row), 0.2) is None
    assert collapse(epochs(row, row, {}, row, row), 0.2) is None
    assert collapse(epochs(row, row, row, {}), 0.2) is None
    message = collapse(epochs({}, row, row, row), 0.2)
    assert message.startswith(f"collapsed in epoch 3 of the privacy phase: {reason}")
    constant, won = LOST.values()
    assert collapse(epochs(constant, won, constant), 0.2) is None  # two different troubles do not add up


@pytest.mark.parametrize("name", ["discriminator", "gradient", "pixel_std"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_longer_finite_ends_the_run_at_once(name, value):
    assert "no longer finite" in collapse(epochs({}, {name: value}), 0.2)


class Redrawn(nn.Module):
    """An autoencoder whose output is (1 - x) * scale."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x: Tensor) -> Tensor:
        return (1 - x) * self.scale


@pytest.mark.parametrize(
    ("scale", "adversary_rate", "reason", "lasted"),
    [(0.0, 0.0, "constant", 3), (1.0, 0.02, "discriminator won", None), (math.nan, 0.0, "no longer finite", 1)],
)
def test_a_lost_game_is_stopped_and_says_why(scale, adversary_rate, reason, lasted, capsys):
    config = GameConfig(**(TINY | {"rate": 0.0, "adversary_rate": adversary_rate}))
    players = fresh(config)
    players.autoencoder = Redrawn(scale)
    outcome = play(players, tiny(), lam=1.0, epochs=40, config=config, seed=7, watch=tiny().images[:2])
    assert reason in outcome.collapsed
    assert lasted in (None, len(outcome.history))
    assert len(outcome.snapshots) == len(outcome.history) + 1 < 41
    assert f"seed 7, lambda 1.0: {outcome.collapsed}; this run says nothing about privacy" in capsys.readouterr().out


def test_output_is_called_constant_by_the_deviation_of_what_stands_for_real():
    """A target who hardly moves: an output that varies as little is what was asked for, and no collapse."""
    config = GameConfig(**(TINY | {"rate": 0.0, "adversary_rate": 0.0}))
    still = np.repeat(dark(1), 5, axis=0)
    still[1] += 1
    for real, reason in ((None, "constant"), (dark(), "constant"), (still, None)):
        players = fresh(config)
        players.autoencoder = Redrawn(0.01)
        outcome = play(players, tiny(), lam=1.0, epochs=4, config=config, seed=0, real=real)
        assert (reason in outcome.collapsed) if reason else outcome.collapsed is None


def test_a_preparation_that_is_lost_is_not_warmed_up():
    config = GameConfig(**(TINY | {"pixel_epochs": 0, "fidelity_epochs": 9, "rate": 0.0, "warm_up_epochs": 2}))
    players = fresh(config)
    for weight in players.autoencoder.lower.parameters():
        nn.init.zeros_(weight)
    outcome = prepare(players, tiny(), config, 0)
    assert "fidelity phase" in outcome.collapsed
    assert [row["phase"] for row in outcome.history] == ["fidelity"] * 3
