"""Attackers: classifiers trained afresh on released images with the true labels, after the game is over.

Each follows scikit-learn's estimator conventions on uint8 images: `fit(images (N, H, W), labels (N,))`, `predict`.
An attacker is a list of candidates that differ in their tuning; `assessment.assess` picks one on validation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from torch import Tensor, nn

from anonrep.files import replacing
from anonrep.images import jitter
from anonrep.seeds import seeded_initialisation, torch_generator

Suite = Mapping[str, Sequence[BaseEstimator]]


@dataclass(frozen=True)
class Effort:
    """How hard the attackers and the judges of naturalness work."""

    network_epochs: int = 16  # of the attacker `cnn`
    large_epochs: int = 28  # of the attacker `cnn_large`, which takes longer than all the others together
    trees: int = 200
    reader_epochs: int = 16  # of the network, trained on raw images, that reads the released ones
    two_sample_epochs: int = 4  # of the network that tells real from released images

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name == "large_epochs" else 1  # 0: without that attacker
            if type(value) is not int or value < least:
                raise ValueError(f"{field.name} is {value!r}; expected a whole number from {least}")


def suite(effort: Effort, *, seed: int, device: str = "cpu") -> Suite:
    """The attackers by name, each with the candidates that validation chooses from.

    `cnn` is the paper's own kind of assessment network; the others are there because an adversarial game may hide the
    label from networks like its own and not from these. A further attacker is one more entry.
    """
    network = {"seed": seed, "device": device}
    large = NetworkAttacker(large_network, epochs=effort.large_epochs, augment=0.08, **network)
    return {
        "cnn": [NetworkAttacker(epochs=effort.network_epochs, **network)],
        **({"cnn_large": [large]} if effort.large_epochs else {}),
        "trees": [on_pixels(ExtraTreesClassifier(effort.trees, min_samples_leaf=2, random_state=seed))],
        "svm": [on_pixels(SVC(C=10, gamma=gamma)) for gamma in (0.01, 0.03)],
        "neighbours": [on_pixels(KNeighborsClassifier(k, weights="distance")) for k in (1, 5, 15)],
    }


def pixels(images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W) to float32 rows (N, H * W) in [0, 1]."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def on_pixels(estimator: BaseEstimator) -> BaseEstimator:
    """A scikit-learn classifier that is handed images."""
    return make_pipeline(FunctionTransformer(pixels), estimator)


def plain_network(height: int, width: int, classes: int) -> nn.Module:
    """The paper's kind of assessment network: two convolutions and a hidden layer."""
    flat = 48 * ((height + 1) // 4) * ((width + 1) // 4)
    return nn.Sequential(
        *[nn.Conv2d(1, 24, 5, stride=2, padding=2), nn.ReLU()],
        *[nn.Conv2d(24, 48, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Flatten(), nn.Dropout(0.3), nn.Linear(flat, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, classes)],
    )


def large_network(height: int, width: int, classes: int) -> nn.Module:
    """A deeper and wider network, for the attacker that augments and trains longer."""
    flat = 96 * ((height + 1) // 4) * ((width + 1) // 4)
    return nn.Sequential(
        *[nn.Conv2d(1, 32, 5, stride=2, padding=2), nn.ReLU()],
        *[nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Conv2d(64, 96, 3, padding=1), nn.ReLU()],
        *[nn.Flatten(), nn.Dropout(0.4), nn.Linear(flat, 256), nn.ReLU(), nn.Dropout(0.4), nn.Linear(256, classes)],
    )


class NetworkAttacker(ClassifierMixin, BaseEstimator):
    """A convolutional network behind scikit-learn's conventions.

    `network` is a function (height, width, classes) -> module; `augment` the strength of `jitter`, 0 for none. Adam on
    a one-cycle schedule whose top is `rate`. Same seed, same machine: same weights.
    """

    def __init__(
        self,
        network=plain_network,
        *,
        epochs: int = 16,
        batch: int = 64,
        rate: float = 3e-3,
        augment: float = 0.0,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.network, self.epochs, self.batch, self.rate = network, epochs, batch, rate
        self.augment, self.seed, self.device = augment, seed, device

    def fit(self, images: np.ndarray, labels: np.ndarray) -> "NetworkAttacker":
        self.classes_, targets = np.unique(labels, return_inverse=True)
        self.shape_ = images.shape[1:]
        self._build()
        x, y = self._tensor(images), torch.from_numpy(targets).to(self.device)
        steps = -(-len(x) // self.batch)
        optimiser = torch.optim.AdamW(self.module_.parameters(), lr=self.rate, weight_decay=0.01, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.rate, total_steps=self.epochs * steps + 1)
        order = torch_generator(self.seed, "attacker order")
        # Dropout draws from the global generator, hence the seeded room around the whole fit.
        with seeded_initialisation(self.seed, "attacker dropout"):
            self.module_.train()
            for _ in range(self.epochs):
                for index in torch.randperm(len(x), generator=order).split(self.batch):
                    batch = jitter(x[index], order, self.augment) if self.augment else x[index]
                    loss = nn.functional.cross_entropy(self.module_(batch), y[index])
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                    schedule.step()
        self.module_.eval()
        return self

    def _build(self) -> None:
        with seeded_initialisation(self.seed, "attacker"):
            self.module_ = self.network(*self.shape_, len(self.classes_))
        self.module_.to(self.device, memory_format=torch.channels_last)

    def _tensor(self, images: np.ndarray) -> Tensor:
        x = torch.from_numpy(images).to(self.device).unsqueeze(1).float() / 255
        return x.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities, float32 (N, classes), in the order of `classes_`."""
        parts = [self.module_(part).softmax(1) for part in self._tensor(images).split(1000)]
        return torch.cat(parts).cpu().numpy()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The likeliest label of each image, (N,)."""
        return self.classes_[self.predict_proba(images).argmax(1)]

    def save(self, path: str) -> None:
        """Write the fitted weights as safetensors; `load` needs an attacker built with the same arguments."""
        weights = {name: value.cpu().contiguous() for name, value in self.module_.state_dict().items()}
        facts = {"classes": torch.from_numpy(self.classes_), "shape": torch.tensor(self.shape_)}
        with replacing(path) as temporary:
            save_file(weights | facts, temporary)

    def load(self, path: str) -> "NetworkAttacker":
        """Read what `save` wrote."""
        weights = load_file(path)
        self.classes_, self.shape_ = weights.pop("classes").numpy(), tuple(weights.pop("shape").tolist())
        self._build()
        self.module_.load_state_dict(weights)
        self.module_.eval()
        return self
