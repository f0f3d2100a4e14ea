"""The audit of a model: controls beside every number, bounds above every attacker, and no name in what it writes."""

import shutil
from dataclasses import replace
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
from anonrep.release.privacy_card import card
from anonrep.utils.files import read_sealed

BUDGET = {"network_epochs": 1, "large_epochs": 0, "trees": 5}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model's folder to copy from; the photographs it was made on have an attribute."""
    folder = tmp_path_factory.mktemp("made")
    photographs(folder / "images", 40)
    names = sorted(file.relative_to(folder / "images").as_posix() for file in (folder / "images").rglob("*.png"))
    lines = [f"{name},{len(name) % 3},{i / 7}" for i, name in enumerate(names)]
    (folder / "a.csv").write_text("\n".join(["file,digit,tilt", *lines]) + "\n")
    return made(folder, attributes=folder / "a.csv").parents[1]


@pytest.fixture
def case(trained, tmp_path, monkeypatch):
    """A model without an audit, and its data; two quick attackers in the place of the suite."""
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


def test_an_audit_is_what_a_release_asks_for(case, tmp_path):
    path, data = case
    found = audit(path, data, BUDGET)
    assert read_sealed(f"{path}.audit.json", "") == found == audited(path, load(path))
    made_card = release_folder(path, photographs(tmp_path / "new", 4, first=100), tmp_path / "out")
    assert made_card["against"] == []
    assert made_card["model"]["audited"]
    assert made_card["release"]["unlike"] is not None


def test_every_number_has_its_controls(case):
    path, data = case
    found = audit(path, data, BUDGET)
    for on in ("released", "raw", "permuted"):
        assert {"neighbours", "tree"} <= set(rows(found, on))
        assert "majority" not in rows(found, on)  # a blind guess is no attacker
    assert "table" in rows(found, "released")
    test = data.split == 2
    for row in found["attackers"]:
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        assert row["n"] == test.sum() or row["m"] > 1
        assert row["n_train"] == (data.split == 0).sum()
        together = sum((other["on"], other["m"]) == (row["on"], row["m"]) for other in found["attackers"])
        hits = round(row["accuracy"] * row["n"])
        assert (row["low"], row["high"]) == wilson(hits, row["n"], simultaneous=together)
    commonest = np.bincount(data.z[data.split == 0]).argmax()
    assert found["data"]["blind"] == np.mean(data.z[test] == commonest)


def test_the_certificate_is_of_test_images_and_above_every_attacker(case):
    path, data = case
    found, codes = audit(path, data, BUDGET), load(path).apply(data.images)
    train, test, k = data.split == 0, data.split == 2, len(Codebook.load(f"{path}.npz"))
    references = {"p_z": smoothed(data.z[train], 3), "p_k": smoothed(codes[train], k)}
    assert found["certificate"] == certify(codes[test], data.z[test], **references)
    assert [row["m"] for row in found["certificate"]] == [1, 5, 20]
    assert all(row["accuracy"] <= found["certificate"][0]["bound"] for row in rows(found, "released").values())


def test_as_many_images_as_somebody_has_are_tried(case):
    path, data = case
    most = np.bincount(data.z[data.split == 2]).max()
    assert {row["m"] for row in audit(path, data, BUDGET)["attackers"]} == {m for m in (1, 5, 20) if m <= most}


def test_what_is_behind_a_picture_is_counted(case):
    path, data = case
    train, codes = data.split == 0, load(path).apply(data.images)
    people = [len(np.unique(data.z[train & (codes == code)])) for code in range(codes.max() + 1)]
    assert audit(path, data, BUDGET)["model"]["behind"] == min(people)


def test_what_is_kept_is_judged_where_there_is_something(case):
    path, data = case
    assert [row["attribute"] for row in audit(path, data, BUDGET)["kept"]] == ["digit", "tilt"]
    bare = replace(data, attributes={})
    assert audit(path, bare, BUDGET)["kept"] == []


