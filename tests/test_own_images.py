"""Own images: the demonstration is synthetic throughout, and mistakes come to light before the first training step."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anonrep.data.image_folder import load_folder, read
from anonrep.release import own_images
from anonrep.release.anonymiser import load
from anonrep.release.own_images import before_and_after, check, demonstration, preflight, train
from anonrep.utils.files import read_json
from anonrep.utils.project import MARKS, root

GAME = {
    **{"hidden": 8, "channels": 8, "adversary_channels": 4, "batch": 16, "pixel_epochs": 12, "pixel_rate": 0.01},
    **{"fidelity_epochs": 1, "kl": 0.001, "freeze_decoder": True},
}
CONFIG = {"units": 16, "steps": 20, "batch": 100, "restarts": 1, "copies": 2}
BUDGET = {"network_epochs": 1, "large_epochs": 0, "trees": 5}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return demonstration(tmp_path_factory.mktemp("demo"), writers=4, images=30, new=5)


@pytest.fixture(scope="module")
def data(demo):
    return load_folder(demo / "images", invert=True, attributes=demo / "attributes.csv", private="writer")


def test_a_demonstration_is_a_folder_like_any_other_and_every_image_says_that_it_is_synthetic(demo, data):
    assert {path.name for path in demo.iterdir()} == {"images", "new", "attributes.csv"}
    assert np.bincount(data.z).tolist() == [30] * 4
    assert len(read(demo / "new")) == 20
    assert set(np.unique(data.attributes["digit"])) == set(range(10))
    assert np.median(data.images) == 0  # paper, once the ink is inverted
    assert data.source == "synthetic"
    assert all(Image.open(file).info["Comment"].startswith("Synthetic") for file in demo.rglob("*.png"))


def test_it_is_made_once_and_the_same_everywhere(demo, tmp_path):
    again = demonstration(tmp_path, writers=4, images=30, new=5)
    assert again.name == demo.name
    assert read(again).sha256 == read(demo).sha256
    (again / "attributes.csv").write_text("mine now")
    assert demonstration(tmp_path, writers=4, images=30, new=5) == again
    assert (again / "attributes.csv").read_text() == "mine now"


@pytest.mark.parametrize(
    ("changes", "error", "part"),
    [
        ({"lam": "two"}, ValueError, "lambda 'two'; expected a number"),
        ({"lam": float("nan")}, ValueError, "expected a number from 0"),
        ({"codes": 1}, ValueError, "codes is 1; expected a whole number from 2"),
        ({"config": {"stepz": 3}}, TypeError, "stepz"),
        ({"game": {"hidden": 0}}, ValueError, "hidden is 0"),
        ({"config": {"neighbours": 50}}, ValueError, "validation images, .* are not of the person .* at least 50"),
    ],
)
def test_wrong_numbers_are_named_before_training(changes, error, part, data, tmp_path, monkeypatch):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("training has begun")

    monkeypatch.setattr(own_images, "prepare_seeds", never)
    given = {"game": GAME, "config": CONFIG, "codes": 8, "lam": 2, **changes}
    with pytest.raises(error, match=part):
        train(data, **given, seed=0, out=tmp_path)
    check(data, GAME, {**CONFIG, "codes": 8}, 2)


def test_a_preparation_that_collapsed_leaves_no_model(data, tmp_path):
    blind = GAME | {"pixel_epochs": 1, "pixel_rate": 1e-6, "fidelity_epochs": 3, "rate": 1e-6}
    with pytest.raises(ValueError, match=r"the preparation collapsed in epoch \d.*: there is no model"):
        train(data, blind, CONFIG, 8, 1, seed=0, out=tmp_path)
    assert not list((tmp_path / "finite").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("changes", "error", "part"),
    [
        ({"budget": {"treez": 5}}, TypeError, "treez"),
        ({"force": "collapsed"}, ValueError, r"expected a list such as \['collapsed'\]"),
        ({"new": "nowhere"}, FileNotFoundError, "nowhere is missing"),
        ({"new": "images/writer-03"}, ValueError, "expected other images than the training images"),
        ({"new": "double"}, ValueError, r"1 of 21 images are training images, again\.png is the first"),
        ({"new": "small"}, ValueError, "small: images of 9 x 9 pixels; expected 20 x 20"),
        ({"out": "new/release"}, ValueError, "lie inside one another"),
        ({"out": "letters"}, FileExistsError, "letters exists already"),
        ({"mapping": "release/which.csv"}, ValueError, "would be published"),
        ({}, None, ""),
    ],
)
def test_what_the_release_would_refuse_is_named_before_training(changes, error, part, demo, data, tmp_path):
    room = shutil.copytree(demo, tmp_path / "room")
    shutil.copytree(room / "new", room / "double")
    shutil.copy(next(room.glob("images/*/*.png")), room / "double/again.png")
    (room / "letters").mkdir()
    (room / "small").mkdir()
    Image.new("L", (9, 9)).save(room / "small/1.png")
    given = {"new": "new", "out": "release", "budget": {}, "mapping": "which.csv", **changes}
    given |= {name: room / given[name] for name in ("new", "out", "mapping")}
    if error is None:  # nothing is wrong
        return preflight(data, room / "images", **given)
    with pytest.raises(error, match=part):
        preflight(data, room / "images", **given)


def run_notebook(place: Path, **given: object) -> subprocess.CompletedProcess:
    """The committed notebook from the command line, as the documentation has it, in a project folder of its own."""
    for mark in MARKS:
        (place / mark).touch()
    words = [word for name, value in given.items() for word in ("-p", name, json.dumps(value).strip('"'))]
    notebook = root() / "notebooks/own_images.ipynb"
    command = [sys.executable, "-m", "anonrep.pipeline.notebook", "run", notebook, "--as", "own", *words]
    environment = {**os.environ, "PYTHONPATH": str(root() / "lib")}
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    "own", [pytest.param(True, id="own folder"), pytest.param(False, id="demonstration", marks=pytest.mark.slow)]
)
def test_the_notebook_goes_from_a_folder_to_a_release(own, demo, data, tmp_path):
    given = {"game": GAME, "config": CONFIG, "codes": 8, "lam": 1, "out": "mine", "budget": BUDGET}
    if own:
        given |= {"folder": str(demo / "images"), "new": str(demo / "new"), "invert": True}
    done = run_notebook(tmp_path, **given)
    assert not done.returncode, done.stderr
    made = tmp_path / "mine" / ("." if own else "demonstration")
    card = read_json(made / "release/privacy-card.json")
    assert card["data"]["source"] == "synthetic"
    assert "Synthetic" in card["notices"][0]
    assert len(list((made / "release").glob("*.png"))) == card["release"]["images"] == (20 if own else 60)
    assert "writer-0" not in (made / "release/privacy-card.html").read_text()
    model = made / "finite/codes-8-seed-0"
    assert load(model).lam == 1
    if own:
        raw, released = before_and_after(data, model)
        assert raw.shape == released.shape == (24, 20, 20)
        assert np.array_equal(raw, 255 - data.subset("test").images[:24])
