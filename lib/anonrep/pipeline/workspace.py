"""A working copy of the pipeline at another setting: settings/NAME.yaml over params.yaml, in a folder of its own.

    python -m anonrep.pipeline.workspace quick build/quick

Run again, it updates what changed and leaves results and DVC's cache, so that `dvc repro` there is incremental.
"""

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from anonrep.pipeline.parameters import read
from anonrep.utils.files import write_bytes, write_text
from anonrep.utils.project import root

COPIED = ("dvc.yaml", ".dvcignore", "lib", "notebooks")
LINKED = "data/raw"  # what somebody put there is found from every working copy
OPTIONS = ("analytics", "autostage")  # of DVC that are off
PASSING = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")


def merged(base: dict, over: dict, path: str = "") -> dict:
    """`base` with the values of `over`: dicts merge, lists and scalars replace.

    Raises ValueError for a key that `base` does not have, or that is a dict in one and a value in the other.
    """
    result = dict(base)
    for key, value in over.items():
        name = f"{path}{key}"
        if key not in base:
            raise ValueError(f"{name} is not in params.yaml, which has {', '.join(path + str(k) for k in base)}")
        if isinstance(base[key], dict) != isinstance(value, dict):
            raise ValueError(f"{name} is a group in one of params.yaml and the setting, and a value in the other")
        result[key] = merged(base[key], value, f"{name}.") if isinstance(value, dict) else value
    return result


def make(project: Path, setting: str, folder: Path) -> None:
    """Make or update the working copy of `project` in `folder` at settings/`setting`.yaml."""
    source = project / "settings" / f"{setting}.yaml"
    if not source.is_file():
        known = sorted(path.stem for path in source.parent.glob("*.yaml"))
        raise FileNotFoundError(f"there is no setting {setting!r}; there are {', '.join(known) or 'none'}")
    params = merged(read(project / "params.yaml") or {}, read(source) or {})
    folder.mkdir(parents=True, exist_ok=True)
    _write_changed(folder / "params.yaml", yaml.safe_dump(params, sort_keys=False, allow_unicode=True))
    _link(project / LINKED, folder / LINKED)
    config = folder / ".dvc/config"
    if not (config.exists() and OPTIONS[-1] in config.read_text(encoding="utf-8")):  # a kill may have left half of it
        dvc = [sys.executable, "-m", "dvc"]
        quiet = {"cwd": folder, "check": True, "env": {**os.environ, "DVC_NO_ANALYTICS": "1"}}
        subprocess.run([*dvc, "init", "--quiet", "--no-scm", "--force"], **quiet)
        for option in OPTIONS:
            subprocess.run([*dvc, "config", "--quiet", f"core.{option}", "false"], **quiet)
    for name in COPIED:  # after `dvc init`, which writes a .dvcignore of its own
        if (project / name).exists():
            _copy(project / name, folder / name, mirror=name != "notebooks")  # somebody may keep own ones there


def _copy(source: Path, target: Path, mirror: bool = True) -> None:
    """Copy a file or a folder, and touch only what differs: DVC hashes again what has a new time.

    With `mirror` what is not in the folder goes from the copy.
    """
    if source.is_file():
        if not target.is_file() or not filecmp.cmp(source, target, shallow=False):
            write_bytes(target, source.read_bytes())
            shutil.copymode(source, target)
        return
    names = [path.name for path in source.iterdir()]
    kept = set(names) - PASSING(str(source), names)
    for gone in target.iterdir() if mirror and target.is_dir() else ():
        if gone.name not in kept:
            shutil.rmtree(gone) if gone.is_dir() and not gone.is_symlink() else gone.unlink()
    for name in kept:
        _copy(source / name, target / name, mirror)


def _write_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def _link(source: Path, target: Path) -> None:
    """A relative link, so that the project and a working copy inside it can be moved together."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or not target.exists():
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(source, target.parent.resolve()))


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m anonrep.pipeline.workspace", description=__doc__.splitlines()[0])
    parser.add_argument("setting", help="NAME of settings/NAME.yaml")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    try:
        make(root(), options.setting, options.folder)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
