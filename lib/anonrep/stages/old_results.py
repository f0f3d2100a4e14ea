"""Results as tables: what the stages wrote, put together, and the numbers that prose quotes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.utils.files import read_json, write_json

CONTROLS = ("permuted", "constant")  # where every attacker must fail


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
    """`collect`'s accuracy, naturalness and runs as tables; of the attackers, those who hold one image."""
    accuracy = [row for row in rows["accuracy"] if row["m"] == 1]
    return pd.DataFrame(accuracy), pd.DataFrame(rows["naturalness"]), pd.DataFrame(rows["runs"])


def write_metrics(rows: dict[str, list], folder: str | Path, private: str, kept: str) -> None:
    """The metrics files as rows: fig2.json (raw images as `lam` null), controls.json (permuted labels and a constant
    image), naturalness.json and runs.json; and summary.json, nested for `dvc metrics`."""
    folder, one = Path(folder), [row for row in rows["accuracy"] if row["m"] == 1]
    write_json(folder / "fig2.json", [row for row in one if row["variant"] not in CONTROLS])
    write_json(folder / "controls.json", [row for row in one if row["variant"] in CONTROLS])
    for kind in ("naturalness", "runs"):
        write_json(folder / f"{kind}.json", rows[kind])
    accuracy, naturalness, _ = tables(rows)
    summary = {}
    for row in trade_off(accuracy, naturalness, private, kept).to_dict("records"):
        values = {key: value for key, value in row.items() if key not in ("variant", "lam")}
        summary.setdefault(row["variant"], {})[f"lambda {row['lam']:g}"] = values
    write_json(folder / "summary.json", {**summary, "source": rows["accuracy"][0]["source"]})


@dataclass(frozen=True)
class Metrics:
    """What the Pen-digits report is written from (`read_metrics`).

    accuracy     the rows of fig2.json, then those of controls.json; `attackers` has them as a table
    naturalness  rows, as are runs, kept and epsilon
    table        their `trade_off`
    certificate  certificate.json as a table
    """

    accuracy: list[dict]
    naturalness: list[dict]
    runs: list[dict]
    kept: list[dict]
    epsilon: list[dict]
    attackers: pd.DataFrame
    table: pd.DataFrame
    certificate: pd.DataFrame

    @property
    def codes(self) -> int:
        """How many codes the finite releases of Fig. 2 started with: the first asked for."""
        return int(self.certificate[self.certificate.method == "finite"].codebook.iloc[0])


def read_metrics(folder: str | Path, private: str, kept: str) -> Metrics:
    """The metrics files in `folder`: those of `write_metrics`, and the finite release's."""
    kinds = ("fig2", "controls", "naturalness", "runs", "kept", "epsilon", "certificate")
    found = {kind: read_json(Path(folder) / f"{kind}.json") for kind in kinds}
    accuracy = found.pop("fig2") + found.pop("controls")
    attackers, certificate = pd.DataFrame(accuracy), pd.DataFrame(found.pop("certificate"))
    table = trade_off(attackers, pd.DataFrame(found["naturalness"]), private, kept)
    return Metrics(accuracy=accuracy, attackers=attackers, table=table, certificate=certificate, **found)


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


def finite_codebooks(models: str | Path, lambdas: Sequence[float]) -> pd.DataFrame:
    """The finite releases in the folder `models`, a row each: lam, codes, seed, the objective on validation, its terms
    and validation_bound."""
    rows = [row for lam in lambdas for row in read_json(Path(models) / f"lambda-{lam:g}" / "codebooks.json")]
    return pd.DataFrame(rows)


def load_codebook(models: str | Path, row: Mapping) -> Codebook:
    """The pictures and codes of one of `finite_codebooks`."""
    return Codebook.load(Path(models) / f"lambda-{row['lam']:g}" / f"codes-{row['codes']}-seed-{row['seed']}.npz")


def certified(certificate: Sequence[dict] | pd.DataFrame, codes: int) -> pd.DataFrame:
    """The bounds that Fig. 2 draws: variant, lam, seed, bound of the finite releases with `codes` codes, one image."""
    rows = pd.DataFrame(certificate)
    rows = rows[(rows.method == "finite") & (rows.codebook == codes) & (rows.m == 1)]
    return rows.assign(variant="finite")[["variant", "lam", "seed", "bound"]]


def worst(accuracy: pd.DataFrame, task: str) -> pd.DataFrame:
    """The rows, one a seed, of the attacker that does best on `task` for each variant and lambda.

    Best is the largest mean over the seeds that an attacker was set on, so that one set on fewer still counts.
    """
    rows = accuracy[accuracy.task == task]
    key = ["variant", "lam"]
    means = rows.groupby([*key, "attacker"], dropna=False, sort=False, as_index=False).accuracy.mean()
    best = means.loc[means.groupby(key, dropna=False).accuracy.idxmax(), [*key, "attacker"]]
    return rows.merge(best, on=[*key, "attacker"])


def trade_off(accuracy: pd.DataFrame, naturalness: pd.DataFrame, private: str, kept: str) -> pd.DataFrame:
    """A row for each variant and lambda, means over seeds, fractions.

    private_cnn, kept_cnn   the paper's protocol: a fresh plain network
    private_worst           the best attacker of the suite (`worst`), and which one it is
    naturalness, ssim, two_sample
    """
    if naturalness.empty:
        raise ValueError("every run of every variant collapsed: there is no release to judge (see runs.json)")
    cnn = accuracy[accuracy.attacker == "cnn"]
    strongest = worst(accuracy, private)
    key = ["variant", "lam"]
    columns = {
        "private_cnn": cnn[cnn.task == private].groupby(key).accuracy.mean(),
        "private_worst": strongest.groupby(key).accuracy.mean(),
        "worst_attacker": strongest.groupby(key).attacker.first(),
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


def limited(rows: Iterable[Mapping] | pd.DataFrame) -> str:
    """Which attackers never learned from as many training images as others did, in sentences; "" if there is none.

    `rows`: of attackers, with `n_train` where it is known.
    """
    learned = pd.DataFrame(rows, columns=["attacker", "n_train"]).dropna().groupby("attacker", sort=False).max()
    few = learned.n_train[learned.n_train < learned.n_train.max()]
    if few.empty:
        return ""
    names = " and ".join(f"{name} learned from {count:.0f}" for name, count in few.items())
    return (
        f"Of {learned.n_train.max():.0f} training images {names}, drawn at random: what these cost grows with the "
        "square of the number (pairwise_images in the parameters). With all images they may find more."
    )


def percent(value: float) -> str:
    """A fraction as prose writes it: "14.3 %"."""
    return f"{100 * value:.1f} %"


def over_seeds(n: float) -> str:
    """How many seeds a number stands for, as a sentence begins: "Means over 3 seeds"."""
    return "One seed" if n == 1 else f"Means over {n:g} seeds"
