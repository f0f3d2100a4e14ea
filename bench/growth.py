"""What the cost grows with: images, lambdas, seeds and identities, at three sizes each, in fresh processes."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import matplotlib.ticker
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from anonrep.data.dataset import Dataset
from anonrep.evaluation.attackers import FEW, AttackBudget, suite
from anonrep.game import GameConfig, play, prepare
from anonrep.methods import finite as finite_release
from anonrep.methods.finite import FiniteConfig
from anonrep.reports.figures import COLOURS
from bench.games import LAM, digits, whole
from bench.judging import attack_parts
from bench.textbook import players_of
from bench.timing import cost

SIZES = {  # what grows, and its sizes; everything else stands still at BASE
    "images": (1500, 6000, 24000),
    "lambdas": (1, 2, 4),
    "seeds": (1, 2, 4),
    "identities": (30, 60, 120),
}
BASE = {"images": 1500, "lambdas": 1, "seeds": 1, "identities": 30}
FINITE, BUDGET = FiniteConfig(restarts=1), AttackBudget(network_epochs=4, trees=100)


def people(images: int, identities: int) -> Dataset:
    """Synthetic digits, dealt out to so many identities."""
    return replace(digits(images), z=np.arange(images) % identities)


def training(config: GameConfig, data: Dataset, lambdas: int, seeds: int) -> None:
    """Phases (i) and (ii) for each seed, phase (iii) for each seed and lambda, one after the other."""
    for seed in range(seeds):
        start = players_of(data, config, seed)
        whole(prepare(start, data, config, seed))
        for _ in range(lambdas):
            options = {"lam": LAM, "epochs": config.private_epochs, "config": config, "seed": seed}
            whole(play(copy.deepcopy(start), data, **options))


def finite(config: GameConfig, data: Dataset, lambdas: int, seeds: int) -> None:
    """A finite release for each seed and lambda, on an autoencoder that has learned nothing: that is as much work."""
    data = replace(data, split=(np.arange(len(data)) >= len(data) * 5 // 6).astype(np.uint8))  # a sixth to choose by
    for seed in range(seeds):
        autoencoder = players_of(data, config, seed).autoencoder
        seen = finite_release.prepare(autoencoder, data, FINITE, seed)
        for _ in range(lambdas):
            finite_release.learn(autoencoder.encoder, seen, LAM, FINITE, seed)


def assessment(config: GameConfig, data: Dataset, lambdas: int, seeds: int) -> None:
    """One attacker of each kind on the images of each seed and lambda, one after the other."""
    attackers = suite(BUDGET, seed=0)
    for _ in range(lambdas * seeds):
        attack_parts(data, {name: attackers[name] for name in FEW})


WORK = {training: tuple(SIZES), finite: tuple(SIZES), assessment: ("images", "identities")}  # of one release


def growth(config: GameConfig, sizes: dict[str, Sequence[int]] = SIZES, base: dict[str, int] = BASE) -> list[dict]:
    """A row for each size of each of `sizes`: work, what grows, size, seconds, memory.

    memory  MB by which the process's peak rises above what it holds with everything imported and the images read
    """
    rows = []
    for work, what in ((work, what) for work, grows in WORK.items() for what in grows if what in sizes):
        for value in sizes[what]:
            here = {**base, what: value}
            data = people(here["images"], here["identities"])
            taken, memory = cost(work, config, data, here["lambdas"], here["seeds"])
            row = {"work": work.__name__, "grows": what, "size": value}
            rows.append({**row, "seconds": round(taken, 3), "memory": round(memory, 1)})
    return rows


def slopes(rows: Sequence[dict] | pd.DataFrame) -> dict[tuple[str, str], list[float]]:
    """For each work and each that grows, exponents of cost in size from one size to the next: 1 in proportion, 0 no
    growth.

    Less than 1 where part of the work is shared: lambdas share phases (i) and (ii).
    """
    found = {}
    for what, part in pd.DataFrame(rows).groupby(["work", "grows"], sort=False):
        found[what] = (np.diff(np.log(part.seconds)) / np.diff(np.log(part["size"]))).tolist()
    return found


def figure(rows: Sequence[dict]) -> Figure:
    """Seconds above, peak memory below, a column for each that grows, a line for each work.

    Both axes are logarithmic. Dotted: in proportion, from the first size on.
    """
    table, kinds = pd.DataFrame(rows), list(dict.fromkeys(row["grows"] for row in rows))
    drawing = Figure(figsize=(3.2 * len(kinds) + 0.4, 5.4), layout="constrained")
    panels = drawing.subplots(2, len(kinds), squeeze=False, sharex="col", sharey="row")
    colours = {"training": COLOURS["utility"], "finite": COLOURS["certified"], "assessment": COLOURS["best"]}
    look = {"hue": "work", "style": "work", "palette": colours, "markers": dict(zip(colours, "osD", strict=True))}
    for row, (quantity, label) in zip(panels, (("seconds", "seconds"), ("memory", "peak memory, MB")), strict=True):
        for axis, what in zip(row, kinds, strict=True):
            part, first = table[table.grows == what], quantity == "seconds" and what == kinds[0]
            sns.lineplot(part, x="size", y=quantity, ax=axis, dashes=False, legend=first, **look)
            for _, one in part.groupby("work") if quantity == "seconds" else ():
                line = one.seconds.iloc[0] * one["size"] / one["size"].iloc[0]
                axis.plot(one["size"], line, ":", color="grey", linewidth=1)
            sizes = part["size"].unique()
            axis.set(xlabel=what, ylabel=label if axis is row[0] else "", xscale="log", yscale="log")
            axis.set_xticks(sizes, [f"{size:g}" for size in sizes])
            axis.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
            axis.yaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:g}"))
            axis.grid(alpha=0.3)
    drawing.suptitle("What one process costs as one thing grows, on synthetic digits; dotted: in proportion")
    return drawing
