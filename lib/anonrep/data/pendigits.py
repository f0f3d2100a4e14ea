"""Pen-digits as a data set: where the strokes come from, and how they become 20 x 20 grey images."""

import hashlib
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw
from unlzw3 import unlzw

from anonrep.data.builders import check_options, check_splits
from anonrep.data.dataset import Dataset, random_split
from anonrep.data.image_tree import unzip
from anonrep.data.sources import fetch, raw_path
from anonrep.data.synthetic import pendigits as synthetic
from anonrep.data.unipen import TABLET, Digit, parse_unipen
from anonrep.utils.seeds import numpy_generator

SPLIT_WAYS = ("random",)
FILE = "pendigits-orig.tra"
SHA256 = "a66225d68d7d68591e62944df1ad33b3f5aa608e2df2505844b41f5568a80da4"
ARCHIVE = "pen+based+recognition+of+handwritten+digits.zip"
URL = f"https://archive.ics.uci.edu/static/public/81/{ARCHIVE}"
ARCHIVE_SHA256 = "1e02bea023613c2b11c9492f6f34caf975420455934f3527d270cee9a1f03b64"
ADVICE = f"put {URL} (sha256 {ARCHIVE_SHA256}) or the {FILE} in it into data/raw/pendigits"
REAL = {
    "url": URL,
    "licence": "CC BY 4.0",
    "citation": (
        "E. Alpaydin and F. Alimoglu, Pen-Based Recognition of Handwritten Digits, "
        "UCI Machine Learning Repository, 1998, doi:10.24432/C5MG6K"
    ),
}
LIMIT = 32 * 2**20  # bytes; the file is 3.6 MB, so whatever unpacks to more is something else
LZW_LIMIT = 4 * 2**20  # bytes; LZW gives no size beforehand, so its input is limited instead
MARKS = (b"synthetic", b"stand-in", b"nobody wrote")  # of synthetic digits; no one flipped bit takes all away
PENS = {"digit": 1.8, "tablet": 1.2}  # width of the line in pixels of 20 by frame: digits are smaller on the tablet
OVERSAMPLING = 8  # drawn this many times larger, black and white, then averaged: 65 levels of grey


@dataclass(frozen=True)
class Options:
    """What `build_splits` is told.

    source       where the strokes come from: `sources.raw_path`
    size, frame  of the images: `render`
    split_sizes  train, validation and test, the paper's counts (Section 3); with another number of digits they are
                 proportions
    seed         decides the split, and the synthetic digits
    synthetic_digits_per_writer  of thirty synthetic writers
    """

    source: Literal["auto", "raw", "shared", "download", "synthetic"] = "auto"
    size: int = 20
    frame: Literal["digit", "tablet"] = "digit"
    split_sizes: tuple[int, int, int] = (5494, 1000, 1000)
    seed: int = 0
    synthetic_digits_per_writer: int = 250

    def __post_init__(self) -> None:
        check_options(self, size=(8, 128), seed=(0,), synthetic_digits_per_writer=(10,))


@dataclass(frozen=True)
class Raw:
    """A raw file's bytes and what is known of them.

    provenance is JSON-able and the same whichever way the same bytes arrived (so that the way they came makes nothing
    downstream stale); `where` says the way, for people and error messages.
    """

    data: bytes
    provenance: dict
    where: str


def build_splits(options: Options, splits: Sequence[str], root: str | Path = ".") -> dict[str, Dataset]:
    """The data set in its one split, "random".

    Raises what `raw_file` and `parse_unipen` raise.
    """
    check_splits(splits, SPLIT_WAYS)
    raw = raw_file(options.source, root, seed=options.seed, digits_per_writer=options.synthetic_digits_per_writer)
    how = {"size": options.size, "frame": options.frame, "split_sizes": options.split_sizes, "seed": options.seed}
    dataset = build(parse_unipen(raw.data, name=raw.where), raw.provenance, **how)
    return dict.fromkeys(splits, dataset)


def raw_file(source: str = "auto", root: str | Path = ".", *, seed: int = 0, digits_per_writer: int = 250) -> Raw:
    """The training file of pen-digits: the UCI zip, pendigits-orig.tra.Z or pendigits-orig.tra, or synthetic digits.

    Raises what `raw_path` raises, and ValueError for a file that is there but damaged, which is never passed over.
    """

    def download(folder: Path) -> Path:
        return fetch(URL, ARCHIVE_SHA256, ARCHIVE, folder, ADVICE)

    path = raw_path("pendigits", source, root, look=_look, advice=ADVICE, download=download)
    if path:
        return _read(path)
    data = synthetic.synthetic_pendigits(seed, digits_per_writer=digits_per_writer)
    return Raw(data, _synthetic(data), f"synthetic digits from seed {seed}")


