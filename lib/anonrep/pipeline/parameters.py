"""Parameters: the YAML file they stand in, and what a notebook's cell tagged "parameters" declares."""

import ast
import difflib
import json
import re
import reprlib
from collections import ChainMap
from collections.abc import Collection, Iterator
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML, YAMLError

FILE = "params.yaml"
SHORT = reprlib.Repr()
SHORT.maxlevel, SHORT.maxlist, SHORT.maxstring, SHORT.maxother = 1, 12, 60, 60  # whatever is found fits on a line


class ParameterError(ValueError):
    """What is wrong with parameters, a line for each problem; the message says where they stand."""

    def __init__(self, problems: list[str], where: object = "the parameters") -> None:
        super().__init__(f"{where}: {len(problems)} problem{'s' * (len(problems) > 1)}\n" + "\n".join(problems))
        self.problems = problems


def read(path: str | Path) -> object:
    """The value of a YAML file; ParameterError, with the line, where it is not YAML or a group has a key twice."""
    try:
        return parse(Path(path).read_bytes().decode("utf-8"))
    except ParameterError as error:
        raise ParameterError(error.problems, path) from error
    except UnicodeDecodeError as error:
        raise ParameterError([f"not readable as text: {error}"], path) from error


def parse(text: str) -> object:
    """The value of a YAML text as DVC reads it: YAML 1.2, where 2e-05 is a number and a key stands once in a group."""
    try:
        return YAML(typ="safe").load(text)
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: for a value that does not fit its tag
        mark, what = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
        at = f"line {mark.line + 1}: " if mark else ""
        raise ParameterError([f"{at}not readable as YAML: {' '.join(what.split())}"]) from error


def dumped(value: object) -> str:
    """A YAML text that `parse` reads as the value."""
    yaml, text = YAML(typ="safe", pure=True), StringIO()
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output, yaml.width = False, False, 120
    yaml.representer.ignore_aliases = lambda *_: True
    yaml.dump(value, text)
    return text.getvalue()


def one_of(value: object, known: Collection) -> str:
    """The known names, the first twenty of many, and the one that was probably meant."""
    names = [name[:60] if isinstance(name, str) and name.isprintable() else SHORT.repr(name) for name in known]
    near = difflib.get_close_matches(str(value)[:60], names, n=1)
    said = ", ".join([*names[:20], *["..."] * (len(names) > 20)]) or "none, as there are none"
    return f"{'one of ' * (len(names) > 1)}{said}" + (f" (did you mean {near[0]}?)" if near else "")


def group(params: object, dotted: str) -> dict:
    """The group at a dotted key, e.g. `games.ferg-random.config`; ParameterError names the part that is missing."""
    value, done = params, ""
    for key in dotted.split("."):
        if not isinstance(value, dict) or key not in value:
            known = one_of(key, value) if isinstance(value, dict) else "a group"
            raise ParameterError([f"{done + key} is missing; expected {known}"], FILE)
        value, done = value[key], f"{done}{key}."
    if not isinstance(value, dict):
        raise ParameterError([f"{dotted} is {SHORT.repr(value)}; expected a group"], FILE)
    return value


def read_notebook(path: Path) -> dict:
    """The JSON of a notebook; ValueError says which file is none, and what it seems to be."""
    text = path.read_text(encoding="utf-8-sig")
    if re.search(r"^<{7} ", text, re.MULTILINE):
        raise ValueError(f"{path} holds a merge conflict of git's: resolve it, or `git checkout --ours {path}`")
    try:
        notebook = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} is no notebook: {'it is empty' if not text.strip() else error}") from error
    version = notebook.get("nbformat") if isinstance(notebook, dict) else None
    if version != 4 or not isinstance(notebook.get("cells"), list):
        found = f"nbformat {version}" if version else "other JSON"
        raise ValueError(f"{path} is {found}; expected a notebook of nbformat 4: `jupyter nbconvert --to notebook` it")
    return notebook


def cell_text(cell: dict) -> str:
    """A cell's source; nbformat allows a string or a list of lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


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


def resolve(
    notebook: dict, given: dict[str, str], scopes: list[str], params: dict | None, complete: bool
) -> dict[str, object]:
    """A value for each parameter that the notebook declares.

    It comes from `given` (the command line's texts), else from the first of the `scopes` (dotted keys of groups in
    `params`) that has it, else from the top level of `params`. Where it is in none of them, the notebook's own value
    stays, or is refused if the parameters must be `complete`. ValueError for a value of another kind than the
    notebook's own, and for a name in `given` that the notebook does not declare: papermill would only warn about it.
    """
    known = declared(notebook)
    if unknown := [key for key in given if key not in known]:
        says = f"it declares {', '.join(known)}" if known else "it has no cell tagged 'parameters'"
        raise ValueError(f"the notebook declares no parameter {', '.join(unknown)}; {says}")
    # A path may hold what YAML reads as a comment or a key (`/images #2`): where text is declared, text is taken.
    said = {}
    for key, text in given.items():
        try:
            said[key] = text if isinstance(known[key], str) else parse(text)
        except ParameterError as error:
            raise ValueError(f"-p {key} {text}: {error.problems[0]}") from error
    groups = [group(params, scope) for scope in scopes]
    places = ChainMap(said, *groups, params if isinstance(params, dict) else {})
    values = {key: places[key] for key in known if key in places}
    if complete and (missing := sorted(known.keys() - values.keys())):
        where = " and ".join([*scopes, "the top level"])
        raise ValueError(f"no value for {', '.join(missing)}: looked in {where} of {FILE}; or give -p KEY VALUE")
    for key, value in values.items():
        if not _fits(value, known[key]):
            found = f"{SHORT.repr(value)}, of type {type(value).__name__}"
            raise ValueError(f"{key} is {found}; expected a value of the kind of {known[key]!r}")
    return values


def _fits(value: object, default: object) -> bool:
    """A value must be of the kind of the declared one; None fits everywhere, and anything where None is declared."""
    kinds = (int, float) if type(default) in (int, float) else (type(default),)
    return None in (value, default) or (isinstance(value, kinds) and isinstance(value, bool) <= (bool in kinds))
