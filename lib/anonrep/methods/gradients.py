"""Histograms of oriented gradients: the directions of edges, whatever the brightness."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad


class OrientedGradients(nn.Module):
    """x (B, 1, H, W) -> (B, F), after Dalal and Triggs (2005): a histogram of edge directions in each cell.

    A cell has `cell` x `cell` pixels; its histogram shares the gradient's magnitude out over `directions` of half a
    turn. It appears once for each block of 2 x 2 cells that it lies in, divided by the norm of that block, so that
    light and contrast drop out. There are no weights. `skimage.feature.hog` does the same for one image at a time.
    """

    def __init__(self, directions: int = 8, cell: int = 5) -> None:
        super().__init__()
        self.directions, self.cell = directions, cell

    def outputs(self, height: int, width: int) -> int:
        """F for images of this size."""
        return 4 * self.directions * (height // self.cell - 1) * (width // self.cell - 1)

    def forward(self, x: Tensor) -> Tensor:
        padded = pad(x, (1, 1, 1, 1), mode="replicate")
        across, down = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2], padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
        magnitude = (across.square() + down.square()).sqrt()
        place = torch.atan2(down, across) / math.pi % 1 * self.directions
        lower = place.floor()
        upper_share, lower = magnitude * (place - lower), lower.long() % self.directions
        histogram = x.new_zeros(len(x), self.directions, *x.shape[2:])
        histogram.scatter_add_(1, lower, magnitude - upper_share)
        histogram.scatter_add_(1, (lower + 1) % self.directions, upper_share)
        cells = avg_pool2d(histogram, self.cell)
        norm = (4 * avg_pool2d(cells.square().sum(1, keepdim=True), 2, stride=1) + 1e-4).sqrt()
        height, width = norm.shape[2:]
        blocks = [cells[..., i : i + height, j : j + width] / norm for i in (0, 1) for j in (0, 1)]
        return torch.cat(blocks, 1).clamp(max=0.3).flatten(1)
