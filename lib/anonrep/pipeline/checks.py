"""Pydantic's checks with errors in our words: the key, what was found, what is expected, what was probably meant."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Annotated, Any, NoReturn

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
    "model_type": "a group",
    "model_attributes_type": "a group",
    "none_required": "null",
    "invalid_key": "a text for a key",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "more than {gt:g}",
    "less_than": "less than {lt:g}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of {max_length}",
}
Find = Callable[[ValidationInfo], Collection]


def problem(key: tuple, value: object, words: str) -> InitErrorDetails:
    """One line of the answer."""
    return InitErrorDetails(type=PydanticCustomError("ours", words), loc=key, input=value)


def refuse(value: object, words: str) -> NoReturn:
    """Say what was found and what is expected."""
    raise PydanticCustomError("ours", expected(value, words))


def expected(value: object, words: str) -> str:
    """How the line of a wrong value goes on."""
    return f"is {'empty' if value is None else SHORT.repr(value)}; expected {words}"


def rule(allows: Callable[[Any], bool], words: str) -> AfterValidator:
    """Values for which `allows` is true; `words` say so."""

    def check(value: Any) -> Any:
        if not allows(value):
            refuse(value, words)
        return value

    return AfterValidator(check)


def named(find: Find) -> AfterValidator:
    """One of the names that `find` gives, e.g. those in another section of the file (`context`), if there are any."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if (known := find(info)) and value not in known:
            refuse(value, one_of(value, known))
        return value

    return AfterValidator(check)


def tried(kind: type, values: Mapping, *without: str) -> list[InitErrorDetails]:
    """What a dataclass has against some of its fields, each tried with the others at their defaults."""
    names, found = [part.name for part in fields(kind) if part.name not in without], []
    for name, value in values.items():
        if name not in names:
            found.append(problem((str(name),), value, f"is unknown; expected {one_of(name, names)}"))
            continue
        try:
            kind(**{name: value})
        except (TypeError, ValueError) as error:
            found.append(problem((name,), value, expected(value, str(error).rpartition("; expected ")[2])))
    return found


def of(kind: type, *without: str) -> Any:
    """A group with some fields of a dataclass."""

    def check(values: dict) -> dict:
        if found := tried(kind, values, *without):
            raise ValidationError.from_exception_data(kind.__name__, found)
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
            lines = [problem(one["loc"], one["input"], cls._words(one)) for one in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(cls.__name__, lines) from error

    @classmethod
    def _words(cls, error: Mapping) -> str:
        kind, value = error["type"], error["input"]
        if kind == "missing":
            return "is missing"
        if kind == "extra_forbidden":
            return f"is unknown; expected {one_of(error['loc'][-1], cls.model_fields)}"
        if kind in ("model_type", "model_attributes_type") and not error["loc"]:
            return expected(value, f"a group of {', '.join(cls.model_fields)}")
        words = EXPECTED.get(kind)
        return expected(value, words.format(**error.get("ctx", {}))) if words else error["msg"]


def dotted(place: tuple) -> str:
    """A place as a dotted key."""
    keys = [part if isinstance(part, int) or re.fullmatch(r"[\w-]+", part) else SHORT.repr(part) for part in place]
    parts = [f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys if key != "'[key]'"]
    return "".join(parts).removeprefix(".") or "the file"
