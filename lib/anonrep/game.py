"""The game, in the paper's three phases (Section 2, "Training procedure").

(i)   `pretrain_autoencoder`: the autoencoder alone, on a pixel loss, until its output looks like its input;
(ii)  `play` without lambda: the autoencoder against the discriminator;
(iii) `play` with lambda: the autoencoder against the discriminator and the private classifier.

`update` is one step of all players on one batch. Phases (i) and (ii) do not know lambda: `prepare` runs them once a
seed, and every lambda's phase (iii) begins with their result. With its defaults `GameConfig` is the paper as printed,
with the sign of its GAN mended (`losses.fool_loss`). Departures from the paper are fields of it, off by default, each
with its reason; DEPARTURE marks where they act.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from anonrep import losses
from anonrep.data.dataset import Dataset
from anonrep.networks import Players
from anonrep.utils.checks import check_fields
from anonrep.utils.images import blur, pixel_std, to_bytes, to_float
from anonrep.utils.precision import fast, mixed_precision
from anonrep.utils.seeds import torch_generator

BETAS = (0.5, 0.999)  # Adam's, as GANs use them (Radford et al., 2016)
R1_EVERY = 16  # steps between two R1 penalties (Karras et al., 2020): its double gradient is expensive
DEPARTURES = ("kl", "freeze_decoder", "pixel_anchor", "anchor_blur", "r1", "warm_up_epochs", "ema", "clip", "adam_eps")


@dataclass(frozen=True)
class GameConfig:
    """Every number of the game; then the departures from the paper, off by default; then what is compared with it."""

    hidden: int = 128  # units of the hidden layer
    channels: int = 32  # of the autoencoder's outer convolution; the inner one has twice as many
    adversary_channels: int = 16  # the same for the discriminator and the private classifier
    batch: int = 64
    pixel_epochs: int = 30  # phase (i)
    fidelity_epochs: int = 5  # phase (ii)
    private_epochs: int = 20  # phase (iii)
    pixel_rate: float = 1e-3  # Adam's rate in phase (i)
    rate: float = 2e-4  # Adam's rate of the autoencoder in the game
    adversary_rate: float = 2e-4  # of the discriminator and the private classifier

    kl: float = 0.0  # weight of the KL term: phase (i) trains a variational autoencoder, its decoder a manifold of data
    freeze_decoder: bool = False  # the encoder plays alone: every output stays on that manifold
    pixel_anchor: float = 0.0  # weight of MSE(x, x_hat) in the game: keeps the image the same image
    anchor_blur: int = 1  # width in pixels of the box both images are blurred by first: a stroke may move a little
    r1: float = 0.0  # weight of the penalty on D's gradient at real images (Mescheder et al., 2018): D cannot run away
    warm_up_epochs: int = 0  # of the private classifier before lambda acts: no shock when phase (iii) starts
    ema: float = 0.0  # decay of the averaged autoencoder that is released: rides out the oscillation of the game
    clip: float = 0.0  # largest gradient norm of the autoencoder: no single batch throws it off
    adam_eps: float = 1e-8  # Adam's eps for the autoencoder: larger makes small steps where both losses are flat

    private_term: Literal["surrogate", "reversal", "kl"] = "surrogate"  # eq. 11; or its rivals (losses.PRIVATE_TERMS)
    printed_sign: bool = False  # eq. 12's GAN with the sign it is printed with: the autoencoder helps the discriminator

    def __post_init__(self) -> None:
        check_fields(self, hidden=(1,), channels=(1,), adversary_channels=(1,), batch=(2,), ema=(0, 0.9999))
        if self.anchor_blur % 2 == 0:
            raise ValueError(f"anchor_blur is {self.anchor_blur}; expected an odd number of pixels, 1 for no blur")


@dataclass
class Outcome:
    """What a phase leaves: the autoencoder to release and the record of its training.

    history    a row an epoch: what `update` returns, averaged over the batches
    snapshots  uint8 (epochs + 1, watched images, H, W): the watched images as redrawn before and after each epoch
    collapsed  why the run stopped before its end and says nothing about privacy, or None
    """

    autoencoder: nn.Module
    history: list[dict]
    snapshots: np.ndarray
    collapsed: str | None = None


@dataclass
class Optimisers:
    """One optimiser a player: no player's step ever touches another's weights."""

    autoencoder: torch.optim.Optimizer
    discriminator: torch.optim.Optimizer
    private_classifier: torch.optim.Optimizer

    @classmethod
    def build(cls, players: Players, config: GameConfig) -> "Optimisers":
        adam = {"betas": BETAS, "fused": True}
        return cls(
            torch.optim.Adam(moving(players.autoencoder, config), lr=config.rate, eps=config.adam_eps, **adam),
            torch.optim.Adam(players.discriminator.parameters(), lr=config.adversary_rate, **adam),
            torch.optim.Adam(players.private_classifier.parameters(), lr=config.adversary_rate, **adam),
        )


def moving(autoencoder: nn.Module, config: GameConfig) -> list[nn.Parameter]:
    """The weights that play: all, or with a frozen decoder those that make the hidden layer out of x."""
    if config.freeze_decoder:  # DEPARTURE: every output stays on the decoder's manifold of data
        return [*autoencoder.encoder.parameters(), *autoencoder.mean.parameters()]
    return list(autoencoder.parameters())


def pretrain_autoencoder(autoencoder: nn.Module, x: Tensor, config: GameConfig, seed: int) -> list[dict]:
    """Phase (i): the autoencoder alone on binary cross-entropy a pixel, with `config.kl` as a variational one.

    The paper has "a pixel to pixel metric loss" and names none: cross-entropy is our choice. `x`: (N, 1, H, W), uint8
    or float. Returns a row an epoch: `mse` a pixel between x and x_hat. The autoencoder is changed in place.
    """
    order, noise = torch_generator(seed, "pixel order"), torch_generator(seed, "pixel noise", device=x.device)
    optimiser = torch.optim.Adam(autoencoder.parameters(), lr=config.pixel_rate, fused=True)
    history, steps = [], config.pixel_epochs * max(1, len(x) // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.pixel_rate, total_steps=steps + 1)
    for epoch in tqdm(range(config.pixel_epochs), desc="(i) pixels", mininterval=10):
        rows = []
        for index in batches(len(x), config.batch, order):
            batch = to_float(x[index])
            if config.kl:  # DEPARTURE: the decoder learns to draw an image for any hidden layer near the data's
                with mixed_precision(x.device):
                    mean, log_variance = (part.float() for part in autoencoder.encode_distribution(batch))
                    draw = torch.randn(mean.shape, generator=noise, device=mean.device)
                    x_hat = autoencoder.decode(mean + draw * (log_variance / 2).exp())
                kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
            else:
                x_hat, kl = fast(autoencoder, batch), 0.0
            loss = nn.functional.binary_cross_entropy(x_hat, batch) + config.kl * kl
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            rows.append({"mse": (x_hat - batch).square().mean().item()})
        history.append({"phase": "pixels", "epoch": epoch, **mean_row(rows)})
    return history


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
    """One step of every player on one batch; returns what each saw, in nats (mse: a pixel; gradient: a norm).

    x: (B, 1, H, W), z: (B,), p_z: (|Z|,). With `lam` None the private classifier sits out: phase (ii). `real` and
    `anchor`, (B, 1, H, W), take the place of x where the discriminator is shown real images and in the pixel anchor.
    """
    autoencoder, discriminator, private_classifier = players
    real, anchor = x if real is None else real, x if anchor is None else anchor
    x_hat = fast(autoencoder, x)
    seen = x_hat.detach()  # the adversaries look at the output; their steps must not move the autoencoder

    # The discriminator, eq. 13: it is shown real images (y = 1) and as many reconstructions (y = 0).
    v, y = torch.cat([real, seen]), torch.cat([torch.ones(len(real)), torch.zeros(len(x))]).to(x.device)
    d_loss, penalty = losses.discriminator_loss(fast(discriminator, v), y), 0.0
    if config.r1 and step % R1_EVERY == 0:  # DEPARTURE: or D runs away
        penalty = config.r1 / 2 * R1_EVERY * r1_penalty(discriminator, real)
    optimisers.discriminator.zero_grad()
    (d_loss + penalty).backward()
    optimisers.discriminator.step()
    row = {"discriminator": d_loss}

    # The private classifier, eq. 14.
    if lam is not None:
        row["private_accuracy"] = private_step(private_classifier, optimisers.private_classifier, seen, z)

    # The autoencoder, eq. 12, against adversaries that have just moved. Its own x_hat is still current.
    logits_y = fast(discriminator, x_hat)
    row |= {"fool": losses.fool_loss(logits_y), "mse": (x_hat - x).square().mean()}
    loss = losses.discriminator_loss(logits_y, torch.zeros_like(logits_y)) if config.printed_sign else row["fool"]
    if config.pixel_anchor:  # DEPARTURE: the image stays the same image
        loss = loss + config.pixel_anchor * blur(x_hat - anchor, config.anchor_blur).square().mean()
    if lam is not None:
        logits_z = fast(private_classifier, x_hat)
        row |= {"private": losses.private_loss(logits_z, z), "objective": losses.objective_loss(logits_z, p_z)}
        loss = losses.autoencoder_loss(loss, losses.PRIVATE_TERMS[config.private_term](logits_z, z, p_z), lam)
    weights = moving(autoencoder, config)
    optimisers.autoencoder.zero_grad()
    loss.backward(inputs=weights)  # no gradient is left in the adversaries' weights
    row["gradient"] = nn.utils.clip_grad_norm_(weights, config.clip or math.inf)  # DEPARTURE: no batch throws it off
    optimisers.autoencoder.step()
    row["pixel_std"] = ((seen - seen.mean(0)).square().sum(0) / (len(x) - 1)).sqrt().mean()  # `std`: ten times slower
    return {name: value.item() for name, value in row.items()}


def private_step(classifier: nn.Module, optimiser: torch.optim.Optimizer, seen: Tensor, z: Tensor) -> Tensor:
    """The private classifier's step, eq. 14, on images (B, 1, H, W) it cannot move; its accuracy on them before it."""
    logits_z = fast(classifier, seen)
    optimiser.zero_grad()
    losses.private_loss(logits_z, z).backward()
    optimiser.step()
    return (logits_z.argmax(1) == z).float().mean()


