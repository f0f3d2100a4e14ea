"""A folder of images, one folder in it for each private label, as a data set.

    images/anna/001.png      the private label is the folder: anna
    images/anna/may/7.jpg    folders inside it are anna's too
    images/bertil/001.png
    attributes.csv           optional, anywhere: file,digit,mood with a line for each image, such as anna/001.png,4,calm

Attributes are there to judge a release by, never to train one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anonrep.data.attribute_table import NAME, normal, read_table
from anonrep.data.dataset import Dataset, random_split
from anonrep.data.image_files import FILES, JUNK, File, ImageTreeError, Picture, by, checksum, folder_files, read_images
from anonrep.utils.seeds import numpy_generator

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".pgm", ".ppm", ".pbm"}
# Of pictures too, but not read: passed over in silence, somebody's would be missing.
UNREAD = {".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".pdf", ".psd", ".dng", ".cr2", ".nef", ".zip"}
SIDES = (8, 128)  # pixels of a side: attackers' networks halve it three times, and all of them grow with its square


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
    """Every image in a folder and in the folders inside it, whoever's they are; see `load_folder`, for errors too."""
    found, problems = _look_through(Path(folder).expanduser(), _shape(size), labelled=False)
    if problems:
        raise ImageTreeError(Path(folder), problems)
    return _together(found, invert)


def load_folder(
    folder: str | Path,
    *,
    size: int | Sequence[int] | None = None,
    invert: bool = False,
    attributes: str | Path | None = None,
    private: str = "person",
    name: str = "own images",
    least: int = 10,
    split_sizes: Sequence[int] = (60, 15, 25),
    seed: int = 0,
) -> Dataset:
    """The images of several people as a data set; the top of this file shows how the folder looks.

    size         [height, width], or a side of a square: images are resized to it by the mean over boxes, their aspect
                 is not kept; None: they must have one size
    invert       black becomes 255: for ink on paper, because images that are moved a little bring in 0 at their edges
    attributes   CSV with a header `file,<attribute>,...`. Whole numbers stay integers, other numbers become floats, and
                 words become integers whose meaning the provenance keeps
    private      what z is called
    name         of the data set, in results; the folder's own is not kept
    least        images that everybody must have
    split_sizes  proportions of train, validation and test (`split_people`)
    seed         decides the split alone

    Images become grey. z counts the folders in the order of their names, and the provenance keeps these: the data set
    and its models know who is in them, and are not for passing on.

    Raises ImageTreeError, a ValueError, that names every file that is unreadable, no image, of another size, in
    nobody's folder or there twice, everybody with too few images, and every wrong line of the CSV; FileNotFoundError
    where there is no folder.
    """
    for word in (private, name):
        if not NAME.fullmatch(word):
            raise ValueError(f"the name {word!r}; expected a letter, then letters, digits, spaces, - and _, at most 40")
    folder, shape = Path(folder).expanduser(), _shape(size)
    found, problems = _look_through(folder, shape, labelled=True)
    labels = [file.split("/")[0] for file in found]
    people, columns, words = _people(folder, labels, least, problems), {}, {}
    if attributes:
        table = Path(attributes).expanduser()
        file = File(table.name, lambda most: table.read_bytes())
        columns, words = read_table(file, list(found), problems, private=private)
    if problems:
        raise ImageTreeError(folder, problems)
    pictures = _together(found, invert)
    z = np.searchsorted(people, labels).astype(np.int64)
    height, width = pictures.images.shape[1:]
    return Dataset(
        images=pictures.images,
        z=z,
        attributes=columns,
        split=split_people(z, tuple(split_sizes), numpy_generator(seed, "split")),
        provenance={
            "dataset": name,
            "source": "synthetic" if pictures.synthetic else "own",
            "private": private,
            "split": "random",
            "labels": people,
            "counts": np.bincount(z).tolist(),
            "attribute_words": words,
            "sha256": pictures.sha256,
            "original_sizes": {f"{h} x {w}": n for (h, w), n in sorted(pictures.sizes.items())},
            "reading": {"size": [height, width], "resized": shape is not None, "inverted": invert},
            "turned_to_grey": pictures.colour,
            "split_sizes": list(split_sizes),
            "split_seed": seed,
        },
    )


