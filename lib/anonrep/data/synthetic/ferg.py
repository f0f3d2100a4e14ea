"""Synthetic faces in place of FERG-DB: clips of our own characters in the real layout, for the same reader.

It lets the pipeline and its tests run anywhere. It is not the real thing: every image carries a comment that says so,
and whatever derives from it says so too.
"""

import csv
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tqdm import tqdm

from anonrep.data.dataset import Dataset
from anonrep.data.ferg_reader import CHARACTERS, COUNTS, EXPRESSIONS, RECORDED, SIZE, TABLE
from anonrep.data.image_files import SYNTHETIC, resized, to_grey
from anonrep.data.synthetic.faces.cast import CAST, NOBODY
from anonrep.data.synthetic.faces.character import Character
from anonrep.data.synthetic.faces.features import Moment
from anonrep.data.synthetic.faces.portrait import draw
from anonrep.utils.files import whole_folder
from anonrep.utils.seeds import numpy_generator

MARK = f"{SYNTHETIC} stand-in for FERG-DB: drawn by a program, nobody's face"  # the comment in each image
ORIGIN = {
    "licence": "MIT, made by this project",
    "citation": "synthetic faces in place of FERG-DB; its characters bear the real ones' names and are others",
}
TOP = "SYNTHETIC_256"  # in the place of FERG_DB_256
LENGTH = 12  # frames a clip, about

# How far a take of an expression departs from the usual one: one muscle's strength, and restless muscles at any time.
VARIETY = 0.18
RESTLESS = {"brow_up": 0.12, "brow_in": 0.08, "lid": 0.08, "squint": 0.05, "curve": 0.12, "wide": 0.08, "look": 0.15}
# Head, gaze and light: how far clips differ, how far they move within one, and what they never exceed.
MOVES = {
    "yaw": (0.14, 0.12, 0.38),
    "pitch": (0.06, 0.05, 0.16),
    "roll": (0.05, 0.04, 0.14),
    "x": (0.03, 0.02, 0.08),
    "y": (0.02, 0.015, 0.05),
    "gaze": (0.35, 0.45, 1.0),
    "light": (0.50, 0.25, 1.0),
}


@dataclass(frozen=True)
class Clip:
    """Consecutive frames of one character with one expression, which rises and falls.

    name        of the character, in files' names and for its random numbers
    expression  index into EXPRESSIONS
    first       number of the first frame
    """

    who: Character
    name: str
    expression: int
    first: int
    moment: Moment

    def recorded(self, number: int) -> dict[str, np.ndarray]:
        """What is known of each frame of clip `number`: see RECORDED. The pose is the head's yaw in radians."""
        moment = self.moment
        values = {"clip": np.full(len(moment), number), "pose": moment.yaw, "gaze": moment.gaze, "light": moment.light}
        return {name: np.round(value, 4) for name, value in values.items()}


def perform(who: Character, expression: str, frames: int, draw_from: np.random.Generator) -> Moment:
    """One take of an expression: a smooth rise and fall, with its own strengths, pose, gaze and light."""
    t = (np.arange(frames) + 0.5) / frames
    low, high = draw_from.uniform(0.25, 0.45), draw_from.uniform(0.85, 1.1)
    strength = low + (high - low) * np.sin(np.pi * t) ** 0.8
    muscles = {}
    for name, full in who.face(expression).items():
        gain = np.exp(VARIETY * draw_from.standard_normal())
        muscles[name] = full * gain * strength + RESTLESS.get(name, 0) * _drift(t, 0.7, 0.7, draw_from)
    moves = {
        name: np.clip(_drift(t, between, within, draw_from), -most, most)
        for name, (between, within, most) in MOVES.items()
    }
    return Moment(muscles, **moves)


def _drift(t: np.ndarray, between: float, within: float, draw_from: np.random.Generator) -> np.ndarray:
    """A slow wave about a random level: `between` and `within` are standard deviations."""
    level, height, phase, speed = draw_from.standard_normal(), *draw_from.random(3)
    return between * level + within * 2 * height * np.sin(2 * np.pi * (phase + (0.4 + 0.6 * speed) * t))


