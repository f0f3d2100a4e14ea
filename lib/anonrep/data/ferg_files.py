"""The files of a folder or a zip that may hold anything: each as its name and a way to read so many of its bytes."""

import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Not waiting for who writes to a pipe; and on Windows, bytes as they are.
READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class File:
    """One file, not read yet."""

    name: str  # its path in the folder or the zip
    read: Callable[[int], bytes]  # its bytes, at most as many as asked for


def folder_files(root: Path) -> Iterator[File]:
    """All files below a folder, links followed. Raises OSError where one cannot look."""
    for folder, _, names in os.walk(root, onerror=_complain, followlinks=True):
        above = "".join(f"{part}/" for part in Path(folder).relative_to(root).parts)
        for name in names:
            file = os.path.join(folder, name)  # text: tens of thousands of Path objects cost more than the walk
            yield File(above + name, lambda most, file=file: _bytes(file, most))


def _complain(error: OSError) -> None:
    raise error


def _bytes(file: str, most: int) -> bytes:
    """In as few system calls as can be: at each of them threads that decode may have to wait for each other."""
    handle = os.open(file, READ)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("no regular file")
        return os.read(handle, min(most, found.st_size))  # `most` alone would clear a megabyte for each image
    finally:
        os.close(handle)


def zip_files(archive: zipfile.ZipFile) -> Iterator[File]:
    """All files of a zip. Reading one raises ValueError where it is locked or would be unpacked whole."""
    for entry in archive.infolist():
        if not entry.filename.endswith("/"):
            yield File(entry.filename, lambda most, entry=entry: _unzip(archive, entry, most))


def _unzip(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    if entry.flag_bits & 1:
        raise ValueError("locked by a password: unpack the zip and read the folder")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile unpacks the others whole, whatever it is asked for: gigabytes from one kilobyte
        raise ValueError("neither stored nor deflated: unpack the zip and read the folder")
    with archive.open(entry) as stream:
        return stream.read(most)  # the size that a zip declares may be a lie
