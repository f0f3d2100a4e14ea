"""The pipeline at the smoke setting, in a folder of its own: how tests make it, run it and ask what it left."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from anonrep.pipeline import workspace
from anonrep.pipeline.parameters import dumped, read

ROOT = Path(__file__).parents[1]


def make(folder: Path) -> None:
    """A workspace that nothing has run in."""
    workspace.make(ROOT, "smoke", folder)


def environment(folder: Path) -> dict[str, str]:
    """This interpreter with the workspace's own library, and no settings of a user's DVC."""
    own = {f"DVC_{name}_DIR": str(folder.parent / "dvc") for name in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, **own, "PATH": path, "PYTHONPATH": str(folder / "lib"), "DVC_NO_ANALYTICS": "1"}


def run(folder: Path, *command: str) -> str:
    """What `python -m command` prints in `folder`; the test fails with it when the command does."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def stages_run(log: str) -> set[str]:
    """The stages that DVC ran."""
    return set(re.findall(r"^Running stage '(.+)'", log, re.MULTILINE))


def stale(folder: Path, *stages: str) -> set[str]:
    """The stages, of those asked for or of all, that are not up to date by themselves; not those that wait for them."""
    return set(json.loads(run(folder, "dvc", "status", "--json", *stages).splitlines()[-1]))


def lock(folder: Path) -> dict:
    """Every stage with the hashes of what went in and came out."""
    return read(folder / "dvc.lock")["stages"]


def rows(folder: Path, data: str, name: str) -> list[dict]:
    """The rows of reports/metrics/<data>/<name>.json."""
    return json.loads((folder / f"reports/metrics/{data}/{name}.json").read_text(encoding="utf-8"))


def read_params(folder: Path) -> dict:
    """The parameters of a workspace."""
    return read(folder / "params.yaml")


def write_params(folder: Path, params: dict) -> None:
    """Replace the parameters of a workspace."""
    (folder / "params.yaml").write_text(dumped(params), encoding="utf-8")
