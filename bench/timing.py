"""Ratios that a busy machine does not move: both sides in turn, again and again, and the median of the ratios.

A measure is a generator: it sets up, then gives one (ours, other) after the other, as often as it is asked.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from unittest.mock import patch

import numpy as np
import torch

from anonrep.pipeline.notebook import ENVIRONMENT

Pairs = Iterator[tuple[float, float]]


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def seconds(work: Callable, *arguments: object, **options: object) -> float:
    """How long `work` takes, once."""
    start = time.perf_counter()
    work(*arguments, **options)
    return time.perf_counter() - start


def row(name: str, pairs: Pairs, *, unit: str = "s", runs: int = 5, warm_up: int = 1) -> dict:
    """One row of the table: medians over `runs` runs, after `warm_up` that are thrown away.

    name         what was measured
    ratio        other / ours for seconds: how many times faster; ours / other for rates: the share
    low, high    the least and the greatest of the runs' ratios
    ours, other  in `unit`
    """
    taken = np.array(list(islice(pairs, warm_up, warm_up + runs)))
    pairs.close()
    ours, other = taken.T
    ratios = other / ours if unit == "s" else ours / other
    medians = dict(zip(("ratio", "ours", "other"), map(np.median, (ratios, ours, other)), strict=True))
    spread = {"low": ratios.min(), "high": ratios.max()}
    return (
        {"name": name}
        | {key: round(float(value), 4) for key, value in (medians | spread).items()}
        | {
            "unit": unit,
            "runs": runs,
        }
    )


@contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch on `count` threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def as_in_a_stage() -> Iterator[None]:
    """PyTorch inside as `project.enter` leaves it: one thread, deterministic."""
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        with threads(1):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.utils.deterministic.fill_uninitialized_memory = before[1]


@contextmanager
def process(
    count: int = 1, per_process: int = 1, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[ProcessPoolExecutor]:
    """`count` fresh processes of so many threads each, up and running, with `environment` beside what is set here."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, torch.set_num_threads, (per_process,)) as pool:
        with patch.dict(os.environ, environment):  # an allocator reads it once, when its process starts
            list(pool.map(time.sleep, [0.2] * 4 * count))
        yield pool


def cost(work: Callable, *arguments: object) -> tuple[float, float]:
    """Seconds that `work` takes alone in a stage's process, and by how many MB it raises that process's peak memory."""
    with process(environment=ENVIRONMENT) as alone:
        return alone.submit(_cost, work, arguments).result()


def _cost(work: Callable, arguments: Sequence[object]) -> tuple[float, float]:
    with as_in_a_stage():
        forget_peak()
        before = peak()
        taken = seconds(work, *arguments)
        return taken, peak() - before


def forget_peak() -> None:
    """From here on `peak` is about what is held now: what importing took for a moment would hide what work takes."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """MB that this process has held at most since `forget_peak`: Linux's VmHWM.

    What getrusage says a child inherits from its parent.
    """
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
