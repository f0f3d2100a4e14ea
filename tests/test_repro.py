"""Stages side by side: each after all that it reads, never more than asked for, and none after a failure."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from dvc.utils.serialize import _yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from anonrep.pipeline import repro
from anonrep.pipeline.repro import chains, remaining, side_by_side

PIPELINE = {
    "render": set(),
    "faces": set(),
    "pretrain": {"render"},
    "train": {"pretrain", "render"},
    "assess": {"train"},
    "faces-assess": {"faces"},
    "index": {"assess", "faces-assess"},
}


@st.composite
def graphs(draw) -> dict[str, set[str]]:
    """Stages that read some of those before them."""
    names = [f"stage-{i}" for i in range(draw(st.integers(0, 12)))]
    return {name: draw(st.sets(st.sampled_from(names[:i]))) if i else set() for i, name in enumerate(names)}


class Record:
    """Stages that take a moment, what was done when each began, and how many ran at once at most."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.done, self.found, self.calls, self.running, self.most = set(), {}, 0, 0, 0

    def __call__(self, name: str) -> bool:
        with self.lock:
            self.found[name] = set(self.done)
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.001)
        with self.lock:
            self.running -= 1
            self.done.add(name)
        return True


@given(graphs(), st.integers(1, 4))
@settings(deadline=None)
def test_every_stage_runs_once_after_all_that_it_reads(graph, jobs):
    run = Record()
    assert side_by_side(graph, jobs, run) == []
    assert run.found.keys() == graph.keys()
    assert run.calls == len(graph)
    assert all(graph[name] <= before for name, before in run.found.items())
    assert run.most <= jobs


def test_stages_that_do_not_need_each_other_run_at_the_same_time():
    both = threading.Barrier(2, timeout=10)  # neither comes through alone
    assert side_by_side({"render": set(), "faces": set()}, 2, lambda name: both.wait() >= 0) == []
    run = Record()
    side_by_side({"render": set(), "faces": set()}, 1, run)
    assert run.most == 1


def test_after_a_failure_nothing_is_started_and_what_runs_finishes():
    both, began, ended = threading.Barrier(2, timeout=10), [], []

    def run(name: str) -> bool:
        began.append(name)
        both.wait()
        if name == "faces":
            time.sleep(0.3)  # `render` has failed long before
        ended.append(name)
        return name != "render"

    assert side_by_side(PIPELINE, 2, run) == ["render"]
    assert sorted(began) == ["faces", "render"]
    assert ended == ["render", "faces"]


def test_the_longest_chain_goes_first():
    assert chains(PIPELINE) == {
        **{"render": 4, "pretrain": 3, "train": 2, "assess": 1},
        **{"faces": 2, "faces-assess": 1, "index": 0},
    }
    run = Record()
    side_by_side(PIPELINE, 1, run)
    assert list(run.found) == ["render", "pretrain", "faces", "train", "faces-assess", "assess", "index"]


@given(graphs(), st.data())
@settings(deadline=None)
def test_what_is_left_holds_together(graph, data):
    changed = data.draw(st.sets(st.sampled_from(sorted(graph)))) if graph else set()
    left = remaining(graph, changed)
    assert changed <= left.keys()
    for name, reads in graph.items():
        assert (name in left) == (name in changed or bool(reads & left.keys()))
    run = Record()
    side_by_side(left, 2, run)
    assert run.found.keys() == left.keys()


def test_a_stage_that_is_not_in_the_graph_is_named():
    with pytest.raises(ValueError, match=r"names \.\./dvc\.yaml:render; expected some of render, faces"):
        remaining(PIPELINE, {"../dvc.yaml:render"})


def test_the_projects_own_stages_are_a_pipeline(monkeypatch):
    monkeypatch.chdir(repro.root())
    graph = repro.pipeline(repro.root())
    assert {repro.CODE, "data@pendigits"} <= graph["start@pendigits-stabilised"]
    assert max(chains(graph), key=chains(graph).get) == repro.CODE
    assert {name for name, reads in graph.items() if not reads} == {repro.CODE}, (
        "parameters are checked before any work"
    )
    assert {"assess@pendigits-finite-4", "assess@ferg-clips-finite"} <= graph["results@ferg"]


def test_from_a_folder_below_it_is_the_same_pipeline(monkeypatch):
    asked = {}
    monkeypatch.setattr(repro, "repro", lambda folder, jobs: asked.update(folder=folder, at=Path.cwd(), jobs=jobs))
    monkeypatch.chdir(repro.root() / "notebooks")
    monkeypatch.setattr(repro.signal, "signal", lambda *_: None)
    for name in ("PATH", "DVC_NO_ANALYTICS"):  # as they are, to be put back
        monkeypatch.setenv(name, os.environ.get(name, ""))
    repro.main(["--jobs", "3"])
    assert asked == {"folder": repro.root(), "at": repro.root(), "jobs": 3}


@pytest.fixture
def project(monkeypatch, tmp_path):
    """Two stages that are to be done, and those that were run."""
    left, ran = {"code": set(), "train": {"code"}}, []
    monkeypatch.setattr(repro.resume, "resume", lambda folder: [])
    monkeypatch.setattr(repro, "pipeline", lambda folder: left)
    monkeypatch.setattr(repro, "changed_stages", lambda folder: {"train"} - set(ran))
    monkeypatch.setattr(repro, "run_stage", lambda folder, lock, name: not ran.append(name))
    return ran


