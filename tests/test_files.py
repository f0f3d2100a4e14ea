"""Files are there whole or not at all: after a kill, on a full disk, in a read-only folder; damage is named."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mounts import can_mount, contents, run_full, run_read_only, seen

from anonrep.utils import files
from anonrep.utils.files import (
    CannotWrite,
    read_arrays,
    replacing,
    whole_folder,
    write_arrays,
    write_bytes,
    write_json,
    write_text,
)

mounting = pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount; the tests beside it pretend")
BEFORE = b"what was there before"


@pytest.fixture
def reports(tmp_path) -> Path:
    """A folder with a page in it."""
    write_bytes(tmp_path / "reports/index.html", BEFORE)
    return tmp_path / "reports"


def test_a_written_file_is_whole_and_nothing_else_is_left(tmp_path):
    write_text(tmp_path / "new/a.json", "é")
    write_json(tmp_path / "new/b.json", [1])
    assert contents(tmp_path) == {"new/a.json": "é".encode(), "new/b.json": b"[\n 1\n]\n"}


@pytest.mark.parametrize(
    ("step", "number"),
    [
        *[(step, number) for step in ("mkstemp", "replace") for number in (errno.ENOSPC, errno.EROFS, errno.EACCES)],
        *[("write", number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)],
    ],
)
def test_no_room_and_no_permission_are_said_in_a_line_and_nothing_is_lost(reports, monkeypatch, number, step):
    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number), str(reports / "something") if step != "write" else None)

    place = {"mkstemp": (files.tempfile, "mkstemp"), "write": (Path, "write_bytes"), "replace": (files.os, "replace")}
    with monkeypatch.context() as pretend:
        pretend.setattr(*place[step], fail)
        with pytest.raises(CannotWrite) as raised:
            write_text(reports / "index.html", "new")
    assert raised.value.__cause__.errno == number
    assert str(reports / "index.html") in str(raised.value)
    assert os.strerror(number) in str(raised.value)
    assert "what was there before is kept" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert contents(reports) == {"index.html": BEFORE}


def test_other_errors_pass_as_they_are(reports):
    for error in (
        OSError(errno.EIO, "bad disk"),
        PermissionError(errno.EACCES, "not yours", "/elsewhere/secret"),
        OSError(errno.ENOSPC, "no room", "/elsewhere/full"),
        PermissionError(errno.EPERM, "no sockets here"),
    ):
        with pytest.raises(type(error)) as raised, replacing(reports / "index.html"):
            raise error
        assert raised.value is error
    assert contents(reports) == {"index.html": BEFORE}


WRITE = """
import sys
from anonrep.utils.files import write_text
try:
    write_text(sys.argv[1], "n" * 100_000)
except OSError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@mounting
@pytest.mark.parametrize("name", ["index.html", "new.html", "metrics/new.json"])
@pytest.mark.parametrize(("run", "why"), [(run_full, "No space left on device"), (run_read_only, "Read-only file sys")])
def test_on_a_disk_that_is_full_or_read_only_all_that_was_there_stays(reports, name, run, why):
    done = run(reports, sys.executable, "-c", WRITE, str(reports / name))
    assert done.returncode == 1
    assert done.stderr.startswith(f"CannotWrite: {reports / name} cannot be written: {why}")
    assert done.stderr.count("\n") == 1
    assert seen(reports) == {"index.html": BEFORE}


KILLED = """
import os, signal, sys
from anonrep.utils.files import replacing, whole_folder
with replacing(sys.argv[1]) as temporary, whole_folder(sys.argv[2]) as room:
    temporary.write_text("half of what")
    (room / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(reports: Path) -> None:
    """Let a process be killed while it writes."""
    done = subprocess.run([sys.executable, "-c", KILLED, reports / "index.html", reports / "folder"], timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_a_kill_while_writing_leaves_the_earlier_file_and_the_next_writer_clears_up(reports):
    for _ in range(3):  # and so nothing piles up
        killed(reports)
        found = contents(reports)
        assert found["index.html"] == BEFORE
        assert len([name for name in found if name.startswith(".index-")]) == 1
        assert len(list(reports.glob(".folder-*"))) == 1
    write_text(reports / "index.html", "new")
    with whole_folder(reports / "folder"):
        assert len(list(reports.glob(".folder-*"))) == 1
    assert not list(reports.glob(".folder-*"))
    assert contents(reports) == {"index.html": b"new"}


BETWEEN = """
import os, signal, sys
from pathlib import Path
from anonrep.utils.files import whole_folder
def kill(self, target, rename=Path.rename):
    if self.name == "room":
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
Path.rename = kill
with whole_folder(sys.argv[1], replace=True) as room:
    (room / "1.png").write_text("new")
"""


def test_a_folder_put_by_when_its_writer_was_killed_is_there_again(reports):
    write_text(reports / "release" / "1.png", "earlier")
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", BETWEEN, reports / "release"], timeout=60)
        assert done.returncode == -signal.SIGKILL
        assert not (reports / "release").exists()
    with whole_folder(reports / "release", replace=True) as room:
        assert contents(reports) == {"index.html": BEFORE, "release/1.png": b"earlier"}
        write_text(room / "2.png", "new")
    assert contents(reports) == {"index.html": BEFORE, "release/2.png": b"new"}


def test_a_folder_takes_the_place_of_an_earlier_one_only_where_it_may(reports):
    write_text(reports / "release" / "1.png", "earlier")
    with pytest.raises(OSError, match="not empty"), whole_folder(reports / "release") as room:
        write_text(room / "2.png", "new")
    assert contents(reports) == {"index.html": BEFORE, "release/1.png": b"earlier"}
    with whole_folder(reports / "release", replace=True) as room:
        write_text(room / "2.png", "new")
    assert contents(reports) == {"index.html": BEFORE, "release/2.png": b"new"}
    assert {path.name for path in reports.iterdir()} == {"index.html", "release"}


def test_a_folder_that_cannot_take_its_place_leaves_the_earlier_one(reports, monkeypatch):
    write_text(reports / "release" / "1.png", "earlier")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "room":
            raise OSError("busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="busy"), whole_folder(reports / "release", replace=True) as room:
        write_text(room / "2.png", "new")
    assert contents(reports) == {"index.html": BEFORE, "release/1.png": b"earlier"}


def test_what_others_are_writing_is_left_alone(reports):
    others = [f".index-partial-{os.getpid()}-abcdefgh.html", ".index-partial-1-abcdefgh.html"]
    others += [".index-0-partial-99999999-abcdefgh.html", ".index-99999999-original.html"]
    others += [".index-99999999-abcdefgh.json", ".index.html"]
    for name in others:
        (reports / name).write_text("of somebody else")
    write_text(reports / "index.html", "new")
    assert set(contents(reports)) == {"index.html", *others}


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "pickle"])
def test_damaged_arrays_are_named(tmp_path, damage):
    path = tmp_path / "snapshots-0.npz"
    write_arrays(path, {"source": "uci"}, snapshots=np.arange(5000))
    whole = bytearray(path.read_bytes())
    if damage == "flip":
        whole[len(whole) // 2] ^= 1
    path.write_bytes({"cut": whole[:-30], "flip": whole, "empty": b"", "pickle": whole}[damage])
    if damage == "pickle":
        np.savez(path, snapshots=np.array([object()]))
    with pytest.raises(ValueError, match=r"snapshots-0\.npz is not a readable set of arrays .*run `dvc repro`"):
        read_arrays(path)


def test_missing_arrays_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz is missing: `dvc repro` makes it"):
        read_arrays(tmp_path / "none.npz")
