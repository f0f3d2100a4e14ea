"""The encoder of a finite release: the network that gives an image one of K codes, and the codeword of each code."""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.game import encode
from anonrep.methods.gradients import OrientedGradients
from anonrep.networks import Autoencoder
from anonrep.utils.files import read_json, write_json
from anonrep.utils.images import to_tensor
from anonrep.utils.seeds import seeded_initialisation
from anonrep.utils.weights import load_weights, save_weights


class CodeEncoder(nn.Module):
    """x (B, 1, H, W) -> logits of K codes (B, K): a small network, `head`, on fixed features.

    `features`: a module (B, 1, H, W) -> (B, inputs) that is not trained, such as the encoder of an autoencoder after
    phases (i) and (ii).
    """

    def __init__(self, features: nn.Module, inputs: int, codes: int, units: int) -> None:
        super().__init__()
        self.features = features.requires_grad_(False)
        self.head = nn.Sequential(
            nn.BatchNorm1d(inputs, affine=False),
            *[nn.Linear(inputs, units), nn.BatchNorm1d(units), nn.ReLU()],
            *[nn.Linear(units, units), nn.BatchNorm1d(units), nn.ReLU()],
            nn.Linear(units, codes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def keep(self, used: Tensor) -> None:
        """Drop all codes but those of the mask `used` (K,); these are numbered anew, in their order."""
        last = self.head[-1]
        last.weight, last.bias = (nn.Parameter(value.data[used]) for value in (last.weight, last.bias))
        last.out_features = len(last.bias)

    @torch.no_grad()
    def codes(self, images: np.ndarray) -> np.ndarray:
        """The likeliest code of each image: uint8 (N, H, W) to int64 (N,). Call `eval` first, as for every network."""
        device = self.head[-1].weight.device
        return torch.cat([self(part).argmax(1) for part in to_tensor(images, device).split(1000)]).cpu().numpy()


@torch.no_grad()
def decode_codewords(autoencoder: Autoencoder, images: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """A codeword for each code, uint8 (K, H, W): the mean of the hidden layer over its images, decoded.

    It lies on the manifold of the decoder and is nobody's image. `images`: uint8 (N, H, W), `codes`: (N,), each of
    0 ... K - 1 at least once.
    """
    hidden = encode(autoencoder, images, autoencoder.mean.weight.device)
    codes = torch.from_numpy(codes).to(hidden.device)
    centres = torch.stack([hidden[codes == code].mean(0) for code in range(int(codes.max()) + 1)])
    return (autoencoder.decode(centres).squeeze(1) * 255).round().byte().cpu().numpy()


def used_codes(encoder: CodeEncoder, data: Dataset) -> np.ndarray:
    """The code of every image, int64 (N,), among those that training images have.

    The encoder drops the other codes: nothing is known about what they would tell.
    """
    used = np.bincount(encoder.codes(data.subset("train").images), minlength=encoder.head[-1].out_features) > 0
    encoder.keep(torch.from_numpy(used).to(encoder.head[-1].weight.device))
    return encoder.codes(data.images)


def make_codebook(autoencoder: Autoencoder, encoder: CodeEncoder, data: Dataset) -> Codebook:
    """`used_codes` with the codewords of `decode_codewords`."""
    codes = used_codes(encoder, data)
    return Codebook(decode_codewords(autoencoder, data.subset("train").images, codes[data.split == 0]), codes)


def features(architecture: dict) -> tuple[nn.Module, int]:
    """The features of an encoder of this architecture, and how many numbers they are.

    They are the encoder of an autoencoder, whose weights are still to be loaded, or oriented gradients where the
    architecture has no hidden layer.
    """
    size = {key: architecture[key] for key in ("height", "width")}
    if "hidden" not in architecture:
        gradients = OrientedGradients()
        return gradients, gradients.outputs(**size)
    autoencoder = Autoencoder(**size, hidden=architecture["hidden"], channels=architecture["channels"])
    return autoencoder.encoder, autoencoder.mean.in_features


def save_encoder(path: str | Path, encoder: CodeEncoder, architecture: dict, **description: object) -> None:
    """Write `path`.safetensors and `path`.json: the encoder, the `architecture` (`features`), and a description."""
    save_weights(f"{path}.safetensors", encoder.state_dict())
    size = {"codes": encoder.head[-1].out_features, "units": encoder.head[-1].in_features}
    write_json(f"{path}.json", {"architecture": architecture, **size, **description})


def load_encoder(path: str | Path, device: torch.device | str = "cpu") -> CodeEncoder:
    """Read what `save_encoder` wrote, ready to give codes. A missing, damaged or unfitting file is named."""
    description = read_json(f"{path}.json")
    try:
        with seeded_initialisation(0):  # or building layers would move the global generator
            encoder = CodeEncoder(*features(description["architecture"]), description["codes"], description["units"])
        encoder.load_state_dict(load_weights(f"{path}.safetensors"))
    except (KeyError, TypeError, OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path}.safetensors and .json are no encoder ({error!r}): run `dvc repro`") from error
    return encoder.to(torch.device(device)).eval()
