"""Images as tensors: in, moved a little, blurred."""

import numpy as np
import torch
from torch import Tensor, nn


def to_tensor(images: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """uint8 (N, H, W) to float32 (N, 1, H, W) in [0, 1]."""
    return torch.from_numpy(images).to(device).unsqueeze(1).float() / 255


def jitter(x: Tensor, generator: torch.Generator, strength: float) -> Tensor:
    """A small random affine map an image: scale, shear and turn by `strength`, shift by as much of the half-width."""
    n, device = len(x), x.device
    draw = (torch.rand(n, 2, 3, generator=generator, device=generator.device) * 2 - 1).to(device) * strength
    draw[:, 0, 0] += 1
    draw[:, 1, 1] += 1
    grid = nn.functional.affine_grid(draw, list(x.shape), align_corners=False)
    return nn.functional.grid_sample(x, grid, align_corners=False)


def blur(x: Tensor, width: int) -> Tensor:
    """Each pixel the mean of a box of `width` pixels around it, paper outside: (B, 1, H, W) to the same."""
    return nn.functional.avg_pool2d(x, width, stride=1, padding=width // 2) if width > 1 else x