def test_the_end_is_said_with_its_time_and_a_failure_with_its_stages(project, monkeypatch, tmp_path, capsys):
    repro.repro(tmp_path, 2)
    said = capsys.readouterr().out
    assert said == "1 stages to see to, 2 at a time\nall of them done, after 0.0 minutes\n"
    repro.repro(tmp_path, 2)
    assert capsys.readouterr().out == "the pipeline is up to date\n"
    project.clear()
    monkeypatch.setattr(repro, "run_stage", lambda folder, lock, name: False)
    with pytest.raises(SystemExit, match="the pipeline stopped at train: "):
        repro.repro(tmp_path, 2)


@pytest.mark.parametrize("same", [True, False])
def test_what_code_writes_again_as_it_was_leaves_nothing_to_do(project, monkeypatch, tmp_path, same):
    changed = [{"code"}, set() if same else {"train"}]
    monkeypatch.setattr(repro, "changed_stages", lambda folder: changed.pop(0))
    repro.repro(tmp_path, 2)
    assert project == (["code"] if same else ["code", "train"])


def test_after_wrong_parameters_nothing_is_started(project, monkeypatch, tmp_path):
    monkeypatch.setattr(repro, "changed_stages", lambda folder: {"code", "train"})
    monkeypatch.setattr(repro, "run_stage", lambda folder, lock, name: bool(project.append(name)))
    with pytest.raises(SystemExit, match="stopped at code"):
        repro.repro(tmp_path, 2)
    assert project == ["code"]


STARTER = """if True:
    import signal, subprocess, sys, threading, time
    from anonrep.pipeline import repro

    repro.GRACE = 0.5
    for number in repro.STOPPING:
        signal.signal(number, repro.stop)
    def stage(after):
        time.sleep(after)
        subprocess.run(["sh", "-c", "trap '' INT; sleep 60 & echo $! >&2; wait"], **repro.OWN)
    for after in (0, float(sys.argv[1])):
        threading.Thread(target=stage, args=[after]).start()
    time.sleep(0.1)
    print("ready", flush=True)
    time.sleep(60)
"""


def running(pid: int) -> bool:
    """Whether a process is there, and not just its entry in the table."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_is_stopped_takes_the_stages_along_and_nobody_else(way):
    """One that is started in that moment goes too, and so do those who do not care to be asked."""
    caller = f"""if True:
        import subprocess, sys
        inner = subprocess.Popen([sys.executable, "-c", {STARTER!r}, "0.3"], stdout=subprocess.PIPE)
        inner.stdout.readline()
        inner.send_signal({int(way)})
        print(inner.wait(), flush=True)
    """
    done = subprocess.run([sys.executable, "-c", caller], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{-way}\n"), done.stderr
    *sleepers, said = done.stderr.splitlines()
    assert said == "stopped: run it again to go on from here"
    assert len(sleepers) >= 1
    deadline = time.monotonic() + 10  # what was told to end takes a moment on a busy machine
    while any(running(int(pid)) for pid in sleepers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_who_is_stopped_goes_even_when_nobody_reads_what_it_says():
    """As in `make repro 2>&1 | tee log` and Ctrl-C: tee is gone first."""
    code = "import signal; from anonrep.pipeline import repro; repro.GRACE = 0.1; repro.stop(signal.SIGINT)"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, start_new_session=True)
    process.stderr.close()
    assert process.wait(60) == -signal.SIGINT


def test_an_unpacked_archive_without_git_runs(tmp_path):
    (tmp_path / ".dvc").mkdir()
    shutil.copy(repro.root() / ".dvc/config", tmp_path / ".dvc/config")
    (tmp_path / "dvc.yaml").write_text("stages: {code: {cmd: echo made > out, outs: [out]}}")
    (tmp_path / "params.yaml").write_text("")
    command = [sys.executable, "-m", "anonrep.pipeline.repro"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_text() == "made\n"


def test_dvc_lock_is_the_same_bytes_with_the_compiled_reader(tmp_path, monkeypatch):
    """`anonrep.pipeline.dvc` reads it so before a stage is added. On these values YAML's readers may differ."""
    values = [1e-05, 0.1, 3, "1e-05", "on", "010", None, True, "", "λ: a\n b", "x " * 99, [], {}, [[1, 2]]]
    stages = {f"stage@{i}": {"cmd": "python -m x " * 20, "params": {"p": value}} for i, value in enumerate(values)}

    def added(name: str) -> bytes:
        path = tmp_path / name
        _yaml.dump_yaml(path, {"schema": "2.0", "stages": stages})
        with _yaml.modify_yaml(path) as lock:
            lock["stages"].update(another={"cmd": "true"}, **{"stage@0": {"cmd": "false"}})
        return path.read_bytes()

    slow = added("slow")
    monkeypatch.setattr(_yaml, "parse_yaml_for_update", _yaml.parse_yaml)
    assert added("fast") == slow
