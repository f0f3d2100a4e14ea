"""The same game as a competent person writes it from PyTorch's tutorials: what `training` is compared with.

A DataLoader that converts image by image, the default memory layout, float32, Adam with its defaults, and each player
begins its turn anew: it runs the autoencoder, and whoever it plays against, itself. Losses, phases, departures and
numbers are those of `game.GameConfig`.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from anonrep.data.dataset import Dataset
from anonrep.game import BETAS, R1_EVERY, GameConfig
from anonrep.networks import Players
from anonrep.utils.convolutions import FromOneChannel, ToOneChannel


def players_of(data: Dataset, config: GameConfig, seed: int = 0) -> Players:
    """The players that `stages.game.prepare_seeds` would build."""
    sizes = {name: getattr(config, name) for name in ("hidden", "channels", "adversary_channels")}
    height, width = data.images.shape[1:]
    shape = {"height": height, "width": width, "n_private": data.n_private}
    return Players.build(**shape, **sizes, variational=config.kl > 0, seed=seed)


def plain(players: Players) -> Players:
    """The same networks and weights in PyTorch's default memory layout, and with its own convolutions.

    `convolutions.Flatten` stays, at no measurable cost: its order of values is part of what the weights mean.
    """
    players = copy.deepcopy(players)
    for player in players:
        player.to(memory_format=torch.contiguous_format)
        for layer in player.modules():
            if isinstance(layer, (FromOneChannel, ToOneChannel)):
                layer.__class__ = type(layer).__base__  # what it is a faster form of
    return players


class Images(TorchDataset):
    """uint8 images with their private labels, converted one by one as they are asked for."""

    def __init__(self, data: Dataset) -> None:
        self.images, self.z = data.images, data.z

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self.images[index]).unsqueeze(0).float() / 255, int(self.z[index])


def loader(data: Dataset, config: GameConfig, seed: int) -> DataLoader:
    """Shuffled batches; what is left over sits the epoch out."""
    order = torch.Generator().manual_seed(seed)
    return DataLoader(Images(data), config.batch, shuffle=True, drop_last=True, generator=order)


def pretrain(autoencoder: nn.Module, data: Dataset, config: GameConfig, seed: int) -> list[float]:
    """Phase (i); the mean squared error of each epoch."""
    batches, history = loader(data, config, seed), []
    optimiser = torch.optim.Adam(autoencoder.parameters(), lr=config.pixel_rate)
    steps = max(1, config.pixel_epochs * len(batches))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.pixel_rate, total_steps=steps + 1)
    for _ in range(config.pixel_epochs):
        errors = []
        for x, _ in batches:
            if config.kl:
                mean, log_variance = autoencoder.encode_distribution(x)
                x_hat = autoencoder.decode(mean + torch.randn_like(mean) * torch.exp(log_variance / 2))
                kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
                loss = F.binary_cross_entropy(x_hat, x) + config.kl * kl
            else:
                x_hat = autoencoder(x)
                loss = F.binary_cross_entropy(x_hat, x)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            errors.append(F.mse_loss(x_hat, x).item())
        history.append(float(np.mean(errors)))
    return history


class Game:
    """Phases (ii) and (iii): three optimisers and one step. The players are changed in place."""

    def __init__(self, players: Players, data: Dataset, config: GameConfig) -> None:
        self.autoencoder, self.discriminator, self.classifier = players
        self.config, self.p_z, self.steps = config, torch.tensor(data.p_z, dtype=torch.float32), 0
        if config.freeze_decoder:
            for part in (self.autoencoder.expand, self.autoencoder.upper, self.autoencoder.lower):
                part.requires_grad_(False)
        self.moved = [
            weight
            for name, weight in self.autoencoder.named_parameters()
            if weight.requires_grad and "log_variance" not in name
        ]
        self.averaged = copy.deepcopy(self.autoencoder)
        self.optimiser = torch.optim.Adam(self.moved, lr=config.rate, betas=BETAS, eps=config.adam_eps)
        adversaries = (self.discriminator, self.classifier)
        self.optimiser_d, self.optimiser_c = (
            torch.optim.Adam(player.parameters(), lr=config.adversary_rate, betas=BETAS) for player in adversaries
        )

    def step(self, x: Tensor, z: Tensor, lam: float | None) -> dict[str, float]:
        """One turn of every player; their losses in nats, and the squared error a pixel."""
        real, fake = torch.ones(len(x)), torch.zeros(len(x))

        # the discriminator
        with torch.no_grad():
            x_hat = self.autoencoder(x)
        logits_real, logits_fake = self.discriminator(x), self.discriminator(x_hat)
        d_loss = F.binary_cross_entropy_with_logits(torch.cat([logits_real, logits_fake]), torch.cat([real, fake]))
        loss = d_loss
        if self.config.r1 and self.steps % R1_EVERY == 0:
            x.requires_grad_()
            (gradient,) = torch.autograd.grad(self.discriminator(x).sum(), x, create_graph=True)
            loss = loss + self.config.r1 / 2 * R1_EVERY * gradient.square().sum(dim=(1, 2, 3)).mean()
            x = x.detach()
        self.optimiser_d.zero_grad()
        loss.backward()
        self.optimiser_d.step()
        seen = {"discriminator": d_loss.item()}

        # the private classifier
        if lam is not None:
            with torch.no_grad():
                x_hat = self.autoencoder(x)
            c_loss = F.cross_entropy(self.classifier(x_hat), z)
            self.optimiser_c.zero_grad()
            c_loss.backward()
            self.optimiser_c.step()
            seen["private"] = c_loss.item()

        # the autoencoder
        x_hat = self.autoencoder(x)
        loss = fool = F.binary_cross_entropy_with_logits(self.discriminator(x_hat), real)
        if self.config.pixel_anchor:
            width = self.config.anchor_blur
            far = F.avg_pool2d(x_hat - x, width, stride=1, padding=width // 2)
            loss = loss + self.config.pixel_anchor * far.square().mean()
        if lam is not None:
            log_q = F.log_softmax(self.classifier(x_hat), dim=1)
            loss = loss + lam * (-(log_q @ self.p_z).mean() - F.nll_loss(log_q, z)).abs()
        self.optimiser.zero_grad()
        loss.backward()
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.moved, self.config.clip)
        self.optimiser.step()
        if self.config.ema:
            with torch.no_grad():
                for mean, weight in zip(self.averaged.parameters(), self.autoencoder.parameters(), strict=True):
                    mean.mul_(self.config.ema).add_(weight, alpha=1 - self.config.ema)
        self.steps += 1
        return seen | {"fool": fool.item(), "mse": F.mse_loss(x_hat, x).item()}


def play(
    players: Players, data: Dataset, *, lam: float | None, epochs: int, config: GameConfig, seed: int
) -> tuple[nn.Module, list[dict]]:
    """Phase (ii) with `lam` None, phase (iii) with a number; the autoencoder to release and a row an epoch."""
    game, batches, history = Game(players, data, config), loader(data, config, seed), []
    for _ in range(epochs):
        rows = [game.step(x, z, lam) for x, z in batches]
        history.append({key: float(np.mean([row[key] for row in rows])) for key in rows[0]})
    return game.averaged if config.ema else game.autoencoder, history


def train(players: Players, data: Dataset, lam: float, config: GameConfig, seed: int) -> tuple[nn.Module, list[dict]]:
    """All three phases at one lambda from nothing; what `play` gives."""
    pretrain(players.autoencoder, data, config, seed)
    players.autoencoder, _ = play(players, data, lam=None, epochs=config.fidelity_epochs, config=config, seed=seed)
    warm_up(players, data, config, seed)
    return play(players, data, lam=lam, epochs=config.private_epochs, config=config, seed=seed)


def warm_up(players: Players, data: Dataset, config: GameConfig, seed: int) -> None:
    """The private classifier alone, before lambda acts."""
    optimiser, batches = torch.optim.Adam(players.private_classifier.parameters(), lr=1e-3), loader(data, config, seed)
    for _ in range(config.warm_up_epochs):
        for x, z in batches:
            with torch.no_grad():
                x_hat = players.autoencoder(x)
            loss = F.cross_entropy(players.private_classifier(x_hat), z)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
