"""Write files whole or not at all: to a temporary name beside the target, then renamed over it."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it becomes `path`, on any error it is removed.

    The temporary name ends like the target, for writers that look at the suffix. Folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    os.chmod(name, 0o644)  # mkstemp's 0600 would keep a shared artefact from its readers
    try:
        yield Path(name)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object, default: Callable | None = None) -> None:
    """Write `value` as JSON, one space of indent (so that git shows a changed row as a changed line), atomically."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, default=default) + "\n")


def read_json(path: str | Path) -> object:
    """Read JSON; a missing or damaged file is named, with what to do about it."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: `dvc repro` makes it (`make repro` the first time)")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it and run `dvc repro`") from error
