"""Where FERG-DB comes from: the user's files, a shared folder and, last, synthetic data. It is gated: no download."""

import os
import warnings
from pathlib import Path

from anonrep.data.ferg import URL
from anonrep.data.synthetic import ferg as synthetic_ferg

SOURCES = ("auto", "raw", "shared", "synthetic")
DROP = Path("data", "raw", "ferg")  # where the user puts files; nothing here writes into it
SYNTHETIC = Path("build", "synthetic", "ferg")
INSTRUCTIONS = (
    f"FERG-DB is handed out on request alone: ask for it at {URL}, then put its zip, or the folder unpacked from it, "
    f"into {DROP} (or into ferg/ in the folder that ANONREP_DATA names)"
)


def ferg_path(source: str = "auto", root: str | Path = ".", *, images: int = 6000, seed: int = 0) -> Path:
    """The folder or the zip for `ferg_reader.read`, found in this order or where `source` says.

    source        "raw": data/raw/ferg under `root`, which holds character folders at any depth, or a zip
                  "shared": ferg/ in the folder that ANONREP_DATA names (unset: ../shared/data beside `root`)
                  "synthetic": about `images` drawn images from `seed`, written to build/synthetic/ferg
                  "auto": the first of these that has it; synthetic data comes with a warning
    root          the project's root

    Raises FileNotFoundError where a forced source has nothing and ValueError for an unknown word. Whether what is found
    is FERG-DB, or synthetic after all, is read from the images.
    """
    if source not in SOURCES:
        raise ValueError(f"source {source!r}; expected one of {', '.join(SOURCES)}")
    root = Path(root)
    shared = Path(os.environ.get("ANONREP_DATA") or root / ".." / "shared" / "data") / "ferg"
    for word, folder in (("raw", root / DROP), ("shared", shared)):
        if source in ("auto", word) and (path := _first(folder)):
            return path
        if source == word:
            raise FileNotFoundError(f"nothing in {folder}: {INSTRUCTIONS}")
    if source == "auto":
        warnings.warn(
            f"THE REAL DATA IS MISSING, SYNTHETIC DATA TAKES ITS PLACE. {INSTRUCTIONS}, then run "
            "`dvc repro --force --single-item faces` and the pipeline again.",
            stacklevel=2,
        )
    synthetic_ferg.write(root / SYNTHETIC, images=images, seed=seed)
    return root / SYNTHETIC


def _first(folder: Path) -> Path | None:
    """What to read in `folder`: itself if it holds images, else the first zip."""
    if any(name.endswith(".png") for _, _, names in os.walk(folder, followlinks=True) for name in names):
        return folder
    return next(iter(sorted(folder.glob("*.zip"))), None)
