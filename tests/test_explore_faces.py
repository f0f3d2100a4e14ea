"""The faces' explorer without a browser: it shows what the stages left, and says what is missing or collapsed."""

import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from test_explore import pictures

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.data.ferg_reader import CHARACTERS, EXPRESSIONS
from anonrep.reports.explore_data import ALL, Missing
from anonrep.reports.explore_faces import METHODS, FacesExplorer, before_and_after
from anonrep.reports.explore_faces_data import TARGETS, Faces
from anonrep.reports.explore_html import difference
from anonrep.utils.files import read_json, write_json

SPLITS, LOST = ("random", "clips"), 3
WHY = "collapsed in epoch 2 of the privacy phase: the output was all but constant"
GAMES = ("restricted", "substituted")
DRAWS = {"used": 4, "n": 168, "clips": 21, "majority": 0.2, "bound": 0.25, "clip_bound": 0.45, "source": "synthetic"}


def make_faces(folder: Path) -> Path:
    """A project in `folder` as the stages on faces leave it, made up; the games with target LOST collapsed."""
    draw, rows, missing = np.random.default_rng(0), [], {"target": None, "method": "raw", "seed": None}
    for split in SPLITS:
        data = _data(split, draw)
        data.save(folder / f"data/processed/ferg-{split}.npz")
        rows += [{**missing, **row(split, "identity", "majority", 0.2)}, *measured(split, missing, 1)]
        for target in TARGETS:
            models, mine = folder / f"models/ferg/{split}", draw.integers(0, 256, (5, 12, 12), np.uint8)
            runs, lost = models / f"target-{target}", target == LOST
            run = {"lam": 1, "target": target, "seed": 0, "collapsed": WHY if lost else None}
            write_json(runs / "runs.json", [run])
            if not lost:
                data.released(data.images // 2 + 10 * target).save(runs / "seed-0.npz")
                Codebook(mine, draw.integers(0, 5, len(data))).save(runs / "substituted-0.npz", data.provenance)
            Codebook(mine, draw.integers(0, 5, len(data))).save(runs / "pixels.npz", data.provenance)
            Codebook(mine[:4], draw.integers(0, 4, len(data))).save(
                models / f"finite/target-{target}.npz", data.provenance
            )
            for i, method in enumerate(METHODS.values()):
                if not (lost and method in GAMES):
                    key = {"target": target, "method": method, "seed": 0}
                    rows += measured(split, key, 0.9 - i / 10 - target / 50)
    write_json(folder / "reports/metrics/table1.json", rows)
    write_json(folder / "reports/metrics/ferg_certificate.json", [{"split": split, **DRAWS} for split in SPLITS])
    return folder


def _data(split: str, draw: np.random.Generator) -> Dataset:
    """Eight frames of each person and expression, in two clips."""
    z, expression, frame = (
        axis.ravel() for axis in np.meshgrid(np.arange(6), np.arange(7), np.arange(8), indexing="ij")
    )
    part = np.array([0, 2, 1, 2, 0, 2, 0, 2], np.uint8)[frame]
    attributes = {"expression": expression, "clip": (z * 7 + expression) * 2 + frame // 4}
    provenance = {"source": "synthetic", "private": "identity", "ink": False, "split": split}
    return Dataset(draw.integers(0, 256, (len(z), 12, 12), np.uint8), z, attributes, part, provenance)


def row(split: str, task: str, attacker: str, accuracy: float) -> dict:
    """What one attacker found, as in table1.json, with an interval of ten points."""
    ends = {"low": accuracy - 0.05, "high": accuracy + 0.05}
    return {"split": split, "task": task, "attacker": attacker, "accuracy": accuracy, **ends, "source": "synthetic"}


def measured(split: str, key: dict, factor: float) -> list[dict]:
    """What attackers found on one release: the trees are the best."""
    found = [("identity", "cnn", 0.6), ("identity", "trees", 0.8), ("expression", "trees", 0.9)]
    found.append(("expression", "raw reader", 0.5))
    return [{**key, **row(split, task, attacker, factor * value)} for task, attacker, value in found]


def opened(folder: Path) -> Faces:
    """What the notebook's parameters open."""
    return Faces(folder / "data/processed", folder / "models/ferg", folder / "reports/metrics")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree that tests read; those that break it work on a copy."""
    return make_faces(tmp_path_factory.mktemp("project"))


@pytest.fixture
def broken(tree, tmp_path):
    return shutil.copytree(tree, tmp_path / "project")


@pytest.fixture
def explorer(tree):
    return FacesExplorer(opened(tree), setting="smoke")


def text(markup: str) -> str:
    """What a reader sees of it."""
    return " ".join(BeautifulSoup(markup, "html.parser").get_text(" ").split())


# --- choosing


def test_one_image_of_each_person_of_each_expression_or_some_of_one_far_apart(tree):
    found = opened(tree)
    data = found.data("random")
    assert len(data) == 168
    assert (data.split == 2).all()
    everybody = found.choose("random", ALL, 3)
    assert data.z[everybody].tolist() == list(range(6))
    assert set(data.attributes["expression"][everybody]) == {3}
    one = found.choose("random", 2, ALL)
    assert data.attributes["expression"][one].tolist() == list(range(7))
    assert set(data.z[one]) == {2}
    both = found.choose("random", 2, 3, most=3)
    assert len(both) == len(set(both)) == 3
    assert set(zip(data.z[both], data.attributes["expression"][both], strict=True)) == {(2, 3)}
    assert len(set(data.attributes["clip"][both])) == 2, "of both clips"
    assert len(found.choose("random", 2, 3)) == 4, "as many as there are"
    assert found.choose("random", 9, 3) == found.choose("random", 9, ALL) == []
    assert "nobody like that" in before_and_after(data, [], "", 0)


# --- pictures


@pytest.mark.parametrize("method", METHODS.values())
def test_pictures_are_the_test_images_and_their_release_as_they_are(tree, explorer, method):
    explorer.method.value, explorer.target.value = method, 6
    data = Dataset.load(tree / "data/processed/ferg-random.npz")
    files = {"restricted": "target-6/seed-0", "substituted": "target-6/substituted-0"}
    files |= {"pixels": "target-6/pixels", "finite": "finite/target-6"}
    path = tree / f"models/ferg/random/{files[method]}.npz"
    release = Dataset.load(path).images if method == "restricted" else Codebook.load(path).release()
    chosen = np.flatnonzero(data.split == 2)[explorer.found.choose("random", ALL, 0)]
    shown = pictures(explorer.pictures.value)
    assert len(shown) == 18
    for column, image in enumerate(chosen):
        np.testing.assert_array_equal(shown[column], np.repeat(data.images[image][..., None], 3, 2))
        np.testing.assert_array_equal(shown[6 + column], np.repeat(release[image][..., None], 3, 2))
        np.testing.assert_array_equal(shown[12 + column], difference(data.images[image], release[image]))


def test_every_picture_is_told_in_words(explorer):
    explorer.target.value = 6
    images = BeautifulSoup(explorer.pictures.value, "html.parser").find_all("img")
    names = [f"{name}, {EXPRESSIONS[0]}" for name in CHARACTERS]
    assert [image["alt"] for image in images[:6]] == names
    assert [image["alt"] for image in images[6:12]] == [f"{name}, released with target 6, nobody" for name in names]
    assert [image["alt"] for image in images[12:]] == [f"{name}, difference" for name in names]
    assert "lighter darker" in text(explorer.pictures.value)


def test_split_person_and_expression_choose_what_is_shown(explorer):
    first = explorer.pictures.value
    explorer.person.value, explorer.expression.value = 4, ALL
    assert len(pictures(explorer.pictures.value)) == 3 * 7
    explorer.expression.value = 3
    labels = BeautifulSoup(explorer.pictures.value, "html.parser").find_all("img")
    assert {label["alt"].split(", released")[0] for label in labels[4:8]} == {"mery, joy"}
    explorer.person.value, explorer.expression.value = ALL, 0
    assert explorer.pictures.value == first
    explorer.split.value = "clips"
    assert explorer.pictures.value != first


# --- numbers


def test_a_move_of_the_slider_changes_pictures_and_readout_and_reads_no_file(broken, capsys):
    explorer = FacesExplorer(opened(broken))
    first = explorer.pictures.value, explorer.readout.value
    shutil.rmtree(broken)
    start = time.perf_counter()
    explorer.target.value = 1
    moved = time.perf_counter() - start
    with capsys.disabled():
        print(f"\na move of the faces' slider: {1000 * moved:.0f} ms in the kernel")
    assert all(old != new for old, new in zip(first, (explorer.pictures.value, explorer.readout.value), strict=True))
    assert len(pictures(explorer.pictures.value)) == 18
    explorer.target.value = 0
    assert (explorer.pictures.value, explorer.readout.value) == first


def test_the_readout_names_the_best_attackers_with_their_intervals(explorer):
    said = text(explorer.readout.value)
    assert "identity, found by the best attacker 80.0 % (75.0 to 85.0, trees) 64.0 % (59.0 to 69.0, trees)" in said
    assert "expression, found by the best attacker 90.0 % (85.0 to 95.0, trees) 72.0 % (67.0 to 77.0, trees)" in said
    assert "read by a network trained on raw images 50.0 % 40.0 %" in said
    assert "Naming the commonest person for every image is right in 20.0 %." in said
    assert "nothing bounds an attacker that was not tried" in said
    shown = {said}
    for method in ("restricted", "pixels"):
        explorer.method.value = method
        shown.add(text(explorer.readout.value))
    explorer.target.value = 5
    assert len(shown | {text(explorer.readout.value)}) == 4


def test_only_the_finite_release_has_a_certificate_of_frames_or_of_clips(explorer):
    explorer.method.value = "finite"
    assert "No classifier of any kind names the person in more than 25.0 %" in explorer.readout.value
    assert "168 test frames taken as independent draws" in explorer.readout.value
    explorer.split.value = "clips"
    assert "in more than 45.0 %" in explorer.readout.value
    assert "21 test clips" in explorer.readout.value
    explorer.method.value = "pixels"
    assert "No classifier" not in explorer.readout.value


def test_of_several_seeds_the_one_that_is_shown_is_read_out(broken):
    path = broken / "reports/metrics/table1.json"
    rows = read_json(path)
    write_json(path, rows + [{**row, "seed": 1, "accuracy": 0.999} for row in rows if row["seed"] == 0])
    assert "99.9 %" not in FacesExplorer(opened(broken)).readout.value


# --- what must not be mistaken


def test_a_collapsed_game_is_said_to_be_so_and_shows_nothing_as_private(explorer):
    explorer.target.value = LOST
    for method in GAMES:
        explorer.method.value = method
        assert f"This game {WHY}. It is no evidence of privacy" in text(explorer.pictures.value)
        assert len(pictures(explorer.pictures.value)) == 6
        said = text(explorer.readout.value)
        assert "released" not in said
        assert "commonest" not in said
        assert "80.0 %" in said, "of raw images"
    for method in ("pixels", "finite"):
        explorer.method.value = method
        assert "collapsed" not in explorer.pictures.value, "no game made them"
        assert len(pictures(explorer.pictures.value)) == 18


def test_synthetic_data_and_a_small_setting_are_named_in_words_and_real_data_are_not(explorer, broken):
    assert "The faces are synthetic." in text(explorer.warning.value)
    assert "smoke setting" in explorer.warning.value
    assert "*" not in explorer.warning.value
    path = broken / "data/processed/ferg-random.npz"
    data = Dataset.load(path)
    data.released(data.images, source="raw").save(path)
    assert FacesExplorer(opened(broken)).warning.value == ""


def test_what_comes_from_files_is_text(broken):
    path = broken / "reports/metrics/table1.json"
    rows = read_json(path)
    write_json(path, [{**row, "attacker": re.sub("^trees$", "<i>x</i>", row["attacker"])} for row in rows])
    write_json(broken / "models/ferg/random/target-0/runs.json", [{"seed": 0, "collapsed": "was <i>x</i>"}])
    explorer = FacesExplorer(opened(broken), setting="<i>x</i>")
    explorer.target.value = 0
    for part in (explorer.warning, explorer.pictures, explorer.readout):
        assert "<i>" not in part.value
        assert "&lt;i&gt;x" in part.value


# --- what is missing


def test_without_anything_a_sentence_says_which_command_makes_it(tmp_path):
    explorer = FacesExplorer(opened(tmp_path))
    assert "ferg-random.npz is missing: `dvc repro` makes it (`make repro` the first time)" in explorer.pictures.value
    assert explorer.readout.value == explorer.warning.value == ""
    explorer.target.value, explorer.split.value = 4, "clips"
    assert "ferg-clips.npz is missing" in explorer.pictures.value
    with pytest.raises(Missing, match="make quick"):
        opened(tmp_path).data("random")


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"no zip")], ids=["missing", "damaged"])
@pytest.mark.parametrize(
    ("method", "file"),
    [
        ("restricted", "target-2/seed-0.npz"),
        ("substituted", "target-2/runs.json"),
        ("pixels", "target-2/pixels.npz"),
        ("finite", "finite/target-2.npz"),
    ],
)
def test_a_release_that_is_not_there_is_named_and_the_others_are_shown(broken, damage, method, file):
    damage(broken / "models/ferg/random" / file)
    explorer = FacesExplorer(opened(broken))
    explorer.method.value, explorer.target.value = method, 2
    assert file in explorer.pictures.value
    assert "dvc repro" in explorer.pictures.value
    assert len(pictures(explorer.pictures.value)) == 6
    assert "released" not in text(explorer.readout.value)
    explorer.target.value = 1
    assert len(pictures(explorer.pictures.value)) == 18
    assert "released" in text(explorer.readout.value)


def test_a_release_of_other_images_is_not_shown_as_theirs(broken):
    path = broken / "models/ferg/random/target-0/pixels.npz"
    book = Codebook.load(path)
    Codebook(book.images, book.codes[1:]).save(path, {})
    explorer = FacesExplorer(opened(broken))
    explorer.method.value = "pixels"
    assert "pixels.npz is not of the data set&#x27;s images" in explorer.pictures.value


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("[")], ids=["missing", "damaged"])
def test_without_numbers_the_pictures_are_there(broken, damage):
    for name in ("table1", "ferg_certificate"):
        damage(broken / f"reports/metrics/{name}.json")
    explorer = FacesExplorer(opened(broken))
    explorer.target.value = 2
    assert len(pictures(explorer.pictures.value)) == 18
    assert "table1.json is" in explorer.readout.value
    assert "dvc repro" in explorer.readout.value


def test_a_small_setting_starts_at_the_target_it_has(broken):
    path = broken / "reports/metrics/table1.json"
    write_json(path, [row for row in read_json(path) if row["split"] == "random" and row["target"] in (None, 6)])
    explorer = FacesExplorer(opened(broken))
    assert explorer.split.options == ("random",)
    assert explorer.target.value == 6
    assert len(pictures(explorer.pictures.value)) == 18
    explorer.target.value = 5
    assert "This run has no target 5" in explorer.pictures.value
    assert len(explorer.target.options) == len(TARGETS)
