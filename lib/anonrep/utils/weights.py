"""Weights on disk: safetensors, no pickle, with a checksum of names, types, shapes and values inside the file."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from anonrep.utils.files import write_bytes

KEY = "sha256"  # in the file's metadata; the only entry, or the same weights would not give the same bytes


def save_weights(path: str | Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors by name, atomically; the same tensors give the same bytes."""
    weights = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    write_bytes(path, save(weights, metadata={KEY: digest(weights)}))


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """Read what `save_weights` wrote, on the CPU; OSError or SafetensorError where it is missing or damaged.

    A file without a checksum, written by something else, is read as it is.
    """
    data = Path(path).read_bytes()
    weights = load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    told = header.get("__metadata__", {}).get(KEY)
    if told is not None and told != digest(weights):
        raise SafetensorError(f"the checksum says {told[:12]}, the values {digest(weights)[:12]}: they have changed")
    return weights


def digest(weights: Mapping[str, Tensor]) -> str:
    """The SHA-256 of names, types, shapes and values, in the order of the names."""
    found = hashlib.sha256()
    for name, value in sorted(weights.items()):
        found.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        found.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
