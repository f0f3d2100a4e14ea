"""What a killed pipeline leaves in DVC's own files, put right before it goes on; `repro` asks for it.

    python -m anonrep.pipeline.resume             # before the pipeline goes on
    python -m anonrep.pipeline.resume --metrics   # before metrics are shown: are they what the pipeline wrote?

DVC writes dvc.lock, which says what is done, and .dvc/tmp/rwlock, which says who is at it, in place. Killed in that
moment it leaves them cut short, and refuses to start; killed at another, it leaves the names of processes that are no
more, whose numbers others may have since. A whole dvc.lock is copied here, and a damaged one replaced by that copy:
what was done since then comes back from DVC's cache, or is done again. A full disk and a folder of results that cannot
be written to are found here, before hours of work.
"""

import fcntl
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.strictyaml import load

from anonrep.utils.files import write_bytes, write_text
from anonrep.utils.project import root

DONE = "dvc.lock"
PLACE = Path(".dvc", "tmp")
COPY, DAMAGED = PLACE / "dvc.lock.whole", PLACE / "dvc.lock.damaged"
USERS = PLACE / "rwlock"
METRICS = Path("reports", "metrics")
RESULTS = ("data/processed", "models", "build", "reports")


def resume(folder: Path) -> list[str]:
    """Put both files right; a line for each that was damaged. Raises CannotWrite where results could not be written."""
    for place in (folder / name for name in RESULTS if (folder / name).is_dir()):
        write_bytes(place / ".writable", b"?" * 4096)
        (place / ".writable").unlink()
    if not (folder / PLACE).is_dir():
        return []
    with _held(folder / PLACE / "lock"):
        said = _mend_done(folder)
    with _held(folder / f"{USERS}.lock"):
        return said + _mend_users(folder / USERS)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold the lock that DVC itself holds while it writes; the system lets go of it with the process."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _mend_done(folder: Path) -> list[str]:
    path, copy = folder / DONE, folder / COPY
    if not path.exists():  # somebody removed it, to start from nothing
        return []
    if is_whole(path):
        write_bytes(copy, path.read_bytes())
        return []
    write_bytes(folder / DAMAGED, path.read_bytes())
    said = f"{path} cannot be read, and is {DAMAGED} now; "
    if not copy.exists():
        path.unlink()
        return [said + "what was done comes back from DVC's cache, or is done again"]
    write_bytes(path, copy.read_bytes())
    return [said + "the last whole one is in its place"]


def is_whole(path: Path) -> bool:
    """Whether DVC can read this dvc.lock to its last line, and it says of stages that they are done."""
    try:
        read, text = load(str(path), schema=COMPILED_LOCKFILE_SCHEMA)
    except DvcException:
        return False
    return isinstance(read, dict) and "stages" in read and text.endswith("\n")  # DVC fails of half a word, `hash: md`


def _mend_users(path: Path) -> list[str]:
    """Forget processes that are no more, or are no DVC: their numbers went to others."""
    if not path.exists():
        return []
    try:
        users = json.loads(path.read_text(encoding="utf-8"))
        reading = {name: [info for info in infos if _at_it(info)] for name, infos in users.get("read", {}).items()}
        writing = {name: info for name, info in users.get("write", {}).items() if _at_it(info)}
    except (ValueError, KeyError, TypeError, AttributeError):
        path.unlink()
        return [f"{path} was cut short, and is gone"]
    write_text(path, json.dumps({"read": {name: infos for name, infos in reading.items() if infos}, "write": writing}))
    return []


def _at_it(info: dict) -> bool:
    """Whether an entry's process is there, and is DVC."""
    try:
        words = psutil.Process(int(info["pid"])).cmdline()
        return any(Path(word).name in ("dvc", "anonrep.pipeline.dvc") for word in words)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # not to be asked
        return True


def changed_metrics(folder: Path) -> list[str]:
    """A line for each output in reports/metrics that is not as its stage wrote it, by its checksum in dvc.lock.

    A digit that turned into another one is no damage that JSON could show.
    """
    said = []
    with suppress(DvcException), Repo(str(folder)) as repo:  # no repository, or a damaged dvc.lock: `resume` sees to it
        for out in (out for stage in repo.index.stages for out in stage.outs):
            if (folder / METRICS) in Path(out.fs_path).parents and "modified" in out.status().values():
                again = f"`dvc repro --single-item --force {out.stage.name}` writes it again"
                said.append(f"{out.fs_path} is not what its stage wrote: {again}")
    return said


def main() -> None:
    """The command line."""
    try:
        if "--metrics" in sys.argv[1:]:
            if changed := changed_metrics(root()):
                sys.exit("\n".join(changed))
            return
        for line in resume(root()):
            print(line, file=sys.stderr)
    except (OSError, ValueError) as error:
        sys.exit(f"python -m anonrep.pipeline.resume: {error}")


if __name__ == "__main__":
    main()
