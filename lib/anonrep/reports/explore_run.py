"""One run of the explorer: its releases at every lambda, and what it makes of any image."""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.data.pendigits import render
from anonrep.data.unipen import Digit
from anonrep.game import encode
from anonrep.methods.code_encoder import load_encoder
from anonrep.reports.explore_data import Artefacts, Missing
from anonrep.stages.checkpoints import load_players
from anonrep.utils.images import to_tensor

NEIGHBOURS = 15  # of the attacker that names the writer of a drawing; the largest number the suite's own tries


class Coder(NamedTuple):
    """A redrawer in its two halves: images (B, 1, H, W) to the hidden layer (B, hidden), and that to images."""

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]


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
        """A code's hidden layer is the mean over the training images that have it (`code_encoder.decode_codewords`)."""
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
