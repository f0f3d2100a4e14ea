"""Pen strokes to images: pure functions from digits as written to a data set of 20 x 20 grey images."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from anonrep.data.dataset import Dataset, random_split
from anonrep.data.unipen import TABLET, Digit
from anonrep.utils.seeds import numpy_generator

PENS = {"digit": 1.8, "tablet": 1.2}  # width of the line in pixels of 20 by frame: digits are smaller on the tablet
OVERSAMPLING = 8  # drawn this many times larger, black and white, then averaged: 65 levels of grey


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

    z is the writer's rank among the writers present, from 0 (writer 1 is 0 where all are present). `split_sizes` are
    the paper's; with another number of digits they are proportions. `seed` decides the split alone.
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
