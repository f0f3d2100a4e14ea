"""A folder of images: every kind of picture becomes the same grey, and everything wrong is named at once."""

import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from anonrep.data import image_files, image_folder
from anonrep.data.dataset import Dataset
from anonrep.data.image_files import SYNTHETIC, ImageTreeError, resized, to_grey
from anonrep.data.image_folder import load_folder, read, split_people

SHAPE = (10, 12)


def grey(seed: int = 0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def put(path: Path, image: np.ndarray | Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def people(folder: Path, names: tuple[str, ...] = ("anna", "bo"), n: int = 12, shape: tuple[int, int] = SHAPE) -> Path:
    """A folder for each name with n images, all different."""
    for i, name in enumerate(names):
        for j in range(n):
            put(folder / name / f"{j:02d}.png", grey(10**6 * (i + 1) + j, shape))
    return folder


def problems(folder: Path, **options: object) -> list[str]:
    with pytest.raises(ImageTreeError) as error:
        load_folder(folder, **options)
    assert str(error.value).startswith(f"{folder}: {len(error.value.problems)} problem")
    assert all(line.isprintable() for line in error.value.problems)
    return error.value.problems


def table(path: Path, *lines: object) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return path


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


# what becomes of a good folder


def test_a_folder_becomes_a_data_set(tmp_path):
    folder = people(tmp_path / "images", ("zoe", "anna", "bo"))
    put(folder / "anna/may/morning/x.png", grey(77))  # a folder inside is the same person's
    data = load_folder(folder, private="writer", name="letters")
    assert (data.images.shape, data.images.dtype, data.n_private) == ((37, *SHAPE), np.uint8, 3)
    np.testing.assert_array_equal(data.images[0], np.asarray(Image.open(folder / "anna/00.png")))
    np.testing.assert_array_equal(data.z, np.repeat([0, 1, 2], [13, 12, 12]))
    assert data.provenance["labels"] == ["anna", "bo", "zoe"]
    assert (data.source, data.private, data.provenance["dataset"]) == ("own", "writer", "letters")
    assert data.provenance["reading"] == {"size": [10, 12], "resized": False, "inverted": False}
    assert data.provenance["original_sizes"] == {"10 x 12": 37}
    data.save(tmp_path / "data.npz")
    assert Dataset.load(tmp_path / "data.npz").provenance == data.provenance


def test_neither_the_place_nor_junk_leaves_a_trace_and_the_hash_knows_names_and_bytes(tmp_path):
    one, two = (people(tmp_path / name) for name in ("first-place", "second-place"))
    for name in (".DS_Store", "Thumbs.db", "anna/.DS_Store", "anna/._00.png", "__MACOSX/anna/00.png", ".git/x/y.png"):
        (two / name).parent.mkdir(parents=True, exist_ok=True)
        (two / name).write_bytes(b"junk")
    (two / "README.txt").write_text("about these images")
    whole = load_folder(one)
    assert load_folder(two).provenance == whole.provenance
    assert "first-place" not in str(whole.provenance)
    (one / "anna/00.png").rename(one / "anna/0.png")
    renamed = read(one).sha256
    put(one / "anna/0.png", grey(12345))
    assert len({whole.provenance["sha256"], renamed, read(one).sha256}) == 3


def test_links_to_files_count_and_links_to_folders_are_named(tmp_path):
    folder, elsewhere = people(tmp_path / "images"), put(tmp_path / "elsewhere/x.png", grey(99))
    (folder / "anna/linked.png").symlink_to(elsewhere)
    assert np.bincount(load_folder(folder).z).tolist() == [13, 12]
    (folder / "anna/loop").symlink_to(folder, target_is_directory=True)
    (folder / "bo/gone.png").symlink_to(tmp_path / "nowhere.png")
    assert problems(folder) == [
        "anna/loop: a link to a folder; expected the folder itself",
        "bo/gone.png: unreadable or truncated (a link that leads nowhere)",
    ]


def test_one_synthetic_image_makes_everything_synthetic(tmp_path):
    folder, comment = people(tmp_path), PngInfo()
    comment.add_text("Comment", f"{SYNTHETIC} digits")
    assert load_folder(folder).source == "own"
    put(folder / "bo/11.png", grey(5), pnginfo=comment)
    assert load_folder(folder).source == "synthetic"


# every kind of picture


@pytest.mark.parametrize("kind", ["png", "bmp", "tif", "gif", "pgm", "webp"])
def test_formats_without_loss_give_the_same_grey(kind, tmp_path):
    put(tmp_path / f"a.{kind}", grey(), **({"lossless": True} if kind == "webp" else {}))
    np.testing.assert_array_equal(read(tmp_path).images[0], grey())


@pytest.mark.parametrize("kind", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled_and_not_cut(kind, tmp_path):
    finer = grey().astype(int) * 257 + np.random.default_rng(0).integers(-128, 129, SHAPE)
    put(tmp_path / f"a.{kind}", Image.fromarray(finer.clip(0, 65535).astype(np.uint16)))
    np.testing.assert_array_equal(read(tmp_path).images[0], grey())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"])
def test_every_mode_of_a_grey_picture_is_the_same_grey(mode):
    picture = Image.fromarray(grey())
    values, colour = to_grey(picture.convert(mode))
    expected = np.asarray(picture.convert("1").convert("L")) if mode == "1" else grey()
    np.testing.assert_allclose(values.astype(int), expected, atol=1 if mode == "CMYK" else 0)
    assert not colour


def test_colour_is_turned_to_grey_and_counted(tmp_path):
    put(tmp_path / "a.png", np.stack([grey(1), grey(2), grey(3)], axis=-1))
    put(tmp_path / "b.png", np.stack([grey(1)] * 3, axis=-1))  # saved as colour, and has none
    found = read(tmp_path)
    assert found.colour == 1
    luma = 0.299 * grey(1) + 0.587 * grey(2) + 0.114 * grey(3)
    np.testing.assert_allclose(found.images[0], luma, atol=1)


def test_what_is_transparent_is_white(tmp_path):
    alpha = np.where(np.arange(12) < 6, 0, 255).astype(np.uint8) * np.ones((10, 1), np.uint8)
    put(tmp_path / "a.png", np.dstack([grey(), grey(), grey(), alpha]))
    palette = Image.fromarray(grey() % 2).convert("P")
    palette.putpalette([10, 10, 10, 200, 200, 200])
    put(tmp_path / "b.png", palette, transparency=0)
    first, second = read(tmp_path).images
    assert (first[:, :6] == 255).all()
    np.testing.assert_array_equal(first[:, 6:], grey()[:, 6:])
    np.testing.assert_array_equal(second, np.where(grey() % 2, 200, 255))


def test_exif_turns_are_undone(tmp_path):
    exif = Image.Exif()
    for orientation, turn in ((2, Image.Transpose.FLIP_LEFT_RIGHT), (6, Image.Transpose.ROTATE_90)):
        exif[0x0112] = orientation
        put(tmp_path / "a.png", Image.fromarray(grey()).transpose(turn), exif=exif)
        np.testing.assert_array_equal(read(tmp_path).images[0], grey())


def test_a_telephones_picture_counts_as_one(tmp_path):
    """MPO: a second, small picture behind the first, in a file named .jpg."""
    small = Image.fromarray(grey(2, (8, 8)))
    put(tmp_path / "a.jpg", Image.fromarray(grey()), format="MPO", save_all=True, append_images=[small])
    assert Image.open(tmp_path / "a.jpg").n_frames == 2
    assert read(tmp_path).images.shape == (1, *SHAPE)


def test_inverting_and_resizing(tmp_path):
    put(tmp_path / "a.png", np.full((40, 24), 250, np.uint8))
    put(tmp_path / "b.png", np.kron(grey(1, (8, 9)), np.ones((3, 2), np.uint8)))
    found = read(tmp_path, size=[8, 9], invert=True)
    assert found.sizes == {(40, 24): 1, (24, 18): 1}
    assert (found.images[0] == 5).all()
    np.testing.assert_array_equal(found.images[1], 255 - grey(1, (8, 9)))


@given(st.integers(8, 40), st.integers(8, 40), st.integers(8, 40), st.integers(8, 40))
def test_boxes_keep_the_mean_and_the_range(h, w, height, width):
    image = grey(h * w, (h, w))
    small = resized(image, (height, width))
    assert small.shape == (height, width)
    assert image.min() <= small.min() <= small.max() <= image.max()
    if h % height == w % width == 0:
        assert abs(small.mean() - image.mean()) < 1


# what is wrong


def test_a_missing_folder_a_file_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"images is missing; expected a folder"):
        load_folder(tmp_path / "images")
    (tmp_path / "images.zip").write_bytes(b"PK")
    with pytest.raises(FileNotFoundError, match=r"images\.zip is a file; expected a folder .*unpack a zip first"):
        load_folder(tmp_path / "images.zip")
    (tmp_path / "empty").mkdir()
    assert problems(tmp_path / "empty") == [
        "no images: expected files such as anna/001.png",
        "no folders; expected a folder of images for each of two people or more",
    ]


def test_one_class_too_few_images_and_nobodys_are_named(tmp_path):
    folder = people(tmp_path, ("anna",), n=3)
    put(tmp_path / "stray.png", grey(9))
    assert problems(folder) == [
        "stray.png: in nobody's folder",
        "anna: 3 readable images; expected at least 10",
        "one folder, anna; expected a folder of images for each of two people or more",
    ]
    assert len(read(folder)) == 4
    (folder / "stray.png").unlink()
    (folder / "nobody").mkdir()
    assert problems(folder, least=2) == ["nobody: 0 readable images; expected at least 2"]


def damaged() -> dict[str, bytes]:
    with io.BytesIO() as file:
        Image.fromarray(grey()).save(file, "PNG")
        whole = file.getvalue()
    flipped = bytearray(whole)
    flipped[whole.index(b"IDAT") + 20] ^= 1
    return {"empty": b"", "text": b"no picture", "cut": whole[:60], "flipped": bytes(flipped), "svg": b"<svg/>"}


@pytest.mark.parametrize("what", damaged())
def test_a_damaged_file_is_named(what, tmp_path):
    (people(tmp_path) / "anna/00.png").write_bytes(damaged()[what])
    (line,) = problems(tmp_path)
    assert line.startswith("anna/00.png: unreadable")


def test_everything_that_is_no_single_8_bit_picture_is_named_at_once(tmp_path):
    folder = people(tmp_path)
    put(folder / "anna/a.tif", Image.fromarray(grey().astype(np.float32)))
    put(folder / "anna/b.gif", Image.fromarray(grey()), save_all=True, append_images=[Image.fromarray(grey(1))])
    (folder / "anna/c.pdf").write_bytes(b"%PDF")
    (folder / "d.heic").write_bytes(b"ftypheic")
    (folder / "notes.txt").write_text("passed over")
    put(folder / "bo/f.tif", Image.fromarray(grey().astype(np.int32)))
    put(folder / "dag/00.png", grey(3))
    os.mkfifo(folder / "bo/e.png")
    suffixes = " ".join(sorted(image_folder.SUFFIXES))
    assert problems(folder, attributes=table(tmp_path / "a.csv", ["file", "digit"], ["nowhere.png", 1]))[:8] == [
        f"anna/c.pdf: no image by its name; expected one of {suffixes}",
        f"d.heic: no image by its name; expected one of {suffixes}",
        "anna/a.tif: mode F; expected grey, colour or a palette of 8 bits, or grey of 16",
        "anna/b.gif: 2 pictures in one file; expected one",
        "bo/e.png: unreadable or truncated (no regular file)",
        "bo/f.tif: mode I; expected grey, colour or a palette of 8 bits, or grey of 16",
        "dag: 1 readable images; expected at least 10",
        "a.csv, line 2: no readable image nowhere.png; expected one of the folder, a path such as anna/00.png",
    ]


def test_files_and_pictures_that_are_too_large_are_named_unread(tmp_path, monkeypatch):
    folder = people(tmp_path)
    put(folder / "bo/big.png", grey(5, (100, 100)))
    monkeypatch.setattr(image_files, "PIXELS", 9_999)
    assert "bo/big.png: 100 x 100 pixels; expected at most 0 million in all" in problems(folder)
    (folder / "bo/big.png").write_bytes(bytes(image_files.BYTES + 1))
    assert "bo/big.png: unreadable or truncated (more than 67108864 bytes)" in problems(folder)
    monkeypatch.setattr(image_folder, "FILES", 20)
    assert "25 images; expected at most 20" in problems(folder)


def test_sizes_are_one_or_given_and_within_bounds(tmp_path):
    folder = people(tmp_path / "mixed")
    put(folder / "bo/odd.png", grey(1, (12, 10)))
    (line,) = problems(folder)
    assert line == "bo/odd.png: 12 x 10 pixels where 24 of the images have 10 x 12; give `size` to have all resized"
    assert load_folder(folder, size=10).images.shape == (25, 10, 10)
    (line,) = problems(people(tmp_path / "small", shape=(7, 20)))
    assert line == "7 x 20 pixels; expected 8 to 128 a side: give `size` to have all resized"


@pytest.mark.parametrize("size", [7, 129, [20], [20, 20, 20], [20.0, 20], "20", True, [8, 500]])
def test_a_size_that_is_none_is_named_before_anything_is_read(size, tmp_path):
    with pytest.raises(ValueError, match=r"size .*; expected one or two whole numbers of pixels, 8 to 128"):
        load_folder(tmp_path / "images", size=size)


def test_an_image_that_is_there_twice_is_named(tmp_path):
    """Also with another file's bytes: in training and in test at once it would flatter every accuracy."""
    folder = people(tmp_path)
    put(folder / "bo/copy.tif", Image.open(folder / "anna/03.png"))
    assert problems(folder) == ["bo/copy.tif: the same image as anna/03.png"]
    assert len(read(folder)) == 25  # of a release somebody may want two


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be written there")
def test_names_that_look_the_same_and_names_that_are_no_text(tmp_path):
    folder = people(tmp_path, ("anna", "caf\u00e9"))
    put(folder / "cafe\u0301/00.png", grey(5))
    assert problems(folder) == ["caf\u00e9/00.png: there twice, in two spellings of the same letters"]
    (folder / "cafe\u0301/00.png").rename(folder / "cafe\u0301/99.png")
    assert load_folder(folder).provenance["labels"] == ["anna", "caf\u00e9"]
    bad = os.fsdecode(b"anna/\xff\x1b[31m\n.png")
    put(folder / "anna/x.png", grey(6)).rename(folder / bad)
    assert all(name.encode() for name in read(folder).names)
    (folder / bad).write_bytes(b"")
    assert len(problems(folder)) == 1


@pytest.mark.parametrize("name", ["", "1st", "a/b", "<b>", "x" * 41, "a\nb"])
def test_names_for_results_are_plain(name, tmp_path):
    for where in ("private", "name"):
        with pytest.raises(ValueError, match="expected a letter, then letters, digits"):
            load_folder(tmp_path, **{where: name})


# attributes


def test_attributes_whole_real_and_worded_decide_nothing_else(tmp_path):
    folder = people(tmp_path / "images")
    lines = [[file, i % 3, i / 4, ("calm", "gay", "née")[i % 3]] for i, file in enumerate(files(folder))]
    path = table(folder / "attributes.csv", ["file", "digit", "tilt", "mood of the day"], *lines[::-1])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as a spreadsheet writes it
    data = load_folder(folder, attributes=path)
    assert data.attributes["digit"].dtype == data.attributes["mood of the day"].dtype == np.int64
    np.testing.assert_array_equal(data.attributes["digit"], np.arange(24) % 3)
    np.testing.assert_array_equal(data.attributes["tilt"], np.arange(24) / 4)
    np.testing.assert_array_equal(data.attributes["mood of the day"], np.arange(24) % 3)
    assert data.provenance["attribute_words"] == {"mood of the day": ["calm", "gay", "née"]}
    without = load_folder(folder)
    np.testing.assert_array_equal(data.split, without.split)
    assert data.provenance | {"attribute_words": {}} == without.provenance


def attribute_problems(folder: Path, *lines: object) -> list[str]:
    return problems(folder, attributes=table(folder / "a.csv", *lines))


def test_unknown_missing_and_repeated_files_are_named(tmp_path):
    folder = people(tmp_path)
    rows = [[file, 1] for file in files(folder)]
    odd = [[r"anna\01.png", 1], ["anna/02.png", 2]]
    assert attribute_problems(folder, ["file", "digit"], *rows[1:], *odd) == [
        r"a.csv, line 25: no readable image anna\01.png; expected one of the folder, a path such as anna/00.png",
        "a.csv, line 26: a second line for anna/02.png",
        "a.csv: no line for anna/00.png",
    ]


@pytest.mark.parametrize("header", [[], ["file"], ["name", "digit"], ["file;digit"], ["digit", "file"]])
def test_a_wrong_header_is_named(header, tmp_path):
    (line,) = attribute_problems(people(tmp_path), header)
    assert line == f"a.csv: found the header {','.join(header) or 'nothing'}; expected file,<attribute>,... with commas"


@pytest.mark.parametrize("column", ["person", "digit", "", "a/b", "<script>", "3d", "x" * 41])
def test_a_wrong_column_is_named(column, tmp_path):
    """What z is called is taken, too: an attribute of that name would be attacked in its place."""
    folder = people(tmp_path)
    rows = [[file, 1, 2] for file in files(folder)]
    assert any(f"a column {column!r}" in line for line in attribute_problems(folder, ["file", "digit", column], *rows))


def test_wrong_values_are_named_by_their_lines(tmp_path):
    folder = people(tmp_path)
    rows = [[file, 1.5, 2] for file in files(folder)]
    rows[0], rows[1], rows[2] = rows[0][:2], [rows[1][0], "", 3], [*rows[2], 9]
    expected = [f"a.csv, line {line}: expected 3 values, none of them empty" for line in (2, 3, 4)]
    assert attribute_problems(folder, ["file", "tilt", "digit"], *rows) == expected
    rows = [[file, value] for file, value in zip(files(folder), ["nan", "inf", "1e999", *range(21)], strict=True)]
    expected = [f"a.csv, line {line}: tilt is no finite number" for line in (2, 3, 4)]
    assert attribute_problems(folder, ["file", "tilt"], *rows) == expected


@pytest.mark.parametrize("data", [b"\xff\xfe\x00f", b'file,digit\n"anna'])
def test_a_csv_that_is_none_is_named(data, tmp_path):
    (people(tmp_path) / "a.csv").write_bytes(data)
    (line,) = problems(tmp_path, attributes=tmp_path / "a.csv")
    assert line.startswith("a.csv: unreadable (")
    assert line.endswith("); expected a CSV in UTF-8")


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=24, max_size=24))
def test_any_words_become_integers_or_a_named_problem(tmp_path_factory, words):
    folder = tmp_path_factory.getbasetemp() / "words"
    if not folder.exists():
        people(folder)
    path = table(folder / "a.csv", ["file", "mood"], *zip(files(folder), words, strict=True))
    wrong, data = [], None
    try:
        data = load_folder(folder, attributes=path)
    except ImageTreeError as error:
        wrong = error.problems
    assert all(line.startswith("a.csv") for line in wrong)
    if data and "mood" in (known := data.provenance["attribute_words"]):
        assert [known["mood"][i] for i in data.attributes["mood"]] == [word.strip() for word in words]


