"""The game, in the paper's three phases (Section 2, "Training procedure").

(i)   `pretraining`: the autoencoder alone, on a pixel loss, until its output looks like its input;
(ii)  `play` without lambda: the discriminator and the autoencoder in turn;
(iii) `play` with lambda: the autoencoder in turn with the discriminator and the private classifier.

Phases (i) and (ii) do not know lambda: they are trained once a seed and shared (`prepare`). With the defaults of
`game.GameConfig` this is the paper as printed, with the sign of the GAN mended (losses.fool_loss); whatever else helps
is a field of it that is off by default.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from anonrep import losses
from anonrep.dataset import Dataset
from anonrep.game import GameConfig, collapse
from anonrep.images import blur, spread, to_bytes, to_float
from anonrep.networks import Players
from anonrep.precision import fast
from anonrep.pretraining import batches, mean_row, pretrain_autoencoder, reconstruct
from anonrep.seeds import torch_generator

R1_EVERY = 16  # steps between two R1 penalties, as Karras et al. (2020): its double gradient is dear
BETAS = (0.5, 0.999)  # Adam's, as GANs use them (Radford et al., 2016)


@dataclass
class Outcome:
    """What a phase leaves: the autoencoder to release and the record of how it came about.

    history    a row an epoch of what each player saw
    snapshots  uint8 (epochs + 1, watched images, H, W): what became of the watched images through the epochs
    collapsed  why the run stopped before its end and says nothing about privacy, or None
    """

    autoencoder: nn.Module
    history: list[dict]
    snapshots: np.ndarray
    collapsed: str | None = None


def r1_penalty(discriminator: nn.Module, x: Tensor) -> Tensor:
    """Mean squared norm of D's gradient at real images (Mescheder et al., 2018, eq. 9); x (B, 1, H, W), a scalar."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


@dataclass
class Optimisers:
    """One optimiser a player: no player's step ever touches another's weights."""

    autoencoder: torch.optim.Optimizer
    discriminator: torch.optim.Optimizer
    private_classifier: torch.optim.Optimizer

    @classmethod
    def build(cls, players: Players, config: GameConfig) -> "Optimisers":
        autoencoder = players.autoencoder
        free = encoder_parameters(autoencoder) if config.freeze_decoder else autoencoder.parameters()
        options = {"betas": BETAS, "fused": True}
        return cls(
            torch.optim.Adam(free, lr=config.rate, eps=config.epsilon, **options),
            torch.optim.Adam(players.discriminator.parameters(), lr=config.adversary_rate, **options),
            torch.optim.Adam(players.private_classifier.parameters(), lr=config.adversary_rate, **options),
        )


def encoder_parameters(autoencoder: nn.Module) -> list[nn.Parameter]:
    """The weights that make the hidden layer out of x."""
    return [*autoencoder.encoder.parameters(), *autoencoder.mean.parameters()]


def update(
    players: Players,
    optimisers: Optimisers,
    x: Tensor,
    z: Tensor,
    p_z: Tensor,
    *,
    lam: float | None,
    config: GameConfig,
    step: int,
    real: Tensor | None = None,
    anchor: Tensor | None = None,
) -> dict[str, float]:
    """One turn of the game on one batch; returns what each player saw, in nats (mse: a pixel; gradient: a norm).

    x: (B, 1, H, W), z: (B,), p_z: (|Z|,). With `lam` None the private classifier sits out: phase (ii). `real` and
    `anchor`, (B, 1, H, W), take the place of x where the discriminator is shown real images and in the pixel anchor.
    """
    real, anchor = x if real is None else real, x if anchor is None else anchor
    autoencoder, discriminator, private_classifier = players
    x_hat = fast(autoencoder, x)
    seen = x_hat.detach()  # the adversaries look at the output; their steps must not move the autoencoder

    # The discriminator's turn, eq. 13: the selector shows it as many real images as reconstructions.
    v, y = torch.cat([real, seen]), torch.cat([torch.ones(len(real)), torch.zeros(len(x))]).to(x.device)
    d_loss = losses.discriminator_loss(fast(discriminator, v), y)
    penalty = 0.0
    if config.r1 and step % R1_EVERY == 0:
        penalty = config.r1 / 2 * R1_EVERY * r1_penalty(discriminator, real)  # lazily, as Karras et al. (2020)
    optimisers.discriminator.zero_grad()
    (d_loss + penalty).backward()
    optimisers.discriminator.step()
    turn = {"discriminator": d_loss}

    # The private classifier's turn, eq. 14.
    if lam is not None:
        turn |= private_turn(private_classifier, optimisers.private_classifier, seen, z)

    # The autoencoder's turn, eq. 12. Its x_hat is still current: only the others have moved since.
    optimisers.autoencoder.zero_grad()
    fool = losses.fool_loss(fast(discriminator, x_hat))
    mse = (x_hat - x).square().mean()
    turn |= {"fool": fool, "mse": mse}
    loss = fool
    if config.pixel_anchor:
        loss = loss + config.pixel_anchor * blur(x_hat - anchor, config.anchor_blur).square().mean()
    if lam is not None:
        logits_z = fast(private_classifier, x_hat)
        turn |= {"private": losses.private_loss(logits_z, z), "objective": losses.objective_loss(logits_z, p_z)}
        loss = losses.autoencoder_loss(loss, losses.mutual_information_surrogate(logits_z, z, p_z), lam)
    moved = [weight for group in optimisers.autoencoder.param_groups for weight in group["params"]]
    loss.backward(inputs=moved)  # nobody else's weights gather a gradient
    turn["gradient"] = nn.utils.clip_grad_norm_(moved, config.clip or math.inf)
    optimisers.autoencoder.step()
    turn["spread"] = ((seen - seen.mean(0)).square().sum(0) / (len(x) - 1)).sqrt().mean()  # `std` is ten times slower
    return {name: float(value.detach()) for name, value in turn.items()}


