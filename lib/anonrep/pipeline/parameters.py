"""A notebook's parameters: what its cell tagged "parameters" declares, and what it may be given."""

import ast
from collections.abc import Iterator
from pathlib import Path

import yaml


def cell_text(cell: dict) -> str:
    """A cell's source; nbformat allows a string or a list of lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def read_yaml(text: str) -> object:
    """The value of a YAML text."""
    return yaml.safe_load(text)


def declared(notebook: dict) -> dict[str, object]:
    """Names and values assigned in the cell tagged "parameters", in order; empty without such a cell."""
    for cell in notebook["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            return dict(_assignments(cell_text(cell)))
    return {}


def _assignments(source: str) -> Iterator[tuple[str, object]]:
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if len(targets) != 1 or not isinstance(targets[0], ast.Name) or node.value is None:
            raise ValueError(f"the parameters cell holds more than `name = literal`: {ast.unparse(node)}")
        try:
            yield targets[0].id, ast.literal_eval(node.value)
        except ValueError as error:
            raise ValueError(f"parameter {targets[0].id} is no plain literal: {ast.unparse(node)}") from error


def look_up(reference: str) -> object:
    """The value at FILE:dotted.key of a YAML file, of any type."""
    path, _, dotted = reference.rpartition(":")
    value = read_yaml(Path(path).read_text(encoding="utf-8"))
    for key in dotted.split("."):
        if not isinstance(value, dict) or key not in value:
            raise ValueError(f"{path} has no key {dotted}: {key!r} is missing")
        value = value[key]
    return value


def refuse_number_like(name: str, value: object) -> None:
    """YAML 1.1 reads 1e-2 as text: nothing that float() accepts may stay a string, at any depth."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else []):
        refuse_number_like(f"{name}.{key}", inner)
    if not isinstance(value, str):
        return
    try:
        number = float(value)
    except ValueError:
        return
    raise ValueError(f"{name} is the text {value!r} to YAML, not a number: write {number!r} (0.01, not 1e-2)")


def given(notebook: dict, key: str, text: str) -> object:
    """The value that a command line gives for a parameter: the text itself where text is declared, else YAML.

    A path may hold what YAML reads as a comment or a key: `/images #2`, `/data/a: b`.
    """
    return text if isinstance(declared(notebook).get(key), str) else read_yaml(text)


def refuse_misfit(name: str, value: object, default: object) -> None:
    """A value must be of the kind of the declared one; None fits everywhere, and anything where None is declared."""
    kinds = {bool: (bool,), int: (int, float), float: (int, float)}.get(type(default), (type(default),))
    if None in (value, default) or (isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))):
        return
    raise ValueError(
        f"{name} is {value!r}, of type {type(value).__name__}; expected a value of the kind of {default!r}"
    )


def check(notebook: dict, name: str, parameters: dict[str, object]) -> None:
    """Refuse what papermill only warns about or injects as text, and values of another kind than those declared."""
    known = declared(notebook)
    if parameters and not known:
        raise ValueError(f"{name} has no cell tagged 'parameters', but was given {', '.join(parameters)}")
    unknown = [key for key in parameters if key not in known]
    if unknown:
        raise ValueError(f"{name} declares no parameter {', '.join(unknown)}; it declares {', '.join(known)}")
    for key, value in parameters.items():
        if not isinstance(known[key], str):
            refuse_number_like(key, value)
        refuse_misfit(key, value, known[key])
