"""The synthetic faces: exact shapes, pictures that show what they are told, files that say what they are."""

import csv

import numpy as np
import pytest
from anonrep.data.ferg_attributes import RECORDED, TABLE
from anonrep.data.ferg_images import SYNTHETIC, shrink
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.ensemble import ExtraTreesRegressor

from anonrep.data import ferg
from anonrep.data.ferg_reader import CHARACTERS
from anonrep.data.ferg_reader import EXPRESSIONS as READ
from anonrep.data.synthetic import ferg as synthetic_ferg
from anonrep.data.synthetic.faces.acting import EXPRESSIONS, MUSCLES
from anonrep.data.synthetic.faces.cast import CAST, NOBODY
from anonrep.data.synthetic.faces.features import Moment
from anonrep.data.synthetic.faces.portrait import draw
from anonrep.data.synthetic.faces.shapes import Layer, blend, box, capsule, ellipse
from anonrep.evaluation.attackers import on_pixels
from anonrep.evaluation.network_attacker import NetworkAttacker

EVERYBODY = {**CAST, "nobody": NOBODY}


def moments(n: int = 1, muscles: dict | None = None, **moves: object) -> Moment:
    """A face at rest, looking ahead, but for what is given."""
    every = {name: np.full(n, (muscles or {}).get(name, 0.0)) for name in MUSCLES}
    names = ("yaw", "pitch", "roll", "x", "y", "gaze", "light")
    return Moment(every, **{name: np.zeros(n) + moves.get(name, 0.0) for name in names})


def grey(images: np.ndarray) -> np.ndarray:
    return images.astype(float).mean(-1)


# shapes


def painted(distance, size: int = 100, **layer: float) -> np.ndarray:
    """White where the distance is negative, black elsewhere: float (size, size)."""
    rgb = np.zeros((1, 3, size, size), np.float32)
    patch = Layer(rgb, **layer).patch(width=2.0, height=2.0)
    patch.paint(distance(patch.x, patch.y), (1.0, 1.0, 1.0))
    assert (rgb[:, 0] == rgb[:, 2]).all()
    return rgb[0, 0]


@pytest.mark.parametrize(
    ("distance", "area"),
    [
        (lambda x, y: ellipse(x, y, 0.5, 0.3), np.pi * 0.15),
        (lambda x, y: capsule(x, y, (-0.3, 0.1), (0.3, -0.2), 0.2), np.pi * 0.04 + 0.4 * np.hypot(0.6, 0.3)),
        (lambda x, y: box(x, y, 0.6, 0.4, 0.1), 4 * 0.24 - (4 - np.pi) * 0.01),
        (lambda x, y: blend(ellipse(x + 0.5, y, 0.2, 0.2), ellipse(x - 0.5, y, 0.2, 0.2), 0.1), 2 * np.pi * 0.04),
    ],
    ids=["ellipse", "capsule", "box", "two apart"],
)
def test_shapes_have_their_area_and_edges_of_one_pixel(distance, area):
    image = painted(distance)
    assert image.sum() * (2 / 100) ** 2 == pytest.approx(area, rel=0.01)
    assert 0 < ((image > 0) & (image < 1)).sum() < 600  # grey along the edge alone


def test_a_layer_is_moved_turned_and_scaled():
    def where(**layer: float) -> tuple[float, float, float]:
        image = painted(lambda x, y: ellipse(x - 0.4, y, 0.1, 0.1), **layer)
        axis = (np.arange(100) + 0.5) / 50 - 1
        return image.sum(0) @ axis / image.sum(), image.sum(1) @ axis / image.sum(), image.sum() * (2 / 100) ** 2

    size = np.pi * 0.01
    assert where() == pytest.approx((0.4, 0, size), abs=2e-3)
    assert where(x=-0.3, y=0.2) == pytest.approx((0.1, 0.2, size), abs=2e-3)
    assert where(turn=np.pi / 2) == pytest.approx((0, 0.4, size), abs=2e-3)  # clockwise, as y points down
    assert where(scale=1.5) == pytest.approx((0.6, 0, 2.25 * size), abs=2e-3)


def test_any_function_becomes_a_distance():
    rgb = np.zeros((1, 3, 100, 100), np.float32)
    patch = Layer(rgb).patch()
    for steep in (1.0, 50.0):
        even = patch.even(steep * (patch.x**2 + patch.y**2 - 0.25))
        assert np.abs(even - (np.hypot(patch.x, patch.y) - 0.5))[np.abs(even) < 0.05].max() < 0.004


