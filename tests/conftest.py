"""What tests share: one thread a process, hypothesis profiles, the golden file, the smoke pipeline, which runs once."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: a process for each core, and stages that tests start

import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import smoke
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the smoke pipeline goes first: one process makes it while another one has plenty to do."""
    items.sort(key=lambda item: "pipeline" not in item.fixturenames)


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after `repro` at the smoke setting, made once for all test processes. Only to be read."""
    here = tmp_path_factory.getbasetemp()
    folder = (here.parent if "PYTEST_XDIST_WORKER" in os.environ else here) / "pipeline" / "smoke"
    log = folder.with_suffix(".log")
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not log.exists():
            log.write_text("The smoke pipeline failed, in the first test that needed it.")
            smoke.make(folder)
            log.write_text(smoke.run(folder, "anonrep.pipeline.repro", "--jobs", "2"))
    assert (folder / "dvc.lock").exists(), log.read_text()
    return folder


@pytest.fixture
def copy(pipeline: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of that workspace, to change as one likes."""
    folder = tmp_path / "copy"
    shutil.copytree(pipeline, folder, symlinks=True)
    (folder / "data/raw").unlink()  # a relative link
    (folder / "data/raw").symlink_to(smoke.ROOT / "data/raw")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project as the pipeline leaves it (`made_up`), for tests that only read it."""
    from made_up import make_project

    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def found(project: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """What lies in `project`, by data set; it is the working directory."""
    from made_up import opened

    monkeypatch.chdir(project)
    return opened()
