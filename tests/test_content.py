"""Content: what is left of a face without the person, found without a label for it; and matches in fair shares."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression

from anonrep.data import ferg, ferg_reader
from anonrep.data.dataset import Dataset
from anonrep.data.synthetic import ferg as synthetic_ferg
from anonrep.methods.content import by_person, content, content_views, edges, matches, nearest_codewords, similar_runs

SEEDS = st.integers(0, 2**31 - 1)
HOW = {"copies": 2, "strength": 0.08, "neighbours": 3}


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Dataset:
    """840 drawn faces of six people in short clips, 25 pixels a side, drawn small to save time; clips kept whole."""
    folder = tmp_path_factory.mktemp("faces") / "synthetic"
    with pytest.MonkeyPatch.context() as patch:
        for module in (synthetic_ferg, ferg_reader):
            patch.setattr(module, "SIZE", 50)
        patch.setattr(synthetic_ferg, "LENGTH", 6)
        synthetic_ferg.write(folder, images=6 * 7 * 20)
        frames = ferg_reader.read(folder, 25)
    return ferg.build(frames, "clips", ferg.Options(split_sizes=(60, 20, 20)))


@pytest.fixture(scope="module")
def found(faces) -> np.ndarray:
    return content(faces, faces.attributes["clip"])


# --- features without their person


@given(SEEDS)
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


def test_what_is_known_of_images_that_are_not_for_training_decides_nothing(faces, found):
    """Other people, clips, expressions and images among them leave everybody else where they were."""
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


# --- runs without clip numbers


def same_run(numbers: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Which pairs of different images of one person are in one run: bool (pairs,)."""
    first, second = np.triu_indices(len(z), 1)
    alike = z[first] == z[second]
    return (numbers[first] == numbers[second])[alike]


def test_runs_by_similarity_are_mostly_pieces_of_clips_and_give_content(faces, found):
    """Of pairs in a run most are of one clip; permuted images, the control, share nothing. It costs content."""
    train = faces.subset("train")
    runs, clips = similar_runs(train), same_run(train.attributes["clip"], train.z)
    assert (np.unique(runs, return_counts=True)[1] > 1).all(), "an image stands alone"
    assert clips[same_run(runs, train.z)].mean() > 0.5 > 5 * clips.mean()
    shuffled = replace(train, images=np.random.default_rng(0).permutation(train.images))
    assert clips[same_run(similar_runs(shuffled), train.z)].mean() < 2 * clips.mean()
    guess = np.bincount(faces.attributes["expression"]).max() / len(faces)
    mine = expression_across_people(faces, content(faces, similar_runs(faces)))
    assert 1.4 * guess < mine < expression_across_people(faces, found)


def test_runs_by_similarity_know_images_and_people_alone(faces):
    """Neither attributes, nor the order of the images, nor what is not for training changes who runs with whom."""
    order, runs = np.random.default_rng(0).permutation(len(faces)), similar_runs(faces)
    moved = similar_runs(replace(faces, attributes={}).take(order))
    train, z = faces.split == 0, faces.z
    assert (runs[~train] == -1).all()
    np.testing.assert_array_equal(same_run(moved[np.argsort(order)][train], z[train]), same_run(runs[train], z[train]))
    images = np.where(train[:, None, None], faces.images, 0)
    np.testing.assert_array_equal(similar_runs(replace(faces, images=images)), runs)


# --- views


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


# --- codewords


@given(SEEDS, st.integers(1, 6), st.integers(1, 8))
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