def r1_penalty(discriminator: nn.Module, x: Tensor) -> Tensor:
    """Mean squared norm of D's gradient at real images (Mescheder et al., 2018, eq. 9); x (B, 1, H, W), a scalar."""
    x = x.detach().requires_grad_()  # a leaf of its own: the caller's x wants no gradient
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


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
    """Phase (ii) with `lam` None, phase (iii) with a number: every player steps on every batch.

    watch   uint8 (K, H, W), images to follow through the epochs
    real    uint8 (R, H, W), what the discriminator is shown as real images, in the place of the training images: those
            of one person alone restrict the game to that target (paper, Section 3, the second method on faces)
    anchor  uint8 (N, H, W), what the pixel anchor holds each redrawn training image to, in the place of itself

    The players are changed in place. A run that has left the game is stopped: `collapse` says when and why.
    """
    x, z = to_bytes(train.images, device), torch.from_numpy(train.z).to(device)
    p_z = torch.from_numpy(train.p_z).float().to(device)
    raw_std, watch = pixel_std(train.images if real is None else real), train.images[:0] if watch is None else watch
    real, anchor = (None if images is None else to_bytes(images, device) for images in (real, anchor))
    optimisers = Optimisers.build(players, config)
    released = copy.deepcopy(players.autoencoder) if config.ema else players.autoencoder
    phase, name = ("fidelity", None) if lam is None else ("privacy", f"{lam:g}")  # 1 and 1.0 are the same game
    order, step = torch_generator(seed, "game order", name), 0

    history, snapshots, collapsed = [], [reconstruct(released, watch, device)], None
    for epoch in tqdm(range(epochs), desc=f"{phase}, seed {seed}, lambda {lam}", mininterval=10):
        rows = []
        for index in batches(len(x), config.batch, order):
            drawn = None if real is None else to_float(real[torch.randint(len(real), index.shape, generator=order)])
            held = None if anchor is None else to_float(anchor[index])
            batch = to_float(x[index]), z[index], p_z
            rows.append(update(players, optimisers, *batch, lam=lam, config=config, step=step, real=drawn, anchor=held))
            step += 1
            if config.ema:  # DEPARTURE: an average rides out the oscillation of the game
                with torch.no_grad():
                    mean, current = moving(released, config), moving(players.autoencoder, config)
                    torch._foreach_lerp_(mean, current, 1 - config.ema)
        history.append({"phase": phase, "epoch": epoch, **mean_row(rows)})
        snapshots.append(reconstruct(released, watch, device))
        collapsed = collapse(history, raw_std, final=epoch == epochs - 1)
        if collapsed:
            tqdm.write(f"seed {seed}, lambda {lam}: {collapsed}; this run says nothing about privacy")
            break
    return Outcome(released, history, np.array(snapshots), collapsed)


