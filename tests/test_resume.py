"""DVC's own files after a kill: whatever is left of them, the next start reads them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo
from mounts import can_mount, run_full, run_read_only, seen

from anonrep.pipeline import workspace
from anonrep.pipeline.parameters import dumped
from anonrep.pipeline.resume import COPY, DAMAGED, DONE, USERS, changed_metrics, is_whole, resume
from anonrep.utils.files import write_bytes, write_text

NOBODY = 2**22 + 1  # above the largest number that Linux gives a process
STAGE = {
    "cmd": "python -m anonrep.pipeline.notebook run build/notebooks/train.ipynb --as train-1",
    "deps": [{"path": "lib/anonrep/game.py", "hash": "md5", "md5": "0" * 32, "size": 10}],
    "params": {"params.yaml": {"device": "auto"}},
    "outs": [{"path": "models/stabilised/lambda-1", "hash": "md5", "md5": "1" * 32 + ".dir", "size": 1, "nfiles": 1}],
}
WHOLE = dumped({"schema": "2.0", "stages": {"train@1": STAGE, "train@2": STAGE}}).encode()
ENDS = [i + 1 for i, byte in enumerate(WHOLE) if byte in b"\n:"]
ENDS += [WHOLE.index(word) + len(word) for word in (b"hash: m", b"hash: md", b"size: 1")]  # half a word can be parsed


@pytest.fixture
def folder(tmp_path) -> Path:
    """A workspace with what is done, and its copy."""
    (tmp_path / USERS.parent).mkdir(parents=True)
    (tmp_path / DONE).write_bytes(WHOLE)
    assert resume(tmp_path) == []
    return tmp_path


def test_what_is_whole_stays_and_is_copied(folder):
    assert (folder / DONE).read_bytes() == (folder / COPY).read_bytes() == WHOLE
    more = WHOLE.replace(b"train@2", b"train@3")
    (folder / DONE).write_bytes(more)
    assert resume(folder) == []
    assert (folder / DONE).read_bytes() == (folder / COPY).read_bytes() == more


@pytest.mark.parametrize("keep", [0, 1, 12, 30, 175])
def test_what_was_cut_short_comes_back_from_the_copy(folder, keep):
    (folder / DONE).write_bytes(WHOLE[:keep])
    (said,) = resume(folder)
    assert "dvc.lock cannot be read" in said
    assert (folder / DONE).read_bytes() == WHOLE
    assert (folder / DAMAGED).read_bytes() == WHOLE[:keep]


def test_a_digit_that_turned_in_the_metrics_is_named_with_its_stage(tmp_path):
    metrics = tmp_path / "reports/metrics/ferg/attacks.json"
    command = f"mkdir -p reports/metrics/ferg && echo 0.089 > {metrics}"
    stage = {"cmd": command, "outs": [{"reports/metrics/ferg": {"cache": False, "persist": True}}]}
    write_text(tmp_path / "dvc.yaml", dumped({"stages": {"results": stage}}))
    assert changed_metrics(tmp_path) == []
    write_text(tmp_path / ".dvc/config", workspace.DVC)
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=tmp_path, check=True)
    assert changed_metrics(tmp_path) == []
    write_text(metrics, "0.009")
    (said,) = changed_metrics(tmp_path)
    assert "ferg is not what its stage wrote: `dvc repro --single-item --force results`" in said
    shutil.rmtree(metrics.parent)
    assert changed_metrics(tmp_path) == [], "what is missing is named by who reads it"
    write_text(metrics, "0.009")
    write_text(tmp_path / DONE, "schema: '2.0'\nstages:\n  results:\n    cmd: x\n    outs:\n    - pa")
    assert changed_metrics(tmp_path) == []


def test_without_a_copy_everything_is_done_again(folder):
    (folder / COPY).unlink()
    (folder / DONE).write_bytes(WHOLE[:30])
    assert "comes back from DVC's cache" in resume(folder)[0]
    assert not (folder / DONE).exists()


def test_somebody_who_removed_it_wants_to_start_anew(folder):
    (folder / DONE).unlink()
    assert resume(folder) == []
    assert not (folder / DONE).exists()


def test_a_disk_that_fills_up_while_it_is_mended_keeps_what_there_is(folder, monkeypatch):
    (folder / DONE).write_bytes(WHOLE[:30])

    def full(path: Path, data: bytes) -> None:
        if path == folder / DONE:
            raise OSError("no room")
        write_bytes(path, data)

    monkeypatch.setattr("anonrep.pipeline.resume.write_bytes", full)
    with pytest.raises(OSError, match="no room"):
        resume(folder)
    monkeypatch.undo()
    assert resume(folder)
    assert (folder / DONE).read_bytes() == WHOLE


def test_whatever_passes_for_whole_dvc_can_read(tmp_path):
    """At every line and in the middle of some: what DVC refuses is refused here, so that no start fails of it."""
    write_text(tmp_path / ".dvc/config", workspace.DVC)
    write_text(tmp_path / "dvc.yaml", dumped({"stages": {"train": {"cmd": "true", "deps": ["params.yaml"]}}}))
    passed = 0
    for length in ENDS:
        (tmp_path / DONE).write_bytes(WHOLE[:length])
        if is_whole(tmp_path / DONE):
            with Repo(str(tmp_path)) as repo:
                assert repo.status()
            passed += 1
    assert 3 < passed < len(ENDS)


@pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount")
@pytest.mark.parametrize(("mount", "why"), [(run_full, "No space left on device"), (run_read_only, "Read-only file")])
def test_where_results_cannot_be_written_no_work_begins(folder, mount, why):
    (folder / "reports").mkdir()
    (folder / "reports/index.html").write_text("an earlier run's page")
    for mark in ("dvc.yaml", "params.yaml"):
        (folder / mark).write_text("")
    command = [sys.executable, "-m", "anonrep.pipeline.resume"]
    done = mount(folder / "reports", *command, cwd=folder, room=0)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"reports/.writable cannot be written: {why}" in done.stderr
    assert set(seen(folder / "reports")) == {"index.html"}
    assert subprocess.run(command, cwd=folder).returncode == 0


def users(folder: Path) -> dict:
    """Who DVC thinks is at it."""
    return json.loads((folder / USERS).read_text())


def test_processes_that_are_no_more_or_no_dvc_are_forgotten(folder):
    dvc = subprocess.Popen([sys.executable, "-c", "input()", "dvc", "repro"], stdin=subprocess.PIPE)
    try:
        entry = {pid: {"pid": pid, "cmd": "dvc repro"} for pid in (NOBODY, os.getppid(), dvc.pid)}
        gone, reused, there = entry.values()
        (folder / USERS).write_text(
            json.dumps({"read": {"a": [gone, there], "b": [reused]}, "write": {"c": gone, "d": there, "e": reused}})
        )
        assert resume(folder) == []
        assert users(folder) == {"read": {"a": [there]}, "write": {"d": there}}
    finally:
        dvc.communicate()


@pytest.mark.parametrize("text", ["", '{"read": {"a": [{"pi', "[]", '{"read": 3}', '{"write": {"a": {}}}'])
def test_a_damaged_list_of_users_goes(folder, text):
    (folder / USERS).write_text(text)
    assert len(resume(folder)) == 1
    assert not (folder / USERS).exists()


def test_dvcs_own_empty_list_stays_readable(folder):
    (folder / USERS).write_text("{}")
    assert resume(folder) == []
    assert users(folder) in ({}, {"read": {}, "write": {}})
