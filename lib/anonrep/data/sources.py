"""Where the raw data comes from: the user's files, a shared folder, the public archive and, last, synthetic data."""

import hashlib
import os
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pooch
from unlzw3 import unlzw

from anonrep.data.synthetic import pendigits as synthetic

SOURCES = ("auto", "raw", "shared", "download", "synthetic")
PENDIGITS = "pendigits-orig.tra"
PENDIGITS_SHA256 = "a66225d68d7d68591e62944df1ad33b3f5aa608e2df2505844b41f5568a80da4"
PENDIGITS_ZIP = "pen+based+recognition+of+handwritten+digits.zip"
PENDIGITS_URL = f"https://archive.ics.uci.edu/static/public/81/{PENDIGITS_ZIP}"
PENDIGITS_ZIP_SHA256 = "1e02bea023613c2b11c9492f6f34caf975420455934f3527d270cee9a1f03b64"
PENDIGITS_CITATION = (
    "E. Alpaydin and F. Alimoglu, Pen-Based Recognition of Handwritten Digits, "
    "UCI Machine Learning Repository, 1998, doi:10.24432/C5MG6K"
)
DROP = Path("data", "raw", "pendigits")  # where the user puts files; nothing here writes into it
LIMIT = 32 * 2**20  # bytes; the file is 3.6 MB, so whatever unpacks to more is something else
LZW_LIMIT = 4 * 2**20  # bytes; LZW gives no size beforehand, so its input is limited instead
CONNECT, READ = 5, 30  # seconds
SYNTHETIC_WORDS = (b"synthetic", b"stand-in", b"nobody wrote")  # of its first line; no one flipped bit takes all away


@dataclass(frozen=True)
class Raw:
    """A raw file's bytes and what is known of them.

    provenance is JSON-able and the same whichever way the same bytes arrived (so that the way they came makes nothing
    downstream stale); `where` says the way, for people and error messages.
    """

    data: bytes
    provenance: dict
    where: str


def pendigits_raw(
    source: str = "auto", root: str | Path = ".", *, seed: int = 0, synthetic_digits_per_writer: int = 250
) -> Raw:
    """The training file of pen-digits, found in this order or where `source` says.

    source      "raw": data/raw/pendigits under `root`: the UCI zip, pendigits-orig.tra.Z or pendigits-orig.tra
                "shared": the folder that ANONREP_DATA names (unset: ../shared/data beside `root`), or its pendigits/
                "download": the UCI archive, kept in build/downloads
                "synthetic": thirty synthetic writers, from `seed`
                "auto": the first of these that has it; synthetic data comes with a warning
    root        the project's root

    Raises FileNotFoundError where a forced source has nothing, ConnectionError where a forced download fails, and
    ValueError for an unknown word and for a file that is there but damaged, which is never passed over.
    """
    if source not in SOURCES:
        raise ValueError(f"source {source!r}; expected one of {', '.join(SOURCES)}")
    root = Path(root)
    if source in ("auto", "raw") and (path := _first(root / DROP)):
        return _real(path)
    if source == "raw":
        raise FileNotFoundError(f"nothing in {root / DROP}: {_instructions()}")
    if source in ("auto", "shared"):
        folder = Path(os.environ.get("ANONREP_DATA") or root / ".." / "shared" / "data")
        if path := _first(folder / "pendigits") or _first(folder, PENDIGITS_ZIP):
            return _real(path)
        if source == "shared":
            raise FileNotFoundError(f"nothing in {folder} (ANONREP_DATA): {_instructions()}")
    if source in ("auto", "download"):
        try:
            return _real(_download(root / "build" / "downloads"))
        except ConnectionError as error:
            if source == "download":
                raise
            warnings.warn(
                f"THE REAL DATA IS MISSING, SYNTHETIC DATA TAKES ITS PLACE. {error} Then run "
                "`dvc repro --force --single-item render` and the pipeline again.",
                stacklevel=2,
            )
    return _synthetic(seed, synthetic_digits_per_writer)


def _instructions() -> str:
    return f"put {PENDIGITS_URL} (sha256 {PENDIGITS_ZIP_SHA256}) or the {PENDIGITS} in it into {DROP}"


