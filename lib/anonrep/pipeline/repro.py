"""The whole pipeline with stages side by side: each starts as soon as all that it reads is made.

    python -m anonrep.pipeline.repro --jobs 2

`dvc repro` runs one stage after the other. Here a process for each stage runs that stage alone, waits for DVC's short
locks, and holds none while its notebook works. Of the stages that may start, the one with the longest chain of stages
behind it goes first, so that the cores are busy to the end.

It may be killed at any moment, and goes on from there when it is started again. Stages run in process groups of their
own; whoever stops this process (Ctrl-C, SIGTERM) stops them and nobody else.
"""

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path

import psutil
from dvc.exceptions import DvcException
from dvc.repo import Repo

from anonrep.pipeline import resume
from anonrep.utils.project import root

LOCK = resume.PLACE / "repro.lock"  # held by this process, and by each dvc that it starts
CODE = "code"  # the stage whose outputs all others depend on
DVC = (sys.executable, "-m", "anonrep.pipeline.dvc", "--wait-for-lock")
GRACE = 3  # seconds that stages which are asked to stop have to put their locks away
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OWN = {"start_new_session": True}  # a process group of its own, so that what is sent to it reaches nobody else

Graph = Mapping[str, set[str]]  # a stage's name, and the names of the stages whose outputs it reads


def side_by_side(graph: Graph, jobs: int, run: Callable[[str], bool]) -> list[str]:
    """Call `run` with each stage, `jobs` at a time, after all that it reads; the names of those that returned False.

    Once a stage failed nothing more is started; those that are running finish, so that their work is kept.
    """
    behind, sorter = chains(graph), TopologicalSorter(graph)
    sorter.prepare()
    ready, running, failed = [], {}, []
    with ThreadPoolExecutor(jobs) as pool:
        while running or (sorter.is_active() and not failed):
            ready = sorted([*ready, *sorter.get_ready()], key=behind.get, reverse=True)
            while ready and len(running) < jobs and not failed:
                name = ready.pop(0)
                running[pool.submit(run, name)] = name
            for job in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(job)
                sorter.done(name)
                if not job.result():
                    failed.append(name)
    return failed


def chains(graph: Graph) -> dict[str, int]:
    """How many stages follow each, one after the other, at the longest."""
    behind = dict.fromkeys(graph, 0)
    for name in reversed([*TopologicalSorter(graph).static_order()]):
        for read in graph[name]:
            behind[read] = max(behind[read], behind[name] + 1)
    return behind


def remaining(graph: Graph, changed: set[str]) -> Graph:
    """The graph of the stages that are `changed`, or come after one that is; ValueError for one that is not in it."""
    if unknown := changed - graph.keys():
        raise ValueError(f"dvc status names {', '.join(sorted(unknown))}; expected some of {', '.join(graph)}")
    left = {}
    for name in TopologicalSorter(graph).static_order():
        if name in changed or graph[name] & left.keys():
            left[name] = graph[name] & left.keys()
    return left


def pipeline(folder: Path) -> Graph:
    """The stages of dvc.yaml. DVC names them as seen from the current folder, which must be `folder`."""
    with Repo(folder) as repo:
        graph = repo.index.graph
        return {stage.addressing: {read.addressing for read in graph.successors(stage)} for stage in graph}


def changed_stages(folder: Path) -> set[str]:
    """The stages that are not done; ends the program with DVC's own words where it cannot say."""
    said = subprocess.run([*DVC, "status", "--json"], cwd=folder, stdout=subprocess.PIPE, text=True, **OWN)
    if said.returncode:
        sys.exit(said.returncode)
    return set(json.loads(said.stdout.splitlines()[-1]))  # before it, DVC may say that a large file takes a while


def run_stage(folder: Path, lock: int, name: str) -> bool:
    """Whether `dvc repro` of one stage came to its end."""
    command = [*DVC, "repro", "--single-item", name]
    return subprocess.run(command, cwd=folder, pass_fds=(lock,), **OWN).returncode == 0


@contextmanager
def alone(folder: Path) -> Iterator[int]:
    """Wait until nobody else is at it in this folder; the open lock, for children who go on when this one is killed."""
    path = folder / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for an earlier run in this folder", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def stop(number: int, *_: object) -> None:
    """Ask the stages that run to stop, give them a moment, make them, and end by the same signal."""
    for name in STOPPING:
        signal.signal(name, lambda *_: None)  # SIG_IGN would be inherited by a stage that is just being started
    for way, seconds in ((signal.SIGINT, GRACE), (signal.SIGTERM, 0)):
        for child in psutil.Process().children():
            with suppress(ProcessLookupError):
                os.killpg(child.pid, way)
        time.sleep(seconds)
    with suppress(OSError):  # who was piped to is gone by now
        print("stopped: run it again to go on from here", file=sys.stderr, flush=True)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def repro(folder: Path, jobs: int) -> None:
    """Bring every stage up to date; ends the program with a message when one fails."""
    with alone(folder) as lock:
        for line in resume.resume(folder):
            print(line, file=sys.stderr)
        start, run = time.monotonic(), partial(run_stage, folder, lock)
        changed, failed = changed_stages(folder), []
        if CODE in changed:  # alone: after an edit of prose it writes what it wrote before, and nothing is left to do
            failed = side_by_side({CODE: set()}, 1, run)
            changed = set() if failed else changed_stages(folder)
        stages = remaining(pipeline(folder), changed) if changed else {}
        if not failed:
            said = f"{len(stages)} stages to see to, {jobs} at a time" if stages else "the pipeline is up to date"
            print(said, flush=True)
            failed = side_by_side(stages, jobs, run)
        if failed:
            names = ", ".join(failed)
            sys.exit(f"the pipeline stopped at {names}: what went wrong is above, an executed notebook in build/runs/")
        resume.resume(folder)  # keeps a copy of dvc.lock
        if stages:
            print(f"all of them done, after {(time.monotonic() - start) / 60:.1f} minutes", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m anonrep.pipeline.repro", description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2, help="stages at a time, of one thread each")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"--jobs is {options.jobs}; expected at least 1")
    for number in STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, stop)
    # Stages call `python`: this one, whether its environment is activated or not.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.environ["DVC_NO_ANALYTICS"] = "1"
    try:
        folder = root()
        os.chdir(folder)
        if not any((place / ".git").exists() for place in (folder, *folder.parents)):  # unpacked from an archive
            subprocess.run([*DVC[:-1], "config", "--local", "core.no_scm", "true"], check=True, **OWN)
        repro(folder, options.jobs)
    except (OSError, ValueError, DvcException) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
