"""Write files whole or not at all: to a temporary name beside the target, then renamed over it."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "allow larger files",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
}
T = TypeVar("T")
SEAL = "checksum"  # the key of `write_sealed`


class Plain(Exception):
    """An error whose sentence says all there is to say: notebooks show it without a traceback."""

    def _render_traceback_(self) -> list[str]:  # what IPython asks an exception for
        return [str(self)]


class CannotWrite(OSError):
    """There is no room for a file, or no permission; what was there before is still there."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it becomes `path`, on any error it is removed.

    The temporary name ends like the target, for writers that look at the suffix. Folders are made. What a killed
    process left of the same file goes. Raises CannotWrite, with what to do, on a full disk and in a read-only folder.
    """
    path, temporary = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path)
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=path.suffix, dir=path.parent)
        temporary = Path(name)
        os.close(handle)
        temporary.chmod(0o644)  # mkstemp's 0600 would keep a shared artefact from its readers
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, CannotWrite) or error.errno not in ADVICE or not _concerns(error, path):
            raise
        what = f"{path} cannot be written: {os.strerror(error.errno)}"
        raise CannotWrite(f"{what}: {ADVICE[error.errno]} and run it again; what was there before is kept") from error
    finally:
        if temporary:
            with suppress(OSError):  # a folder that became read-only keeps it
                temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Give an empty folder beside `path`; on success it becomes `path`, on any error it is removed.

    replace  whether a folder that is at `path` by then goes; it stays where the new one cannot take its place

    What a killed process left of it goes before the folder is given; but what that one had put by as "earlier", and had
    not replaced yet, is `path` again.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(path)
    with tempfile.TemporaryDirectory(prefix=_prefix(path), suffix=path.suffix, dir=path.parent) as name:
        room, earlier = Path(name, "room"), Path(name, "earlier")
        room.mkdir()  # inside, because a temporary folder is its owner's alone, and this one is for all who may read
        yield room
        if replace and path.exists():
            path.rename(earlier)
        try:
            room.rename(path)
        except OSError:
            if earlier.exists():
                earlier.rename(path)
            raise


def _concerns(error: OSError, path: Path) -> bool:
    """Whether an error is about writing `path`, and not about another file that was wanted on the way."""
    if error.filename is None:  # of what is written, only that there is no room comes without a name
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    named, path = (Path(os.path.abspath(os.fsdecode(one))) for one in (error.filename, path))
    return named.parent == path.parent or named in path.parents


def _prefix(path: Path) -> str:
    """How temporary names for `path` begin in this process."""
    return f".{path.stem}-partial-{os.getpid()}-"


def _remove_left(path: Path) -> None:
    """Remove temporary files and folders for `path` whose process is no more."""
    temporary = re.compile(rf"\.{re.escape(path.stem)}-partial-(\d+)-[a-z0-9_]{{8}}{re.escape(path.suffix)}")
    for name in os.listdir(path.parent):
        found = temporary.fullmatch(name)
        if not found or os.name != "posix" or _running(int(found[1])):
            continue
        left = path.parent / name
        if left.is_dir():
            if (left / "earlier").exists() and not path.exists():
                (left / "earlier").rename(path)
            shutil.rmtree(left, ignore_errors=True)
        else:
            with suppress(OSError):  # somebody else's, perhaps: no reason not to write
                left.unlink()


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data`, atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_changed(path: str | Path, text: str) -> None:
    """`write_text` where the file does not hold it yet: DVC reads again what has a new time."""
    if not Path(path).is_file() or Path(path).read_text(encoding="utf-8") != text:
        write_text(path, text)


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


def write_sealed(path: str | Path, value: dict) -> None:
    """`write_json` with the value's checksum in it, for what no other file has the checksum of."""
    write_json(path, {**value, SEAL: _seal(value)})


def read_sealed(path: str | Path, advice: str) -> dict:
    """What `write_sealed` wrote; ValueError, with the advice, where a bit of it is another one now."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
        told = value.pop(SEAL)
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({error}): {advice}") from error
    if told != _seal(value):
        raise ValueError(f"{path} is not as it was written, its checksum is another: {advice}")
    return value


def _seal(value: dict) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_arrays(path: str | Path, provenance: Mapping, **arrays: np.ndarray) -> None:
    """Write one npz without pickle, with where its content comes from; the same content gives the same bytes."""
    said = np.frombuffer(json.dumps(provenance, sort_keys=True).encode(), np.uint8)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays, provenance=said)


def read_arrays(path: str | Path, what: str = "set of arrays", make: Callable[[dict], T] = dict) -> T:
    """What `make` makes of the arrays in an npz, by name, with `provenance` as JSON.

    A missing or damaged file is named: the archive has a checksum of each array, and nothing in it is a pickle.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: `dvc repro` makes it (`make repro` the first time)")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return make(arrays | {"provenance": json.loads(arrays["provenance"].tobytes())})
    except Exception as error:  # zipfile, zlib, numpy and json each have their own way to say "damaged"
        raise ValueError(f"{path} is not a readable {what} ({error}): delete it and run `dvc repro`") from error
