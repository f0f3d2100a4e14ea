"""FERG-DB as it is handed out, a folder or its zip, read strictly: whatever is wrong is named, all of it at once.

`FERG_DB_256/aia/aia_anger/aia_anger_1.png` is character, expression and number of the frame; the folder on top may have
any name. Nothing is unpacked to disk.
"""

import csv
import hashlib
import io
import math
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from anonrep.data.image_reader import read_image
from anonrep.data.image_tree import MOST, SHOWN, File, ImageTreeError, folder_files, read_all, zip_files

CHARACTERS = ("aia", "bonnie", "jules", "malcolm", "mery", "ray")
EXPRESSIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
SIZE = 256  # pixels a side, in colour
COUNTS = np.array(  # images a character (rows) and expression (columns): 55767
    [
        [1644, 1596, 1116, 1232, 1200, 1469, 1746],
        [2059, 2088, 1255, 1438, 1243, 1506, 1682],
        [1479, 1321, 1858, 1317, 1344, 1475, 1961],
        [1100, 1190, 1018, 1089, 1083, 1034, 1065],
        [1428, 911, 1035, 1140, 941, 1045, 1058],
        [1459, 1465, 1137, 1114, 1128, 1098, 1200],
    ]
)
NAME = re.compile(rf"({'|'.join(CHARACTERS)})_({'|'.join(EXPRESSIONS)})_([0-9]{{1,4}})\.png")
IMAGE_LIMIT = 2**20  # bytes; uncompressed, an image has 0.2 MB
TABLE = "attributes.csv"  # of synthetic faces: what is recorded of each image
RECORDED = {"clip": np.int64, "pose": np.float64, "gaze": np.float64, "light": np.float64}
TABLE_LIMIT = 16 * 2**20  # bytes; 60 an image
EXPECTED = f"{SIZE} x {SIZE} PNG images named like aia/aia_anger/aia_anger_1.png"


@dataclass(frozen=True)
class Frames:
    """N images as read, ordered by character, expression and frame.

    images      uint8 (N, size, size), 0 black, 255 white
    character   int64 (N,), index into CHARACTERS
    expression  int64 (N,), index into EXPRESSIONS
    frame       int64 (N,), the number in the file's name
    recorded    what TABLE says beyond that, (N,) each: those of RECORDED, or nothing
    synthetic   whether any image says that it is synthetic
    sha256      over names and bytes of all images, in order; the same for a folder and for its zip
    """

    images: np.ndarray
    character: np.ndarray
    expression: np.ndarray
    frame: np.ndarray
    recorded: dict[str, np.ndarray]
    synthetic: bool
    sha256: str

    def __len__(self) -> int:
        return len(self.images)


def read(path: str | Path, size: int = 50) -> Frames:
    """Read a folder or a zip, on all cores, into grey images of `size` pixels a side.

    Junk that systems leave (.DS_Store, __MACOSX) and files outside the characters' folders that are no PNG are passed
    over. Raises ImageTreeError, a ValueError, that names every file that is misnamed, twice there, unreadable,
    truncated or of another size, and every wrong line of attributes.csv; FileNotFoundError where there is nothing at
    `path`.
    """
    path, problems = Path(path), []
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; expected the folder or the zip of FERG-DB")
    if path.is_dir():
        return _read(path, folder_files(path, problems, links=True), size, problems)
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # zipfile, struct and the decoder each have their own way to say "damaged"
        raise ImageTreeError(path, [f"{path.name}: no readable zip ({error})"], EXPECTED) from error
    with archive:
        return _read(path, zip_files(archive), size, problems)


