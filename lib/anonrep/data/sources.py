"""Where raw data comes from: the user's files, a shared folder, a public archive and, last, a program that draws it."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pooch

CONNECT, READ = 5, 30  # seconds


def raw_path(
    name: str,
    source: str,
    root: str | Path,
    *,
    look: Callable[[Path], Path | None],
    advice: str,
    download: Callable[[Path], Path] | None = None,
) -> Path | None:
    """The raw file or folder of data set `name`, found in this order or where `source` says; None: draw it.

    source    "raw": data/raw/<name> under `root`, where the user puts files and nothing here writes. `dvc exp run
              --temp` and `--queue` copy tracked files alone, so the owner of such a copy is looked at as well
              "shared": <name>/ in the folder that ANONREP_DATA names (unset: ../shared/data beside `root`)
              "download": the public archive, kept in build/downloads
              "synthetic": nowhere
              "auto": the first of these that has it; synthetic data comes with a warning
    root      the project's root
    look      what is to be read in a folder, or None where it holds nothing of the kind
    advice    how to get the data, for errors
    download  puts the archive into a folder or raises ConnectionError; None where there is none

    Raises FileNotFoundError where a forced source has nothing, and ConnectionError where a forced download fails.
    """
    root = Path(root).resolve()
    owner = next((folder.parent for folder in root.parents if folder.name == ".dvc"), root)  # of DVC's temporary copy
    shared = Path(os.environ.get("ANONREP_DATA") or owner / ".." / "shared" / "data")
    raw = root / "data" / "raw" / name
    raw = raw if look(raw) else owner / "data" / "raw" / name
    for word, folder in (("raw", raw), ("shared", shared / name)):
        if source in ("auto", word) and (path := look(folder)):
            return path
        if source == word:
            raise FileNotFoundError(f"nothing in {folder}: {advice}")
    if download and source in ("auto", "download"):
        try:
            return download(root / "build" / "downloads")
        except ConnectionError as error:
            if source == "download":
                raise
            advice = str(error)
    if source == "auto":
        warnings.warn(
            f"THE REAL DATA IS MISSING, SYNTHETIC DATA TAKES ITS PLACE. {advice}, then run "
            f"`dvc repro --force --single-item data@{name}` and the pipeline again.",
            stacklevel=2,
        )
    return None


def fetch(url: str, sha256: str, name: str, folder: Path, advice: str) -> Path:
    """An archive in `folder`, downloaded once; ConnectionError whatever goes wrong, with what to do instead."""
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=(CONNECT, READ))
    try:
        return Path(pooch.retrieve(url, f"sha256:{sha256}", name, folder, downloader=downloader))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; pooch's for a wrong checksum is ValueError
        raise ConnectionError(f"the download failed ({error}): {advice}") from error