@given(x=st.floats(-3, 3), y=st.floats(-3, 3), size=st.floats(0.01, 3))
@settings(max_examples=30, deadline=None)
def test_a_patch_holds_its_box_and_may_lie_anywhere(x, y, size):
    rgb = np.zeros((2, 3, 20, 20), np.float32)
    patch = Layer(rgb, np.zeros((2, 1, 1))).patch(x, y, size, size)
    patch.paint(np.maximum(np.abs(patch.x), np.abs(patch.y)) - size, (1.0, 1.0, 1.0))
    whole = np.zeros_like(rgb)
    everywhere = Layer(whole).patch(width=2.0, height=2.0)
    everywhere.paint(np.maximum(np.abs(everywhere.x - x), np.abs(everywhere.y - y)) - size, (1.0, 1.0, 1.0))
    np.testing.assert_allclose(rgb, np.broadcast_to(whole[:1], rgb.shape), atol=1e-4)


# pictures


def test_the_cast_bears_the_names_that_the_reader_takes():
    assert tuple(CAST) == CHARACTERS
    assert tuple(EXPRESSIONS) == READ
    tables = [*EXPRESSIONS.values(), *(table for who in EVERYBODY.values() for table in who.style.values())]
    assert {name for table in tables for name in table} <= set(MUSCLES)
    assert all(set(who.style) <= set(EXPRESSIONS) for who in EVERYBODY.values())
    assert NOBODY.style == {}


def test_same_moment_same_bytes_whatever_stands_beside_it():
    face = CAST["bonnie"].face("disgust")
    alone = moments(1, face, yaw=0.2, light=0.5)
    beside = moments(7, face, yaw=np.array([0.2, *np.linspace(-0.3, 0.3, 6)]), light=0.5)
    image = draw(CAST["bonnie"], alone, 64)
    assert image.shape == (1, 64, 64, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, draw(CAST["bonnie"], alone, 64))
    assert np.abs(image[0].astype(int) - draw(CAST["bonnie"], beside, 64)[0]).max() <= 2


@pytest.mark.parametrize("name", MUSCLES)
def test_every_muscle_moves_something(name):
    strong = moments(1, {"open": 0.5, "lift": 0.5, "teeth": 0.3} | {name: 1.0})
    rest = moments(1, {"open": 0.5, "lift": 0.5, "teeth": 0.3})
    moved = np.abs(grey(draw(NOBODY, strong, 100)) - grey(draw(NOBODY, rest, 100)))
    assert (moved > 8).sum() > 5


def test_nobody_looks_like_anybody_else_whatever_they_feel():
    """Every two of the 49 pictures of seven characters and seven expressions differ, at 50 x 50 in grey too."""
    pictures = []
    for who in EVERYBODY.values():
        faces = [who.face(expression) for expression in EXPRESSIONS]
        muscles = {name: np.array([face[name] for face in faces]) for name in MUSCLES}
        images = draw(who, Moment(muscles, *([np.zeros(7)] * 7)), 100)
        pictures += [shrink(Image.fromarray(image), 50).astype(float) for image in images]
    pictures = np.array(pictures).reshape(49, -1)
    apart = np.sqrt(((pictures[:, None] - pictures) ** 2).mean(-1))
    same_person = np.kron(np.eye(7), np.ones((7, 7))).astype(bool)
    assert apart[~same_person].min() > 15  # levels of 255, root mean square
    assert apart[same_person & ~np.eye(49, dtype=bool)].min() > 3


@pytest.mark.parametrize("name", EVERYBODY)
def test_light_falls_from_where_it_is_said_to(name):
    left, right = (grey(draw(EVERYBODY[name], moments(1, light=side), 64))[0] for side in (-1, 1))
    assert left[:, :32].mean() > right[:, :32].mean() + 10
    assert right[:, 32:].mean() > left[:, 32:].mean() + 10


def test_the_head_and_the_eyes_turn_to_the_right_of_the_picture():
    """Where the iris, the darkest thing in the face of somebody fair, is found."""

    def pupils(**moves: float) -> float:
        dark = grey(draw(NOBODY, moments(1, {"lid": 1.0}, **moves), 200))[0, 95:125, 40:160] < 20
        return float(np.average(np.arange(120), weights=dark.sum(0) + 1e-9))

    assert pupils(gaze=-1) + 3 < pupils() < pupils(gaze=1) - 3
    assert pupils(yaw=-0.3) + 6 < pupils() < pupils(yaw=0.3) - 6


# clips and files


def test_an_expression_rises_and_falls_and_the_head_stays_within_its_bounds():
    takes = [synthetic_ferg.perform(CAST["mery"], "joy", 12, np.random.default_rng(seed)) for seed in range(40)]
    cheeks = np.mean([take.muscles["cheek"] for take in takes], axis=0)
    assert cheeks.argmax() in (5, 6)
    assert (np.diff(cheeks[:6]) > 0).all()
    assert (np.diff(cheeks[6:]) < 0).all()
    for name, (_, _, most) in synthetic_ferg.MOVES.items():
        values = np.array([getattr(take, name) for take in takes])
        assert np.abs(values).max() <= most
        assert 0 < np.abs(np.diff(values, axis=1)).max() < most  # it moves, and never jumps across
    assert np.std([take.muscles["cheek"].max() for take in takes]) > 0.1  # no two takes are the same


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "ferg"
    synthetic_ferg.write(folder, images=84, seed=3)
    return folder


