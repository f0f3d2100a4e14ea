"""The UNIPEN text of the original pen-digits files, read strictly: anything unexpected is an error with its line."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

TABLET = 500  # coordinates run from 0 to 500 on both axes, y upwards
INTEGER = re.compile(r"-?[0-9]+")
NUMBER = re.compile(r"[0-9]{1,9}")
RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
LABEL = re.compile(r'"([0-9])"')


class UnipenError(ValueError):
    """A malformed record: `name` of the file, `line` from 1, what was found and what was expected."""

    def __init__(self, name: str, line: int, found: str, expected: str) -> None:
        super().__init__(f"{name}, line {line}: {found}; expected {expected}")
        self.name, self.line = name, line


@dataclass(frozen=True)
class Digit:
    """One written digit.

    strokes   integer arrays (P, 2), P >= 1: x and y in tablet units, 0 ... 500, y upwards, in the order of writing
    label     the digit, 0 ... 9
    writer    as in the file, from 1
    instance  the running number among the writer's digits, as in the file
    """

    strokes: tuple[np.ndarray, ...]
    label: int
    writer: int
    instance: int


@dataclass
class _Record:
    """A digit while it is read: its .SEGMENT line, then its .COMMENT, then its strokes."""

    line: int
    label: int
    first: int  # the numbers of its strokes, counted through the file from 0, both ends included
    last: int
    writer: int | None = None
    instance: int | None = None


def parse_unipen(data: bytes, name: str = "pendigits-orig.tra") -> list[Digit]:
    """Read a UNIPEN file of digits, in its order.

    A record is `.SEGMENT DIGIT first[-last] ? "label"`, `.COMMENT label writer instance`, then its strokes: `x y` pairs
    between `.PEN_DOWN` and `.PEN_UP`, each followed by `.DT milliseconds` or by nothing. Before the first record stand
    `.INCLUDE`, `.LEXICON`, `.HIERARCHY` and `.COMMENT` with any text. Blank lines mean nothing.

    Raises UnipenError, a ValueError, for whatever else is found; `name` is the file's name in its message.
    """
    if not data.isascii():
        offset = next(i for i, byte in enumerate(data) if byte > 127)
        line = data.count(b"\n", 0, offset) + 1
        raise UnipenError(name, line, f"the byte 0x{data[offset]:02x}", "ASCII text alone")
    reader = _Reader(name)
    lines = data.decode("ascii").split("\n")
    for reader.line, line in enumerate(lines, start=1):
        reader.read(line.split())
    if lines[-1]:
        reader.fail("a last line without its line end", "a whole file; this one is truncated")
    reader.line = max(1, len(lines) - 1)
    return reader.end()


class _Reader:
    """The state between two lines: which record and which stroke are open."""

    def __init__(self, name: str) -> None:
        self.name, self.line = name, 0
        self.digits: list[Digit] = []
        self.record: _Record | None = None
        self.strokes: list[np.ndarray] = []  # of the open record
        self.points: list[tuple[int, int]] | None = None  # of the open stroke
        self.count = 0  # strokes of the closed records
        self.directives: dict[str, Callable[[list[str]], None]] = {
            ".INCLUDE": self.header,
            ".LEXICON": self.header,
            ".HIERARCHY": self.header,
            ".SEGMENT": self.segment,
            ".COMMENT": self.comment,
            ".PEN_DOWN": self.pen_down,
            ".PEN_UP": self.pen_up,
            ".DT": self.pause,
        }

    def fail(self, found: str, expected: str) -> None:
        raise UnipenError(self.name, self.line, found, expected)

    def read(self, words: list[str]) -> None:
        if not words:
            return
        if not words[0].startswith("."):
            self.coordinates(words)
        elif words[0] not in self.directives:
            self.fail(f"the unknown directive {words[0][:40]!r}", "one of " + " ".join(self.directives))
        elif self.points is not None and words[0] != ".PEN_UP":
            self.fail(f"{words[0]} inside a stroke", "coordinates or .PEN_UP")
        else:
            self.directives[words[0]](words[1:])

    def header(self, words: list[str]) -> None:
        if self.record is not None:
            self.fail("a header line after the first .SEGMENT", "it before every record")

    def segment(self, words: list[str]) -> None:
        self.close()
        match words:
            case ["DIGIT", numbers, _, label] if (range_ := RANGE.fullmatch(numbers)) and LABEL.fullmatch(label):
                first, last = int(range_[1]), int(range_[2] or range_[1])
            case _:
                self.fail(f".SEGMENT {' '.join(words)[:60]}", '.SEGMENT DIGIT first[-last] ? "label", label 0 to 9')
        if first != self.count or last < first:
            how = (
                "overlaps the record before" if first < self.count else "skips strokes" if last >= first else "is empty"
            )
            self.fail(f"the stroke range {numbers}, which {how}", f"a range that starts at stroke {self.count}")
        self.record = _Record(self.line, int(label[1]), first, last)

    def comment(self, words: list[str]) -> None:
        if self.record is None:
            return
        if self.record.writer is not None:
            self.fail("a second .COMMENT", "one a record, between .SEGMENT and the first stroke")
        if len(words) != 3 or not all(NUMBER.fullmatch(word) for word in words):
            self.fail(f".COMMENT {' '.join(words)[:60]}", ".COMMENT label writer instance, three whole numbers")
        label, writer, instance = map(int, words)
        if label != self.record.label:
            found = f"label {label} in .COMMENT but {self.record.label} in .SEGMENT (line {self.record.line})"
            self.fail(found, "the same label in both")
        if writer < 1:
            self.fail(f"writer {writer}", "writer numbers from 1")
        self.record.writer, self.record.instance = writer, instance

    def pen_down(self, words: list[str]) -> None:
        if words:
            self.fail(f".PEN_DOWN {' '.join(words)[:60]}", ".PEN_DOWN alone on its line")
        if self.record is None:
            self.fail(".PEN_DOWN before the first .SEGMENT", "a .SEGMENT that the stroke belongs to")
        if self.record.writer is None:
            self.fail(".PEN_DOWN in a record without a writer", ".COMMENT label writer instance before the strokes")
        if self.record.first + len(self.strokes) > self.record.last:
            promised = f"strokes {self.record.first} to {self.record.last} alone (.SEGMENT, line {self.record.line})"
            self.fail("a stroke outside the record's range", promised)
        self.points = []

    def pen_up(self, words: list[str]) -> None:
        if words:
            self.fail(f".PEN_UP {' '.join(words)[:60]}", ".PEN_UP alone on its line")
        if self.points is None:
            self.fail(".PEN_UP outside a stroke", ".PEN_DOWN before it")
        if not self.points:
            self.fail("an empty stroke", "at least one pair of coordinates between .PEN_DOWN and .PEN_UP")
        self.strokes.append(np.array(self.points, np.int64))
        self.points = None

    def pause(self, words: list[str]) -> None:
        if len(words) != 1 or not NUMBER.fullmatch(words[0]):
            self.fail(f".DT {' '.join(words)[:60]}", ".DT milliseconds, one whole number")
        if not self.strokes:
            self.fail(".DT before the record's first stroke", "it after a .PEN_UP")

    def coordinates(self, words: list[str]) -> None:
        if self.points is None:
            self.fail(f"{' '.join(words)[:60]!r} outside a stroke", ".PEN_DOWN before coordinates")
        if len(words) != 2 or not (INTEGER.fullmatch(words[0]) and INTEGER.fullmatch(words[1])):
            self.fail(f"{' '.join(words)[:60]!r}", "two whole numbers, x and y")
        x, y = (int(word[:12]) for word in words)  # cut: int() refuses numbers of thousands of figures its own way
        if not (0 <= x <= TABLET and 0 <= y <= TABLET):
            self.fail(f"the coordinates {' '.join(words)[:60]}", f"0 to {TABLET} on both axes")
        self.points.append((x, y))

    def close(self) -> None:
        """Turn the open record, if there is one, into a digit."""
        if self.record is None:
            return
        record, promised = self.record, self.record.last - self.record.first + 1
        if len(self.strokes) != promised:
            found = f"the end of a record (line {record.line}) with {len(self.strokes)} of its {promised} strokes"
            self.fail(found, "as many strokes as its .SEGMENT promises")
        self.digits.append(Digit(tuple(self.strokes), record.label, record.writer, record.instance))
        self.count += promised
        self.strokes = []

    def end(self) -> list[Digit]:
        if self.points is not None:
            self.fail("the end of the file inside a stroke", "coordinates or .PEN_UP; the file is truncated")
        if self.record is None:
            self.fail("the end of the file", "at least one .SEGMENT")
        if len(self.strokes) <= self.record.last - self.record.first:
            self.fail("the end of the file inside a record", "the strokes of its .SEGMENT; the file is truncated")
        self.close()
        return self.digits
