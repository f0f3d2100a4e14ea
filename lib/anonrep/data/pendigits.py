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

from anonrep.data.dataset import UNSEEN, Dataset, random_split
from anonrep.data.image_files import unzip
from anonrep.data.sources import fetch, raw_path
from anonrep.data.synthetic import pendigits as synthetic
from anonrep.data.unipen import TABLET, Digit, parse_unipen
from anonrep.utils.checks import check_fields
from anonrep.utils.seeds import numpy_generator, subseed

SPLIT_WAYS = ("random", "tablet")
FILE = "pendigits-orig.tra"
SHA256 = "a66225d68d7d68591e62944df1ad33b3f5aa608e2df2505844b41f5568a80da4"
UNSEEN_FILE = "pendigits-orig.tes"  # by 14 other writers; the paper does not use it
UNSEEN_SHA256 = "ddb1c19e277a56c7ffe682cc024d6ab73696f9adcc1643ef9ed5aa753007e081"
SYNTHETIC_UNSEEN = 6  # writers
ARCHIVE = "pen+based+recognition+of+handwritten+digits.zip"
URL = f"https://archive.ics.uci.edu/static/public/81/{ARCHIVE}"
ARCHIVE_SHA256 = "1e02bea023613c2b11c9492f6f34caf975420455934f3527d270cee9a1f03b64"
ADVICE = f"put {URL} (sha256 {ARCHIVE_SHA256}), or the {FILE} and {UNSEEN_FILE} in it, into data/raw/pendigits"
ORIGINS = {  # what is known of the strokes, by their source
    "uci": {
        "file": FILE,
        "sha256_known": True,
        "url": URL,
        "licence": "CC BY 4.0",
        "citation": (
            "E. Alpaydin and F. Alimoglu, Pen-Based Recognition of Handwritten Digits, "
            "UCI Machine Learning Repository, 1998, doi:10.24432/C5MG6K"
        ),
    },
    "unknown": {
        "file": FILE,
        "sha256_known": False,
        "licence": "unknown",
        "citation": "pen strokes of unknown origin",
    },
    "synthetic": {
        "file": "pendigits-synthetic.tra",
        "sha256_known": False,
        "licence": "MIT, made by this project",
        "citation": "synthetic digits in place of pen-digits; nobody wrote these digits",
    },
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
    size         of the images: `render`
    split_sizes  train, validation and test, the paper's counts (Section 3); with another number of digits they are
                 proportions
    seed         decides the split, and the synthetic digits
    synthetic_digits_per_writer  of thirty synthetic writers, and of SYNTHETIC_UNSEEN who take part in nothing
    """

    source: Literal["auto", "raw", "shared", "download", "synthetic"] = "auto"
    size: int = 20
    split_sizes: tuple[int, int, int] = (5494, 1000, 1000)
    seed: int = 0
    synthetic_digits_per_writer: int = 250

    def __post_init__(self) -> None:
        check_fields(self, size=(8, 128), synthetic_digits_per_writer=(10,))


def build_splits(options: Options, splits: Sequence[str], root: str | Path = ".") -> dict[str, Dataset]:
    """The data set in each of the `splits`, and in it the people of the second file as unseen (`Dataset.unseen`).

    "random" is the paper's split; "tablet" is the same split of the same digits, drawn in another frame (`render`).
    A missing second file is a warning. Raises what `raw_files` and `parse_unipen` raise, and ValueError for two files
    of which one is known and the other is not, or one is synthetic.
    """
    raw = raw_files(options, root)
    if len(raw) == 1:
        warnings.warn(f"no {UNSEEN_FILE} beside {raw[0][1]}: there are no unseen people. {ADVICE}", stacklevel=2)
    known, *others = [origin(*one, name) for one, name in zip(raw, (FILE, UNSEEN_FILE), strict=False)]
    for found in others:
        if found["source"] != known["source"]:
            raise ValueError(
                f"{raw[1][1]} is {found['source']} beside {raw[0][1]}, which is {known['source']}; expected two "
                f"files of one origin: take one away, or {ADVICE}"
            )
        known["unseen_sha256"] = found["sha256"]
    digits = [parse_unipen(data, where) for data, where in raw]
    return {split: build(digits[0], known, options, split, *digits[1:]) for split in splits}


def raw_files(options: Options, root: str | Path = ".") -> list[tuple[bytes, str]]:
    """The training file of pen-digits and, where it lies beside, the file of other writers; each with the way it came.

    From the UCI zip, pendigits-orig.tra.Z or pendigits-orig.tra, or synthetic digits. Raises what `raw_path` raises,
    and ValueError for a file that is there but damaged, which is never passed over.
    """

    def download(folder: Path) -> Path:
        return fetch(URL, ARCHIVE_SHA256, ARCHIVE, folder, ADVICE)

    path = raw_path("pendigits", options.source, root, look=_look, advice=ADVICE, download=download)
    if path:
        first, second = _read(path, FILE), _second(path)
        return [first, _read(second, UNSEEN_FILE)] if second else [first]
    each, seed = {"digits_per_writer": options.synthetic_digits_per_writer}, options.seed
    known = synthetic.synthetic_pendigits(seed, **each)
    unseen = synthetic.synthetic_pendigits(subseed(seed, "unseen people"), SYNTHETIC_UNSEEN, **each)
    return [
        (known, f"synthetic digits from seed {seed}"),
        (unseen, f"digits of other synthetic writers from seed {seed}"),
    ]


def origin(data: bytes, where: str, name: str = FILE) -> dict:
    """What is known of a raw file, FILE or UNSEEN_FILE by its name.

    It is the same whichever way the file came, which so makes nothing downstream stale.
    """
    sha256, known = hashlib.sha256(data).hexdigest(), {FILE: SHA256, UNSEEN_FILE: UNSEEN_SHA256}[name]
    source = "uci" if sha256 == known else "unknown"
    if any(mark in data[:2000].lower() for mark in MARKS):
        source = "synthetic"
    if source == "unknown":
        warnings.warn(f"{where} is not the known {name} (sha256 {known}): all results will say so", stacklevel=3)
    return {"source": source, "sha256": sha256, **ORIGINS[source]}


def _look(folder: Path) -> Path | None:
    """The file to read in `folder`: a zip, then the .Z, then the plain file."""
    return next((path for form in ("*.zip", f"{FILE}.Z", FILE) for path in sorted(folder.glob(form))), None)


def _second(path: Path) -> Path | None:
    """Where UNSEEN_FILE is to be read: in the zip that holds FILE, or beside FILE; None where it is not."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as file:
            if _member(file, UNSEEN_FILE):
                return path
    return next((one for end in (".Z", "") if (one := path.parent / f"{UNSEEN_FILE}{end}").exists()), None)


def _member(file: zipfile.ZipFile, name: str) -> str | None:
    """The member of a zip that is the file `name`, packed or not; the folder in there is of no account."""
    members = {PurePosixPath(member).name: member for member in file.namelist()}
    return members.get(f"{name}.Z") or members.get(name)


def _read(path: Path, name: str) -> tuple[bytes, str]:
    """Read the file `name` in one of the three forms; a damaged file is a ValueError that names it."""
    where = str(path)
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as file:
                member = _member(file, name)
                if member is None:
                    found = ", ".join(file.namelist()[:20]) or "nothing"
                    raise ValueError(f"neither {name}.Z nor {name} among {found}")
                data = unzip(file, file.getinfo(member), LIMIT + 1)
                where = f"{path}, member {PurePosixPath(member).name}"
        else:
            with path.open("rb") as file:
                data = file.read(LIMIT + 1)
        limit = LIMIT if where.endswith(name) else LZW_LIMIT
        if len(data) > limit:
            raise ValueError(f"more than {limit} bytes")
        return data if where.endswith(name) else unlzw(data), where
    # zipfile, zlib and unlzw3 each have their own ways to say "damaged"; OSError is for a place before the beginning
    except (ValueError, LookupError, EOFError, RuntimeError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged or another file ({error}): delete it, or {ADVICE}") from error


def render(digits: Sequence[Digit], size: int = 20, frame: str = "digit") -> np.ndarray:
    """Draw digits with a round pen: uint8 (N, size, size), ink 255 on background 0.

    size   pixels on a side
    frame  "digit": the digit's own bounding box, aspect kept, centred, one pixel from the edge; "tablet": the whole
           tablet square, so that where and how large somebody writes is kept too

    The same digits give the same bytes: points are rounded to the large grid before PIL draws them.
    """
    pen = PENS[frame] * size / 20
    radius = round((pen * OVERSAMPLING - 1) / 2)  # of an odd width: PIL sets an even one aside of its line
    border = 1 + (radius + 0.5) / OVERSAMPLING
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
    digits: Sequence[Digit], provenance: dict, options: Options, split: str = "random", unseen: Sequence[Digit] = ()
) -> Dataset:
    """Images, private labels, attributes and split of a file's digits and, after them, of those of `unseen` people.

    z is the writer's rank among the writers present, from 0 (writer 1 is 0 where all are present). Writers of the
    second file have the numbers of the first again and are other people: they are counted on from there.
    """
    writers, z = np.unique([digit.writer for digit in digits], return_inverse=True)
    others, other_z = np.unique([digit.writer for digit in unseen], return_inverse=True)
    frame = "tablet" if split == "tablet" else "digit"
    parts = random_split(len(digits), options.split_sizes, numpy_generator(options.seed, "split"))
    if len(unseen):
        provenance = {**provenance, "unseen_digits": len(unseen), "unseen_writers": len(others)}
    return Dataset(
        images=render([*digits, *unseen], options.size, frame),
        z=np.concatenate([z, len(writers) + other_z]).astype(np.int64),
        attributes=attributes([*digits, *unseen]),
        split=np.concatenate([parts, np.full(len(unseen), UNSEEN, np.uint8)]),
        provenance={
            "dataset": "pendigits",
            **provenance,
            "private": "writer",
            "utility": "digit",
            "balanced": True,  # everybody was asked for every digit equally often: see evaluation.certificate
            "split": split,
            "digits": len(digits),
            "strokes": sum(len(digit.strokes) for digit in digits),
            "writers": len(writers),
            "size": options.size,
            "frame": frame,
            "split_seed": options.seed,
        },
    )
