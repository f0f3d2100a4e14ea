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
from torch.optim import Adam, Optimizer
from tqdm import tqdm

from anonrep import losses
from anonrep.data.dataset import Dataset
from anonrep.game import BETAS, Outcome, batches, collapse, mean_row, private_step, reconstruct
from anonrep.networks import Players
from anonrep.utils.images import pixel_std, to_bytes, to_float
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
    r"""The private classifier's log-likelihood: the gradient of its own loss arrives reversed at the autoencoder.

    .. math:: \frac1n \sum_i \log q(z_i \mid \hat x_i)

    Ganin and Lempitsky (2015), eq. 1, the paper's reference [9]. Their layer turns the sign around within one joint
    step; here the two players step in turn, as in `game.update`. `logits_z`: (B, |Z|), `z`: integers (B,); `p_z` is
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


def update(
    players: Players,
    optimisers: tuple[Optimizer, Optimizer],
    x: Tensor,
    z: Tensor,
    p_z: Tensor,
    *,
    objective: str,
    lam: float,
    config: AdversaryConfig,
) -> dict[str, float]:
    """One step of the private classifier, then of the autoencoder, on one batch; returns what each saw, in nats.

    x: (B, 1, H, W), z: (B,), p_z: (|Z|,). `optimisers`: the autoencoder's and the private classifier's. `mse` is a
    pixel's, `gradient` a norm.
    """
    autoencoder, classifier = players.autoencoder, players.private_classifier
    x_hat = fast(autoencoder, x)
    seen = x_hat.detach()  # the classifier looks at the output; its step must not move the autoencoder
    row = {"private_accuracy": private_step(classifier, optimisers[1], seen, z)}

    # The autoencoder. Its x_hat is still current: only the classifier has moved since.
    logits_z = fast(classifier, x_hat)
    # PyTorch refuses the cross-entropy of what is no number any more; `collapse` is to name it instead.
    pixels = nn.functional.binary_cross_entropy(x_hat, x) if seen.isfinite().all() else x_hat.mean()
    loss = config.pixel_weight * pixels + lam * OBJECTIVES[objective](logits_z, z, p_z)
    weights = list(autoencoder.parameters())
    optimisers[0].zero_grad()
    loss.backward(inputs=weights)  # no gradient is left in the classifier's weights
    row["gradient"] = nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    optimisers[0].step()
    row |= {"pixels": pixels, "mse": (seen - x).square().mean(), "pixel_std": seen.std(0).mean()}
    row |= {"private": losses.private_loss(logits_z, z), "objective": losses.objective_loss(logits_z, p_z)}
    return {name: value.item() for name, value in row.items()}


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
    """One of OBJECTIVES from prepared players (`game.prepare`) on; the decoder plays too.

    `watch`: uint8 (K, H, W), images to follow through the epochs. Both players are changed in place. A run that has
    collapsed, as `game.collapse` says, is stopped.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"no objective {objective!r}; expected one of {', '.join(OBJECTIVES)}")
    if not 0 <= lam < math.inf:
        raise ValueError(f"lambda is {lam}; expected a number from 0")
    x, z = to_bytes(train.images, device), torch.from_numpy(train.z).to(device)
    p_z = torch.from_numpy(train.p_z).float().to(device)
    raw_std, watch = pixel_std(train.images), train.images[:0] if watch is None else watch
    optimisers = (
        Adam(players.autoencoder.parameters(), lr=config.rate, betas=BETAS, fused=True),
        Adam(players.private_classifier.parameters(), lr=config.adversary_rate, betas=BETAS, fused=True),
    )
    order = torch_generator(seed, "adversary order", f"{lam:g}")  # the same for all objectives

    history, snapshots, collapsed = [], [reconstruct(players.autoencoder, watch, device)], None
    for epoch in tqdm(range(config.epochs), desc=f"{objective}, seed {seed}, lambda {lam}", mininterval=10):
        rows = [
            update(players, optimisers, to_float(x[index]), z[index], p_z, objective=objective, lam=lam, config=config)
            for index in batches(len(x), config.batch, order)
        ]
        history.append({"phase": objective, "epoch": epoch, **mean_row(rows)})
        snapshots.append(reconstruct(players.autoencoder, watch, device))
        collapsed = collapse(history, raw_std, final=epoch == config.epochs - 1)
        if collapsed:
            tqdm.write(f"seed {seed}, lambda {lam}: {collapsed}; this run says nothing about privacy")
            break
    return Outcome(players.autoencoder, history, np.array(snapshots), collapsed)
