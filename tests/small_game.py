"""A data set and players so small that a game takes a second."""

import numpy as np
import torch
from torch import Tensor, nn

from anonrep.data.dataset import Dataset
from anonrep.game import GameConfig
from anonrep.networks import Players
from anonrep.utils.images import to_tensor

SIZE, PEOPLE = 8, 3
NAMES = ("autoencoder", "discriminator", "private_classifier")


def tiny(n: int = 24) -> Dataset:
    """Bright squares on noise whose column is the private label."""
    draw = np.random.default_rng(0)
    images, z = draw.integers(0, 60, (n, SIZE, SIZE), np.uint8), np.arange(n) % PEOPLE
    for image, person, row in zip(images, z, draw.integers(0, SIZE - 2, n), strict=True):
        image[row : row + 2, 2 * person : 2 * person + 2] = 255
    return Dataset(images, z, {}, np.zeros(n, np.uint8), {"source": "synthetic", "private": "writer"})


def batch_of(data: Dataset) -> tuple[Tensor, Tensor, Tensor]:
    """x, z and p_z."""
    return to_tensor(data.images), torch.from_numpy(data.z), torch.from_numpy(data.p_z).float()


def fresh(config: GameConfig, seed: int = 0) -> Players:
    """Untrained players for `tiny`."""
    sizes = {name: getattr(config, name) for name in ("hidden", "channels", "adversary_channels")}
    return Players.build(height=SIZE, width=SIZE, n_private=PEOPLE, **sizes, variational=config.kl > 0, seed=seed)


def weights(*modules: nn.Module) -> list[Tensor]:
    """A copy of all weights."""
    return [value.detach().clone() for module in modules for value in module.state_dict().values()]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    """Bit by bit."""
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def moved(players: Players, before: dict[str, list[Tensor]]) -> set[str]:
    """The players whose weights are no longer those of `before`."""
    return {name for name in NAMES if not same(before[name], weights(getattr(players, name)))}
