"""What the audit says in words and tables: every number comes from the rows it is handed (`results_audit`)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from anonrep.evaluation.information import least_error
from anonrep.reports import old_elements as elements
from anonrep.reports.plots_audit import BASELINES, OURS, named
from anonrep.stages.old_results import percent
from anonrep.stages.results_audit import better

PARETO_ALT = (
    "Accuracy of the best attacker on the private label against what is kept, for our variants at every lambda and for "
    "the baselines: lower and further right is better."
)
PARETO_CAPTION = (
    "A point a release, mean over seeds; bars reach from the least seed to the greatest. Numbers are lambdas for what "
    "is trained, and settings for what is not; only the first and the last are written. The first seed faces the whole "
    "suite, further seeds one attacker of each kind."
)
HELD_ALT = "Accuracy of the best attacker against how many images of one person it holds, for each audited release."
COLUMNS = ("worst_attacker", "utility", "naturalness")  # of the slider
KNOWLEDGE = {
    "release": "released training images",
    "raw": "raw images",
    "unseen": "released images the anonymiser was not trained on",
    "as few": "as few, that it was trained on",
}


def verdict(table: pd.DataFrame, points: Mapping[str, float], private: str) -> str:
    """What beats our variants, first, and then what does not. `table`: `results_audit.over_seeds`."""
    lost, kept = [], []
    for variant, lam in points.items():
        if not ((table.method == variant) & (table.setting == lam)).any():
            lost.append(f"- `{variant}` at λ = {lam:g} collapsed: there is no release to compare.")
            continue
        beaten_by = better(table, variant, lam, [*BASELINES, *(name for name in OURS if name != variant)])
        words = [named(row.method, row.setting) for row in beaten_by.itertuples()]
        if words:
            lost.append(f"- `{variant}` at λ = {lam:g} **loses** to {', '.join(words)}: no worse in any of the three.")
        else:
            kept.append(f"- `{variant}` at λ = {lam:g} is beaten by no release here in all three.")
    head = (
        f"Three things are measured of each release: how often the best attacker names the {private}, what a fresh "
        "network finds of what is to be kept, and what a network of raw images still reads."
    )
    return "\n".join([head, "", *lost, *kept])


def claim(rows: pd.DataFrame, variant: str, lam: float, private: str) -> str:
    """What may be said of one release: the attackers tried and the interval. `rows`: `results_audit.audited`."""
    mine = rows[(rows.method == variant) & (rows.setting == lam) & (rows.task == private) & (rows.m == 1)]
    mine = mine[mine.knowledge == "release"]
    if mine.empty:
        return f"`{variant}` at λ = {lam:g} collapsed and is no evidence of privacy."
    first = mine[mine.seed == mine.seed.iloc[0]]
    best = first.loc[first.accuracy.idxmax()]
    more = mine[mine.seed != best.seed]
    tops = more.groupby("seed").accuracy.max()
    spread = (
        f" On {len(tops)} more seed{'s' * (len(tops) > 1)} the best of {more.attackers.max()} attackers finds "
        f"{percent(tops.min())} to {percent(tops.max())}."
        if len(tops)
        else ""
    )
    return (
        f"`{variant}` at λ = {lam:g}, seed {best.seed}: the best of {best.attackers} attackers, `{best.attacker}`, "
        f"names the {private} in **{percent(best.accuracy)}** of {best.n} released images ({percent(best.low)} to "
        f"{percent(best.high)}, all intervals together at 95 %). No attacker of this suite exceeded that; another "
        f"might.{spread}"
    )


def attackers_table(rows: pd.DataFrame, points: Mapping[str, float], private: str) -> pd.DataFrame:
    """Every attacker of one image on the three controls and on the audited releases, first seed, with intervals."""
    rows = rows[(rows.task == private) & (rows.m == 1) & (rows.knowledge == "release")]
    columns = {method: rows[rows.method == method] for method in ("raw", "permuted", "constant")}
    for variant, lam in points.items():
        columns[named(variant, lam)] = rows[(rows.method == variant) & (rows.setting == lam)]
    columns = {name: mine[mine.seed == mine.seed.min()].set_index("attacker") for name, mine in columns.items()}
    table = pd.DataFrame({name: mine.apply(_with_interval, axis=1) for name, mine in columns.items() if len(mine)})
    order = rows.attacker.unique()
    return table.reindex(order).fillna("–").rename_axis("attacker").reset_index()


def _with_interval(row: pd.Series) -> str:
    return f"{percent(row.accuracy)} ({100 * row.low:.1f} to {100 * row.high:.1f})"


def best(rows: pd.DataFrame, points: Mapping[str, float], private: str) -> pd.DataFrame:
    """The best attacker by release, knowledge and m, first seed: the row itself, with the release's name."""
    rows = rows[rows.task == private]
    kinds = {"raw": rows[rows.method == "raw"]}
    kinds |= {named(v, lam): rows[(rows.method == v) & (rows.setting == lam)] for v, lam in points.items()}
    found = []
    for name, mine in kinds.items():
        mine = mine[mine.seed == mine.seed.min()]
        top = mine.loc[mine.groupby(["knowledge", "m"], sort=False).accuracy.idxmax()]
        found.append(top.assign(release=name))
    return pd.concat(found, ignore_index=True)


