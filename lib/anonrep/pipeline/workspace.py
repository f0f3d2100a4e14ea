"""A working copy of the pipeline at another setting: settings/NAME.yaml over params.yaml, in a folder of its own.

    python -m anonrep.pipeline.workspace quick build/quick

Run again, it updates what changed and leaves results and DVC's cache, so that `dvc repro` there is incremental.
"""

import argparse
import filecmp
import os
import shutil
import sys
from pathlib import Path

from anonrep.pipeline.parameters import FILE, ParameterError, dumped, group, one_of, read
from anonrep.utils.files import write_bytes, write_changed
from anonrep.utils.project import root

COPIED = ("dvc.yaml", ".dvcignore", "lib", "notebooks", "notebooks/stages")
LINKED = "data/raw"  # what somebody put there is found from every working copy
DVC = "[core]\n    no_scm = true\n    analytics = false\n    autostage = false\n"
PASSING = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")


def at_setting(base: dict, setting: dict) -> dict:
    """The parameters `base` with the values of a setting; its section `keep` names the entries of a group that stay.

    Raises ParameterError for a key that `base` does not have, and where a value stands for a group.
    """
    if not isinstance(base, dict) or not isinstance(setting, dict):
        raise ParameterError([f"{FILE} or the setting is no group of parameters"])
    kept = dict(base)
    for name, names in setting.get("keep", {}).items():
        entries = group(base, name)
        if unknown := [one for one in names if one not in entries]:
            raise ParameterError([f"keep.{name} names {unknown[0]}; expected {one_of(unknown[0], entries)}"])
        kept[name] = {one: entries[one] for one in names}
    return _merged(kept, {key: value for key, value in setting.items() if key != "keep"})


def _merged(base: dict, over: dict, above: str = "") -> dict:
    """Groups merge, lists and single values replace. (OmegaConf's merge lets a value take the place of a group.)"""
    result = dict(base)
    for key, value in over.items():
        name = f"{above}{key}"
        if key not in base:
            raise ParameterError([f"{name} is unknown; expected {one_of(key, base)}"])
        if isinstance(base[key], dict) != isinstance(value, dict):
            raise ParameterError([f"{name} is a group in one of {FILE} and the setting, and a value in the other"])
        result[key] = _merged(base[key], value, f"{name}.") if isinstance(value, dict) else value
    return result


def make(project: Path, setting: str, folder: Path) -> None:
    """Make or update the working copy of `project` in `folder` at settings/`setting`.yaml."""
    source = project / "settings" / f"{setting}.yaml"
    if not source.is_file():
        known = sorted(path.stem for path in source.parent.glob("*.yaml"))
        raise FileNotFoundError(f"there is no setting {setting!r}; there are {', '.join(known) or 'none'}")
    try:
        params = at_setting(read(project / FILE), read(source))
    except ParameterError as error:
        raise ParameterError(error.problems, source) from error
    folder.mkdir(parents=True, exist_ok=True)
    write_changed(folder / FILE, dumped(params))
    _link(project / LINKED, folder / LINKED)
    write_changed(folder / ".dvc/config", DVC)  # what `dvc init` writes, without its seconds
    for name in COPIED:
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
