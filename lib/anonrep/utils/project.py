"""Where the project is, what state its sources are in, and which versions run it."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

MARKS = ("dvc.yaml", "params.yaml")
SOURCES = ("lib", "notebooks", "dvc.yaml", "params.yaml", "settings", "requirements.lock")


def root(start: str | Path = ".") -> Path:
    """The nearest folder at or above `start` that holds dvc.yaml and params.yaml.

    Raises FileNotFoundError outside the project.
    """
    start = Path(start).resolve()
    for folder in (start, *start.parents):
        if all((folder / mark).is_file() for mark in MARKS):
            return folder
    raise FileNotFoundError(f"no folder with {' and '.join(MARKS)} at or above {start}: start from inside the project")


def enter(threads: int = 1) -> Path:
    """Go to the project's root and make torch deterministic on `threads` threads; give the root.

    One thread a process is the fastest way to use the cores: the pipeline runs several processes.
    """
    import torch  # here, because the runner and the tests need this module without torch's seconds

    folder = root()
    os.chdir(folder)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with this
    torch.set_num_threads(threads)
    # A warning, not an error: PyTorch warns of CUDA's max pooling. Where windows do not overlap, as the attackers',
    # nothing is summed, and it is the same bits again (tests/test_cuda.py).
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a check for bugs; a twentieth of a step's time
    return folder


def commit(folder: str | Path = ".") -> str | None:
    """The git commit of the sources, with "+changes" when one of SOURCES differs from it; None without git.

    Outputs are left out: a pipeline rewrites dvc.lock and the reports while it runs.
    """
    found = _git("rev-parse", "HEAD", folder=folder)
    if not found:
        return None
    changed = _git("status", "--porcelain", "--", *(f":/{source}" for source in SOURCES), folder=folder)
    return found + ("+changes" if changed else "")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("torch", "numpy", "scikit-learn")}}


def _git(*arguments: str, folder: str | Path) -> str | None:
    """What git prints, stripped; None when there is no git, no repository or no commit."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