def certified(certificate: Sequence[dict], points: Mapping[str, float]) -> pd.DataFrame:
    """The certificate at the audited points, at Fig. 2's number of codes and on the first seed; empty where there is
    none: method, release, m, bound and information_bound (nats)."""
    rows = pd.DataFrame(certificate)
    rows = rows[[row.method in points and points[row.method] == row.lam for row in rows.itertuples()]]
    rows = rows[(rows.codebook == rows.codebook.iloc[0]) & (rows.seed == rows.seed.min())] if len(rows) else rows
    names = [named(row.method, row.lam) for row in rows.itertuples()]
    return rows.assign(release=names)[["method", "release", "m", "bound", "information_bound"]]


def knowledge_table(top: pd.DataFrame) -> pd.DataFrame:
    """The best attacker of one image by what it was trained on. `top`: `best`."""
    one = top[top.m == 1]
    cells = one.assign(cell=one.apply(lambda row: f"{_with_interval(row)}, {row.attacker}", axis=1))
    wide = cells.pivot_table(index="release", columns="knowledge", values="cell", aggfunc="first", sort=False)
    wide = wide.reindex(columns=[name for name in KNOWLEDGE if name in wide]).rename(columns=KNOWLEDGE).fillna("–")
    return wide.rename_axis("trained on", axis=1).reset_index()


def information_table(
    rows: pd.DataFrame,
    points: Mapping[str, float],
    surrogate: Mapping[str, float],
    bounds: pd.DataFrame,
    private: str,
    p_z: np.ndarray,
) -> pd.DataFrame:
    """Nats that a release tells about the private label: bounds from below by attackers, from above where there is one.

    surrogate  {variant: | L_obj - L | at the end of training}, of the first seed
    bounds     `certified`
    """
    upper = bounds[bounds.m == 1].set_index("method").information_bound
    one = rows[(rows.task == private) & (rows.m == 1) & (rows.knowledge == "release")]
    kinds = {"raw": one[one.method == "raw"]}
    kinds |= {v: one[(one.method == v) & (one.setting == lam)] for v, lam in points.items()}
    lines = []
    for method, mine in kinds.items():
        mine = mine[mine.seed == mine.seed.min()]
        if mine.empty:
            continue
        row = {"release": named(method, points.get(method))}
        for title, column in {
            "lower bound, from belief": "information",
            "its limit, 95 %": "information_low",
            "lower bound, Fano": "information_fano",
        }.items():
            at = mine.loc[mine[column].idxmax()]
            row[title] = f"{at[column]:.2f} ({at.attacker})"
        row["surrogate of eq. 11"] = f"{surrogate[method]:.2f}" if method in surrogate else "–"
        row["upper bound"] = f"{upper[method]:.3f}" if method in upper else "none"
        row["so every classifier errs in at least"] = (
            percent(least_error(upper[method], p_z)) if method in upper else "nothing follows"
        )
        lines.append(row)
    return pd.DataFrame(lines)


