"""Phase (i) of the training procedure (Section 2), and images into and out of an autoencoder."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from anonrep.game import GameConfig
from anonrep.utils.images import to_bytes, to_float
from anonrep.utils.precision import fast, mixed_precision
from anonrep.utils.seeds import torch_generator


def batches(n: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of n images in random order, `size` at a time; what is left over sits this epoch out."""
    order = torch.randperm(n, generator=generator)
    return iter(order[: n - n % size].split(size) if n >= size else order.split(size))


def mean_row(rows: list[dict[str, float | Tensor]]) -> dict[str, float]:
    """The mean of each column of numbers, on whatever device they are."""
    return {key: float(np.mean([float(row[key]) for row in rows])) for key in rows[0]}


def pretrain_autoencoder(autoencoder: nn.Module, x: Tensor, config: GameConfig, seed: int) -> list[dict]:
    """Phase (i): the autoencoder alone on binary cross-entropy a pixel, with `config.kl` as a variational one.

    `x`: (N, 1, H, W), uint8 or float. Returns a row an epoch: `mse` a pixel between x and x_hat. The autoencoder is
    changed in place.
    """
    order, noise = torch_generator(seed, "pixel order"), torch_generator(seed, "pixel noise", device=x.device)
    optimiser = torch.optim.Adam(autoencoder.parameters(), lr=config.pixel_rate, fused=True)
    history, steps = [], config.pixel_epochs * max(1, len(x) // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.pixel_rate, total_steps=steps + 1)
    for epoch in tqdm(range(config.pixel_epochs), desc="(i) pixels", mininterval=10):
        rows = []
        for index in batches(len(x), config.batch, order):
            batch = to_float(x[index])
            if config.kl:
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


@torch.no_grad()
def encode(autoencoder: nn.Module, images: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """The hidden layer of uint8 (N, H, W): float32 (N, hidden)."""
    return torch.cat([autoencoder.encode(to_float(part)) for part in to_bytes(images, device).split(250)])


@torch.no_grad()
def reconstruct(autoencoder: nn.Module, images: np.ndarray, device: torch.device | str = "cpu") -> np.ndarray:
    """Redraw uint8 (N, H, W) as uint8 (N, H, W): a release is 8-bit too."""
    parts = (autoencoder(to_float(part)) for part in to_bytes(images, device).split(250))
    return torch.cat([(part.squeeze(1) * 255).round().byte() for part in parts]).cpu().numpy()
