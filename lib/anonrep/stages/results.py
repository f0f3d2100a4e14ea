"""Results as tables: the rows of all judges of a data set, put together, and what tables and prose take from them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.evaluation.frontier import answer, choose, promise
from anonrep.stages import paths
from anonrep.utils.files import read_json, write_json

KEY = ["split", "method", "setting", "target"]  # a release, over its seeds
CONTROLS = ("permuted", "constant")  # where every attacker must fail
READER = "raw reader"  # no attacker: a network trained on raw images alone, as our eyes are
KINDS = ("attacks", "naturalness", "certificate", "exposure", "utility", "runs")


def collect(
    data: str,
    splits: Sequence[str],
    releases: Mapping[str, Mapping],
    target_accuracy: Sequence[float],
    *,
    out: str | Path,
) -> None:
    """The rows of all judges of one data set, a JSON file a kind, to the folder `out`.

    The releases are an argument, never what happens to lie in a folder: one that is taken back leaves no ghost.

    about.json                names of the labels, sizes, source, chance; of unseen people, where there are some, how
                              many they and their images are, and chance
    attacks.json              a row an attacker (`evaluation.judge`), the controls first
    naturalness.json, runs.json, certificate.json, exposure.json, utility.json
    target_accuracy.json      `answers`
    """
    out, mine = Path(out), [name for name, release in releases.items() if release["data"] == data]
    rows = {kind: [] for kind in KINDS}
    for split in splits:
        rows["attacks"] += read_json(paths.controls_folder(data, split) / "attacks.json")
    for name in mine:
        for kind, found in read_json(paths.assessment_file(name)).items():
            rows[kind] += found
    rows["attacks"] += read_json(paths.threat_models_file(data))
    for kind, found in rows.items():
        write_json(out / f"{kind}.json", found)
    sets = {split: Dataset.load(paths.data_file(data, split)) for split in splits}
    first = sets[splits[0]]
    others = first.unseen()
    write_json(
        out / "about.json",
        {
            "dataset": data,
            "private": first.private,
            "utility": first.utility,
            "source": first.source,
            "n_private": first.n_private,
            "chance": {split: one.chance(one.private) for split, one in sets.items()},
            "splits": {split: [int((one.split == part).sum()) for part in range(3)] for split, one in sets.items()},
            "unseen": others
            and {"people": others.n_private, "images": len(others), "chance": others.chance(others.private)},
        },
    )
    here = [name for name in mine if releases[name]["split"] == splits[0]]
    finite = [n for n in here if releases[n]["method"] == "finite" and "title" not in releases[n].get("options", {})]
    write_json(out / "target_accuracy.json", answers(first, finite, target_accuracy))


def codebooks(names: Iterable[str]) -> pd.DataFrame:
    """The finite releases of these names, a row a codebook: release, lam, codes, seed, the objective on validation, its
    terms and validation_bound."""
    rows = [{"release": n, **row} for n in names for row in read_json(paths.release_folder(n) / "codebooks.json")]
    return pd.DataFrame(rows)


def load_codebook(row: Mapping) -> Codebook:
    """The codewords and indices of a row of `codebooks`."""
    name = f"codes-{row['codes']}-seed-{row['seed']}"
    found = sorted(paths.release_folder(row["release"]).glob(f"{name}.npz")) or sorted(
        paths.release_folder(row["release"]).glob(f"{name}-target-*.npz")
    )
    return Codebook.load(found[0])


def answers(data: Dataset, names: Sequence[str], target_accuracy: Sequence[float]) -> list[dict]:
    """For every wanted accuracy the finite release that validation chooses, certified once on test.

    A row a target: lam, codes and seed of the choice (null where there is none), validation_bound, what
    `frontier.promise` found, and the answer in words. No row where every preparation collapsed.
    """
    candidates, rows = codebooks(names), []
    for p in target_accuracy if len(candidates) else ():
        chosen = choose(candidates, p)
        book = None if chosen is None else load_codebook(chosen)
        found = promise(data, book, p)
        release = {
            name: None if chosen is None else chosen[name].item()
            for name in ("lam", "codes", "seed", "validation_bound")
        }
        rows.append({**found, **release, "answer": answer(found, chosen, candidates), "source": data.source})
    return rows


@dataclass(frozen=True)
class Results:
    """The rows of one data set as tables; everything a report says is taken from here.

    about                what `collect` wrote of the data set
    attacks, naturalness, certificate, exposure, utility, runs, target_accuracy   a table a file, of known people
    unseen               the attacks and certificates on unseen people, as `Results`; None where there are none
    """

    about: dict
    attacks: pd.DataFrame
    naturalness: pd.DataFrame
    certificate: pd.DataFrame
    exposure: pd.DataFrame
    utility: pd.DataFrame
    runs: pd.DataFrame
    target_accuracy: pd.DataFrame
    unseen: "Results | None" = None

    @classmethod
    def read(cls, folder: str | Path) -> "Results":
        """The files of `collect`; a missing one is named, with the command that makes it."""
        about = read_json(Path(folder) / "about.json")
        tables = {name: as_table(read_json(Path(folder) / f"{name}.json")) for name in (*KINDS, "target_accuracy")}
        known, unseen = (
            {name: rows[rows.people == people] if "people" in rows else rows for name, rows in tables.items()}
            for people in ("known", "unseen")
        )
        others = about | {"n_private": about["unseen"]["people"]} if about["unseen"] else None
        return cls(about, **known, unseen=others and cls(others, **unseen))

    def on(self, split: str) -> "Results":
        """The results on one split of the images alone."""
        about = self.about | {"splits": {split: self.about["splits"][split]}}
        mine = {kind: getattr(self, kind) for kind in KINDS}
        mine = {kind: rows[rows.split == split] if len(rows) else rows for kind, rows in mine.items()}
        return replace(self, about=about, **mine, unseen=self.unseen and self.unseen.on(split))

    @property
    def private(self) -> str:
        """What the private label is called."""
        return self.about["private"]

    @property
    def to_keep(self) -> str:
        """What the utility label is called."""
        return self.about["utility"]

    @property
    def source(self) -> str:
        """Where the images come from, in a word."""
        return self.about["source"]

    def attackers(self, task: str, m: int = 1, *, dead: bool = False) -> pd.DataFrame:
        """The rows of attackers on released images who hold m images of one person; raw readers are left out.

        Networks that ended at chance on their own training images are left out too; with `dead` the rows are theirs.
        """
        rows = self.attacks[(self.attacks.task == task) & (self.attacks.m == m) & (self.attacks.attacker != READER)]
        rows = rows[rows.trained.astype(bool) != dead]
        return rows[rows.knowledge == "release"]

    @cached_property
    def releases(self) -> pd.DataFrame:
        """A row for each split, method, setting and target, means over seeds, accuracies as fractions.

        private, utility             of the best attacker: the one with the largest mean over the seeds it was set on
        *_attacker, *_low, *_high    its name, and the ends of its seeds' intervals
        *_cnn                        the paper's protocol: a fresh plain network; missing where none was set on it, or
                                     none trained: *_cnn_dead is the number of seeds of those
        *_reader                     read by a network trained on raw images alone
        ssim, two_sample             naturalness, where it was asked for
        seeds                        how many
        and a column for each side attribute, by its best attacker
        """
        tables = [self._of(task, name) for task, name in ((self.private, "private"), (self.to_keep, "utility"))]
        tasks = [task for task in self.attacks.task.unique() if task not in (self.private, self.to_keep)]
        tables += [self._of(task, task)[[task]] for task in tasks]
        table = pd.concat(tables, axis=1)
        if len(self.naturalness):
            natural = self.naturalness.groupby(KEY, dropna=False, sort=False)
            table["utility_reader"] = natural[f"{self.to_keep}_accuracy"].mean()
            table = table.assign(ssim=natural.ssim.mean(), two_sample=natural.two_sample_accuracy.mean())
        return table.reset_index()

    def _of(self, task: str, name: str) -> pd.DataFrame:
        rows, dead = self.attackers(task), self.attackers(task, dead=True)
        best = best_attackers(rows).groupby(KEY, dropna=False, sort=False)
        cnn = rows[rows.attacker == "cnn"].groupby(KEY, dropna=False, sort=False)
        readers = self.attacks[(self.attacks.task == task) & (self.attacks.attacker == READER)]
        readers = readers[readers.trained.astype(bool)]
        columns = {
            name: best.accuracy.mean(),
            f"{name}_attacker": best.attacker.first(),
            f"{name}_low": best.low.min(),
            f"{name}_high": best.high.max(),
            f"{name}_cnn": cnn.accuracy.mean(),
            f"{name}_cnn_dead": dead[dead.attacker == "cnn"].groupby(KEY, dropna=False, sort=False).size(),
            f"{name}_reader": readers.groupby(KEY, dropna=False, sort=False).accuracy.mean(),
        }
        if name == "private":
            columns["seeds"] = rows.groupby(KEY, dropna=False, sort=False).seed.nunique()
        return pd.DataFrame(columns)


def as_table(rows: Iterable[Mapping]) -> pd.DataFrame:
    """Rows as a table in which a missing setting or target is NaN, whatever the other rows hold."""
    table = pd.DataFrame(rows)
    return table.astype({name: float for name in ("setting", "target") if name in table})


def best_attackers(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows, one a seed, of the attacker that does best on each release (KEY).

    Best is the largest mean over the seeds that an attacker was set on, so that one set on fewer still counts.
    """
    means = rows.groupby([*KEY, "attacker"], dropna=False, sort=False, as_index=False).accuracy.mean()
    best = means.loc[means.groupby(KEY, dropna=False, sort=False).accuracy.idxmax(), [*KEY, "attacker"]]
    return rows.merge(best, on=[*KEY, "attacker"])


def limited(rows: pd.DataFrame) -> dict[str, int]:
    """The attackers who never learned from as many training images as others did, and from how many they learned."""
    learned = rows.reindex(columns=["attacker", "n_train"]).dropna().groupby("attacker", sort=False).n_train.max()
    return learned[learned < learned.max()].astype(int).to_dict()
