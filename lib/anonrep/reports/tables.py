"""Tables of the reports, from the rows they are handed (`stages.results.Results`).

In a cell, a line break begins a line in small letters (`elements.data_table`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from IPython.display import HTML

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.evaluation.attackers import FEW
from anonrep.evaluation.information import least_error
from anonrep.reports import elements
from anonrep.reports.figures import BASELINES, FACES, OURS, PAPER, RIVALS, named, release_name, synthetic, title_suffix
from anonrep.stages.results import KEY, READER, Results
from anonrep.utils import project
from anonrep.utils.text import at_most, percent

Point = Mapping[str, object]  # of a release: split, method, setting, target
ATTACKED = {  # what the attackers of a row were trained on
    "release": "released training images",
    "raw": "raw images",
    "unseen": "released images the anonymiser was not trained on",
    "as few": "as few, that it was trained on",
}
DEAD = "did not train"  # in the place of the accuracy of a network that ended at chance on its own training images
VARIANTS = ("faithful", "stabilised")
TERMS = {"": "the paper's", "-reversal": "gradient reversal", "-kl": "divergence"}  # of the autoencoder, by end of name
REASONS = {  # of the departures from the paper
    "kl": "phase (i) trains a variational autoencoder: its decoder draws a good image for any code near its data's",
    "freeze_decoder": "the encoder plays alone, so that every output stays on the decoder's manifold",
    "pixel_anchor": "weight of the squared error between image and reconstruction: a digit stays the same digit",
    "anchor_blur": "width of the box that blurs both first: a stroke may move a little, where the hand is",
    "r1": "penalty on the discriminator's gradient at real images: it cannot run away",
    "warm_up_epochs": "epochs of the private classifier before lambda acts: no shock",
    "ema": "the released encoder is an average over the game's oscillation",
    "clip": "largest gradient norm of the autoencoder: no single batch throws it off",
    "adam_eps": "Adam's epsilon: small steps where both losses are flat",
}


def caption(source: str, setting: str) -> str:
    """The title of every table where the data is synthetic or the setting is a small one; otherwise none."""
    return title_suffix(source, setting) if synthetic(source) or setting != "full" else ""


def show(table: pd.DataFrame, *, source: str, setting: str, words: bool = False) -> HTML:
    """A table for display, with its `caption`. `words`: the cells are text that may be broken into lines."""
    return HTML(elements.data_table(table, caption(source, setting), words=words))


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown; the small lines of a cell stand in brackets."""
    lines = [list(table), ["---"] * len(table.columns), *table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(_one_line(cell) for cell in line)} |" for line in lines)


def _one_line(cell: object) -> str:
    first, *small = str(cell).split("\n")
    return f"{first} ({', '.join(small)})" if small else first


def at(rows: pd.DataFrame, **key: object) -> pd.DataFrame:
    """The rows with these values; None stands for a missing one."""
    for name, value in key.items():
        rows = rows[rows[name].isna() if value is None or value != value else rows[name] == value]
    return rows


def chance(results: Results, split: str) -> float:
    """The largest share of a private label, at least 1/|Z| (`Dataset.chance`)."""
    return results.about["chance"][split]


def bounds(results: Results) -> pd.DataFrame:
    """The certificate's rows, where clips stay whole with the bound that counts clips, and `draws`: what is counted."""
    rows = results.certificate
    if rows.empty:
        return pd.DataFrame(columns=["split", "method", "setting", "target", "seed", "codes", "m", "bound", "draws"])
    rows = rows.assign(draws=rows.n.map("{:g} test images".format))
    if "clip_bound" in rows:
        clips = (rows.split == "clips") & rows.clip_bound.notna()
        rows.loc[clips, "bound"] = rows.clip_bound
        rows.loc[clips, "draws"] = rows.clips.map("{:g} test clips".format)
    return rows


def first_codes(results: Results) -> pd.DataFrame:
    """`bounds` of the finite releases with the first number of codes, on which attackers are trained."""
    rows = bounds(results)
    rows = rows[rows.method == "finite"]
    return rows[rows.codes == rows.codes.iloc[0]] if len(rows) else rows


