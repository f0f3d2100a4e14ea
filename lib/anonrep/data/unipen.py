"""The UNIPEN text of the original pen-digits files, read strictly: anything unexpected is an error with its line."""

import re
from dataclasses import dataclass

import numpy as np

TABLET = 500  # coordinates run from 0 to 500 on both axes, y upwards
INTEGER = re.compile(r"-?[0-9]+")
SEGMENT = re.compile(r'\.SEGMENT DIGIT (([0-9]{1,9})(?:-([0-9]{1,9}))?) \S+ "([0-9])"')
COMMENT = re.compile(r"\.COMMENT ([0-9]{1,9}) ([0-9]{1,9}) ([0-9]{1,9})")
PAUSE = re.compile(r"\.DT [0-9]{1,9}")


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
    promised: int  # strokes
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
    reader.check(not lines[-1], "a last line without its line end", "a whole file; this one is truncated")
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
        self.directives = {
            **dict.fromkeys([".INCLUDE", ".LEXICON", ".HIERARCHY"], self.header),
            **{".SEGMENT": self.segment, ".COMMENT": self.comment, ".DT": self.pause},
            **{".PEN_DOWN": self.pen_down, ".PEN_UP": self.pen_up},
        }

    def check(self, good: object, found: str, expected: str) -> None:
        if not good:
            raise UnipenError(self.name, self.line, found, expected)

    def read(self, words: list[str]) -> None:
        if words and words[0].startswith("."):
            name, known = words[0], self.directives
            self.check(name in known, f"the unknown directive {name[:40]!r}", f"one of {' '.join(known)}")
            inside = self.points is not None and name != ".PEN_UP"
            self.check(not inside, f"{name} inside a stroke", "coordinates or .PEN_UP")
            known[name](" ".join(words))
        elif words:
            self.coordinates(words)

    def header(self, text: str) -> None:
        self.check(self.record is None, "a header line after the first .SEGMENT", "it before every record")

    def segment(self, text: str) -> None:
        self.close()
        match = SEGMENT.fullmatch(text)
        self.check(match, text[:70], '.SEGMENT DIGIT first[-last] ? "label", label 0 to 9')
        first, last = int(match[2]), int(match[3] or match[2])
        how = "overlaps the record before" if first < self.count else "skips strokes" if last >= first else "is empty"
        expected = f"a range that starts at stroke {self.count}"
        self.check(first == self.count <= last, f"the stroke range {match[1]}, which {how}", expected)
        self.record = _Record(self.line, int(match[4]), last - first + 1)

    def comment(self, text: str) -> None:
        record = self.record
        if record is None:
            return
        self.check(record.writer is None, "a second .COMMENT", "one a record, between .SEGMENT and the first stroke")
        match = COMMENT.fullmatch(text)
        self.check(match, text[:70], ".COMMENT label writer instance, three whole numbers")
        label, record.writer, record.instance = map(int, match.groups())
        found = f"label {label} in .COMMENT but {record.label} in .SEGMENT (line {record.line})"
        self.check(label == record.label, found, "the same label in both")
        self.check(record.writer, "writer 0", "writer numbers from 1")

    def pen_down(self, text: str) -> None:
        record, first = self.record, self.count
        self.check(text == ".PEN_DOWN", text[:70], ".PEN_DOWN alone on its line")
        self.check(record, ".PEN_DOWN before the first .SEGMENT", "a .SEGMENT that the stroke belongs to")
        expected = ".COMMENT label writer instance before the strokes"
        self.check(record.writer, ".PEN_DOWN in a record without a writer", expected)
        expected = f"strokes {first} to {first + record.promised - 1} alone (.SEGMENT, line {record.line})"
        self.check(len(self.strokes) < record.promised, "a stroke outside the record's range", expected)
        self.points = []

    def pen_up(self, text: str) -> None:
        self.check(text == ".PEN_UP", text[:70], ".PEN_UP alone on its line")
        self.check(self.points is not None, ".PEN_UP outside a stroke", ".PEN_DOWN before it")
        expected = "at least one pair of coordinates between .PEN_DOWN and .PEN_UP"
        self.check(self.points, "an empty stroke", expected)
        self.strokes.append(np.array(self.points, np.int64))
        self.points = None

    def pause(self, text: str) -> None:
        self.check(PAUSE.fullmatch(text), text[:70], ".DT milliseconds, one whole number")
        self.check(self.strokes, ".DT before the record's first stroke", "it after a .PEN_UP")

    def coordinates(self, words: list[str]) -> None:
        found = " ".join(words)[:60]
        self.check(self.points is not None, f"{found!r} outside a stroke", ".PEN_DOWN before coordinates")
        whole = len(words) == 2 and all(map(INTEGER.fullmatch, words))
        self.check(whole, repr(found), "two whole numbers, x and y")
        x, y = (int(word[:12]) for word in words)  # cut: int() refuses numbers of thousands of figures its own way
        inside = 0 <= x <= TABLET and 0 <= y <= TABLET
        self.check(inside, f"the coordinates {found}", f"0 to {TABLET} on both axes")
        self.points.append((x, y))

    def close(self) -> None:
        """Turn the open record, if there is one, into a digit."""
        record, strokes = self.record, self.strokes
        if record:
            found = f"the end of a record (line {record.line}) with {len(strokes)} of its {record.promised} strokes"
            self.check(len(strokes) == record.promised, found, "as many strokes as its .SEGMENT promises")
            self.digits.append(Digit(tuple(strokes), record.label, record.writer, record.instance))
            self.count, self.strokes = self.count + record.promised, []

    def end(self) -> list[Digit]:
        inside = "the end of the file inside a stroke"
        self.check(self.points is None, inside, "coordinates or .PEN_UP; the file is truncated")
        self.check(self.record, "the end of the file", "at least one .SEGMENT")
        inside = "the end of the file inside a record"
        whole = len(self.strokes) == self.record.promised
        self.check(whole, inside, "the strokes of its .SEGMENT; the file is truncated")
        self.close()
        return self.digits