def prepare(
    players: Players,
    train: Dataset,
    config: GameConfig,
    seed: int,
    device: torch.device | str = "cpu",
    watch: np.ndarray | None = None,
) -> Outcome:
    """Phases (i) and (ii), which do not know lambda, and the warm-up: where phase (iii) begins. `watch`: see `play`."""
    history = pretrain_autoencoder(players.autoencoder, to_bytes(train.images, device), config, seed)
    options = {"config": config, "seed": seed, "device": device, "watch": watch}
    outcome = play(players, train, lam=None, epochs=config.fidelity_epochs, **options)
    players.autoencoder = outcome.autoencoder
    outcome.history = history + outcome.history
    if not outcome.collapsed:
        outcome.history += warm_up(players, train, config, seed, device)
    return outcome


def warm_up(players: Players, train: Dataset, config: GameConfig, seed: int, device: torch.device | str) -> list[dict]:
    """DEPARTURE: the private classifier alone, on outputs that do not move: no shock when phase (iii) starts."""
    z = torch.from_numpy(train.z).to(device)
    seen = to_bytes(reconstruct(players.autoencoder, train.images, device), device)
    optimiser = torch.optim.Adam(players.private_classifier.parameters(), lr=1e-3, fused=True)
    order, history = torch_generator(seed, "warm-up order"), []
    for epoch in range(config.warm_up_epochs):
        accuracies = [
            private_step(players.private_classifier, optimiser, to_float(seen[index]), z[index]).item()
            for index in batches(len(z), config.batch, order)
        ]
        history.append({"phase": "warm-up", "epoch": epoch, "private_accuracy": float(np.mean(accuracies))})
    return history


