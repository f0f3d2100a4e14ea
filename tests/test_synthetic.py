"""Synthetic data: in the real forms, honest about itself, and neither too easy nor too hard."""

import csv

import numpy as np
import pytest
from PIL import Image
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.svm import SVC

from anonrep.data import ferg
from anonrep.data.ferg_reader import CHARACTERS, RECORDED, TABLE
from anonrep.data.ferg_reader import EXPRESSIONS as READ
from anonrep.data.image_files import SYNTHETIC, resized, to_grey
from anonrep.data.pendigits import Options, build
from anonrep.data.synthetic import ferg as faces
from anonrep.data.synthetic.faces.acting import EXPRESSIONS, MUSCLES
from anonrep.data.synthetic.faces.cast import CAST, NOBODY
from anonrep.data.synthetic.faces.features import Moment
from anonrep.data.synthetic.faces.portrait import draw
from anonrep.data.synthetic.pendigits import HEADER, synthetic_pendigits
from anonrep.data.unipen import TABLET, parse_unipen

EVERYBODY = {**CAST, "nobody": NOBODY}


# digits


@pytest.fixture(scope="module")
def strokes() -> bytes:
    return synthetic_pendigits(5, writers=4, digits_per_writer=53)


def test_digits_are_read_and_their_first_line_says_what_they_are(strokes):
    digits = parse_unipen(strokes)
    assert strokes.startswith(HEADER)
    assert sorted((d.writer, d.instance) for d in digits) == [(w, i) for w in range(1, 5) for i in range(1, 54)]
    assert np.bincount([digit.label for digit in digits]).min() == 4 * 5
    points = np.concatenate([stroke for digit in digits for stroke in digit.strokes])
    assert 0 < points.min() <= points.max() < TABLET  # nothing had to be cut at the tablet's edge


def test_the_seed_decides_and_a_writer_does_not_depend_on_how_many_there_are(strokes):
    assert synthetic_pendigits(5, writers=4, digits_per_writer=53) == strokes
    assert synthetic_pendigits(6, writers=4, digits_per_writer=53) != strokes
    first, second = (
        {d.instance: np.concatenate(d.strokes).tolist() for d in parse_unipen(data) if d.writer == 2}
        for data in (synthetic_pendigits(5, writers=2, digits_per_writer=53), strokes)
    )
    assert first == second
    with pytest.raises(ValueError, match="30 writers with 9 digits each; expected"):
        synthetic_pendigits(0, digits_per_writer=9)


def test_digits_are_easy_and_writers_are_neither_hidden_nor_obvious():
    """A tenth of the size of the real file leaves an attacker less to learn from, hence the wide bounds."""
    digits = parse_unipen(synthetic_pendigits(0, writers=10, digits_per_writer=120))
    dataset = build(digits, {"source": "synthetic"}, Options(split_sizes=(9, 1, 2)))
    train, test = dataset.subset("train"), dataset.subset("test")
    pixels = [part.images.reshape(len(part), -1) / 255 for part in (train, test)]
    score = {
        task: SVC(C=10, gamma=0.02).fit(pixels[0], train.task(task)).score(pixels[1], test.task(task))
        for task in ("writer", "digit")
    }
    assert score["digit"] > 0.95
    assert 0.4 < score["writer"] < 0.95


# shapes and faces


def small(image: np.ndarray, size: int) -> np.ndarray:
    return resized(to_grey(Image.fromarray(image))[0], (size, size))


def test_the_cast_bears_the_names_that_the_reader_takes():
    assert tuple(CAST) == CHARACTERS
    assert tuple(EXPRESSIONS) == READ


def test_nobody_looks_like_anybody_else_whatever_they_feel():
    """Every two of the 49 images of seven characters and seven expressions differ, at 50 x 50 in grey too."""
    drawn = []
    for who in EVERYBODY.values():
        acted = [who.face(expression) for expression in EXPRESSIONS]
        muscles = {name: np.array([face[name] for face in acted]) for name in MUSCLES}
        images = draw(who, Moment(muscles, *([np.zeros(7)] * 7)), 100)
        drawn += [small(image, 50).astype(float) for image in images]
    drawn = np.array(drawn).reshape(49, -1)
    apart = np.sqrt(((drawn[:, None] - drawn) ** 2).mean(-1))
    same_person = np.kron(np.eye(7), np.ones((7, 7))).astype(bool)
    assert apart[~same_person].min() > 15  # levels of 255, root mean square
    assert apart[same_person & ~np.eye(49, dtype=bool)].min() > 3


