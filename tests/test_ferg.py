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
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from anonrep.data import ferg, ferg_reader, image_files
from anonrep.data.dataset import Dataset
from anonrep.data.ferg_reader import CHARACTERS, COUNTS, EXPRESSIONS, TABLE, Frames, read
from anonrep.data.image_files import ImageTreeError
from anonrep.data.synthetic.ferg import MARK

NUMBERS = (1, 7, 23, 456, 1746)  # one to four figures, as in the real data set
TOP = "FERG_DB_256/"


def png(colour: object = (200, 100, 50), size: tuple = (256, 256), mode: str = "RGB", comment: str = "") -> bytes:
    """An image of one colour whose right half is black, so that there is something to average."""
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


CELLS = [(who, what) for who in range(6) for what in range(7)]
REAL = {  # a small FERG-DB: each image has a grey of its own
    name(CHARACTERS[who], EXPRESSIONS[what], number): png((4 * i + 20 * k,) * 3)
    for i, (who, what) in enumerate(CELLS)
    for k, number in enumerate(NUMBERS[: 1 + i % 5])
}
ONE, WHOLE = name("aia", "anger", 1), png()


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


def problems(path: Path) -> list[str]:
    with pytest.raises(ImageTreeError) as caught:
        read(path)
    return caught.value.problems


FORMS = pytest.mark.parametrize("form", ["folder", "all.zip"])


# reading


@FORMS
def test_the_real_layout_is_read_in_the_order_of_its_numbers(tmp_path, form):
    frames = read(put(tmp_path / form, dict(reversed(REAL.items()))))
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


def test_a_folder_and_its_zip_are_the_same_data_whatever_lies_on_top_and_beside(tmp_path):
    junk = {
        "__MACOSX/FERG_DB_256/aia/aia_anger/._aia_anger_1.png": b"\0\5\26\7",
        f"{TOP}aia/.DS_Store": b"x",
        f"{TOP}aia/aia_anger/Thumbs.db": b"x",
        f"{TOP}README.txt": b"read me",
        "licence.pdf": b"%PDF",
    }
    moved = {f"deep/er/{file.removeprefix(TOP)}": data for file, data in REAL.items()}
    found = [read(put(tmp_path / f"{i}.zip", files)) for i, files in enumerate((REAL, REAL | junk, moved))]
    found.append(read(put(tmp_path / "folder", REAL | junk)))
    assert len({frames.sha256 for frames in found}) == 1
    for frames in found:
        np.testing.assert_array_equal(frames.images, found[0].images)
    assert read(put(tmp_path / "other.zip", REAL | {ONE: png((1, 2, 3))})).sha256 != found[0].sha256


def test_colour_becomes_grey_by_its_luminance_and_pixels_are_means(tmp_path):
    files = {name("aia", "joy", k): png(c) for k, c in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255,) * 3])}
    frames = read(put(tmp_path / "a.zip", files), size=3)
    halves = [[76, 38, 0], [150, 75, 0], [29, 14.5, 0], [255, 127.5, 0]]  # the middle pixel is half dark
    np.testing.assert_allclose(frames.images[:, 0], halves, atol=0.5)


def test_links_to_folders_are_followed(tmp_path):
    put(tmp_path / "disk", {ONE: WHOLE})
    (tmp_path / "ferg").mkdir()
    (tmp_path / "ferg" / TOP[:-1]).symlink_to(tmp_path / "disk" / TOP[:-1])
    assert len(read(tmp_path / "ferg")) == 1


# what is wrong is named

