"""Images as tensors: in, moved a little, blurred."""

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn


def to_tensor(images: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """uint8 (N, H, W) to float32 (N, 1, H, W) in [0, 1]."""
    return to_float(to_bytes(images, device))


def to_bytes(images: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """uint8 (N, H, W) to uint8 (N, 1, H, W): a quarter of the memory; batches go through `to_float`."""
    return torch.from_numpy(images).to(device).unsqueeze(1)


def to_float(x: Tensor) -> Tensor:
    """uint8 to float32 in [0, 1]; what is float stays as it is."""
    return x if x.is_floating_point() else x.float() / 255


def pixel_std(images: np.ndarray) -> float:
    """The mean over pixels of the standard deviation over images, in [0, 1]: uint8 (N, H, W), row by row."""
    return float(np.mean([images[:, row].std(0, ddof=1) for row in range(images.shape[1])])) / 255


def jitter(x: Tensor, generator: torch.Generator, strength: float) -> Tensor:
    """A small random affine map an image: scale, shear and turn by `strength`, shift by as much of the half-width."""
    n, device = len(x), x.device
    draw = (torch.rand(n, 2, 3, generator=generator, device=generator.device) * 2 - 1).to(device) * strength
    draw[:, 0, 0] += 1
    draw[:, 1, 1] += 1
    grid = nn.functional.affine_grid(draw, list(x.shape), align_corners=False)
    return nn.functional.grid_sample(x, grid, align_corners=False)


def blur(x: Tensor, width: int) -> Tensor:
    """Each pixel the mean of a box of `width` pixels around it, paper outside: (B, 1, H, W) to the same.

    As products with banded matrices, a fifth of the time of average pooling, which goes pixel by pixel.
    """
    return _box(x.shape[2], width, x.device) @ x @ _box(x.shape[3], width, x.device) if width > 1 else x


@cache
def _box(side: int, width: int, device: torch.device) -> Tensor:
    """What averages `width` neighbours among `side` pixels: (side, side)."""
    place = torch.arange(side, device=device)
    return ((place - place[:, None]).abs() <= width // 2).float() / width
