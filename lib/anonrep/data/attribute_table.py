"""A CSV of what is known of images, a line for each, read strictly: every wrong line is named, all of them at once."""

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from anonrep.data.image_files import File

NAME = re.compile(r"[^\W\d_][\w -]{0,39}")  # of an attribute, of what z is called, of the data set
TEXTS = {  # how the values of each type are written
    int: re.compile(r"[+-]?[0-9]{1,15}"),
    float: re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE),
    str: re.compile(r".*", re.DOTALL),
}


def read_table(
    file: File,
    images: Sequence[str],
    problems: list[str],
    *,
    types: Mapping[str, type] | None = None,
    private: str = "",
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """The attributes by name, (N,) each in the order of `images`, and what the integers of worded ones mean.

    file     with a header `file,<attribute>,...`; what is wrong with it joins `problems`
    images   the names that its first column must have, each once, in any order
    types    the attributes that it must have, int or float. None: any; a column of whole numbers becomes int64, one of
             other numbers float64, and words become int64, their ranks
    private  a name that no attribute may have
    """
    wrong: list[str] = []
    header, rows = _rows(file, images, types, private, wrong)
    columns, words = {}, {}
    for place, column in enumerate(header if not wrong else ()):
        texts = [rows[image][1][place] for image in images]
        kind = types[column] if types else next(kind for kind, text in TEXTS.items() if all(map(text.fullmatch, texts)))
        if kind is str:
            found, columns[column] = np.unique(texts, return_inverse=True)
            words[column] = found.tolist()
            continue
        good = [bool(TEXTS[kind].fullmatch(text)) and np.isfinite(float(text)) for text in texts]
        bad = [rows[image][0] for image, fits in zip(images, good, strict=True) if not fits]
        wrong += [f"{where}: {column} is no {'whole' if kind is int else 'finite'} number" for where in bad]
        columns[column] = np.array([kind(text) for text in texts] if not bad else [])
    problems += wrong
    return columns, words


def _rows(
    file: File, images: Sequence[str], types: Mapping[str, type] | None, private: str, wrong: list[str]
) -> tuple[list[str], dict[str, tuple[str, list[str]]]]:
    """The names of the attributes, and for each image where its line stands and its values."""
    name = file.name
    try:
        table = csv.reader(io.StringIO(file.whole().decode("utf-8-sig"), newline=""), strict=True)
        lines = [(f"{name}, line {table.line_num}", line[0], [*map(str.strip, line[1:])]) for line in table if line]
    except Exception as error:  # zipfile, csv, the decoder and the system each have their own way to say "damaged"
        wrong.append(f"{name}: unreadable ({error}); expected a CSV in UTF-8")
        return [], {}
    (_, first, header), *lines = lines or [("", "", [])]
    if first.strip() != "file" or not header or (types and header != list(types)):
        found = ",".join([first, *header])[:80] or "nothing"
        expected = ",".join(types or ["<attribute>", "..."])
        wrong.append(f"{name}: found the header {found}; expected file,{expected} with commas")
        return [], {}
    for column in header:
        if not NAME.fullmatch(column) or header.count(column) > 1 or column == private:
            wrong.append(f"{name}: a column {column!r}; expected other names, of letters, digits, spaces, - and _")
    known, rows = set(images), {}
    for where, text, values in lines:
        image = normal(text)
        if len(values) != len(header) or not all(values):
            wrong.append(f"{where}: expected {len(header) + 1} values, none of them empty")
        elif image not in known:
            example = f", a path such as {images[0]}" if images else ""
            wrong.append(f"{where}: no readable image {image}; expected one of the folder{example}")
        elif image in rows:
            wrong.append(f"{where}: a second line for {image}")
        rows.setdefault(image, (where, values))
    wrong += [f"{name}: no line for {image}" for image in images if image not in rows]
    return header, rows


def normal(name: str) -> str:
    """A name that can be written anywhere; an accented letter is one character, as it mostly is in a CSV."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "backslashreplace").decode())
