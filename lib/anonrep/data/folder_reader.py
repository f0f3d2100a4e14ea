"""The images of a folder and of the folders inside it, at any depth: whatever is wrong is named, all of it at once."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anonrep.data.image_reader import SIDES, Picture, by, read_image, shape_of
from anonrep.data.image_tree import MOST, File, ImageTreeError, folder_files, read_all

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".pgm", ".ppm", ".pbm"}
# Of pictures too, but not read: passed over in silence, somebody's would be missing.
UNREAD = {".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".pdf", ".psd", ".dng", ".cr2", ".nef", ".zip"}


@dataclass(frozen=True)
class Pictures:
    """N images as read, in the order of their names.

    images     uint8 (N, H, W), grey: 0 black, 255 white, or the other way round where they were inverted
    names      their paths in the folder, a slash between the parts
    sizes      how many had which (height, width) before they were resized
    colour     how many were in colour and are grey now
    synthetic  whether any image says that a program drew it
    sha256     over names and bytes of all files, in order
    """

    images: np.ndarray
    names: list[str]
    sizes: dict[tuple[int, int], int]
    colour: int
    synthetic: bool
    sha256: str

    def __len__(self) -> int:
        return len(self.images)


def read(folder: str | Path, *, size: int | Sequence[int] | None = None, invert: bool = False) -> Pictures:
    """Every image in a folder and in the folders inside it, whoever's they are.

    size    [height, width], or a side of a square: images are resized to it by the mean over boxes, their aspect is not
            kept; None: they must have one size
    invert  black becomes 255, as for ink on paper

    Raises ImageTreeError, a ValueError, that names all that is wrong; FileNotFoundError where there is no folder.
    """
    pictures, problems = look_through(folder, size, invert, labelled=False)
    if problems:
        raise ImageTreeError(Path(folder), problems)
    return pictures


def look_through(
    folder: str | Path, size: int | Sequence[int] | None, invert: bool, *, labelled: bool
) -> tuple[Pictures, list[str]]:
    """What can be read, and a line for each thing that is wrong: if there is one, not every name has an image.

    labelled  every image must lie in somebody's folder, and none may be there twice
    """
    folder, shape = Path(folder).expanduser(), shape_of(size)
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "is missing"
        raise FileNotFoundError(f"{folder} {found}; expected a folder of images (unpack a zip first)")
    files, problems = _files(folder, labelled)
    done = read_all(list(files.values()), lambda file: read_image(file, shape))
    found = {name: picture for name, picture in zip(files, done, strict=True) if isinstance(picture, Picture)}
    problems += [f"{name}: {bad}" for name, bad in zip(files, done, strict=True) if isinstance(bad, str)]
    if not files:
        problems.append(f"no images: expected files such as {'anna/001.png' if labelled else '001.png'}")
    if shape is None:
        problems += _wrong_sizes(found)
    if labelled:  # an image in training and in test at once would flatter every accuracy
        problems += _doubles(found)
    return _together(found, invert), problems


def normal(name: str) -> str:
    """A name that can be written anywhere; an accented letter is one character, as it mostly is in a CSV."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "backslashreplace").decode())


def _files(folder: Path, labelled: bool) -> tuple[dict[str, File], list[str]]:
    """The images of a folder by name, in order. What lies at its top and is no picture by its name is passed over."""
    found: dict[str, File] = {}
    problems: list[str] = []
    for file in sorted(folder_files(folder, problems, links=False), key=lambda file: file.name):
        name, suffix = normal(file.name), Path(file.name).suffix.lower()
        if suffix not in SUFFIXES:
            if "/" in name or suffix in UNREAD:
                problems.append(f"{name}: no image by its name; expected one of {' '.join(sorted(SUFFIXES))}")
        elif labelled and "/" not in name:
            problems.append(f"{name}: in nobody's folder")
        elif name in found:
            problems.append(f"{name}: there twice, in two spellings of the same letters")
        else:
            found[name] = file
    if len(found) > MOST:
        return {}, [*problems, f"{len(found)} images; expected at most {MOST}"]
    return dict(sorted(found.items())), problems


def _wrong_sizes(found: dict[str, Picture]) -> list[str]:
    """Images of another size than most, and a size that is out of bounds."""
    sizes = Counter(picture.size for picture in found.values())
    way_out, problems = "give `size` to have all resized", []
    for usual, count in sizes.most_common(1):
        if not all(SIDES[0] <= side <= SIDES[1] for side in usual):
            problems.append(f"{by(usual)} pixels; expected {SIDES[0]} to {SIDES[1]} a side: {way_out}")
        problems += [
            f"{name}: {by(picture.size)} pixels where {count} of the images have {by(usual)}; {way_out}"
            for name, picture in found.items()
            if picture.size != usual
        ]
    return problems


def _doubles(found: dict[str, Picture]) -> list[str]:
    """Images that were there before, whatever their files are called and hold besides."""
    first: dict[bytes, str] = {}
    known = {name: first.setdefault(picture.look, name) for name, picture in found.items()}
    return [f"{name}: the same image as {one}" for name, one in known.items() if name != one]


def _together(found: dict[str, Picture], invert: bool) -> Pictures:
    """Images of several sizes cannot be stacked; there are problems then, and only those of the usual size are kept."""
    shapes = Counter(picture.grey.shape for picture in found.values())
    usual = max(shapes, key=shapes.get, default=(0, 0))
    grey = [picture.grey for picture in found.values() if picture.grey.shape == usual]
    images = np.stack(grey) if grey else np.empty((0, *usual), np.uint8)
    digest = hashlib.sha256()
    for name, picture in found.items():
        digest.update(name.encode() + b"\0" + picture.sha256)
    return Pictures(
        images=255 - images if invert else images,
        names=list(found),
        sizes=dict(Counter(picture.size for picture in found.values())),
        colour=sum(picture.colour for picture in found.values()),
        synthetic=any(picture.synthetic for picture in found.values()),
        sha256=digest.hexdigest(),
    )