BAD = {
    name("aia", "joy", 2): (b"", "unreadable"),
    name("aia", "joy", 3): (b"no image", "unreadable; expected PNG, JPEG"),
    name("aia", "joy", 4): (png()[:-60], "truncated"),
    name("aia", "joy", 5): (png(size=(255, 256)), "256 x 255 pixels"),
    name("aia", "joy", "x"): (png(), "misnamed"),
    name("aia", "joy", 12345): (png(), "misnamed"),
    name("aia", "joy", "07"): (png(), "there already as"),  # beside the real tree's frame 7
    name("aia", "glee", 1): (png(), "misnamed"),
    name("bob", "joy", 1): (png(), "misnamed"),
    f"{TOP}aia/aia_joy/aia_fear_1.png": (png(), "misnamed"),
    f"{TOP}aia/aia_joy_1.png": (png(), "misnamed"),
    f"{TOP}aia/aia_joy/aia_joy_9.png.part": (b"x", "misnamed"),
    "aia_joy_1.png": (png(), "misnamed"),
}


@FORMS
def test_everything_wrong_is_named_at_once_and_nothing_else(tmp_path, form):
    found = dict(
        line.split(": ", 1) for line in problems(put(tmp_path / form, REAL | {k: v[0] for k, v in BAD.items()}))
    )
    twin = name("aia", "joy", 7)  # either of the twins may be the one that is too many
    found = {name("aia", "joy", "07") if file == twin else file: words for file, words in found.items()}
    assert found.keys() == BAD.keys()
    assert all(BAD[file][1] in words for file, words in found.items())


def test_a_hundred_problems_are_shown_in_letters_that_can_be_printed(tmp_path):
    odd = name("aia", "joy", "\n\x1b[2J\u202e")
    path = put(tmp_path / "a.zip", {odd: b""} | {name("aia", "joy", f"{k}x"): b"" for k in range(999)})
    with pytest.raises(
        ImageTreeError, match=r"1000 problems; expected 256 x 256 PNG images(.|\n)*and 900 more"
    ) as caught:
        read(path)
    assert len(caught.value.problems) == 1000
    assert all(line.isprintable() for line in caught.value.problems)


@pytest.mark.parametrize("file", ["../" * 5 + ONE, "/" + ONE, f"{TOP}../{ONE}", f"..\\..\\{ONE}", f"x//{ONE}"])
def test_paths_that_lead_out_are_named_and_nothing_is_written(tmp_path, monkeypatch, file):
    path = put(tmp_path / "a.zip", REAL | {file: WHOLE})
    monkeypatch.chdir(tmp_path)
    assert problems(path) == [f"{file}: misnamed"]
    assert list(tmp_path.rglob("*")) == [path]


def test_an_empty_place_a_missing_one_and_too_many_files_are_errors(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"none is missing; expected the folder or the zip"):
        read(tmp_path / "none")
    assert problems(tmp_path) == ["no images"]
    monkeypatch.setattr(ferg_reader, "FILES", 20)
    assert problems(put(tmp_path / "a.zip", REAL)) == ["more than 20 files; the data set has 55767"]


