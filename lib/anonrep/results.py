"""Results as tables: what the stages wrote, put together, and the numbers that prose quotes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from anonrep.dataset import Dataset
from anonrep.files import read_json, write_json


def collect(
    controls: str | Path, folder: str | Path, names: Sequence[str], lambdas: Sequence[float]
) -> dict[str, list]:
    """The rows of every stage of the grid: `accuracy` (controls first), `naturalness`, `runs`.

    The grid is an argument, never what happens to lie in `folder`: a lambda taken back leaves no ghost.
    """
    rows = {"accuracy": list(read_json(controls)), "naturalness": [], "runs": []}
    for name in names:
        for lam in lambdas:
            for kind, found in read_json(Path(folder) / f"{name}-{lam}.json").items():
                rows[kind] += found
    return rows


def tables(rows: dict[str, list]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """`collect`'s accuracy, naturalness and runs as tables; columns are there even when every run collapsed."""
    natural = ["variant", "lam", "seed", "ssim", "two_sample_accuracy"]
    columns = {"accuracy": None, "naturalness": None if rows["naturalness"] else natural, "runs": None}
    return tuple(pd.DataFrame(rows[kind], columns=names) for kind, names in columns.items())


def write_metrics(rows: dict[str, list], folder: str | Path, private: str, kept: str) -> None:
    """The metrics files: fig2.json, naturalness.json and runs.json as rows, summary.json nested for `dvc metrics`."""
    folder = Path(folder)
    for name, kind in {"fig2": "accuracy", "naturalness": "naturalness", "runs": "runs"}.items():
        write_json(folder / f"{name}.json", rows[kind])
    accuracy, naturalness, _ = tables(rows)
    summary = {}
    for row in trade_off(accuracy, naturalness, private, kept).to_dict("records"):
        values = {key: value for key, value in row.items() if key not in ("variant", "lam")}
        summary.setdefault(row["variant"], {})[f"lambda {row['lam']:g}"] = values
    write_json(folder / "summary.json", {**summary, "source": rows["accuracy"][0]["source"]})


def strips(data: Dataset, models: str | Path, runs: Sequence[dict], attribute: str) -> dict[str, dict[str, np.ndarray]]:
    """For each variant and lambda the same test images, one for each value of `attribute`, as the first seed releases
    them; the raw ones first. A collapsed run has no row."""
    values, labels = data.attributes[attribute], np.flatnonzero(data.split == 2)
    chosen = [labels[values[labels] == value][0] for value in np.unique(values[labels])]
    found: dict[str, dict[str, np.ndarray]] = {}
    for run in runs:
        rows = found.setdefault(run["variant"], {"raw": data.images[chosen]})
        label = f"λ = {run['lam']:g}"
        if not run["collapsed"] and label not in rows:
            path = Path(models) / run["variant"] / f"lambda-{run['lam']:g}" / f"seed-{run['seed']}.npz"
            rows[label] = Dataset.load(path).images[chosen]
    return found


def worst(accuracy: pd.DataFrame, task: str) -> pd.DataFrame:
    """For each variant, lambda and seed the row of the attacker that did best on `task`."""
    rows = accuracy[accuracy.task == task]
    return rows.loc[rows.groupby(["variant", "lam", "seed"], dropna=False).accuracy.idxmax()]


def over_seeds(rows: pd.DataFrame, by: Sequence[str], value: str = "accuracy") -> pd.DataFrame:
    """Mean, smallest and largest of `value` over seeds, and how many seeds there are."""
    return rows.groupby(list(by), dropna=False)[value].agg(["mean", "min", "max", "count"]).reset_index()


def trade_off(accuracy: pd.DataFrame, naturalness: pd.DataFrame, private: str, kept: str) -> pd.DataFrame:
    """A row for each variant and lambda, means over seeds, fractions.

    private_cnn, kept_cnn   the paper's protocol: a fresh plain network
    private_worst           the best attacker of the suite on each seed's release, and its name on most seeds
    naturalness, ssim, two_sample
    """
    cnn = accuracy[accuracy.attacker == "cnn"]
    strongest = worst(accuracy, private)
    key = ["variant", "lam"]
    columns = {
        "private_cnn": cnn[cnn.task == private].groupby(key).accuracy.mean(),
        "private_worst": strongest.groupby(key).accuracy.mean(),
        "worst_attacker": strongest.groupby(key).attacker.agg(lambda names: names.mode()[0]),
        "kept_cnn": cnn[cnn.task == kept].groupby(key).accuracy.mean(),
        "naturalness": naturalness.groupby(key)[f"{kept}_accuracy"].mean(),
        "ssim": naturalness.groupby(key).ssim.mean(),
        "two_sample": naturalness.groupby(key).two_sample_accuracy.mean(),
        "seeds": naturalness.groupby(key).size(),
    }
    return pd.DataFrame(columns).reset_index()


def operating_point(table: pd.DataFrame, variant: str, *, kept: float, naturalness: float) -> pd.Series | None:
    """Of one variant the lambda with the least `private_cnn` among those that keep enough; None when there is none."""
    rows = table[(table.variant == variant) & (table.kept_cnn >= kept) & (table.naturalness >= naturalness)]
    return None if rows.empty else rows.loc[rows.private_cnn.idxmin()]


def percent(value: float) -> str:
    """A fraction as prose writes it: "14.3 %"."""
    return f"{100 * value:.1f} %"
