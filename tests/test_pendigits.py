"""Pen-digits: raw files in every form, rendering, attributes and the data set."""

import hashlib
import json
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonrep.data import pendigits, sources
from anonrep.data.dataset import UNSEEN
from anonrep.data.pendigits import FILE, UNSEEN_FILE, Options, attributes, build, origin, raw_files, render
from anonrep.data.synthetic.pendigits import HEADER, synthetic_pendigits
from anonrep.data.unipen import TABLET, Digit, parse_unipen
from anonrep.reports import figures

# raw files

TEXT = b'.SEGMENT DIGIT 0 ? "1"\n.COMMENT 1 1 1\n.PEN_DOWN\n1 1\n.PEN_UP\n' * 40


def compressed(data: bytes) -> bytes:
    """LZW as Unix `compress -b 16` writes it, block mode, without ever clearing its table."""
    table = {bytes([value]): value for value in range(256)}
    codes, word = [], b""
    for value in data:
        longer = word + bytes([value])
        if longer in table:
            word = longer
            continue
        codes.append(table[word])
        if len(table) < 65535:
            table[longer] = len(table) + 1  # 256 is the clear code
        word = longer[-1:]
    codes.append(table[word])
    out, group, bits, entries = bytearray(b"\x1f\x9d\x90"), [], 9, 256
    for number, code in enumerate(codes):
        if entries >= (1 << bits) - 1 and bits < 16:
            out += packed(group + [0] * (-len(group) % 8), bits)  # a group that is not the last has eights of codes
            group, bits = [], bits + 1
        group.append(code)
        entries += number > 0
    return bytes(out + packed(group, bits))


