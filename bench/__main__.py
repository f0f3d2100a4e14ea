"""The command line: prints the table, writes bench.json and growth.json, draws the growth."""

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import yaml

from anonrep import plots
from anonrep.files import write_json
from anonrep.game import GameConfig
from anonrep.project import root
from bench import games, growth, judging, pipeline, reading
from bench.timing import cores, row

METRICS = Path("reports", "metrics")
SHORT = {"pixel_epochs": 9, "fidelity_epochs": 1, "warm_up_epochs": 1, "private_epochs": 3}  # of the growth's games


def measures(params: dict) -> dict[str, Callable[[], dict]]:
    """What is measured, by a short name: each gives a row."""
    config, lambdas = GameConfig(**params["variants"]["stabilised"]["game"]), params["lambdas"]
    seeds, steps = range(cores()), 6
    return {
        "training": lambda: row("training a step: a game a core, against one on all cores", games.training(config)),
        "step": lambda: row("training a step: one thread each", games.training_step(config), runs=9),
        "rate": lambda: row(
            "training's share of the rate of matrix products", games.floating_point_rate(config), unit="GFLOP/s"
        ),
        "sweep": lambda: row(
            f"the sweep: {len(lambdas)} lambdas, {len(seeds)} seeds, epochs of {steps} steps",
            games.sweep(config, lambdas, steps, seeds),
            runs=3,
            warm_up=0,
        ),
        "rendering": lambda: row("rendering 600 digits", reading.rendering()),
        "ferg": lambda: row(f"reading 2000 FERG images on {cores()} cores", reading.ferg(), runs=9),
        "assessment": lambda: row("assessment by one attacker of each kind", judging.assessment()),
        "no-op": lambda: row(
            "no-op dvc repro, against all stages with hollow commands", pipeline.no_op(), runs=3, warm_up=0
        ),
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="*", help="short names of measures, or growth; without any, all, and files")
    folder = root()
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    known, only = measures(params), parser.parse_args(arguments).only
    if unknown := set(only) - {*known, "growth"}:
        parser.error(f"no measure {', '.join(sorted(unknown))}; there are {', '.join(known)} and growth")
    if os.getloadavg()[0] > 0.5:
        print("THIS MACHINE IS BUSY. Threads that wait for one another suffer most: do not quote training and sweep.")
    rows = []
    for name in [name for name in known if name in (only or known)]:
        rows.append(known[name]())
        print(f"{name}: {rows[-1]['ratio']:.2f}", flush=True)
    if rows:
        print(pd.DataFrame(rows).to_string(index=False))
    grown = []
    if not only or "growth" in only:
        game = params["variants"]["stabilised"]["game"]
        grown = growth.growth(replace(GameConfig(**game), **SHORT))
        print(pd.DataFrame(grown).to_string(index=False))
        print("exponents:", {" ".join(what): round(slope, 2) for what, slope in growth.slopes(grown).items()})
    if not only:
        write_json(folder / METRICS / "bench.json", rows)
        write_json(folder / METRICS / "growth.json", grown)
        plots.save(growth.figure(grown), folder / "reports" / "figures" / "growth")


if __name__ == "__main__":
    main()
