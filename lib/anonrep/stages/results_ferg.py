"""Table 1 as rows and as a table: what is read from faces after each method, for each person shown in their place."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from anonrep.stages.old_results import percent
from anonrep.utils.files import read_json

PAPER = {  # Table 1 of the paper, on FERG-DB: target to identity and expression, after substitution
    0: (0.4247, 0.7245),
    2: (0.3825, 0.7746),
    3: (0.3621, 0.7232),
    4: (0.3277, 0.6679),
    5: (0.3162, 0.7295),
}
METHODS = ("raw", "standard", "restricted", "pixels", "substituted", "finite")
READER = "raw reader"  # no attacker: a network trained on raw images alone, as our eyes are
ASKED = (0.15, 0.7)  # identity above the majority at most, expression at least


def collect(references: str | Path, cells: str | Path, splits: Sequence[str], targets: Sequence[int]) -> list[dict]:
    """The rows of table1.json: each split's references, then its targets'. The grid is an argument, never a glob."""
    rows = []
    for split in splits:
        rows += read_json(Path(references) / split / "references" / "table.json")
        for target in targets:
            rows += read_json(Path(cells) / f"{split}-{target}.json")
    return rows


def certificates(models: str | Path, splits: Sequence[str]) -> list[dict]:
    """The rows of ferg_certificate.json, one a split."""
    return [row for split in splits for row in read_json(Path(models) / split / "finite" / "certificate.json")]


def releases(rows: Sequence[dict]) -> pd.DataFrame:
    """A row for each split, method and target, accuracies as fractions.

    identity, expression          of the best attacker, and which it is: identity_by, expression_by
    identity_cnn, expression_cnn  of a fresh plain network, the paper's protocol; missing where none was set on it
    recognised, readable          identity, where not all show one target, and expression, as read by the raw readers
    pose, gaze                    of three sides, where they are recorded
    """
    found = []
    table = pd.DataFrame(rows)
    for key, mine in table.groupby(["split", "method", "target"], dropna=False, sort=False):
        row = dict(zip(("split", "method", "target"), key, strict=True))
        for task, ones in mine[mine.attacker != READER].groupby("task", sort=False):
            best = ones.loc[ones.accuracy.idxmax()]
            row |= {
                task: best.accuracy,
                f"{task}_low": best.low,
                f"{task}_high": best.high,
                f"{task}_by": best.attacker,
            }
            row[f"{task}_cnn"] = ones[ones.attacker == "cnn"].accuracy.mean()
        read = mine[mine.attacker == READER].groupby("task").accuracy.mean()
        found.append(row | {"recognised": read.get("identity"), "readable": read.get("expression")})
    return pd.DataFrame(found)


def majority(rows: Sequence[dict], split: str) -> float:
    """The accuracy of who names the commonest person for every image."""
    return next(
        r["accuracy"] for r in rows if (r["split"], r["attacker"], r["task"]) == (split, "majority", "identity")
    )


def best_target(table: pd.DataFrame, split: str) -> pd.Series | None:
    """After substitution, of the targets that keep the expression (ASKED) the one with the least identity.

    Where none keeps it, the one that keeps most; None where every game collapsed. `table`: `releases`.
    """
    mine = table[(table.split == split) & (table.method == "substituted")]
    keeping = mine[mine.expression >= ASKED[1]]
    if len(keeping):
        return keeping.loc[keeping.identity.idxmin()]
    return mine.loc[mine.expression.idxmax()] if len(mine) else None


def with_interval(row: pd.Series, task: str) -> str:
    """ "36.2 % (34.1 to 38.3, trees)", or a dash."""
    if pd.isna(row.get(task)):
        return "–"
    return (
        f"{percent(row[task])} ({100 * row[f'{task}_low']:.1f} to {100 * row[f'{task}_high']:.1f}, {row[f'{task}_by']})"
    )
