"""What a finite encoder is trained on: features of moved copies of images, and their cross-identity neighbours."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from anonrep.data.dataset import Dataset
from anonrep.game import encode
from anonrep.networks import Autoencoder
from anonrep.utils.images import blur, jitter, to_tensor


@dataclass(frozen=True)
class View:
    """N images of one split.

    copies      float32 (C, N, F), features of C copies of each image, each moved a little
    hidden      float32 (N, d), the hidden layer, whitened; on training images its mean squared norm is 1
    one_hot     float32 (N, |Z|), the private label
    neighbours  int64 (N, n), the nearest images by other people
    """

    copies: Tensor
    hidden: Tensor
    one_hot: Tensor
    neighbours: Tensor


@torch.no_grad()
def cross_identity_neighbours(x: Tensor, z: Tensor, n: int, width: int) -> Tensor:
    """The n nearest images by other people, int64 (N, n): Euclidean distance over pixels blurred by a box of `width`.

    `x`: (N, 1, H, W), `z`: (N,). With the blur a stroke may lie a little off; every second blurred pixel a side is
    enough. Raises ValueError where an image has fewer than n images by others.
    """
    step = 2 if width > 1 else 1
    return nearest_others(blur(x, width)[..., ::step, ::step].flatten(1), z, n)


@torch.no_grad()
def nearest_others(rows: Tensor, z: Tensor, n: int) -> Tensor:
    """The n nearest rows, Euclidean, that have another label: int64 (N, n). `rows`: (N, d), `z`: (N,)."""
    others = len(z) - int(z.bincount().max())
    if others < n:
        raise ValueError(f"{n} neighbours by other people asked for; some of the {len(z)} images have {others}")
    found = []
    for part, own in zip(rows.split(1000), z.split(1000), strict=True):
        distances = torch.cdist(part, rows).masked_fill_(own[:, None] == z, math.inf)
        found.append(distances.topk(n, largest=False).indices)
    return torch.cat(found)


@torch.no_grad()
def training_views(
    autoencoder: Autoencoder,
    data: Dataset,
    *,
    copies: int,
    strength: float,
    neighbours: int,
    width: int,
    generator: torch.Generator,
) -> dict[str, View]:
    """The views "train" and "validation". `strength` of `images.jitter`; `neighbours` and `width` of
    `cross_identity_neighbours`.

    The whitening is learned from training images. Test images are not used.
    """
    device, found = autoencoder.mean.weight.device, {}
    centre = whiten = None
    for name in ("train", "validation"):
        part = data.subset(name)
        x, z = to_tensor(part.images, device), torch.from_numpy(part.z).to(device)
        hidden = encode(autoencoder, part.images, device)
        if name == "train":
            centre = hidden.mean(0)
            _, scale, axes = torch.linalg.svd(hidden - centre, full_matrices=False)
            whiten = axes.T / scale.clamp_min(1e-6) * math.sqrt(len(x) / len(scale))
        moved = [jitter(x, generator, strength) for _ in range(copies)]
        found[name] = View(
            copies=torch.stack([torch.cat([autoencoder.encoder(some) for some in copy.split(1000)]) for copy in moved]),
            hidden=(hidden - centre) @ whiten,
            one_hot=nn.functional.one_hot(z, data.n_private).float(),
            neighbours=cross_identity_neighbours(x, z, neighbours, width),
        )
    return found