def _first(folder: Path, zips: str = "*.zip") -> Path | None:
    """The file to read in `folder`: a zip like `zips`, then the .Z, then the plain file."""
    for pattern in (zips, f"{PENDIGITS}.Z", PENDIGITS):
        if found := sorted(folder.glob(pattern)):
            return found[0]
    return None


def _download(folder: Path) -> Path:
    """The UCI archive in `folder`, fetched once; ConnectionError whatever went wrong, with what to do instead."""
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=(CONNECT, READ))
    try:
        path = pooch.retrieve(
            PENDIGITS_URL, f"sha256:{PENDIGITS_ZIP_SHA256}", PENDIGITS_ZIP, folder, downloader=downloader
        )
    # requests' errors are OSErrors; pooch's word for a wrong checksum is ValueError
    except (OSError, ValueError) as error:
        raise ConnectionError(f"the download failed ({error}); {_instructions()}") from error
    return Path(path)


def _real(path: Path) -> Raw:
    """Read one of the three forms; a damaged file is a ValueError that names it."""
    if path.stat().st_size > LIMIT:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; expected {LIMIT} at most")
    data, where = path.read_bytes(), str(path)
    try:
        if path.suffix == ".zip":
            member, data = _member(path)
            where = f"{path}, member {member}"
        if not where.endswith(PENDIGITS):
            if len(data) > LZW_LIMIT:
                raise ValueError(f"{len(data)} compressed bytes; expected {LZW_LIMIT} at most")
            data = unlzw(data)
    # zipfile, zlib and unlzw3 each have their own ways to say "damaged"; RuntimeError is zipfile's for a password, and
    # OSError for a place before the file's beginning
    except (ValueError, LookupError, EOFError, RuntimeError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged or another file ({error}): delete it, or {_instructions()}") from error
    if any(word in data[:2000].lower() for word in SYNTHETIC_WORDS):
        return Raw(data, _synthetic_provenance(data), where)
    known = hashlib.sha256(data).hexdigest() == PENDIGITS_SHA256
    if not known:
        warnings.warn(
            f"{where} is not the known {PENDIGITS} (sha256 {PENDIGITS_SHA256}): all results will say so", stacklevel=3
        )
    told = {"url": PENDIGITS_URL, "licence": "CC BY 4.0", "citation": PENDIGITS_CITATION}
    provenance = {
        "source": "uci" if known else "unknown",
        "file": PENDIGITS,
        "sha256": hashlib.sha256(data).hexdigest(),
        "sha256_known": known,
        **(told if known else {"licence": "unknown", "citation": "pen strokes of unknown origin"}),
    }
    return Raw(data, provenance, where)


def _member(path: Path) -> tuple[str, bytes]:
    """The training file's name and bytes in a zip, compressed or plain; its folder there is of no account."""
    with zipfile.ZipFile(path) as file:
        members = {PurePosixPath(member).name: member for member in file.namelist()}
        found = [name for name in (f"{PENDIGITS}.Z", PENDIGITS) if name in members]
        if not found:
            raise ValueError(
                f"neither {PENDIGITS}.Z nor {PENDIGITS} among {', '.join(file.namelist()[:20]) or 'nothing'}"
            )
        entry = file.getinfo(members[found[0]])
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # zipfile unpacks the others whole, whatever it is asked for: gigabytes from one kilobyte
            raise ValueError(f"member {found[0]} is neither stored nor deflated")
        with file.open(entry) as stream:
            data = stream.read(LIMIT + 1)  # the size that a zip declares may be a lie
    if len(data) > LIMIT:
        raise ValueError(f"member {found[0]} unpacks to more than {LIMIT} bytes")
    return found[0], data


def _synthetic(seed: int, digits_per_writer: int) -> Raw:
    data = synthetic.synthetic_pendigits(seed, digits_per_writer=digits_per_writer)
    return Raw(data, _synthetic_provenance(data), f"synthetic digits from seed {seed}")


def _synthetic_provenance(data: bytes) -> dict:
    return {
        "source": "synthetic",
        "file": "pendigits-synthetic.tra",
        "sha256": hashlib.sha256(data).hexdigest(),
        "sha256_known": False,
        "licence": "MIT, made by this project",
        "citation": "synthetic digits in place of pen-digits; nobody wrote these digits",
    }
