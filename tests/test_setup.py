"""One source of dependencies, a lock that fits it, commands that explain themselves, style that holds."""

import ast
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from anonrep.pipeline.parameters import read

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def locked() -> dict[str, Version]:
    """Names and versions in requirements.lock."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pinned = [line.split("==") for line in lines if line.strip() and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pinned}


def test_conda_takes_its_dependencies_from_pyproject():
    *conda, pip = read(ROOT / "environment.yml")["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == {"pip": ["-e .[lab,dev]"]}


def test_every_dependency_is_locked_within_its_range():
    versions = locked()
    for text in chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        requirement = Requirement(text)
        version = versions.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in requirements.lock"
        assert version in requirement.specifier, f"{requirement} against {version} in requirements.lock"


def test_every_target_of_make_has_a_line_of_help():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    for target in targets:
        assert re.search(rf"^{target}:.* ## \S.*$", makefile, re.MULTILINE), target
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(f"make {target} - " in listed for target in targets)


def test_only_the_pipeline_reads_the_parameters():
    for path in (ROOT / "lib/anonrep").rglob("*.py"):
        if path.parent.name == "pipeline" or path.name == "project.py":  # which looks for the file
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)} - docstrings(tree)
        named = [text for text in strings if isinstance(text, str) and "params.yaml" in text]
        assert not named, f"{path.name} names params.yaml: pass the value as an argument"


def docstrings(tree: ast.Module) -> set[str]:
    """Docstrings of a module and of all in it."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}


def test_analytics_are_off():
    assert "analytics = false" in (ROOT / ".dvc/config").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff(command):
    done = subprocess.run([sys.executable, "-m", "ruff", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
