"""Pydantic's checks with errors in our words: the key, what was found, what is expected, what was probably meant."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from anonrep.pipeline.parameters import SHORT, one_of

EXPECTED = {  # pydantic's types of errors in our words
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "list_type": "a list",
    "dict_type": "a group",
    "none_required": "null",
    "literal_error": "{expected}",
    "invalid_key": "a text for a key",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "more than {gt:g}",
    "less_than": "less than {lt:g}",
    "too_short": "a list of at least {min_length}",
}


def wrong(value: object, expected: str) -> PydanticCustomError:
    """The error for a value that is not what is expected."""
    return PydanticCustomError("ours", f"is {'empty' if value is None else SHORT.repr(value)}; expected {expected}")


def unknown(name: object, expected: str) -> PydanticCustomError:
    """The error for a name that is not there."""
    return PydanticCustomError("ours", f"is unknown; expected {expected}")


def refuse(errors: Mapping[tuple, PydanticCustomError]) -> None:
    """Raise what is wrong, by its place; nothing where nothing is."""
    if errors:
        lines = [InitErrorDetails(type=error, loc=place, input=None) for place, error in errors.items()]
        raise ValidationError.from_exception_data("parameters", lines)


def rule(allows: Callable[[Any], bool], words: str) -> AfterValidator:
    """Values for which `allows` is true; `words` say so."""

    def check(value: Any) -> Any:
        if not allows(value):
            raise wrong(value, words)
        return value

    return AfterValidator(check)


def named(find: Callable[[ValidationInfo], Collection | None]) -> AfterValidator:
    """One of the names that `find` gives, e.g. those in another section of the file (`context`); None allows any."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if (known := find(info)) is not None and value not in known:
            raise wrong(value, one_of(value, known))
        return value

    return AfterValidator(check)


def tried(kind: type, values: Mapping, *without: str) -> dict[tuple, PydanticCustomError]:
    """What a dataclass has against some of its fields, each tried with the others at their defaults."""
    names, found = [part.name for part in fields(kind) if part.name not in without], {}
    for name, value in values.items():
        if name not in names:
            found[str(name),] = unknown(name, one_of(name, names))
            continue
        try:
            kind(**{name: value})
        except (TypeError, ValueError) as error:
            found[name,] = wrong(value, str(error).rpartition("; expected ")[2])
    return found


def of(kind: type, *without: str) -> Any:
    """A group with some fields of a dataclass."""

    def check(values: dict) -> dict:
        refuse(tried(kind, values, *without))
        return values

    return Annotated[dict[Any, Any], AfterValidator(check)]


class Group(BaseModel):
    """A group with these keys and no others. Its errors come in our words."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _in_our_words(cls, value: Any, handler: Callable) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            refuse({one["loc"]: cls._words(one) for one in error.errors(include_url=False)})

    @classmethod
    def _words(cls, error: Mapping) -> PydanticCustomError:
        kind, place, value = error["type"], error["loc"], error["input"]
        if kind == "extra_forbidden":
            return unknown(place[-1], one_of(place[-1], cls.model_fields))
        if kind == "model_type":
            return wrong(value, f"a group of {', '.join(cls.model_fields)}")
        if kind in EXPECTED:
            return wrong(value, EXPECTED[kind].format(**error.get("ctx", {})))
        return PydanticCustomError("ours", "is missing" if kind == "missing" else error["msg"])


def dotted(place: tuple) -> str:
    """A place as a dotted key."""
    keys = [part if isinstance(part, int) or re.fullmatch(r"[\w ,-]+", part) else SHORT.repr(part) for part in place]
    parts = [f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys if key != "'[key]'"]
    return "".join(parts).removeprefix(".") or "the file"
