"""What a finite encoder learns on: neighbours by other people, features of moved images, a white hidden layer."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anonrep.data.dataset import Dataset
from anonrep.game import encode
from anonrep.methods.augmentations import View, cross_identity_neighbours, nearest_others, training_views
from anonrep.networks import Autoencoder
from anonrep.utils.images import blur, to_tensor
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
@settings(max_examples=40, deadline=None)
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


def test_one_person_alone_has_no_look_alike():
    with pytest.raises(ValueError, match="1 neighbours by other people asked for; some of the 5 images have 0"):
        cross_identity_neighbours(torch.rand(5, 1, 8, 8), torch.zeros(5, dtype=torch.int64), 1, 1)


def test_many_images_are_compared_in_parts_and_all_with_all():
    """More than are compared at once: each has a twin by the other person, far away in the list."""
    x = torch.from_numpy(grey(600)).unsqueeze(1) / 255
    found = cross_identity_neighbours(torch.cat([x, x]), torch.arange(1200) // 600, 1, 3)
    assert found.squeeze(1).tolist() == [*range(600, 1200), *range(600)]


def test_blur_finds_the_stroke_a_little_off_and_sharp_pixels_do_not():
    """A stroke, the same one moved by a pixel, and a shorter one in its place that sharp pixels take for nearer."""
    x = torch.zeros(3, 1, 16, 16)
    x[0, 0, 2:14, 7] = 1
    x[1, 0, 2:14, 8] = 1
    x[2, 0, 2:4, 7] = 1
    z = torch.tensor([0, 1, 2])
    assert cross_identity_neighbours(x, z, 1, 5)[0].tolist() == [1]
    assert cross_identity_neighbours(x, z, 1, 1)[0].tolist() == [2]


def test_sharp_pixels_all_count():
    """Without blur no pixel stands for its neighbours."""
    x = torch.zeros(3, 1, 8, 8)
    x[0, 0, :, 3] = 1
    x[1] = x[0]
    assert cross_identity_neighbours(x, torch.tensor([0, 1, 1]), 1, 1)[0].tolist() == [1]
    assert cross_identity_neighbours(x.flip(0), torch.tensor([1, 1, 0]), 1, 1)[2].tolist() == [1]


# --- the nearest of other people, among any rows


@given(n=st.integers(2, 40), d=st.integers(1, 6), wanted=st.integers(1, 5), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_rows_of_others_are_the_nearest_as_brute_force_finds_them(n, d, wanted, seed):
    draw = np.random.default_rng(seed)
    rows, z = torch.from_numpy(draw.standard_normal((n, d))).float(), torch.from_numpy(draw.integers(0, 4, n))
    others = [int((z != own).sum()) for own in z]
    if min(others) < wanted:
        message = f"{wanted} neighbours by other people asked for; some of the {n} images have {min(others)}"
        with pytest.raises(ValueError, match=message):
            nearest_others(rows, z, wanted)
        return
    found = nearest_others(rows, z, wanted)
    assert (found.dtype, found.shape) == (torch.int64, (n, wanted))
    for i, chosen in enumerate(found.tolist()):
        distances = {j: float((rows[i] - rows[j]).norm()) for j in range(n) if z[j] != z[i]}
        assert len(set(chosen)) == wanted
        assert [distances[j] for j in chosen] == pytest.approx(sorted(distances.values())[:wanted], abs=1e-4)


def test_ones_own_rows_do_not_count_however_near():
    """Everybody's twin is their own; the control has other labels, and finds the twin."""
    rows = torch.tensor([0.0, 0.0, 5.0, 5.0])[:, None]
    found = nearest_others(rows, torch.tensor([0, 0, 1, 1]), 1).squeeze(1) // 2  # which of two twins is as good
    assert found.tolist() == [1, 1, 0, 0]
    assert nearest_others(rows, torch.tensor([0, 1, 0, 1]), 1).squeeze(1).tolist() == [1, 0, 3, 2]


