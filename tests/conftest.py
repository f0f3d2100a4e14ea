"""What several tests share."""

import pytest
import torch


@pytest.fixture
def float32(monkeypatch):
    """No mixed precision: sums can be compared figure by figure."""
    monkeypatch.setattr("anonrep.utils.precision.mixed_precision", lambda device: torch.autocast("cpu", enabled=False))