def clips(name: str, who: Character, totals: np.ndarray, seed: int) -> list[Clip]:
    """As many frames of each expression as `totals` says, cut into clips of about LENGTH frames."""
    found = []
    for expression, total in enumerate(totals):
        for frames in np.array_split(np.arange(1, total + 1), max(1, round(total / LENGTH))):
            draw_from = numpy_generator(seed, "ferg", name, EXPRESSIONS[expression], frames[0])
            moment = perform(who, EXPRESSIONS[expression], len(frames), draw_from)
            found.append(Clip(who, name, expression, int(frames[0]), moment))
    return found


def write(folder: str | Path, *, images: int = 6000, seed: int = 0) -> None:
    """Write about `images` images in the real data set's proportions, in the place of older synthetic faces.

    The same arguments give the same bytes. After an error the folder is as it was. Raises FileExistsError where the
    folder holds anything else than synthetic faces.
    """
    if images < COUNTS.size:
        raise ValueError(f"{images} images; expected {COUNTS.size} at least, one a character and expression")
    totals = np.maximum(1, np.rint(COUNTS * images / COUNTS.sum()).astype(int))
    takes = [clip for name, row in zip(CHARACTERS, totals, strict=True) for clip in clips(name, CAST[name], row, seed)]
    folder = Path(folder)
    if folder.exists() and not (folder / TOP).exists():
        raise FileExistsError(f"{folder} is there and holds no synthetic faces; expected a new name or theirs")
    with whole_folder(folder, replace=True) as room:
        top, rows = room / TOP, [["file", *RECORDED]]
        with (
            ThreadPoolExecutor(os.cpu_count()) as pool,
            tqdm(desc="drawing", total=int(totals.sum()), unit=" images", mininterval=1) as bar,
        ):
            for number, files in enumerate(pool.map(lambda clip: _write(clip, top), takes)):
                rows += zip(
                    files, *(column.tolist() for column in takes[number].recorded(number).values()), strict=True
                )
                bar.update(len(files))
        with (top / TABLE).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def _write(clip: Clip, top: Path) -> list[str]:
    """Write the images of one clip; their names."""
    name = f"{clip.name}_{EXPRESSIONS[clip.expression]}"
    folder = top / clip.name / name
    folder.mkdir(parents=True, exist_ok=True)
    comment = PngInfo()
    comment.add_text("Comment", MARK)
    files = [f"{name}_{clip.first + k}.png" for k in range(len(clip.moment))]
    for file, image in zip(files, draw(clip.who, clip.moment, SIZE), strict=True):
        Image.fromarray(image).save(folder / file, pnginfo=comment, compress_level=3)
    return files


def nobody(images: int = 420, size: int = 50, seed: int = 0) -> Dataset:
    """The artificial identity of the paper's remark: about `images` images of a character that is none of the six.

    Its private label is the seventh, 6; all of it is training data, as often of each expression, and it may stand
    beside the synthetic or the real data as the template of a release.
    """
    takes = clips("nobody", NOBODY, np.full(len(EXPRESSIONS), max(1, round(images / len(EXPRESSIONS)))), seed)
    known = [clip.recorded(number) for number, clip in enumerate(takes)]
    drawn = (Image.fromarray(image) for clip in takes for image in draw(clip.who, clip.moment, SIZE))
    pictures = [resized(to_grey(image)[0], (size, size)) for image in drawn]
    frames = np.concatenate([clip.first + np.arange(len(clip.moment)) for clip in takes])
    return Dataset(
        images=np.stack(pictures),
        z=np.full(len(pictures), len(CHARACTERS)),
        attributes={
            "expression": np.repeat([clip.expression for clip in takes], [len(clip.moment) for clip in takes]),
            "frame": frames,
            **{name: np.concatenate([one[name] for one in known]) for name in RECORDED},
        },
        split=np.zeros(len(pictures), np.uint8),
        provenance={
            "dataset": "ferg",
            "source": "synthetic",
            "private": "identity",
            "utility": "expression",
            "ink": False,
            "size": size,
            "seed": seed,
            **ORIGIN,
            "characters": ["nobody"],
        },
    )
