"""What the report says of the finite release in words and tables: every number comes from the rows it is handed."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from anonrep.data.codebook import ordered, usage
from anonrep.data.dataset import Dataset
from anonrep.reports import plots_finite
from anonrep.stages.old_results import load_codebook, over_seeds, percent

FRONTIER_ALT = (
    "Certified bound and worst attacker against what a release keeps: the digit, the digit as a reader of raw images "
    "reads it, and attributes nobody trained for; finite releases, k-means codes, medoids and substitution."
)
FRONTIER_CAPTION = (
    "Each point is a release of fixed pictures, mean over seeds. Filled: what no classifier exceeds, at 95 % "
    "confidence. Hollow: what the best of three simple attackers (a table, trees, neighbours) reached. Numbers beside "
    "points: pictures asked for."
)


def point(certificate: pd.DataFrame, codes: int) -> float:
    """The lambda with the least mean bound on validation images: neither test images nor digits have a say."""
    mine = certificate[(certificate.method == "finite") & (certificate.codebook == codes) & (certificate.m == 1)]
    return float(mine.groupby("lam").validation_bound.mean().idxmin())


def headline(certificate: pd.DataFrame, table: pd.DataFrame, codes: int, *, private: str, kept: str) -> str:
    """The finite release at its `point` in a few sentences. What is promised holds for the worst of the seeds.

    `certificate`: rows of `frontier.certificate_rows`; `table`: `results.trade_off`, which knows the whole suite.
    """
    lam = point(certificate, codes)
    mine = certificate[(certificate.method == "finite") & (certificate.lam == lam) & (certificate.codebook == codes)]
    one, many = mine[mine.m == 1], {m: rows for m, rows in mine.groupby("m") if m > 1}
    used = f"{one.used.min():g} to {one.used.max():g}" if one.used.min() < one.used.max() else f"{one.used.min():g}"
    suite = table[(table.variant == "finite") & (table.lam == lam)].private_worst.max()
    reached = pd.Series([suite, one.worst_attacker.max()]).max()  # the suite may not have been set on it
    more = ", ".join(f"{percent(rows.bound.max())} for {m} images" for m, rows in many.items())
    return (
        f"At λ = {lam:g} the release `finite` shows one of {used} pictures. **No classifier of any kind names the "
        f"{private} in more than {percent(one.bound.max())}** of released images (certified on {one.n.iloc[0]} test "
        f"images at {percent(1 - one.delta.iloc[0])} confidence, for images drawn like these and an attacker who knows "
        f"nothing else about the person; the best of our attackers reached {percent(reached)}). The "
        f"{kept}, which the method is never told, is read from **{percent(one.utility.mean())}** of them by who knows "
        f"the release and from {percent(one.naturalness.mean())} by a network trained on raw images alone. "
        f"{over_seeds(one.seed.nunique())}{', of bounds and attackers the greatest' * (one.seed.nunique() > 1)}; this "
        f"lambda has the least bound on validation images. Who holds several images of one unknown person: at most "
        f"{more}."
    )


def pictures(data: Dataset, models: str | Path, lam: float, codes: int, seed: int, *, setting: str) -> Figure:
    """The codebook of one finite release as a picture (`plots_finite.codebook`)."""
    book = load_codebook(models, {"lam": lam, "codes": codes, "seed": seed})
    order, by_person = ordered(book.images), usage(book.codes, data.z, len(book), data.n_private)
    return plots_finite.codebook(
        book.images[order],
        book.counts[order],
        by_person[order],
        private=data.provenance["private"],
        source=data.source,
        setting=setting,
        title=f"The pictures of the release at λ = {lam:g}, seed {seed}",
    )


def frontier(certificate: pd.DataFrame, kept: list[dict], data: Dataset, attribute: str, *, setting: str) -> Figure:
    """`plots_finite.frontier` of one data set."""
    return plots_finite.frontier(
        certificate,
        pd.DataFrame(kept),
        private=data.provenance["private"],
        attribute=attribute,
        chance=1 / data.n_private,
        source=data.source,
        setting=setting,
    )


def certificate_table(certificate: pd.DataFrame, codes: int, private: str, kept: str) -> pd.DataFrame:
    """A row for each method, lambda and number of codes: bounds (and the worst attackers), means over seeds.

    Of the releases that have a lambda only those with `codes` codes.
    """
    certificate = certificate[certificate.lam.isna() | (certificate.codebook == codes)]
    key = ["method", "lam", "codebook"]
    wide = certificate.assign(lam=certificate.lam.astype(float)).groupby([*key, "m"], dropna=False, sort=False)
    means = (
        wide[["bound", "worst_attacker", "utility", "naturalness", "used", "information_bound"]].mean().reset_index()
    )
    one = means[means.m == 1].set_index(key)
    table = pd.DataFrame({"pictures used": one.used.map("{:.1f}".format)})
    for m, rows in means.groupby("m"):
        rows, images = rows.set_index(key), "1 image" if m == 1 else f"{m} images"
        attack = rows.worst_attacker.astype(float).map(percent, na_action="ignore").fillna("–")
        table[f"{private}, {images}"] = rows.bound.map(percent) + " (" + attack + ")"
    table["I(Z; K) at most"] = one.information_bound.map("{:.3f} nats".format)
    table[f"{kept}, table"], table[f"{kept}, raw reader"] = one.utility.map(percent), one.naturalness.map(percent)
    table = table.reset_index().rename(columns={"lam": "λ", "codebook": "pictures asked"})
    return table.assign(λ=table.λ.map(lambda lam: "" if pd.isna(lam) else f"{lam:g}"))


def answers(rows: list[dict]) -> str:
    """The answers of stage `epsilon` as a list, under the question."""
    question = "**At most p of the people may be recognised: can it be had?**"
    return "\n".join([question, "", *(f"- {row['answer']}" for row in rows)])
