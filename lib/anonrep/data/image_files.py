"""Image files of a folder or a zip that may hold anything, read strictly: whatever is wrong is told, all of it at once.

Read are PNG, JPEG, BMP, TIFF, GIF, WebP and PNM with one picture a file. Colour becomes grey (ITU-R 601), what is
transparent white, 16 bits become 8, and EXIF turns are undone.
"""

import hashlib
import io
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from anonrep.utils.files import Plain

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP", "PPM")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "I;16", "I;16L", "I;16B")
PIXELS = 50_000_000  # of an image as it lies there
BYTES = 64 * 2**20  # of a file
FILES = 200_000  # in a folder or a zip
JUNK = re.compile(r"\.(?!\.).*|__MACOSX|@eaDir|(eh)?Thumbs\.db|desktop\.ini", re.IGNORECASE)  # what systems leave
SHOWN = 100  # problems that an error spells out
SYNTHETIC = "Synthetic"  # how the comment begins that every synthetic image carries
BATCH = 32  # files that a thread reads before it hands them over: for each single image it would wait for its turn
# Not waiting for who writes to a pipe; and on Windows, bytes as they are.
OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class ImageTreeError(Plain, ValueError):
    """What is wrong with a folder or a zip of images; `problems` has a line for each thing.

    expected  what the images should be, for the first line
    """

    def __init__(self, path: Path, problems: Sequence[str], expected: str = "") -> None:
        self.problems = [printable(problem) for problem in problems]
        more = len(problems) - SHOWN
        shown = self.problems[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)}{expected and f'; expected {expected}'}"
        super().__init__(f"{path}: {count}. Mend or remove:\n" + "\n".join(shown))


def printable(text: str) -> str:
    """A file's name may hold anything: a line end, a terminal's commands, bytes that are no UTF-8."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


@dataclass(frozen=True)
class File:
    """One file, not read yet."""

    name: str  # its path in the folder or the zip
    read: Callable[[int], bytes]  # its bytes, at most as many as asked for

    def whole(self) -> bytes:
        """All its bytes. ValueError where there are more than BYTES, and whatever reading raises."""
        data = self.read(BYTES + 1)
        if len(data) > BYTES:
            raise ValueError(f"more than {BYTES} bytes")
        return data


def folder_files(root: Path, problems: list[str], *, links: bool) -> Iterator[File]:
    """All files below a folder except junk; what cannot be looked into joins `problems`.

    links  whether links to folders are followed; else each is a problem
    """
    walk = os.walk(root, onerror=lambda error: problems.append(f"unreadable ({error})"), followlinks=links)
    for folder, folders, names in walk:
        above = "".join(f"{part}/" for part in Path(folder).relative_to(root).parts)
        folders[:] = sorted(name for name in folders if not JUNK.fullmatch(name))
        for name in folders:
            if not links and os.path.islink(os.path.join(folder, name)):  # somebody's images would be missing
                problems.append(f"{above}{name}: a link to a folder; expected the folder itself")
        for name in names:
            if not JUNK.fullmatch(name):
                file = os.path.join(folder, name)  # text: tens of thousands of Path objects cost more than the walk
                yield File(above + name, lambda most, file=file: _read(file, most))


def _read(file: str, most: int) -> bytes:
    """In as few system calls as can be: at each of them threads that decode may have to wait for each other."""
    try:
        handle = os.open(file, OPEN)
    except FileNotFoundError:
        raise ValueError("a link that leads nowhere") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("no regular file")
        return os.read(handle, min(most, found.st_size))  # `most` alone would clear so much memory for each image
    finally:
        os.close(handle)


def zip_files(archive: zipfile.ZipFile) -> Iterator[File]:
    """All files of a zip except junk. Reading one raises ValueError where it is locked or would be unpacked whole."""
    for entry in archive.infolist():
        parts = entry.filename.split("/")
        if parts[-1] and not any(JUNK.fullmatch(part) for part in parts if part != "."):
            yield File(entry.filename, lambda most, entry=entry: unzip(archive, entry, most))


def unzip(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """At most so many bytes of a zip's member. ValueError where it is locked or could only be unpacked whole."""
    if entry.flag_bits & 1:
        raise ValueError("locked by a password: unpack the zip and read the folder")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile unpacks the others whole, whatever it is asked for: gigabytes from one kilobyte
        raise ValueError("neither stored nor deflated: unpack the zip and read the folder")
    with archive.open(entry) as stream:
        return stream.read(most)  # the size that a zip declares may be a lie


