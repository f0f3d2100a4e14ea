"""The UNIPEN reader: what it reads, and that whatever else is found is an error that names file and line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonrep.data.unipen import TABLET, Digit, UnipenError, parse_unipen

GOOD = b""".INCLUDE        dene.doc

.LEXICON "0" "1"
.HIERARCHY      DIGIT

.SEGMENT DIGIT    0 ? "8"
.COMMENT 8 12  224
.PEN_DOWN
 267  333
 267  336
.PEN_UP
.DT 100

.SEGMENT DIGIT    1-2 ? "4"
.COMMENT 4 3  7
.PEN_DOWN
   0  500
.PEN_UP
.DT 100
.PEN_DOWN
 100  100
 101  99
 102  98
.PEN_UP
.DT 100
"""


def test_reads_records_with_their_strokes():
    eight, four = parse_unipen(GOOD)
    assert (eight.label, eight.writer, eight.instance) == (8, 12, 224)
    assert [stroke.tolist() for stroke in eight.strokes] == [[[267, 333], [267, 336]]]
    assert (four.label, four.writer, four.instance) == (4, 3, 7)
    assert [stroke.tolist() for stroke in four.strokes] == [[[0, 500]], [[100, 100], [101, 99], [102, 98]]]


def test_windows_line_ends_and_free_comments_before_the_records_are_read():
    windows = b".COMMENT anything at all\r\n" + GOOD.replace(b"\n", b"\r\n")
    assert [digit.label for digit in parse_unipen(windows)] == [8, 4]


# name: (old, new, line of the error, what its message must say); each `old` occurs once in GOOD
MALFORMED = {
    "unknown directive": (b".HIERARCHY      DIGIT", b".HIERARCHIE     DIGIT", 4, "unknown directive '.HIERARCHIE'"),
    "unknown directive in a stroke": (b" 267  336", b".PEN", 10, "unknown directive '.PEN'"),
    "no directive": (b".LEXICON", b"LEXICON", 3, "outside a stroke"),
    "coordinates outside a stroke": (
        b".COMMENT 4 3  7\n.PEN_DOWN",
        b".COMMENT 4 3  7\n 100 100",
        16,
        "outside a stroke",
    ),
    "coordinates after a stroke": (b".DT 100\n\n", b"100 100\n\n", 12, "outside a stroke"),
    "directive in a stroke": (b" 267  336", b".DT 100", 10, ".DT inside a stroke"),
    "record in a stroke": (b".PEN_UP\n.DT 100\n\n", b"\n\n\n", 14, ".SEGMENT inside a stroke"),
    "range that overlaps": (b"1-2 ?", b"0-2 ?", 14, "overlaps"),
    "range that skips": (b"1-2 ?", b"2-3 ?", 14, "skips"),
    "range that is empty": (b"1-2 ?", b"1-0 ?", 14, "empty"),
    "range too short": (b"1-2 ?", b"1 ?", 20, "outside the record's range"),
    "range too long": (b" 0 ?", b" 0-1 ?", 14, "with 1 of its 2 strokes"),
    "range too long at the end": (b"1-2 ?", b"1-3 ?", 25, "truncated"),
    "range that is none": (b"1-2 ?", b"one ?", 14, ".SEGMENT DIGIT one"),
    "another unit": (b"SEGMENT DIGIT    0", b"SEGMENT WORD     0", 6, "expected .SEGMENT DIGIT"),
    "label that is no digit": (b'"8"', b'"a"', 6, "label 0 to 9"),
    "labels that disagree": (b".COMMENT 8 12", b".COMMENT 3 12", 7, "label 3 in .COMMENT but 8 in .SEGMENT (line 6)"),
    "no comment": (b".COMMENT 8 12  224\n", b"\n", 8, "without a writer"),
    "no writer": (b".COMMENT 8 12  224", b".COMMENT 8  224", 7, "expected .COMMENT label writer instance"),
    "writer nought": (b".COMMENT 8 12", b".COMMENT 8 0", 7, "writer 0"),
    "writer below nought": (b".COMMENT 8 12", b".COMMENT 8 -1", 7, "three whole numbers"),
    "two comments": (b".DT 100\n\n", b".COMMENT 8 12 225\n\n", 12, "second .COMMENT"),
    "empty stroke": (b" 267  333\n 267  336\n", b"\n\n", 11, "empty stroke"),
    "pen up twice": (b".DT 100\n\n", b".PEN_UP\n\n", 12, ".PEN_UP outside a stroke"),
    "pen down with words": (b".PEN_DOWN\n 267", b".PEN_DOWN 1\n 267", 8, "alone on its line"),
    "stroke before every record": (b".HIERARCHY      DIGIT", b".PEN_DOWN", 4, "before the first .SEGMENT"),
    "header inside": (b".DT 100\n\n", b".INCLUDE x\n\n", 12, "header line"),
    "pause without a number": (b".DT 100\n\n", b".DT\n\n", 12, ".DT milliseconds"),
    "pause before a stroke": (b".COMMENT 4 3  7\n", b".DT 100\n", 15, "before the record's first stroke"),
    "one coordinate": (b" 267  336", b" 267", 10, "two whole numbers"),
    "three coordinates": (b" 267  336", b" 267  336 1", 10, "two whole numbers"),
    "no integer": (b" 267  336", b" 267  336.5", 10, "two whole numbers"),
    "underscore": (b" 267  336", b" 267  3_6", 10, "two whole numbers"),
    "too large": (b" 267  336", b" 267  501", 10, "0 to 500"),
    "below nought": (b" 267  336", b"  -1  336", 10, "0 to 500"),
    "far too large": (b" 267  336", b" 267  " + b"9" * 5000, 10, "0 to 500"),
    "zero byte": (b" 267  336", b" 267  \x0036", 10, "two whole numbers"),
    "byte beyond ASCII": (b" 267  336", b" 267  \xb336", 10, "the byte 0xb3"),
    "no line end": (b" 102  98\n.PEN_UP\n.DT 100\n", b" 102  98\n.PEN_UP\n.DT 10", 25, "truncated"),
    "end in a stroke": (b" 102  98\n.PEN_UP\n.DT 100\n", b" 102  98\n", 23, "truncated"),
    "end before the last stroke": (
        b".PEN_DOWN\n 100  100\n 101  99\n 102  98\n.PEN_UP\n.DT 100\n",
        b"",
        19,
        "truncated",
    ),
    "nothing": (GOOD, b"", 1, "at least one .SEGMENT"),
    "no record": (GOOD[GOOD.index(b".SEGMENT") :], b"", 5, "at least one .SEGMENT"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_is_an_error_with_file_and_line(kind):
    old, new, line, words = MALFORMED[kind]
    assert GOOD.count(old) == 1
    with pytest.raises(UnipenError, match=f"^a file, line {line}: ") as caught:
        parse_unipen(GOOD.replace(old, new), name="a file")
    assert words in str(caught.value)
    assert "; expected " in str(caught.value)
    assert (caught.value.name, caught.value.line) == ("a file", line)


strokes = st.lists(
    st.lists(st.tuples(st.integers(0, TABLET), st.integers(0, TABLET)), min_size=1), min_size=1, max_size=4
)
records = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 99), st.integers(0, 999), strokes), min_size=1, max_size=5
)


def written(digits: list) -> bytes:
    """The UNIPEN text of (label, writer, instance, strokes)."""
    lines, count = [], 0
    for label, writer, instance, parts in digits:
        lines += [
            f'.SEGMENT DIGIT {count}-{count + len(parts) - 1} ? "{label}"',
            f".COMMENT {label} {writer} {instance}",
        ]
        for part in parts:
            lines += [".PEN_DOWN", *(f"{x} {y}" for x, y in part), ".PEN_UP"]
        count += len(parts)
    return ("\n".join(lines) + "\n").encode()


@given(records)
def test_what_is_written_is_read(digits):
    def plain(digit: Digit) -> tuple:
        return digit.label, digit.writer, digit.instance, [[tuple(p) for p in s.tolist()] for s in digit.strokes]

    assert [plain(digit) for digit in parse_unipen(written(digits))] == digits