def releases(results: Results) -> pd.DataFrame:
    """`Results.releases` with `bound`, the greatest over seeds for one image; NaN where nothing is certified."""
    one = first_codes(results)
    one = one[one.m == 1].groupby(["split", "method", "setting"], as_index=False).bound.max()
    return results.releases.merge(one, on=["split", "method", "setting"], how="left")


def operating_point(table: pd.DataFrame, method: str, *, utility: float = 0.95, reader: float = 0.85) -> pd.Series:
    """The release of a method with the least `private_cnn` among those that keep enough of the utility label.

    utility, reader  the least accuracy of a fresh CNN, and of a network trained on raw images, on that label

    Where no release keeps enough, the one with the least `private_cnn` of all. `table`: `releases`.
    """
    mine = table[table.method == method]
    enough = mine[(mine.utility_cnn >= utility) & (mine.utility_reader >= reader)]
    mine = enough if len(enough) else mine
    return mine.loc[mine.private_cnn.fillna(mine.private).idxmin()]  # a network that did not train hides nothing


def finite_point(results: Results) -> float:
    """The finite release's lambda with the least mean bound on validation images: test images have no say."""
    mine = first_codes(results)
    return float(mine[mine.m == 1].groupby("setting").validation_bound.mean().idxmin())


def best_target(table: pd.DataFrame, split: str, utility: float = 0.7) -> pd.Series | None:
    """After substitution, of the targets that keep the utility label the one with the least private accuracy.

    Where no target keeps it, the one that keeps most; None where every game collapsed. `table`: `releases`.
    """
    mine = at(table, split=split, method="substituted")
    keeping = mine[mine.utility >= utility]
    if len(keeping):
        return keeping.loc[keeping.private.idxmin()]
    return mine.loc[mine.utility.idxmax()] if len(mine) else None


def headline_points(results: Results) -> list[Point]:
    """The releases of the headline table: split, method, setting and target of each.

    Where releases have targets, for each split the standard method, substitution with the best target, and the finite
    release with that target. Otherwise the stabilised game at its operating point, the faithful one at the same lambda,
    and the finite release at its own. Methods that are not there are left out.
    """
    table, points = releases(results), []
    for split in results.about["splits"]:
        mine, best = at(table, split=split), best_target(table, split)
        if best is not None:
            points += [{"method": name, "target": best.target} for name in ("substituted", "finite")]
            points.insert(-2, {"method": "standard", "target": None})
        elif (mine.method == "stabilised").any():
            lam = operating_point(mine, "stabilised").setting
            points += [{"method": name, "setting": lam, "target": None} for name in ("faithful", "stabilised")]
        if best is None and len(first_codes(results)):
            points.append({"method": "finite", "setting": finite_point(results), "target": None})
        points = [{"split": split, **point} for point in points]
    return [
        {name: None if pd.isna(row[name]) else row[name] for name in KEY}
        for point in points
        for _, row in at(table, **point).iterrows()
    ]


def headline_numbers(results: Results) -> dict:
    """The numbers of the headline table for `dvc metrics`: split to method to name to fraction."""
    table, numbers = releases(results), {"source": results.source}
    columns = ["private_cnn", "private", "bound", "utility_cnn", "utility", "utility_reader"]
    raw = [{"split": split, "method": "raw"} for split in results.about["splits"]]
    for point in [*raw, *headline_points(results)]:
        for _, row in at(table, **point).iterrows():
            shown = row[["setting", "target", *columns]].dropna()
            numbers.setdefault(row.split, {})[row.method] = {name: float(value) for name, value in shown.items()}
    return numbers


def compared(results: Results, points: Sequence[Point]) -> dict[str, Point]:
    """The releases at `points` and every baseline: name to method and setting."""
    table = results.releases
    every = [*points, *table[table.method.isin(list(BASELINES))].to_dict("records")]
    return {release_name(one["method"], one["setting"]): {k: one[k] for k in ("method", "setting")} for one in every}


