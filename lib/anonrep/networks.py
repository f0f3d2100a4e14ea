"""The three players of the game: images are (B, 1, H, W) in [0, 1]. Attackers have networks of their own."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from anonrep.utils.convolutions import Flatten, FromOneChannel, ToOneChannel, cropped, halved
from anonrep.utils.seeds import seeded_initialisation


class Autoencoder(nn.Module):
    """x -> hidden layer -> x_hat, the paper's q(x_hat | x) (Section 2).

    Deterministic in the game and in release. `encode` gives the hidden layer (B, hidden). With `variational` the
    encoder also has a log-variance head, for phase (i) as a variational autoencoder (Kingma and Welling, 2014).
    """

    def __init__(self, *, height: int, width: int, hidden: int, channels: int, variational: bool = False) -> None:
        super().__init__()
        self.sizes = [(height, width), (halved(height), halved(width))]
        self.sizes.append((halved(self.sizes[1][0]), halved(self.sizes[1][1])))
        top, features = 2 * channels, 256
        flat = top * self.sizes[2][0] * self.sizes[2][1]
        self.encoder = nn.Sequential(
            FromOneChannel(1, channels, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, top, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            Flatten(),
            nn.Linear(flat, features),
            nn.LeakyReLU(0.2),
        )
        self.mean = nn.Linear(features, hidden)
        self.log_variance = nn.Linear(features, hidden) if variational else None
        self.expand = nn.Sequential(
            nn.Linear(hidden, features), nn.LeakyReLU(0.2), nn.Linear(features, flat), nn.LeakyReLU(0.2)
        )
        self.upper = nn.Sequential(nn.ConvTranspose2d(top, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.lower = ToOneChannel(channels, 1, 4, stride=2, padding=1)

    def encode(self, x: Tensor) -> Tensor:
        """The hidden layer, (B, hidden)."""
        return self.mean(self.encoder(x))

    def encode_distribution(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the hidden layer, each (B, hidden); only where `variational`."""
        features = self.encoder(x)
        return self.mean(features), self.log_variance(features)

    def decode(self, hidden: Tensor) -> Tensor:
        """An image for each row of `hidden`: (B, 1, H, W) in [0, 1]."""
        middle, low = self.sizes[1], self.sizes[2]
        image = self.expand(hidden).unflatten(1, (*low, -1)).permute(0, 3, 1, 2)
        image = cropped(self.upper(image), *middle)
        image = cropped(self.lower(image), *self.sizes[0])
        return image.float().sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class Discriminator(nn.Module):
    """v -> logit that v is a real image: the paper's q(y | v), (B, 1, H, W) -> (B,)."""

    def __init__(self, *, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.layers = _strided(height, width, channels, 1)

    def forward(self, v: Tensor) -> Tensor:
        return self.layers(v).squeeze(1)


class PrivateClassifier(nn.Module):
    """x_hat -> logits of the private label: the paper's q(z | x_hat), (B, 1, H, W) -> (B, |Z|).

    Trained in the game. A fresh network that comes after the game is an attacker, not this.
    """

    def __init__(self, *, height: int, width: int, n_private: int, channels: int) -> None:
        super().__init__()
        self.layers = _strided(height, width, channels, n_private)

    def forward(self, x_hat: Tensor) -> Tensor:
        return self.layers(x_hat)


@dataclass
class Players:
    """The three networks of the game (paper, Fig. 1)."""

    autoencoder: Autoencoder
    discriminator: Discriminator
    private_classifier: PrivateClassifier

    @classmethod
    def build(
        cls,
        *,
        height: int,
        width: int,
        n_private: int,
        hidden: int,
        channels: int,
        adversary_channels: int,
        variational: bool,
        seed: int,
    ) -> "Players":
        """Freshly initialised players, each from a sub-seed of its own."""
        size = {"height": height, "width": width}
        with seeded_initialisation(seed, "autoencoder"):
            autoencoder = Autoencoder(**size, hidden=hidden, channels=channels, variational=variational)
        with seeded_initialisation(seed, "discriminator"):
            discriminator = Discriminator(**size, channels=adversary_channels)
        with seeded_initialisation(seed, "private classifier"):
            private_classifier = PrivateClassifier(**size, n_private=n_private, channels=adversary_channels)
        for player in (autoencoder, discriminator, private_classifier):
            player.to(memory_format=torch.channels_last)  # the same sums, a quarter faster on a CPU
        return cls(autoencoder, discriminator, private_classifier)

    def to(self, device: torch.device) -> "Players":
        """The same players on `device`."""
        return Players(*(player.to(device) for player in self))

    def __iter__(self) -> Iterator[nn.Module]:
        return iter((self.autoencoder, self.discriminator, self.private_classifier))


def _strided(height: int, width: int, channels: int, outputs: int) -> nn.Sequential:
    """What both adversaries are: (B, 1, H, W) -> (B, outputs)."""
    flat = 2 * channels * halved(halved(height)) * halved(halved(width))
    return nn.Sequential(
        FromOneChannel(1, channels, 3, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        Flatten(),
        nn.Linear(flat, 256),
        nn.LeakyReLU(0.2),
        nn.Linear(256, outputs),
    )
