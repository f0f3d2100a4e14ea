"""Small random changes of images that leave what they show."""

import torch
from torch import Tensor, nn


def jitter(x: Tensor, generator: torch.Generator, strength: float) -> Tensor:
    """A small random affine map an image: scale, shear and turn by `strength`, shift by as much of the half-width."""
    n, device = len(x), x.device
    draw = (torch.rand(n, 2, 3, generator=generator, device=generator.device) * 2 - 1).to(device) * strength
    draw[:, 0, 0] += 1
    draw[:, 1, 1] += 1
    grid = nn.functional.affine_grid(draw, list(x.shape), align_corners=False)
    return nn.functional.grid_sample(x, grid, align_corners=False)
