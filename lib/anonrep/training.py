"""The game, in the paper's three phases (Section 2, "Training procedure").

(i)   `pretrain_autoencoder`: the autoencoder alone, on a pixel loss, until its output looks like its input;
(ii)  `play` without lambda: the discriminator and the autoencoder in turn;
(iii) `play` with lambda: the autoencoder in turn with the discriminator and the private classifier.

Phases (i) and (ii) do not know lambda: they are trained once a seed and shared (`prepare`). With the defaults of
`game.GameConfig` this is the paper as printed, with the sign of the GAN mended (losses.fool_loss); whatever else helps
is a field of it that is off by default.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from anonrep import losses
from anonrep.dataset import Dataset
from anonrep.game import GameConfig, collapse
from anonrep.networks import Players
from anonrep.seeds import torch_generator

R1_EVERY = 4  # steps between two R1 penalties
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


def to_tensor(images: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """uint8 (N, H, W) to float32 (N, 1, H, W) in [0, 1]."""
    return torch.from_numpy(images).to(device).unsqueeze(1).float() / 255


def _batches(n: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    order = torch.randperm(n, generator=generator)
    return iter(order[: n - n % size].split(size) if n >= size else order.split(size))


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def pretrain_autoencoder(autoencoder: nn.Module, x: Tensor, config: GameConfig, seed: int) -> list[dict]:
    """Phase (i): the autoencoder alone on binary cross-entropy a pixel, with `config.kl` as a variational one.

    `x`: (N, 1, H, W). Returns a row an epoch: `mse` a pixel between x and x_hat. The autoencoder is changed in place.
    """
    order, noise = torch_generator(seed, "pixel order"), torch_generator(seed, "pixel noise", device=x.device)
    optimiser = torch.optim.Adam(autoencoder.parameters(), lr=config.pixel_rate, fused=True)
    history, steps = [], config.pixel_epochs * max(1, len(x) // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.pixel_rate, total_steps=steps + 1)
    for epoch in tqdm(range(config.pixel_epochs), desc="(i) pixels", mininterval=10):
        rows = []
        for index in _batches(len(x), config.batch, order):
            batch = x[index]
            if config.kl:
                mean, log_variance = autoencoder.encode_distribution(batch)
                draw = torch.randn(mean.shape, generator=noise, device=mean.device)
                x_hat = autoencoder.decode(mean + draw * (log_variance / 2).exp())
                kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
            else:
                x_hat, kl = autoencoder(batch), 0.0
            loss = nn.functional.binary_cross_entropy(x_hat, batch) + config.kl * kl
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            rows.append({"mse": (x_hat - batch).square().mean().item()})
        history.append({"phase": "pixels", "epoch": epoch, **_mean(rows)})
    return history


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
    generator: torch.Generator,
) -> dict[str, float]:
    """One turn of the game on one batch; returns what each player saw, in nats (mse: a pixel; gradient: a norm).

    x: (B, 1, H, W), z: (B,), p_z: (|Z|,). With `lam` None the private classifier sits out: phase (ii). `generator`
    draws the noise of `config.noise`.
    """
    autoencoder, discriminator, private_classifier = players
    x_hat = redraw(autoencoder, x, config.noise, generator)
    seen = x_hat.detach()  # the adversaries look at the output; their steps must not move the autoencoder

    # The discriminator's turn, eq. 13: the selector shows it as many real images as reconstructions.
    v, y = torch.cat([x, seen]), torch.cat([torch.ones(len(x)), torch.zeros(len(x))]).to(x.device)
    d_loss = losses.discriminator_loss(discriminator(v), y)
    penalty = 0.0
    if config.r1 and step % R1_EVERY == 0:
        penalty = config.r1 / 2 * R1_EVERY * r1_penalty(discriminator, x)  # lazily, as Karras et al. (2020)
    optimisers.discriminator.zero_grad()
    (d_loss + penalty).backward()
    optimisers.discriminator.step()
    turn = {"discriminator": d_loss}

    # The private classifier's turn, eq. 14.
    if lam is not None:
        turn |= private_turn(private_classifier, optimisers.private_classifier, seen, z)

    # The autoencoder's turn, eq. 12. Its x_hat is still current: only the others have moved since.
    optimisers.autoencoder.zero_grad()
    fool = losses.fool_loss(discriminator(x_hat))
    mse = (x_hat - x).square().mean()
    turn |= {"fool": fool, "mse": mse}
    loss = fool
    if config.pixel_anchor:
        loss = loss + config.pixel_anchor * _blur(x_hat - x, config.anchor_blur).square().mean()
    if lam is not None:
        logits_z = private_classifier(x_hat)
        turn |= {"private": losses.private_loss(logits_z, z), "objective": losses.objective_loss(logits_z, p_z)}
        loss = losses.autoencoder_loss(loss, losses.mutual_information_surrogate(logits_z, z, p_z), lam)
    moved = [weight for group in optimisers.autoencoder.param_groups for weight in group["params"]]
    loss.backward(inputs=moved)  # nobody else's weights gather a gradient
    turn["gradient"] = nn.utils.clip_grad_norm_(moved, config.clip or math.inf)
    optimisers.autoencoder.step()
    turn["spread"] = seen.std(0).mean()
    return {name: float(value.detach()) for name, value in turn.items()}


def _blur(x: Tensor, width: int) -> Tensor:
    return nn.functional.avg_pool2d(x, width, stride=1, padding=width // 2) if width > 1 else x


def redraw(autoencoder: nn.Module, x: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """x_hat for x, both (B, 1, H, W), with Gaussian noise of standard deviation `noise` on the hidden layer."""
    hidden = autoencoder.encode(x)
    if noise:
        hidden = hidden + noise * torch.randn(hidden.shape, generator=generator, device=generator.device).to(x.device)
    return autoencoder.decode(hidden)


def private_turn(classifier: nn.Module, optimiser: torch.optim.Optimizer, seen: Tensor, z: Tensor) -> dict[str, Tensor]:
    """The private classifier's step on images it sees and cannot move, eq. 14."""
    logits_z = classifier(seen)
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
) -> Outcome:
    """Phase (ii) with `lam` None, phase (iii) with a number: every player takes its turn on every batch.

    `watch`: uint8 (K, H, W), images to follow through the epochs. The players are changed in place. A run that has
    left the game is stopped: `collapse` says when and why.
    """
    x, z = to_tensor(train.images, device), torch.from_numpy(train.z).to(device)
    p_z = torch.from_numpy(train.p_z).float().to(device)
    optimisers = Optimisers.build(players, config)
    averaged = copy.deepcopy(players.autoencoder) if config.ema else players.autoencoder
    name = None if lam is None else f"{lam:g}"  # 1 and 1.0 are the same game
    order, draws = torch_generator(seed, "game order", name), torch_generator(seed, "game noise", name)
    phase, raw_spread = "fidelity" if lam is None else "privacy", float(x.std(0).mean())
    watch = train.images[:0] if watch is None else watch
    drawn = {"device": device, "noise": config.noise, "seed": seed}
    history, snapshots, step, collapsed = [], [reconstruct(averaged, watch, **drawn)], 0, None
    for epoch in tqdm(range(epochs), desc=f"{phase}, lambda {lam}", mininterval=10):
        rows = []
        for index in _batches(len(x), config.batch, order):
            rows.append(
                update(players, optimisers, x[index], z[index], p_z, lam=lam, config=config, step=step, generator=draws)
            )
            step += 1
            if config.ema:
                _average(averaged, players.autoencoder, config.ema)
        history.append({"phase": phase, "epoch": epoch, **_mean(rows)})
        snapshots.append(reconstruct(averaged, watch, **drawn))
        collapsed = collapse(history, raw_spread, final=epoch == epochs - 1)
        if collapsed:
            tqdm.write(f"seed {seed}, lambda {lam}: {collapsed}; this run says nothing about privacy")
            break
    return Outcome(averaged, history, np.array(snapshots), collapsed)


