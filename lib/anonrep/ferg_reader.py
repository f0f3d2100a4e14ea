"""FERG-DB as it is handed out, a folder or its zip, read strictly: whatever is wrong is named, all of it at once.

`FERG_DB_256/aia/aia_anger/aia_anger_1.png` is character, expression and number of the frame; the folder on top may have
any name. Nothing is unpacked to disk.
"""

import csv
import hashlib
import io
import math
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

CHARACTERS = ("aia", "bonnie", "jules", "malcolm", "mery", "ray")
EXPRESSIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
SIZE = 256  # pixels a side, in colour
RECORDED = {"clip": np.int64, "pose": np.float64, "gaze": np.float64, "light": np.float64}
TABLE = "attributes.csv"  # of a stand-in: what it knows of each image
SYNTHETIC = "Synthetic stand-in for FERG-DB: drawn by a program, nobody's face"  # a comment in each image of a stand-in
NAME = re.compile(rf"({'|'.join(CHARACTERS)})_({'|'.join(EXPRESSIONS)})_([0-9]{{1,4}})\.png")
JUNK = re.compile(r"\.(?!\.).*|__MACOSX|Thumbs\.db|desktop\.ini", re.IGNORECASE)  # what systems leave beside files
IMAGE_LIMIT = 2**20  # bytes; uncompressed, an image has 0.2 MB
TABLE_LIMIT = 16 * 2**20  # bytes; 60 an image
MOST = 200_000  # files; the data set has 55,767
BATCH = 64  # images that a thread reads before it hands them over
SHOWN = 100  # problems that an error spells out


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
    synthetic   whether any image says that it is a stand-in's
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


@dataclass(frozen=True)
class _File:
    name: str  # its path in the folder or the zip
    read: Callable[[int], bytes]  # its bytes, at most as many as asked for


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
        return _read(path, _folder(path), size)
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # zipfile, struct and the decoder each have their own way to say "damaged"
        raise FergError(path, [f"{path.name}: no readable zip ({error})"]) from error
    with archive:
        return _read(path, _zip(archive), size)


def _folder(root: Path) -> Iterator[_File]:
    for folder, _, names in os.walk(root, onerror=_complain, followlinks=True):
        above = "".join(f"{part}/" for part in Path(folder).relative_to(root).parts)
        for name in names:
            file = os.path.join(folder, name)  # text: tens of thousands of Path objects cost more than the walk
            yield _File(above + name, lambda most, file=file: _bytes(file, most))


def _complain(error: OSError) -> None:
    raise error


def _bytes(file: str, most: int) -> bytes:
    found = os.stat(file)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("no regular file")
    with open(file, "rb", buffering=0) as stream:
        return stream.read(min(most, found.st_size))  # `most` alone would clear a megabyte for each image


def _zip(archive: zipfile.ZipFile) -> Iterator[_File]:
    for entry in archive.infolist():
        if not entry.filename.endswith("/"):
            yield _File(entry.filename, lambda most, entry=entry: _unzip(archive, entry, most))


