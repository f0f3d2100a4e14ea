"""Content: what is left of a face without the person, found without a label for it; and matches in fair shares."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from anonrep.data import ferg, ferg_reader
from anonrep.data.dataset import Dataset
from anonrep.data.synthetic import ferg as synthetic_ferg
from anonrep.methods.content import by_person, content, content_views, edges, matches, nearest_codewords
from anonrep.methods.gradients import OrientedGradients
from anonrep.utils.images import to_tensor

SEEDS = st.integers(0, 2**31 - 1)
SOME = settings(max_examples=30, deadline=None)
HOW = {"copies": 2, "strength": 0.08, "neighbours": 3}


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Dataset:
    """840 drawn faces of six people in about 140 short clips, 25 pixels a side, clips kept whole.

    Drawn small, which takes a tenth of the time.
    """
    folder = tmp_path_factory.mktemp("faces") / "synthetic"
    with pytest.MonkeyPatch.context() as patch:
        for module in (synthetic_ferg, ferg_reader):
            patch.setattr(module, "SIZE", 75)
        patch.setattr(synthetic_ferg, "LENGTH", 6)
        synthetic_ferg.write(folder, images=6 * 7 * 20)
        frames = ferg_reader.read(folder, 25)
    return ferg.build(frames, split="clips", split_sizes=(60, 20, 20))


@pytest.fixture(scope="module")
def found(faces) -> np.ndarray:
    return content(faces, faces.attributes["clip"])


def noise(n: int = 60, people: int = 3, size: int = 10, seed: int = 0, clip: int = 4) -> Dataset:
    """Images in which there is nothing to find; half of them for training."""
    draw = np.random.default_rng(seed)
    z = np.arange(n) % people
    attributes = {"clip": z + people * (np.arange(n) // people // clip)}
    split = np.r_[np.zeros(n - n // 2), np.ones(n // 4), np.full(n // 2 - n // 4, 2)].astype(np.uint8)
    images = draw.integers(0, 256, (n, size, size), np.uint8)
    return Dataset(images, z, attributes, split, {"source": "synthetic", "private": "identity"})


# --- features without their person


@given(SEEDS, st.integers(1, 5), st.integers(1, 4))
@SOME
def test_training_images_of_each_person_have_mean_zero_and_about_the_same_spread(seed, people, dimensions):
    draw = np.random.default_rng(seed)
    z = np.r_[np.repeat(np.arange(people), 5), draw.integers(0, people, 20)]
    train = np.r_[np.ones(5 * people, bool), draw.random(20) < 0.5]
    features = draw.normal(draw.normal(0, 5, (people, dimensions))[z], 1 + z[:, None])
    result = by_person(features, z, train)
    for person in range(people):
        mine = result[train & (z == person)]
        np.testing.assert_allclose(mine.mean(0), 0, atol=1e-9)
        assert (mine.std(0) <= 1).all()
        assert (mine.std(0) > 0.8).all()


@given(SEEDS)
@SOME
def test_what_a_person_adds_and_multiplies_drops_out(seed):
    draw = np.random.default_rng(seed)
    z, train = np.arange(90) % 3, np.arange(90) < 60
    shared = draw.standard_normal((90, 4))
    offset, gain = draw.normal(0, 10, (3, 4)), draw.uniform(2, 20, (3, 4))
    plain, signed = by_person(shared, z, train), by_person(shared * gain[z] + offset[z], z, train)
    np.testing.assert_allclose(signed, plain, rtol=0.03, atol=1e-6)
    # The control: a signature that changes from image to image stays.
    mixed = by_person(shared + offset[draw.permutation(z)], z, train)
    assert np.abs(mixed - plain).max() > 0.5


def test_an_image_that_is_not_for_training_is_measured_by_those_that_are():
    z, train = np.zeros(5, int), np.array([True, True, True, False, False])
    result = by_person(np.array([[1.0], [2.0], [3.0], [2.0], [100.0]]), z, train)
    spread = np.std([1, 2, 3]) + 0.01
    np.testing.assert_allclose(result[:, 0], np.array([-1, 0, 1, 0, 98]) / spread)


def test_an_edge_that_is_never_there_does_not_become_noise():
    """On training images it is 0 throughout; a hundredth on another is no more than a hundredth over the floor."""
    z, train = np.zeros(4, int), np.array([True, True, True, False])
    result = by_person(np.array([[0.0], [0.0], [0.0], [0.01]]), z, train)
    assert np.abs(result).max() == pytest.approx(1)


def test_a_person_without_training_images_is_an_error_that_names_them():
    z, train = np.array([0, 0, 4, 4]), np.array([True, True, False, False])
    with pytest.raises(ValueError, match="no training image of private label 4"):
        by_person(np.ones((4, 2)), z, train)
    data = noise()
    with pytest.raises(ValueError, match="no training image of private label 2"):
        content(replace(data, split=np.where(data.z == 2, 1, data.split).astype(np.uint8)), data.attributes["clip"])


# --- edges


def test_edges_are_oriented_gradients_however_many_images_there_are():
    images = noise(1100).images
    look = OrientedGradients()
    rows = edges(images)
    assert rows.dtype == np.float32
    assert rows.shape == (1100, look.outputs(10, 10))
    for i in (0, 499, 500, 1099):
        np.testing.assert_allclose(rows[i], look(to_tensor(images[i : i + 1])).numpy()[0], atol=1e-6)


# --- content of drawn faces


def nearest(rows: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """For each row the nearest that has another value of `apart`."""
    distances = cdist(rows, rows)
    distances[apart[:, None] == apart] = np.inf
    return distances.argmin(1)


def expression_across_people(data: Dataset, rows: np.ndarray) -> float:
    """How often the nearest image of somebody else has the same expression."""
    expression = data.attributes["expression"]
    return float((expression[nearest(rows, data.z)] == expression).mean())


def identity(data: Dataset, rows: np.ndarray) -> float:
    """How often a linear classifier of training images names the person in the others."""
    train = data.split == 0
    return LogisticRegression(max_iter=300).fit(rows[train], data.z[train]).score(rows[~train], data.z[~train])


def pixels(data: Dataset) -> np.ndarray:
    return data.images.reshape(len(data), -1) / 255


def permuted_clips(data: Dataset) -> np.ndarray:
    """Each person's clips, dealt anew among their images: frames of one have nothing in common."""
    draw, clips = np.random.default_rng(0), data.attributes["clip"].copy()
    for person in range(data.n_private):
        mine = np.flatnonzero(data.z == person)
        clips[mine] = draw.permutation(clips[mine])
    return clips


