"""FERG-DB: folder and zip read alike, all that is wrong is named, clips stay together, synthetic data says so."""

import io
import json
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from anonrep.data.ferg_attributes import TABLE
from anonrep.data.ferg_images import SYNTHETIC
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from anonrep.data import ferg, ferg_images, ferg_reader, ferg_sources
from anonrep.data.dataset import SPLITS, Dataset
from anonrep.data.ferg_reader import CHARACTERS, EXPRESSIONS, FergError, Frames, read
from anonrep.data.synthetic import ferg as synthetic_ferg

NUMBERS = (1, 7, 23, 456, 1746)  # one to four figures, as in the real data set
TOP = "FERG_DB_256/"


def png(colour: object = (200, 100, 50), size: tuple = (256, 256), mode: str = "RGB", comment: str = "") -> bytes:
    """An image of one colour that grows darker to the right, so that there is something to average."""
    image = Image.new(mode, size, colour)
    image.paste(0, (size[0] // 2, 0, *size))
    info = PngInfo()
    if comment:
        info.add_text("Comment", comment)
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=info)
    return file.getvalue()


def name(character: str, expression: str, number: object) -> str:
    return f"{TOP}{character}/{character}_{expression}/{character}_{expression}_{number}.png"


def real_tree() -> dict[str, bytes]:
    """A small FERG-DB: each image has a grey of its own."""
    cells = [(who, what) for who in CHARACTERS for what in EXPRESSIONS]
    return {
        name(who, what, number): png((4 * i + 20 * k,) * 3)
        for i, (who, what) in enumerate(cells)
        for k, number in enumerate(NUMBERS[: 1 + i % 5])
    }


REAL = real_tree()
ONE = name("aia", "anger", 1)


def put(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write files as a folder or, where the path says so, as a zip."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, data in files.items():
                archive.writestr(file, data)
        return path
    for file, data in files.items():
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).write_bytes(data)
    return path


def attempt(path: Path) -> tuple[Frames | None, list[str]]:
    """What is read, or what is wrong; any other error than the reader's own is not caught."""
    try:
        return read(path), []
    except FergError as error:
        return None, error.problems


FORMS = pytest.mark.parametrize("form", ["folder", "all.zip"])


# reading


@FORMS
def test_the_real_layout_is_read_in_the_order_of_its_numbers(tmp_path, form):
    frames = read(put(tmp_path / form, dict(reversed(REAL.items()))))
    assert len(frames) == len(REAL)
    assert frames.images.shape == (len(REAL), 50, 50)
    assert frames.images.dtype == np.uint8
    places = list(zip(frames.character.tolist(), frames.expression.tolist(), frames.frame.tolist(), strict=True))
    assert places == sorted(places)
    for image, (who, what, number) in zip(frames.images, places, strict=True):
        level = 4 * (who * 7 + what) + 20 * NUMBERS.index(number)
        assert image[:, :25].min() == image[:, :25].max() == level
        assert image[:, 25:].max() == 0
    assert frames.recorded == {}
    assert not frames.synthetic


def test_a_folder_and_its_zip_are_the_same_data(tmp_path):
    folder, archive = read(put(tmp_path / "folder", REAL)), read(put(tmp_path / "all.zip", REAL))
    np.testing.assert_array_equal(folder.images, archive.images)
    assert folder.sha256 == archive.sha256
    changed = read(put(tmp_path / "other.zip", REAL | {ONE: png((1, 2, 3))}))
    assert changed.sha256 != folder.sha256


@FORMS
@pytest.mark.parametrize("top", ["", "./", "deep/er/"])
def test_the_folder_on_top_is_of_no_account(tmp_path, form, top):
    files = {top + file.removeprefix(TOP): data for file, data in list(REAL.items())[:9]}
    assert len(read(put(tmp_path / form, files))) == 9


def test_colour_becomes_grey_by_its_luminance_and_pixels_are_means(tmp_path):
    files = {name("aia", "joy", k): png(c) for k, c in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255,) * 3])}
    frames = read(put(tmp_path / "a.zip", files), size=3)
    halves = [[76, 38, 0], [150, 75, 0], [29, 14.5, 0], [255, 127.5, 0]]  # the middle pixel is half dark
    np.testing.assert_allclose(frames.images[:, 0], halves, atol=0.5)


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", (9, 9, 9, 255)), ("L", 9), ("P", 9)])
def test_other_eight_bit_images_are_read_too(tmp_path, mode, colour):
    assert read(put(tmp_path / "a.zip", {ONE: png(colour, mode=mode)})).images.shape == (1, 50, 50)


