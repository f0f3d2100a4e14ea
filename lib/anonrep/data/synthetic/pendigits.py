"""Synthetic digits in place of pen-digits: a raw file in the real format, for the same reader.

It lets the pipeline and its tests run anywhere. It is not the real thing, and whatever derives from it says so.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.interpolate import CubicSpline

from anonrep.data.unipen import TABLET
from anonrep.utils.seeds import numpy_generator

HEADER = b".COMMENT Synthetic stand-in for pen-digits: drawn by a program, nobody wrote these digits\n"

# How far people differ, and how far one person varies; lengths are fractions of a digit's height. Set so that an
# attacker finds the writer of an image in 50 to 90 % and its digit in more than 97 %, a little above the real digits.
BETWEEN = {"slant": 0.16, "aspect": 0.15, "waist": 0.11, "taper": 0.10, "hand": 0.038}
WITHIN = {"slant": 0.08, "aspect": 0.09, "waist": 0.07, "taper": 0.07, "hand": 0.021, "turn": 0.04}
HABIT = 0.85  # how often somebody draws a digit the way that is usual for them


@dataclass(frozen=True)
class Stroke:
    """Points that the pen passes, x to the right and y upwards in a box of height 1; `corners` index the sharp ones."""

    points: np.ndarray  # (P, 2)
    corners: tuple[int, ...]

    @classmethod
    def read(cls, text: str) -> "Stroke":
        """A stroke from its text in WAYS."""
        words = text.split()
        points = np.array([word.rstrip("*").split(",") for word in words], np.float64) / 100
        return cls(points, tuple(index for index, word in enumerate(words) if word.endswith("*")))

    def path(self, samples: int, rounding: float) -> np.ndarray:
        """A matrix (samples, P): times the P points, moved as you like, it gives the pen's way through them.

        Cubic splines between the corners, smoothed by a Gaussian of `rounding` (fraction of the way) that takes the
        edge off corners. The pen is slow at the ends of the stroke, as a hand is.
        """
        points = self.points
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        along /= along[-1]
        even = np.linspace(0, 1, samples)
        stops = even - 0.1 * np.sin(2 * np.pi * even)
        matrix = np.zeros((samples, len(points)))
        bounds = [0, *self.corners, len(points) - 1]
        for first, last in pairwise(bounds):
            inside = (stops >= along[first] - 1e-12) & (stops <= along[last] + 1e-12)
            piece = slice(first, last + 1)
            matrix[inside] = 0  # a stop on a corner belongs to the later piece
            matrix[inside, piece] = _spline(along[piece], stops[inside])
        near = np.exp(-0.5 * ((stops[:, None] - stops) / max(rounding, 1e-3)) ** 2)
        return near / near.sum(1, keepdims=True) @ matrix


def _spline(knots: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """The weights (S, K) of K values at `knots` in their interpolation at S stops: not-a-knot, or a line for two."""
    if len(knots) == 2:
        share = (stops - knots[0]) / (knots[1] - knots[0])
        return np.stack([1 - share, share], axis=1)
    return CubicSpline(knots, np.eye(len(knots)), bc_type="not-a-knot")(stops)


# The usual ways to draw each digit: x,y in hundredths of its height, y upwards; * marks a corner, / lifts the pen.
WAYS = {
    0: (
        "38,99 10,82 1,42 26,1 56,22 62,62 34,100",
        "20,92 2,55 20,3 55,20 60,70 36,100 14,80",
        "36,100 60,68 56,22 28,0 2,40 8,80 40,100",
    ),
    1: (
        "30,100 29,50 28,0",
        "2,68 36,100* 35,50 34,0",
        "8,72 36,100* 35,50 34,0 / 6,1 34,0 64,2",
    ),
    2: (
        "3,76 20,98 50,90 50,62 28,30 0,2* 62,3",
        "5,78 24,99 52,86 48,56 24,16 6,2 2,14 18,17 40,4 66,5",
    ),
    3: (
        "4,86 26,100 50,82 40,60 18,53* 46,46 56,22 30,0 0,12",
        "4,98 54,99* 22,59* 50,50 58,22 30,0 0,10",
    ),
    4: (
        "20,100 10,66 0,38* 64,40 / 46,74 43,36 40,0",
        "44,100 22,68 0,34* 66,34 / 46,96 45,50 44,0",
        "16,96 4,66 12,46 36,52 52,94* 48,50 42,0",
    ),
    5: (
        "14,98 8,56* 38,62 60,36 46,6 20,0 0,10 / 14,99 36,98 60,100",
        "60,99 16,97* 9,57* 38,62 60,36 46,6 20,0 0,10",
        "58,98 30,96 12,78 24,62 60,36 46,6 20,0 0,10",
    ),
    6: (
        "46,100 18,74 2,34 16,2 44,6 54,28 34,44 8,26",
        "24,100 8,66 2,26 22,0 52,12 50,38 24,40 6,20",
    ),
    7: (
        "0,95 30,96 60,98* 38,50 24,0",
        "0,95 30,97 60,98* 40,50 26,0 / 10,48 34,49 58,52",
        "2,78 6,97* 56,97* 44,52 20,0",
    ),
    8: (
        "52,86 28,100 6,80 30,54 54,24 28,0 2,22 28,50 50,74 48,92",
        "30,54 6,76 28,100 50,78 28,53 2,26 28,0 56,24 32,54",
    ),
    9: (
        "50,84 28,100 4,78 20,54 44,64 53,92* 50,46 44,0",
        "48,86 26,100 4,80 18,56 42,64 52,88* 52,40 34,2 4,10",
    ),
}
SKELETONS = {digit: [[Stroke.read(text) for text in way.split(" / ")] for way in ways] for digit, ways in WAYS.items()}


class Writer:
    """One synthetic person: a style drawn once from `generator`, then digits that vary about it."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = draw = generator
        self.style = {name: BETWEEN[name] * draw.standard_normal() for name in ("slant", "aspect", "waist", "taper")}
        self.rounding = draw.uniform(0.005, 0.045)
        self.height = draw.uniform(130, 270)  # tablet units
        self.speed = draw.uniform(6, 14)  # tablet units between two points
        self.usual = {digit: int(draw.integers(len(ways))) for digit, ways in SKELETONS.items()}
        self.hand = {
            (digit, way, part): BETWEEN["hand"] * draw.standard_normal((len(stroke.points), 2))
            for digit, ways in SKELETONS.items()
            for way, strokes in enumerate(ways)
            for part, stroke in enumerate(strokes)
        }

    def write(self, digit: int, count: int) -> list[list[np.ndarray]]:
        """`count` of one digit: for each its strokes, integers (P, 2) on the tablet."""
        draw, ways = self.generator, SKELETONS[digit]
        chosen = np.where(draw.random(count) < HABIT, self.usual[digit], draw.integers(len(ways), size=count))
        return [strokes for way in range(len(ways)) for strokes in self._write(digit, way, int((chosen == way).sum()))]

    def _write(self, digit: int, way: int, count: int) -> list[list[np.ndarray]]:
        """`count` of one digit drawn one way, all at once."""
        draw = self.generator
        vary = {name: self.style.get(name, 0) + WITHIN[name] * draw.standard_normal((count, 1)) for name in WITHIN}
        height = self.height * np.exp(0.10 * draw.standard_normal((count, 1, 1)))
        centre = TABLET / 2 + 25 * draw.standard_normal((count, 1, 2))
        parts = []
        for part, stroke in enumerate(SKELETONS[digit][way]):
            points = stroke.points + self.hand[digit, way, part]
            points = points + WITHIN["hand"] * draw.standard_normal((count, *points.shape))
            length = np.linalg.norm(np.diff(stroke.points, axis=0), axis=1).sum() * self.height
            pen = stroke.path(max(6, round(length / self.speed)), self.rounding) @ points
            pen = _bend(pen - (0.3, 0.5), vary) * height + centre
            parts.append(np.clip(np.rint(pen), 0, TABLET).astype(np.int64))
        return [list(strokes) for strokes in zip(*parts, strict=True)]


