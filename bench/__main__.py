"""The command line: prints the table, writes bench.json and growth.json, draws the growth.

A measure that is asked for by name takes the place of its row alone.
"""

import argparse
import os
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anonrep.game import GameConfig
from anonrep.pipeline.parameters import read
from anonrep.reports import figures
from anonrep.utils.files import read_json, write_json
from anonrep.utils.project import root
from bench import games, growth, judging, pipeline, reading
from bench.timing import Pairs, cores, row

METRICS = Path("reports", "metrics")
GAME = "pendigits-stabilised"
PLAYED = GAME, "game"
SHORT = {"pixel_epochs": 9, "fidelity_epochs": 1, "warm_up_epochs": 1, "private_epochs": 3}  # of the growth's games


@dataclass(frozen=True)
class Measure:
    """What is measured, how, and how `timing.row` is to take it."""

    name: str
    pairs: Callable[[], Pairs]
    options: dict[str, Any] = field(default_factory=dict)

    def row(self) -> dict:
        """Measure it."""
        return row(self.name, self.pairs(), **self.options)


def measures(params: dict) -> dict[str, Measure]:
    """The measures by a short name."""
    config = GameConfig(**params["games"][GAME]["config"])
    lambdas = [one["options"]["lam"] for one in params["releases"].values() if (one["start"], one["method"]) == PLAYED]
    seeds, steps, few = range(cores()), 3, {"runs": 3, "warm_up": 0}
    sweep = f"the sweep: {len(lambdas)} lambdas, {len(seeds)} seeds, epochs of {steps} steps"
    stages = f"the smoke pipeline's sweep, {cores()} stages at a time against one"
    return {
        "training": Measure(
            "training a step: a game a core, against one on all cores",
            lambda: games.training(config),
            {"runs": 9, "warm_up": 0},
        ),
        "step": Measure("training a step: one thread each", lambda: games.training_step(config), {"runs": 9}),
        "rate": Measure(
            "training's share of the rate of matrix products",
            lambda: games.floating_point_rate(config),
            {"unit": "GFLOP/s"},
        ),
        "sweep": Measure(sweep, lambda: games.sweep(config, lambdas, steps, seeds), few),
        "rendering": Measure("rendering 600 synthetic digits", reading.rendering),
        "ferg": Measure(f"reading 2000 synthetic FERG images on {cores()} cores", reading.ferg, {"runs": 9}),
        "assessment": Measure("assessment by one attacker of each kind", judging.assessment),
        "no-op": Measure("no-op dvc repro, against all stages with hollow commands", pipeline.no_op, few),
        "stages": Measure(stages, pipeline.side_by_side, few),
    }


def said(rows: Sequence[dict], grown: Sequence[dict]) -> str:
    """What the README says of both files."""
    lines = [
        "| measure | times faster, or share | least to greatest | ours | other |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {one['name']} | {one['ratio']:.2f} | {one['low']:.2f} to {one['high']:.2f} "
        f"| {one['ours']:.3g} {one['unit']} | {one['other']:.3g} {one['unit']} |"
        for one in rows
    ]
    return "\n".join(lines) + ("\n\n" + textwrap.fill(_growth(grown), 120) if grown else "")


def _growth(grown: Sequence[dict]) -> str:
    table, costs = pd.DataFrame(grown).replace({"work": {"finite": "the finite release"}}), []
    for what, parts in table.groupby("grows", sort=False):
        ends = {work: part.iloc[[0, -1]] for work, part in parts.groupby("work", sort=False)}
        times = [f"{end.seconds.iloc[1] / end.seconds.iloc[0]:.1f} times for {work}" for work, end in ends.items()]
        costs.append(f"{parts['size'].max() / parts['size'].min():g} times the {what} cost {_listed(times)}")
    most = _listed([f"{part.memory.max():.0f} MB for {work}" for work, part in table.groupby("work", sort=False)])
    room = f"A process needs at most {most} beyond what it begins with, at any of these sizes."
    return " ".join([f"{'; '.join(costs)}.", *_pairs(table), room])


def _listed(words: Sequence[str]) -> str:
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), words[-1]])


def _pairs(table: pd.DataFrame) -> list[str]:
    """Where assessment grows faster than images, and where no longer: a sentence, if it was measured."""
    powers = growth.slopes(table).get(("assessment", "images"))
    if not powers:
        return []
    sizes = table[(table.work == "assessment") & (table.grows == "images")]["size"]
    steps = (f"{power:.2f} from {a} to {b}" for power, (a, b) in zip(powers, pairwise(sizes), strict=True))
    return [
        f"Assessment grows with images to the power {' and '.join(steps)}: nearest neighbours and support vectors "
        f"compare images in pairs, and learn from at most {growth.BUDGET.pairwise_images}."
    ]


def merged(path: Path, rows: Sequence[dict], names: Sequence[str]) -> list[dict]:
    """The rows of a file with `rows` in the place of theirs, those of measures that there are, in order.

    Each row is a ratio taken in one run, whenever that was.
    """
    known = {row["name"]: row for row in [*(read_json(path) if path.exists() else []), *rows]}
    return [known[name] for name in names if name in known]


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="*", help="short names of measures, or growth; without any, all")
    folder = root()
    params = read(folder / "params.yaml")
    known, only = measures(params), parser.parse_args(arguments).only
    if unknown := set(only) - {*known, "growth"}:
        parser.error(f"no measure {', '.join(sorted(unknown))}; there are {', '.join(known)} and growth")
    if os.getloadavg()[0] > 0.5:
        print("THIS MACHINE IS BUSY. Threads that wait for one another suffer most: do not quote training and sweep.")
    rows, path = [], folder / METRICS / "bench.json"
    for name in [name for name in known if name in (only or known)]:
        rows.append(known[name].row())
        print(f"{name}: {rows[-1]['ratio']:.2f}", flush=True)
        write_json(path, merged(path, rows, [one.name for one in known.values()]))
    if rows:
        print(pd.DataFrame(rows).to_string(index=False))
    if not only or "growth" in only:
        grown = growth.growth(replace(GameConfig(**params["games"][GAME]["config"]), **SHORT))
        print(pd.DataFrame(grown).to_string(index=False))
        print("exponents:", {" ".join(what): np.round(some, 2).tolist() for what, some in growth.slopes(grown).items()})
        write_json(folder / METRICS / "growth.json", grown)
        figures.save(growth.figure(grown), folder / "reports" / "figures" / "growth")


if __name__ == "__main__":
    main()
