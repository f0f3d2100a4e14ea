"""bfloat16 where the hardware computes with it; elsewhere it would be emulated, slowly."""

from functools import partial

import torch
from torch import Tensor, nn


def _processor() -> bool:
    # PyTorch's own question, `_is_mkldnn_bf16_supported`, says yes to processors that only emulate.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


ABLE = {"cuda": partial(torch.cuda.is_bf16_supported, including_emulation=False), "cpu": _processor}


def mixed_precision(device: torch.device | str) -> torch.autocast:
    """Inside, products are computed in bfloat16 where `device` can: half the time. Weights stay float32."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=kind in ABLE and ABLE[kind]())


def fast(network: nn.Module, x: Tensor) -> Tensor:
    """`network(x)` in mixed precision, given back as float32: losses and everybody else's sums stay exact."""
    with mixed_precision(x.device):
        return network(x).float()
