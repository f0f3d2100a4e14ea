"""attributes.csv, what synthetic faces record of each image, read as strictly as these."""

import csv
import io
import math

import numpy as np

from anonrep.data.ferg_files import File
from anonrep.data.ferg_format import SHOWN, name_of

RECORDED = {"clip": np.int64, "pose": np.float64, "gaze": np.float64, "light": np.float64}
TABLE = "attributes.csv"  # of synthetic faces: what is recorded of each image
TABLE_LIMIT = 16 * 2**20  # bytes; 60 an image


def read_attributes(file: File, order: list[tuple[int, int, int]]) -> tuple[dict[str, np.ndarray], list[str]]:
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
    names, rows, wrong = set(map(name_of, order)), {}, []
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
    table = zip(*(rows[name_of(place)] for place in order), strict=True)
    return {key: np.array(column, RECORDED[key]) for key, column in zip(RECORDED, table, strict=True)}, []
