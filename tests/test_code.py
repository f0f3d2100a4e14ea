"""What stages depend on: a notebook's code and that of all it imports, without prose, and nothing else."""

import json
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from anonrep.pipeline import code

ROOT = Path(__file__).parents[1]
FILES = {
    "__init__.py": '"""The package."""\nHOME = {"play": "game"}  # imported on use\n',
    "game.py": '"""The game."""\nimport torch\nRATE = 0.1  # slow\ndef play():\n    """Play it."""\n    return RATE\n',
    "data/__init__.py": "",
    "data/README.md": "prose",
    "data/digits.py": "SIZE = 20\n",
    "data/faces.py": "SIZE = 50\n",
    "stages/__init__.py": "",
    "stages/start.py": "def run():\n    from anonrep.data import digits\n    import anonrep.game\n",
    "stages/assess.py": "from importlib import import_module\ndef run(name): import_module(f'anonrep.data.{name}')\n",
    "stages/tables.py": "",
    "reports/__init__.py": "",
    "reports/plots.py": "from anonrep.stages import tables\n",
    "reports/templates/page.css": "a {}\n",
}


@pytest.fixture
def project(tmp_path):
    """A project with a small library and two notebooks, with what stages depend on."""
    for name, text in FILES.items():
        path = tmp_path / "lib/anonrep" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / code.SOURCES).mkdir(parents=True)
    for name, cell in {
        "start": "%matplotlib inline\nfrom anonrep.stages import start\nfrom anonrep.reports.plots import show",
        "assess": "import anonrep.stages.assess as a",
    }.items():
        notebook = new_notebook(cells=[new_markdown_cell("# Prose"), new_code_cell(cell)])
        (tmp_path / code.SOURCES / f"{name}.ipynb").write_text(json.dumps(notebook))
    code.write(tmp_path)
    return tmp_path


def written(project):
    """What each notebook's code is."""
    return {path.stem: path.read_text() for path in (project / code.CODE).iterdir()}


def changed(project, name, old, new):
    """The notebooks whose code changes with this edit of a file of the library."""
    path, before = project / "lib/anonrep" / name, written(project)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    code.write(project)
    after = written(project)
    return {stem for stem in before if before[stem] != after[stem]}


def modules(text):
    """The names of the modules in a notebook's code."""
    return [line[2:] for line in text.splitlines() if line.startswith("# anonrep")]


def test_every_import_is_followed_but_those_of_reports(project):
    found = {name: modules(text) for name, text in written(project).items()}
    packages = ["anonrep.data", "anonrep.stages"]
    assert found["start"] == sorted([*packages, "anonrep.data.digits", "anonrep.game", "anonrep.stages.start"])
    assert found["assess"] == sorted([*packages, "anonrep.data.digits", "anonrep.data.faces", "anonrep.stages.assess"])
    reports = ["anonrep.reports", "anonrep.reports.plots", "anonrep.stages", "anonrep.stages.tables"]
    assert found["reports"] == reports


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("game.py", '"""The game."""', '"""The game,\nat length."""'),
        ("game.py", '"""Play it."""', '"""Play."""'),
        ("game.py", "# slow", "# very slow"),
        ("data/README.md", "prose", "better prose"),
    ],
)
def test_prose_changes_nothing(project, name, old, new):
    assert changed(project, name, old, new) == set()


def test_code_changes_what_uses_it(project):
    assert changed(project, "game.py", "0.1", "0.2") == {"start"}
    assert changed(project, "data/faces.py", "50", "60") == {"assess"}
    assert changed(project, "stages/tables.py", "", "A = 1\n") == {"reports"}
    assert changed(project, "reports/templates/page.css", "{}", "{color: red}") == {"reports"}
    assert changed(project, "stages/start.py", "digits", "faces, digits") == {"start"}
    assert changed(project, "data/faces.py", "60", "70") == {"assess", "start"}
    assert changed(project, "__init__.py", "}", ", 'other': 'losses'}") == set(), "nobody imports from the package"
    assert changed(project, "data/faces.py", "SIZE", "from anonrep import play\nSIZE") == {"assess", "start"}
    assert changed(project, "game.py", "0.2", "0.3") == {"assess", "start"}


def test_what_does_not_change_is_not_touched_and_what_belongs_nowhere_goes(project):
    before = {path: path.stat().st_mtime_ns for path in (project / code.CODE).iterdir()}
    (project / code.SOURCES / "assess.ipynb").unlink()
    code.write(project)
    assert {path: path.stat().st_mtime_ns for path in (project / code.CODE).iterdir()} == {
        path: time for path, time in before.items() if path.stem != "assess"
    }
    assert [path.stem for path in (project / code.COPIES).iterdir()] == ["start"]


def test_a_syntax_error_names_its_file(project, monkeypatch):
    (project / "lib/anonrep/game.py").write_text("def play(:\n")
    monkeypatch.setattr(code, "root", lambda: project)
    monkeypatch.setattr("anonrep.pipeline.schema.check_file", lambda folder: None)
    with pytest.raises(SystemExit, match=r"game\.py, line 1: .*play"):
        code.main()


def test_the_projects_own_library_can_be_followed():
    library = code.Library(ROOT / "lib")
    text = library.text(library.closure(["anonrep.game"]))
    assert "class GameConfig" in text
    assert '"""' not in text
