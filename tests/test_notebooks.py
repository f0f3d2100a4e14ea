"""The committed notebooks are thin: no outputs, plain parameters that are used, no logic, no results in their prose."""

import ast
import json
import re
from pathlib import Path

import pytest

from anonrep.pipeline.parameters import cell_text, declared

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.rglob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(FOLDER).as_posix())
NO_PROSE = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)", re.DOTALL)  # code, formulas, addresses


def cells(path: Path, kind: str) -> list[dict]:
    """The cells of a kind of a notebook file."""
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def names_read(source: str) -> set[str]:
    """Names that a piece of code reads."""
    return {
        node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def quoted(prose: str) -> list[str]:
    """Percentages and decimals in Markdown, but for the confidence of an interval."""
    return [found for found in re.findall(r"\d[\d.]*\s?%|\b\d+\.\d+\b", NO_PROSE.sub("", prose)) if found != "95 %"]


@each
def test_holds_no_outputs_and_every_cell_has_an_id(path):
    for cell in cells(path, "code"):
        assert not cell["outputs"], f"python -m anonrep.pipeline.notebook clean {path} --to {path.parent}"
        assert cell["execution_count"] is None
    assert all("id" in cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])


@each
def test_parameters_are_plain_literals_and_used(path):
    parameters = declared(json.loads(path.read_text(encoding="utf-8")))  # raises for anything but literals
    assert parameters, "a cell tagged `parameters` is missing"
    code = cells(path, "code")
    (position,) = [index for index, cell in enumerate(code) if "parameters" in cell["metadata"].get("tags", [])]
    read = set().union(*(names_read(cell_text(cell)) for cell in code[position + 1 :]))
    assert set(parameters) <= read, f"declared and never used: {sorted(set(parameters) - read)}"


@each
def test_is_short_and_defines_nothing(path):
    sources = [cell_text(cell) for cell in cells(path, "code")]
    lines = [line for source in sources for line in source.splitlines() if line.strip()]
    assert len(sources) <= 10, f"{len(sources)} code cells"
    assert len(lines) <= 60, f"{len(lines)} lines of code"
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assert not any(isinstance(node, definitions) for source in sources for node in ast.walk(ast.parse(source)))


@each
def test_its_prose_quotes_no_result(path):
    """The next run would make it wrong."""
    found = quoted("\n".join(cell_text(cell) for cell in cells(path, "markdown")))
    assert not found, f"let the code print {found}"


def test_a_quoted_result_is_seen():
    assert quoted("found in 9.9 % of them, 0.12 nats, and 12%") == ["9.9 %", "0.12", "12%"]
    assert (
        quoted("at most 10 images, 20 × 20, eq. (5), 95 % confidence, `0.5` and $0.5$ in [a](https://x.org/10.1)") == []
    )
