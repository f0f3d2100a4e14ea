"""What the reports say in words and tables: every number comes from the metrics it is handed."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML, SVG, display
from matplotlib.figure import Figure

from anonrep.data.dataset import Dataset
from anonrep.reports import plots
from anonrep.stages.old_results import Metrics, certified, operating_point, over_seeds, percent, strips, worst
from anonrep.utils import project
from anonrep.utils.files import read_arrays, read_json


def show(figure: Figure, alt: str, caption: str = "") -> None:
    """Display a figure as SVG with a text for those who cannot see it, and a caption under it."""
    display(SVG(plots.svg(figure)), metadata={"image/svg+xml": {"alt": alt, "caption": caption}})


def titled(table: str, *, source: str, setting: str) -> HTML:
    """HTML for display; where it is not of real data at the full setting, every table in it says so in its title."""
    if source == "synthetic" or setting != "full":
        title = f"<caption>{escape(plots.title_suffix(source, setting))}</caption>"
        table = re.sub(r"<table[^>]*>", lambda start: start[0] + title, table)
    return HTML(table)


def show_saved(path: str | Path, alt: str, caption: str = "") -> None:
    """`show` for a figure that is saved as SVG."""
    display(SVG(filename=str(path)), metadata={"image/svg+xml": {"alt": alt, "caption": caption}})


def warning(source: str, setting: str) -> str:
    """A block that says in plain words when a report does not show the real results; empty when it does."""
    notes = []
    if source == "synthetic":
        notes.append("**The data is synthetic.** Nobody wrote these digits; no number here is a result.")
    if setting != "full":
        notes.append(f"**This is the {setting} setting**: a shortened run that shows what the report looks like.")
    return "\n\n".join(f"> {note}" for note in notes)


FIGURE2_ALT = (
    "A panel for each of faithful, stabilised and finite: accuracy of fresh attackers on the writer and on the digit "
    "against lambda, with the accuracies on raw images and a blind guess as lines, and the certified bound for finite; "
    "below, the same ten digits released at each lambda."
)
FIGURE2_CAPTION = (
    "Fig. 2 of the paper, a panel for each variant. Bands reach from the smallest to the largest of the seeds that an "
    "attacker was set on (the whole suite only on the first), dotted lines "
    "are the same attackers on raw images, the dashed line is a blind guess, and the green curve is what no classifier "
    "exceeds, at 95 % confidence. Below: the same test digits as released."
)


def shown_point(table: pd.DataFrame, variant: str) -> pd.Series:
    """The lambda that is shown in detail: the operating point, or the most private one where none keeps enough."""
    point = operating_point(table, variant, kept=0.95, naturalness=0.85)
    mine = table[table.variant == variant]
    return mine.loc[mine.private_cnn.idxmin()] if point is None else point


def figure2(found: Metrics, data: Dataset, models: str | Path, private: str, kept: str, *, setting: str) -> Figure:
    """Fig. 2 of the metrics, with images from the releases in the folder `models`."""
    return plots.figure2(
        found.attackers,
        worst(found.attackers, private),
        pd.DataFrame(found.runs),
        strips(data, models, found.runs, kept),
        certified(found.certificate, found.codes),
        private=private,
        kept=kept,
        chance=1 / data.n_private,
        setting=setting,
    )


def survivor(runs: Sequence[dict], variant: str, lam: float) -> int:
    """The first seed whose run at `lam` did not collapse."""
    return next(r["seed"] for r in runs if (r["variant"], r["lam"], r["collapsed"]) == (variant, lam, None))


def snapshots(models: str | Path, variant: str, lam: float, seed: int, *, source: str, setting: str) -> Figure:
    """The Fig. 3 kind of strip of one run."""
    path = Path(models) / variant / f"lambda-{lam:g}" / f"snapshots-{seed}.npz"
    return plots.epochs_strip(read_arrays(path)["snapshots"], source=source, setting=setting)


def couples(data: Dataset, models: str | Path, variant: str, lam: float, seed: int, *, setting: str) -> Figure:
    """The Fig. 4 kind of couples: the first 24 test images and their releases by one run."""
    release = Dataset.load(Path(models) / variant / f"lambda-{lam:g}" / f"seed-{seed}.npz").subset("test")
    images = data.subset("test").images
    return plots.couples(images[:24], release.images[:24], source=data.source, setting=setting)


def game(models: str | Path, names: Sequence[str], lam: float, data: Dataset, *, setting: str) -> Figure:
    """What the players saw at `lam`, a panel for each variant that was played there."""
    paths = {name: Path(models) / name / f"lambda-{lam:g}" / "history.json" for name in names}
    histories = {f"{name}, λ = {lam:g}": pd.DataFrame(read_json(path)) for name, path in paths.items()}
    played = {name: history for name, history in histories.items() if len(history)}
    return plots.players(played, chance=np.log(data.n_private), source=data.source, setting=setting)


def headline(
    table: pd.DataFrame, accuracy: pd.DataFrame, variant: str, private: str, *, kept: float, naturalness: float
) -> str:
    """The main result in three sentences, the flattering number and the honest one side by side.

    `table`: `results.trade_off`; `accuracy`: the rows it was made from.
    """
    point = operating_point(table, variant, kept=kept, naturalness=naturalness)
    asked = f"at least {percent(kept)} of digits findable by a fresh network and {percent(naturalness)} readable"
    if point is None:
        return f"No lambda of `{variant}` keeps {asked}."
    raw = accuracy[(accuracy.variant == "raw") & (accuracy.task == private)]
    raw_cnn = raw[raw.attacker == "cnn"].accuracy.mean()
    raw_worst = raw.groupby("attacker").accuracy.mean().max()
    mine = accuracy[(accuracy.variant == variant) & (accuracy.lam == point.lam) & (accuracy.task == private)]
    first = mine[mine.seed == mine.seed.min()]
    most = first.loc[first.accuracy.idxmax()]
    whole = f"; on seed {most.seed}, which faces the whole suite, `{most.attacker}` reaches {percent(most.accuracy)}"
    return (
        f"At λ = {point.lam:g} the game `{variant}` releases digits of which a fresh network finds "
        f"{percent(point.kept_cnn)} and a network trained on raw images alone reads {percent(point.naturalness)}. "
        f"By the paper's own protocol, a fresh convolutional network, the writer is found in "
        f"**{percent(point.private_cnn)}** (raw images: {percent(raw_cnn)}). The best attacker of our suite, "
        f"`{point.worst_attacker}`, finds the writer in **{percent(point.private_worst)}** of the same released images "
        f"(raw: {percent(raw_worst)}), {point.private_worst / point.private_cnn:.1f} times as often"
        f"{whole * (mine.seed.nunique() > 1)}. "
        f"{over_seeds(point.seeds)}; this lambda was picked after the fact, among those that keep {asked}."
    )


def trade_off_table(table: pd.DataFrame, private: str, kept: str) -> pd.DataFrame:
    """`results.trade_off` with headings for people, in percent."""
    named = pd.DataFrame({"variant": table.variant, "λ": table.lam.map("{:g}".format)})
    for column, title in {
        "private_cnn": f"{private}, CNN",
        "private_worst": f"{private}, best of suite",
        "kept_cnn": f"{kept}, CNN",
        "naturalness": f"{kept}, raw reader",
        "two_sample": "told from real",
    }.items():
        named[title] = table[column].map(percent)
    named["which attacker"] = table.worst_attacker
    return named.assign(SSIM=table.ssim.map("{:.2f}".format), seeds=table.seeds)


def attackers_table(accuracy: pd.DataFrame, variant: str, lam: float, task: str) -> pd.DataFrame:
    """Every attacker on one release beside the controls: mean accuracy over seeds, in brackets from the lowest to the
    highest end of the seeds' Wilson intervals, and how many seeds the attacker was set on."""
    rows = accuracy[accuracy.task == task]
    columns = {
        "released images": rows[(rows.variant == variant) & (rows.lam == lam)],
        "raw images": rows[rows.variant == "raw"],
        "permuted labels": rows[rows.variant == "permuted"],
        "constant image": rows[rows.variant == "constant"],
    }
    table = pd.DataFrame(
        {
            name: {
                attacker: f"{percent(mine.accuracy.mean())} "
                f"({100 * mine.low.min():.1f} to {100 * mine.high.max():.1f}; {len(mine)})"
                for attacker, mine in found.groupby("attacker", sort=False)
            }
            for name, found in columns.items()
        }
    )
    return table.fillna("–").rename_axis("attacker")