def test_a_pipe_is_named_and_not_waited_for(tmp_path):
    folder = put(tmp_path / "folder", {ONE: WHOLE})
    os.mkfifo(folder / name("aia", "anger", 2))
    (line,) = problems(folder)
    assert "no regular file" in line


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """256 MiB of nothing, whose entry says that it is small; no more than the limit is ever unpacked."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(2**24)
    packed = b"".join([*(squeeze.compress(block) for _ in range(16)), squeeze.flush()])
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(ONE, packed)
    raw = bytearray(path.read_bytes())
    directory = raw.rfind(b"PK\1\2")
    for place, at in ((0, 8), (directory, 10)):  # say "deflated", and leave the small size as it is
        struct.pack_into("<H", raw, place + at, zipfile.ZIP_DEFLATED)
    asked, unpack = [], zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda self, n=-1: asked.append(n) or unpack(self, n))
    for size in (2**28, 1000):
        struct.pack_into("<I", raw, directory + 24, size)
        path.write_bytes(raw)
        assert len(problems(path)) == 1
    assert asked == [image_files.BYTES + 1] * 2


@pytest.mark.parametrize("way", ["locked", zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_cannot_be_unpacked_bit_by_bit_says_what_to_do(tmp_path, way):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED if way == "locked" else way) as archive:
        archive.writestr(ONE, WHOLE)
    if way == "locked":
        raw = bytearray((tmp_path / "a.zip").read_bytes())
        for place, at in ((0, 6), (raw.rfind(b"PK\1\2"), 8)):
            struct.pack_into("<H", raw, place + at, 1)
        (tmp_path / "a.zip").write_bytes(raw)
    (line,) = problems(tmp_path / "a.zip")
    assert ("locked by a password" if way == "locked" else "neither stored nor deflated") in line
    assert "unpack the zip and read the folder" in line


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


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (dict(list(ROWS.items())[:2]), [": no line for ray_joy_2.png"]),
        (ROWS | {"ray_joy_3.png": "0,0,0,0"}, [", line 5: no readable image ray_joy_3.png"]),
        (
            ROWS | {"ray_joy_1.png": "0,nan,0,0", "ray_joy_2.png": "0.5,0,0,0"},
            [", line 4: clip is no whole number", ", line 3: pose is no finite number"],
        ),
        (
            ROWS | {"ray_joy_1.png": "0,0,0", "ray_joy_2.png": "0,0,0,0,0"},
            [", line 3: expected 5 values", ", line 4: expected 5 values"],
        ),
        (ROWS | {"ray_joy_1.png": f"{10**30},0,0,0"}, [", line 3: clip is no whole number"]),
    ],
    ids=["missing", "unknown", "not numbers", "columns", "too large"],
)
def test_wrong_attributes_are_named_with_their_lines(tmp_path, rows, said):
    found = problems(put(tmp_path / "a.zip", THREE | {f"{TOP}{TABLE}": table(rows)}))
    for problem, words in zip(found, said, strict=True):
        assert problem.startswith(f"{TOP}{TABLE}{words}")


def test_one_synthetic_image_makes_everything_synthetic(tmp_path):
    mixed = {ONE: png(comment=MARK), **{name("aia", "joy", k): WHOLE for k in range(3)}}
    assert read(put(tmp_path / "mixed.zip", mixed)).synthetic
    assert not read(put(tmp_path / "real.zip", {ONE: png(comment="made by hand")})).synthetic


# the data set


def some(cells: list[tuple[int, int]], numbers: list[int], **more: object) -> Frames:
    """Frames without pictures: the same numbers for each (character, expression)."""
    places = np.array([(*cell, number) for cell in sorted(cells) for number in sorted(numbers)], np.int64)
    images = np.zeros((len(places), 2, 2), np.uint8)
    return Frames(images, *places.T, **{"recorded": {}, "synthetic": False, "sha256": "0" * 64} | more)


def built(frames: Frames, split: str = "clips", **options: object) -> Dataset:
    return ferg.build(frames, split, ferg.Options(**options))


def quietly(frames: Frames, split: str = "clips", **options: object) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return built(frames, split, **options)


def test_labels_attributes_and_provenance():
    dataset = quietly(some(CELLS, list(range(1, 101))), "random", seed=4)
    assert dataset.n_private == 6
    assert np.unique(dataset.task("expression")).tolist() == list(range(7))
    assert np.bincount(dataset.split).tolist() == [2940, 630, 630]
    known = json.loads(json.dumps(dataset.provenance))
    assert (known["dataset"], known["source"], known["private"]) == ("ferg", "ferg", "identity")
    assert known["counts"]["mery"]["surprise"] == 100
    assert (known["split"], known["split_seed"], known["left_out"]) == ("random", 4, 0)
    assert "must not be passed on" in known["licence"]


def test_missing_images_are_a_warning_and_complete_or_synthetic_data_are_not(monkeypatch):
    with pytest.warns(UserWarning, match="55641 of the 55767 images of FERG-DB are missing and 0 are more") as caught:
        built(some(CELLS, [1, 2, 3]), "random")
    assert "3 of 1644" in str(caught[0].message)
    assert "..." not in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setattr(ferg, "COUNTS", np.full((6, 7), 3))
        assert built(some(CELLS, [1, 2, 3]), "random").source == "ferg"
        dataset = built(some(CELLS, [1, 2], synthetic=True), "random")
    assert dataset.source == "synthetic"
    assert "url" not in dataset.provenance


def test_the_real_counts_are_the_published_ones():
    assert COUNTS.sum() == 55767
    assert COUNTS.sum(1).max() / COUNTS.sum() == pytest.approx(0.202, abs=5e-4)  # bonnie, the chance line


def test_clips_that_do_not_fill_the_parts_are_an_error():
    with pytest.raises(ValueError, match="1 clips do not fill"):
        quietly(some([(0, 0)], [1, 2, 3]))


@given(lengths=st.lists(st.integers(1, 9), min_size=60, max_size=120), cells=st.integers(1, 6), seed=st.integers(0, 99))
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


def test_recorded_clips_are_kept_together_in_every_cell_and_nothing_is_left_out():
    frames = some(CELLS, list(range(1, 145)), recorded={"clip": np.arange(42 * 144) // 12}, synthetic=True)
    dataset = built(frames, seed=1)
    assert len(dataset) == 42 * 144
    for clip in np.unique(dataset.attributes["clip"]):
        assert len(np.unique(dataset.split[dataset.attributes["clip"] == clip])) == 1
    cell = dataset.z * 7 + dataset.attributes["expression"]
    assert all(set(dataset.split[cell == c]) == {0, 1, 2} for c in range(42))
    shuffled = built(frames, "random", seed=1)  # the control: a random split does share clips
    assert max(len(np.unique(shuffled.split[shuffled.attributes["clip"] == clip])) for clip in range(42)) == 3


@given(
    numbers=st.sets(st.integers(1, 400), min_size=60),
    run=st.integers(5, 30),
    gap=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_without_recorded_clips_no_two_splits_come_close(numbers, run, gap, seed):
    cells = [(0, 0), (2, 6), (5, 3)]
    dataset = quietly(some(cells, list(numbers)), run=run, gap=gap, seed=seed, split_sizes=(2, 1, 1))
    for cell in cells:
        here = (dataset.z == cell[0]) & (dataset.attributes["expression"] == cell[1])
        frame, split = dataset.attributes["frame"][here], dataset.split[here]
        apart = np.abs(np.subtract.outer(frame, frame))
        assert apart[np.not_equal.outer(split, split)].min(initial=999) > gap
    assert len(dataset) + dataset.provenance["left_out"] == 3 * len(numbers)


def test_runs_end_at_jumps_and_at_their_length_and_little_is_lost_between_them():
    frames = some([(0, 0), (0, 1)], [1, 2, 3, 4, 5, 9, 10])
    assert ferg.runs(frames, 3).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5]
    assert ferg.runs(frames, 99).tolist() == [0] * 5 + [1] * 2 + [2] * 5 + [3] * 2
    many = some([(0, 0), (1, 1)], list(range(1, 1501)))
    assert quietly(many).provenance["left_out"] < 0.06 * len(many)


def test_what_was_unpacked_comes_before_a_zip_beside_it(tmp_path):
    folder = tmp_path / "data/raw/ferg"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("put it here")
    options = ferg.Options(source="raw", artificial=7, size=16, split_sizes=(1, 1, 1))
    with pytest.raises(FileNotFoundError, match="handed out on request"):
        ferg.build_splits(options, ["random"], tmp_path)
    for files, number in (("any.zip", 3), ("", 4)):
        put(folder / files, {name("aia", "joy", k): WHOLE for k in range(number)})
        with pytest.warns(UserWarning, match="are missing"):
            found = ferg.build_splits(options, ["random"], tmp_path)
        assert len(found["random"]) == number
