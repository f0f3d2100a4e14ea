"""The committed notebooks are thin: no outputs, plain parameters that are used, no logic."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin

from anonrep.data.dataset import Dataset
from anonrep.evaluation.assessment import assess
from anonrep.evaluation.attackers import AttackBudget
from anonrep.pipeline.parameters import cell_text, declared

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[dict]:
    """Code cells of a notebook file."""
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def names_read(source: str) -> set[str]:
    """Names that a piece of code reads."""
    return {
        node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


@each
def test_holds_no_outputs_and_every_cell_has_an_id(path):
    for cell in code_cells(path):
        assert not cell["outputs"], f"python -m anonrep.pipeline.notebook clean notebooks/{path.name} --to notebooks"
        assert cell["execution_count"] is None
    assert all("id" in cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])


@each
def test_parameters_are_plain_literals_and_used(path):
    parameters = declared(json.loads(path.read_text(encoding="utf-8")))  # raises for anything but literals
    assert parameters, "a cell tagged `parameters` is missing"
    cells = code_cells(path)
    (position,) = [index for index, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", [])]
    read = set().union(*(names_read(cell_text(cell)) for cell in cells[position + 1 :]))
    assert set(parameters) <= read, f"declared and never used: {sorted(set(parameters) - read)}"


@each
def test_is_short_and_defines_nothing(path):
    sources = [cell_text(cell) for cell in code_cells(path)]
    lines = [line for source in sources for line in source.splitlines() if line.strip()]
    assert len(sources) <= 10, f"{len(sources)} code cells"
    assert len(lines) <= 60, f"{len(lines)} lines of code"
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assert not any(isinstance(node, definitions) for source in sources for node in ast.walk(ast.parse(source)))


def test_the_attacker_that_the_audit_shows_how_to_add_finds_people():
    """The code in its Markdown, which no stage runs."""
    text = "".join("".join(cell["source"]) for cell in json.loads((FOLDER / "audit.ipynb").read_text())["cells"])
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    draw = np.random.default_rng(0)
    z = np.arange(300) % 3
    images = draw.integers(0, 60, (300, 8, 8), np.uint8) + (60 * z).astype(np.uint8)[:, None, None]
    split = np.repeat([0, 1, 2], 100).astype(np.uint8)
    release = Dataset(images, z, {}, split, {"source": "synthetic", "private": "writer"})
    names = {"np": np, "softmax": softmax, "BaseEstimator": BaseEstimator, "ClassifierMixin": ClassifierMixin}
    names |= {"assess": assess, "release": release, "suite": lambda *_, **__: {}, "AttackBudget": AttackBudget}
    exec(code.replace("\nassess(", "\nfound = assess("), names)
    row = next(row for row in names["found"] if row["attacker"] == "nearest_mean")
    assert row["accuracy"] > 0.9
