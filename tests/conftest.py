"""What several tests share: one thread a process, how long hypothesis looks for a counterexample, the golden file."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: a process for each core, and stages that tests start

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)

# `fast` tries the same examples each time; ANONREP_FUZZ=1000 tries a thousand, and others each time. A test whose
# examples are expensive sets `max_examples` itself.
settings.register_profile("fast", max_examples=40, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=int(os.environ.get("ANONREP_FUZZ", "1000")), deadline=None)
settings.load_profile("long" if "ANONREP_FUZZ" in os.environ else "fast")

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden with what the code says now")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """golden(name, text) compares a text with tests/golden/<name>, or rewrites that file under --update-golden."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        assert path.exists(), f"{path} is missing: run pytest --update-golden, and read the file before you commit it"
        assert text == path.read_text(encoding="utf-8"), f"{path.name} differs; if you meant it: pytest --update-golden"

    return check


@pytest.fixture
def float32(monkeypatch):
    """No mixed precision: sums can be compared figure by figure."""
    monkeypatch.setattr("anonrep.utils.precision.mixed_precision", lambda device: torch.autocast("cpu", enabled=False))