@dataclass(frozen=True)
class Picture:
    """One image as read."""

    grey: np.ndarray  # uint8 (H, W)
    size: tuple[int, int]  # before resizing
    colour: bool
    synthetic: bool
    sha256: bytes  # of the file
    look: bytes  # sha256 of the grey pixels before resizing


def read_images(files: Mapping[str, File], shape: tuple[int, int] | None) -> tuple[dict[str, Picture], list[str]]:
    """Those of the images by name that can be read, in order, on all cores; and a line for each other one.

    shape  (height, width) to which they are resized by the mean over boxes; None: they stay as they are
    """
    named, found, problems = list(files.items()), {}, []
    batches = [named[start : start + BATCH] for start in range(0, len(named), BATCH)]
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(desc="reading", total=len(named), unit=" images", mininterval=1) as bar,
    ):
        for batch in pool.map(lambda batch: [(name, _read_image(file, shape)) for name, file in batch], batches):
            found |= {name: one for name, one in batch if isinstance(one, Picture)}
            problems += [f"{name}: {one}" for name, one in batch if isinstance(one, str)]
            bar.update(len(batch))
    return found, problems


def _read_image(file: File, shape: tuple[int, int] | None) -> Picture | str:
    """One image; or, in words, what is wrong with it."""
    try:
        data = file.whole()
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if wrong := _fault(image):
                return wrong
            image.verify()  # the checksums; afterwards the file has to be opened again
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            synthetic = str(image.info.get("Comment")).startswith(SYNTHETIC)
            ImageOps.exif_transpose(image, in_place=True)
            grey, colour = to_grey(image)
    except UnidentifiedImageError:
        return f"unreadable; expected {', '.join(FORMATS)}"
    except Exception as error:  # PIL, zipfile, zlib, struct and the system each have their own way to say "damaged"
        return f"unreadable or truncated ({error})"
    look = hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).digest()
    small = grey if shape is None else resized(grey, shape)
    return Picture(small, grey.shape, colour, synthetic, hashlib.sha256(data).digest(), look)


def _fault(image: Image.Image) -> str | None:
    """Why an opened file is not one picture of a kind and size that can be used; None if it is."""
    if image.width * image.height > PIXELS:
        return f"{by(image.size[::-1])} pixels; expected at most {PIXELS // 10**6} million in all"
    # Telephones put a second, small picture behind the first (MPO).
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        return f"{image.n_frames} pictures in one file; expected one"
    if image.mode not in MODES and (image.mode, image.format) != ("I", "PPM"):
        return f"mode {image.mode}; expected grey, colour or a palette of 8 bits, or grey of 16"
    return None


def to_grey(image: Image.Image) -> tuple[np.ndarray, bool]:
    """A picture in one of MODES as uint8 (H, W), and whether colour was lost."""
    if image.mode.startswith("I"):  # a PNM file of 16 bits is opened as one of 32
        return np.round(np.asarray(image) / 257).astype(np.uint8), False  # PIL would cut everything above 255
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image if image.mode == "RGB" else image.convert("RGB")
    red, green, blue = np.moveaxis(np.asarray(image), 2, 0)
    colour = not (np.array_equal(red, green) and np.array_equal(red, blue))
    return np.asarray(image.convert("L")), colour


def resized(grey: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W) to another (height, width): each new pixel the mean of the box it covers."""
    return np.asarray(Image.fromarray(grey).resize(shape[::-1], Image.Resampling.BOX))


def checksum(names: Iterable[str], pictures: Iterable[Picture]) -> str:
    """sha256 over names and bytes of images, in order."""
    digest = hashlib.sha256()
    for name, picture in zip(names, pictures, strict=True):
        digest.update(name.encode() + picture.sha256)
    return digest.hexdigest()


def by(size: tuple[int, int]) -> str:
    """A size as messages write it."""
    return f"{size[0]} x {size[1]}"