def test_no_name_gets_into_an_audit(case):
    path, data = case
    audit(path, data, BUDGET)
    text = Path(f"{path}.audit.json").read_text()
    assert not [secret for secret in SECRETS if secret in text]
    assert any(secret in Path(f"{path}.json").read_text() for secret in SECRETS)  # the model's own file knows them


def test_other_data_and_another_split_are_refused(case, trained):
    path, _ = case
    for changes in ({"seed": 1}, {"invert": True}, {"split_sizes": (70, 15, 15)}, {"private": "writer"}):
        other = load_folder(trained / "images", **changes)
        with pytest.raises(ValueError, match="was trained on other data or another split"):
            audit(path, other, BUDGET)
    assert not Path(f"{path}.audit.json").exists()


def test_attributes_may_come_after_the_training(case, trained, tmp_path):
    path, _ = case
    lines = (trained / "a.csv").read_text().splitlines()
    worded = ["file,mood", *(f"{line.split(',')[0]},{('calm', 'gay')[i % 2]}" for i, line in enumerate(lines[1:]))]
    (tmp_path / "later.csv").write_text("\n".join(worded))
    found = audit(path, load_folder(trained / "images", attributes=tmp_path / "later.csv"), BUDGET)
    assert [row["attribute"] for row in found["kept"]] == ["mood"]
    assert "calm" not in str(found)


def test_a_game_is_audited_without_a_certificate(case, tmp_path, monkeypatch):
    _, data = case
    game = adversarial(tmp_path / "game", data.provenance, lam=2, seed=1, collapsed=None)
    monkeypatch.setattr(module, "constant", lambda *_: None)  # an untrained network's output is
    found = audit(game, data, BUDGET)
    assert found["certificate"] is None
    assert "behind" not in found["model"]
    assert {row["m"] for row in found["attackers"]} == {1, 5}
    told = card({**found, "release": None, "against": []})["statements"]
    assert [row["says"].endswith("was not tried.") for row in told] == [False, False, True]


def test_a_constant_release_has_collapsed_and_gets_no_number(case, tmp_path):
    path, data = case
    game = adversarial(tmp_path / "game", data.provenance, lam=2, seed=1, collapsed=None)
    found = audit(game, data, BUDGET)
    assert found["model"]["collapsed"].startswith("collapsed: its output is all but constant (spread 0.00")
    assert (found["attackers"], found["certificate"], found["kept"]) == ([], None, [])
    book = Codebook.load(f"{path}.npz")
    Codebook(np.repeat(book.images[:1], len(book), 0), book.codes).save(f"{path}.npz", {})
    assert audit(path, data, BUDGET)["model"]["collapsed"]


def test_a_tenth_of_the_real_spread_is_what_counts():
    images = np.random.default_rng(0).integers(0, 256, (50, 9, 8), np.uint8)
    assert constant(images, images) is None
    assert constant(images, images // 9) is None
    assert constant(images, images // 11).startswith("collapsed")
    assert constant(images, np.full_like(images, 255)).startswith("collapsed")


def test_a_recorded_collapse_is_kept(case, tmp_path):
    _, data = case
    lost = adversarial(tmp_path / "game", data.provenance, lam=2, seed=1, collapsed="collapsed in epoch 3")
    assert audit(lost, data, BUDGET)["model"]["collapsed"] == "collapsed in epoch 3"


def test_the_whole_suite_can_be_set_on_it(trained, tmp_path):
    """The attackers as they are, once; what one of them cannot take would come to light after the training."""
    shutil.copytree(trained / "models", tmp_path / "models")
    data = load_folder(trained / "images", attributes=trained / "a.csv")
    found = audit(tmp_path / "models" / "codes-40-seed-0", data, BUDGET)
    assert len(rows(found, "released")) >= 4
    assert set(rows(found, "raw")) == set(rows(found, "permuted")) == set(rows(found, "released")) - {"table"}
