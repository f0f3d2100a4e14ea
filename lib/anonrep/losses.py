"""The paper's losses, equations (9) to (15) and the information of (5): pure functions of logits, labels and tables.

The letters are the paper's: z private label, p_z its empirical marginal, y the selector (1 real, 0 reconstructed), lam
the multiplier lambda. (14) and (15) are printed with q(. | x_i); as in (10), the classifier sees x_hat_i. Logits come
in, nats come out, always the mean over the images of the batch. `logits_z` are the private classifier's, (B, |Z|);
`logits_y` the discriminator's, (B,), the log-odds that its image is real.
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

    Stands for the first term of eq. 12. DEPARTURE: as printed, (12) makes the autoencoder minimise the discriminator's
    own loss (13), which would make reconstructions easy to tell apart; the text ("GAN-like", eq. 2) means the opposite.
    This is the GAN's non-saturating form (Goodfellow et al., 2014). `logits_y_hat`: (B,), on reconstructions only.
    Nats, mean over B. At chance log 2; grows without bound as the discriminator wins; 0 when all are taken for real.
    The autoencoder minimises it.
    """
    return F.binary_cross_entropy_with_logits(logits_y_hat, torch.ones_like(logits_y_hat))


def private_loss(logits_z: Tensor, z: Tensor) -> Tensor:
    r"""Cross-entropy of the private classifier, its estimate of H(Z | X_hat).

    .. math:: L = \frac1n \sum_i \langle e(z_i), -\log q(\cdot \mid \hat x_i) \rangle

    Eqs. 10 and 14. `logits_z`: (B, |Z|), `z`: integers (B,). Nats, mean over B. At the marginal H(Z); at perfect
    prediction 0. The private classifier minimises it.
    """
    return F.cross_entropy(logits_z, z)


def objective_loss(logits_z: Tensor, p_z: Tensor) -> Tensor:
    r"""The private classifier's cross-entropy if its inputs told nothing of z: a random guess by the marginal.

    .. math:: L_{obj} = \frac1n \sum_i \langle \hat p_Z, -\log q(\cdot \mid \hat x_i) \rangle

    Eqs. 9 and 15. `logits_z`: (B, |Z|), `p_z`: (|Z|,). Nats, mean over B. At the marginal H(Z), its minimum; at
    confident prediction it grows without bound. Nobody minimises it alone.
    """
    return -(F.log_softmax(logits_z, dim=1) @ p_z).mean()


def mutual_information_surrogate(logits_z: Tensor, z: Tensor, p_z: Tensor) -> Tensor:
    r"""The training surrogate of I(Z; X_hat).

    .. math:: \left| L_{obj} - L \right|

    Eq. 11. An upper bound on I(Z; X_hat) only for the best possible private classifier; for the one at hand it is a
    surrogate and bounds nothing. Shapes as in `private_loss` and `objective_loss`. Nats. At chance (q = p_z) 0; at
    perfect confident prediction it grows without bound. The autoencoder minimises it.
    """
    return (objective_loss(logits_z, p_z) - private_loss(logits_z, z)).abs()


def autoencoder_loss(fidelity: Tensor, surrogate: Tensor, lam: float) -> Tensor:
    r"""What the autoencoder plays for: be taken for real, and leave the private classifier guessing.

    .. math:: L_\lambda = -\frac1n \sum_i \log q(1 \mid \hat x_i) + \lambda \left| L_{obj} - L \right|

    Eq. 12. `fidelity`: `fool_loss`, with whatever a variant adds to it; `surrogate`: `mutual_information_surrogate`;
    scalars, `lam` >= 0. Nats. log 2 when both adversaries are at chance. The autoencoder minimises it.
    """
    return fidelity + lam * surrogate


def mutual_information(joint: Tensor) -> Tensor:
    r"""The mutual information itself, where the joint distribution of z and what is released is a table.

    .. math:: I(Z; K) = \sum_{z,k} J_{zk} \log \frac{J_{zk}}{J_z J_k}

    The second term of eq. 5, for a release that shows one of K images (`finite`). `joint`: (|Z|, K), >= 0, sums to 1.
    Nats. At independence 0; at most min(H(Z), H(K)). From a table of n images it is too large by about
    (K-1)(|Z|-1) / (2n). The finite encoder minimises it.
    """
    return -entropy(joint) + entropy(joint.sum(0)) + entropy(joint.sum(1))


def entropy(p: Tensor) -> Tensor:
    r"""The entropy of a distribution given as a table.

    .. math:: H = -\sum_j p_j \log p_j

    `p`: probabilities of any shape. Nats, summed over all entries. 0 where one entry has all the probability, at most
    the logarithm of their number. A 0 counts as nothing, and the slope there is finite.
    """
    return -(p * p.clamp_min(1e-12).log()).sum()
