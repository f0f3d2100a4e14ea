"""Stages side by side: each after all that it reads, never more than asked for, and none after a failure."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
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


def test_what_is_left_is_what_changed_and_what_comes_after():
    assert remaining(PIPELINE, set()) == {}
    assert remaining(PIPELINE, {"train"}) == {"train": set(), "assess": {"train"}, "index": {"assess"}}
    assert remaining(PIPELINE, set(PIPELINE)) == PIPELINE


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
    assert {"notebooks", "render"} <= graph["pretrain@stabilised"]
    assert max(chains(graph), key=chains(graph).get) == "notebooks"
    assert {"assess@faithful-2", "assess@finite-4"} <= graph["outsiders"]  # whatever game `audit.points` names


def test_from_a_folder_below_it_is_the_same_pipeline(monkeypatch):
    asked = {}
    monkeypatch.setattr(repro, "repro", lambda folder, jobs: asked.update(folder=folder, at=Path.cwd(), jobs=jobs))
    monkeypatch.chdir(repro.root() / "notebooks")
    monkeypatch.setattr(repro.signal, "signal", lambda *_: None)
    for name in ("PATH", "DVC_NO_ANALYTICS"):  # as they are, to be put back
        monkeypatch.setenv(name, os.environ.get(name, ""))
    repro.main(["--jobs", "3"])
    assert asked == {"folder": repro.root(), "at": repro.root(), "jobs": 3}


def test_the_end_is_said_with_its_time_and_a_failure_with_its_stages(monkeypatch, tmp_path, capsys):
    left = {"render": set(), "train": {"render"}}
    monkeypatch.setattr(repro.resume, "resume", lambda folder: [])
    monkeypatch.setattr(repro, "pipeline", lambda folder: left)
    monkeypatch.setattr(repro, "changed_stages", lambda folder: {"render"})
    for good in (True, False):
        monkeypatch.setattr(repro, "run_stage", lambda folder, lock, name, good=good: good)
        with nullcontext() if good else pytest.raises(SystemExit, match="the pipeline stopped at render: "):
            repro.repro(tmp_path, 2)
        said = capsys.readouterr().out
        assert said.startswith("2 stages to see to, 2 at a time\n")
        assert ("all of them done, after 0.0 minutes" in said) == good
    monkeypatch.setattr(repro, "changed_stages", lambda folder: set())
    repro.repro(tmp_path, 2)
    assert capsys.readouterr().out == "the pipeline is up to date\n"


def test_a_number_of_jobs_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit):
        repro.main(["--jobs", "0"])
    assert "expected at least 1" in capsys.readouterr().err


def test_who_is_stopped_goes_even_when_nobody_reads_what_it_says():
    """As in `make repro 2>&1 | tee log` and Ctrl-C: tee is gone first."""
    code = "from anonrep import repro; repro.GRACE = 0.1; repro.stop()"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, start_new_session=True)
    process.stderr.close()
    assert process.wait(60) == -signal.SIGTERM


def test_a_stage_that_is_started_while_all_are_stopped_goes_too():
    """It inherits what its parent ignores: the pipe is closed only when nobody holds it any more."""
    code = """if True:
        import subprocess, threading, time
        from anonrep.pipeline import repro

        def late():
            time.sleep(0.3)
            subprocess.Popen(["sleep", "60"])

        repro.GRACE = 1
        threading.Thread(target=late).start()
        repro.stop()
    """
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
