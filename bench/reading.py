"""Pictures into arrays, beside plain PIL loops."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from anonrep.data import ferg_reader
from anonrep.data.pendigits import OVERSAMPLING, PENS, render
from anonrep.data.synthetic import ferg as synthetic_ferg
from anonrep.data.synthetic.pendigits import synthetic_pendigits
from anonrep.data.unipen import Digit, parse_unipen
from anonrep.pipeline.notebook import ENVIRONMENT
from bench.timing import Pairs, process, seconds


def rendering(images: int = 600, size: int = 20) -> Pairs:
    """Seconds for so many digits, and for a PIL loop that draws each stroke in its box and shrinks the image."""
    digits = parse_unipen(synthetic_pendigits(0, 30, max(10, images // 30)))[:images]
    while True:
        yield seconds(render, digits, size), seconds(drawn, digits, size)


def drawn(digits: Sequence[Digit], size: int) -> np.ndarray:
    """The plain loop: eight times larger, joined lines, then the mean over blocks; uint8 (N, size, size)."""
    large, pen = size * OVERSAMPLING, PENS["digit"] * size / 20 * OVERSAMPLING
    room, images = large - 2 * OVERSAMPLING - pen, []
    for digit in digits:
        points = np.concatenate(digit.strokes)
        low, high = points.min(0), points.max(0)
        scale = room / max(1, *(high - low))
        image = Image.new("L", (large, large))
        draw = ImageDraw.Draw(image)
        for stroke in digit.strokes:
            place = (stroke - (low + high) / 2) * scale * (1, -1) + large / 2
            line = [tuple(point) for point in place.tolist()]
            draw.line(line, fill=255, width=round(pen), joint="curve")
            for x, y in (line[0], line[-1]):
                draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)
        images.append(np.asarray(image.resize((size, size), Image.Resampling.BOX)))
    return np.stack(images)


def ferg(images: int = 2000, size: int = 50) -> Pairs:
    """Seconds for a folder of so many FERG images, and for a PIL loop in one process that checks nothing."""
    with tempfile.TemporaryDirectory() as folder, process(environment=ENVIRONMENT) as stage:
        faces = Path(folder, "ferg")
        synthetic_ferg.write(faces, images=images)
        while True:
            yield tuple(stage.submit(seconds, read, faces, size).result() for read in (ferg_reader.read, opened))


def opened(folder: Path, size: int) -> np.ndarray:
    """The plain loop: every PNG opened, made grey, shrunk; uint8 (N, size, size)."""
    images = []
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as image:
            images.append(np.asarray(image.convert("L").resize((size, size), Image.Resampling.BOX)))
    return np.stack(images)
