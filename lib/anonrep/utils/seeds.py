"""Randomness by name: every generator is derived from (seed, name), and nothing reads the global one."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def subseed(seed: int, *names: object) -> int:
    """A 32-bit seed of its own for each (seed, names): adding a consumer moves no other one's numbers."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def numpy_generator(seed: int, *names: object) -> np.random.Generator:
    """A NumPy generator for (seed, names)."""
    return np.random.default_rng(subseed(seed, *names))


def torch_generator(seed: int, *names: object, device: str | torch.device = "cpu") -> torch.Generator:
    """A PyTorch generator for (seed, names) on `device`."""
    return torch.Generator(device=device).manual_seed(subseed(seed, *names))


@contextmanager
def seeded_initialisation(seed: int, *names: object) -> Iterator[None]:
    """Initialise layers inside: PyTorch's layers only draw from the global generator, so it is set and put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(subseed(seed, *names))
        yield