def collapse(history: list[dict], raw_std: float, patience: int = 3, final: bool = False) -> str | None:
    """Why the last `patience` epochs say that the game is over, or None. The `final` epoch has no time to recover.

    Constant output: the images of a batch differ from one another by less than a tenth of what real ones do
    (`raw_std`, `images.pixel_std` of real images). The discriminator has won: its loss stayed under 0.01 nats, so that
    the autoencoder no longer learns from it. A loss that is no longer finite ends the game at once.
    """
    last, recent = history[-1], history[-patience:]
    when = f"collapsed in epoch {last['epoch']} of the {last['phase']} phase"
    if not all(math.isfinite(value) for key, value in last.items() if key != "phase"):
        return f"{when}: a loss is no longer finite"
    constant = [row["pixel_std"] < raw_std / 10 for row in recent]
    if constant[-1] and (final or (all(constant) and len(constant) == patience)):
        stds = f"pixel standard deviation {last['pixel_std']:.4f}, real images {raw_std:.4f}"
        return f"{when}{', its last' * final}: the output is all but constant ({stds})"
    if len(recent) == patience and all(row.get("discriminator", math.inf) < 0.01 for row in recent):
        return f"{when}: for {patience} epochs the discriminator won (its loss is {last['discriminator']:.4f} nats)"
    return None


def batches(n: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of n images in random order, `size` at a time; what is left over sits this epoch out."""
    order = torch.randperm(n, generator=generator)
    return iter(order[: n - n % size].split(size) if n >= size else order.split(size))


def mean_row(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each column."""
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


@torch.no_grad()
def encode(autoencoder: nn.Module, images: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """The hidden layer of uint8 (N, H, W): float32 (N, hidden)."""
    return torch.cat([autoencoder.encode(to_float(part)) for part in to_bytes(images, device).split(250)])


@torch.no_grad()
def reconstruct(autoencoder: nn.Module, images: np.ndarray, device: torch.device | str = "cpu") -> np.ndarray:
    """Redraw uint8 (N, H, W) as uint8 (N, H, W): a release is 8-bit too."""
    parts = (autoencoder(to_float(part)) for part in to_bytes(images, device).split(250))
    return torch.cat([(part.squeeze(1) * 255).round().byte() for part in parts]).cpu().numpy()
