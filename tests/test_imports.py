"""Imports point one way: the contracts in pyproject.toml."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def lint(folder: Path) -> subprocess.CompletedProcess:
    """import-linter on `folder`/lib."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(folder / "lib")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_rooms_import_downwards_alone(tmp_path):
    found = lint(ROOT)
    assert found.returncode == 0, found.stdout
    shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "lib/anonrep/evaluation/intervals.py").open("a") as file:
        file.write("import anonrep.game\nimport anonrep.methods.finite\n")
    found = lint(tmp_path)
    assert found.returncode
    assert "anonrep.evaluation is not allowed to import anonrep.methods" in found.stdout
    assert "anonrep.evaluation is not allowed to import anonrep.game" in found.stdout
