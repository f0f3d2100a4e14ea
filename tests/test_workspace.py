"""A working copy: settings merge strictly, and a second run keeps what was computed."""

import pytest
import yaml

from anonrep.pipeline import workspace
from anonrep.utils.files import CannotWrite


@pytest.fixture
def project(tmp_path):
    """A project of one stage with a setting."""
    here = tmp_path / "project"
    for folder in ("lib", "notebooks", "data/raw/pendigits", "settings"):
        (here / folder).mkdir(parents=True)
    (here / "dvc.yaml").write_text("stages: {}\n")
    (here / ".dvcignore").write_text(".*\n")
    (here / "params.yaml").write_text("setting: full\ngrid: [0, 1]\ntrain: {epochs: 9, rate: 0.1}\n")
    (here / "settings/quick.yaml").write_text("setting: quick\ngrid: [1]\ntrain: {epochs: 1}\n")
    (here / "lib/a.py").write_text("a = 1\n")
    (here / "lib/b.py").write_text("b = 1\n")
    (here / "data/raw/pendigits/README.md").write_text("put it here\n")
    return here


def test_dicts_merge_and_the_rest_replaces():
    base = {"grid": [0, 1], "train": {"epochs": 9, "rate": 0.1}}
    assert workspace.merged(base, {"grid": [1], "train": {"epochs": 1}}) == {
        "grid": [1],
        "train": {"epochs": 1, "rate": 0.1},
    }
    assert base["train"]["epochs"] == 9


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"train": {"epoch": 1}}, "train.epoch is not in params.yaml"),
        ({"lambdas": []}, "lambdas is not"),
        ({"train": 3}, "train is a group"),
        ({"grid": {"a": 1}}, "grid is a group"),
    ],
)
def test_a_key_that_does_not_fit_is_named(over, message):
    with pytest.raises(ValueError, match=message):
        workspace.merged({"grid": [0, 1], "train": {"epochs": 9, "rate": 0.1}}, over)


def test_an_unknown_setting_is_answered_with_those_there_are(project):
    with pytest.raises(FileNotFoundError, match="no setting 'quik'; there are quick"):
        workspace.make(project, "quik", project / "build/quick")


def test_what_a_kill_left_of_dvc_is_made_anew(project):
    folder = project / "build/quick"
    (folder / ".dvc/tmp").mkdir(parents=True)
    (folder / ".dvc/config").write_text("[core]\n    no_scm = True\n")
    workspace.make(project, "quick", folder)
    assert "autostage = false" in (folder / ".dvc/config").read_text()


def test_a_full_disk_leaves_the_earlier_copy_and_is_named(project, monkeypatch, capsys):
    folder = project / "build/quick"
    workspace.make(project, "quick", folder)
    (project / "lib/a.py").write_text("a = 2\n")

    def full(path: object, data: bytes) -> None:
        raise CannotWrite(f"{path} cannot be written: No space left on device")

    monkeypatch.setattr(workspace, "write_bytes", full)
    monkeypatch.setattr(workspace, "root", lambda: project)
    with pytest.raises(SystemExit, match=r"a\.py cannot be written: No space left"):
        workspace.main(["quick", str(folder)])
    assert (folder / "lib/a.py").read_text() == "a = 1\n"


def test_a_second_run_updates_and_keeps_the_cache(project):
    copy = project / "build/quick"
    workspace.make(project, "quick", copy)
    assert yaml.safe_load((copy / "params.yaml").read_text()) == {
        "setting": "quick",
        "grid": [1],
        "train": {"epochs": 1, "rate": 0.1},
    }
    assert (copy / "data/raw/pendigits/README.md").read_text() == "put it here\n"
    assert (copy / "data/raw").is_symlink()
    assert "analytics = false" in (copy / ".dvc/config").read_text()
    assert (copy / ".dvcignore").read_text() == ".*\n"

    (copy / ".dvc/cache").mkdir()
    (copy / ".dvc/cache/kept").write_text("computed")
    (copy / "dvc.lock").write_text("kept")
    unchanged = (copy / "lib/b.py").stat().st_mtime_ns
    (project / "lib/a.py").write_text("a = 2\n")
    (project / "lib/c.py").write_text("c = 1\n")
    workspace.make(project, "quick", copy)
    assert (copy / "lib/a.py").read_text() == "a = 2\n"
    assert (copy / "lib/b.py").stat().st_mtime_ns == unchanged
    assert (copy / "lib/c.py").exists()
    assert (copy / ".dvc/cache/kept").read_text() == "computed"
    assert (copy / "dvc.lock").read_text() == "kept"

    (project / "lib/c.py").unlink()
    workspace.make(project, "quick", copy)
    assert not (copy / "lib/c.py").exists()


def test_what_somebody_put_beside_the_notebooks_stays(project, tmp_path):
    (project / "notebooks/explore.ipynb").write_text("{}")
    (tmp_path / "elsewhere").mkdir()
    copy = project / "build/quick"
    workspace.make(project, "quick", copy)
    (copy / "notebooks/mine.ipynb").write_text("mine")
    for place in ("notebooks", "lib"):
        (copy / place / "link").symlink_to(tmp_path / "elsewhere")
    workspace.make(project, "quick", copy)
    assert sorted(path.name for path in (copy / "notebooks").iterdir()) == ["explore.ipynb", "link", "mine.ipynb"]
    assert not (copy / "lib/link").exists()
    assert (tmp_path / "elsewhere").is_dir()
