"""What the pipeline left of one data set: images, results and releases, read when they are asked for and then kept."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.networks import Players
from anonrep.reports import tables
from anonrep.reports.figures import named
from anonrep.reports.tables import at
from anonrep.stages import paths
from anonrep.stages.checkpoints import load_players
from anonrep.stages.releases import load, read_index
from anonrep.stages.results import KEY, Results
from anonrep.utils.files import Plain, read_arrays, read_json
from anonrep.utils.seeds import numpy_generator

ALL = "all"  # instead of one person or one value; ipywidgets takes None for "nothing chosen"


class Missing(Plain, FileNotFoundError):
    """Something that the pipeline makes is not there; a notebook shows the sentence and no traceback."""

    def __init__(self, error: FileNotFoundError) -> None:
        super().__init__(f"{error}.\nFor a first look: `make quick`, then open build/quick/notebooks/explore.ipynb.")


class Artefacts:
    """The files of a data set, below the working directory. A release is a row of `index`.

    What is missing raises Missing, what is damaged ValueError; both say what to do.
    """

    def __init__(self, data: str, splits: Sequence[str], releases: Mapping[str, Mapping]) -> None:
        """`splits` of the data set; `releases`: those of params.yaml."""
        self.name, self.splits = data, list(splits)
        self.releases = {name: release for name, release in releases.items() if release["data"] == data}
        self._data: dict[str, Dataset] = {}
        self._everybody: dict[str, Dataset] = {}
        self._images: dict[tuple, np.ndarray | Codebook] = {}
        self._seeds: dict[int, Results] = {}

    @cached_property
    def results(self) -> Results:
        """The rows of all judges."""
        try:
            return Results.read(paths.metrics_folder(self.name))
        except FileNotFoundError as error:
            raise Missing(error) from None

    @cached_property
    def index(self) -> pd.DataFrame:
        """The rows of every `releases.json` that is there, one a run, with its split and its name in params.yaml.

        Of the finite releases those on which attackers are trained. Missing where there is none.
        """
        rows, missing = [], FileNotFoundError(f"there is no release of {self.name}")
        for name, release in self.releases.items():
            try:
                found = read_index(paths.release_folder(name))
            except FileNotFoundError as error:
                missing = error
                continue
            rows += [{"release": name, "split": release["split"], **row} for row in found if row["attacked"]]
        if not rows:
            raise Missing(missing)
        return pd.DataFrame(rows).astype({"setting": float, "target": float, "collapsed": object})

    def data(self, split: str) -> Dataset:
        """The known people of the data set at one split."""
        if split not in self._data:
            try:
                self._everybody[split] = Dataset.load(paths.data_file(self.name, split))
            except FileNotFoundError as error:
                raise Missing(error) from None
            self._data[split] = self._everybody[split].known()
        return self._data[split]

    def run(self, survived: bool = True, **key: object) -> pd.Series | None:
        """The first row of `index` with these values, and with `survived` not collapsed; None where there is none."""
        rows = at(self.index, **key)
        rows = rows[rows.collapsed.isna()] if survived else rows
        return rows.iloc[0] if len(rows) else None

    def folder(self, run: pd.Series) -> Path:
        """The folder of a release."""
        return paths.release_folder(run.release)

    def images(self, run: pd.Series, chosen: Sequence[int] | None = None) -> np.ndarray:
        """What is released for the images at the positions `chosen` of the data set, or for all: uint8 (K, H, W)."""
        key, data = (run.release, run.file), self.data(run.split)
        if key not in self._images:
            found = {**run, "codes": None if pd.isna(run.codes) else run.codes}
            try:
                release = load(self.folder(run), self._everybody[run.split], found)
                if release.data.images.shape != data.images.shape:
                    raise ValueError(f"images {release.data.images.shape} beside {data.images.shape}")
            except FileNotFoundError as error:
                raise Missing(error) from None
            except ValueError as error:
                path = self.folder(run) / run.file
                raise ValueError(f"{path} is no release of these images ({error}): run `dvc repro`") from error
            self._images[key] = release.codebook or release.data.images
        kept, place = self._images[key], slice(None) if chosen is None else chosen
        return kept.images[kept.codes[place]] if isinstance(kept, Codebook) else kept[place]

    def codebook(self, run: pd.Series) -> Codebook:
        """The codewords of a release, and the index of each image of the data set."""
        self.images(run, [])
        return self._images[run.release, run.file]

    def players(self, run: pd.Series) -> tuple[Players, dict]:
        """The networks of a game after phase (iii), and its `GameConfig` as a dict."""
        path = self.folder(run) / f"seed-{run.seed:g}"
        return load_players(path), read_json(f"{path}.json")["game"]

    def history(self, run: pd.Series) -> pd.DataFrame:
        """The losses of a game by seed and epoch."""
        return pd.DataFrame(read_json(self.folder(run) / "history.json"))

    def snapshots(self, run: pd.Series) -> np.ndarray:
        """The watched images at the end of phase (i) and by epoch of (ii) and (iii): uint8 (epochs + 1, K, H, W)."""
        folders = paths.start_folder(self.releases[run.release]["start"]), self.folder(run)
        start, game = (read_arrays(folder / f"snapshots-{run.seed:g}.npz")["snapshots"] for folder in folders)
        return np.concatenate([start, game[1:]])  # phase (iii) begins with what phase (ii) ended with

    def values(self, split: str) -> list[int]:
        """Every value of the utility label, in order."""
        data = self.data(split)
        return np.unique(data.attributes[data.utility]).tolist()

    def choose(self, split: str, person: int | str = ALL, value: int | str = ALL, most: int = 10) -> list[int]:
        """Positions of test images, at most `most`, of one person and with one value of the utility label.

        Either may be ALL: then each value comes once, or, with the value given, each person. Otherwise they are spread
        over all there are. Empty where there is none.
        """
        data = self.data(split)
        z, values = data.z, data.attributes[data.utility]
        mine = (data.split == 2) & ((person == ALL) | (z == person)) & ((value == ALL) | (values == value))
        index = np.flatnonzero(mine)
        if ALL not in (person, value):
            return index[np.linspace(0, len(index) - 1, min(most, len(index))).round().astype(int)].tolist()
        apart = (values if value == ALL else z)[index]
        groups = [index[apart == each] for each in np.unique(apart)]
        if person == value:  # ALL: another person for each value, as far as there is one
            own = [group[z[group] == place % data.n_private] for place, group in enumerate(groups)]
            groups = [one if len(one) else group for one, group in zip(own, groups, strict=True)]
        return [int(group[len(group) // 2]) for group in groups][:most]

    def drawn(self, split: str, n: int = 24) -> np.ndarray:
        """Positions of n test images drawn at random, always the same: int64 (n,), or all where there are fewer."""
        return numpy_generator(0, "drawn", split).permutation(np.flatnonzero(self.data(split).split == 2))[:n]

    def called(self, split: str, chosen: Sequence[int]) -> list[str]:
        """The names of the images at these positions: "writer 7, digit 3"; "aia, anger"."""
        data, words = self.data(split), []
        for task in (data.private, data.utility):
            names = [named(task, value) for value in data.task(task)[list(chosen)]]
            words.append([f"{task} {name}" if name.isdigit() else name for name in names])
        return [", ".join(pair) for pair in zip(*words, strict=True)]

    def numbers(self, run: pd.Series | None, split: str) -> dict | None:
        """What was measured on one run, as a row of `Results.releases` with bound, delta, draws and `neighbours`.

        None for a run that has no numbers. Without a run: raw images, mean over seeds. `neighbours` is the accuracy of
        the nearest-neighbour attacker on the private label.
        """
        results, key = self.results, {"split": split, "method": "raw", "setting": None, "target": None}
        if run is not None:
            key = {name: None if pd.isna(run[name]) else run[name] for name in key}
            results = self._of_seed(run.seed)
        row, found = at(results.releases, **key), at(results.attackers(results.private), **key)
        if row.empty:
            return None
        near = at(found, attacker="neighbours").accuracy.mean()
        proof, certificate = {"bound": np.nan, "delta": np.nan, "draws": ""}, tables.first_codes(self.results)
        if run is not None and len(certificate):
            mine = at(certificate, split=split, method=run.method, setting=key["setting"], seed=run.seed, m=1)
            proof = mine.iloc[0][list(proof)].to_dict() if len(mine) else proof
        return {**row.iloc[0].to_dict(), "neighbours": near, **proof}

    def _of_seed(self, seed: int) -> Results:
        if seed not in self._seeds:
            mine = {kind: getattr(self.results, kind) for kind in ("attacks", "naturalness")}
            mine = {kind: rows[rows.seed == seed] if len(rows) else rows for kind, rows in mine.items()}
            self._seeds[seed] = replace(self.results, **mine)
        return self._seeds[seed]

    def strips(self, split: str, keys: Mapping[str, Mapping], chosen: Sequence[int]) -> dict[str, np.ndarray]:
        """Raw images at the positions `chosen`, and what releases make of them: label to uint8 (K, H, W).

        keys  label to method, setting and target of a release; one that collapsed, or is not there, has no row
        """
        runs = {label: self.run(split=split, **key) for label, key in keys.items()}
        shown = {label: self.images(run, chosen) for label, run in runs.items() if run is not None}
        return {"raw": self.data(split).images[list(chosen)], **shown}

    def strips_by_lambda(self, split: str, method: str, chosen: Sequence[int]) -> dict[str, np.ndarray]:
        """`strips` of one method at every lambda."""
        keys = {f"λ = {lam:g}": {"method": method, "setting": lam} for lam in self.lambdas(split, method)}
        return self.strips(split, keys, chosen)

    def points(self, names: Sequence[str]) -> list[dict]:
        """Split, method, setting and target of the releases with these names in params.yaml; those that are there."""
        rows = self.index[self.index.release.isin(names)].drop_duplicates(KEY)
        return [{name: None if pd.isna(row[name]) else row[name] for name in KEY} for _, row in rows.iterrows()]

    def surrogates(self, points: Sequence[Mapping]) -> dict[str, float]:
        """| L_obj - L | of eq. 11 in the last epoch of the first surviving seed, for each game at `points`: nats."""
        found = {}
        for run in filter(lambda run: run is not None, (self.run(**point) for point in points)):
            history = self.history(run)
            if "private" in history:
                last = history[history.seed == run.seed].iloc[-1]
                found[run.method] = float(abs(last.objective - last.private))
        return found

    def lambdas(self, split: str, method: str) -> list[float]:
        """Every lambda of a method, in order."""
        return sorted(at(self.index, split=split, method=method).setting.dropna().unique().tolist())
