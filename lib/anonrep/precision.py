"""bfloat16 where the hardware computes with it; elsewhere it would be emulated, slowly."""

import torch
from torch import Tensor, nn


def mixed_precision(device: torch.device | str) -> torch.autocast:
    """Inside, products are computed in bfloat16 where `device` can: half the time. Weights stay float32."""
    kind = torch.device(device).type
    able = {"cuda": torch.cuda.is_bf16_supported, "cpu": torch.ops.mkldnn._is_mkldnn_bf16_supported}
    return torch.autocast(kind, torch.bfloat16, enabled=kind in able and able[kind]())


def fast(network: nn.Module, x: Tensor) -> Tensor:
    """`network(x)` in mixed precision, given back as float32: losses and everybody else's sums stay exact."""
    with mixed_precision(x.device):
        return network(x).float()
