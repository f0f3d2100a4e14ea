"""The audit of a model: controls beside every number, bounds above every attacker, and no name in what it writes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from test_release import SECRETS, adversarial, made, photographs

from anonrep.data.codebook import Codebook
from anonrep.data.image_folder import load_folder
from anonrep.evaluation.attackers import on_pixels
from anonrep.evaluation.certificate import certify
from anonrep.evaluation.contingency import smoothed
from anonrep.evaluation.intervals import wilson
from anonrep.release import model_audit as module
from anonrep.release.anonymiser import audited, load
from anonrep.release.folder import release_folder
from anonrep.release.model_audit import audit, constant
from anonrep.utils.files import read_sealed

BUDGET = {"network_epochs": 1, "large_epochs": 0, "trees": 5}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model's folder to copy from; the photographs it was made on have attributes."""
    folder = tmp_path_factory.mktemp("made")
    photographs(folder / "images", 40)
    names = sorted(file.relative_to(folder / "images").as_posix() for file in (folder / "images").rglob("*.png"))
    lines = [f"{name},{len(name) % 3},{i / 7}" for i, name in enumerate(names)]
    (folder / "a.csv").write_text("\n".join(["file,digit,tilt", *lines]) + "\n")
    return made(folder, attributes=folder / "a.csv").parents[1]


@pytest.fixture
def case(trained, tmp_path, monkeypatch):
    """A model without an audit, and its data; two quick attackers in place of the suite."""
    shutil.copytree(trained / "models", tmp_path / "models")
    path = tmp_path / "models" / "codes-40-seed-0"
    Path(f"{path}.audit.json").unlink()
    quick = {
        "majority": [on_pixels(DecisionTreeClassifier(max_depth=1))],
        "neighbours": [on_pixels(KNeighborsClassifier(k)) for k in (1, 3)],
        "tree": [on_pixels(DecisionTreeClassifier(random_state=0))],
    }
    monkeypatch.setattr(module, "suite", lambda budget, **_: quick)
    return path, load_folder(trained / "images", attributes=trained / "a.csv")


def rows(facts: dict, on: str, m: int = 1) -> dict[str, dict]:
    return {row["attacker"]: row for row in facts["attackers"] if (row["on"], row["m"]) == (on, m)}


def test_every_number_has_its_controls_and_its_interval(case):
    path, data = case
    found, test = audit(path, data, BUDGET), data.split == 2
    for on in ("released", "raw", "permuted"):
        assert {"neighbours", "tree"} <= set(rows(found, on))
        assert "majority" not in rows(found, on)  # chance stands by itself
    assert "table" in rows(found, "released")
    for row in found["attackers"]:
        assert row["n"] == test.sum() or row["m"] > 1
        assert row["n_train"] == (data.split == 0).sum()
        together = sum((other["on"], other["m"]) == (row["on"], row["m"]) for other in found["attackers"])
        assert (row["low"], row["high"]) == wilson(round(row["accuracy"] * row["n"]), row["n"], simultaneous=together)
    most = np.bincount(data.z[test]).max()
    assert {row["m"] for row in found["attackers"]} == {m for m in (1, 5, 20) if m <= most}
    assert found["data"]["chance"] == np.bincount(data.z).max() / len(data)
    assert [row["attribute"] for row in found["utility"]] == ["digit", "tilt"]


def test_the_certificate_is_of_test_images_and_above_every_attacker(case):
    path, data = case
    found, codes = audit(path, data, BUDGET), load(path).apply(data.images)
    train, test, k = data.split == 0, data.split == 2, len(Codebook.load(f"{path}.npz"))
    references = {"p_z": smoothed(data.z[train], 3), "p_k": smoothed(codes[train], k)}
    assert found["certificate"] == certify(codes[test], data.z[test], **references)
    assert [row["m"] for row in found["certificate"]] == [1, 5, 20]
    assert all(row["accuracy"] <= found["certificate"][0]["bound"] for row in rows(found, "released").values())
    people = [len(np.unique(data.z[train & (codes == code)])) for code in range(k)]
    assert found["model"]["fewest_people"] == min(people)