def _look(folder: Path) -> Path | None:
    """The file to read in `folder`: a zip, then the .Z, then the plain file."""
    return next((path for form in ("*.zip", f"{FILE}.Z", FILE) for path in sorted(folder.glob(form))), None)


def _read(path: Path) -> Raw:
    """Read one of the three forms; a damaged file is a ValueError that names it."""
    if path.stat().st_size > LIMIT:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; expected {LIMIT} at most")
    data, where = path.read_bytes(), str(path)
    try:
        if path.suffix == ".zip":
            member, data = _member(path)
            where = f"{path}, member {member}"
        if not where.endswith(FILE):
            if len(data) > LZW_LIMIT:
                raise ValueError(f"{len(data)} compressed bytes; expected {LZW_LIMIT} at most")
            data = unlzw(data)
    # zipfile, zlib and unlzw3 each have their own ways to say "damaged"; OSError is for a place before the beginning
    except (ValueError, LookupError, EOFError, RuntimeError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged or another file ({error}): delete it, or {ADVICE}") from error
    if any(mark in data[:2000].lower() for mark in MARKS):
        return Raw(data, _synthetic(data), where)
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != SHA256:
        warnings.warn(f"{where} is not the known {FILE} (sha256 {SHA256}): all results will say so", stacklevel=3)
    unknown = {"licence": "unknown", "citation": "pen strokes of unknown origin"}
    provenance = {
        "source": "uci" if sha256 == SHA256 else "unknown",
        "file": FILE,
        "sha256": sha256,
        "sha256_known": sha256 == SHA256,
        **(REAL if sha256 == SHA256 else unknown),
    }
    return Raw(data, provenance, where)


def _member(path: Path) -> tuple[str, bytes]:
    """The training file's name and bytes in a zip, compressed or plain; its folder there is of no account."""
    with zipfile.ZipFile(path) as file:
        members = {PurePosixPath(member).name: member for member in file.namelist()}
        found = [name for name in (f"{FILE}.Z", FILE) if name in members]
        if not found:
            raise ValueError(f"neither {FILE}.Z nor {FILE} among {', '.join(file.namelist()[:20]) or 'nothing'}")
        data = unzip(file, file.getinfo(members[found[0]]), LIMIT + 1)
    if len(data) > LIMIT:
        raise ValueError(f"member {found[0]} unpacks to more than {LIMIT} bytes")
    return found[0], data


def _synthetic(data: bytes) -> dict:
    return {
        "source": "synthetic",
        "file": "pendigits-synthetic.tra",
        "sha256": hashlib.sha256(data).hexdigest(),
        "sha256_known": False,
        "licence": "MIT, made by this project",
        "citation": "synthetic digits in place of pen-digits; nobody wrote these digits",
    }


def render(
    digits: Sequence[Digit], size: int = 20, frame: str = "digit", *, pen: float | None = None, margin: float = 1.0
) -> np.ndarray:
    """Draw digits with a round pen: uint8 (N, size, size), ink 255 on background 0.

    size    pixels on a side
    frame   "digit": the digit's own bounding box, aspect kept, centred; "tablet": the whole tablet square, so that
            where and how large somebody writes is kept too
    pen     width of the line in pixels of the result; PENS in proportion to size if not given
    margin  pixels between the edge and the ink of the digit's box; without effect in the tablet's square

    The same digits give the same bytes: points are rounded to the large grid before PIL draws them.
    """
    if frame not in PENS:
        raise ValueError(f"frame {frame!r}; expected one of {tuple(PENS)}")
    pen = PENS[frame] * size / 20 if pen is None else pen
    if not 0 < pen < size - 2 * margin:
        raise ValueError(f"a pen of {pen} pixels and a margin of {margin} leave no room in {size} pixels")
    radius = max(0, round((pen * OVERSAMPLING - 1) / 2))  # of an odd width: PIL sets an even one aside of its line
    border = margin + (radius + 0.5) / OVERSAMPLING
    images = np.empty((len(digits), size, size), np.uint8)
    for image, digit in zip(images, digits, strict=True):
        image[:] = _draw(_place(digit.strokes, size, frame, border), size, radius)
    return images


def _place(strokes: Sequence[np.ndarray], size: int, frame: str, border: float) -> list[np.ndarray]:
    """Tablet units, y upwards, to pixels of the large grid, y downwards: integers (P, 2) for each stroke."""
    if frame == "tablet":
        scale, centre = size / TABLET, np.full(2, TABLET / 2)
    else:
        points = np.concatenate(strokes)
        low, high = points.min(0), points.max(0)
        scale = (size - 2 * border) / max(1, *(high - low))  # a mere dot has no extent
        centre = (low + high) / 2
    flip = np.array([1, -1])
    places = [((stroke - centre) * (scale * flip) + size / 2) * OVERSAMPLING for stroke in strokes]
    return [np.rint(place - 0.5).astype(np.int64) for place in places]  # pixel i reaches from i to i + 1


def _draw(strokes: Sequence[np.ndarray], size: int, radius: int) -> Image.Image:
    """Lines with a disc at each point (round caps and joints), then averaged over blocks: a size x size grey image."""
    large = Image.new("L", (size * OVERSAMPLING,) * 2)
    draw = ImageDraw.Draw(large)
    for stroke in strokes:
        points = stroke.ravel().tolist()
        draw.line(points, fill=255, width=2 * radius + 1)
        for x, y in zip(points[::2], points[1::2], strict=True):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return large.reduce(OVERSAMPLING)


def attributes(digits: Sequence[Digit]) -> dict[str, np.ndarray]:
    """What a release may be judged on besides the digit, measured on the strokes: each (N,).

    digit      int64, the label
    strokes    int64, how often the pen was put down
    aspect     float64, width / height of the bounding box (its sides at least one tablet unit)
    slant      float64, radians, positive to the right: atan(cov(x, y) / var(y)) over the ink's length, the shear that
               would set the digit upright
    curvature  float64, radians for a path as long as the box's diagonal: how much the pen turns, left and right alike,
               on strokes resampled at steps of a tenth of the diagonal (shorter ones only show the tablet's grid)
    """
    shapes = np.array([_shape(digit.strokes) for digit in digits], np.float64).reshape(len(digits), 3)
    return {
        "digit": np.array([digit.label for digit in digits], np.int64),
        "strokes": np.array([len(digit.strokes) for digit in digits], np.int64),
        "aspect": shapes[:, 0],
        "slant": shapes[:, 1],
        "curvature": shapes[:, 2],
    }


def _shape(strokes: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """Aspect, slant and curvature of one digit; see `attributes`."""
    points = np.concatenate(strokes).astype(np.float64)
    width, height = np.maximum(np.ptp(points, axis=0), 1)
    step = np.hypot(width, height) / 10
    paths = [_resample(stroke, step) for stroke in strokes]
    ink = np.concatenate(paths)
    ink -= ink.mean(0)
    slant = np.arctan2(ink[:, 0] @ ink[:, 1], max(ink[:, 1] @ ink[:, 1], 1e-9))
    turning = length = 0.0
    for path in paths:
        moves = np.diff(path[:, 0] + 1j * path[:, 1])
        turning += np.abs(np.angle(moves[1:] * moves[:-1].conj())).sum()
        length += np.abs(moves).sum()
    return width / height, slant, turning / max(length / (10 * step), 1.0)


def _resample(stroke: np.ndarray, step: float) -> np.ndarray:
    """Points at (nearly) equal steps along a stroke, its ends included: float64 (Q, 2), Q >= 2; a dot comes twice."""
    lengths = np.hypot(*np.diff(stroke, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    stops = np.linspace(0, along[-1], max(2, round(along[-1] / step) + 1))
    return np.stack([np.interp(stops, along, stroke[:, axis]) for axis in (0, 1)], axis=1)


def build(
    digits: Sequence[Digit],
    provenance: dict,
    *,
    size: int = 20,
    frame: str = "digit",
    split_sizes: tuple[int, int, int] = (5494, 1000, 1000),
    seed: int = 0,
) -> Dataset:
    """Images, private labels, attributes and split of a file's digits.

    z is the writer's rank among the writers present, from 0 (writer 1 is 0 where all are present). For the arguments
    see Options; `seed` decides the split alone.
    """
    writers, z = np.unique([digit.writer for digit in digits], return_inverse=True)
    counts = {"digits": len(digits), "strokes": sum(len(digit.strokes) for digit in digits), "writers": len(writers)}
    return Dataset(
        images=render(digits, size, frame),
        z=z.astype(np.int64),
        attributes=attributes(digits),
        split=random_split(len(digits), tuple(split_sizes), numpy_generator(seed, "split")),
        provenance={
            "dataset": "pendigits",
            **provenance,
            "private": "writer",
            "utility": "digit",
            "split": "random",
            **counts,
            "size": size,
            "frame": frame,
            "split_seed": seed,
        },
    )