def packed(codes: list[int], bits: int) -> bytes:
    value = sum(code << (bits * place) for place, code in enumerate(codes))
    return value.to_bytes((bits * len(codes) + 7) // 8, "little")


def zipped(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)


FORMS = {
    "plain": lambda folder: (folder / FILE).write_bytes(TEXT),
    "Z": lambda folder: (folder / f"{FILE}.Z").write_bytes(compressed(TEXT)),
    "zip of plain": lambda folder: zipped(folder / "any.zip", **{f"folder/{FILE}": TEXT, "other": b"x"}),
    "zip of Z": lambda folder: zipped(folder / "any.zip", **{f"../../{FILE}.Z": compressed(TEXT), "other": b"x"}),
}


@pytest.fixture
def drop(tmp_path, monkeypatch) -> Path:
    """data/raw/pendigits of an empty project."""
    monkeypatch.setenv("ANONREP_DATA", str(tmp_path / "elsewhere"))
    drop = tmp_path / "data/raw/pendigits"
    drop.mkdir(parents=True)
    (drop / "README.md").write_text("put it here")
    return drop


def read(drop: Path, source: str = "raw") -> tuple[bytes, dict]:
    data, where = raw_files(Options(source=source), drop.parents[2])[0]
    return data, origin(data, where)


def test_every_form_gives_the_same_and_nothing_is_unpacked_beside_it(drop, monkeypatch):
    monkeypatch.setattr(pendigits, "SHA256", hashlib.sha256(TEXT).hexdigest())
    for put in FORMS.values():
        put(drop)
        before = sorted(drop.parents[2].rglob("*"))
        data, known = read(drop)
        assert data == TEXT
        assert (known["source"], known["sha256"]) == ("uci", hashlib.sha256(TEXT).hexdigest())
        assert str(drop) not in str(known), "where the bytes came from would make everything stale"
        assert sorted(drop.parents[2].rglob("*")) == before
        [path.unlink() for path in drop.iterdir()]


def test_the_download_has_its_checksum(drop, monkeypatch):
    def retrieve(url: str, known_hash: str, name: str, folder: Path, downloader: object) -> str:
        assert (url, known_hash) == (pendigits.URL, f"sha256:{pendigits.ARCHIVE_SHA256}")
        folder.mkdir(parents=True)
        zipped(folder / name, **{f"{FILE}.Z": compressed(TEXT)})
        return str(folder / name)

    monkeypatch.setattr(sources.pooch, "retrieve", retrieve)
    with pytest.warns(UserWarning, match="is not the known"):
        assert read(drop, "auto")[0] == TEXT


@pytest.mark.parametrize("name", ["any.zip", f"{FILE}.Z", "cut.zip", "without.zip", "bomb.zip"])
def test_a_damaged_file_is_named_and_not_passed_over(drop, name):
    members = {"cut.zip": {FILE: TEXT}, "without.zip": {"readme.txt": b"x"}, "bomb.zip": {FILE: bytes(2**25 + 1)}}
    if name in members:
        zipped(drop / name, **members[name])
        (drop / name).write_bytes((drop / name).read_bytes()[: -30 if name == "cut.zip" else None])
    else:
        (drop / name).write_bytes(b"neither zip nor LZW")
    with pytest.raises(ValueError, match=f"{name} is damaged or another file"):
        read(drop, "auto")


def test_damaged_lzw_never_fails_in_another_way(drop):
    """Or it is read, and then its checksum tells."""
    whole = compressed(TEXT)
    for flip in range(3, len(whole), 7):
        (drop / f"{FILE}.Z").write_bytes(whole[:flip] + bytes([whole[flip] ^ 255]) + whole[flip + 1 :])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                read(drop)
                said = str(caught[0].message)
            except ValueError as error:
                said = str(error)
        assert f"{FILE}.Z is" in said


def test_lzw_with_a_full_table_is_read(drop):
    """Long enough for the codes to grow from 9 bits to 16 and for the table to fill up."""
    text = synthetic_pendigits(0, writers=8, digits_per_writer=150)
    (drop / f"{FILE}.Z").write_bytes(compressed(text))
    assert read(drop)[0] == text


def test_people_of_the_second_file_are_unseen_and_change_nothing_for_the_others(drop):
    """In every form; where the file is missing, a warning says so."""
    known, others = synthetic_pendigits(0, 3, 20), synthetic_pendigits(1, 2, 20)
    options = Options(source="raw", split_sizes=(3, 1, 1))
    forms = {
        **{f"{FILE}.Z": compressed(known), UNSEEN_FILE: others},
        **{"any.zip": {FILE: known, f"a/{UNSEEN_FILE}.Z": compressed(others)}},
    }
    (drop / FILE).write_bytes(known)
    with pytest.warns(UserWarning, match=f"no {UNSEEN_FILE} beside .*there are no unseen people"):
        alone = pendigits.build_splits(options, ["tablet"], drop.parents[2])["tablet"]
    assert (alone.unseen(), alone.provenance["frame"]) == (None, "tablet")
    for name, data in forms.items():
        zipped(drop / name, **data) if isinstance(data, dict) else (drop / name).write_bytes(data)
        if name == f"{FILE}.Z":
            continue
        both = pendigits.build_splits(options, ["tablet"], drop.parents[2])["tablet"]
        for part in ("images", "z", "split"):
            np.testing.assert_array_equal(getattr(both.known(), part), getattr(alone, part))
        assert (both.n_private, both.p_z.tolist()) == (3, alone.p_z.tolist())
        assert both.z[both.split == UNSEEN].tolist() == [3 + one.writer - 1 for one in parse_unipen(others)]
        assert both.provenance["unseen_sha256"] == hashlib.sha256(others).hexdigest()
        found = both.unseen()
        assert (found.n_private, len(found), set(found.split)) == (2, 40, {0, 1, 2})
    (drop / "any.zip").unlink()
    (drop / UNSEEN_FILE).write_bytes(TEXT)
    with (
        pytest.warns(UserWarning, match="is not the known"),
        pytest.raises(ValueError, match="two files of one origin"),
    ):
        pendigits.build_splits(options, ["random"], drop.parents[2])


def test_another_file_than_the_known_one_is_read_with_a_warning(drop):
    FORMS["plain"](drop)
    with pytest.warns(UserWarning, match="is not the known"):
        _, known = read(drop)
    assert not known["sha256_known"]
    assert known["source"] == known["licence"] == "unknown"


def test_synthetic_digits_under_the_real_name_never_pass_as_real(drop):
    data = synthetic_pendigits(0, writers=1, digits_per_writer=10)
    flipped = [data[:k] + bytes([data[k] ^ 1]) + data[k + 1 :] for k in range(len(HEADER) - 1)]
    for variant in [data, b"\n" + data, b".COMMENT mine\n" + data, *flipped]:
        (drop / FILE).write_bytes(variant)
        assert read(drop)[1]["source"] == "synthetic"


# images and attributes


def digit(*strokes: list, label: int = 1, writer: int = 1) -> Digit:
    return Digit(tuple(np.array(stroke) for stroke in strokes), label, writer, 1)


UPRIGHT = digit([(250, 400), (250, 100)])
SLANTED = digit([(300, 400), (200, 100)])
SQUARE = digit([(100, 100), (300, 100), (300, 300), (100, 300), (100, 100)])
DOT = digit([(20, 480)])


def test_an_upright_line_is_a_centred_column_with_round_ends():
    (image,) = render([UPRIGHT])
    assert (image.dtype, image.shape) == (np.uint8, (20, 20))
    assert image[:, 9:11].min(1)[2:18].min() > 200  # ink over the box's height
    assert image[:, :8].max() == image[:, 12:].max() == image[0].max() == image[-1].max() == 0
    assert abs(image.sum(0) @ np.arange(20) / image.sum() - 9.5) < 0.1
    (large,) = render([UPRIGHT], size=128)
    widths = (large > 127).sum(1)
    first = np.flatnonzero(widths)[0]
    assert widths[first] < widths[first + 2] < widths[64] == 12  # 1.8 pixels of 20
    assert ((large > 0) & (large < 255)).any()


def test_the_digits_own_box_forgets_place_and_size_and_the_tablet_keeps_them():
    moved = digit(*(stroke // 2 + 30 for stroke in SQUARE.strokes))
    near, far = render([SQUARE, moved]).astype(int)
    assert np.abs(near - far).max() == 0
    near, far = render([SQUARE, moved], frame="tablet").astype(int)
    assert far.sum() < near.sum()
    (dot,) = render([DOT], frame="tablet")
    assert np.unravel_index(dot.argmax(), dot.shape) == (0, 0)  # x 20 is left, y 480 is at the top


def test_the_aspect_is_kept():
    flat = digit([(100, 100), (400, 100), (400, 200), (100, 200), (100, 100)])
    ink = render([flat])[0] > 127
    assert 2.2 < np.ptp(np.flatnonzero(ink.any(0))) / np.ptp(np.flatnonzero(ink.any(1))) < 3.0


@given(
    st.lists(st.tuples(st.integers(0, TABLET), st.integers(0, TABLET)), min_size=1, max_size=30),
    st.sampled_from(["digit", "tablet"]),
    st.integers(10, 40),
)
def test_any_stroke_leaves_ink_inside_the_image_and_finite_attributes(points, frame, size):
    one = digit(points)
    (image,) = render([one], size, frame)
    assert image.shape == (size, size)
    assert image.max() > 0
    if frame == "digit":
        assert image[0].max() == image[-1].max() == image[:, 0].max() == image[:, -1].max() == 0
    assert all(np.isfinite(value).all() for value in attributes([one]).values())


def test_attributes_of_known_shapes():
    found = attributes([UPRIGHT, SLANTED, SQUARE, DOT, digit([(0, 0), (9, 9)], [(5, 5)], label=7)])
    assert found["digit"].tolist() == [1, 1, 1, 1, 7]
    assert found["strokes"].tolist() == [1, 1, 1, 1, 2]
    np.testing.assert_allclose(found["aspect"], [1 / 300, 1 / 3, 1, 1, 1])
    np.testing.assert_allclose(found["slant"][:2], [0, np.arctan(1 / 3)], atol=1e-6)  # leaning right is positive
    np.testing.assert_allclose(found["curvature"][:2], 0, atol=1e-6)
    # three right angles over four sides, for a way as long as the diagonal
    assert found["curvature"][2] == pytest.approx(3 * np.pi / 2 / (800 / np.hypot(200, 200)), rel=0.05)
    zigzag = digit([(100, 100), (200, 300), (300, 100), (400, 300)])
    mirrored = digit(*(np.stack([TABLET - s[:, 0], s[:, 1]], 1) for s in zigzag.strokes))
    first, second = attributes([zigzag, mirrored])["curvature"]
    assert first > 1
    assert first == pytest.approx(second)  # a left turn counts as much as a right one


def test_build_numbers_the_writers_and_carries_the_provenance():
    digits = [digit([(1, 1), (9, 9)], label=k % 10, writer=(5, 9, 30)[k % 3]) for k in range(60)]
    dataset = build(digits, {"source": "synthetic"}, Options(split_sizes=(40, 10, 10), seed=3))
    assert dataset.z.tolist() == [0, 1, 2] * 20
    assert np.bincount(dataset.split).tolist() == [40, 10, 10]
    assert dataset.provenance == {
        **{
            "source": "synthetic",
            "private": "writer",
            "utility": "digit",
            "balanced": True,
            "digits": 60,
            "strokes": 60,
            "writers": 3,
        },
        **{"dataset": "pendigits", "size": 20, "frame": "digit", "split": "random", "split_seed": 3},
    }
    other = build(digits, {"source": "synthetic"}, Options(split_sizes=(40, 10, 10), seed=4))
    assert (other.split != dataset.split).any()
    np.testing.assert_array_equal(other.images, dataset.images)


def test_the_contact_sheet_names_synthetic_data():
    digits = [digit([(1, 1), (9, 9 - k % 10)], label=k % 10, writer=1 + k % 3) for k in range(60)]
    for source, words in {"synthetic": "synthetic", "uci": "UCI pen-digits"}.items():
        figure = figures.contact_sheet(build(digits, {"source": source}, Options(split_sizes=(4, 1, 1))))
        assert words in figure.get_suptitle()


def test_the_real_files():
    root = Path(__file__).parents[1]
    folder = Path(os.environ.get("ANONREP_DATA") or root / ".." / "shared" / "data")
    if not pendigits._look(folder / "pendigits"):
        pytest.skip("the real pen-digits files are not at hand (ANONREP_DATA)")
    dataset = pendigits.build_splits(pendigits.Options(source="shared"), ["random"], root)["random"]
    found = dataset.unseen()
    if found is not None:
        assert (len(found), found.n_private, found.chance("writer")) == (3498, 14, 250 / 3498)
        assert dataset.provenance["unseen_sha256"] == pendigits.UNSEEN_SHA256
    dataset = dataset.known()
    assert json.loads(json.dumps(dataset.provenance))["strokes"] == 9433
    assert (len(dataset), dataset.n_private, dataset.source) == (7494, 30, "uci")
    assert np.bincount(dataset.split).tolist() == [5494, 1000, 1000]
    assert np.unique(dataset.task("digit")).tolist() == list(range(10))
    assert dataset.images.max((1, 2)).min() == 255
    assert hashlib.sha256(dataset.images.tobytes()).hexdigest()[:16] == "a88cc97ec952f19b"
