"""The paper's losses, equations (9) to (15) and the information of (5): pure functions of logits, labels and tables.

The letters are the paper's: x_hat the reconstruction, z the private label, p_z its empirical marginal, v what the
discriminator is shown, y the selector (1 real, 0 reconstructed), lam the multiplier lambda. `logits_y`, (B,), are the
discriminator's: the log-odds that its image is real. `logits_z`, (B, |Z|), are the private classifier's. Logits come
in, nats come out, always the mean over the B images of the batch. "Chance" is an adversary that knows nothing: even
odds for the discriminator, q = p_z for the private classifier.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def discriminator_loss(logits_y: Tensor, y: Tensor) -> Tensor:
    r"""Cross-entropy of telling real images (y = 1) from reconstructions (y = 0).

    .. math:: -\frac1n \sum_i y_i \log q(1 \mid v_i) + (1 - y_i) \log q(0 \mid v_i)

    Eq. 13 of the paper. `logits_y`, `y`: (B,). Nats, mean over B. At chance log 2; at perfect prediction 0.
    The discriminator minimises it.
    """
    return F.binary_cross_entropy_with_logits(logits_y, y)


def fool_loss(logits_y_hat: Tensor) -> Tensor:
    r"""Cross-entropy of the discriminator taking reconstructions for real images.

    .. math:: -\frac1n \sum_i \log q(1 \mid \hat x_i)

    First term of eq. 12 of the paper. DEPARTURE: as printed, (12) makes the autoencoder minimise the discriminator's
    own loss (13), which would make reconstructions easy to tell apart; the text ("GAN-like", eq. 2) means the opposite.
    This is the GAN's non-saturating form (Goodfellow et al., 2014). `logits_y_hat`: (B,), of reconstructions only.
    Nats, mean over B. At chance log 2; at perfect prediction without bound; 0 when all are taken for real.
    The autoencoder minimises it.
    """
    return F.binary_cross_entropy_with_logits(logits_y_hat, torch.ones_like(logits_y_hat))


def private_loss(logits_z: Tensor, z: Tensor) -> Tensor:
    r"""Cross-entropy of the private classifier, its estimate of H(Z | X_hat).

    .. math:: L = \frac1n \sum_i \langle e(z_i), -\log q(\cdot \mid \hat x_i) \rangle

    Eqs. 10 and 14 of the paper. DEPARTURE: (14) is printed with q(. | x_i); as in (10), the classifier sees x_hat_i.
    `logits_z`: (B, |Z|), `z`: integers (B,). Nats, mean over B. At chance H(Z); at perfect prediction 0.
    The private classifier minimises it.
    """
    return F.cross_entropy(logits_z, z)


def objective_loss(logits_z: Tensor, p_z: Tensor) -> Tensor:
    r"""Cross-entropy that the private classifier would have if its inputs told nothing of z.

    .. math:: L_{obj} = \frac1n \sum_i \langle \hat p_Z, -\log q(\cdot \mid \hat x_i) \rangle

    Eqs. 9 and 15 of the paper; (15) is printed with x_i, as (14). `logits_z`: (B, |Z|), `p_z`: (|Z|,). Nats, mean over
    B. At chance H(Z), its minimum; at perfect and sure prediction without bound. Nobody minimises it alone.
    """
    return -(F.log_softmax(logits_z, dim=1) @ p_z).mean()


def mutual_information_surrogate(logits_z: Tensor, z: Tensor, p_z: Tensor) -> Tensor:
    r"""Distance of the private classifier's loss from what it would be if its inputs told nothing of z.

    .. math:: \left| L_{obj} - L \right|

    Eq. 11 of the paper, in the place of I(Z; X_hat): an upper bound on it for the best possible private classifier
    only. For the one at hand it is a surrogate and bounds nothing. `logits_z`: (B, |Z|), `z`: integers (B,), `p_z`:
    (|Z|,). Nats, mean over B. At chance 0; at perfect and sure prediction without bound. The autoencoder minimises it.
    """
    return (objective_loss(logits_z, p_z) - private_loss(logits_z, z)).abs()


def gradient_reversal(logits_z: Tensor, z: Tensor, p_z: Tensor) -> Tensor:
    r"""The private classifier's log-likelihood: the gradient of its own loss arrives reversed at the autoencoder.

    .. math:: -L = \frac1n \sum_i \log q(z_i \mid \hat x_i)

    Ganin and Lempitsky (2015), eq. 1, the paper's reference [9], in the place of eq. 11. Their layer turns the sign
    around within one joint step; here the players step in turn. `logits_z`: (B, |Z|), `z`: integers (B,); `p_z` is not
    used. Nats, mean over B. At chance -H(Z); at perfect prediction 0; without bound below where the classifier is sure
    and wrong. The autoencoder minimises it.
    """
    return -private_loss(logits_z, z)


def divergence_from_marginal(logits_z: Tensor, z: Tensor, p_z: Tensor) -> Tensor:
    r"""Divergence of the private classifier's posterior from the marginal, image by image.

    .. math:: \frac1n \sum_i \sum_k q(k \mid \hat x_i) \log \frac{q(k \mid \hat x_i)}{\hat p_Z(k)}

    Roy and Boddeti (2019) with the marginal for their uniform distribution, in the place of eq. 11. (The other
    direction is L_obj of eq. 9 less H(Z).) `logits_z`: (B, |Z|), `p_z`: (|Z|,); `z` is not used: sure and wrong is no
    better than sure and right. Nats, mean over B. At chance 0, its minimum; at sure prediction -log p_z of what is
    predicted. The autoencoder minimises it.
    """
    log_q = F.log_softmax(logits_z, dim=1)
    return (log_q.exp() * (log_q - p_z.clamp_min(1e-12).log())).sum(1).mean()


def autoencoder_loss(fidelity: Tensor, private_term: Tensor, lam: float) -> Tensor:
    r"""Loss of the autoencoder, which wants to pass for real and to leave the private classifier guessing.

    .. math:: L_\lambda = -\frac1n \sum_i \log q(1 \mid \hat x_i) + \lambda \left| L_{obj} - L \right|

    Eq. 12 of the paper. `fidelity`: `fool_loss`, with whatever a variant adds to it; `private_term`: one of
    PRIVATE_TERMS, the paper's `mutual_information_surrogate`; scalars, `lam` >= 0. Nats, means over B. With both
    adversaries at chance log 2; at perfect prediction by either without bound. The autoencoder minimises it.
    """
    return fidelity + lam * private_term


def mutual_information(joint: Tensor) -> Tensor:
    r"""Mutual information of the private label and the index of the image shown, where their joint law is a table.

    .. math:: I(Z; K) = \sum_{z,k} J_{zk} \log \frac{J_{zk}}{J_z J_k}

    The second term of eq. 5 of the paper, for a release that shows one of K images (`methods.finite`). `joint`:
    (|Z|, K), >= 0, sums to 1. Nats. At independence (chance) 0; at most min(H(Z), H(K)), reached where the index tells
    z (perfect prediction). From a table of n images it is too large by about (K-1)(|Z|-1) / (2n). The finite encoder
    minimises it.
    """
    return -entropy(joint) + entropy(joint.sum(0)) + entropy(joint.sum(1))


def entropy(p: Tensor) -> Tensor:
    r"""Entropy of a distribution.

    .. math:: H = -\sum_j p_j \log p_j

    `p`: probabilities of any shape. Nats, summed over all entries. From 0 (all on one) to the logarithm of their number
    (all the same). A zero adds nothing, and the slope there is finite.
    """
    return -(p * p.clamp_min(1e-12).log()).sum()


PRIVATE_TERMS = {
    "surrogate": mutual_information_surrogate,
    "reversal": gradient_reversal,
    "kl": divergence_from_marginal,
}
