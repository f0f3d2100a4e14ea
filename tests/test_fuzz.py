"""Damaged input: it is read, or refused with the reader's own error, and nothing else ever comes out.

A thousand cases of each kind: ANONREP_FUZZ=1000 python -m pytest tests/test_fuzz.py
"""

import io
import os
import re
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_ferg import ROWS, TABLE, THREE, TOP, put, table
from test_unipen import GOOD

from anonrep.data.ferg_reader import read as read_ferg
from anonrep.data.image_files import ImageTreeError
from anonrep.data.pendigits import attributes, render
from anonrep.data.unipen import TABLET, UnipenError, parse_unipen

FUZZ = settings(suppress_health_check=[HealthCheck.too_slow])


@st.composite
def damaged(draw, whole: list, fresh: st.SearchStrategy) -> list:
    """A sequence with parts of it changed, cut off, left out, doubled or moved; `fresh` gives what was never there."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(whole)))
        stop = start + draw(st.integers(0, 8))
        head, part, tail = whole[:start], whole[start:stop], whole[stop:]
        what = draw(st.sampled_from(["change", "cut off", "leave out", "double", "move"]))
        if what == "change":
            whole = head + draw(st.lists(fresh, min_size=1, max_size=8)) + tail
        else:
            whole = {
                "cut off": head,
                "leave out": head + tail,
                "double": head + part + part + tail,
                "move": part + head + tail,
            }[what]
    return whole


def outcome(call: Callable, argument: object, refusal: type[Exception]) -> tuple:
    """What a call gives and None, or None and the error that it may refuse with; any other error is a failure."""
    try:
        return call(argument), None
    except refusal as error:
        return None, error


def damaged_bytes(whole: bytes) -> st.SearchStrategy[bytes]:
    return damaged(list(whole), st.integers(0, 255)).map(bytes)


def damaged_text(whole: str, words: list[str]) -> st.SearchStrategy[str]:
    """Damaged by lines, or by words and the spaces between them."""
    by_line = damaged(whole.splitlines(keepends=True), st.sampled_from(words).map(lambda word: f"{word}\n"))
    by_word = damaged(re.split(r"(\s+)", whole), st.sampled_from(words))
    return (by_line | by_word).map("".join)


# UNIPEN

UNIPEN_WORDS = [".PEN_UP", ".PEN_DOWN", ".DT", ".SEGMENT", ".COMMENT", ".X", "DIGIT", "?", '"8"', '"', "1-2", "-1", "0"]
UNIPEN_WORDS += ["500", "501", "9" * 20, "9" * 5000, "1e3", "0x1", "1_0", "\n", "\r", "\f", "\0", " ", "é", "-", "--1"]


@FUZZ
@given(damaged_bytes(GOOD) | damaged_text(GOOD.decode(), UNIPEN_WORDS).map(str.encode))
def test_a_damaged_unipen_file_is_read_or_refused(data):
    digits, error = outcome(parse_unipen, data, UnipenError)
    if error:
        assert 1 <= error.line <= data.count(b"\n") + 1
        assert len(str(error)) < 500
        return
    assert digits
    assert all(0 <= digit.label <= 9 and digit.writer >= 1 and digit.strokes for digit in digits)
    assert all(0 <= stroke.min() <= stroke.max() <= TABLET for digit in digits for stroke in digit.strokes)
    assert render(digits).shape == (len(digits), 20, 20)
    assert all(np.isfinite(values).all() for values in attributes(digits).values())


# FERG-DB

TREE = THREE | {f"{TOP}{TABLE}": table(ROWS)}
PARTS = ["aia", "ray", "ray_joy", "ray_joy_1.png", "ray_joy_0001.png", "aia_fear_2.png", TABLE, "__MACOSX", ".."]
PARTS += ["", ".", "\\", "..\\..\\x", "~", "C:", "a:b", "é", "\u202egnp.x", "a\nb.png", "\t", "x.png", "x" * 300]
NAMES = st.lists(st.sampled_from(PARTS) | st.text(max_size=5), min_size=1, max_size=6).map("/".join)
FILES = st.sampled_from(sorted(TREE))


KINDS = [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"gAMA", b"eXIf"]
KINDS += [b"acTL", b"fcTL", b"fdAT", b"sRGB", b"pHYs", b"abcd"]
WHOLE = next(iter(THREE.values()))


@st.composite
def damaged_png(draw) -> bytes:
    """A PNG whose pieces are damaged and have true checksums all the same, so that they are looked into."""
    pieces, rest = [], WHOLE[8:]
    while rest:
        (length,) = struct.unpack_from(">I", rest)
        pieces.append((rest[4:8], rest[8 : 8 + length]))
        rest = rest[12 + length :]
    fresh = st.tuples(st.sampled_from(KINDS), st.binary(max_size=30))
    png = WHOLE[:8]
    for kind, data in draw(damaged(pieces, fresh) | st.just(pieces)):
        data = draw(damaged_bytes(data)) if data and draw(st.booleans()) else data
        png += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return png


@st.composite
def damaged_tree(draw) -> dict[str, bytes]:
    """Files by name, some of them damaged, renamed, left out or made up."""
    tree = dict(TREE)
    for _ in range(draw(st.integers(1, 3))):
        file, what = draw(FILES), draw(st.sampled_from(["damage", "rename", "remove", "add", "swap"]))
        data = tree.pop(file, b"")
        if what == "damage":
            tree[file] = draw(damaged_bytes(data) | damaged_png() | st.just(bytes(2**21)))
        elif what == "rename":
            tree[draw(NAMES)] = data
        elif what == "add":
            tree |= {file: data, draw(NAMES): draw(st.binary(max_size=50) | st.just(data))}
        elif what == "swap":
            other = draw(FILES)
            tree |= {file: tree.get(other, b""), other: data}
    return tree


def refused_or_read(path: Path) -> None:
    """What `read` says of a place: an error of its own that can be printed, or whole frames; nothing is written."""
    before = sorted(path.parent.rglob("*"))
    frames, error = outcome(read_ferg, path, ImageTreeError)
    if error:
        assert error.problems
        assert all(problem.isprintable() for problem in error.problems)
    else:
        assert frames.images.shape == (len(frames), 50, 50)
        assert len(frames) == len(frames.character) == len(frames.expression) == len(frames.frame) > 0
        assert all(len(values) == len(frames) for values in frames.recorded.values())
    assert sorted(path.parent.rglob("*")) == before


ODD = {  # what else can lie in a folder under a file's name
    "folder": lambda path, _: path.mkdir(),
    "pipe": lambda path, _: os.mkfifo(path),
    "link to itself": lambda path, _: path.symlink_to(path.name),
    "link to the folder above": lambda path, _: path.symlink_to("..", target_is_directory=True),
    "link to no file": lambda path, _: path.symlink_to("/dev/zero"),
    "hard link": lambda path, other: path.hardlink_to(other),
}


@FUZZ
@given(damaged_tree(), st.dictionaries(FILES, st.sampled_from(sorted(ODD)), max_size=2), st.binary(max_size=4))
def test_a_damaged_folder_of_faces_is_read_or_refused(tree, odd, name):
    with tempfile.TemporaryDirectory() as folder:
        root, outside = Path(folder, "faces"), Path(folder, "outside.png")
        outside.write_bytes(WHOLE)
        for file, data in tree.items():
            parts = [part[:50].replace("\0", "") for part in file.split("/")]
            inside = Path(*(part for part in parts if part not in ("", ".", "..")))
            try:
                put(root, {str(inside): data})
            except OSError:  # a file where another one needs a folder, or a name that this system does not have
                continue
        for file, what in odd.items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            if not (root / file).is_dir():
                (root / file).unlink(missing_ok=True)
                ODD[what](root / file, outside)
        if name.strip(b"./\0") and b"/" not in name and b"\0" not in name:  # any bytes make a name on Linux
            (root / f"{TOP}ray").mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # on other systems not every name
                Path(os.fsdecode(os.fsencode(root / f"{TOP}ray") + b"/" + name + b".png")).write_bytes(b"x")
        refused_or_read(root)


WAYS = [*[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED] * 4, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
VALUES = st.sampled_from([0, 1, 8, 9, 12, 14, 99, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]) | st.integers(0, 2**32 - 1)


def zipped(tree: dict[str, bytes], way: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", way) as archive:
        warnings.simplefilter("ignore")  # zipfile's, of names that are twice there
        for name, data in tree.items():
            archive.writestr(name or "x", data)
    return file.getvalue()


@st.composite
def damaged_zip(draw) -> bytes:
    """A damaged tree packed in any way, with lies in its headers, itself inside another or damaged as a whole."""
    tree, way = draw(damaged_tree() | st.just(TREE)), draw(st.sampled_from(WAYS))
    data = bytearray(zipped(tree, way))
    for _ in range(draw(st.integers(0, 3))):  # a header's field: flags, method, checksum, sizes, lengths, offset
        heads = [found.start() for found in re.finditer(rb"PK(\x01\x02|\x03\x04|\x05\x06)", data)]
        place, form = draw(st.sampled_from(heads)) + draw(st.integers(4, 44)), draw(st.sampled_from("BHI"))
        if place + 4 <= len(data):
            struct.pack_into(f"<{form}", data, place, draw(VALUES) % 256 ** struct.calcsize(form))
    data = bytes(data)
    what = draw(st.sampled_from(["", "nest", "twice", "front", "damage"]))
    if what == "nest":
        return zipped({f"{TOP}{draw(NAMES)}.zip": data, next(iter(THREE)): draw(st.just(data) | st.binary(max_size=9))})
    if what == "damage":
        return draw(damaged_bytes(data))
    return {"": data, "twice": data + zipped(TREE), "front": b"#!/bin/sh\n" + data}[what]


@FUZZ
@given(damaged_zip())
def test_a_damaged_zip_of_faces_is_read_or_refused(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "faces.zip")
        path.write_bytes(data)
        refused_or_read(path)
