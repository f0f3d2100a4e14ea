"""What the faces' explorer shows, as arrays and numbers: what the stages on faces left, loaded once and chosen from."""

from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.data.ferg_reader import CHARACTERS
from anonrep.reports.explore_data import ALL, Missing
from anonrep.reports.report_ferg import SPLITS
from anonrep.stages.results_ferg import majority, releases
from anonrep.utils.files import read_json

GAMES = {"restricted": "seed", "substituted": "substituted"}  # what a collapsed game has not, and what its files are
TARGETS = tuple(range(len(CHARACTERS) + 1))  # the people, and nobody


class Faces:
    """The stages' folders: `processed` (data sets), `models` (a folder a split) and `metrics` (JSON).

    Nothing is read before it is asked for, and nothing twice. Of every data set and release only test images are kept.
    What is missing raises Missing, what is damaged ValueError; both say what to do.
    """

    def __init__(self, processed: str | Path, models: str | Path, metrics: str | Path) -> None:
        self.processed, self.models, self.metrics = Path(processed), Path(models), Path(metrics)
        self._data: dict[str, tuple[np.ndarray, Dataset]] = {}
        self._releases: dict[tuple[str, str, int], Codebook | str] = {}

    @cached_property
    def rows(self) -> list[dict]:
        """The rows of table1.json of each release's first seed, which is the one that is shown."""
        rows, first = self._metrics("table1"), {}
        for row in rows:
            first.setdefault((row["split"], row["method"], row["target"]), row["seed"])
        return [row for row in rows if row["seed"] == first[row["split"], row["method"], row["target"]]]

    @cached_property
    def table(self) -> pd.DataFrame:
        """The best attackers on each release: `results_ferg.releases`."""
        return releases(self.rows)

    @cached_property
    def certificate(self) -> pd.DataFrame:
        """The finite release's bounds, a row a split: `experiment_ferg.certificate`."""
        return pd.DataFrame(self._metrics("ferg_certificate"))

    def _metrics(self, name: str) -> list[dict]:
        try:
            return read_json(self.metrics / f"{name}.json")
        except FileNotFoundError as error:
            raise Missing(error) from None

    @property
    def splits(self) -> list[str]:
        """The splits that Table 1 has; without it, those there are."""
        return [split for split in SPLITS if split in set(self._column("split", SPLITS))]

    @property
    def targets(self) -> list[int]:
        """The targets that Table 1 has, in order; without it, all of TARGETS."""
        return [target for target in TARGETS if target in set(self._column("target", TARGETS))]

    def _column(self, name: str, otherwise: object) -> object:
        try:
            return self.table[name]
        except (Missing, ValueError):
            return otherwise

    def numbers(self, split: str, method: str, target: int | None = None) -> pd.Series | None:
        """The row of `table` of one release, or of "raw" images; None where nothing was measured."""
        mine = self.table[(self.table.split == split) & (self.table.method == method)]
        mine = mine if target is None else mine[mine.target == target]
        return mine.iloc[0] if len(mine) else None

    def bound(self, split: str) -> pd.Series | None:
        """The row of `certificate` of one split; None where there is none."""
        mine = self.certificate[self.certificate.split == split]
        return mine.iloc[0] if len(mine) else None

    def majority(self, split: str) -> float:
        """How often it is right to name the commonest person for every image."""
        return majority(self.rows, split)

    def data(self, split: str) -> Dataset:
        """The test images of one split."""
        return self._test(split)[1]

    def _test(self, split: str) -> tuple[np.ndarray, Dataset]:
        """Which images of the data set are for testing, and these."""
        if split not in self._data:
            try:
                data = Dataset.load(self.processed / f"ferg-{split}.npz")
            except FileNotFoundError as error:
                raise Missing(error) from None
            self._data[split] = data.split == 2, data.subset("test")
        return self._data[split]

    def choose(self, split: str, person: int | str, expression: int | str, most: int = 6) -> list[int]:
        """Test images as positions in `data(split)`, of one person and with one expression.

        Either may be ALL: then each expression comes once, or, with the expression given, each person. Else at most
        `most`, far apart, since neighbours are frames of one clip. Empty where there is none.
        """
        z, expressions = (data := self.data(split)).z, data.attributes["expression"]
        index = np.flatnonzero(((person == ALL) | (z == person)) & ((expression == ALL) | (expressions == expression)))
        if ALL not in (person, expression):
            return index[np.linspace(0, len(index) - 1, min(most, len(index))).round().astype(int)].tolist()
        apart = (expressions if expression == ALL else z)[index]
        groups = [index[apart == value] for value in np.unique(apart)]
        return [int(group[len(group) // 2]) for group in groups]

    def release(self, split: str, method: str, target: int) -> Codebook | str:
        """What is released for each test image; or, in words, why there is nothing: missing, damaged or collapsed.

        For "restricted", where every image is another, it has as many pictures as images.
        """
        key = (split, method, target)
        if key not in self._releases:
            mask, data = self._test(split)
            try:
                self._releases[key] = self._read(mask, data, *key)
            except FileNotFoundError as error:
                self._releases[key] = str(Missing(error))
            except ValueError as error:
                self._releases[key] = str(error)
        return self._releases[key]

    def read(self, split: str, method: str) -> None:
        """Have every target's `release` ready, as far as there is data."""
        with suppress(Missing, ValueError):
            for target in self.targets:
                self.release(split, method, target)

    def _read(self, mask: np.ndarray, data: Dataset, split: str, method: str, target: int) -> Codebook | str:
        if target not in self.targets:
            return f"This run has no target {target}: it is not among the parameters `ferg.targets`."
        folder = self.models / split / f"target-{target}"
        path = folder.parent / "finite" / f"{folder.name}.npz" if method == "finite" else folder / "pixels.npz"
        if method in GAMES:
            run = read_json(folder / "runs.json")[0]
            if run["collapsed"]:
                return f"This game {run['collapsed']}. It is no evidence of privacy and has no accuracy."
            path = folder / f"{GAMES[method]}-{run['seed']}.npz"
        if method == "restricted":
            images = Dataset.load(path).images
            book = Codebook(images, np.arange(len(images)))
        else:
            book = Codebook.load(path)
        if len(book.codes) != len(mask) or book.images.shape[1:] != data.images.shape[1:]:
            raise ValueError(f"{path} is not of the data set's images: run `dvc repro`")
        used, codes = np.unique(book.codes[mask], return_inverse=True)
        return Codebook(book.images[used], codes)
