"""The audit's results as rows: what the stages of the grid and of the audit wrote, under the same names.

A variant of ours is a method like any other, and lambda is its setting.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from anonrep.data.dataset import Dataset
from anonrep.stages.old_results import collect
from anonrep.utils.files import read_json, write_json

RELEASE = ["dataset", "method", "setting", "seed"]


def file_name(setting: float | None) -> str:
    """A baseline's setting in a file's name."""
    return "only" if setting is None else f"{setting:g}"


@dataclass(frozen=True)
class Audit:
    """What the audit's report is written from (`put_together`).

    audited   the rows of audit.json (`audited`); `attackers` has them as a table
    releases  the rows of baselines.json (`releases`); `table` has their means over seeds
    runs      a row for each run of the grid and of the baselines: dataset, method, setting, seed, collapsed, ...
    """

    audited: list[dict]
    releases: list[dict]
    runs: list[dict]

    def write(self, folder: str | Path) -> None:
        """audit.json and baselines.json."""
        write_json(Path(folder) / "audit.json", self.audited)
        write_json(Path(folder) / "baselines.json", self.releases)

    @cached_property
    def attackers(self) -> pd.DataFrame:
        """`audited` as a table."""
        return pd.DataFrame(self.audited)

    @cached_property
    def table(self) -> pd.DataFrame:
        """`over_seeds` of the releases."""
        return over_seeds(self.releases)


def put_together(
    grid: Mapping[str, list[dict]],
    others: Mapping[str, list[dict]],
    outsiders: Iterable[dict],
    points: Mapping[str, float],
    private: str,
    kept: str,
) -> Audit:
    """The audit of `points` {variant: lambda}, and every release, of what `gather` and `gather_baselines` give."""
    found = {kind: [*grid[kind], *others[kind]] for kind in grid}
    rows = releases(found["accuracy"], found["naturalness"], private, kept)
    return Audit(audited(grid["accuracy"], outsiders, points), rows, found["runs"])


def gather(
    controls: str | Path, cells: str | Path, names: Sequence[str], lambdas: Sequence[float], dataset: str
) -> dict[str, list[dict]]:
    """The grid's rows (`results.collect`) with the columns dataset, method and setting."""

    def renamed(row: dict) -> dict:
        rest = {key: value for key, value in row.items() if key not in ("variant", "lam")}
        return {"dataset": dataset, "method": row["variant"], "setting": row["lam"], **rest}

    found = collect(controls, cells, names, lambdas)
    return {kind: [renamed(row) for row in rows] for kind, rows in found.items()}


def gather_baselines(folder: str | Path, methods: Sequence[str]) -> dict[str, list[dict]]:
    """The rows of the baselines in `folder`: accuracy, naturalness and runs."""
    rows = {"accuracy": [], "naturalness": [], "runs": []}
    for method in methods:
        for kind, found in read_json(Path(folder) / f"{method}.json").items():
            rows[kind] += found
    return rows


def audited(grid: Iterable[dict], outsiders: Iterable[dict], points: Mapping[str, float]) -> list[dict]:
    """audit.json: a row for each attacker on the controls and on the audited `points` {variant: lambda}.

    Columns: dataset, method (raw, permuted, constant or a variant), setting (lambda), seed, task, knowledge (what the
    attacker was trained on), those of `assessment.attack_rows`, and source.
    """
    shown = [row for row in grid if row["setting"] is None or points.get(row["method"]) == row["setting"]]
    return [{**row, "knowledge": "release"} for row in shown] + list(outsiders)


def releases(accuracy: Iterable[dict], naturalness: Iterable[dict], private: str, kept: str) -> list[dict]:
    """baselines.json: a row for each release, a seed for itself, in the order of `naturalness`.

    worst_attacker, attacker  test accuracy of the attacker of one image who does best on the private label; its name
    attackers                 how many were set on it: the whole suite on the first seed, fewer on the others
    low, high                 of worst_attacker, simultaneous over them
    information               the largest lower bound on I(Z; X_hat) that any of them gives, in nats
    utility                   the paper's protocol: a fresh convolutional network on what is to be kept
    naturalness               what is to be kept, read by a network trained on raw images
    """
    found = defaultdict(list)
    for row in accuracy:
        if row["m"] == 1:
            found[(*(row[name] for name in RELEASE), row["task"])].append(row)
    rows = []
    for judged in naturalness:
        key = tuple(judged[name] for name in RELEASE)
        attacked = found[(*key, private)]
        best = max(attacked, key=lambda row: row["accuracy"])
        (read,) = (row["accuracy"] for row in found[(*key, kept)] if row["attacker"] == "cnn")
        rows.append(
            dict(zip(RELEASE, key, strict=True))
            | {"worst_attacker": best["accuracy"], **{name: best[name] for name in ("attacker", "attackers")}}
            | {"low": best["low"], "high": best["high"], "information": max(row["information"] for row in attacked)}
            | {"utility": read, "naturalness": judged[f"{kept}_accuracy"], "source": judged["source"]}
        )
    return rows