def headline_table(results: Results, points: Sequence[Point]) -> pd.DataFrame:
    """The headline numbers, a row a release, raw images first: means over seeds, of bounds the greatest.

    points: split, method, setting and target of each release. The private label by the paper's protocol (a fresh CNN),
    by the best attacker and at most (certified); the utility label by a fresh network, or else the best fresh attacker
    that was trained, and by a network trained on raw images.
    """
    table, private, utility, rows = releases(results), results.private, results.to_keep, []
    raw = [{"split": split, "method": "raw"} for split in dict.fromkeys(point["split"] for point in points)]
    for point in [*raw, *points]:
        for _, row in at(table, **point).iterrows():
            fresh = row.utility_cnn
            rows.append(
                {
                    "split": row.split,
                    "release": "raw images" if row.method == "raw" else _called(row, private),
                    f"{private}: fresh CNN (paper)": network(row, "private"),
                    f"{private}: best attacker": f"{percent(row.private)}\n{row.private_attacker}",
                    f"{private}: certified bound": at_most(row.bound),
                    f"{utility}: fresh network": percent(fresh) if fresh == fresh else _with_name(row, "utility"),
                    f"{utility}: raw-trained network": percent(row.utility_reader),
                }
            )
    found = pd.DataFrame(rows).sort_values("split", kind="stable", key=lambda names: names.map(list(names).index))
    return found if found.split.nunique() > 1 else found.drop(columns="split")


def _called(row: pd.Series, private: str) -> str:
    if row.method in OURS and pd.isna(row.target):
        return f"{row.method}\nλ = {row.setting:g}"
    return row.method + ("" if pd.isna(row.target) else f"\ntarget {row.target:g}, {named(private, row.target)}")


def network(row: pd.Series, name: str) -> str:
    """The accuracy of a fresh CNN in percent, or that it did not train. `row`: of `Results.releases`."""
    dead = pd.isna(row[f"{name}_cnn"]) and row[f"{name}_cnn_dead"] > 0
    return DEAD if dead else percent(row[f"{name}_cnn"])


def _with_name(row: pd.Series, name: str) -> str:
    attacker = row[f"{name}_attacker"]
    return "–" if pd.isna(row[name]) else f"{percent(row[name])}\n{attacker}"


def _interval(row: pd.Series, name: str) -> str:
    """ "36.2 %", and below it "34.1 to 38.3" and "trees"; or a dash."""
    if pd.isna(row[name]):
        return "–"
    low, high = (100 * row[f"{name}_{end}"] for end in ("low", "high"))
    return f"{percent(row[name])}\n{low:.1f} to {high:.1f}\n{row[f'{name}_attacker']}"


def trade_off_table(results: Results, methods: Sequence[str]) -> pd.DataFrame:
    """Every lambda of these methods, in percent."""
    table, private, utility = releases(results), results.private, results.to_keep
    table = pd.concat([table[table.method == method].sort_values("setting") for method in methods])
    return pd.DataFrame(
        {
            "method": table.method,
            "λ": table.setting.map("{:g}".format),
            f"{private}: fresh CNN": [network(row, "private") for _, row in table.iterrows()],
            f"{private}: best attacker": [_with_name(row, "private") for _, row in table.iterrows()],
            f"{utility}: fresh CNN": [network(row, "utility") for _, row in table.iterrows()],
            f"{utility}: raw-trained": table.utility_reader.map(percent),
            "told from real": table.two_sample.map(percent),
            "SSIM": table.ssim.map("{:.2f}".format),
            "seeds": table.seeds,
        }
    )


