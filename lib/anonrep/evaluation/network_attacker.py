"""Convolutional networks and a perceptron as attackers, behind scikit-learn's estimator conventions."""

import numpy as np
import torch
from safetensors import SafetensorError
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor, nn

from anonrep.utils.convolutions import Flatten
from anonrep.utils.images import jitter
from anonrep.utils.precision import fast
from anonrep.utils.seeds import numpy_generator, seeded_initialisation, subseed, torch_generator
from anonrep.utils.weights import load_weights, save_weights

RESTARTS = 2  # the most, each at a third of the rate before
LOOKED_AT = 2000  # training images, at most, on which a network is seen to be alive


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

    A network that ends at chance on its own training images (`at_chance`) is started again from another seed at a
    third of the rate, at most RESTARTS times. `restarts_` says how often; `trained_` is False where the last one ended
    at chance too: such a network is no evidence that a release hides anything.
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
        x, y = self._tensor(images), torch.from_numpy(targets).to(self.device)
        for self.restarts_ in range(RESTARTS + 1):
            seed = subseed(self.seed, "restart", self.restarts_) if self.restarts_ else self.seed
            self._train(x, y, seed, self.rate / 3**self.restarts_)
            self.trained_ = not self._is_dead(images, targets)
            if self.trained_:
                break
        return self

    def _train(self, x: Tensor, y: Tensor, seed: int, rate: float) -> None:
        self._build(seed)
        steps = -(-len(x) // self.batch)
        optimiser = torch.optim.AdamW(self.module_.parameters(), lr=rate, weight_decay=0.01, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=self.epochs * steps + 1)
        order = torch_generator(seed, "attacker order")
        # Dropout draws from the global generator, which is seeded here and put back afterwards.
        with seeded_initialisation(seed, "attacker dropout"):
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

    def _is_dead(self, images: np.ndarray, targets: np.ndarray) -> bool:
        some = numpy_generator(self.seed, "attacker check").permutation(len(images))[:LOOKED_AT]
        hits = int((self.predict_proba(images[some]).argmax(1) == targets[some]).sum())
        return at_chance(hits, len(some), images, targets)

    def _build(self, seed: int) -> None:
        with seeded_initialisation(seed, "attacker"):
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
        facts |= {"restarts": torch.tensor(self.restarts_), "trained": torch.tensor(self.trained_)}
        save_weights(path, {**self.module_.state_dict(), **facts})

    def load(self, path: str) -> "NetworkAttacker":
        """Read what `save` wrote. A missing, damaged or unfitting file is named."""
        try:
            weights = load_weights(path)
            self.classes_, self.shape_ = weights.pop("classes").numpy(), tuple(weights.pop("shape").tolist())
            self.restarts_, self.trained_ = weights.pop("restarts").item(), weights.pop("trained").item()
            self._build(self.seed)
            self.module_.load_state_dict(weights)
        except (KeyError, OSError, SafetensorError, RuntimeError) as error:
            raise ValueError(f"{path} holds no attacker that can be used ({error}): run `dvc repro`") from error
        self.module_.eval()
        return self


def at_chance(hits: int, n: int, images: np.ndarray, labels: np.ndarray) -> bool:
    """Whether `hits` of `n` training images is no better than one label for all, although more could be learned.

    images, labels  all training images, uint8 (N, H, W), and their labels as indices, (N,)

    No better is an accuracy of at most the largest share of a label and three standard errors of n images above it.
    More can be learned where a table of the images is above that: it names each image by the label that is most common
    among the other images that look the same, and knows by heart an image that nothing else looks like. So nothing is
    to be learned from one image for all, or from codewords that everybody shares alike.
    """
    counts = np.bincount(labels)
    share = counts.max() / len(labels)
    limit = share + 3 * np.sqrt(share * (1 - share) / n)
    if hits / n > limit:
        return False
    same: dict[bytes, int] = {}
    which = np.array([same.setdefault(image.tobytes(), len(same)) for image in images])
    table = np.zeros((len(same), len(counts)), np.int64)
    np.add.at(table, (which, labels), 1)
    others = table[which]
    others[np.arange(len(labels)), labels] -= 1
    named = (others.argmax(1) == labels) | (others.sum(1) == 0)
    return bool(named.mean() > limit)
