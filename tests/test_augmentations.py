"""What a finite encoder learns on: neighbours by other people, features of moved images, a white hidden layer."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anonrep.data.dataset import Dataset
from anonrep.methods.augmentations import View, cross_identity_neighbours, training_views
from anonrep.networks import Autoencoder
from anonrep.utils.images import blur
from anonrep.utils.seeds import seeded_initialisation

SIZE, PEOPLE, HIDDEN, FEATURES = 8, 4, 3, 256
SIZES = {"train": 40, "validation": 16, "test": 16}
HOW = {"copies": 3, "strength": 0.1, "neighbours": 2, "width": 3}
NAMES = [field.name for field in fields(View)]


def grey(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, SIZE, SIZE), np.uint8)


def people(seed: int = 0) -> Dataset:
    """Noise of four people, the splits shuffled among one another."""
    draw, n = np.random.default_rng(seed), sum(SIZES.values())
    split = draw.permutation(np.repeat([0, 1, 2], list(SIZES.values()))).astype(np.uint8)
    return Dataset(grey(n, seed), np.arange(n) % PEOPLE, {}, split, {"source": "synthetic", "private": "writer"})


def repainted(data: Dataset, split: int, seed: int = 1) -> Dataset:
    """Other images in one split."""
    return replace(data, images=np.where((data.split == split)[:, None, None], grey(len(data), seed), data.images))


def network() -> Autoencoder:
    with seeded_initialisation(0):
        return Autoencoder(height=SIZE, width=SIZE, hidden=HIDDEN, channels=2)


def seen(data: Dataset, seed: int = 0, **how: object) -> dict[str, View]:
    return training_views(network(), data, **(HOW | how), generator=torch.Generator().manual_seed(seed))


def differing(one: View, two: View) -> list[str]:
    """In what two views are not equal bit by bit."""
    return [name for name in NAMES if not torch.equal(getattr(one, name), getattr(two, name))]


# --- neighbours


@given(n=st.integers(3, 30), wanted=st.integers(1, 4), width=st.sampled_from([1, 3, 5]), seed=st.integers(0, 99))
def test_are_the_nearest_by_others_as_brute_force_finds_them(n, wanted, width, seed):
    draw = np.random.default_rng(seed)
    x, z = torch.from_numpy(draw.random((n, 1, 7, 9))).float(), torch.from_numpy(draw.integers(0, 3, n))
    others = [int((z != own).sum()) for own in z]
    if min(others) < wanted:
        message = f"{wanted} neighbours by other people asked for; some of the {n} images have {min(others)}"
        with pytest.raises(ValueError, match=message):
            cross_identity_neighbours(x, z, wanted, width)
        return
    found = cross_identity_neighbours(x, z, wanted, width)
    assert found.dtype == torch.int64
    assert found.shape == (n, wanted)
    rows = blur(x, width)[..., ::2, ::2] if width > 1 else x
    for i in range(n):
        distances = {j: float((rows[i] - rows[j]).square().sum()) for j in range(n) if z[j] != z[i]}
        nearest = [distances[j] for j in found[i].tolist()]  # KeyError for one's own
        assert len(set(found[i].tolist())) == wanted
        assert nearest == pytest.approx(sorted(distances.values())[:wanted], abs=1e-4)


# --- views


def test_the_hidden_layer_of_training_images_is_white():
    hidden = seen(people())["train"].hidden.double()
    torch.testing.assert_close(hidden.mean(0), torch.zeros(HIDDEN).double(), atol=1e-5, rtol=0)
    covariance = hidden.T @ hidden / len(hidden)
    torch.testing.assert_close(covariance, torch.eye(HIDDEN).double() / HIDDEN, atol=1e-4, rtol=0)
    assert float(hidden.square().sum(1).mean()) == pytest.approx(1, abs=1e-4)


def test_test_images_are_not_looked_at():
    data, found = people(), seen(people())
    for name, other in seen(repainted(data, 2)).items():
        assert differing(found[name], other) == []
    # The controls: validation images decide their own view alone, training images the whitening of both.
    other = seen(repainted(data, 1))
    assert differing(found["train"], other["train"]) == []
    assert differing(found["validation"], other["validation"]) == ["copies", "hidden", "neighbours"]
    other = seen(repainted(data, 0))
    assert differing(found["train"], other["train"]) == ["copies", "hidden", "neighbours"]
    assert differing(found["validation"], other["validation"]) == ["hidden"]
