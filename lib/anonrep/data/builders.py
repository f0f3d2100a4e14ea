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
from typing import get_args

from anonrep.data.dataset import Dataset


def build(
    name: str, options: Mapping[str, object], splits: Sequence[str], out: str | Path, root: str | Path = "."
) -> dict[str, Dataset]:
    """Build data set `name` in each of the `splits`, and write <out>/<split>.npz.

    options  fields of the module's Options; lists, as parameter files have them, stand for tuples
    root     the project's root

    Gives what was written, by name. Raises ValueError for an unknown data set, split or option and for a wrong value,
    and what reading and downloading raise.
    """
    module = module_of(name)
    built = module.build_splits(options_of(name, options), splits, root)
    for split, dataset in built.items():
        dataset.save(Path(out, f"{split}.npz"))
    return built


def module_of(name: str) -> ModuleType:
    """The module of a data set."""
    where = f"anonrep.data.{name}"
    if not name.isidentifier() or find_spec(where) is None or not hasattr(module := import_module(where), "Options"):
        raise ValueError(f"no data set {name!r}; expected the name of a module in anonrep.data that builds one")
    return module


def options_of(name: str, options: Mapping[str, object]) -> object:
    """The Options of a data set, checked; what is not given has its default."""
    cls = module_of(name).Options
    known = [field.name for field in fields(cls)]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"unknown options {', '.join(unknown)} of data set {name}; expected {', '.join(known)}")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in options.items()})


def check_options(options: object, **bounds: tuple[int, ...]) -> None:
    """Raise ValueError, with all that is wrong, unless options have the types of their fields.

    bounds  the least and, where there is one, the greatest value of whole numbers

    Fields are whole numbers, words of a Literal, or tuples of whole numbers from 1.
    """
    wrong = []
    for field in fields(options):
        value = getattr(options, field.name)
        if field.type is int:
            least, *most = bounds.get(field.name, (0,))
            fits = type(value) is int and least <= value <= min(most, default=value)
            expected = f"a whole number from {least}" + "".join(f" to {one}" for one in most)
        elif isinstance(value, tuple) or not all(isinstance(word, str) for word in get_args(field.type)):
            length = len(get_args(field.type))
            fits = isinstance(value, tuple) and len(value) == length and all(type(n) is int and n > 0 for n in value)
            expected = f"{length} whole numbers from 1"
        else:
            fits, expected = value in get_args(field.type), f"one of {', '.join(get_args(field.type))}"
        if not fits:
            wrong.append(f"{field.name} is {value!r}; expected {expected}")
    if wrong:
        raise ValueError("\n".join(wrong))


def check_splits(splits: Sequence[str], known: Sequence[str]) -> None:
    """Raise ValueError unless every split is known."""
    for split in splits:
        if split not in known:
            raise ValueError(f"split {split!r}; expected one of {', '.join(known)}")
