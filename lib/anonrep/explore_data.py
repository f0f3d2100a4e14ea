"""What the explorer shows, as arrays and numbers: what the pipeline left, loaded, chosen from and redrawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anonrep.checkpoints import load_players
from anonrep.code_encoder import load_encoder
from anonrep.codebook import Codebook
from anonrep.dataset import Dataset
from anonrep.files import read_json
from anonrep.images import to_tensor
from anonrep.pendigits import render
from anonrep.pretraining import encode
from anonrep.unipen import Digit

ALL = "all"  # instead of one person or one value; ipywidgets takes None for "nothing chosen"
NEIGHBOURS = 15  # of the attacker that names the writer of a drawing; the largest number the suite's own tries


class Missing(FileNotFoundError):
    """Something the pipeline would have made is not there; a notebook shows the sentence and no traceback."""

    def __init__(self, error: FileNotFoundError) -> None:
        super().__init__(f"{error}.\nFor a first look: `make quick`, then open build/quick/notebooks/explore.ipynb.")

    def _render_traceback_(self) -> list[str]:  # what IPython asks an exception for
        return [str(self)]


class Coder(NamedTuple):
    """A redrawer in its two halves: images (B, 1, H, W) to the hidden layer (B, hidden), and that to images."""

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]


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


class Run:
    """One variant at one seed through every lambda: its releases, and how each of them redraws any image.

    releases   {lambda: uint8 (N, H, W)}, all images of the data set; a collapsed run has none
    collapsed  {lambda: why}
    """

    def __init__(self, found: Artefacts, variant: str, seed: int) -> None:
        """Raises Missing for a release that is not there."""
        self.found, self.variant, self.seed = found, variant, seed
        rows = found.runs[(found.runs.variant == variant) & (found.runs.seed == seed)]
        outcomes = {lam: why for lam, why in zip(rows.lam, rows.collapsed, strict=True) if isinstance(why, str)}
        self.collapsed: dict[float, str] = outcomes
        lambdas = sorted(set(rows.lam) - set(outcomes))
        try:
            self.releases = {lam: Dataset.load(self.folder(lam) / f"seed-{seed}.npz").images for lam in lambdas}
        except FileNotFoundError as error:
            raise Missing(error) from None

    def folder(self, lam: float) -> Path:
        """Where the pipeline put this variant at lambda."""
        return self.found.models / self.variant / f"lambda-{lam:g}"

    @cached_property
    def coders(self) -> dict[float, Coder]:
        """The redrawer at each lambda that has a release. Raises Missing for weights that are not there."""
        try:
            if self.variant == "finite":
                return self._finite_coders()
            players = {lam: load_players(self.folder(lam) / f"seed-{self.seed}") for lam in self.releases}
        except FileNotFoundError as error:
            raise Missing(error) from None
        return {lam: Coder(p.autoencoder.encode, p.autoencoder.decode) for lam, p in players.items()}

    def _finite_coders(self) -> dict[float, Coder]:
        """A code's hidden layer is the mean over the training images that have it, as in `code_encoder.draw_codes`."""
        autoencoder, train = (
            load_players(self.found.start / f"seed-{self.seed}").autoencoder,
            self.found.data.split == 0,
        )
        hidden = encode(autoencoder, self.found.data.images[train])
        coders = {}
        for lam in self.releases:
            path = self.folder(lam) / f"codes-{self.found.codes}-seed-{self.seed}"
            encoder, book = load_encoder(path), Codebook.load(path.with_suffix(".npz"))
            codes = torch.from_numpy(book.codes[train])
            centres = torch.stack([hidden[codes == code].mean(0) for code in range(len(book))])
            # Bound here, or every coder would be the last one's.
            coders[lam] = Coder(lambda x, e=encoder, c=centres: c[e(x).argmax(1)], autoencoder.decode)
        return coders

    @torch.no_grad()
    def redraw(self, image: np.ndarray) -> dict[float, np.ndarray]:
        """A new image as every lambda would release it: uint8 (H, W) to the same."""
        x = to_tensor(image[None])
        return {lam: _to_uint8(coder.decode(coder.encode(x)))[0] for lam, coder in self.coders.items()}

    @torch.no_grad()
    def walk(self, images: np.ndarray, steps: int = 16) -> list[tuple[float, np.ndarray]]:
        """From the least lambda to the greatest in about `steps` steps: (lambda, uint8 (B, H, W)), images alike.

        Between two trained lambdas the hidden layer goes straight from where one puts the images to where the other
        does. Both decoders draw each point, and the nearer counts for more; where the decoder is frozen they are one.
        At a trained lambda it is the release itself.
        """
        x, trained = to_tensor(images), list(self.coders.items())
        between = max(1, steps // max(1, len(trained) - 1))
        frames = []
        for (low, first), (high, second) in pairwise(trained):
            ends = first.encode(x), second.encode(x)
            for t in np.arange(between) / between:
                hidden = torch.lerp(*ends, t)
                drawn = torch.lerp(first.decode(hidden), second.decode(hidden), t)
                frames.append((low + t * (high - low), _to_uint8(drawn)))
        return frames + [(lam, _to_uint8(coder.decode(coder.encode(x)))) for lam, coder in trained[-1:]]

    def believe(self, image: np.ndarray, lam: float | None = None) -> np.ndarray:
        """What an attacker who holds the training images as released at `lam` thinks of `image` (`believe`)."""
        images, train = self.found.data.images if lam is None else self.releases[lam], self.found.data.split == 0
        return believe(image, images[train], self.found.data.z[train], self.found.data.n_private)


def _to_uint8(x_hat: Tensor) -> np.ndarray:
    """(B, 1, H, W) in [0, 1] to uint8 (B, H, W): a release is 8-bit."""
    return (x_hat.squeeze(1) * 255).round().byte().numpy()


def believe(image: np.ndarray, known: np.ndarray, z: np.ndarray, people: int) -> np.ndarray:
    """Shares of each person among the known images nearest to `image`: float64 (people,), sums to 1.

    image  uint8 (H, W);  known  uint8 (N, H, W), with their private labels z (N,)

    The NEIGHBOURS nearest count, and all that are as near as the last of them: where a release has few pictures, these
    are all the images with the same one, and no attacker who knows nothing else can do better.
    """
    difference = (known.astype(np.int32) - image).reshape(len(known), -1)
    distances = np.einsum("nd,nd->n", difference, difference)
    last = min(NEIGHBOURS, len(known)) - 1
    votes = np.bincount(z[distances <= np.partition(distances, last)[last]], minlength=people)
    return votes / votes.sum()


def drawing(strokes: Sequence[Sequence[Sequence[int]]], provenance: dict) -> np.ndarray:
    """Pen strokes as the data's own images: uint8 (H, W).

    strokes     lists of [x, y] in tablet units, 0 ... 500, y upwards, as in the data's file
    provenance  the data set's: how large and in which frame its digits were drawn
    """
    points = tuple(np.array(stroke, np.int64) for stroke in strokes)
    return render([Digit(points, label=0, writer=1, instance=0)], provenance["size"], provenance["frame"])[0]