def _unzip(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    if entry.flag_bits & 1:
        raise ValueError("locked by a password: unpack the zip and read the folder")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile unpacks the others whole, whatever it is asked for: gigabytes from one kilobyte
        raise ValueError("neither stored nor deflated: unpack the zip and read the folder")
    with archive.open(entry) as stream:
        return stream.read(most)  # the size that a zip declares may be a lie


def _read(path: Path, files: Iterator[_File], size: int) -> Frames:
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
        elif place := _place(file.name):
            problems += [f"{file.name}: there already as {places[place].name}"] if place in places else []
            places.setdefault(place, file)
        elif file.name.lower().endswith(".png") or set(parts[:-1]) & set(CHARACTERS):
            problems.append(f"{file.name}: misnamed")
    order = sorted(places)
    done = _images([places[place] for place in order], size)
    problems += [f"{places[place].name}: {bad}" for place, bad in zip(order, done, strict=True) if isinstance(bad, str)]
    problems += [f"{file.name}: a second {TABLE}" for file in tables[1:]]
    recorded, wrong = _recorded(tables[0], order) if tables else ({}, [])
    if problems + wrong or not order:
        raise FergError(path, sorted(problems) + wrong or ["no images"])
    character, expression, frame = np.array(order, np.int64).T.copy()
    digest = hashlib.sha256()
    for place, (_, sha256, _) in zip(order, done, strict=True):
        digest.update(_name(place).encode() + sha256)
    return Frames(
        images=np.stack([image for image, _, _ in done]),
        character=character,
        expression=expression,
        frame=frame,
        recorded=recorded,
        synthetic=any(synthetic for _, _, synthetic in done),
        sha256=digest.hexdigest(),
    )


def _place(name: str) -> tuple[int, int, int] | None:
    """Character, expression and frame of a path, if it is named as it should be."""
    *above, character, folder, file = ("", "", *name.split("/"))
    match = NAME.fullmatch(file)
    if not match or (character, folder) != (match[1], f"{match[1]}_{match[2]}"):
        return None
    if "\\" in name or {"..", ""} & set(above[2:]):  # a path that leads out of the folder, or pretends to
        return None
    return CHARACTERS.index(match[1]), EXPRESSIONS.index(match[2]), int(match[3])


def _name(place: tuple[int, int, int]) -> str:
    return f"{CHARACTERS[place[0]]}_{EXPRESSIONS[place[1]]}_{place[2]}.png"


def _images(files: list[_File], size: int) -> list[tuple[np.ndarray, bytes, bool] | str]:
    """What `_image` says of each file. In batches: a thread that hands over each image waits for the others' turns."""
    batches, done = [files[start : start + BATCH] for start in range(0, len(files), BATCH)], []
    with ThreadPoolExecutor(os.cpu_count()) as pool, tqdm(desc="reading", total=len(files), unit=" images") as bar:
        for batch in pool.map(lambda batch: [_image(file, size) for file in batch], batches):
            done += batch
            bar.update(len(batch))
    return done


def _image(file: _File, size: int) -> tuple[np.ndarray, bytes, bool] | str:
    """The grey image, the sha256 of the file and whether it is synthetic; or, in words, what is wrong."""
    try:
        data = file.read(IMAGE_LIMIT + 1)
        if len(data) > IMAGE_LIMIT:
            return f"more than {IMAGE_LIMIT} bytes"
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.size != (SIZE, SIZE) or image.mode not in ("RGB", "RGBA", "P", "L"):
                return f"{image.size[0]} x {image.size[1]} pixels, mode {image.mode}"
            _check(data)
            grey = shrink(image, size)
            synthetic = image.info.get("Comment") == SYNTHETIC
    except UnidentifiedImageError:
        return "unreadable, no PNG"
    except Exception as error:  # zipfile, zlib, struct and PIL each have their own way to say "damaged"
        return f"unreadable or truncated ({error})"
    return grey, hashlib.sha256(data).digest(), synthetic


def _check(png: bytes) -> None:
    """Raise ValueError unless every chunk is whole and has its checksum: PIL passes over those of the pixels.

    `Image.verify` says the same and wants the file opened again, which is felt in tens of thousands of images.
    """
    view, start, kind = memoryview(png), 8, b""
    while kind != b"IEND":
        end = start + 8 + int.from_bytes(view[start : start + 4])
        kind, checksum = png[start + 4 : start + 8], view[end : end + 4]
        if len(checksum) < 4 or zlib.crc32(view[start + 4 : end]) != int.from_bytes(checksum):
            raise ValueError(f"broken chunk {kind!r}")
        start = end + 4


def shrink(image: Image.Image, size: int) -> np.ndarray:
    """Colour to grey (ITU-R 601), then the mean over each pixel's square: uint8 (size, size)."""
    return np.asarray(image.convert("L").resize((size, size), Image.Resampling.BOX))


def _recorded(file: _File, order: list[tuple[int, int, int]]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The columns of attributes.csv in the images' order, and what is wrong with it, line by line."""
    try:
        data = file.read(TABLE_LIMIT + 1)
        if len(data) > TABLE_LIMIT:
            raise ValueError(f"more than {TABLE_LIMIT} bytes")
        lines = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    except Exception as error:  # zipfile, csv and the decoder, as above
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