def _bend(points: np.ndarray, vary: dict[str, np.ndarray]) -> np.ndarray:
    """Apply a style to paths (n, P, 2) about the origin, each quantity (n, 1)."""
    x, y = points[..., 0], points[..., 1]
    y = y + vary["waist"] * (0.25 - y**2)  # moves the middle, so that loops above and below change sizes
    x = x * np.exp(vary["aspect"] + 2 * vary["taper"] * y)
    x = x + np.tan(vary["slant"]) * y
    cosine, sine = np.cos(vary["turn"]), np.sin(vary["turn"])
    return np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def synthetic_pendigits(seed: int, writers: int = 30, digits_per_writer: int = 250) -> bytes:
    """A UNIPEN file like the training file of pen-digits, by synthetic writers; its first line says so.

    Each writer writes every digit about equally often. The same arguments give the same bytes, and a writer's digits do
    not depend on how many writers there are.
    """
    if writers < 1 or digits_per_writer < 10:
        raise ValueError(f"{writers} writers with {digits_per_writer} digits each; expected at least 1 with 10 each")
    written = []  # (label, writer, instance, strokes)
    for writer in range(1, writers + 1):
        # The word in these seeds is an old name of this module; another one would draw other digits.
        person = Writer(numpy_generator(seed, "standin", writer))
        counts = np.bincount(np.arange(digits_per_writer) % 10)
        pages = [(label, strokes) for label, count in enumerate(counts) for strokes in person.write(label, int(count))]
        order = person.generator.permutation(len(pages))
        written += [(pages[page][0], writer, instance, pages[page][1]) for instance, page in enumerate(order, start=1)]
    lines = ['.LEXICON "0" "1" "2" "3" "4" "5" "6" "7" "8" "9"', ".HIERARCHY      DIGIT"]
    count = 0
    for index in numpy_generator(seed, "standin", "order").permutation(len(written)):
        label, writer, instance, strokes = written[index]
        last = count + len(strokes) - 1
        numbers = str(count) if last == count else f"{count}-{last}"
        lines += ["", f'.SEGMENT DIGIT {numbers:>4} ? "{label}"', f".COMMENT {label} {writer:2d} {instance:4d}"]
        for stroke in strokes:
            lines += [".PEN_DOWN", *(f" {x:3d}  {y:3d}" for x, y in stroke.tolist()), ".PEN_UP", ".DT 100"]
        count = last + 1
    return HEADER + "\n".join(lines).encode("ascii") + b"\n"
