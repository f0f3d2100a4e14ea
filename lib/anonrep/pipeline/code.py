"""What stages depend on: checked parameters, notebooks without outputs, and the library's code without its prose.

    python -m anonrep.pipeline.code

build/notebooks/NAME.ipynb  notebooks/stages/NAME.ipynb without outputs and noise
build/code/NAME.py          its code, and every module that it imports, directly or not, without docstrings and comments
build/code/reports.py       the same for all of room `reports`, which the others leave out

A stage depends on these, so that no module is forgotten, and an edit of prose makes nothing stale.
"""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

from anonrep.pipeline.notebook import COPIES, cleaned
from anonrep.pipeline.parameters import cell_text, read_notebook
from anonrep.utils.files import write_changed
from anonrep.utils.project import root

SOURCES, CODE = Path("notebooks/stages"), Path("build/code")
PACKAGE = "anonrep"
REPORTS = f"{PACKAGE}.reports"


class Library:
    """The modules of a package in a folder, read without importing them."""

    def __init__(self, folder: Path) -> None:
        self.paths = {}
        for path in sorted((folder / PACKAGE).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            self.paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path

    @cache  # noqa: B019 - a library is as short-lived as the command
    def tree(self, module: str) -> ast.Module:
        """A module's syntax tree without docstrings."""
        return parsed(self.paths[module].read_text(encoding="utf-8"), self.paths[module])

    @cache  # noqa: B019
    def code(self, module: str) -> str:
        """A module's source without docstrings and comments."""
        return ast.unparse(self.tree(module))

    def imported(self, tree: ast.Module, package: str = "", names_from: str = "") -> set[str]:
        """The modules that code imports, inside functions too.

        package     the one it lies in, for relative imports
        names_from  where names of modules in its texts begin. `import_module` takes such: a text that is a module's
                    name, or begins names as "anonrep.data." does, counts as an import
        """
        found = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = resolve_name("." * node.level + (node.module or ""), package)
                names = {f"{base}.{alias.name}" for alias in node.names}
                found |= names if names <= self.paths.keys() else names | {base}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = names_from + node.value
                if text.endswith("."):
                    found.update(module for module in self.paths if module.startswith(text))
                elif "." in text:  # a text may well be the package's own name
                    found.add(text)
        return found & self.paths.keys()

    def closure(self, modules: Iterable[str], without: str = "") -> list[str]:
        """These modules and all that they import, with the packages they lie in, in alphabetical order.

        A package counts as code that is imported only where somebody imports from the package itself: then what it
        imports is followed, whose names it may write without its own.
        """
        found, open_ = set(), set(modules)
        while open_:
            module = open_.pop()
            if module in found or (without and f"{module}.".startswith(f"{without}.")):
                continue
            found.add(module)
            tree = self.tree(module)
            if self.paths[module].name == "__init__.py":
                open_ |= self.imported(tree, module) | self.imported(tree, module, f"{module}.")
            else:
                open_ |= self.imported(tree, module.rpartition(".")[0])
        return sorted(found | {module.rsplit(".", i)[0] for module in found for i in range(1, module.count("."))})

    def text(self, modules: list[str]) -> str:
        """The code of modules, each under its name, and checksums of what else lies in their packages."""
        parts = [f"# {module}\n{self.code(module)}\n" for module in modules]
        packages = [self.paths[module].parent for module in modules if self.paths[module].name == "__init__.py"]
        return "\n".join([*parts, *(line for package in packages for line in data_files(package))])


def data_files(package: Path) -> Iterator[str]:
    """A line with name and checksum for each file of a package that is no code and no prose, such as templates."""
    for path in sorted(package.iterdir()):
        if path.is_dir() and not (path / "__init__.py").exists() and path.name != "__pycache__":
            inner = sorted(one for one in path.rglob("*") if one.is_file())
        else:
            inner = [path] if path.is_file() else []
        for one in inner:
            if one.suffix not in (".py", ".pyc", ".md"):
                name = one.relative_to(package.parent).as_posix()
                yield f"# {name} {hashlib.sha256(one.read_bytes()).hexdigest()}\n"


def parsed(source: str, where: object) -> ast.Module:
    """The syntax tree of a source without docstrings; SyntaxError says `where` it stands."""
    tree = ast.parse(source, str(where))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            code = [part for part in node.body if not _is_text(part)]
            node.body = code or ([] if isinstance(node, ast.Module) else [ast.Pass()])
    return tree


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def notebook_code(notebook: dict) -> str:
    """A notebook's code cells, without lines for IPython."""
    cells = [cell_text(cell) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return "\n".join(line for cell in cells for line in cell.splitlines() if not line.lstrip().startswith(("%", "!")))


def write(folder: Path) -> None:
    """Write both folders of a project, touch only what differs, and remove what no longer belongs there."""
    library, files = Library(folder / "lib"), {}
    for path in sorted((folder / SOURCES).glob("*.ipynb")):
        notebook = read_notebook(path)
        code = parsed(notebook_code(notebook), path)
        files[folder / COPIES / path.name] = cleaned(notebook)
        used = library.closure(library.imported(code), without=REPORTS)
        files[folder / CODE / f"{path.stem}.py"] = f"{ast.unparse(code)}\n\n{library.text(used)}"
    reports = [module for module in library.paths if f"{module}.".startswith(f"{REPORTS}.")]
    files[folder / CODE / "reports.py"] = library.text(library.closure(reports))
    for path, text in files.items():
        write_changed(path, text)
    for place in (COPIES, CODE):
        for path in (folder / place).iterdir() if (folder / place).is_dir() else ():
            if path not in files:
                path.unlink()


def main() -> None:
    """The command line."""
    try:
        folder = root()
        from anonrep.pipeline import schema  # here, because it takes the seconds of torch

        schema.check_file(folder)
        write(folder)
    except SyntaxError as error:
        sys.exit(f"{error.filename}, line {error.lineno}: {error.msg}: {(error.text or '').strip()}")
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
