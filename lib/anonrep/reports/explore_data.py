"""What the explorer shows, as arrays and numbers: what the pipeline left, loaded and chosen from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from anonrep.data.dataset import Dataset
from anonrep.utils.files import Plain, read_json

ALL = "all"  # instead of one person or one value; ipywidgets takes None for "nothing chosen"


class Missing(Plain, FileNotFoundError):
    """Something the pipeline would have made is not there; a notebook shows the sentence and no traceback."""

    def __init__(self, error: FileNotFoundError) -> None:
        super().__init__(f"{error}.\nFor a first look: `make quick`, then open build/quick/notebooks/explore.ipynb.")


@dataclass(frozen=True)
class Numbers:
    """What was measured on one release, or on raw images: fractions; None where it was not measured.

    kept, private   the paper's protocol: a fresh plain network on what is to be kept, and on the private label
    worst           the best attacker of the suite on the private label, and `attacker`, which one that is
    neighbours      the attacker of the suite that `believe` is like
    natural         what is to be kept, read by a network trained on raw images alone
    bound           what no classifier exceeds on the private label, at the certificate's confidence 1 - delta
    """

    kept: float
    private: float
    worst: float
    attacker: str
    neighbours: float
    natural: float | None = None
    bound: float | None = None
    delta: float | None = None


@dataclass(frozen=True)
class Artefacts:
    """The data set, the metrics as tables, and the folders where releases and weights lie (`load`)."""

    data: Dataset
    accuracy: pd.DataFrame
    naturalness: pd.DataFrame
    runs: pd.DataFrame
    certificate: pd.DataFrame
    models: Path
    start: Path

    @property
    def private(self) -> str:
        """What the private label is called."""
        return self.data.provenance["private"]

    @property
    def kept(self) -> str:
        """The attribute that attackers also went for: what a release should keep."""
        return next(task for task in self.accuracy.task if task != self.private)

    @property
    def lambdas(self) -> list[float]:
        """Every trained lambda, in order."""
        return sorted(self.runs.lam.unique().tolist())

    @property
    def variants(self) -> list[str]:
        """Every variant, in the order of the metrics."""
        return self.runs.variant.unique().tolist()

    @property
    def values(self) -> list[float]:
        """Every value of `kept`, in order."""
        return np.unique(self.data.attributes[self.kept]).tolist()

    def names(self, chosen: Sequence[int]) -> list[str]:
        """What to call the images at these positions: "writer 7, digit 3"."""
        values = self.data.attributes[self.kept]
        return [f"{self.private} {self.data.z[i]}, {self.kept} {values[i]:g}" for i in chosen]

    def seeds(self, variant: str) -> list[int]:
        """The seeds of a variant."""
        return self.runs[self.runs.variant == variant].seed.unique().tolist()

    @property
    def codes(self) -> int:
        """How many codes the finite releases of Fig. 2 started with: the first of the certificate's."""
        return int(self.certificate[self.certificate.method == "finite"].codebook.iloc[0])

    def choose(self, person: int | str, value: float | str, most: int = 10) -> list[int]:
        """Test images, at most `most`, as positions in `data`, of one person and with one value of `kept`.

        Either may be ALL: then each value comes once, or, with the value given, each person. Empty where nobody has
        drawn that.
        """
        z, values = self.data.z, self.data.attributes[self.kept]
        index = np.flatnonzero(self.data.split == 2)
        if person != ALL:
            index = index[z[index] == person]
        if value != ALL:
            index = index[values[index] == value]
        if ALL in (person, value):
            apart = values if value == ALL else z
            index = index[np.unique(apart[index], return_index=True)[1]]
        return index[:most].tolist()

    def numbers(self, variant: str, lam: float | None = None, seed: int | None = None) -> Numbers:
        """What was measured on one release; "raw", without lambda and seed, is the mean over seeds of the control."""

        def mine(rows: pd.DataFrame, name: str = "variant") -> pd.DataFrame:
            rows = rows[rows[name] == variant]
            return rows if lam is None else rows[(rows.lam == lam) & (rows.seed == seed)]

        means = mine(self.accuracy).groupby(["task", "attacker"]).accuracy.mean()
        own = means[self.private]
        found = Numbers(means[self.kept, "cnn"], own["cnn"], own.max(), own.idxmax(), own["neighbours"])
        if lam is None:
            return found
        more = {"natural": mine(self.naturalness)[f"{self.kept}_accuracy"].item()}
        certificate = mine(self.certificate[self.certificate.m == 1], "method")
        certificate = certificate[certificate.codebook == self.codes]
        if len(certificate):
            more |= certificate.iloc[0][["bound", "delta"]].to_dict()
        return Numbers(**vars(found) | more)


def load(data: str | Path, models: str | Path, start: str | Path, metrics: str | Path) -> Artefacts:
    """Read the data set and the metrics; releases and weights only when a `Run` asks for them.

    models, start, metrics: the folders of the runs, of the autoencoders that the finite release was learned on, and of
    the JSON files. Raises Missing, with the command that makes it, for what is not there.
    """
    try:
        names = {"accuracy": "fig2", "naturalness": "naturalness", "runs": "runs", "certificate": "certificate"}
        dataset = Dataset.load(data)
        tables = {key: pd.DataFrame(read_json(Path(metrics) / f"{name}.json")) for key, name in names.items()}
    except FileNotFoundError as error:
        raise Missing(error) from None
    return Artefacts(dataset, **tables, models=Path(models), start=Path(start))
