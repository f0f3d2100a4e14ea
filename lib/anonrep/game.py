"""The numbers of a game, the departures from the paper among them, and when a game is over."""

import math
from dataclasses import dataclass, fields

# The fields of `GameConfig` that are no part of the paper's game.
DEPARTURES = (
    "kl",
    "freeze_decoder",
    "pixel_anchor",
    "anchor_blur",
    "r1",
    "warm_up_epochs",
    "ema",
    "clip",
    "epsilon",
)
LIMITS = {"hidden": (1, math.inf), "batch": (2, math.inf), "ema": (0, 0.9999)}


@dataclass(frozen=True)
class GameConfig:
    """Every number of the game. The second block holds the departures from the paper, each off by default."""

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
    epsilon: float = 1e-8  # Adam's, of the autoencoder: larger slows its steps where both losses are flat

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise TypeError(f"{field.name} is {value!r}; expected a {kind.__name__}")
            least, most = LIMITS.get(field.name, (0, math.inf))
            if not least <= value <= most:
                raise ValueError(f"{field.name} is {value}; expected {least} to {most}")
        if self.anchor_blur % 2 == 0:
            raise ValueError(f"anchor_blur is {self.anchor_blur}; expected an odd number of pixels, 1 for no blur")


def collapse(history: list[dict], raw_spread: float, patience: int = 3, final: bool = False) -> str | None:
    """Why the last `patience` epochs say that the game is over, or None. The `final` epoch has no time to recover.

    Constant output: the images of a batch differ from one another by less than a tenth of what real ones do
    (`raw_spread`, the mean over pixels of the standard deviation over images). The discriminator has won: its loss
    stayed under 0.01 nats, so that nothing teaches the autoencoder what real images look like. A loss that is no
    longer finite ends the game at once.
    """
    last, recent = history[-1], history[-patience:]
    when = f"collapsed in epoch {last['epoch']} of the {last['phase']} phase"
    if not all(math.isfinite(value) for key, value in last.items() if key != "phase"):
        return f"{when}: a loss is no longer finite"
    if len(recent) == patience and all(row["spread"] < raw_spread / 10 for row in recent):
        return (
            f"{when}: for {patience} epochs the output was all but constant "
            f"(spread {last['spread']:.4f}, real images {raw_spread:.4f})"
        )
    if final and last["spread"] < raw_spread / 10:
        return f"{when}, its last: the output is all but constant (spread {last['spread']:.4f})"
    if len(recent) == patience and all(row["discriminator"] < 0.01 for row in recent):
        return f"{when}: for {patience} epochs the discriminator won (its loss is {last['discriminator']:.4f} nats)"
    return None
