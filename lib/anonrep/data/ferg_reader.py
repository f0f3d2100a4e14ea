"""FERG-DB as it is handed out, a folder or its zip, read strictly: whatever is wrong is named, all of it at once.

`FERG_DB_256/aia/aia_anger/aia_anger_1.png` is character, expression and number of the frame; the folder on top may have
any name. Nothing is unpacked to disk.
"""

import hashlib
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from anonrep.data.ferg_attributes import TABLE, read_attributes
from anonrep.data.ferg_files import File, folder_files, zip_files
from anonrep.data.ferg_format import CHARACTERS, SHOWN, SIZE, name_of, place_of
from anonrep.data.ferg_images import read_images

JUNK = re.compile(r"\.(?!\.).*|__MACOSX|Thumbs\.db|desktop\.ini", re.IGNORECASE)  # what systems leave beside files
MOST = 200_000  # files; the data set has 55,767


class FergError(ValueError):
    """What is wrong with a folder or a zip; `problems` has a line for each file."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        problems = [_printable(problem) for problem in problems]
        shown = problems[:SHOWN] + ([f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else [])
        super().__init__(
            f"{path}: {len(problems)} problem{'s' * (len(problems) > 1)}; expected {SIZE} x {SIZE} PNG images named "
            "like aia/aia_anger/aia_anger_1.png. Mend or remove:\n" + "\n".join(shown)
        )
        self.problems = problems


def _printable(text: str) -> str:
    """A file's name may hold anything: a line end, a terminal's commands, bytes that are no UTF-8."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


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
    over. Raises FergError, a ValueError, that names every file that is misnamed, twice there, unreadable, truncated or
    of another size, and every wrong line of attributes.csv; FileNotFoundError where there is nothing at `path`.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; expected the folder or the zip of FERG-DB")
    if path.is_dir():
        return _read(path, folder_files(path), size)
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # zipfile, struct and the decoder each have their own way to say "damaged"
        raise FergError(path, [f"{path.name}: no readable zip ({error})"]) from error
    with archive:
        return _read(path, zip_files(archive), size)


def _read(path: Path, files: Iterator[File], size: int) -> Frames:
    places, tables, problems = {}, [], []
    listed = list(islice(files, MOST + 1))
    if len(listed) > MOST:
        raise FergError(path, [f"more than {MOST} files; the data set has 55767"])
    for file in sorted(listed, key=lambda file: file.name):
        parts = file.name.split("/")
        if any(JUNK.fullmatch(part) for part in parts if part != "."):
            continue
        if parts[-1] == TABLE:
            tables.append(file)
        elif place := place_of(file.name):
            problems += [f"{file.name}: there already as {places[place].name}"] if place in places else []
            places.setdefault(place, file)
        elif file.name.lower().endswith(".png") or set(parts[:-1]) & set(CHARACTERS):
            problems.append(f"{file.name}: misnamed")
    order = sorted(places)
    done = read_images([places[place] for place in order], size)
    problems += [f"{places[place].name}: {bad}" for place, bad in zip(order, done, strict=True) if isinstance(bad, str)]
    problems += [f"{file.name}: a second {TABLE}" for file in tables[1:]]
    recorded, wrong = read_attributes(tables[0], order) if tables else ({}, [])
    if problems + wrong or not order:
        raise FergError(path, sorted(problems) + wrong or ["no images"])
    character, expression, frame = np.array(order, np.int64).T.copy()
    digest = hashlib.sha256()
    for place, (_, sha256, _) in zip(order, done, strict=True):
        digest.update(name_of(place).encode() + sha256)
    return Frames(
        images=np.stack([image for image, _, _ in done]),
        character=character,
        expression=expression,
        frame=frame,
        recorded=recorded,
        synthetic=any(synthetic for _, _, synthetic in done),
        sha256=digest.hexdigest(),
    )
