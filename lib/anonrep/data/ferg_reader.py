"""FERG-DB as it is handed out, a folder or its zip, read strictly: whatever is wrong is named, all of it at once.

`FERG_DB_256/aia/aia_anger/aia_anger_1.png` is character, expression and number of the frame; the folder on top may have
any name. Nothing is unpacked to disk.
"""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from anonrep.data.attribute_table import read_table
from anonrep.data.image_files import FILES, File, ImageTreeError, by, checksum, folder_files, read_images, zip_files

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
TABLE = "attributes.csv"  # of synthetic faces: what is recorded of each image
RECORDED = {"clip": int, "pose": float, "gaze": float, "light": float}
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
    places, tables, wrong, recorded = {}, [], [], {}
    listed = list(islice(files, FILES + 1))
    if len(listed) > FILES:
        raise ImageTreeError(path, [f"more than {FILES} files; the data set has {COUNTS.sum()}"], EXPECTED)
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
    names = [f"{CHARACTERS[who]}_{EXPRESSIONS[what]}_{number}.png" for who, what, number in order]
    found, unread = read_images({places[place].name: places[place] for place in order}, (size, size))
    problems += unread
    problems += [f"{name}: {by(one.size)} pixels" for name, one in found.items() if one.size != (SIZE, SIZE)]
    problems += [f"{file.name}: a second {TABLE}" for file in tables[1:]]
    if tables:
        recorded, _ = read_table(tables[0], names, wrong, types=RECORDED)
    if problems + wrong or not order:
        raise ImageTreeError(path, sorted(problems) + wrong or ["no images"], EXPECTED)
    character, expression, frame = np.array(order, np.int64).T.copy()
    return Frames(
        images=np.stack([picture.grey for picture in found.values()]),
        character=character,
        expression=expression,
        frame=frame,
        recorded=recorded,
        synthetic=any(picture.synthetic for picture in found.values()),
        sha256=checksum(names, found.values()),
    )


def _place(path: str) -> tuple[int, int, int] | None:
    """Character, expression and frame of a path, if it is named as it should be."""
    *above, character, folder, file = ("", "", *path.split("/"))
    match = NAME.fullmatch(file)
    if not match or (character, folder) != (match[1], f"{match[1]}_{match[2]}"):
        return None
    if "\\" in path or {"..", ""} & set(above[2:]):  # a path that leads out of the folder, or pretends to
        return None
    return CHARACTERS.index(match[1]), EXPRESSIONS.index(match[2]), int(match[3])
