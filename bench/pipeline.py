"""The pipeline: `dvc repro` where there is nothing to do, and stages side by side."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from anonrep.pipeline import workspace
from anonrep.pipeline.parameters import dumped, read
from anonrep.utils.files import write_text
from anonrep.utils.project import root
from bench.timing import Pairs, cores, seconds

GRID = ("code", "data", "controls", "start", "release", "assess")  # up to what attackers find


def no_op(setting: str | None = None) -> Pairs:
    """Seconds of `dvc repro` with every stage up to date, and of the same with every stage to run.

    The stages are those of dvc.yaml at params.yaml, or at settings/`setting`.yaml, with their dependencies; their
    commands are replaced by ones that leave a small file in each output's place at once. So this is DVC's own cost, and
    what is saved is at least this much: a real stage takes longer.
    """
    project = root()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        workspace.make(project, setting or "quick", copy)
        if setting is None:
            write_text(copy / "params.yaml", (project / "params.yaml").read_text(encoding="utf-8"))
        _rewrite(copy / "dvc.yaml", lambda top: {**top, "stages": hollow(top["stages"])})
        while True:
            (copy / "dvc.lock").unlink(missing_ok=True)
            every = seconds(_repro, copy, "--no-run-cache")
            yield seconds(_repro, copy), every


def side_by_side(setting: str = "smoke", change: Callable[[dict], dict] = dict) -> Pairs:
    """Seconds of `pipeline.repro` from nothing at settings/`setting`.yaml: a stage a core at a time, and one at a time.

    Of the stages GRID on digits alone, by the games and the finite release: they stand for the others. `change` is made
    to them first.
    """
    while True:
        yield tuple(_from_nothing(setting, change, jobs) for jobs in (cores(), 1))


def _from_nothing(setting: str, change: Callable[[dict], dict], jobs: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        workspace.make(root(), setting, copy)
        _rewrite(copy / "params.yaml", of_digits)
        _rewrite(copy / "dvc.yaml", lambda top: {**top, "stages": change({name: top["stages"][name] for name in GRID})})
        return seconds(_run, [sys.executable, "-m", "anonrep.pipeline.repro", "--jobs", str(jobs)], copy)


def _rewrite(path: Path, change: Callable[[dict], dict]) -> None:
    """Change what a YAML file holds."""
    write_text(path, dumped(change(read(path))))


def of_digits(params: dict) -> dict:
    """The parameters with the data set of digits alone, released by the games and the finite release."""
    releases = {
        name: one
        for name, one in params["releases"].items()
        if one["data"] == "pendigits" and one["method"] in ("game", "finite") and "without" not in name
    }
    games = {name: params["games"][name] for name in dict.fromkeys(one["start"] for one in releases.values())}
    datasets = {"pendigits": params["datasets"]["pendigits"]}
    return {**params, "datasets": datasets, "games": games, "releases": releases}


def hollow(stages: dict) -> dict:
    """The stages with commands that leave an empty JSON object in the place of each output.

    All but `code`, which writes what the others depend on.
    """
    changed = {}
    for name, stage in stages.items():
        one = stage.get("do", stage)
        outputs = [out for kind in ("outs", "metrics", "plots") for out in one.get(kind, [])]
        paths = [next(iter(out)) if isinstance(out, dict) else out for out in outputs]
        command = " && ".join(
            f"mkdir -p {shlex.quote(str(PurePosixPath(path).parent))} && echo '{{}}' > {shlex.quote(path)}"
            for path in paths
        )
        emptied = one if name == "code" else {**one, "cmd": command}
        changed[name] = {**stage, "do": emptied} if "do" in stage else emptied
    return changed


def _repro(folder: Path, *options: str) -> None:
    _run([sys.executable, "-m", "dvc", "repro", "--quiet", *options], folder)


def _run(command: Sequence[str], folder: Path) -> None:
    """Run it in `folder` and say nothing; raises RuntimeError with the end of what it said if it fails."""
    own = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder.parent / "site")}
    done = subprocess.run(command, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