def releases_table(table: pd.DataFrame, private: str, kept: str) -> pd.DataFrame:
    """`results_audit.over_seeds` for people to read, the most private first."""
    table = table.sort_values("worst_attacker")
    several = table.seeds > 1
    low, high = ((100 * table[end]).map("{:.1f}".format) for end in ("least", "greatest"))
    spread = " (" + low + " to " + high + ")"
    return pd.DataFrame(
        {
            "release": [named(row.method, row.setting) for row in table.itertuples()],
            f"{private}, best attacker": table.worst_attacker.map(percent) + spread.where(several, ""),
            "which, first seed": table.attacker,
            f"{kept}, fresh network": table.utility.map(percent),
            f"{kept}, raw reader": table.naturalness.map(percent),
            "I(Z; X̂) at least": table.information.map("{:.2f} nats".format),
            "seeds": table.seeds,
        }
    )


def lambda_slider(
    table: pd.DataFrame,
    private: str,
    kept: str,
    images: Mapping[tuple[str, float | None], np.ndarray] | None = None,
) -> str:
    """A slider over lambda: what every variant discloses and keeps there, means over seeds.

    table   `results_audit.over_seeds`
    images  {(method, setting): uint8 (K, H, W)}, raw ones with None, to be shown beside the numbers
    """
    mine, images = table[table.method.isin(list(OURS))], images or {}
    panels = {}
    for lam in sorted(mine.setting.unique()):
        rows = [_line("raw", [], images.get(("raw", None), []))] if images else []
        for variant in OURS:
            measured = mine[(mine.method == variant) & (mine.setting == lam)]
            numbers = [percent(measured[column].mean()) for column in COLUMNS] if len(measured) else []
            rows.append(_line(variant, numbers, images.get((variant, lam), [])))
        heads = [f"{private},<br>best attacker", f"{kept},<br>fresh network", f"{kept},<br>raw reader"]
        panels[f"{lam:g}"] = elements.table([("", [_apart(head) for head in heads]), *rows], 40)
    return elements.slider("lambda", "λ", panels)


def _line(name: str, numbers: Sequence[str], images: Sequence[np.ndarray]) -> tuple[str, list[elements.Cell | str]]:
    """A row of the slider's table; without numbers, dashes: not measured here, or every run collapsed."""
    shown = [(image, f"{name}, image {number}") for number, image in enumerate(images, 1)]
    return f"<code>{name}</code>", [*map(_apart, numbers or ["–"] * len(COLUMNS)), *shown]


def _apart(cell: str) -> str:
    return f'<div style="padding:0 8px">{cell}</div>'


def stability(rows: Sequence[dict], runs: Sequence[dict]) -> pd.DataFrame:
    """How much releases differ from seed to seed: a row for each method and setting with several seeds.

    rows  `results_audit.releases`;  runs  method, setting, seed, collapsed
    """
    table, lines = pd.DataFrame(rows), []
    for (method, setting), mine in pd.DataFrame(runs).groupby(["method", "setting"], dropna=False, sort=False):
        if len(mine) < 2:
            continue
        found = table[(table.method == method) & (table.setting == setting)]
        line = {"release": named(method, setting), "seeds": len(mine), "collapsed": int(mine.collapsed.notna().sum())}
        for column, title in {
            "worst_attacker": "best attacker",
            "utility": "fresh network",
            "naturalness": "raw reader",
        }.items():
            values = found[column]
            line[title] = f"{percent(values.min())} to {percent(values.max())}" if len(values) else "–"
        lines.append(line)
    return pd.DataFrame(lines)
