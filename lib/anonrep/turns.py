"""One turn of the game: every player's step on one batch, each with an optimiser of its own.

`training` takes turns through the phases.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from anonrep import losses
from anonrep.game import GameConfig
from anonrep.networks import Players
from anonrep.utils.images import blur
from anonrep.utils.precision import fast

R1_EVERY = 16  # steps between two R1 penalties, as Karras et al. (2020): its double gradient is dear
BETAS = (0.5, 0.999)  # Adam's, as GANs use them (Radford et al., 2016)


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
        options = {"betas": BETAS, "fused": True}
        return cls(
            torch.optim.Adam(
                moved_parameters(players.autoencoder, config), lr=config.rate, eps=config.epsilon, **options
            ),
            torch.optim.Adam(players.discriminator.parameters(), lr=config.adversary_rate, **options),
            torch.optim.Adam(players.private_classifier.parameters(), lr=config.adversary_rate, **options),
        )


def moved_parameters(autoencoder: nn.Module, config: GameConfig) -> list[nn.Parameter]:
    """The weights that play: all, or those that make the hidden layer out of x."""
    if config.freeze_decoder:
        return [*autoencoder.encoder.parameters(), *autoencoder.mean.parameters()]
    return list(autoencoder.parameters())


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
