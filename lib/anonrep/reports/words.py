"""Sentences and captions of the reports; every number comes from the rows they are handed."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from anonrep.evaluation.intervals import clopper_pearson
from anonrep.reports import tables
from anonrep.reports.figures import BASELINES, OURS, named, release_name, synthetic
from anonrep.reports.tables import Point, at
from anonrep.stages.results import Results, limited
from anonrep.utils.text import at_most, percent

FIGURE1 = (
    "The autoencoder with the size of each layer, the selector, the discriminator and the private classifier, and for "
    "each loss the network that it moves.",
    "Fig. 1 of the paper, drawn from the networks as they are. Below a block: the channels and the size of its image, "
    "or its units. Pale blocks rest in phases (ii) and (iii). What the stabilised game adds to (12) is left out.",
)
FIGURE2 = (
    "Accuracy of fresh attackers against lambda, a panel for each method, with the accuracies on raw images and "
    "chance as lines and the certified bound of the finite release; below each panel, the same images at each lambda.",
    "Fig. 2 of the paper, a panel for each method. Bands show the smallest and the largest of the seeds. Dotted lines "
    "are the same attackers on raw images, and the dashed line is chance. The green curve is the certified bound: no "
    "classifier exceeds it, with 95 % confidence. Below: the same test images as released.",
)
FRONTIER = (
    "Certified bound and best attacker against what a release keeps: the digit, and attributes that nobody trained "
    "for; for finite releases, k-means codes, medoids and substitution.",
    "Each point is a release of fixed codewords, mean over seeds. Filled markers are certified bounds, with 95 % "
    "confidence. Hollow markers are the best of three simple attackers: a table, trees and neighbours. Numbers beside "
    "points are the codes asked for.",
)
PARETO = (
    "Accuracy of the best attacker against what is kept, for our methods at every lambda and for the baselines: lower "
    "and further right is better.",
    "Each point is a release, mean over seeds. Bars are the 95 % intervals of the best attacker. Numbers are lambdas "
    "or the method's own setting; only the first and the last are written.",
)
TARGETS = (
    "Private label against utility label for every method and target, a panel for each split; the numbers are in "
    "Table 1.",
    "Each point is a release, judged by its best attackers. Right and down is better.",
)
EPOCHS = (
    "Fig. 3: a training image, and below it a validation image, by epoch.",
    "Fig. 3 of the paper: a training image and a validation image (below), with the target chosen by us. The first "
    "column is the end of phase (i), when the autoencoder copies its input; then come the epochs of phase (ii) and of "
    "phase (iii).",
)
COUPLES = (
    "Fig. 4: 24 test images, the outputs of the restricted game below them, and below those what replaces them.",
    "Fig. 4 of the paper: 24 test images drawn at random, with the outputs of the restricted game and the training "
    "images of the target that are substituted for them. Some outputs show artefacts or another expression.",
)
PAPERS_TABLE = (
    "**Table 1 of the paper.** It is for the real FERG-DB and one network after substitution, so that its numbers "
    "are not to be compared with those of synthetic faces."
)
TERMS = (
    "Best attacker against the digit as a network trained on raw images reads it, for three private terms, a panel for "
    "each game.",
    "Each point is a run, judged by one attacker of each kind; the larger the point, the larger λ. A run that "
    "collapsed has no point and is counted in the legend. Lower and further right is better.",
)
IMAGES = (
    "Accuracy of the best attacker against how many images of one person it holds, for each audited release.",
    "Bars are 95 % intervals. The dotted line is the certified bound.",
)


def warning(source: str, setting: str) -> str:
    """A block that says when a report does not show the real results; empty when it does."""
    notes = []
    if synthetic(source):
        notes.append(
            "**The data is synthetic.** A program drew these images, so no number here is a result on real data."
        )
    if setting != "full":
        notes.append(f"**This is the {setting} setting**: a short run that only shows what the report looks like.")
    return "\n\n".join(f"> {note}" for note in notes)


def how_to_read(results: Results) -> str:
    """Three sentences below the headline table."""
    private, utility = results.private, results.to_keep
    return (
        f"The paper's protocol trains a fresh convolutional network on released images with the true {private} of "
        "each. The best attacker is the strongest of all that we trained on the same images, so the distance between "
        "the two columns is what the protocol misses. The certified bound holds for every classifier, but only a "
        "release of a few fixed images has one. The raw-trained network has only seen raw images, so it shows "
        f"whether somebody who does not know the release can still read the {utility}."
    )


def chosen(results: Results, points: Sequence[Point]) -> str:
    """How the releases of the headline table were chosen, and the certificate of the finite one."""
    said, table = [], results.releases
    kept = f"a fresh network finds the {results.to_keep} in at least 95 % and a raw-trained network in at least 85 %"
    for point in points:
        if point["method"] == "stabilised":
            row = at(table, **point).iloc[0]
            enough = row.utility_cnn >= 0.95 and row.utility_reader >= 0.85
            among = f"Among the λ at which {kept}" if enough else f"There is no λ at which {kept}; of all λ"
            said.append(
                f"For `stabilised` we show λ = {point['setting']:g}. {among}, it hides the {results.private} best "
                "from a fresh network. We chose it after seeing the results."
            )
        if point["method"] == "finite":
            said.append(f"For `finite` we show λ = {point['setting']:g}. {certificate(results, point)}")
    return " ".join(said)


def certificate(results: Results, point: Point) -> str:
    """The certificate of one finite release, with what it assumes. Of several seeds the greatest bound counts.

    Whichever seed is released, its own bound holds at the stated confidence and is no greater, so that several seeds
    need no correction. What is promised for several numbers of images holds together (`joint_bound`).
    """
    rows = at(tables.first_codes(results), split=point["split"], method="finite", setting=point["setting"])
    one, private = rows[rows.m == 1], results.private
    used = f"{one.used.min():g} to {one.used.max():g}" if one.used.min() < one.used.max() else f"{one.used.min():g}"
    more = [(m, at_most(found.joint_bound.max())) for m, found in rows.groupby("m") if m > 1]
    bound = at_most((one.joint_bound if more else one.bound).max())
    several = "".join(
        f" An attacker who holds {m} images of one person names that person in at most {limit}." for m, limit in more
    )
    together = f" These {len(more) + 1} statements hold together; the first alone with {at_most(one.bound.max())}."
    seeds = f" Of {len(one)} seeds the greatest bound is shown; the bound of each is no greater." * (len(one) > 1)
    return (
        f"The release shows one of {used} codewords. No classifier names the {private} in more than {bound} of "
        f"released images. This is certified on {one.draws.iloc[0]}, with {percent(1 - one.delta.iloc[0])} confidence, "
        "for images that are drawn like the test images and attackers without other information about the person."
        f"{several}"
        f"{together if more else ''}{seeds}{_tried(one)}"
    )


def _tried(one: pd.DataFrame) -> str:
    """What a choice on the test images themselves would make of the bound; "" where clips are counted."""
    worst = one.loc[one.bound.idxmax()]
    if worst.draws != f"{worst.n:g} test images":
        return ""
    limits = [at_most(clopper_pearson(worst.hits, worst.n, worst.delta / tried)) for tried in (100, 1000)]
    return (
        " Settings were chosen on another split of the same images, so the test images had a part in that choice. Had "
        f"100 settings been tried on the test images themselves, the bound would be {limits[0]}; had 1000, {limits[1]}."
    )


def faces(results: Results, split: str) -> str:
    """The result on one split of the faces, below the headline table."""
    table = tables.releases(results)
    best, private, utility = tables.best_target(table, split), results.private, results.to_keep
    kinds = {
        "random": "In the paper's random split, some frames of a test image's clip are among the training images.",
        "clips": "In the other split whole clips are kept together.",
    }
    said = [f"{kinds[split]} Chance is {percent(tables.chance(results, split))}."]
    standard = at(table, split=split, method="standard")
    if len(standard):
        row = standard.iloc[0]
        said.append(
            f"After the standard method a network that has only seen raw images names the {private} in "
            f"{percent(row.private_reader)}, but the best attacker of released images in {percent(row.private)}."
        )
    if best is None:
        said.append("Every game with a target collapsed.")
    else:
        said.append(
            f"After substitution with target {best.target:g}, {named(private, best.target)}, the best attacker names "
            f"the {private} in {percent(best.private)} and the {utility} in {percent(best.utility)}."
        )
    return " ".join([*said, *(certificate(results, row) for _, row in _finite(table, split))])


def own_runs(results: Results) -> str:
    """What it costs the finite release to learn from runs of similar images and not from clips; "" without it."""
    rows = results.certificate
    rows = rows[rows.m == 1] if len(rows) else rows
    pair = [at(rows, method=name) for name in ("finite, own runs", "finite")] if len(rows) else []
    if not pair or pair[0].empty:
        return ""
    own, clips = pair[0].iloc[0], at(pair[1], split=pair[0].split.iloc[0])
    clips, private, utility = clips.iloc[0], results.private, results.to_keep
    return (
        f"With its own runs the release is told the {utility} in no form. Its code tells the {utility} in "
        f"{percent(own.utility)} of test images, where clips gave {percent(clips.utility)} (split {own.split}), and "
        f"it names the {private} in at most {at_most(own.bound)} instead of {at_most(clips.bound)} (certified)."
    )


def unseen(results: Results, points: Sequence[Point]) -> str:
    """Does it hide people it has never seen? What is left of what attackers gain over chance, for each of `points`."""
    if results.unseen is None:
        return "There were no images of people outside the training data, so nothing can be said about them."
    private, utility, about = results.private, results.to_keep, results.unseen.about["unseen"]
    here, there = tables.releases(results), tables.releases(results.unseen)
    chances = tables.chance(results, points[0]["split"]), about["chance"]
    raw = [at(table, split=points[0]["split"], method="raw").iloc[0].private for table in (here, there)]
    said = [
        f"{about['people']} people on whom no network was trained, with {about['images']} images, were released as "
        f"well. On their raw images the best attacker names the {private} in {percent(raw[1])}; chance is "
        f"{percent(chances[1])}."
    ]
    for point in points:
        if at(there, **point).empty:
            continue
        rows = [at(table, **point).iloc[0] for table in (here, there)]
        left = [
            f"{100 * (row.private - low) / (high - low):.0f} %"
            for row, low, high in zip(rows, chances, raw, strict=True)
        ]
        said.append(
            f"Released by `{point['method']}` at λ = {point['setting']:g}, in {percent(rows[1].private)}: of what "
            f"attackers gain over chance on raw images {left[1]} is left, and {left[0]} with known people."
        )
        if rows[1].utility_cnn == rows[1].utility_cnn:  # else no network trained
            said.append(f"A fresh network finds the {utility} in {percent(rows[1].utility_cnn)}.")
        if rows[1].bound == rows[1].bound:
            said.append(
                f"No classifier names the {private} in more than {at_most(rows[1].bound)} of such images of these "
                "people (95 % confidence, all of their images counted)."
            )
    return " ".join(said)


def _finite(table: pd.DataFrame, split: str) -> list:
    return list(at(table, split=split, method="finite").head(1).iterrows())


def collapsed(runs: pd.DataFrame) -> str:
    """The runs that collapsed, as a list; a sentence when none did."""
    lost = runs[runs.collapsed.notna()]
    if lost.empty:
        return f"None of the {len(runs)} runs collapsed."
    lines = []
    for row in lost.itertuples():
        names = [f"split {row.split}"] * (runs.split.nunique() > 1)
        names += [] if pd.isna(row.target) else [f"target {row.target:g}"]
        names += [] if pd.isna(row.setting) else [f"λ = {row.setting:g}"]
        where = ", ".join([*names, f"seed {row.seed:g}"])
        lines.append(f"- `{row.method}`, {where}: {row.collapsed}")
    head = f"{len(lost)} of {len(runs)} runs collapsed. They are no evidence of privacy and have no accuracy:"
    return "\n".join([head, "", *lines])


def verdict(results: Results, points: Sequence[Point]) -> str:
    """The releases that beat ours, first, and then those of ours that nothing here beats."""
    table, lost, won = results.releases, [], []
    for point in points:
        method, setting = point["method"], point["setting"]
        mine = at(table, method=method, setting=setting)
        if mine.empty:
            lost.append(f"- `{method}` at λ = {setting:g} collapsed, so there is no release to compare.")
            continue
        others = table[table.method.isin([*BASELINES, *OURS]) & (table.method != method)]
        better = [
            release_name(name, rows.setting.iloc[0]) if len(rows) == 1 else f"{name} ({len(rows)} settings)"
            for name, rows in beaten_by(mine.iloc[0], others).groupby("method", sort=False)
        ]
        if better:
            lost.append(f"- `{method}` at λ = {setting:g} **is beaten** by {', '.join(better)}: no worse in all three.")
        else:
            won.append(f"- No release here beats `{method}` at λ = {setting:g} in all three.")
    head = (
        f"We measure three things: how often the best attacker names the {results.private}, how often a fresh network "
        f"finds the {results.to_keep}, and how often a network trained on raw images still reads it."
    )
    return "\n".join([head, "", *lost, *won])


def beaten_by(mine: pd.Series, others: pd.DataFrame) -> pd.DataFrame:
    """The releases that are no worse than one in all three measures, and better in one."""
    gains = pd.DataFrame(
        {
            "privacy": mine.private - others.private,
            "utility": others.utility_cnn - mine.utility_cnn,
            "naturalness": others.utility_reader - mine.utility_reader,
        }
    ).round(9)
    return others[(gains >= 0).all(axis=1) & (gains > 0).any(axis=1)]


def terms(results: Results) -> str:
    """Is gradient reversal unstable, and a poor trade-off, beside the paper's term in the same game (Section 2)?

    Unstable: more runs collapsed; with equally many, the swing of the private classifier or the seeds' spread of the
    best attacker is on average half as large again. A poor trade-off: of the means over seeds, more of reversal's are
    beaten by one of the paper's (no worse for both labels, better for one) than the other way round. A lambda whose
    runs all collapsed offers no trade-off and is beaten.
    """
    table, said = tables.terms(results), []
    for variant, mine in table.groupby("variant", sort=False):
        by_term = {term: rows for term, rows in mine.groupby("term", sort=False)}
        if not {"the paper's", "gradient reversal"} <= by_term.keys():
            continue
        ours, theirs = by_term["the paper's"], by_term["gradient reversal"]
        lost, swing, spread = ([measure(rows) for rows in (ours, theirs)] for measure in (_lost, _swing, _spread))
        unstable = lost[1] > lost[0] or (
            lost[1] == lost[0] and (swing[1] > 1.5 * swing[0] or spread[1] > 1.5 * spread[0])
        )
        beaten = [_beaten(theirs, ours), _beaten(ours, theirs)]
        poor = beaten[0] > beaten[1]
        said.append(
            f"In `{variant}` {lost[1]} of {len(theirs)} runs with gradient reversal collapsed, and {lost[0]} of "
            f"{len(ours)} with the paper's term. The private classifier's accuracy swings by {percent(swing[1])} and "
            f"{percent(swing[0])}, and the best attacker's differs between seeds by {percent(spread[1])} and "
            f"{percent(spread[0])} (standard deviations). Of the trade-offs of gradient reversal, {beaten[0]} are "
            f"beaten by one of the paper's term, and {beaten[1]} the other way round. So its training is "
            f"{'**unstable**' if unstable else '**not less stable**'} here, and its trade-off "
            f"**{'poorer' if poor else 'not poorer'}**."
        )
    return "\n\n".join(said)


def _lost(rows: pd.DataFrame) -> int:
    return int(rows.collapsed.notna().sum())


def _swing(rows: pd.DataFrame) -> float:
    return float(rows.swing.mean())


def _spread(rows: pd.DataFrame) -> float:
    return float(rows.groupby("setting").private.std(ddof=0).mean())


def _beaten(rows: pd.DataFrame, others: pd.DataFrame) -> int:
    """How many settings of `rows` one of `others` beats: a lower private and a higher utility accuracy, means."""
    mine, theirs = (
        part.groupby("setting")[["private", "reader"]].mean().to_numpy().round(9) * (1, -1) for part in (rows, others)
    )
    theirs = theirs[~np.isnan(theirs).any(axis=1)]
    return sum(
        any(np.isnan(one).any() or ((other <= one).all() and (other < one).any()) for other in theirs) for one in mine
    )


def printed_sign(results: Results) -> str:
    """What eq. (12) with its printed sign led to, beside `faithful` at the same lambda; "" where it was not played."""
    runs, table = at(results.runs, method="faithful-printed-sign"), results.releases
    if runs.empty:
        return ""
    lost, lam = runs[runs.collapsed.notna()], runs.setting.iloc[0]
    said = (
        "As printed, (12) has the autoencoder minimise the discriminator's own loss, and so help it. We played that "
        f"too, at λ = {lam:g}: {len(lost)} of {len(runs)} runs collapsed"
    )
    said += f" (the first {lost.collapsed.iloc[0]})." if len(lost) else "."
    for name, found in (
        ("the others", at(table, method="faithful-printed-sign", setting=lam)),
        ("`faithful` at the same λ", at(table, method="faithful", setting=lam)),
    ):
        for _, row in found.iterrows():
            said += (
                f" Of {name}, a network tells images from real ones in {percent(row.two_sample)}, a network trained on "
                f"raw images reads the {results.to_keep} in {percent(row.utility_reader)}, and a fresh CNN names the "
                f"{results.private} in {percent(row.private_cnn)}."
            )
    return said


def claim(results: Results, point: Point) -> str:
    """What may be said of one release: the attackers that were trained on it, and the interval."""
    method, setting, private = point["method"], point["setting"], results.private
    mine = at(results.attackers(private), method=method, setting=setting)
    if mine.empty:
        return f"`{method}` at λ = {setting:g} collapsed and is no evidence of privacy."
    first = mine[mine.seed == mine.seed.iloc[0]]
    best = first.loc[first.accuracy.idxmax()]
    more = mine[mine.seed != best.seed]
    tops = more.groupby("seed").accuracy.max()
    seeds = (
        f" On {len(tops)} more seed{'s' * (len(tops) > 1)} the best of {more.attackers.max():g} attackers reaches "
        f"{percent(tops.min())} to {percent(tops.max())}."
        if len(tops)
        else ""
    )
    return (
        f"`{method}` at λ = {setting:g}, seed {best.seed:g}: the best of {best.attackers:g} attackers, "
        f"`{best.attacker}`, names the {private} in **{percent(best.accuracy)}** of {best.n:g} released images "
        f"({percent(best.low)} to {percent(best.high)}; all intervals hold together at 95 %). No attacker of this "
        f"suite exceeded that. Another attacker might.{seeds}"
    )


def fewer_images(rows: pd.DataFrame) -> str:
    """The attackers that learned from fewer training images than others, in sentences; "" if there is none."""
    few = limited(rows)
    if not few:
        return ""
    names = " and ".join(f"{name} learned from {count}" for name, count in few.items())
    return (
        f"Of {rows.n_train.max():.0f} training images {names}, drawn at random, because their cost grows with the "
        "square of the number (`pairwise_images` in the parameters). With all images they may find more."
    )


def restarted(rows: pd.DataFrame) -> str:
    """The networks that ended at chance on their own training images, in sentences; "" if there is none."""
    rows = rows[(rows.m == 1) & (rows.restarts > 0)]
    if rows.empty:
        return ""

    def counted(some: pd.DataFrame) -> str:
        found = some.groupby(["attacker", "method"], sort=False).size()
        return ", ".join(f"{attacker} on `{method}` ({count})" for (attacker, method), count in found.items())

    dead = rows[~rows.trained.astype(bool)]
    ended = f"Some did so each time: {counted(dead)}. Their accuracy says nothing of the release and is not shown."
    return (
        "Some networks ended at chance on their own training images, although there was something to learn, and were "
        f"started again from another seed at a lower rate: {counted(rows)}. "
        + (ended if len(dead) else "All of them trained then.")
    )


def seeds(runs: pd.DataFrame) -> str:
    """The seeds of each method."""
    found = runs.groupby("method", sort=False).seed.unique()
    return "; ".join(f"{name}: {', '.join(f'{value:g}' for value in values)}" for name, values in found.items())


def answers(rows: pd.DataFrame) -> str:
    """The answers to the wanted accuracies as a list, below the question."""
    question = "**At most this share of released images may show who they are of. Is there such a release?**"
    return "\n".join([question, "", *(f"- {row.answer}" for row in rows.itertuples())])


def explored(results: Results, numbers: Mapping | None, split: str, collapsed: str | None) -> str:
    """What may be said of one release in the explorer. `numbers`: `Artefacts.numbers`, or None where there are none."""
    private = results.private
    blind = f"Chance is {percent(tables.chance(results, split))}."
    if collapsed:
        return f"This run {collapsed}. It is no evidence of privacy and has no accuracy."
    if numbers is None:
        return "There is no such run."
    if pd.isna(numbers["bound"]):
        return f"{blind} There is no certificate: an attacker that we did not try may do better."
    return (
        f"{blind} No classifier names the {private} in more than {at_most(numbers['bound'])} of images drawn like "
        f"these, with {percent(1 - numbers['delta'])} confidence, if the {numbers['draws']} are independent draws."
    )