def audit_table(results: Results) -> pd.DataFrame:
    """Ours and the baselines, the most private first."""
    table, private, utility = releases(results), results.private, results.to_keep
    table = table[table.method.isin([*OURS, *BASELINES])].sort_values("private")
    nats = results.attackers(private).groupby(KEY, dropna=False, sort=False).information.max().rename("nats")
    table = table.merge(nats.reset_index(), on=KEY, how="left")
    return pd.DataFrame(
        {
            "release": [release_name(row.method, row.setting) for row in table.itertuples()],
            f"{private}: best attacker": [_interval(row, "private") for _, row in table.iterrows()],
            f"{utility}: fresh CNN": [network(row, "utility") for _, row in table.iterrows()],
            f"{utility}: raw-trained": table.utility_reader.map(percent),
            "I(Z; X̂) at least": table.nats.map("{:.2f} nats".format),
            "seeds": table.seeds,
        }
    )


def attackers_table(results: Results, points: Sequence[Point], task: str) -> pd.DataFrame:
    """Every attacker of one image on the controls and on the releases at `points`.

    Mean accuracy over seeds; below it the lowest and the highest end of the seeds' intervals, and the number of seeds.
    """
    rows, dead, columns = results.attackers(task), results.attackers(task, dead=True), {}
    controls = [{"method": name, "setting": None} for name in ("raw", "permuted", "constant")]
    for point in [*controls, *points]:
        mine = at(rows, **point)
        for attacker, found in mine.groupby("attacker", sort=False):
            low, high = 100 * found.low.min(), 100 * found.high.max()
            cell = f"{percent(found.accuracy.mean())}\n{low:.1f} to {high:.1f}; {len(found)}"
            columns.setdefault(release_name(point["method"], point["setting"]), {})[attacker] = cell
        for attacker in at(dead, **point).attacker:
            columns.setdefault(release_name(point["method"], point["setting"]), {}).setdefault(attacker, DEAD)
    names = [name for name in results.attacks.attacker.unique() if name not in ("majority", READER)]
    table = pd.DataFrame(columns).reindex(names)
    return table.fillna("–").rename_axis("attacker").reset_index()


def target_table(results: Results, split: str) -> pd.DataFrame:
    """Table 1: a row a method and target; one that collapsed with every seed says so."""
    mine, private, utility, rows = at(results.releases, split=split), results.private, results.to_keep, []
    runs = at(results.runs, split=split)
    mine = pd.concat([mine, runs[runs.collapsed.notna()][[*KEY, "collapsed"]]]).drop_duplicates(KEY)
    sides = [name for name in mine if name in results.attacks.task.unique()]
    for method in FACES:
        for _, row in mine[mine.method == method].sort_values("target").iterrows():
            rows.append(
                {
                    "method": method,
                    "target": "" if pd.isna(row.target) else f"{row.target:g} {named(private, row.target)}",
                    private: "collapsed" if isinstance(row.collapsed, str) else _interval(row, "private"),
                    f"{private}: CNN": network(row, "private"),
                    f"{private}: raw-trained": percent(row.private_reader),
                    utility: _interval(row, "utility"),
                    f"{utility}: raw-trained": percent(row.utility_reader),
                    **{side: percent(row[side]) for side in sides},
                }
            )
    return pd.DataFrame(rows)


def paper_table() -> pd.DataFrame:
    """Table 1 as the paper prints it."""
    rows = zip(*PAPER.values(), strict=True)
    cells = [
        [name, *map(lambda share: f"{100 * share:.2f} %", row)]
        for name, row in zip(("identity", "emotions"), rows, strict=True)
    ]
    return pd.DataFrame(cells, columns=["accuracy", *(f"target {target}" for target in PAPER)])


