"""Small checks of values that people write into YAML files, and larger ones made of them.

A check is a function of a dotted key and its value that yields a line for each problem: the key, what was found, what
is allowed. `read` reads the file they belong to more strictly than PyYAML does.
"""

import difflib
import math
import re
import reprlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import fields

Check = Callable[[str, object], Iterator[str]]
MISSING = object()  # stands for the value of a key that is not there, so that every check says what it wants there
NAME = re.compile(r"\w[\w-]{0,59}")  # files and stages bear such names
SHORT = reprlib.Repr()
SHORT.maxlevel, SHORT.maxlist, SHORT.maxstring, SHORT.maxother = 1, 12, 60, 60  # whatever is found fits on a line


def wrong(key: str, value: object, allowed: str) -> str:
    """The line for a value that is not allowed."""
    found = "missing" if value is MISSING else "empty" if value is None else SHORT.repr(value)
    return f"{key or 'the file'} is {found}; expected {allowed}"


def one_of(value: object, known: Collection) -> str:
    """What is known, and what is likely meant."""
    names = [_plain(name) for name in known]
    near = difflib.get_close_matches(value[:60], names, n=1) if isinstance(value, str) else []
    return f"{'one of ' * (len(names) > 1)}{', '.join(names)}" + (f" (did you mean {near[0]}?)" if near else "")


def group(checks: Mapping[str, Check], required: bool | Collection[str] = True) -> Check:
    """A dict with these keys and no others: all of them if `required`, or those of them that are."""
    needed = set(checks if required is True else required or ())

    def problems(key: str, value: object) -> Iterator[str]:
        if not isinstance(value, dict):
            yield wrong(key, value, f"a group of {', '.join(checks)}")
            return
        for name in value:
            if name not in checks:
                yield f"{_under(key, name)} is unknown; expected {one_of(name, checks)}"
        for name, inner in checks.items():
            if name in needed or name in value:
                yield from inner(_under(key, name), value.get(name, MISSING))

    return problems


def _under(key: str, name: object) -> str:
    return f"{key}.{_plain(name)}" if key else _plain(name)


def _plain(name: object) -> str:
    return name if isinstance(name, str) and NAME.fullmatch(name) else SHORT.repr(name)


def several(
    inner: Check, *, length: int | None = None, most: int | None = None, distinct: bool = True, rising: bool = False
) -> Check:
    """A list, not empty, of different values unless not `distinct`; `rising`: in order of size."""

    def problems(key: str, value: object) -> Iterator[str]:
        if not isinstance(value, list) or not value or length not in (None, len(value)):
            yield wrong(key, value, f"a list of {length or 'at least one'}")
            return
        if most is not None and len(value) > most:
            yield wrong(key, value, f"at most {most} values")
        found = [line for place, part in enumerate(value) for line in inner(f"{key}[{place}]", part)]
        yield from found
        if found:  # what the parts are is unknown, so that they cannot be compared
            return
        if distinct and len(set(value)) < len(value):
            yield wrong(key, value, "each value once")
        elif rising and value != sorted(value):
            yield wrong(key, value, f"the smallest first: {sorted(value)}")

    return problems


def holding(inner: Check, part: object, why: str) -> Check:
    """A list as `inner` has it, with `part` in it."""

    def problems(key: str, value: object) -> Iterator[str]:
        yield from inner(key, value)
        if isinstance(value, list) and part not in value:
            yield wrong(key, value, f"{part} among them: {why}")

    return problems


def config(kind: type, leave_out: str = "") -> Check:
    """A dict with fields of a dataclass."""
    names = [part.name for part in fields(kind) if part.name != leave_out]
    return group({name: field(kind, name) for name in names}, required=False)


def field(kind: type, name: str) -> Check:
    """A value that the dataclass takes for the field `name`, the others at their defaults."""

    def problems(key: str, value: object) -> Iterator[str]:
        if isinstance(value, (list, dict)) or (isinstance(value, float) and not math.isfinite(value)):
            yield wrong(key, value, f"a single, finite value such as {getattr(kind, name)}")
            return
        try:
            kind(**{name: value})
        except (TypeError, ValueError) as error:
            yield wrong(key, value, str(error).rpartition("; expected ")[2])

    return problems


def rule(allows: Callable[[object], bool], allowed: str) -> Check:
    """A value for which `allows` is true; `allowed` says so in words."""

    def problems(key: str, value: object) -> Iterator[str]:
        if not allows(value):
            yield wrong(key, value, allowed)

    return problems


def choice(known: Collection) -> Check:
    """One of the known values, of the same type; any word or number where none is known."""
    typed = [(type(value), value) for value in known]  # or True would pass for 1

    def problems(key: str, value: object) -> Iterator[str]:
        if typed and (type(value), value) not in typed:
            yield wrong(key, value, one_of(value, known))
        elif not typed and type(value) not in (str, int, float):
            yield wrong(key, value, "a word or a number")

    return problems


def text(pattern: str, allowed: str) -> Check:
    """A text like the regular expression `pattern`."""
    return rule(lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value)), allowed)


def whole(least: int = 0, most: float = math.inf) -> Check:
    """A whole number from `least` to `most`."""
    allowed = f"a whole number from {least}" + (f" to {most}" if most < math.inf else "")
    return rule(lambda value: type(value) is int and least <= value <= most, allowed)