def test_it_tells_expressions_across_people_better_than_pixels_and_than_guessing(faces, found):
    guess = np.bincount(faces.attributes["expression"]).max() / len(faces)
    mine = expression_across_people(faces, found)
    assert mine > 1.8 * guess
    assert mine > expression_across_people(faces, pixels(faces)) + 0.05
    assert mine > expression_across_people(faces, edges(faces.images)) + 0.05


def test_permuted_clips_lose_it(faces):
    """The negative control: nothing stays within a clip, and what is found is no better than a guess."""
    lost = content(faces, permuted_clips(faces))
    guess = np.bincount(faces.attributes["expression"]).max() / len(faces)
    assert expression_across_people(faces, lost) < guess + 0.05


def test_the_person_is_found_far_less_than_from_edges(faces, found):
    raw, mine = identity(faces, edges(faces.images)), identity(faces, found)
    assert raw > 0.95
    assert mine < 0.5 * raw


def test_its_scale_is_one_on_training_images(faces, found):
    assert found.shape == (len(faces), 15)
    assert found.dtype == np.float64
    assert np.square(found[faces.split == 0]).sum(1).mean() == pytest.approx(1)
    assert np.square(found[faces.split == 2]).sum(1).mean() != pytest.approx(1, rel=1e-3)
    assert content(faces, faces.attributes["clip"], dimensions=4).shape == (len(faces), 4)