def test_an_expression_rises_and_falls_and_the_head_stays_within_its_bounds():
    takes = [faces.perform(CAST["mery"], "joy", 12, np.random.default_rng(seed)) for seed in range(40)]
    cheeks = np.mean([take.muscles["cheek"] for take in takes], axis=0)
    assert cheeks.argmax() in (5, 6)
    for name, (_, _, most) in faces.MOVES.items():
        values = np.array([getattr(take, name) for take in takes])
        assert np.abs(values).max() <= most
        assert 0 < np.abs(np.diff(values, axis=1)).max() < most  # it moves, and never jumps across


# files


def contents(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_have_the_real_layout_and_say_what_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(faces, "SIZE", 64)  # drawn in a tenth of the time
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        faces.write(tmp_path / name, images=42, seed=seed)
    assert contents(tmp_path / "again") == contents(tmp_path / "one") != contents(tmp_path / "other")
    top = tmp_path / "one" / faces.TOP
    assert sorted(path.name for path in top.iterdir()) == sorted([*CHARACTERS, TABLE])
    files = sorted(top.rglob("*.png"))
    assert abs(len(files) - 42) < 7  # each of 42 counts is rounded
    for path in files:
        character, expression, _ = path.stem.split("_")
        assert path.relative_to(top).parts[:2] == (character, f"{character}_{expression}")
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((64, 64), "RGB")
            assert image.info["Comment"].startswith(SYNTHETIC)
    lines = list(csv.DictReader((top / TABLE).open(encoding="utf-8")))
    assert list(lines[0]) == ["file", *RECORDED]
    assert sorted(line["file"] for line in lines) == sorted(path.name for path in files)


def test_after_a_failure_and_beside_other_files_everything_stays_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    with pytest.raises(FileExistsError, match="holds no synthetic faces"):
        faces.write(tmp_path / "mine", images=42)
    older = tmp_path / "ferg" / faces.TOP / "older"
    older.mkdir(parents=True)
    monkeypatch.setattr(faces, "draw", lambda *_: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        faces.write(tmp_path / "ferg", images=42)
    assert sorted((tmp_path / "ferg").rglob("*")) == [older.parent, older]


def test_nobody_is_a_seventh_identity_with_every_expression(monkeypatch):
    monkeypatch.setattr(faces, "SIZE", 64)
    dataset = faces.nobody(14, seed=1)
    assert dataset.images.shape == (14, 50, 50)
    assert dataset.z.tolist() == [6] * 14
    assert np.bincount(dataset.attributes["expression"]).tolist() == [2] * 7
    assert (dataset.source, dataset.private, dataset.utility) == ("synthetic", "identity", "expression")
    np.testing.assert_array_equal(dataset.images, faces.nobody(14, seed=1).images)


def test_there_is_something_to_hide_and_something_to_keep(monkeypatch):
    """On a few small images, clips kept apart: who it is, what is felt, and where the head and the light are."""
    monkeypatch.setattr(faces, "LENGTH", 4)
    drawn, rows = [], []
    for z, name in enumerate(CHARACTERS):
        for number, clip in enumerate(faces.clips(name, CAST[name], np.full(7, 18), 0)):
            drawn += [small(image, 25) for image in draw(clip.who, clip.moment, 50)]
            rows += [(z, clip.expression, number, light) for light in clip.moment.light]
    x, (z, expression, clip, light) = np.array(drawn).reshape(len(drawn), -1) / 255, np.array(rows).T
    split = ferg.clip_split(z * 7 + expression, z * 1000 + clip, (70, 15, 15), np.random.default_rng(0))
    train, test = split == 0, split > 0

    def named(labels: np.ndarray) -> float:
        return SVC(C=10, gamma=0.01).fit(x[train], labels[train]).score(x[test], labels[test])

    assert named(z) > 0.97
    assert named(expression) > 0.5
    assert named(np.random.default_rng(0).permutation(expression)) < 0.3
    trees = ExtraTreesRegressor(50, random_state=0, max_features="sqrt")
    assert trees.fit(x[train], light[train]).score(x[test], light[test]) > 0.8