@FORMS
def test_junk_and_files_beside_the_characters_are_passed_over(tmp_path, form):
    junk = {
        "__MACOSX/FERG_DB_256/aia/aia_anger/._aia_anger_1.png": b"\0\5\26\7",
        f"{TOP}.DS_Store": b"x",
        f"{TOP}aia/.DS_Store": b"x",
        f"{TOP}aia/aia_anger/Thumbs.db": b"x",
        f"{TOP}aia/aia_anger/._aia_anger_1.png": b"x",
        f"{TOP}README.txt": b"read me",
        "licence.pdf": b"%PDF",
    }
    assert read(put(tmp_path / form, REAL | junk)).sha256 == read(put(tmp_path / "clean.zip", REAL)).sha256


def test_an_empty_place_and_a_missing_one_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none is missing; expected the folder or the zip"):
        read(tmp_path / "none")
    with pytest.raises(FergError, match="no images"):
        read(tmp_path)


# what is wrong is named

BAD = {
    name("aia", "joy", 2): b"",
    name("aia", "joy", 3): b"no image",
    name("aia", "joy", 4): png()[:-60],
    name("aia", "joy", 5): png(size=(255, 256)),
    name("aia", "joy", 6): png(size=(1, 1)),
    name("aia", "joy", 10): b"\x89PNG\r\n\x1a\n" + b"x" * 2**20,
    name("aia", "joy", "x"): png(),
    name("aia", "joy", 12345): png(),
    name("aia", "joy", "07"): png(),  # beside the real tree's frame 7
    name("aia", "glee", 1): png(),
    name("bob", "joy", 1): png(),
    f"{TOP}aia/aia_joy/aia_fear_1.png": png(),
    f"{TOP}aia/aia_joy/bonnie_joy_1.png": png(),
    f"{TOP}aia/aia_joy_1.png": png(),
    f"{TOP}aia/aia_joy/aia_joy_8.PNG": png(),
    f"{TOP}aia/aia_joy/aia_joy_9.jpg": b"x",
    f"{TOP}aia/aia_joy/aia_joy_9.png.part": b"x",
    "aia_joy_1.png": png(),
}


@FORMS
def test_everything_wrong_is_named_at_once_and_nothing_else(tmp_path, form):
    with pytest.raises(FergError) as caught:
        read(put(tmp_path / form, REAL | BAD))
    assert len(caught.value.problems) == len(BAD)
    named = {problem.split(": ")[0] for problem in caught.value.problems}
    assert named - set(BAD) <= {name("aia", "joy", 7)}  # of twins, either may be the one that is too many
    assert str(tmp_path / form) in str(caught.value)
    assert all(problem in str(caught.value) for problem in caught.value.problems)


def test_the_way_in_which_an_image_is_wrong_is_said(tmp_path):
    with pytest.raises(FergError) as caught:
        read(put(tmp_path / "a.zip", REAL | BAD))
    text = str(caught.value)
    for words in (
        "255 x 256 pixels, mode RGB",
        "no PNG",
        "truncated",
        "misnamed",
        "more than 1048576 bytes",
        "already",
    ):
        assert words in text
    assert "BytesIO" not in text


def test_a_thousand_problems_are_counted_and_a_hundred_shown(tmp_path):
    with pytest.raises(FergError, match="and 900 more") as caught:
        read(put(tmp_path / "a.zip", {name("aia", "joy", f"{k}x"): b"" for k in range(1000)}))
    assert len(caught.value.problems) == 1000


WHOLE = png((120, 60, 30))