def split_people(z: np.ndarray, sizes: tuple[int, int, int], generator: np.random.Generator) -> np.ndarray:
    """Train, validation and test at random, everybody in training and in validation: uint8 (N,).

    z      int64 (N,), the private labels
    sizes  proportions of train, validation and test

    Test images are drawn from all images alike, and not so many of each person: the certificate takes them as
    independent draws, and with quotas its bound for several images failed in a quarter of simulated releases instead of
    one in twenty (60 people, 4 codes, 600 test images). What remains is dealt person by person. Raises ValueError where
    that leaves somebody fewer than two images.
    """
    split = random_split(len(z), sizes, generator)
    for person in np.unique(z):
        own = generator.permutation(np.flatnonzero((split != 2) & (z == person)))
        if len(own) < 2:
            found = f"private label {person} has {len(own)} of its {np.sum(z == person)} images beside the test images"
            raise ValueError(f"{found}; expected 2 or more: take a smaller share for the test, or more images")
        wanted = round(len(own) * sizes[1] / (sizes[0] + sizes[1]))
        n_validation = min(len(own) - 1, max(1, wanted))
        split[own] = 0
        split[own[:n_validation]] = 1
    return split


def _look_through(
    folder: Path, shape: tuple[int, int] | None, *, labelled: bool
) -> tuple[dict[str, Picture], list[str]]:
    """The images that can be read by name, and a line for each thing that is wrong.

    labelled  every image must lie in somebody's folder, and none may be there twice
    """
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "is missing"
        raise FileNotFoundError(f"{folder} {found}; expected a folder of images (unpack a zip first)")
    files, problems = _files(folder, labelled)
    found, unread = read_images(files, shape)
    problems += unread
    if not files:
        problems.append(f"no images: expected files such as {'anna/001.png' if labelled else '001.png'}")
    if shape is None:
        problems += _wrong_sizes(found)
    if labelled:  # an image in training and in test at once would flatter every accuracy
        first: dict[bytes, str] = {}  # whatever the files are called and hold besides
        known = {name: first.setdefault(picture.look, name) for name, picture in found.items()}
        problems += [f"{name}: the same image as {one}" for name, one in known.items() if name != one]
    return found, problems


def _shape(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    """(height, width). Raises ValueError for no size, and one out of bounds."""
    if size is None:
        return None
    shape = (size, size) if isinstance(size, int) else tuple(size)
    if len(shape) != 2 or not all(type(side) is int and SIDES[0] <= side <= SIDES[1] for side in shape):
        raise ValueError(f"size {size!r}; expected one or two whole numbers of pixels, {SIDES[0]} to {SIDES[1]}")
    return shape


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
    if len(found) > FILES:
        return {}, [*problems, f"{len(found)} images; expected at most {FILES}"]
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


def _together(found: dict[str, Picture], invert: bool) -> Pictures:
    """Images that are all of one size by now."""
    images = np.stack([picture.grey for picture in found.values()])
    return Pictures(
        images=255 - images if invert else images,
        names=list(found),
        sizes=dict(Counter(picture.size for picture in found.values())),
        colour=sum(picture.colour for picture in found.values()),
        synthetic=any(picture.synthetic for picture in found.values()),
        sha256=checksum((f"{name}\0" for name in found), found.values()),
    )


def _people(folder: Path, labels: Sequence[str], least: int, problems: list[str]) -> list[str]:
    """The names of the folders at the top, in order; too few of them, or too few images in one, join `problems`."""
    counts = Counter(labels)
    tops = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    people = sorted({normal(path.name) for path in tops if not JUNK.fullmatch(path.name)} | set(counts))
    for person in people:
        if counts[person] < least:
            problems.append(f"{person}: {counts[person]} readable images; expected at least {least}")
    if len(people) < 2:
        found = f"one folder, {people[0]}" if people else "no folders"
        problems.append(f"{found}; expected a folder of images for each of two people or more")
    return people
