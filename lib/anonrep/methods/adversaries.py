"""Two other games on the same players, without a discriminator: what the paper's objective is compared with.

The autoencoder minimises binary cross-entropy a pixel, as in phase (i), and lambda times a term of the private
classifier's logits; the private classifier minimises eq. 14 as ever. The two games differ in that term alone, one of
`OBJECTIVES`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn

from anonrep import losses
from anonrep.data.dataset import Dataset
from anonrep.game import collapse
from anonrep.networks import Players
from anonrep.pretraining import batches
from anonrep.training import Outcome, rounds
from anonrep.turns import BETAS, private_turn
from anonrep.utils.images import spread, to_bytes, to_float
from anonrep.utils.precision import fast
from anonrep.utils.seeds import torch_generator


@dataclass(frozen=True)
class AdversaryConfig:
    """Every number of such a game."""

    batch: int = 64
    epochs: int = 8
    rate: float = 1e-3  # Adam's rate of the autoencoder
    adversary_rate: float = 1e-3  # of the private classifier
    pixel_weight: float = 10.0  # of the binary cross-entropy a pixel: at lambda 1 both terms are felt

    def __post_init__(self) -> None:
        for field in fields(self):
            kind, value = type(field.default), getattr(self, field.name)
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise TypeError(f"{field.name} is {value!r}; expected a {kind.__name__}")
            least = {"batch": 2, "epochs": 1}.get(field.name, 0)
            if not least <= value < math.inf:
                raise ValueError(f"{field.name} is {value}; expected a {'whole ' * (kind is int)}number from {least}")


def gradient_reversal(logits_z: Tensor, z: Tensor, p_z: Tensor) -> Tensor:
    r"""Minus the private classifier's loss, so that its gradient arrives reversed at the autoencoder.

    .. math:: \frac1n \sum_i \log q(z_i \mid \hat x_i)

    Ganin and Lempitsky (2015), eq. 1, the paper's reference [9]. Their layer turns the sign around within one joint
    step; here the two players step in turn, as in `turns.update`. `logits_z`: (B, |Z|), `z`: integers (B,); `p_z` is
    not used. Nats, mean over B. At the marginal -H(Z); at perfect prediction 0; without bound below where the
    classifier is wrong and sure of it. The autoencoder minimises it.
    """
    return -losses.private_loss(logits_z, z)


def maximum_entropy(logits_z: Tensor, z: Tensor, p_z: Tensor) -> Tensor:
    r"""The divergence of the private classifier's posterior from the marginal, image by image.

    .. math:: \frac1n \sum_i \sum_k q(k \mid \hat x_i) \log \frac{q(k \mid \hat x_i)}{\hat p_Z(k)}

    Roy and Boddeti (2019), who take the uniform distribution for the marginal: log |Z| less the posterior's entropy.
    (The other direction, of the marginal from the posterior, is L_obj of eq. 9 less H(Z).) `logits_z`: (B, |Z|), `p_z`:
    (|Z|,); `z` is not used: a sure and wrong classifier is no better than one that is right. Nats, mean over B. At the
    marginal 0, its minimum; at confident prediction about log |Z|. The autoencoder minimises it.
    """
    log_q = logits_z.log_softmax(1)
    return (log_q.exp() * (log_q - p_z.clamp_min(1e-12).log())).sum(1).mean()


OBJECTIVES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "gradient_reversal": gradient_reversal,
    "maximum_entropy": maximum_entropy,
}


@dataclass
class Optimisers:
    """One optimiser a player, as in `turns`: no player's step ever touches another's weights."""

    autoencoder: torch.optim.Optimizer
    private_classifier: torch.optim.Optimizer

    @classmethod
    def build(cls, players: Players, config: AdversaryConfig) -> "Optimisers":
        options = {"betas": BETAS, "fused": True}
        return cls(
            torch.optim.Adam(players.autoencoder.parameters(), lr=config.rate, **options),
            torch.optim.Adam(players.private_classifier.parameters(), lr=config.adversary_rate, **options),
        )


def update(
    players: Players,
    optimisers: Optimisers,
    x: Tensor,
    z: Tensor,
    p_z: Tensor,
    *,
    objective: str,
    lam: float,
    config: AdversaryConfig,
) -> dict[str, float]:
    """One turn on one batch: the private classifier, then the autoencoder; returns what each saw, in nats.

    x: (B, 1, H, W), z: (B,), p_z: (|Z|,). `mse` is a pixel's, `gradient` a norm.
    """
    autoencoder, classifier = players.autoencoder, players.private_classifier
    x_hat = fast(autoencoder, x)
    seen = x_hat.detach()  # the classifier looks at the output; its step must not move the autoencoder
    turn = private_turn(classifier, optimisers.private_classifier, seen, z)

    # The autoencoder's turn. Its x_hat is still current: only the classifier has moved since.
    logits_z = fast(classifier, x_hat)
    # PyTorch refuses the cross-entropy of what is no number any more; `collapse` is to name it instead.
    pixels = nn.functional.binary_cross_entropy(x_hat, x) if seen.isfinite().all() else x_hat.mean()
    loss = config.pixel_weight * pixels + lam * OBJECTIVES[objective](logits_z, z, p_z)
    moved = list(autoencoder.parameters())
    optimisers.autoencoder.zero_grad()
    loss.backward(inputs=moved)  # the classifier's weights gather no gradient
    turn["gradient"] = nn.utils.get_total_norm([weight.grad for weight in moved if weight.grad is not None])
    optimisers.autoencoder.step()
    turn |= {"pixels": pixels, "mse": (seen - x).square().mean(), "spread": seen.std(0).mean()}
    turn |= {"private": losses.private_loss(logits_z, z), "objective": losses.objective_loss(logits_z, p_z)}
    return {name: float(value.detach()) for name, value in turn.items()}


def play_against(
    players: Players,
    train: Dataset,
    objective: str,
    lam: float,
    config: AdversaryConfig,
    seed: int,
    device: torch.device | str = "cpu",
    watch: np.ndarray | None = None,
) -> Outcome:
    """One of OBJECTIVES from prepared players (`training.prepare`) on; the decoder plays too.

    `watch`: uint8 (K, H, W), images to follow through the epochs. Both players are changed in place. A run that has
    collapsed, as `game.collapse` says, is stopped.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"no objective {objective!r}; expected one of {', '.join(OBJECTIVES)}")
    if not 0 <= lam < math.inf:
        raise ValueError(f"lambda is {lam}; expected a number from 0")
    x, z = to_bytes(train.images, device), torch.from_numpy(train.z).to(device)
    p_z = torch.from_numpy(train.p_z).float().to(device)
    optimisers = Optimisers.build(players, config)
    order = torch_generator(seed, "adversary order", f"{lam:g}")  # the same for all objectives
    options = {"objective": objective, "lam": lam, "config": config}
    return rounds(
        lambda index: update(players, optimisers, to_float(x[index]), z[index], p_z, **options),
        lambda: batches(len(x), config.batch, order),
        players.autoencoder,
        epochs=config.epochs,
        phase=objective,
        name=f"seed {seed}, lambda {lam}",
        raw_spread=spread(train.images),
        watch=train.images[:0] if watch is None else watch,
        device=device,
        over=_collapse,
    )


def _collapse(history: list[dict], raw_spread: float, *, final: bool) -> str | None:
    """`game.collapse` where nobody plays the discriminator: it never wins, its loss is that of chance."""
    return collapse([{**row, "discriminator": math.log(2)} for row in history], raw_spread, final=final)
