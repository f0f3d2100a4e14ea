"""Convolutional networks and a perceptron as attackers, behind scikit-learn's estimator conventions."""

import numpy as np
import torch
from safetensors import SafetensorError
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor, nn

from anonrep.utils.convolutions import Flatten
from anonrep.utils.images import jitter
from anonrep.utils.precision import fast
from anonrep.utils.seeds import seeded_initialisation, torch_generator
from anonrep.utils.weights import load_weights, save_weights


def plain_network(height: int, width: int, classes: int) -> nn.Module:
    """The paper's kind of assessment network: two convolutions and a hidden layer."""
    flat = 48 * ((height + 1) // 4) * ((width + 1) // 4)
    return nn.Sequential(
        *[nn.Conv2d(1, 24, 5, stride=2, padding=2), nn.ReLU()],
        *[nn.Conv2d(24, 48, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Dropout2d(0.1), Flatten(), nn.Linear(flat, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, classes)],
    )


def large_network(height: int, width: int, classes: int) -> nn.Module:
    """A deeper and wider network, for the attacker that augments and trains longer."""
    flat = 96 * ((height + 1) // 4) * ((width + 1) // 4)
    return nn.Sequential(
        *[nn.Conv2d(1, 32, 5, stride=2, padding=2), nn.ReLU()],
        *[nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Conv2d(64, 96, 3, padding=1), nn.ReLU()],
        *[nn.Dropout2d(0.15), Flatten(), nn.Linear(flat, 256), nn.ReLU(), nn.Dropout(0.25), nn.Linear(256, classes)],
    )


def perceptron(height: int, width: int, classes: int) -> nn.Module:
    """Two hidden layers on pixels, without dropout: it can memorise details that convolutions smooth away."""
    return nn.Sequential(
        *[nn.Flatten(), nn.Linear(height * width, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU()],
        nn.Linear(512, classes),
    )


class NetworkAttacker(ClassifierMixin, BaseEstimator):
    """A convolutional network behind scikit-learn's conventions.

    `network` is a function (height, width, classes) -> module; `augment` the strength of `jitter`, 0 for none;
    `smoothing` that of the labels (Szegedy et al., 2016). Adam on a one-cycle schedule whose top is `rate`. Same seed,
    same machine: same weights.
    """

    def __init__(
        self,
        network=plain_network,
        *,
        epochs: int = 16,
        batch: int = 128,
        rate: float = 6e-3,
        augment: float = 0.0,
        smoothing: float = 0.0,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.network, self.epochs, self.batch, self.rate = network, epochs, batch, rate
        self.augment, self.smoothing, self.seed, self.device = augment, smoothing, seed, device

    def fit(self, images: np.ndarray, labels: np.ndarray) -> "NetworkAttacker":
        self.classes_, targets = np.unique(labels, return_inverse=True)
        self.shape_ = images.shape[1:]
        self._build()
        x, y = self._tensor(images), torch.from_numpy(targets).to(self.device)
        steps = -(-len(x) // self.batch)
        optimiser = torch.optim.AdamW(self.module_.parameters(), lr=self.rate, weight_decay=0.01, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.rate, total_steps=self.epochs * steps + 1)
        order = torch_generator(self.seed, "attacker order")
        # Dropout draws from the global generator, which is seeded here and put back afterwards.
        with seeded_initialisation(self.seed, "attacker dropout"):
            self.module_.train()
            for _ in range(self.epochs):
                for index in torch.randperm(len(x), generator=order).split(self.batch):
                    batch = jitter(x[index], order, self.augment) if self.augment else x[index]
                    logits = fast(self.module_, batch)
                    loss = nn.functional.cross_entropy(logits, y[index], label_smoothing=self.smoothing)
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
        parts = [fast(self.module_, part).softmax(1) for part in self._tensor(images).split(250)]
        return torch.cat(parts).cpu().numpy()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The likeliest label of each image, (N,)."""
        return self.classes_[self.predict_proba(images).argmax(1)]

    def save(self, path: str) -> None:
        """Write the fitted weights as safetensors; `load` needs an attacker built with the same arguments."""
        facts = {"classes": torch.from_numpy(self.classes_), "shape": torch.tensor(self.shape_)}
        save_weights(path, {**self.module_.state_dict(), **facts})

    def load(self, path: str) -> "NetworkAttacker":
        """Read what `save` wrote. A missing, damaged or unfitting file is named."""
        try:
            weights = load_weights(path)
            self.classes_, self.shape_ = weights.pop("classes").numpy(), tuple(weights.pop("shape").tolist())
            self._build()
            self.module_.load_state_dict(weights)
        except (KeyError, OSError, SafetensorError, RuntimeError) as error:
            raise ValueError(f"{path} holds no attacker that can be used ({error}): run `dvc repro`") from error
        self.module_.eval()
        return self
