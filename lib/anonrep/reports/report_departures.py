"""The departures from the paper in words and tables: why each is made, and what it buys."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from anonrep.evaluation.attackers import FEW
from anonrep.stages.old_results import Metrics, percent
from anonrep.utils.files import read_json

REASONS = {
    "kl": "phase (i) trains a variational autoencoder: its decoder draws a digit for any code near its data's",
    "freeze_decoder": "the encoder plays alone, so that every output stays on the decoder's manifold",
    "pixel_anchor": "weight of the squared error between image and redrawn image: the digit stays the same digit",
    "anchor_blur": "width of the box both are blurred by first: a stroke may move a little, where the hand is",
    "r1": "penalty on the discriminator's gradient at real images: it cannot run away",
    "warm_up_epochs": "of the private classifier before lambda acts: no shock",
    "ema": "the released encoder is an average over the game's oscillation",
    "clip": "largest gradient norm of the autoencoder: no single batch throws it off",
    "adam_eps": "Adam's: small steps where both losses are flat",
}


def departures_table(game: dict) -> pd.DataFrame:
    """The departures from the paper that a variant's `game` makes, their values and reasons."""
    made = {name: game[name] for name in REASONS if game.get(name)}
    values = ["yes" if value is True else f"{value:g}" for value in made.values()]
    return pd.DataFrame({"departure": list(made), "value": values, "why": [REASONS[name] for name in made]})


def ablation_cells(folder: str | Path, found: Metrics, variant: str, ablation: dict) -> dict[str, dict]:
    """What stage `ablation` wrote to `folder`, by the departure that was taken back, after the grid's own rows.

    `ablation`: that of params.yaml, with `lam`, `seeds` and `without`.
    """
    lam, seeds = ablation["lam"], ablation["seeds"]
    if not any((run["variant"], run["lam"]) == (variant, lam) for run in found.runs):
        raise ValueError(f"no run of {variant} at lambda {lam:g}: ablation.lam must be one of the grid's lambdas")
    grid = {
        kind: [row for row in rows if (row["variant"], row["lam"]) == (variant, lam) and row["seed"] in seeds]
        for kind, rows in {"accuracy": found.accuracy, "naturalness": found.naturalness, "runs": found.runs}.items()
    }
    return {"nothing": grid} | {name: read_json(Path(folder) / f"{name}.json") for name in ablation["without"]}


def ablation_table(cells: Mapping[str, dict], private: str, kept: str) -> pd.DataFrame:
    """A row for each departure taken back, from `ablation_cells`; of the attackers FEW, whom all cells have met."""
    rows = []
    for name, cell in cells.items():
        row = {"taken back": name}
        if any(run["collapsed"] for run in cell["runs"]):
            rows.append(row | {f"{private}, CNN": "collapsed"})
            continue
        accuracy = pd.DataFrame([row for row in cell["accuracy"] if row["m"] == 1 and row["attacker"] in FEW])
        natural = pd.DataFrame(cell["naturalness"])
        cnn, mine = accuracy[accuracy.attacker == "cnn"], accuracy[accuracy.task == private]
        rows.append(
            row
            | {
                f"{private}, CNN": percent(cnn[cnn.task == private].accuracy.mean()),
                f"{private}, best attacker": percent(mine.groupby("attacker").accuracy.mean().max()),
                f"{kept}, CNN": percent(cnn[cnn.task == kept].accuracy.mean()),
                f"{kept}, raw reader": percent(natural[f"{kept}_accuracy"].mean()),
                "told from real": percent(natural.two_sample_accuracy.mean()),
            }
        )
    return pd.DataFrame(rows).fillna("")


def ablation_runs(cells: Mapping[str, dict]) -> list[dict]:
    """The runs of all cells."""
    return [run for cell in cells.values() for run in cell["runs"]]