def collapsed_runs(runs: Sequence[dict]) -> str:
    """Which runs collapsed, as a list; a sentence when none did."""
    lost = [run for run in runs if run["collapsed"]]
    if not lost:
        return f"None of the {len(runs)} runs collapsed."
    lines = [f"- `{run['variant']}`, λ = {run['lam']:g}, seed {run['seed']}: {run['collapsed']}" for run in lost]
    head = f"{len(lost)} of {len(runs)} runs collapsed; they are no evidence of privacy and have no accuracy:"
    return "\n".join([head, "", *lines])


def seeds(runs: Sequence[dict]) -> str:
    """Which seeds each variant was run with."""
    found = pd.DataFrame(runs).groupby("variant", sort=False).seed.unique()
    return "; ".join(f"{name}: {', '.join(map(str, values))}" for name, values in found.items())


def provenance_table(provenance: dict, **more: object) -> pd.DataFrame:
    """Where the data came from and what made the results, a row each."""
    flat = {key: value for key, value in provenance.items() if not isinstance(value, dict)}
    facts = {key: str(value) for key, value in {**flat, **more}.items()}
    return pd.DataFrame({"": facts}).rename_axis("what")


def made_by(provenance: dict, setting: str, **facts: object) -> pd.DataFrame:
    """`provenance_table` of a page of the pipeline: with the commit and the versions that made it."""
    return provenance_table(provenance, commit=project.commit(), **project.versions(), **facts, setting=setting)