@given(data=st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_image_is_named_or_does_no_harm(tmp_path, data):
    """Bytes changed, cut off or put in: an error that names the file, or the very same picture."""
    at = data.draw(st.integers(0, len(WHOLE) - 1))
    change = data.draw(st.sampled_from(["flip", "cut", "insert"]))
    if change == "flip":
        broken = WHOLE[:at] + bytes([WHOLE[at] ^ data.draw(st.integers(1, 255))]) + WHOLE[at + 1 :]
    elif change == "cut":
        broken = WHOLE[:at]
    else:
        broken = WHOLE[:at] + data.draw(st.binary(min_size=1, max_size=9)) + WHOLE[at:]
    frames, problems = attempt(put(tmp_path / "a.zip", {ONE: broken}))
    if problems:
        assert [problem.split(": ")[0] for problem in problems] == [ONE]
    else:
        np.testing.assert_array_equal(frames.images, read(put(tmp_path / "b.zip", {ONE: WHOLE})).images)


@given(st.dictionaries(st.text("ab/.\\_é\n ", min_size=1, max_size=30), st.just(b"x"), max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_names_in_a_zip_are_passed_over_or_named(tmp_path, others):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's, of names that are twice there
        path = put(tmp_path / "a.zip", {ONE: WHOLE} | others)
    frames, problems = attempt(path)
    assert problems or len(frames) == 1


def test_a_pipe_under_an_images_name_is_named_and_not_waited_for(tmp_path):
    folder = put(tmp_path / "folder", {ONE: WHOLE})
    os.mkfifo(folder / name("aia", "anger", 2))
    with pytest.raises(FergError, match=r"aia_anger_2\.png: .*no regular file"):
        read(folder)


def test_a_name_of_any_bytes_can_be_printed(tmp_path):
    folder = put(tmp_path / "folder", {ONE: WHOLE, name("aia", "anger", "\n2 \x1b[2J\u202e"): WHOLE})
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).write_bytes(WHOLE)
    except OSError:
        pytest.skip("this system has no such names")
    _, problems = attempt(folder)
    assert problems == [
        f"{name('aia', 'anger', chr(92) + 'n2 ' + chr(92) + 'x1b[2J' + chr(92) + 'u202e')}: misnamed",
        "\\udcff.png: misnamed",
    ]


# zips

ESCAPES = ["../" * 5 + ONE, "/" + ONE, f"{TOP}../{ONE}", f"..\\..\\{ONE}", f"x//{ONE}"]


@pytest.mark.parametrize("file", ESCAPES)
def test_paths_that_lead_out_are_named_and_nothing_is_written(tmp_path, file):
    path = put(tmp_path / "a.zip", REAL | {file: WHOLE})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FergError, match="1 problem;") as caught:
        read(path)
    assert caught.value.problems == [f"{file}: misnamed"]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_good_zip_is_read_without_writing_anything(tmp_path, monkeypatch):
    path = put(tmp_path / "a.zip", REAL)
    monkeypatch.chdir(tmp_path)
    read(path)
    assert list(tmp_path.rglob("*")) == [path]


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """A gigabyte of nothing, whose entry says that it is small; no more than the limit is ever unpacked."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(2**24)
    packed = b"".join([*(squeeze.compress(block) for _ in range(64)), squeeze.flush()])
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(ONE, packed)
    raw = bytearray(path.read_bytes())
    directory = raw.rfind(b"PK\1\2")
    for place, at in ((0, 8), (directory, 10)):  # say "deflated", and leave the small size as it is
        struct.pack_into("<H", raw, place + at, zipfile.ZIP_DEFLATED)
    asked, unpack = [], zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda self, n=-1: asked.append(n) or unpack(self, n))
    for size in (2**30, 1000):
        struct.pack_into("<I", raw, directory + 24, size)
        path.write_bytes(raw)
        with pytest.raises(FergError, match="1 problem;"):
            read(path)
    assert asked == [ferg_images.IMAGE_LIMIT + 1] * 2


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_entry_that_only_unpacks_whole_is_not_unpacked(tmp_path, monkeypatch, way):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", way) as archive:
        archive.writestr(ONE, WHOLE)
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(FergError, match=r"aia_anger_1\.png: .*neither stored nor deflated: unpack the zip"):
        read(tmp_path / "a.zip")


def test_a_png_that_unfolds_to_gigabytes_is_refused_by_its_size(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
    huge = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(FergError, match=r"aia_anger_1\.png: 9000 x 9000 pixels"):
        read(put(tmp_path / "a.zip", {ONE: huge}))


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ferg_reader, "MOST", 20)
    with pytest.raises(FergError, match="more than 20 files; the data set has 55767"):
        read(put(tmp_path / "a.zip", REAL))


def test_a_locked_zip_says_what_to_do(tmp_path):
    raw = bytearray(put(tmp_path / "a.zip", {ONE: WHOLE}).read_bytes())
    for place, at in ((0, 6), (raw.rfind(b"PK\1\2"), 8)):
        struct.pack_into("<H", raw, place + at, 1)
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(
        FergError, match=r"aia_anger_1\.png: .*locked by a password: unpack the zip and read the folder"
    ):
        read(tmp_path / "a.zip")


ARCHIVE = io.BytesIO()
with zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED) as _archive:
    for _number in (1, 2):
        _archive.writestr(name("aia", "anger", _number), WHOLE)


@given(at=st.integers(0, len(ARCHIVE.getvalue()) - 1), by=st.integers(1, 255), cut=st.booleans())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_zip_fails_cleanly(tmp_path, at, by, cut):
    raw = bytearray(ARCHIVE.getvalue())
    raw[at] ^= by
    (tmp_path / "a.zip").write_bytes(raw[:at] if cut else raw)
    frames, problems = attempt(tmp_path / "a.zip")
    assert problems or 1 <= len(frames) <= 2  # damage where nothing is looked for, in a date, say


# what synthetic faces record


def table(rows: Mapping[str, str]) -> bytes:
    return "\n".join(["file,clip,pose,gaze,light", *(f"{file},{rest}" for file, rest in rows.items()), ""]).encode()


THREE = {name("ray", "joy", number): WHOLE for number in (1, 2, 30)}
ROWS = {"ray_joy_30.png": "1,-0.5,1,0.25", "ray_joy_1.png": "0,0.1,0,-1", "ray_joy_2.png": "0,0.2,0.5,-1"}


@FORMS
def test_attributes_beside_the_images_are_read_in_the_images_order(tmp_path, form):
    frames = read(put(tmp_path / form, THREE | {f"{TOP}{TABLE}": table(ROWS)}))
    assert {key: column.tolist() for key, column in frames.recorded.items()} == {
        "clip": [0, 0, 1],
        "pose": [0.1, 0.2, -0.5],
        "gaze": [0, 0.5, 1],
        "light": [-1, -1, 0.25],
    }
    assert frames.recorded["clip"].dtype == np.int64
    assert ferg.build(frames, split="random", split_sizes=(1, 1, 1)).attributes.keys() >= {"clip", "pose", "light"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (dict(list(ROWS.items())[:2]), ["no line for ray_joy_2.png"]),
        (ROWS | {"ray_joy_3.png": "0,0,0,0"}, ["line 5: an unknown or repeated file"]),
        (ROWS | {"ray_joy_1.png": "0,nan,0,0", "ray_joy_2.png": "0.5,0,0,0"}, ["line 3: ", "line 4: "]),
        (ROWS | {"ray_joy_1.png": "0,0,0", "ray_joy_2.png": "0,0,0,0,0"}, ["line 3: ", "line 4: "]),
        (ROWS | {"ray_joy_1.png": f"{10**30},0,0,0"}, ["line 3: "]),
    ],
    ids=["missing", "unknown", "not numbers", "columns", "too large"],
)
def test_wrong_attributes_are_named_with_their_lines(tmp_path, rows, said):
    with pytest.raises(FergError) as caught:
        read(put(tmp_path / "a.zip", THREE | {f"{TOP}{TABLE}": table(rows)}))
    assert len(caught.value.problems) == len(said)
    for problem, words in zip(caught.value.problems, said, strict=True):
        assert problem.startswith(f"{TOP}{TABLE}")
        assert words in problem


@given(at=st.integers(0, len(table(ROWS))), data=st.binary(max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_attributes_are_read_or_named(tmp_path, at, data):
    text = table(ROWS)
    path = put(tmp_path / "a.zip", THREE | {TABLE: text[:at] + data + text[at + len(data) :]})
    frames, problems = attempt(path)
    assert all(problem.startswith(TABLE) for problem in problems)
    assert problems or all(np.isfinite(column).all() for column in frames.recorded.values())


# the data set


def some(cells: list[tuple[int, int]], numbers: list[int], **more: object) -> Frames:
    """Frames without pictures: the same numbers for each (character, expression)."""
    places = np.array([(*cell, number) for cell in sorted(cells) for number in sorted(numbers)], np.int64)
    images = np.zeros((len(places), 2, 2), np.uint8)
    return Frames(images, *places.T, **{"recorded": {}, "synthetic": False, "sha256": "0" * 64} | more)


CELLS = [(who, what) for who in range(6) for what in range(7)]


def quietly(frames: Frames, **how: object) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ferg.build(frames, **how)


def test_labels_attributes_and_provenance():
    dataset = quietly(some(CELLS, list(range(1, 101))), split="random", seed=4)
    assert dataset.n_private == 6
    assert np.unique(dataset.attributes["expression"]).tolist() == list(range(7))
    assert np.bincount(dataset.split).tolist() == [2940, 630, 630]
    known = json.loads(json.dumps(dataset.provenance))
    assert (known["dataset"], known["source"], known["private"]) == ("ferg", "ferg", "identity")
    assert known["counts"]["mery"]["surprise"] == 100
    assert (known["split"], known["split_seed"], known["left_out"]) == ("random", 4, 0)
    assert "must not be passed on" in known["licence"]


def test_missing_images_are_a_warning_with_their_count():
    frames = some(CELLS, [1, 2, 3])
    with pytest.warns(UserWarning, match="55641 of the 55767 images of FERG-DB are missing and 0 are more") as caught:
        ferg.build(frames, split="random")
    assert "3 of 1644" in str(caught[0].message)
    assert "..." not in str(caught[0].message)


def test_a_complete_data_set_and_synthetic_data_are_not_warned_of(monkeypatch):
    monkeypatch.setattr(ferg, "COUNTS", np.full((6, 7), 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ferg.build(some(CELLS, [1, 2, 3]), split="random").source == "ferg"
        assert ferg.build(some(CELLS, [1, 2], synthetic=True), split="random").source == "synthetic"
    with pytest.warns(UserWarning, match="0 of the 126 images of FERG-DB are missing and 42 are more"):
        ferg.build(some(CELLS, [1, 2, 3, 4]), split="random")


def test_the_real_counts_are_the_published_ones():
    assert ferg.COUNTS.sum() == 55767
    assert ferg.COUNTS.shape == (6, 7)
    assert ferg.COUNTS.sum(1).max() / ferg.COUNTS.sum() == pytest.approx(0.202, abs=5e-4)  # bonnie, the chance line
    text = ferg.count_table(ferg.COUNTS, "ferg").to_string()
    assert "1644" in text
    assert " of " not in text


def test_wrong_words_are_errors():
    with pytest.raises(ValueError, match="split 'frames'; expected one of clips, random"):
        quietly(some(CELLS, [1, 2, 3]), split="frames")
    with pytest.raises(ValueError, match="needs at least one image"):
        quietly(some(CELLS, [1, 2, 3]), split_sizes=(1, 0, 1))
    with pytest.raises(ValueError, match="1 clips do not fill"):
        quietly(some([(0, 0)], [1, 2, 3]))


@given(
    lengths=st.lists(st.integers(1, 9), min_size=60, max_size=120),
    cells=st.integers(1, 6),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_a_clip_is_in_one_split_and_splits_have_their_share(lengths, cells, seed):
    clips = np.repeat(np.arange(len(lengths)), lengths)
    cell = clips * cells // len(lengths)
    order = np.random.default_rng(seed).permutation(len(clips))
    split = ferg.clip_split(cell[order], clips[order], (70, 15, 15), np.random.default_rng(seed))
    for clip in range(len(lengths)):
        assert len(np.unique(split[clips[order] == clip])) == 1
    shares = np.bincount(split, minlength=3) / len(split)
    np.testing.assert_allclose(shares, (0.7, 0.15, 0.15), atol=2 * 9 / len(split))
    again = ferg.clip_split(cell[order], clips[order], (70, 15, 15), np.random.default_rng(seed))
    np.testing.assert_array_equal(split, again)


def test_every_cell_is_in_every_split_and_seeds_differ():
    clips = np.repeat(np.arange(42 * 12), 12)
    cell = clips // 12
    one, other = (ferg.clip_split(cell, clips, (70, 15, 15), np.random.default_rng(seed)) for seed in (0, 1))
    assert all(set(split[cell == c]) == {0, 1, 2} for split in (one, other) for c in range(42))
    assert (one != other).any()


def test_recorded_clips_are_kept_together_and_nothing_is_left_out():
    frames = some(CELLS, list(range(1, 61)), recorded={"clip": np.arange(42 * 60) // 12}, synthetic=True)
    dataset = ferg.build(frames, seed=1)
    assert len(dataset) == 42 * 60
    for clip in np.unique(dataset.attributes["clip"]):
        assert len(np.unique(dataset.split[dataset.attributes["clip"] == clip])) == 1
    shuffled = ferg.build(frames, split="random", seed=1)  # the control: a random split does share clips
    assert max(len(np.unique(shuffled.split[shuffled.attributes["clip"] == clip])) for clip in range(42)) == 3


@given(
    numbers=st.sets(st.integers(1, 400), min_size=60),
    run=st.integers(5, 30),
    gap=st.integers(1, 4),
    seed=st.integers(0, 9),
)
@settings(max_examples=25, deadline=None)
def test_without_recorded_clips_no_two_splits_come_close(numbers, run, gap, seed):
    cells = [(0, 0), (2, 6), (5, 3)]
    dataset = quietly(some(cells, list(numbers)), run=run, gap=gap, seed=seed, split_sizes=(2, 1, 1))
    for cell in cells:
        here = (dataset.z == cell[0]) & (dataset.attributes["expression"] == cell[1])
        frame, split = dataset.attributes["frame"][here], dataset.split[here]
        apart = np.abs(np.subtract.outer(frame, frame))
        assert apart[np.not_equal.outer(split, split)].min(initial=999) > gap
    assert len(dataset) + dataset.provenance["left_out"] == 3 * len(numbers)


def test_runs_end_at_jumps_and_at_their_length():
    frames = some([(0, 0), (0, 1)], [1, 2, 3, 4, 5, 9, 10])
    assert ferg.runs(frames, 3).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5]
    assert ferg.runs(frames, 99).tolist() == [0] * 5 + [1] * 2 + [2] * 5 + [3] * 2


def test_little_is_lost_between_the_runs_of_the_real_numbers():
    frames = some([(0, 0), (1, 1)], list(range(1, 1501)))
    assert quietly(frames).provenance["left_out"] < 0.06 * len(frames)


# where it comes from


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """An empty project whose shared folder is empty too."""
    monkeypatch.setenv("ANONREP_DATA", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere" / "ferg").mkdir(parents=True)
    (tmp_path / "project" / ferg_sources.DROP).mkdir(parents=True)
    (tmp_path / "project" / ferg_sources.DROP / "README.md").write_text("put it here")
    return tmp_path / "project"


def test_the_order_of_places(root):
    drop, shared = root / ferg_sources.DROP, root.parent / "elsewhere" / "ferg"
    put(shared / "any.zip", {ONE: WHOLE})
    assert ferg_sources.ferg_path("auto", root) == ferg_sources.ferg_path("shared", root) == shared / "any.zip"
    put(drop / "locked.zip", {ONE: WHOLE})
    assert ferg_sources.ferg_path("auto", root) == drop / "locked.zip"
    put(drop, {ONE: WHOLE})
    assert ferg_sources.ferg_path("raw", root) == drop  # what was unpacked comes before the zip beside it
    assert len(read(ferg_sources.ferg_path("auto", root))) == 1


def test_a_link_to_the_data_is_followed(root, tmp_path):
    put(tmp_path / "disk" / "FERG_DB_256", {ONE: WHOLE})
    (root / ferg_sources.DROP / "FERG_DB_256").symlink_to(tmp_path / "disk" / "FERG_DB_256")
    assert len(read(ferg_sources.ferg_path("raw", root))) == 1


def test_without_the_variable_the_shared_folder_is_beside_the_project(root, monkeypatch):
    monkeypatch.delenv("ANONREP_DATA")
    put(root.parent / "shared" / "data" / "ferg", {ONE: WHOLE})
    assert len(read(ferg_sources.ferg_path("shared", root))) == 1


def test_absent_data_says_where_to_ask_and_goes_on_with_synthetic_data(root):
    with pytest.warns(UserWarning, match="SYNTHETIC DATA TAKES ITS PLACE") as caught:
        path = ferg_sources.ferg_path("auto", root, images=42)
    assert ferg.URL in str(caught[0].message)
    assert str(ferg_sources.DROP) in str(caught[0].message)
    assert "`dvc repro --force --single-item faces`" in str(caught[0].message), "DVC sees data/raw alone"
    frames = read(path)
    assert frames.synthetic
    dataset = ferg.build(frames, split="random")
    assert dataset.source == "synthetic"
    assert "synthetic" in dataset.provenance["citation"]
    assert "url" not in dataset.provenance
    for source in ("raw", "shared"):
        with pytest.raises(FileNotFoundError, match="handed out on request"):
            ferg_sources.ferg_path(source, root)
    with pytest.raises(ValueError, match="source 'web'; expected one of auto, raw, shared, synthetic"):
        ferg_sources.ferg_path("web", root)


def test_synthetic_data_never_passes_for_the_real_data(root, tmp_path):
    """Put where the real data belongs, under its name, as a zip, without its table, or an image of it among others."""
    synthetic_ferg.write(tmp_path / "drawn", images=42)
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "drawn").rglob("*.png")}
    files = {name(*file.removesuffix(".png").split("_")): data for file, data in drawn.items()}
    put(root / ferg_sources.DROP / "FERG_DB_256.zip", files)
    frames = read(ferg_sources.ferg_path("raw", root))
    assert frames.recorded == {}
    assert ferg.build(frames, split="random").source == "synthetic"
    mixed = {ONE: files[ONE], **{name("aia", "joy", k): WHOLE for k in range(9)}}
    assert read(put(tmp_path / "mixed.zip", mixed)).synthetic
    assert not read(put(tmp_path / "real.zip", {ONE: png(comment=SYNTHETIC[:-1])})).synthetic


def test_synthetic_data_goes_the_whole_way_to_a_saved_data_set(root):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = ferg_sources.ferg_path("synthetic", root, images=300, seed=2)
        dataset = ferg.build(read(path), seed=1)
    assert abs(len(dataset) - 300) < 25
    assert dataset.p_z == pytest.approx(ferg.COUNTS.sum(1) / ferg.COUNTS.sum(), abs=0.01)
    assert set(np.unique(dataset.split)) == set(range(len(SPLITS)))
    dataset.save(root / "out.npz")
    again = Dataset.load(root / "out.npz")
    np.testing.assert_array_equal(again.images, dataset.images)
    assert again.provenance == dataset.provenance


@pytest.fixture
def real_folder() -> Path:
    folder = Path(os.environ.get("ANONREP_DATA") or Path(__file__).parents[1] / ".." / "shared" / "data") / "ferg"
    path = ferg_sources._first(folder)
    if path is None:
        pytest.skip("the real FERG-DB is not at hand (ANONREP_DATA)")
    return path


def test_the_real_data_set(real_folder):
    frames = read(real_folder)
    assert not frames.synthetic
    assert (ferg.found(frames) == ferg.COUNTS).all()