def test_an_audit_lets_a_model_release_and_holds_no_name(case, tmp_path):
    path, data = case
    found = audit(path, data, BUDGET)
    assert read_sealed(f"{path}.audit.json", "") == found == audited(path, load(path))
    card = release_folder(path, photographs(tmp_path / "new", 4, first=100), tmp_path / "out")
    assert (card["forced"], card["model"]["audited"]) == ([], True)
    text = Path(f"{path}.audit.json").read_text()
    assert not [secret for secret in SECRETS if secret in text]
    assert any(secret in Path(f"{path}.json").read_text() for secret in SECRETS)  # the model's own file knows them


def test_other_data_and_another_split_are_refused(case, trained):
    path, _ = case
    for changes in ({"seed": 1}, {"invert": True}, {"split_sizes": (70, 15, 15)}, {"private": "writer"}):
        with pytest.raises(ValueError, match="was trained on other data or another split"):
            audit(path, load_folder(trained / "images", **changes), BUDGET)
    assert not Path(f"{path}.audit.json").exists()


def test_attributes_may_come_after_the_training(case, trained, tmp_path):
    path, _ = case
    lines = (trained / "a.csv").read_text().splitlines()
    worded = ["file,mood", *(f"{line.split(',')[0]},{('calm', 'gay')[i % 2]}" for i, line in enumerate(lines[1:]))]
    (tmp_path / "later.csv").write_text("\n".join(worded))
    found = audit(path, load_folder(trained / "images", attributes=tmp_path / "later.csv"), BUDGET)
    assert [row["attribute"] for row in found["utility"]] == ["mood"]
    assert "calm" not in str(found)


def test_a_game_is_audited_without_a_certificate(case, tmp_path, monkeypatch):
    _, data = case
    game = adversarial(tmp_path / "game", data.provenance, lam=2, seed=1, collapsed=None)
    monkeypatch.setattr(module, "constant", lambda *_: None)  # the output of an untrained network is
    found = audit(game, data, BUDGET)
    assert found["certificate"] is None
    assert "fewest_people" not in found["model"]
    assert {row["m"] for row in found["attackers"]} == {1, 5}


def test_a_constant_release_has_collapsed_and_gets_no_number(case, tmp_path):
    path, data = case
    game = adversarial(tmp_path / "game", data.provenance, lam=2, seed=1, collapsed=None)
    found = audit(game, data, BUDGET)
    assert found["model"]["collapsed"].startswith("collapsed: its output is nearly constant")
    assert (found["attackers"], found["certificate"], found["utility"]) == ([], None, [])
    book = Codebook.load(f"{path}.npz")
    Codebook(np.repeat(book.images[:1], len(book), 0), book.codes).save(f"{path}.npz", {})
    assert audit(path, data, BUDGET)["model"]["collapsed"]
    lost = adversarial(tmp_path / "lost", data.provenance, lam=2, seed=1, collapsed="collapsed in epoch 3")
    assert audit(lost, data, BUDGET)["model"]["collapsed"] == "collapsed in epoch 3"


def test_constant_means_less_than_a_tenth_of_the_real_deviation():
    images = np.random.default_rng(0).integers(0, 256, (50, 9, 8), np.uint8)
    assert constant(images, images) is None
    assert constant(images, images // 9) is None
    assert constant(images, images // 11).startswith("collapsed")
    assert constant(images, np.full_like(images, 255)).startswith("collapsed")


def test_the_whole_suite_works(trained, tmp_path):
    """The real attackers, once: what one of them cannot take would come to light after hours of training."""
    shutil.copytree(trained / "models", tmp_path / "models")
    data = load_folder(trained / "images", attributes=trained / "a.csv")
    found = audit(tmp_path / "models" / "codes-40-seed-0", data, BUDGET)
    assert len(rows(found, "released")) >= 4
    assert set(rows(found, "raw")) == set(rows(found, "permuted")) == set(rows(found, "released")) - {"table"}
