"""What the releases of one method and seed make of any image, at every lambda: redrawing, the walk, a drawing."""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anonrep.data.pendigits import render
from anonrep.data.unipen import Digit
from anonrep.game import encode
from anonrep.methods.code_encoder import load_encoder
from anonrep.reports.artefacts import Artefacts, Missing
from anonrep.reports.tables import at
from anonrep.stages import paths
from anonrep.stages.checkpoints import load_players
from anonrep.utils.images import to_tensor

NEIGHBOURS = 15  # of the attacker that names the writer of a drawing; the largest number the suite's own tries


class Coder(NamedTuple):
    """A redrawer in its two halves: images (B, 1, H, W) to the hidden layer (B, hidden), and that to images."""

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]


class Redrawer:
    """One method at one seed through every lambda. `runs`: the rows of `Artefacts.index` that did not collapse."""

    def __init__(self, found: Artefacts, split: str, method: str, seed: int) -> None:
        self.found, self.split, self.method, self.seed = found, split, method, seed
        rows = at(found.index, split=split, method=method, seed=seed)
        self.runs = {run.setting: run for _, run in rows[rows.collapsed.isna()].sort_values("setting").iterrows()}

    @cached_property
    def coders(self) -> dict[float, Coder]:
        """The redrawer at each lambda. Raises Missing for weights that are not there."""
        try:
            return {
                lam: self._finite(run) if self.method == "finite" else self._game(run) for lam, run in self.runs.items()
            }
        except FileNotFoundError as error:
            raise Missing(error) from None

    def _game(self, run: pd.Series) -> Coder:
        autoencoder = load_players(self.found.folder(run) / f"seed-{self.seed}").autoencoder
        return Coder(autoencoder.encode, autoencoder.decode)

    def _finite(self, run: pd.Series) -> Coder:
        """A code's hidden layer is the mean over the training images that have it (`code_encoder.decode_codewords`)."""
        start = paths.start_folder(self.found.releases[run.release]["start"])
        autoencoder, train = (
            load_players(start / f"seed-{self.seed}").autoencoder,
            self.found.data(self.split).split == 0,
        )
        hidden = encode(autoencoder, self.found.data(self.split).images[train])
        encoder, book = load_encoder((self.found.folder(run) / run.file).with_suffix("")), self.found.codebook(run)
        codes = torch.from_numpy(book.codes[train])
        centres = torch.stack([hidden[codes == code].mean(0) for code in range(len(book))])
        return Coder(lambda x: centres[encoder(x).argmax(1)], autoencoder.decode)

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
        """`believe` of an attacker who holds the training images as released at `lam`; None: the raw ones."""
        data = self.found.data(self.split)
        images, train = data.images if lam is None else self.found.images(self.runs[lam]), data.split == 0
        return believe(image, images[train], data.z[train], data.n_private)


def _to_uint8(x_hat: Tensor) -> np.ndarray:
    """(B, 1, H, W) in [0, 1] to uint8 (B, H, W): a release is 8-bit."""
    return (x_hat.squeeze(1) * 255).round().byte().numpy()


def believe(image: np.ndarray, known: np.ndarray, z: np.ndarray, people: int) -> np.ndarray:
    """Shares of each person among the known images nearest to `image`: float64 (people,), sums to 1.

    image  uint8 (H, W);  known  uint8 (N, H, W), with their private labels z (N,)

    The NEIGHBOURS nearest count, and all that are as near as the last of them: where a release has few codewords, these
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