def strips(
    data: Dataset, models: str | Path, runs: Iterable[dict], points: Mapping[str, float], attribute: str
) -> dict[tuple[str, float | None], np.ndarray]:
    """The same test images, one for each value of `attribute`, as releases show them: {(method, setting): uint8}.

    First raw, then the audited `points` {variant: lambda} and every baseline, each as its first seed that did not
    collapse released it. `runs`: rows method, setting, seed, collapsed, of the grid and of the baselines.
    """
    values, test = data.attributes[attribute], np.flatnonzero(data.split == 2)
    chosen = [test[values[test] == value][0] for value in np.unique(values[test])]
    found = {("raw", None): data.images[chosen]}
    variants = {path.parent.name for path in Path(models).glob("*/lambda-*")}
    for run in runs:
        method, setting, ours = run["method"], run["setting"], run["method"] in variants
        if run["collapsed"] or (method, setting) in found or (ours and points.get(method) != setting):
            continue
        folder = f"{method}/lambda-{setting:g}/seed" if ours else f"baselines/{method}/{file_name(setting)}"
        found[method, setting] = Dataset.load(Path(models) / f"{folder}-{run['seed']}.npz").images[chosen]
    return found


def strips_by_lambda(
    data: Dataset,
    models: str | Path,
    runs: Iterable[dict],
    names: Sequence[str],
    lambdas: Sequence[float],
    attribute: str,
) -> dict[tuple[str, float | None], np.ndarray]:
    """`strips` of the variants `names` alone, at every lambda."""
    ours, found = [run for run in runs if run["method"] in names], {}
    for lam in lambdas:
        found |= strips(data, models, ours, dict.fromkeys(names, lam), attribute)
    return found


def surrogates(models: str | Path, points: Mapping[str, float]) -> dict[str, float]:
    """| L_obj - L | of eq. 11 in the last epoch, for each of `points` {variant: lambda} that was played: nats."""
    found = {}
    for variant, lam in points.items():
        folder = Path(models) / variant / f"lambda-{lam:g}"
        history = pd.DataFrame(read_json(folder / "history.json"))
        played = [run["seed"] for run in read_json(folder / "runs.json") if not run["collapsed"]]
        if played and "private" in history:
            last = history[history.seed == played[0]].iloc[-1]
            found[variant] = float(abs(last.objective - last.private))
    return found


def over_seeds(rows: Iterable[dict]) -> pd.DataFrame:
    """`releases` by method and setting: means over seeds, the least and the greatest worst_attacker, and how many."""
    rows = list(rows)
    if not rows:
        raise ValueError("every run of every method collapsed: there is no release to compare")
    groups = pd.DataFrame(rows).astype({"setting": float}).groupby(["method", "setting"], dropna=False, sort=False)
    means = groups[["worst_attacker", "utility", "naturalness", "information"]].mean()
    spread = groups.worst_attacker.agg(least="min", greatest="max", seeds="size")
    first = groups[["worst_attacker", "attacker"]].first().rename(columns={"worst_attacker": "first"})
    return means.join(spread).join(first).reset_index()


def better(table: pd.DataFrame, method: str, setting: float, others: Sequence[str]) -> pd.DataFrame:
    """The rows of `over_seeds`, of `others`, that beat one release: no worse in all three measures, better in one."""
    mine = table[(table.method == method) & (table.setting == setting)].iloc[0]
    rows = table[table.method.isin(others)]
    gains = pd.DataFrame(
        {
            "privacy": mine["first"] - rows["first"],  # the whole suite's; on other seeds there are fewer attackers
            "utility": rows.utility - mine.utility,
            "naturalness": rows.naturalness - mine.naturalness,
        }
    ).round(9)
    return rows[(gains >= 0).all(axis=1) & (gains > 0).any(axis=1)]
