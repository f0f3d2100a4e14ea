"""The demonstration says that it is synthetic, and what is wrong comes to light before the first step of training."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from anonrep.data.folder_reader import read
from anonrep.data.image_folder import load_folder
from anonrep.data.image_reader import SYNTHETIC
from anonrep.release import own_images
from anonrep.release.anonymiser import load
from anonrep.release.folder import release_folder
from anonrep.release.model_audit import audit
from anonrep.release.own_images import check, couples, demonstration, foresee, train
from anonrep.utils.files import read_json
from anonrep.utils.project import MARKS, root

GAME = {
    **{"hidden": 8, "channels": 8, "adversary_channels": 4, "batch": 16, "pixel_epochs": 12, "pixel_rate": 0.01},
    **{"fidelity_epochs": 1, "kl": 0.001, "freeze_decoder": True},
}
CONFIG = {"units": 16, "steps": 20, "batch": 100, "restarts": 1, "copies": 2}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return demonstration(tmp_path_factory.mktemp("demo"), writers=4, images=30, new=5)


@pytest.fixture(scope="module")
def data(demo):
    return load_folder(demo / "images", invert=True, attributes=demo / "attributes.csv", private="writer")


def test_a_demonstration_is_a_folder_like_any_other(demo, data):
    assert {path.name for path in demo.iterdir()} == {"images", "new", "attributes.csv"}
    assert np.bincount(data.z).tolist() == [30] * 4
    assert len(read(demo / "new")) == 20
    assert sorted(data.attributes) == ["digit"]
    assert set(np.unique(data.attributes["digit"])) == set(range(10))
    assert np.median(data.images) == 0  # paper, once the ink is inverted


def test_it_is_synthetic_by_every_image(demo, data):
    assert data.source == "synthetic"
    assert read(demo / "new").synthetic
    assert all(Image.open(file).info["Comment"].startswith(SYNTHETIC) for file in demo.rglob("*.png"))


def test_it_is_made_once_and_the_same_everywhere(demo, tmp_path):
    again = demonstration(tmp_path, writers=4, images=30, new=5)
    assert again.name == demo.name
    assert read(again).sha256 == read(demo).sha256
    (again / "attributes.csv").write_text("mine now")
    assert demonstration(tmp_path, writers=4, images=30, new=5) == again
    assert (again / "attributes.csv").read_text() == "mine now"
    assert demonstration(tmp_path, writers=4, images=30, new=6) != again


@pytest.mark.parametrize(
    ("changes", "error", "part"),
    [
        ({"lam": 2.0}, ValueError, "written like 0.5 or 2: files are named after it"),
        ({"lam": "two"}, ValueError, "lambda 'two'; expected a number"),
        ({"lam": -1}, ValueError, "expected a number from 0, written"),
        ({"lam": float("nan")}, ValueError, "expected a number from 0, written"),
        ({"codes": 1}, ValueError, "codes is 1; expected at least 2"),
        ({"config": {"stepz": 3}}, TypeError, "stepz"),
        ({"game": {"hidden": 0}}, ValueError, "hidden is 0"),
        ({"config": {"neighbours": 50}}, ValueError, "validation images .* are by others .* expected 50"),
    ],
)
def test_what_is_wrong_is_named_before_training(changes, error, part, data, tmp_path, monkeypatch):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("training has begun")

    monkeypatch.setattr(own_images, "prepare_seeds", never)
    given = {"game": GAME, "config": CONFIG, "codes": 8, "lam": 2, **changes}
    with pytest.raises(error, match=part):
        train(data, **given, seed=0, out=tmp_path)
    check(data, GAME, {**CONFIG, "codes": 8}, 2)


def test_a_preparation_that_collapsed_leaves_no_model(data, tmp_path):
    """Too short to learn anything: as any other run that collapsed, it is named and never released."""
    blind = GAME | {"pixel_epochs": 1, "pixel_rate": 1e-6, "fidelity_epochs": 3, "rate": 1e-6}
    with pytest.raises(ValueError, match=r"the preparation collapsed in epoch \d.*: there is no model"):
        train(data, blind, CONFIG, 8, 1, seed=0, out=tmp_path)
    assert not list((tmp_path / "finite").glob("*.safetensors"))


def test_from_a_folder_to_a_release(demo, data, tmp_path):
    path = train(data, GAME, CONFIG, 8, 1, seed=0, out=tmp_path)
    assert load(path).lam == 1
    audit(path, data, {"network_epochs": 1, "large_epochs": 0, "trees": 5})
    card = release_folder(path, demo / "new", tmp_path / "release")
    assert card["release"]["images"] == 20
    assert "Synthetic" in card["notices"][0]
    assert "writer-0" not in (tmp_path / "release/privacy-card.html").read_text()
    assert read_json(tmp_path / "release/privacy-card.json")["data"]["people"] == 4
    assert isinstance(couples(data, path), Figure)


@pytest.mark.parametrize(
    ("changes", "error", "part"),
    [
        ({"budget": {"treez": 5}}, TypeError, "treez"),
        ({"despite": ["haste"]}, ValueError, "despite names haste"),
        ({"despite": "collapsed"}, ValueError, r"expected a list such as \['collapsed'\]"),
        ({"new": "nowhere"}, FileNotFoundError, "nowhere is missing"),
        ({"new": "images"}, ValueError, "expected other images than those to train on"),
        ({"new": "images/writer-03"}, ValueError, "expected other images than those to train on"),
        ({"new": "double"}, ValueError, r"1 of 21 images are among .*, again\.png is the first"),
        ({"new": "small"}, ValueError, "small: images of 9 x 9 pixels; expected 20 x 20"),
        ({"out": "new/release"}, ValueError, "lie inside one another"),
        ({"out": "letters"}, FileExistsError, "letters is there already"),
        ({"mapping": "release/which.csv"}, ValueError, "would be published"),
        ({"mapping": "attributes.csv"}, FileExistsError, "it is no earlier list of names"),
    ],
)
def test_what_the_release_would_refuse_is_named_before_training(changes, error, part, demo, data, tmp_path):
    room = shutil.copytree(demo, tmp_path / "room")
    shutil.copytree(room / "new", room / "double")
    shutil.copy(next(room.glob("images/*/*.png")), room / "double/again.png")
    (room / "letters").mkdir()
    (room / "small").mkdir()
    Image.new("L", (9, 9)).save(room / "small/1.png")
    given = {"new": "new", "out": "release", "budget": {}, **changes}
    given |= {name: room / given[name] for name in ("new", "out", "mapping") if name in given}
    with pytest.raises(error, match=part):
        foresee(data, room / "images", **given)


def test_what_may_be_released_is_foreseen_in_silence(demo, data, tmp_path):
    out, mapping = tmp_path / "release", tmp_path / "which.csv"
    foresee(data, demo / "images", demo / "new", out, {"trees": 5}, ["unaudited"], mapping)
    foresee(data, demo / "images", "", tmp_path / "release", {})


def run_notebook(place: Path, **given: object) -> subprocess.CompletedProcess:
    """The committed notebook from the command line, as the README has it, in a project's folder of its own."""
    for mark in MARKS:
        (place / mark).touch()
    words = [word for name, value in given.items() for word in ("-p", name, json.dumps(value).strip('"'))]
    command = [
        sys.executable,
        "-m",
        "anonrep.pipeline.notebook",
        "run",
        root() / "notebooks/own_images.ipynb",
        "--as",
        "own",
    ]
    environment = {**os.environ, "PYTHONPATH": str(root() / "lib")}
    return subprocess.run([*command, *words], cwd=place, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("given", "words"), [("empty", "no images: expected files such as"), ("", "`new` or `attributes` without `folder`")]
)
def test_the_notebook_says_what_is_wrong_before_training(given, words, tmp_path):
    (tmp_path / "empty").mkdir()
    done = run_notebook(tmp_path, folder=given, new="empty", out="mine")
    assert done.returncode
    assert words in done.stderr
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("own", [True, False], ids=["own folder", "demonstration"])
def test_the_notebook_goes_from_a_folder_to_a_release(own, demo, tmp_path):
    """As the README has it: the committed notebook from the command line. The demonstration leaves what is there."""
    given = {"game": GAME, "config": CONFIG, "codes": 8, "lam": 1, "out": "mine"}
    given |= {"budget": {"network_epochs": 1, "large_epochs": 0, "trees": 5}}
    if own:
        given |= {"folder": str(demo / "images"), "new": str(demo / "new"), "invert": True}
    done = run_notebook(tmp_path, **given)
    assert not done.returncode, done.stderr
    release = tmp_path / "mine" / ("release" if own else "demonstration/release")
    assert read_json(release / "privacy-card.json")["data"]["source"] == "synthetic"
    assert len(list(release.glob("*.png"))) == (20 if own else 60)
    assert (tmp_path / "mine" / "finite").is_dir() == own
