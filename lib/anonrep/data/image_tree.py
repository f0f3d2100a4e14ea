"""The files of a folder or a zip that may hold anything, read on all cores; whatever is wrong is told, all at once."""

import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from anonrep.utils.files import Plain

JUNK = re.compile(r"\.(?!\.).*|__MACOSX|@eaDir|(eh)?Thumbs\.db|desktop\.ini", re.IGNORECASE)  # what systems leave
MOST = 200_000  # files
SHOWN = 100  # problems that an error spells out
BATCH = 32  # files that a thread reads before it hands them over
# Not waiting for who writes to a pipe; and on Windows, bytes as they are.
OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
T = TypeVar("T")


class ImageTreeError(Plain, ValueError):
    """What is wrong with a folder or a zip of images; `problems` has a line for each thing.

    expected  what the images should be, for the first line
    """

    def __init__(self, path: Path, problems: Sequence[str], expected: str = "") -> None:
        self.problems = [printable(problem) for problem in problems]
        more = len(problems) - SHOWN
        shown = self.problems[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)}{expected and f'; expected {expected}'}"
        super().__init__(f"{path}: {count}. Mend or remove:\n" + "\n".join(shown))


def printable(text: str) -> str:
    """A file's name may hold anything: a line end, a terminal's commands, bytes that are no UTF-8."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


@dataclass(frozen=True)
class File:
    """One file, not read yet."""

    name: str  # its path in the folder or the zip
    read: Callable[[int], bytes]  # its bytes, at most as many as asked for


def folder_files(root: Path, problems: list[str], *, links: bool) -> Iterator[File]:
    """All files below a folder except junk; what cannot be looked into joins `problems`.

    links  whether links to folders are followed; else each is a problem
    """
    walk = os.walk(root, onerror=lambda error: problems.append(f"unreadable ({error})"), followlinks=links)
    for folder, folders, names in walk:
        above = "".join(f"{part}/" for part in Path(folder).relative_to(root).parts)
        folders[:] = sorted(name for name in folders if not JUNK.fullmatch(name))
        for name in folders:
            if not links and os.path.islink(os.path.join(folder, name)):  # somebody's images would be missing
                problems.append(f"{above}{name}: a link to a folder; expected the folder itself")
        for name in names:
            if not JUNK.fullmatch(name):
                file = os.path.join(folder, name)  # text: tens of thousands of Path objects cost more than the walk
                yield File(above + name, lambda most, file=file: _read(file, most))


def _read(file: str, most: int) -> bytes:
    """In as few system calls as can be: at each of them threads that decode may have to wait for each other."""
    try:
        handle = os.open(file, OPEN)
    except FileNotFoundError:
        raise ValueError("a link that leads nowhere") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("no regular file")
        return os.read(handle, min(most, found.st_size))  # `most` alone would clear a megabyte for each image
    finally:
        os.close(handle)


def zip_files(archive: zipfile.ZipFile) -> Iterator[File]:
    """All files of a zip except junk. Reading one raises ValueError where it is locked or would be unpacked whole."""
    for entry in archive.infolist():
        parts = entry.filename.split("/")
        if parts[-1] and not any(JUNK.fullmatch(part) for part in parts if part != "."):
            yield File(entry.filename, lambda most, entry=entry: unzip(archive, entry, most))


def unzip(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """At most so many bytes of a zip's member. ValueError where it is locked or could only be unpacked whole."""
    if entry.flag_bits & 1:
        raise ValueError("locked by a password: unpack the zip and read the folder")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile unpacks the others whole, whatever it is asked for: gigabytes from one kilobyte
        raise ValueError("neither stored nor deflated: unpack the zip and read the folder")
    with archive.open(entry) as stream:
        return stream.read(most)  # the size that a zip declares may be a lie


def read_all(files: Sequence[File], read: Callable[[File], T]) -> list[T]:
    """`read` of each file, in order. In batches: a thread that hands over each image waits for the others' turns."""
    batches, done = [files[start : start + BATCH] for start in range(0, len(files), BATCH)], []
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(desc="reading", total=len(files), unit=" images", mininterval=1) as bar,
    ):
        for batch in pool.map(lambda batch: [read(file) for file in batch], batches):
            done += batch
            bar.update(len(batch))
    return done
