"""The demonstration says that it is synthetic, and what is wrong comes to light before the first step of training."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from anonrep import own_images
from anonrep.files import read_json
from anonrep.image_folder import load_folder
from anonrep.image_reader import SYNTHETIC, read
from anonrep.model_audit import audit
from anonrep.own_images import check, couples, demonstration, train
from anonrep.release import load, release_folder

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
    assert data.source == "standin"
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
        ({"lam": 2.0}, ValueError, "written as 2: files are named after it"),
        ({"lam": -1}, ValueError, "expected a number from 0 on"),
        ({"lam": float("nan")}, ValueError, "expected a number from 0 on"),
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
