"""The whole path on faces from files in the real layout, a folder and a zip, of which nothing else is recorded."""

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anonrep.data import ferg, ferg_reader, ferg_sources
from anonrep.data.dataset import Dataset
from anonrep.data.ferg_reader import CHARACTERS, EXPRESSIONS
from anonrep.data.synthetic import ferg as synthetic_ferg
from anonrep.stages import results_ferg
from anonrep.stages.assessment_ferg import assess_references, assess_target
from anonrep.stages.experiment import prepare_seeds
from anonrep.stages.experiment_ferg import train_finite_faces, train_target
from anonrep.utils.files import read_json

NUMBERS = (1, 2, 3, 4, 5, 6, 98, 99, 100, 101, 102, 1643)  # of 1 to 4 digits, in three runs
GAME = {"hidden": 16, "channels": 8, "adversary_channels": 4, "batch": 16, "pixel_epochs": 8, "pixel_rate": 0.01}
GAME |= {"fidelity_epochs": 1, "private_epochs": 1, "pixel_anchor": 100.0}
FINITE = {
    "codes": 6,
    "units": 16,
    "steps": 30,
    "batch": 100,
    "restarts": 1,
    "neighbours": 3,
    "jitter": 0.08,
    "copies": 2,
}
BUDGET = {"network_epochs": 1, "large_epochs": 0, "trees": 10, "reader_epochs": 2}


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A folder like FERG-DB's, with what systems leave beside files; its faces are drawn and do not say so."""
    top = tmp_path_factory.mktemp("raw") / "FERG_DB_256"
    for name in CHARACTERS:
        for clip in synthetic_ferg.clips(name, synthetic_ferg.CAST[name], np.full(len(EXPRESSIONS), len(NUMBERS)), 0):
            word = EXPRESSIONS[clip.expression]
            folder = top / name / f"{name}_{word}"
            folder.mkdir(parents=True, exist_ok=True)
            for number, image in zip(
                NUMBERS[clip.first - 1 :], synthetic_ferg.draw(clip.who, clip.moment, 256), strict=False
            ):
                Image.fromarray(image).save(folder / f"{name}_{word}_{number}.png", compress_level=1)
    (top / ".DS_Store").write_bytes(b"\0")
    return top


@pytest.fixture(scope="module")
def archive(tree) -> Path:
    path = tree.parent / "zipped" / "ferg.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as file:
        for image in sorted(tree.rglob("*.png")):
            file.write(image, image.relative_to(tree.parent))
        file.writestr("__MACOSX/FERG_DB_256/._aia", io.BytesIO(b"\0").getvalue())
    return path


def test_the_folder_and_the_zip_are_the_same_data(tree, archive, monkeypatch):
    folder, zipped = (ferg_reader.read(path, 25) for path in (tree, archive))
    assert len(folder) == len(CHARACTERS) * len(EXPRESSIONS) * len(NUMBERS)
    assert folder.sha256 == zipped.sha256
    assert (folder.images == zipped.images).all()
    assert not folder.synthetic
    (tree.parent / "raw").mkdir(exist_ok=True)
    shared = tree.parent / "shared"
    shared.mkdir(exist_ok=True)
    (shared / "ferg").symlink_to(archive.parent)
    monkeypatch.setenv("ANONREP_DATA", str(shared))
    assert ferg_sources.ferg_path("auto", tree.parent / "raw").name == "ferg.zip"


@pytest.mark.parametrize("split", ferg.SPLIT_WAYS)
def test_the_whole_path_runs_on_it(tree, tmp_path, split):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # most of the images are missing, and it says so
        data = ferg.build(ferg_reader.read(tree, 25), split=split, split_sizes=(50, 25, 25), run=6, gap=1)
    nobody = synthetic_ferg.nobody(42, 25)
    assert data.source == "ferg"
    assert set(data.attributes) == {"expression", "frame", "clip"}
    models = tmp_path / split
    prepare_seeds(data, GAME, [0], models / "start")
    assert read_json(models / "start/runs.json") == [{"seed": 0, "collapsed": None}]
    for target, name in ((None, "standard"), (1, "target-1"), (6, "target-6")):
        train_target(data, nobody, GAME, 1, target, start=models / "start", out=models / name)
        if target is None:
            assess_references(data, BUDGET, standard=models / "standard", out=models / "references")
    train_finite_faces(data, nobody, FINITE, 1, [1, 6], out=models / "finite")
    for target in (1, 6):
        assess_target(data, BUDGET, target, models=models, out=tmp_path / f"cells/{split}-{target}.json")
    rows = results_ferg.collect(tmp_path, tmp_path / "cells", [split], [1, 6])
    assert {row["source"] for row in rows} == {"ferg"}
    assert {row["task"] for row in rows} == {"identity", "expression"}, (
        "pose and gaze are not recorded of the real data"
    )
    table = results_ferg.releases(rows).set_index(["method", "target"])
    assert table.identity[("raw", np.nan)] > 0.9
    assert len(table.loc["substituted"]) == len(table.loc["finite"]) == 2
    (proof,) = results_ferg.certificates(tmp_path, [split])
    assert table.loc["finite"].identity.max() <= proof["bound"] <= 1
    release = Dataset.load(models / "target-6/seed-0.npz")
    assert (release.z == data.z).all()
    assert release.source == "ferg"
