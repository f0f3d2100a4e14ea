"""One path for every data set: from its name and its options to one file a split.

A data set is a module anonrep.data.<name> with

    Options       a frozen dataclass of all that decides the data, with defaults; wrong values raise ValueError
    SPLIT_WAYS    the names of the ways in which its images can be put into train, validation and test
    build_splits  (options, splits, root) -> {split: Dataset}, from raw files; what else it gives is written as well
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from anonrep.data.dataset import Dataset


def build(
    name: str, options: Mapping[str, object], splits: Sequence[str], out: str | Path, root: str | Path = "."
) -> dict[str, Dataset]:
    """Build data set `name` in each of the `splits`, and write <out>/<split>.npz.

    options  fields of the module's Options; lists, as parameter files have them, stand for tuples
    root     the project's root

    Gives what was written, by name. Raises ValueError for an unknown data set, split or option and for a wrong value,
    before anything is read; and what reading and downloading raise.
    """
    module = module_of(name)
    known = [field.name for field in fields(module.Options)]
    for what, given, allowed in (("options", options, known), ("splits", splits, module.SPLIT_WAYS)):
        if unknown := [one for one in given if one not in allowed]:
            raise ValueError(f"unknown {what} {', '.join(unknown)} of data set {name}; expected {', '.join(allowed)}")
    options = module.Options(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    )
    built = module.build_splits(options, splits, root)
    for split, dataset in built.items():
        dataset.save(Path(out, f"{split}.npz"))
    return built


def module_of(name: str) -> ModuleType:
    """The module of a data set."""
    where = f"anonrep.data.{name}"
    if not name.isidentifier() or find_spec(where) is None or not hasattr(module := import_module(where), "Options"):
        raise ValueError(f"no data set {name!r}; expected the name of a module in anonrep.data that builds one")
    return module