def _read(path: Path, files: Iterator[File], size: int, problems: list[str]) -> Frames:
    places, tables = {}, []
    listed = list(islice(files, MOST + 1))
    if len(listed) > MOST:
        raise ImageTreeError(path, [f"more than {MOST} files; the data set has {COUNTS.sum()}"], EXPECTED)
    for file in sorted(listed, key=lambda file: file.name):
        *above, name = file.name.split("/")
        if name == TABLE:
            tables.append(file)
        elif place := _place(file.name):
            problems += [f"{file.name}: there already as {places[place].name}"] if place in places else []
            places.setdefault(place, file)
        elif name.lower().endswith(".png") or set(above) & set(CHARACTERS):
            problems.append(f"{file.name}: misnamed")
    order = sorted(places)
    done = read_all(
        [places[place] for place in order],
        lambda file: read_image(file, (size, size), formats=("PNG",), most=IMAGE_LIMIT, fault=_fault),
    )
    problems += [f"{places[place].name}: {bad}" for place, bad in zip(order, done, strict=True) if isinstance(bad, str)]
    problems += [f"{file.name}: a second {TABLE}" for file in tables[1:]]
    recorded, wrong = _table(tables[0], order) if tables else ({}, [])
    if problems + wrong or not order:
        raise ImageTreeError(path, sorted(problems) + wrong or ["no images"], EXPECTED)
    character, expression, frame = np.array(order, np.int64).T.copy()
    digest = hashlib.sha256()
    for place, picture in zip(order, done, strict=True):
        digest.update(_name(place).encode() + picture.sha256)
    return Frames(
        images=np.stack([picture.grey for picture in done]),
        character=character,
        expression=expression,
        frame=frame,
        recorded=recorded,
        synthetic=any(picture.synthetic for picture in done),
        sha256=digest.hexdigest(),
    )


def _fault(image: Image.Image) -> str | None:
    if image.size == (SIZE, SIZE) and image.mode in ("RGB", "RGBA", "P", "L"):
        return None
    return f"{image.size[0]} x {image.size[1]} pixels, mode {image.mode}"


def _place(path: str) -> tuple[int, int, int] | None:
    """Character, expression and frame of a path, if it is named as it should be."""
    *above, character, folder, file = ("", "", *path.split("/"))
    match = NAME.fullmatch(file)
    if not match or (character, folder) != (match[1], f"{match[1]}_{match[2]}"):
        return None
    if "\\" in path or {"..", ""} & set(above[2:]):  # a path that leads out of the folder, or pretends to
        return None
    return CHARACTERS.index(match[1]), EXPRESSIONS.index(match[2]), int(match[3])


def _name(place: tuple[int, int, int]) -> str:
    return f"{CHARACTERS[place[0]]}_{EXPRESSIONS[place[1]]}_{place[2]}.png"


def _table(file: File, order: list[tuple[int, int, int]]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The columns of attributes.csv in the images' order, and what is wrong with it, line by line."""
    try:
        data = file.read(TABLE_LIMIT + 1)
        if len(data) > TABLE_LIMIT:
            raise ValueError(f"more than {TABLE_LIMIT} bytes")
        lines = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    except Exception as error:  # zipfile, csv and the decoder each have their own way to say "damaged"
        return {}, [f"{file.name}: unreadable ({error})"]
    header = ["file", *RECORDED]
    if lines[:1] != [header]:
        return {}, [f"{file.name}: expected the header {','.join(header)}"]
    names, rows, wrong = set(map(_name, order)), {}, []
    for number, line in enumerate(lines[1:], start=2):
        try:
            name, *texts = line
            values = [kind(text) for kind, text in zip(RECORDED.values(), texts, strict=True)]
            if name not in names or name in rows or not all(map(math.isfinite, values)):
                raise ValueError("an unknown or repeated file, or a number that is not finite")
            rows[name] = values
        except (ValueError, OverflowError) as error:
            wrong.append(f"{file.name}, line {number}: {error}")
    missing = sorted(names - set(rows))
    if missing and not wrong:
        wrong.append(f"{file.name}: no line for {', '.join(missing[:SHOWN])}")
    if wrong:
        return {}, wrong
    table = zip(*(rows[_name(place)] for place in order), strict=True)
    return {key: np.array(column, RECORDED[key]) for key, column in zip(RECORDED, table, strict=True)}, []
