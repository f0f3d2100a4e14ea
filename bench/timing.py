"""Ratios that a busy machine does not move: both sides in turn, again and again, and the median of the ratios.

A measure is a generator: it sets up, then gives one (ours, other) after the other, as often as it is asked.
"""

import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch

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


def process(count: int = 1, per_process: int = 1) -> ProcessPoolExecutor:
    """`count` fresh processes of so many threads each; started by their first work."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, initializer=torch.set_num_threads, initargs=(per_process,))


def cost(work: Callable, *arguments: object) -> tuple[float, float]:
    """Seconds that `work` takes alone in a fresh process, and by how many MB it raises that process's peak memory."""
    with process() as alone:
        return alone.submit(_cost, work, arguments).result()


def _cost(work: Callable, arguments: Sequence[object]) -> tuple[float, float]:
    with as_in_a_stage():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        taken = seconds(work, *arguments)
        return taken, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024  # Linux counts in KB
