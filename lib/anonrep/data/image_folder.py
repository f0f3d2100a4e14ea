"""A folder of images, one folder in it for each private label, as a data set.

    images/anna/001.png      the private label is the folder: anna
    images/anna/may/7.jpg    folders inside it are anna's too
    images/bertil/001.png
    attributes.csv           optional, anywhere: file,digit,mood with a line for each image, such as anna/001.png,4,calm

Attributes are there to judge a release by, never to train one.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anonrep.data.dataset import Dataset, random_split
from anonrep.data.folder_reader import look_through, normal
from anonrep.data.image_reader import shape_of
from anonrep.data.image_tree import JUNK, ImageTreeError
from anonrep.utils.seeds import numpy_generator

NAME = re.compile(r"[^\W\d_][\w -]{0,39}")  # of an attribute, of what z is called, of the data set
INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


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

    Images are read by `folder_reader` and made grey. z counts the folders in the order of their names, and the
    provenance keeps these: the data set and its models know who is in them, and are not for passing on.

    Raises ImageTreeError, a ValueError, that names every file that is unreadable, no image, of another size, in
    nobody's folder or there twice, everybody with too few images, and every wrong line of the CSV; FileNotFoundError
    where there is no folder.
    """
    _check_names(private, name)
    folder, table = Path(folder).expanduser(), Path(attributes).expanduser() if attributes else None
    pictures, problems = look_through(folder, size, invert, labelled=True)
    labels = [file.split("/")[0] for file in pictures.names]
    people = _people(folder, labels, least, problems)
    columns, words = _attributes(table, pictures.names, private, problems) if table else ({}, {})
    if problems:
        raise ImageTreeError(folder, problems)
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
            "reading": {"size": [height, width], "resized": shape_of(size) is not None, "inverted": invert},
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


def _check_names(*names: str) -> None:
    for name in names:
        if not NAME.fullmatch(name):
            raise ValueError(f"the name {name!r}; expected a letter, then letters, digits, spaces, - and _, at most 40")


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


def _attributes(
    path: Path, names: Sequence[str], private: str, problems: list[str]
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """The columns of the CSV in the order of `names`, and what the integers of worded ones mean."""
    wrong: list[str] = []
    header, lines = _table(path, private, wrong)
    rows = _rows(path, header, lines, names, wrong) if header else {}
    columns, meanings = {}, {}
    for index, column in enumerate(header) if not wrong else ():
        columns[column], words = _column([rows[name][1][index] for name in names])
        if words:
            meanings[column] = words
        bad = [rows[name][0] for name, value in zip(names, columns[column], strict=True) if not np.isfinite(value)]
        wrong += [f"{path.name}, line {number}: {column} is no finite number" for number in bad]
    problems += wrong
    return columns, meanings


def _table(path: Path, private: str, wrong: list[str]) -> tuple[list[str], list[list[str]]]:
    """The names of the attributes, and the lines, each ["number of the line", file, value, ...]."""
    try:
        file = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), strict=True)
        lines = [[str(file.line_num), line[0], *map(str.strip, line[1:])] for line in file if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        wrong.append(f"{path.name}: unreadable ({error}); expected a CSV in UTF-8")
        return [], []
    _, *header = lines[0] if lines else [""]
    if len(header) < 2 or header[0].strip() != "file":
        found = ",".join(header)[:80] or "nothing"
        wrong.append(f"{path.name}: found the header {found}; expected file,<attribute>,... with commas")
        return [], []
    for column in header[1:]:
        if not NAME.fullmatch(column) or header.count(column) > 1 or column == private:
            wrong.append(f"{path.name}: a column {column!r}; expected other names, of letters, digits, spaces, - and _")
    return header[1:], lines[1:]


def _rows(
    path: Path, header: Sequence[str], lines: Sequence[Sequence[str]], names: Sequence[str], wrong: list[str]
) -> dict[str, tuple[str, list[str]]]:
    """The number of its line and the values for each image."""
    known, rows = set(names), {}
    for number, file, *values in lines:
        where, name = f"{path.name}, line {number}", normal(file)
        if len(values) != len(header) or not all(values):
            wrong.append(f"{where}: expected {len(header) + 1} values, none of them empty")
        elif name not in known:
            example = f", a path such as {names[0]}" if names else ""
            wrong.append(f"{where}: no readable image {name}; expected one of the folder{example}")
        elif name in rows:
            wrong.append(f"{where}: a second line for {name}")
        rows.setdefault(name, (number, values))
    wrong += [f"{path.name}: no line for {name}" for name in names if name not in rows]
    return rows


def _column(texts: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """int64 or float64 (N,); words become the rank of the word, and the words come along."""
    if all(map(INTEGER.fullmatch, texts)):
        return np.array([int(text) for text in texts], np.int64), []
    if all(map(NUMBER.fullmatch, texts)):
        return np.array([float(text) for text in texts]), []
    words, ranks = np.unique(texts, return_inverse=True)
    return ranks.astype(np.int64), words.tolist()