# the split


@given(st.integers(2, 9), st.integers(10, 60), st.integers(0, 99))
def test_everybody_is_in_training_and_in_validation(persons, n, seed):
    z = np.repeat(np.arange(persons), n)
    split = split_people(z, (60, 15, 25), np.random.default_rng(seed))
    assert split.dtype == np.uint8
    counts = np.bincount(z * 3 + split, minlength=3 * persons).reshape(persons, 3)
    assert (counts[:, :2] >= 1).all()
    assert counts[:, 2].sum() == len(z) - round(0.75 * len(z))
    rest = counts[:, :2].sum(1)
    assert np.abs(counts[:, 1] - rest / 5).max() <= 1
    np.testing.assert_array_equal(split, split_people(z, (60, 15, 25), np.random.default_rng(seed)))


def test_test_images_are_drawn_whoever_is_on_them():
    """How many are somebody's varies as in draws without replacement: quotas would void the certificate."""
    z = np.repeat(np.arange(10), 40)
    found = [np.sum(split_people(z, (60, 15, 25), np.random.default_rng(seed))[:40] == 2) for seed in range(2000)]
    assert np.mean(found) == pytest.approx(10, abs=0.2)
    assert np.var(found) == pytest.approx(40 * 0.25 * 0.75 * 360 / 399, rel=0.15)


def test_sizes_that_leave_nothing_to_learn_from_are_named():
    with pytest.raises(ValueError, match=r"private label 0 has \d of its 10 images beside the test images; expected 2"):
        split_people(np.repeat([0, 1], 10), (1, 1, 100), np.random.default_rng(0))
    with pytest.raises(ValueError, match="needs at least one image"):
        split_people(np.repeat([0, 1], 10), (1, 0, 1), np.random.default_rng(0))


# nothing but its own error


@given(
    kind=st.sampled_from(["PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP", "PPM"]),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6),
    keep=st.one_of(st.just(1.0), st.floats(0, 1)),
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_are_read_or_named(tmp_path_factory, kind, changes, keep):
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    with io.BytesIO() as file:
        Image.fromarray(np.dstack([grey(1), grey(2), grey(3)])).save(file, kind)
        data = bytearray(file.getvalue())
    for place, value in changes:
        data[int(place * len(data))] = value
    (folder / "a.png").write_bytes(data[: int(keep * len(data))])
    try:
        found = read(folder)
    except ImageTreeError as error:
        found = error.problems
    assert len(found) == 1