@torch.no_grad()
def _average(averaged: nn.Module, current: nn.Module, decay: float) -> None:
    for mean, weight in zip(averaged.parameters(), current.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)


def warm_up(players: Players, train: Dataset, config: GameConfig, seed: int, device: torch.device | str) -> list[dict]:
    """The private classifier alone, on outputs that do not move, before lambda acts (`config.warm_up_epochs`)."""
    z = torch.from_numpy(train.z).to(device)
    seen = to_tensor(reconstruct(players.autoencoder, train.images, device, noise=config.noise, seed=seed), device)
    optimiser = torch.optim.Adam(players.private_classifier.parameters(), lr=1e-3, fused=True)
    order, history = torch_generator(seed, "warm-up order"), []
    for epoch in range(config.warm_up_epochs):
        batches = _batches(len(z), config.batch, order)
        rows = [private_turn(players.private_classifier, optimiser, seen[index], z[index]) for index in batches]
        history.append({"phase": "warm-up", "epoch": epoch, **_mean(rows)})
    return history


def prepare(
    players: Players, train: Dataset, config: GameConfig, seed: int, device: torch.device | str = "cpu"
) -> Outcome:
    """Phases (i) and (ii), which do not know lambda, and the warm-up: the start of every lambda's phase (iii)."""
    history = pretrain_autoencoder(players.autoencoder, to_tensor(train.images, device), config, seed)
    fidelity = play(players, train, lam=None, epochs=config.fidelity_epochs, config=config, seed=seed, device=device)
    players.autoencoder = fidelity.autoencoder
    if not fidelity.collapsed:
        fidelity.history += warm_up(players, train, config, seed, device)
    fidelity.history = history + fidelity.history
    return fidelity


@torch.no_grad()
def reconstruct(
    autoencoder: nn.Module, images: np.ndarray, device: torch.device | str = "cpu", *, noise: float = 0.0, seed: int = 0
) -> np.ndarray:
    """Redraw uint8 (N, H, W) as uint8 (N, H, W): a release is 8-bit too. Noise, if any, is drawn from `seed`."""
    generator = torch_generator(seed, "release noise")
    parts = [redraw(autoencoder, part, noise, generator) for part in to_tensor(images, device).split(1000)]
    return (torch.cat(parts).squeeze(1) * 255).round().byte().cpu().numpy()
