r"""The finite release: eq. (5) of the paper with its own information term, no adversary and no surrogate.

.. math:: \min \; \text{fidelity} + \lambda\, I(Z; \hat X)

The paper uses a surrogate because the posterior of z given an image cannot be computed. It can be if a release shows
one of K codewords: the posterior is then a table, and I(Z; K) a sum over that table (`losses.mutual_information`).
The released image is a function of the code, so that I(Z; X_hat) <= I(Z; K) (data processing). Estimated from n images,
I(Z; K) is too large by about (K-1)(|Z|-1) / (2n) nats: the minimised quantity errs on the safe side. What is *claimed*
of a release comes from `evaluation.certificate`, on other images.

Fidelity is ours, in the place of the paper's discriminator. It says what a code should keep, without a label other
than z; on faces, which are compared in the coordinates
of `methods.content`, clip numbers tell part of the expression. It is the sum of three terms (`objective`):

distortion    of the image, in the whitened hidden layer of the autoencoder of phases (i) and (ii);
consistency   an image and a neighbour *by another person*, each moved a little, should have the same code: what is
              similar in the images of two people is what they share. This term keeps "everything but z";
code_usage    log K - H(K): a code that no image has keeps nothing.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from anonrep.data.dataset import Dataset
from anonrep.losses import entropy, mutual_information
from anonrep.methods.augmentations import View, training_views
from anonrep.methods.code_encoder import CodeEncoder
from anonrep.networks import Autoencoder
from anonrep.utils.checks import check_fields
from anonrep.utils.precision import fast
from anonrep.utils.seeds import seeded_initialisation, torch_generator

RISE = 0.1  # lambda is 0 in this share of the steps, and then grows


@dataclass(frozen=True)
class FiniteConfig:
    """Every number of the finite release."""

    codes: int = 20  # K at the start; a code that no training image has at the end is dropped
    units: int = 128  # of the encoder's two hidden layers
    steps: int = 450
    batch: int = 1000  # large: the table has K |Z| cells to fill
    rate: float = 4e-3  # the top of Adam's one-cycle schedule
    temperature: float = 0.5  # of the soft codes at the end; 1 at the start. The released codes are hard
    restarts: int = 4  # the one with the least objective on validation images is kept
    neighbours: int = 5  # by other people, for each image; one of them is drawn at each step
    blur: int = 5  # pixels, the width of the box by which images are blurred before they are compared
    jitter: float = 0.15  # how far copies are moved (images.jitter)
    copies: int = 10  # moved copies of each image to draw from

    def __post_init__(self) -> None:
        ones = dict.fromkeys(("units", "steps", "restarts", "neighbours", "blur", "copies"), (1,))
        tiny = dict.fromkeys(("rate", "temperature"), (1e-6,))
        check_fields(self, codes=(2,), batch=(2,), **ones, **tiny)
        if self.blur % 2 == 0:
            raise ValueError(f"blur is {self.blur}; expected an odd number of pixels, 1 for no blur")


def objective(p: Tensor, q: Tensor, hidden: Tensor, one_hot: Tensor, lam: float) -> tuple[Tensor, dict[str, float]]:
    r"""Eq. (5) for soft codes, and its terms by name.

    .. math:: \frac1n \sum_{ik} p_{ik} |h_i - c_k|^2 - \frac1n \sum_i \log \sum_k p_{ik} q_{ik} + \log K - H(K)
              + \lambda I(Z; K)

    `p`: (B, K), the codes' probabilities for images with the whitened hidden layer `hidden` (B, d) and the private
    label `one_hot` (B, |Z|); `q`: (B, K), for their neighbours. c_k, the mean of h weighted by p, is the centre
    with the least distortion. All terms are means over B: the distortion is a share of the variance, the others are
    nats.
    """
    centres = (p.T @ hidden) / p.sum(0).clamp_min(1e-3)[:, None]
    distances = hidden.square().sum(1, keepdim=True) - 2 * hidden @ centres.T + centres.square().sum(1)
    share = (p + q).mean(0) / 2
    terms = {
        "distortion": (p * distances).sum(1).mean(),
        "consistency": -(p * q).sum(1).clamp_min(1e-6).log().mean(),
        "code_usage": math.log(p.shape[1]) - entropy(share),
        "information": mutual_information(one_hot.T @ p / len(p)),
    }
    fidelity = terms["distortion"] + terms["consistency"] + terms["code_usage"]
    return fidelity + lam * terms["information"], {name: float(value.detach()) for name, value in terms.items()}


def prepare(autoencoder: Autoencoder, data: Dataset, config: FiniteConfig, seed: int) -> dict[str, View]:
    """What an encoder at any lambda and number of codes is trained on (`augmentations.training_views`)."""
    how = {"copies": config.copies, "strength": config.jitter, "neighbours": config.neighbours, "width": config.blur}
    return training_views(autoencoder, data, **how, generator=torch_generator(seed, "finite views"))


def _soft_codes(encoder: CodeEncoder, view: View, index: Tensor, temperature: float, generator: torch.Generator):
    """p and q of `objective` for the images at `index` and a neighbour of each, both from moved copies."""
    n, sizes = len(index), (len(view.copies), len(view.copies), view.neighbours.shape[1])
    one, two, which = (torch.randint(size, (n,), generator=generator).to(index.device) for size in sizes)
    features = view.copies[one, index], view.copies[two, view.neighbours[index, which]]
    return [(fast(encoder.head, part) / temperature).softmax(1) for part in features]


def train(encoder: CodeEncoder, view: View, lam: float, config: FiniteConfig, generator: torch.Generator) -> list[dict]:
    """Minimise `objective` over the encoder's head, in place; return a row every ten steps.

    Lambda grows from 0 to `lam` while the temperature falls: codes form first and then merge, one by one. With `lam`
    from the start they never form.
    """
    optimiser = torch.optim.Adam(encoder.head.parameters(), lr=config.rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.rate, total_steps=config.steps + 1, pct_start=0.1)
    history, n = [], len(view.hidden)
    encoder.train()
    for step in range(config.steps):
        done = step / config.steps
        price = lam * max(0.0, (done - RISE) / (1 - RISE))
        index = torch.randperm(n, generator=generator)[: config.batch].to(view.hidden.device)
        p, q = _soft_codes(encoder, view, index, config.temperature**done, generator)
        loss, terms = objective(p, q, view.hidden[index], view.one_hot[index], price)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 10 == 0:
            history.append({"step": step, "price": price, **terms})
    encoder.eval()
    return history


@torch.no_grad()
def validate(encoder: CodeEncoder, view: View, lam: float, config: FiniteConfig, generator: torch.Generator) -> dict:
    """The objective at `lam`, and its terms, on images that the encoder was not trained on."""
    index = torch.arange(len(view.hidden), device=view.hidden.device)
    p, q = _soft_codes(encoder, view, index, config.temperature, generator)
    loss, terms = objective(p, q, view.hidden, view.one_hot, lam)
    return {"objective": float(loss), **terms}


def learn(
    features: nn.Module, seen: dict[str, View], lam: float, config: FiniteConfig, seed: int
) -> tuple[CodeEncoder, list[dict], list[dict]]:
    """Train an encoder for a finite release at one lambda: the best of `config.restarts` on validation images.

    `features`: the module that made the copies in `seen`. Returns the encoder, the history of all restarts (`train`),
    and a row for each restart (`validate`; `chosen` marks the encoder's).
    """
    found, history, copies = [], [], seen["train"].copies
    for restart in tqdm(range(config.restarts), desc=f"lambda {lam:g}, {config.codes} codes", mininterval=10):
        name = (seed, "finite", f"{lam:g}", config.codes, restart)
        with seeded_initialisation(*name):
            encoder = CodeEncoder(features, copies.shape[2], config.codes, config.units).to(copies.device)
        rows = train(encoder, seen["train"], lam, config, torch_generator(*name, "steps"))
        history += [{"restart": restart, **row} for row in rows]
        found.append((encoder, validate(encoder, seen["validation"], lam, config, torch_generator(*name, "judge"))))
    best = min(range(len(found)), key=lambda restart: found[restart][1]["objective"])
    restarts = [{"restart": i, **row, "chosen": i == best} for i, (_, row) in enumerate(found)]
    return found[best][0], history, restarts
