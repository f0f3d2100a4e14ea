"""A working copy: settings merge strictly, and a second run keeps what was computed."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonrep.pipeline import workspace
from anonrep.pipeline.parameters import ParameterError, dumped, parse
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


BASE = {"grid": [0, 1], "train": {"epochs": 9, "rate": 0.1}, "games": {"a": {"lam": 1}, "b": {"lam": 2}}}


def test_groups_merge_the_rest_replaces_and_keep_selects():
    before = copy.deepcopy(BASE)
    assert workspace.at_setting(BASE, {}) == BASE
    setting = {"keep": {"games": ["b"]}, "grid": [1], "train": {"epochs": 1}, "games": {"b": {"lam": 3}}}
    assert workspace.at_setting(BASE, setting) == {
        "grid": [1],
        "train": {"epochs": 1, "rate": 0.1},
        "games": {"b": {"lam": 3}},
    }
    assert before == BASE


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"train": {"epoch": 1}}, r"train\.epoch is unknown; .*did you mean epochs?"),
        ({"lambdas": []}, "lambdas is unknown; expected one of grid"),
        ({"train": 3}, "train is a group"),
        ({"grid": {"a": 1}}, "grid is a group"),
        ({"keep": {"games": ["c"]}}, r"keep\.games names c; expected one of a, b"),
        ({"keep": {"game": ["a"]}}, "game is missing; expected one of grid, train, games"),
        ({"keep": {"games": ["a"]}, "games": {"b": {"lam": 1}}}, r"games\.b is unknown; expected a"),
    ],
)
def test_a_key_that_does_not_fit_is_named(setting, message):
    with pytest.raises(ParameterError, match=message):
        workspace.at_setting(BASE, setting)


LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="ascii"))


@given(st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab1"), inner)))
def test_what_a_working_copy_gets_is_what_was_merged(value):
    assert parse(dumped(value)) == value


def test_an_unknown_setting_is_answered_with_those_there_are(project):
    with pytest.raises(FileNotFoundError, match="no setting 'quik'; there are quick"):
        workspace.make(project, "quik", project / "build/quick")


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
    folder = project / "build/quick"
    workspace.make(project, "quick", folder)
    assert parse((folder / "params.yaml").read_text()) == {
        "setting": "quick",
        "grid": [1],
        "train": {"epochs": 1, "rate": 0.1},
    }
    assert (folder / "data/raw/pendigits/README.md").read_text() == "put it here\n"
    assert (folder / "data/raw").is_symlink()
    assert "analytics = false" in (folder / ".dvc/config").read_text()
    assert (folder / ".dvcignore").read_text() == ".*\n"

    (folder / ".dvc/cache").mkdir()
    (folder / ".dvc/cache/kept").write_text("computed")
    (folder / "dvc.lock").write_text("kept")
    unchanged = (folder / "lib/b.py").stat().st_mtime_ns
    (project / "lib/a.py").write_text("a = 2\n")
    (project / "lib/c.py").write_text("c = 1\n")
    workspace.make(project, "quick", folder)
    assert (folder / "lib/a.py").read_text() == "a = 2\n"
    assert (folder / "lib/b.py").stat().st_mtime_ns == unchanged
    assert (folder / "lib/c.py").exists()
    assert (folder / ".dvc/cache/kept").read_text() == "computed"
    assert (folder / "dvc.lock").read_text() == "kept"

    (project / "lib/c.py").unlink()
    workspace.make(project, "quick", folder)
    assert not (folder / "lib/c.py").exists()


def test_what_somebody_put_beside_the_notebooks_stays(project, tmp_path):
    (project / "notebooks/explore.ipynb").write_text("{}")
    (tmp_path / "elsewhere").mkdir()
    folder = project / "build/quick"
    workspace.make(project, "quick", folder)
    (folder / "notebooks/mine.ipynb").write_text("mine")
    for place in ("notebooks", "lib"):
        (folder / place / "link").symlink_to(tmp_path / "elsewhere")
    workspace.make(project, "quick", folder)
    assert sorted(path.name for path in (folder / "notebooks").iterdir()) == ["explore.ipynb", "link", "mine.ipynb"]
    assert not (folder / "lib/link").exists()
    assert (tmp_path / "elsewhere").is_dir()
