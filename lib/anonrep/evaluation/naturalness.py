"""Does a released image still look like what it shows? Three measures that use no attacker on the private label."""

import numpy as np
from skimage.metrics import structural_similarity

from anonrep.data.dataset import Dataset
from anonrep.evaluation.attackers import AttackBudget
from anonrep.evaluation.network_attacker import NetworkAttacker


def reading_accuracy(reader: NetworkAttacker, release: Dataset, task: str) -> float:
    """Share of released test images that `reader`, trained on raw images, reads correctly: a fraction.

    A network trained on released images could learn a script of their own; this one cannot.
    """
    test = release.subset("test")
    return float((reader.predict(test.images) == test.task(task)).mean())


def mean_ssim(raw: Dataset, release: Dataset) -> float:
    """Structural similarity (Wang et al., 2004) between each test image and its release, mean: 1 when identical."""
    pairs = zip(raw.subset("test").images, release.subset("test").images, strict=True)
    return float(np.mean([structural_similarity(x, x_hat, data_range=255) for x, x_hat in pairs]))


def two_sample_accuracy(raw: Dataset, release: Dataset, *, epochs: int, seed: int, device: str = "cpu") -> float:
    """Accuracy of a fresh network that tells real from released images (Lopez-Paz and Oquab, 2017): 0.5 is perfect.

    Trained on the training split, one half of the images real and the other half released, so that no image is seen in
    both forms; reported on test, every image in both forms.
    """
    real, fake = raw.subset("train").images, release.subset("train").images
    is_real = np.arange(len(real)) % 2 == 0
    mixed = np.where(is_real[:, None, None], real, fake)
    network = NetworkAttacker(epochs=epochs, seed=seed, device=device).fit(mixed, is_real)
    hits_real = network.predict(raw.subset("test").images)
    hits_fake = ~network.predict(release.subset("test").images)
    return float((hits_real.mean() + hits_fake.mean()) / 2)


def naturalness(
    raw: Dataset,
    release: Dataset,
    *,
    reader: NetworkAttacker,
    task: str,
    budget: AttackBudget,
    seed: int,
    device: str = "cpu",
) -> dict:
    """All three as a row: digit_accuracy (named after the task), ssim, two_sample_accuracy."""
    network = {"epochs": budget.two_sample_epochs, "seed": seed, "device": device}
    return {
        f"{task}_accuracy": reading_accuracy(reader, release, task),
        "ssim": mean_ssim(raw, release),
        "two_sample_accuracy": two_sample_accuracy(raw, release, **network),
    }