def contents(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_have_the_real_layout_and_say_what_they_are(small):
    top = small / synthetic_ferg.TOP
    assert sorted(path.name for path in top.iterdir()) == sorted([*CHARACTERS, TABLE])
    files = sorted(top.rglob("*.png"))
    assert abs(len(files) - 84) < 7  # each of 42 counts is rounded
    for path in files:
        character, expression, _ = path.stem.split("_")
        assert path.relative_to(top).parts[:2] == (character, f"{character}_{expression}")
        with Image.open(path) as image:
            assert (image.size, image.mode, image.info["Comment"]) == ((256, 256), "RGB", SYNTHETIC)
    lines = list(csv.DictReader((top / TABLE).open(encoding="utf-8")))
    assert list(lines[0]) == ["file", *RECORDED]
    assert sorted(line["file"] for line in lines) == sorted(path.name for path in files)


def test_same_seed_same_bytes_and_another_seed_others(small, tmp_path):
    synthetic_ferg.write(tmp_path / "again", images=84, seed=3)
    synthetic_ferg.write(tmp_path / "other", images=84, seed=4)
    assert contents(tmp_path / "again") == contents(small)
    assert contents(tmp_path / "other").keys() == contents(small).keys()
    assert contents(tmp_path / "other") != contents(small)


def test_a_failure_leaves_the_folder_as_it_was(tmp_path, monkeypatch):
    older = tmp_path / "ferg" / synthetic_ferg.TOP / "older"
    older.mkdir(parents=True)

    def fail(*args):
        raise OSError("no space")

    monkeypatch.setattr(synthetic_ferg, "draw", fail)
    with pytest.raises(OSError, match="no space"):
        synthetic_ferg.write(tmp_path / "ferg", images=42)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "ferg", older.parent, older]


def test_nothing_else_than_synthetic_data_is_ever_replaced(tmp_path):
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(FileExistsError, match="holds no synthetic faces"):
        synthetic_ferg.write(tmp_path, images=42)
    assert (tmp_path / "mine").read_text() == "kept"


def test_too_few_images_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="41 images; expected 42 at least"):
        synthetic_ferg.write(tmp_path / "ferg", images=41)


def test_clips_are_about_as_long_as_they_should_be_and_number_their_frames_from_one():
    takes = synthetic_ferg.clips("ray", CAST["ray"], np.full(7, 100), 0)
    assert {len(clip.moment) for clip in takes} <= {12, 13}
    for expression in range(7):
        mine = [clip for clip in takes if clip.expression == expression]
        assert np.cumsum([1, *(len(clip.moment) for clip in mine)]).tolist() == [*(clip.first for clip in mine), 101]


def test_nobody_is_a_seventh_identity_with_every_expression():
    dataset = synthetic_ferg.nobody(14, seed=1)
    assert dataset.images.shape == (14, 50, 50)
    assert dataset.z.tolist() == [6] * 14
    assert dataset.n_private == len(CHARACTERS) + 1
    assert np.bincount(dataset.attributes["expression"]).tolist() == [2] * 7
    assert set(dataset.attributes) == {"expression", "frame", *RECORDED}
    assert dataset.source == "synthetic"
    np.testing.assert_array_equal(dataset.images, synthetic_ferg.nobody(14, seed=1).images)


def test_there_is_something_to_hide_and_something_to_keep():
    """On a few small pictures, clips kept apart: who it is, what is felt, and where the head and the light are."""
    pictures, rows = [], []
    for z, name in enumerate(CHARACTERS):
        for number, clip in enumerate(synthetic_ferg.clips(name, CAST[name], np.full(7, 36), 0)):
            pictures += [shrink(Image.fromarray(image), 25) for image in draw(clip.who, clip.moment, 50)]
            rows += [
                (z, clip.expression, number, *pose) for pose in zip(clip.moment.yaw, clip.moment.light, strict=True)
            ]
    x, (z, expression, clip, yaw, light) = np.array(pictures), np.array(rows).T
    split = ferg.clip_split(z * 7 + expression, z * 1000 + clip, (70, 15, 15), np.random.default_rng(0))
    train, test = split == 0, split > 0

    def named(labels: np.ndarray) -> float:
        attacker = NetworkAttacker(epochs=10).fit(x[train], labels[train])
        return np.mean(attacker.predict(x[test]) == labels[test])

    def explained(values: np.ndarray) -> float:
        trees = on_pixels(ExtraTreesRegressor(100, random_state=0, max_features="sqrt"))
        return trees.fit(x[train], values[train]).score(x[test], values[test])

    assert named(z) > 0.97
    assert named(expression) > 0.6
    assert named(np.random.default_rng(0).permutation(expression)) < 0.3
    assert explained(yaw) > 0.3
    assert explained(light) > 0.8
