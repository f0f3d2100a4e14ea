"""Notebooks as pipeline stages: clean a copy to depend on, execute under papermill, render to one HTML file.

python -m anonrep.pipeline.notebook clean notebooks/*.ipynb --to build/notebooks
python -m anonrep.pipeline.notebook run start --as start-ferg --scope games.ferg-clips -p out models/start/ferg-clips
python -m anonrep.pipeline.notebook run notebooks/own_images.ipynb --as own -p images /path/to/images

NAME stands for build/notebooks/NAME.ipynb, which must find a value for each parameter that it declares: in -p, else in
the scopes (groups of params.yaml, e.g. games.ferg-clips.config) from left to right, else at the top level of
params.yaml. A notebook that is run by its path keeps its own value where none of them has one.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from anonrep.pipeline.parameters import FILE, cell_text, read, read_notebook, resolve
from anonrep.utils.files import CannotWrite, replacing, write_text
from anonrep.utils.project import root

# jsonschema tries to import a grammar of web addresses, which no notebook's schema asks for: a second of every stage.
sys.modules.setdefault("rfc3987_syntax", None)

RUNS, COPIES = Path("build/runs"), Path("build/notebooks")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # two processes of one thread do more than one process of two
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**25),  # glibc keeps what was freed: a step on faces spends a quarter of its time
    "MALLOC_TRIM_THRESHOLD_": str(2**31),  # on fresh pages otherwise
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "0",  # no dates in SVG and PNG files
    "DVC_NO_ANALYTICS": "1",
    "JUPYTER_PREFER_ENV_PATH": "1",  # this interpreter's kernel, whatever the user's folders hold
    "JUPYTER_PATH": "",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # a debugger's warning at each start of a kernel
    "TQDM_MININTERVAL": "10",  # seconds between two lines of a progress bar in a log
}
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def cleaned(notebook: dict) -> str:
    """A notebook's JSON without what opening, running and saving it changes: the same bytes before and after.

    Kept are cell types, ids, sources, tags and attachments. A cell without an id is named by its position.
    """
    cells = []
    for position, cell in enumerate(notebook["cells"]):
        metadata = {name: value for name, value in cell["metadata"].items() if name == "tags" and value}
        fresh = {"cell_type": cell["cell_type"], "id": cell.get("id", f"cell-{position}"), "metadata": metadata}
        fresh["source"] = cell_text(cell).splitlines(keepends=True)
        if cell["cell_type"] == "code":
            fresh |= {"execution_count": None, "outputs": []}
        if cell.get("attachments"):
            fresh["attachments"] = cell["attachments"]
        cells.append(fresh)
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    fresh = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(fresh, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


class Log:
    """A text stream that turns a progress bar's carriage returns into lines, so that a log stays readable."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.line_is_empty = stream, True

    def write(self, text: str) -> None:
        """Pass `text` on, without empty lines."""
        for part in re.split(r"([\r\n]+)", ANSI.sub("", text)):
            newline = part.strip("\r\n") == ""
            if part and not (newline and self.line_is_empty):
                self.stream.write("\n" if newline else part)
                self.line_is_empty = newline

    def flush(self) -> None:
        """Show it now."""
        self.stream.flush()


def execute(source: Path, executed: Path, parameters: dict[str, object]) -> str | None:
    """Run `source` with papermill from the project's root into `executed`; the traceback when a cell fails.

    Raises CannotWrite where a cell fails because there was no room or no permission: then nothing is replaced.
    """
    folder = root()
    # The notebook sees this project's library, even where another copy of it is installed.
    path = os.pathsep.join(filter(None, [str(folder / "lib"), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as own, replacing(executed) as temporary:
        # A folder of its own keeps a user's start-up scripts out, and parallel kernels off one history file.
        os.environ.update(ENVIRONMENT, PYTHONPATH=path, IPYTHONDIR=own)
        import papermill

        try:
            papermill.execute_notebook(
                source,
                temporary,
                parameters,
                kernel_name=KERNEL["name"],
                progress_bar=False,
                stdout_file=Log(sys.stdout),
                stderr_file=Log(sys.stderr),
                cwd=folder,
                shutdown_kernel="immediate",  # what it made is on disk; its own way of going takes a second of a core
                # Its own words about ports and interrupts; what a cell says comes all the same.
                extra_arguments=["--IPKernelApp.log_level=50"],
            )
        except papermill.PapermillExecutionError as error:
            if error.ename == CannotWrite.__name__:
                raise CannotWrite(error.evalue) from error
            return ANSI.sub("", "\n".join(error.traceback))
    return None


def run(options: argparse.Namespace) -> None:
    """Execute a notebook and render it; ends the program with a message when something is wrong."""
    start, folder = time.monotonic(), root()
    stage = not options.notebook.endswith(".ipynb")
    source = folder / COPIES / f"{options.notebook}.ipynb" if stage else Path(options.notebook)
    notebook = read_notebook(source)
    parameters = resolve(notebook, dict(options.p), options.scope, read(folder / FILE), complete=stage)
    executed = folder / RUNS / f"{options.job}.ipynb"
    out = options.html or executed.with_suffix(".html")
    traceback = execute(source, executed, parameters)
    if traceback:
        with suppress(OSError):  # a read-only folder keeps it
            out.unlink(missing_ok=True)  # an earlier run's page would pass for this one's
        sys.exit(f"{traceback}\n{options.job} failed: the executed notebook with its error is {executed}")
    from anonrep.reports.page import to_html

    to_html(executed, out, options.title, options.hide_code)
    print(f"{options.job}: {time.monotonic() - start:.1f} s", flush=True)


def clean(options: argparse.Namespace) -> None:
    """Write cleaned copies, or with --check refuse what is not clean."""
    texts = {path: cleaned(read_notebook(path)) for path in options.sources}
    if options.to:
        for path, text in texts.items():
            write_text(options.to / path.name, text)
        return
    for path in (unclean := [path for path, text in texts.items() if path.read_text(encoding="utf-8") != text]):
        print(f"{path} holds outputs or noise: python -m anonrep.pipeline.notebook clean {path} --to {path.parent}")
    sys.exit(bool(unclean))


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m anonrep.pipeline.notebook", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("clean", help="copies without outputs and noise, for stages to depend on")
    one.add_argument("sources", nargs="+", type=Path, metavar="SOURCE")
    how = one.add_mutually_exclusive_group(required=True)
    how.add_argument("--to", type=Path, metavar="FOLDER")
    how.add_argument("--check", action="store_true", help="write nothing; exit 1 when a source is not clean")
    one.set_defaults(do=clean)
    two = commands.add_parser("run", help="execute a notebook and render it to HTML")
    two.add_argument("notebook", metavar="NAME", help=f"{COPIES}/NAME.ipynb; or the path of a notebook")
    two.add_argument("--as", dest="job", required=True, metavar="JOB", help=f"names {RUNS}/JOB.ipynb and JOB.html")
    two.add_argument("--scope", action="append", default=[], metavar="dotted.key", help=f"a group of {FILE}")
    two.add_argument("-p", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="a parameter")
    two.add_argument("--html", type=Path, metavar="OUT", help="where the HTML goes instead")
    two.add_argument("--title", help="the page's title; without one, the notebook's first heading")
    two.add_argument("--hide-code", action="store_true", help="a report: no inputs, no printed noise")
    two.set_defaults(do=run)
    options = parser.parse_args(arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not know a lambda
    try:
        options.do(options)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


if __name__ == "__main__":
    main()
