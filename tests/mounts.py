"""Full disks and read-only folders for tests, as mounts of one process and its children alone; Linux only."""

import functools
import subprocess
from pathlib import Path

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
# A disk of a few kilobytes with what is in the folder, filled up to the last byte.
FULL = """
mount -t tmpfs -o size=100% tmpfs "$0.small" && cp -a "$0/." "$0.small"
used=$(du -sk "$0.small" | cut -f1)
mount -o remount,size=$((used + ROOM))k "$0.small" && mount --bind "$0.small" "$0"
"$@"; code=$?
mkdir "$0.seen" && cp -a "$0.small/." "$0.seen"
exit $code
"""
READ_ONLY = """
mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" || exit 99
"$@"; code=$?
mkdir "$0.seen" && cp -a "$0/." "$0.seen"
exit $code
"""


@functools.cache
def can_mount() -> bool:
    """Whether this system lets a process mount something for itself."""
    try:
        probe = subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


def run_full(folder: Path, *command: str, room: int = 4, **options: object) -> subprocess.CompletedProcess:
    """Run `command` while `folder` is a disk with `room` kilobytes left; what it holds then goes to FOLDER.seen."""
    folder.with_name(f"{folder.name}.small").mkdir()
    return _run(FULL.replace("ROOM", str(room)), folder, *command, **options)


def run_read_only(folder: Path, *command: str, room: int = 0, **options: object) -> subprocess.CompletedProcess:
    """Run `command` while `folder` cannot be written to; what it holds then goes to FOLDER.seen. There is no `room`."""
    return _run(READ_ONLY, folder, *command, **options)


def _run(script: str, folder: Path, *command: str, **options: object) -> subprocess.CompletedProcess:
    command = [*NAMESPACE, "bash", "-c", script, str(folder), *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def seen(folder: Path) -> dict[str, bytes]:
    """Files by their paths in FOLDER.seen."""
    return contents(folder.with_name(f"{folder.name}.seen"))


def contents(folder: Path) -> dict[str, bytes]:
    """Files by their paths in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