def test_many_rows_are_compared_in_parts_and_all_with_all():
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((700, 3))).float()
    found = nearest_others(torch.cat([rows, rows]), torch.arange(1400) // 700, 1)
    assert found.squeeze(1).tolist() == [*range(700, 1400), *range(700)]


# --- views


def test_shapes_and_labels():
    data = people()
    found = seen(data)
    assert list(found) == ["train", "validation"]
    for name, view in found.items():
        n = SIZES[name]
        shapes = {field: tuple(getattr(view, field).shape) for field in NAMES}
        assert shapes == {
            **{"copies": (3, n, FEATURES), "hidden": (n, HIDDEN)},
            **{"one_hot": (n, PEOPLE), "neighbours": (n, 2)},
        }
        assert {getattr(view, field).dtype for field in NAMES} == {torch.float32, torch.int64}
        z = data.subset(name).z
        assert view.one_hot.argmax(1).tolist() == z.tolist()
        assert (view.one_hot.sum(1) == 1).all()
        assert (z[view.neighbours] != z[:, None]).all()
        assert not any(getattr(view, field).requires_grad for field in NAMES)


def test_the_hidden_layer_of_training_images_is_white():
    hidden = seen(people())["train"].hidden.double()
    torch.testing.assert_close(hidden.mean(0), torch.zeros(HIDDEN).double(), atol=1e-5, rtol=0)
    covariance = hidden.T @ hidden / len(hidden)
    torch.testing.assert_close(covariance, torch.eye(HIDDEN).double() / HIDDEN, atol=1e-4, rtol=0)
    assert float(hidden.square().sum(1).mean()) == pytest.approx(1, abs=1e-4)


def test_validation_goes_through_the_map_that_training_images_set():
    data, found = people(), seen(people())
    raw = {name: encode(network(), data.subset(name).images).double() for name in found}
    affine = {name: torch.cat([value, torch.ones(len(value), 1)], 1) for name, value in raw.items()}
    the_map = torch.linalg.lstsq(affine["train"], found["train"].hidden.double()).solution
    for name, view in found.items():
        torch.testing.assert_close(affine[name] @ the_map, view.hidden.double(), atol=1e-3, rtol=1e-3)
    hidden = found["validation"].hidden  # and is not white itself
    assert (hidden.T @ hidden / len(hidden) - torch.eye(HIDDEN) / HIDDEN).abs().max() > 0.01


def test_copies_are_features_of_images_that_moved():
    data = people()
    exact = network().encoder(to_tensor(data.subset("train").images)).detach()
    still, moved = seen(data, strength=0.0)["train"].copies, seen(data)["train"].copies
    torch.testing.assert_close(still, exact.expand(3, -1, -1), atol=1e-4, rtol=1e-4)
    changes = [float((copy - exact).abs().mean()) for copy in (*moved, moved[1] - moved[0] + exact)]
    assert min(changes) > 1e-3  # every copy, and no two alike


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


def test_the_generator_decides_how_images_move_and_nothing_else():
    found, again, other = (seen(people(), seed) for seed in (0, 0, 1))
    torch.manual_seed(3)
    state = torch.get_rng_state()
    seen(people())
    assert torch.equal(state, torch.get_rng_state())
    for name, view in found.items():
        assert differing(view, again[name]) == []
        assert differing(view, other[name]) == ["copies"]


def test_a_split_with_too_few_others_is_an_error():
    with pytest.raises(ValueError, match="16 neighbours by other people asked for; some of the 16 images have"):
        seen(people(), neighbours=16)
    data = people()
    with pytest.raises(ValueError, match="some of the 40 images have 0"):
        seen(replace(data, z=np.where(data.split == 0, 0, data.z)))


def test_fewer_images_than_hidden_units_are_whitened_too():
    data = people()
    few = np.concatenate([np.flatnonzero((data.split == part) & (data.z == z))[:1] for part in (0, 1) for z in (0, 1)])
    for view in seen(data.take(few), neighbours=1).values():
        assert view.hidden.shape == (2, 2)
        assert view.hidden.isfinite().all()