def unseen_table(results: Results, points: Sequence[Point]) -> pd.DataFrame:
    """Known people beside people who took part in nothing, a row a release: raw images, our methods, simple baselines.

    Of a method the first, the middle and the last lambda, and those of `points`. A bound is the greatest over seeds.
    """
    private, utility, lams = results.private, results.to_keep, {}
    both = releases(results).merge(releases(results.unseen), on=KEY, suffixes=("", "_unseen"))
    for method, mine in both[both.method.isin(list(OURS))].groupby("method"):
        sweep = sorted(mine.setting)
        chosen = [point["setting"] for point in points if point["method"] == method]
        lams[method] = {sweep[0], sweep[len(sweep) // 2], sweep[-1], *chosen}
    chances = chance(results, both.split.iloc[0]), results.unseen.about["unseen"]["chance"]
    lines = [{"release": "chance", **dict(zip(_pair(f"{private}: best attacker"), map(percent, chances), strict=True))}]
    others = [name for name in ("raw", *BASELINES) if name not in RIVALS]
    for _, row in both[both.method.isin([*OURS, *others])].iterrows():
        if row.method in lams and row.setting not in lams[row.method]:
            continue
        line = {"release": "raw images" if row.method == "raw" else release_name(row.method, row.setting)}
        for title, name, shown in (
            (f"{private}: best attacker", "private", percent),
            (f"{private}: certified bound", "bound", at_most),
            (f"{utility}: fresh CNN", "utility_cnn", percent),
            (f"{utility}: raw-trained", "utility_reader", percent),
        ):
            line |= dict(zip(_pair(title), map(shown, row[[name, f"{name}_unseen"]]), strict=True))
        lines.append(line)
    return pd.DataFrame(lines).fillna("")


def _pair(title: str) -> tuple[str, str]:
    return title, f"{title}, unseen people"


def certificate_table(results: Results) -> pd.DataFrame:
    """Certified bounds by method, lambda and codes, means over seeds; below a bound the best of three simple attackers.

    Of the releases that have a lambda only those with the first number of codes.
    """
    rows = results.certificate
    rows = rows[rows.setting.isna() | (rows.codes == rows.codes.iloc[0])].astype({"setting": float})
    key, lines = ["split", "method", "setting", "codes"], []
    for (split, method, setting, codes), mine in rows.groupby(key, dropna=False, sort=False):
        one = mine[mine.m == 1].mean(numeric_only=True)
        line = {"split": split, "release": method, "λ": "" if pd.isna(setting) else f"{setting:g}"}
        line |= {"codes": f"{codes:g}", "used": f"{one.used:.1f}"}
        for m, found in mine.groupby("m"):
            attack = percent(pd.to_numeric(found.best_attacker).mean()) if "best_attacker" in found else "–"
            line[f"{results.private}: {m} image{'s' * (m > 1)}"] = f"{at_most(found.bound.mean())}\n{attack}"
        if "clip_bound" in one:
            line["clips as draws"] = f"{at_most(one.clip_bound)}\n{one.clips:g} clips"
        if "information_bound" in one:
            line["I(Z; K) at most"] = f"{one.information_bound:.3f} nats"
        if "utility" in one:
            line |= {f"{results.to_keep}: from the code": percent(one.utility)}
            line |= {f"{results.to_keep}: raw-trained": percent(one.naturalness)}
        lines.append(line)
    table = pd.DataFrame(lines)
    return table if table.split.nunique() > 1 else table.drop(columns="split")


def exposure_table(results: Results, point: Point) -> pd.DataFrame:
    """Who and what one finite release exposes most (`evaluation.exposure`): over its seeds, the largest of each number.

    Below what the attack reached stands the lower limit, and, of one seed, whom it is about.
    """
    rows, lines = at(results.exposure, **{**point, "target": None}) if len(results.exposure) else results.exposure, []
    for measure, found in rows.groupby("measure", sort=False) if len(rows) else ():
        worst = found.loc[found.high.idxmax()]
        who = "" if pd.isna(worst.who) else f"\n{worst.who}"
        line = {"measure": measure, "attack on test images": f"{percent(found.value.max())}{who}"}
        line |= {"the attack reaches at least": percent(found.low.max()), "no rule exceeds": at_most(found.high.max())}
        lines.append(line | {"images": f"{worst.n:g}"})
    return pd.DataFrame(lines)


def codeword_table(data: Dataset, book: Codebook) -> pd.DataFrame:
    """For each codeword its share of test images, and the most frequent private and utility label with its share."""
    test, rows = data.split == 2, []
    for code in range(len(book)):
        mine = test & (book.codes == code)
        row = {"codeword": code + 1, "share of test images": percent(mine.sum() / test.sum())}
        for task in (data.private, data.utility):
            counts = np.bincount(data.task(task)[mine], minlength=1)
            share = percent(counts.max() / max(1, counts.sum()))
            row[f"most frequent {task}"] = f"{named(task, counts.argmax())}\n{share}"
        rows.append(row)
    return pd.DataFrame(rows)


def best_by_knowledge(results: Results, points: Sequence[Point]) -> pd.DataFrame:
    """The best attacker by release, knowledge and number of images, first seed: its row, with the release's name."""
    rows, found = at(results.attacks, task=results.private), []
    for point in [{"method": "raw", "setting": None}, *points]:
        mine = at(rows, **point)
        mine = mine[mine.seed == mine.seed.min()]
        mine = mine[mine.attacker != READER]
        top = mine.loc[mine.groupby(["knowledge", "m"], sort=False).accuracy.idxmax()]
        found.append(top.assign(release=release_name(point["method"], point["setting"])))
    return pd.concat(found, ignore_index=True)


def knowledge_table(best: pd.DataFrame) -> pd.DataFrame:
    """The best attacker of one image by what it was trained on. `best`: `best_by_knowledge`."""
    one = best[best.m == 1]
    cells = [
        f"{percent(row.accuracy)}\n{100 * row.low:.1f} to {100 * row.high:.1f}\n{row.attacker}"
        for row in one.itertuples()
    ]
    wide = one.assign(cell=cells).pivot_table("cell", "release", "knowledge", aggfunc="first", sort=False)
    wide = wide.reindex(columns=[name for name in ATTACKED if name in wide]).rename(columns=ATTACKED).fillna("–")
    return wide.reset_index().rename(columns={"release": "trained on"}).rename_axis(None, axis=1)


def information_table(
    results: Results, points: Sequence[Point], surrogate: Mapping[str, float], p_z: np.ndarray
) -> pd.DataFrame:
    """Nats that a release tells about the private label, first seed: bounds from below, and from above where certified.

    surrogate  method to | L_obj - L | at the end of training;  p_z  the marginal of the private label
    """
    one = results.attackers(results.private)
    one = one[one.attacker != "majority"]
    upper, lines = first_codes(results), []
    upper = upper[upper.m == 1]
    for point in [{"method": "raw", "setting": None}, *points]:
        mine = at(one, **point)
        mine = mine[mine.seed == mine.seed.min()]
        if mine.empty:
            continue
        line = {"release": release_name(point["method"], point["setting"])}
        columns = {"from belief": "information", "its 95 % limit": "information_low", "Fano": "information_fano"}
        for title, column in columns.items():
            best = mine.loc[mine[column].idxmax()]
            line[f"at least, {title}"] = f"{best[column]:.2f}\n{best.attacker}"
        line["surrogate of eq. 11"] = f"{surrogate[point['method']]:.2f}" if point["method"] in surrogate else "–"
        above = at(upper, method=point["method"], setting=point["setting"], seed=mine.seed.iloc[0])
        limit = above.information_bound.iloc[0] if len(above) else None
        line["at most"] = "no bound" if limit is None else f"{limit:.3f}"
        line["least error of any classifier"] = "no bound" if limit is None else percent(least_error(limit, p_z))
        lines.append(line)
    return pd.DataFrame(lines)


def terms(results: Results) -> pd.DataFrame:
    """The games that differ in the autoencoder's private term alone, a row a seed; lambdas at which rivals were played.

    variant, term, setting, seed, collapsed
    swing, mse_swing  how far the game swings at its end (`stages.assess.swings`)
    private           accuracy on the private label of the best of FEW, attackers that all of these faced
    reader            accuracy on the utility label of a network trained on raw images; NaN after a collapse
    """
    runs = results.runs[results.runs.method.isin([f"{one}{end}" for one in VARIANTS for end in TERMS])]
    played = runs[~runs.method.isin(VARIANTS)].setting.unique()
    runs, key = runs[runs.setting.isin(played)], ["method", "setting", "seed"]
    few = results.attackers(results.private)
    found = {"private": few[few.attacker.isin(FEW)].groupby(key).accuracy.max()}
    if len(results.naturalness):
        found["reader"] = results.naturalness.groupby(key)[f"{results.to_keep}_accuracy"].mean()
    table = runs.join(pd.DataFrame(found, columns=["private", "reader"]), on=key)
    ends = [method.removeprefix("faithful").removeprefix("stabilised") for method in table.method]
    variants = [method.removesuffix(end) for method, end in zip(table.method, ends, strict=True)]
    return table.assign(variant=variants, term=[TERMS[end] for end in ends]).reset_index(drop=True)


def terms_table(results: Results) -> pd.DataFrame:
    """`terms` by variant, term and lambda: collapses, ends of the seeds' accuracies, and the mean swing."""
    lines, ends = [], {results.private: "private", f"{results.to_keep}: raw-trained": "reader"}
    for (variant, setting, term), mine in terms(results).groupby(["variant", "setting", "term"], sort=False):
        line = {"game": variant, "λ": f"{setting:g}", "private term": term}
        line["collapsed"] = f"{mine.collapsed.notna().sum()} of {len(mine)}"
        for title, name in ends.items():
            values = mine[name].dropna()
            line[title] = f"{percent(values.min())} to {percent(values.max())}" if len(values) else "–"
        lines.append(line | {"swing of the private classifier": percent(mine.swing.mean())})
    return pd.DataFrame(lines)


def departures_table(config: Mapping) -> pd.DataFrame:
    """The departures from the paper that a game's `config` makes, with their values and reasons."""
    made = {name: config[name] for name in REASONS if config.get(name)}
    values = ["yes" if value is True else f"{value:g}" for value in made.values()]
    return pd.DataFrame({"departure": list(made), "value": values, "reason": [REASONS[name] for name in made]})


def ablation_table(results: Results, method: str) -> pd.DataFrame:
    """The game with one departure from the paper taken back (methods "without-...") below the game with all of them.

    All rows by the attackers and seeds that all of them have.
    """
    without = results.runs[results.runs.method.str.startswith("without-")]
    if without.empty:
        return pd.DataFrame({"taken back": []})
    (setting, *_), methods = without.setting, [method, *without.method.unique()]
    rows = results.attacks[results.attacks.method.isin(methods) & results.attacks.seed.isin(without.seed)]
    few = rows[rows.method != method].attacker.unique()
    natural = results.naturalness[results.naturalness.seed.isin(without.seed)]
    table = replace(results, attacks=rows[rows.attacker.isin(few)], naturalness=natural).releases if len(few) else rows
    private, utility, lines = results.private, results.to_keep, []
    for name in methods:
        line = {"taken back": "nothing" if name == method else name.removeprefix("without-")}
        found = at(table, method=name, setting=setting)
        if found.empty or "private" not in found:
            lines.append(line | {f"{private}: fresh CNN": "collapsed"})
            continue
        row = found.iloc[0]
        line |= {
            f"{private}: fresh CNN": network(row, "private"),
            f"{private}: best attacker": _with_name(row, "private"),
            f"{utility}: fresh CNN": network(row, "utility"),
            f"{utility}: raw-trained": percent(row.utility_reader),
            "told from real": percent(row.two_sample),
        }
        lines.append(line)
    return pd.DataFrame(lines).fillna("")


def provenance_table(provenance: Mapping, **more: object) -> pd.DataFrame:
    """Where the data came from and what made the results, a row each."""
    flat = {key: value for key, value in provenance.items() if not isinstance(value, dict)}
    facts = {key: str(value) for key, value in {**flat, **more}.items()}
    return pd.DataFrame({"what": list(facts), "value": list(facts.values())})


def made_by(provenance: Mapping, setting: str, **facts: object) -> pd.DataFrame:
    """`provenance_table` with the commit, the versions and the setting that made a page."""
    return provenance_table(provenance, commit=project.commit(), **project.versions(), **facts, setting=setting)