def private_turn(classifier: nn.Module, optimiser: torch.optim.Optimizer, seen: Tensor, z: Tensor) -> dict[str, Tensor]:
    """The private classifier's step on images it sees and cannot move, eq. 14."""
    logits_z = fast(classifier, seen)
    loss = losses.private_loss(logits_z, z)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return {"private_accuracy": (logits_z.argmax(1) == z).float().mean()}


def play(
    players: Players,
    train: Dataset,
    *,
    lam: float | None,
    epochs: int,
    config: GameConfig,
    seed: int,
    device: torch.device | str = "cpu",
    watch: np.ndarray | None = None,
    real: np.ndarray | None = None,
    anchor: np.ndarray | None = None,
) -> Outcome:
    """Phase (ii) with `lam` None, phase (iii) with a number: every player takes its turn on every batch.

    watch   uint8 (K, H, W), images to follow through the epochs
    real    uint8 (R, H, W), what the discriminator is shown as real images, in the place of the training images: those
            of one person alone restrict the game to that target (paper, Section 3, the second method on faces)
    anchor  uint8 (N, H, W), what the pixel anchor holds each redrawn training image to, in the place of itself

    The players are changed in place. A run that has left the game is stopped: `collapse` says when and why.
    """
    x, z = to_bytes(train.images, device), torch.from_numpy(train.z).to(device)
    templates, held = (None if one is None else to_bytes(one, device) for one in (real, anchor))
    p_z = torch.from_numpy(train.p_z).float().to(device)
    optimisers = Optimisers.build(players, config)
    averaged = copy.deepcopy(players.autoencoder) if config.ema else players.autoencoder
    name = None if lam is None else f"{lam:g}"  # 1 and 1.0 are the same game
    order, steps = torch_generator(seed, "game order", name), count()

    def turn(index: Tensor) -> dict[str, float]:
        others = {}
        if templates is not None:
            others["real"] = to_float(templates[torch.randint(len(templates), index.shape, generator=order)])
        if held is not None:
            others["anchor"] = to_float(held[index])
        options = {"lam": lam, "config": config, "step": next(steps), **others}
        row = update(players, optimisers, to_float(x[index]), z[index], p_z, **options)
        if config.ema:
            _average(averaged, players.autoencoder, config.ema)
        return row

    return rounds(
        turn,
        lambda: batches(len(x), config.batch, order),
        averaged,
        epochs=epochs,
        phase="fidelity" if lam is None else "privacy",
        name=f"seed {seed}, lambda {lam}",
        raw_spread=spread(train.images if real is None else real),
        watch=train.images[:0] if watch is None else watch,
        device=device,
    )


def rounds(
    turn: Callable[[Tensor], dict[str, float]],
    parts: Callable[[], Iterator[Tensor]],
    released: nn.Module,
    *,
    epochs: int,
    phase: str,
    name: str,
    raw_spread: float,
    watch: np.ndarray,
    device: torch.device | str,
    over: Callable[..., str | None] = collapse,
) -> Outcome:
    """A game, epoch by epoch: `turn` on the indices of every batch of `parts`, until the last epoch or until `over`.

    `released`: the autoencoder that the outcome is about, whatever moves it; `watch`: uint8 (K, H, W), to be followed.
    """
    history, snapshots, collapsed = [], [reconstruct(released, watch, device)], None
    for epoch in tqdm(range(epochs), desc=f"{phase}, {name}", mininterval=10):
        history.append({"phase": phase, "epoch": epoch, **mean_row([turn(index) for index in parts()])})
        snapshots.append(reconstruct(released, watch, device))
        collapsed = over(history, raw_spread, final=epoch == epochs - 1)
        if collapsed:
            tqdm.write(f"{name}: {collapsed}; this run says nothing about privacy")
            break
    return Outcome(released, history, np.array(snapshots), collapsed)


@torch.no_grad()
def _average(averaged: nn.Module, current: nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(averaged.parameters()), list(current.parameters()), 1 - decay)


def warm_up(players: Players, train: Dataset, config: GameConfig, seed: int, device: torch.device | str) -> list[dict]:
    """The private classifier alone, on outputs that do not move, before lambda acts (`config.warm_up_epochs`)."""
    z = torch.from_numpy(train.z).to(device)
    seen = to_bytes(reconstruct(players.autoencoder, train.images, device), device)
    optimiser = torch.optim.Adam(players.private_classifier.parameters(), lr=1e-3, fused=True)
    order, history = torch_generator(seed, "warm-up order"), []
    for epoch in range(config.warm_up_epochs):
        parts = batches(len(z), config.batch, order)
        rows = [private_turn(players.private_classifier, optimiser, to_float(seen[index]), z[index]) for index in parts]
        history.append({"phase": "warm-up", "epoch": epoch, **mean_row(rows)})
    return history


def prepare(
    players: Players, train: Dataset, config: GameConfig, seed: int, device: torch.device | str = "cpu"
) -> Outcome:
    """Phases (i) and (ii), which do not know lambda, and the warm-up: the start of every lambda's phase (iii)."""
    history = pretrain_autoencoder(players.autoencoder, to_bytes(train.images, device), config, seed)
    fidelity = play(players, train, lam=None, epochs=config.fidelity_epochs, config=config, seed=seed, device=device)
    players.autoencoder = fidelity.autoencoder
    if not fidelity.collapsed:
        fidelity.history += warm_up(players, train, config, seed, device)
    fidelity.history = history + fidelity.history
    return fidelity