def test_the_same_arguments_give_the_same_coordinates(faces, found):
    np.testing.assert_array_equal(content(faces, faces.attributes["clip"]), found)


def test_names_of_clips_do_not_matter(faces, found):
    """They are numbered otherwise: distances are the same."""
    renamed = content(faces, np.random.default_rng(0).permutation(1000)[faces.attributes["clip"]])
    np.testing.assert_allclose(cdist(renamed[:50], renamed[:50]), cdist(found[:50], found[:50]), rtol=1e-3, atol=1e-3)


def test_what_is_known_of_images_that_are_not_for_training_decides_nothing(faces, found):
    """Other people, clips, expressions and pictures among them leave everybody else where they were."""
    draw, other = np.random.default_rng(0), faces.split > 0
    clips = np.where(other, draw.integers(0, 5000, len(faces)), faces.attributes["clip"])
    attributes = faces.attributes | {"expression": draw.integers(0, 7, len(faces))}
    np.testing.assert_array_equal(content(replace(faces, attributes=attributes), clips), found)
    z = np.where(other, draw.integers(0, 6, len(faces)), faces.z)
    images = np.where(other[:, None, None], draw.integers(0, 256, faces.images.shape, np.uint8), faces.images)
    moved = content(replace(faces, z=z, images=images), faces.attributes["clip"])
    np.testing.assert_array_equal(moved[~other], found[~other])
    assert not np.allclose(moved[other], found[other])  # the control: images decide where they are themselves
    clips = np.where(other, clips, faces.attributes["clip"] // 2)
    assert not np.allclose(content(faces, clips), found)  # and training clips everything


def test_a_clip_of_a_single_frame_is_not_learned_from(faces, monkeypatch):
    """What frames of a clip share cannot be seen in one."""
    learned = []

    class Watched(LinearDiscriminantAnalysis):
        def fit(self, x: np.ndarray, y: np.ndarray) -> "Watched":
            learned.append(y)
            return super().fit(x, y)

    monkeypatch.setattr("anonrep.methods.content.LinearDiscriminantAnalysis", Watched)
    train, clips = faces.split == 0, faces.attributes["clip"]
    alone = np.isin(clips, np.unique(clips[train])[:3])
    assert content(faces, np.where(alone, 5000 + np.arange(len(clips)), clips)).shape == (len(faces), 15)
    assert content(faces, clips).shape == (len(faces), 15)
    assert learned[0].tolist() == clips[train & ~alone].tolist()
    assert learned[1].tolist() == clips[train].tolist()  # the control: whole, they are


# --- views


def test_views_have_the_shapes_of_a_finite_encoder(faces, found):
    seen = content_views(faces, found, **HOW, generator=torch.Generator().manual_seed(0))
    assert list(seen) == ["train", "validation"]
    for index, (name, view) in enumerate(seen.items()):
        part = faces.subset(name)
        assert view.copies.shape == (2, len(part), OrientedGradients().outputs(25, 25))
        np.testing.assert_array_equal(view.hidden.numpy(), found[faces.split == index].astype(np.float32))
        assert view.one_hot.shape == (len(part), 6)
        assert view.one_hot.argmax(1).tolist() == part.z.tolist()
        assert view.neighbours.shape == (len(part), 3)
        assert {part_.dtype for part_ in (view.copies, view.hidden, view.one_hot)} == {torch.float32}
        assert (part.z[view.neighbours] != part.z[:, None]).all()
        rows = found[faces.split == index]
        distances = cdist(rows, rows)
        distances[part.z[:, None] == part.z] = np.inf
        np.testing.assert_allclose(
            np.take_along_axis(distances, view.neighbours.numpy(), 1), np.sort(distances, 1)[:, :3], atol=1e-3
        )


def test_copies_are_edges_of_images_that_moved_a_little(faces, found):
    still = content_views(faces, found, **(HOW | {"strength": 0.0}), generator=torch.Generator().manual_seed(0))
    moved = content_views(faces, found, **HOW, generator=torch.Generator().manual_seed(0))
    for name in still:
        exact = torch.from_numpy(edges(faces.subset(name).images))
        np.testing.assert_allclose(still[name].copies[0], exact, atol=1e-3)
        changes = [float((copy - exact).norm() / exact.norm()) for copy in moved[name].copies]
        strangers = float((exact.roll(len(exact) // 2, 0) - exact).norm() / exact.norm())
        assert all(0.05 < change < strangers for change in changes)
        assert not torch.equal(*moved[name].copies)


def test_no_test_image_enters_a_view(faces, found):
    def seen(data: Dataset, rows: np.ndarray) -> dict:
        return content_views(data, rows, **HOW, generator=torch.Generator().manual_seed(0))

    test, plain = faces.split == 2, seen(faces, found)
    images = np.where(test[:, None, None], 255 - faces.images, faces.images)
    z = np.where(test, (faces.z + 1) % 6, faces.z)
    other = seen(replace(faces, images=images, z=z), np.where(test[:, None], 9.0, found))
    for name, view in plain.items():
        for field in ("copies", "hidden", "one_hot", "neighbours"):
            assert torch.equal(getattr(view, field), getattr(other[name], field)), (name, field)
    # The control: a validation image does.
    changed = seen(replace(faces, images=np.where((faces.split == 1)[:, None, None], 0, faces.images)), found)
    assert not torch.equal(changed["validation"].copies, plain["validation"].copies)
    assert torch.equal(changed["train"].copies, plain["train"].copies)


# --- matches


def uses(data: Dataset, chosen: np.ndarray, target: int) -> np.ndarray:
    """How often each person (rows) is shown as each training image of the target."""
    train = data.split == 0
    table = np.zeros((data.n_private, (train & (data.z == target)).sum()), int)
    np.add.at(table, (data.z[train], chosen), 1)
    return table


@given(st.lists(st.integers(2, 14), min_size=2, max_size=4), st.integers(0, 3), SEEDS)
@SOME
def test_each_person_uses_every_image_of_the_target_equally_often(counts, target, seed):
    """Differences are 1 at most, however many images there are: else some would stand for one person more."""
    draw, target = np.random.default_rng(seed), target % len(counts)
    z = draw.permutation(np.repeat(np.arange(len(counts)), counts))
    images = draw.integers(0, 256, (len(z), 8, 8), np.uint8)
    data = Dataset(images, z, {}, np.zeros(len(z), np.uint8), {"source": "synthetic"})
    table = uses(data, matches(data, draw.standard_normal((len(z), 3)), target), target)
    assert table.sum(1).tolist() == counts
    assert (table.max(1) - table.min(1) <= 1).all()


def test_the_control_the_nearest_by_itself_is_unfair(faces, found):
    """Without shares some images of the target stand for one person often, and others for the target alone."""
    train = faces.split == 0
    own = found[train & (faces.z == 2)]
    near, fair = (uses(faces, chosen, 2) for chosen in (cdist(found[train], own).argmin(1), matches(faces, found, 2)))
    assert fair.max() <= 2
    assert near.max() >= 5
    alone = [float(((table > 0).sum(0) == 1).mean()) for table in (near, fair)]
    assert alone[0] > 0.1 > 2 * alone[1]


def test_the_target_stands_for_itself(faces, found):
    chosen = matches(faces, found, 3)
    train = faces.split == 0
    assert chosen.dtype == np.int64
    assert chosen.shape == (train.sum(),)
    mine = faces.z[train] == 3
    np.testing.assert_array_equal(chosen[mine], np.arange(mine.sum()))


def test_who_is_alike_in_content_and_pose_is_matched_whatever_the_person(faces):
    """Two people with the same images in another order, one of them lighter: everybody finds their own again."""
    images = faces.subset("train").images[:20] // 2
    draw = np.random.default_rng(0)
    order, rows = draw.permutation(20), draw.standard_normal((20, 4))
    both = np.concatenate([images, images[order] + 60])
    data = Dataset(both, np.repeat([0, 1], 20), {}, np.zeros(40, np.uint8), {"source": "synthetic"})
    coordinates = np.concatenate([rows, rows[order]])
    np.testing.assert_array_equal(matches(data, coordinates, 0), [*range(20), *order])
    np.testing.assert_array_equal(matches(data, coordinates, 1)[:20], np.argsort(order))


def test_pose_decides_where_content_does_not_and_only_as_much_as_it_is_weighted(faces):
    images = faces.subset("train").images[:12]
    draw = np.random.default_rng(0)
    order, rows = draw.permutation(12), draw.standard_normal((12, 4))
    both = np.concatenate([images, images[order]])
    data = Dataset(both, np.repeat([0, 1], 12), {}, np.zeros(24, np.uint8), {"source": "synthetic"})
    apart = np.concatenate([rows, rows])  # content pairs by place, pose by `order`
    np.testing.assert_array_equal(matches(data, apart, 0, pose=0.0)[12:], np.arange(12))
    np.testing.assert_array_equal(matches(data, apart, 0, pose=1e3)[12:], order)


def test_matches_keep_the_expression_better_than_chance(faces, found):
    train = faces.split == 0
    expression, z = faces.attributes["expression"][train], faces.z[train]
    chosen = matches(faces, found, 0)
    same = expression[np.flatnonzero(z == 0)[chosen]] == expression
    assert same[z != 0].mean() > 0.26
    shuffled = matches(faces, np.random.default_rng(0).permutation(found), 0, pose=0.0)
    assert (expression[np.flatnonzero(z == 0)[shuffled]] == expression)[z != 0].mean() < 0.2


def test_test_images_do_not_enter_matches(faces, found):
    test = faces.split == 2
    images = np.where(test[:, None, None], 0, faces.images)
    again = matches(replace(faces, images=images), np.where(test[:, None], 5.0, found), 1)
    np.testing.assert_array_equal(again, matches(faces, found, 1))


@pytest.mark.parametrize("target", [6, 17, -1])
def test_an_unknown_target_is_an_error_that_names_the_known(faces, found, target):
    with pytest.raises((KeyError, ValueError), match=rf"private label {target}; expected one of \[0, 1, 2, 3, 4, 5\]"):
        matches(faces, found, target)


def test_a_target_with_a_single_image_stands_for_everybody():
    data = noise(12)
    data = replace(data, split=np.where(data.z == 1, 2, 0).astype(np.uint8))
    data.split[1] = 0
    assert set(matches(data, np.random.default_rng(0).standard_normal((12, 3)), 1)) == {0}


# --- pictures


@given(SEEDS, st.integers(1, 6), st.integers(1, 8))
@SOME
def test_a_code_is_shown_by_the_image_nearest_to_its_mean(seed, codes, templates):
    draw = np.random.default_rng(seed)
    given_codes = np.r_[np.arange(codes), draw.integers(0, codes, 20)]
    rows, own = draw.standard_normal((len(given_codes), 3)), draw.standard_normal((templates, 3))
    found_ = nearest_codewords(rows, given_codes, own)
    assert found_.shape == (codes,)
    for code in range(codes):
        centre = np.mean([row for row, one in zip(rows, given_codes, strict=True) if one == code], axis=0)
        distances = [np.linalg.norm(centre - one) for one in own]
        assert distances[found_[code]] == pytest.approx(min(distances))


def test_the_mean_of_a_code_counts_and_not_its_first_image():
    rows = np.array([[0.0], [10.0], [10.0], [-5.0]])
    assert nearest_codewords(rows, np.array([0, 0, 0, 1]), np.array([[0.0], [7.0], [-5.0]])).tolist() == [1, 2]
