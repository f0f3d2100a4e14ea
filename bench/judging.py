"""The attackers, beside the same attackers as scikit-learn's and PyTorch's tutorials have them."""

import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import SVC
from torch import nn
from torch.utils.data import DataLoader

from anonrep.data.dataset import Dataset
from anonrep.evaluation.assessment import attack
from anonrep.evaluation.attackers import FEW, AttackBudget, Suite, on_pixels, suite
from anonrep.evaluation.network_attacker import plain_network
from bench.games import digits
from bench.textbook import Images
from bench.timing import Pairs, as_in_a_stage, seconds, threads


def assessment(images: int = 1200, epochs: int = 4, trees: int = 100) -> Pairs:
    """Seconds for one attacker of each kind on so many images, on one thread: fitted, tuned, calibrated, applied."""
    data, budget = digits(images), AttackBudget(network_epochs=epochs, trees=trees)
    mine = {name: suite(budget, seed=0)[name] for name in FEW}
    rival = mine | {
        "svm": [on_pixels(PlainVectors(gamma)) for gamma in (0.02, 0.05)],
        "cnn": [PlainNetwork(epochs)],
    }
    while True:
        with as_in_a_stage():
            ours = seconds(attack_parts, data, mine)
        with threads(1):
            yield ours, seconds(attack_parts, data, rival)


def attack_parts(data: Dataset, attackers: Suite) -> None:
    """`assessment.attack` on seven tenths of the images, tuned and applied on the rest."""
    parts = np.array_split(np.arange(len(data)), [len(data) * 7 // 10, len(data) * 85 // 100])
    attack(attackers, *((data.images[part], data.z[part]) for part in parts))


class PlainVectors(ClassifierMixin, BaseEstimator):
    """libsvm with the kernel that it has built in."""

    def __init__(self, gamma: float, C: float = 10.0) -> None:
        self.gamma, self.C = gamma, C

    def fit(self, x: np.ndarray, labels: np.ndarray) -> "PlainVectors":
        self.machine_ = SVC(C=self.C, gamma=self.gamma).fit(x, labels)
        self.classes_ = self.machine_.classes_
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """float64 (N, classes)."""
        return softmax(self.machine_.decision_function(x), axis=1)


class PlainNetwork(ClassifierMixin, BaseEstimator):
    """The paper's kind of network in a textbook loop: a DataLoader, the default layout, float32."""

    def __init__(self, epochs: int, batch: int = 128, rate: float = 6e-3) -> None:
        self.epochs, self.batch, self.rate = epochs, batch, rate

    def fit(self, images: np.ndarray, labels: np.ndarray) -> "PlainNetwork":
        self.classes_, targets = np.unique(labels, return_inverse=True)
        self.module_ = plain_network(*images.shape[1:], len(self.classes_))
        data = Dataset(images, targets, {}, np.zeros(len(images), np.uint8), {})
        batches = DataLoader(Images(data), self.batch, shuffle=True)
        optimiser = torch.optim.AdamW(self.module_.parameters(), lr=self.rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.rate, total_steps=self.epochs * len(batches) + 1)
        self.module_.train()
        for _ in range(self.epochs):
            for x, y in batches:
                loss = nn.functional.cross_entropy(self.module_(x), y)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        return self

    @torch.no_grad()
    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """float32 (N, classes)."""
        self.module_.eval()
        x = torch.from_numpy(images).unsqueeze(1).float() / 255
        return self.module_(x).softmax(1).numpy()
