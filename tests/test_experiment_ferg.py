"""The stages on faces: the files they leave, that a target's images and nobody else's are shown, and who is judged."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.evaluation.attackers import FEW, AttackBudget
from anonrep.evaluation.certificate import accuracy_bound, clip_accuracy_bound
from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.game import play
from anonrep.methods.code_encoder import load_encoder
from anonrep.methods.codebooks import substitute
from anonrep.methods.content import content, matches, nearest_codewords
from anonrep.stages import experiment_ferg
from anonrep.stages.assessment_ferg import assess_references, assess_target, face_rows, in_thirds, judged
from anonrep.stages.experiment import prepare_seeds
from anonrep.stages.experiment_ferg import certificate, train_finite_faces, train_target, with_artificial
from anonrep.stages.results_ferg import READER
from anonrep.utils.files import write_json

SIZE, PEOPLE, EXPRESSIONS, CLIPS, FRAMES = 15, 3, 3, 4, 5
NOBODY, LOST, LAM = PEOPLE, 1, 1
TARGETS = [1, NOBODY]
MESSAGE = "collapsed in epoch 2 of the fidelity phase"
GAME = {
    **{"hidden": 12, "channels": 6, "adversary_channels": 2, "batch": 16, "pixel_epochs": 40, "pixel_rate": 0.01},
    **{"fidelity_epochs": 1, "private_epochs": 1, "rate": 0.001, "adversary_rate": 0.001, "pixel_anchor": 50.0},
}
FINITE = {"codes": 4, "units": 8, "steps": 20, "batch": 60, "restarts": 1, "neighbours": 2, "copies": 2, "jitter": 0.05}
BUDGET = {"network_epochs": 6, "large_epochs": 0, "trees": 20, "reader_epochs": 10}
ROW = {"target", "method", "split", "task", "attacker", "accuracy", "low", "high", "n", "source"}


def drawn(people: list[int], clips: int = CLIPS, seed: int = 0) -> Dataset:
    """A column for the person, a bar at one of three heights, and at the foot how far a head is turned."""
    draw, cells = np.random.default_rng(seed), []
    for clip, (z, expression, _) in enumerate(np.ndindex(len(people), EXPRESSIONS, clips)):
        pose = draw.normal()
        for frame in range(FRAMES):
            image = draw.integers(90, 130, (SIZE, SIZE), np.uint8)
            image[: 4 + 3 * people[z], 1:3] = 255
            image[13:, 4:] = 125 + 100 * np.tanh(pose + frame / 4)
            image[1 + 4 * expression : 3 + 4 * expression, 6 : 12 + frame % 2] = 10
            cells.append((image, people[z], expression, frame, clip, pose + frame / 4, draw.normal()))
    images, z, expression, frame, clip, pose, gaze = zip(*cells, strict=True)
    attributes = {"expression": np.array(expression), "frame": np.array(frame), "clip": np.array(clip)}
    attributes |= {"pose": np.array(pose), "gaze": np.array(gaze)}
    # Of the four clips of a cell two are training's, one validation's, one the test's.
    split = (np.array([0, 0, 1, 2])[np.array(clip) % 4] if clips == CLIPS else np.zeros(len(z))).astype(np.uint8)
    provenance = {"source": "synthetic", "dataset": "ferg", "private": "identity", "split": "clips", "ink": False}
    return Dataset(np.stack(images), np.array(z), attributes, split, provenance)


DATA, ARTIFICIAL = drawn([0, 1, 2]), drawn([NOBODY], 2, seed=1)
BOTH = with_artificial(DATA, ARTIFICIAL)
TRAIN, TEST = DATA.split == 0, DATA.split == 2


def images_of(target: int) -> np.ndarray:
    return BOTH.images[(BOTH.split == 0) & (BOTH.z == target)]


def strict(path: Path) -> list[dict]:
    """What a JSON file holds; NaN and Infinity, which are no JSON, fail."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{path.name} holds {word}")

    return json.loads(path.read_text(), parse_constant=refuse)


def train(root: Path, target: int | None, out: Path, **changes: object) -> None:
    train_target(DATA, ARTIFICIAL, GAME | changes, LAM, target, start=root / "start", out=out, device="cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """One split's models: start (of two seeds one collapsed), standard, a folder a target, and the finite release."""
    root = tmp_path_factory.mktemp("faces")
    prepare_seeds(DATA, GAME, [0], root / "start", device="cpu")
    runs = strict(root / "start" / "runs.json")
    assert runs == [{"seed": 0, "collapsed": None}]
    write_json(root / "start" / "runs.json", [*runs, {"seed": LOST, "collapsed": MESSAGE}])
    train(root, None, root / "standard")
    for target in TARGETS:
        train(root, target, root / f"target-{target}")
    train_finite_faces(DATA, ARTIFICIAL, FINITE, 1, TARGETS, out=root / "finite")
    return root


# --- the artificial person


def test_the_artificial_person_comes_after_everybody_and_is_training_alone():
    n = len(DATA)
    assert len(BOTH) == n + len(ARTIFICIAL)
    for part, whole in ((slice(n), DATA), (slice(n, None), ARTIFICIAL)):
        np.testing.assert_array_equal(BOTH.images[part], whole.images)
        np.testing.assert_array_equal(BOTH.z[part], whole.z)
        np.testing.assert_array_equal(BOTH.split[part], whole.split)
        for name in set(DATA.attributes) - {"clip"}:
            np.testing.assert_array_equal(BOTH.attributes[name][part], whole.attributes[name])
    assert BOTH.n_private == DATA.n_private + 1
    assert BOTH.provenance == DATA.provenance


def test_clips_of_both_stay_apart_and_whole():
    clips, n = BOTH.attributes["clip"], len(DATA)
    assert not set(clips[:n]) & set(clips[n:])
    np.testing.assert_array_equal(clips[:n], DATA.attributes["clip"])
    assert (np.diff(clips[n:]) == np.diff(ARTIFICIAL.attributes["clip"])).all()
    assert set(DATA.attributes["clip"]) & set(ARTIFICIAL.attributes["clip"])  # or nothing would be shown


def test_real_data_without_recorded_sides_have_them_of_nobody():
    known = {name: DATA.attributes[name] for name in ("expression", "frame", "clip")}
    plain = Dataset(DATA.images, DATA.z, known, DATA.split, DATA.provenance)
    assert set(with_artificial(plain, ARTIFICIAL).attributes) == set(known)


@pytest.mark.parametrize("wrong", [drawn([2], 2), drawn([NOBODY + 1], 2), drawn([NOBODY])])
def test_an_artificial_person_who_is_somebody_or_is_tested_is_refused(wrong):
    with pytest.raises(ValueError, match=f"private label is {NOBODY}, and all its images are training's"):
        with_artificial(DATA, wrong)


# --- the game of a target


def test_a_folder_holds_exactly_what_is_promised(root):
    names = {"runs.json", "history.json", "snapshots-0.npz"} | {f"seed-0.{kind}" for kind in ("json", "npz")}
    names |= {"seed-0.safetensors"}
    assert {path.name for path in (root / "standard").iterdir()} == names
    for target in TARGETS:
        found = {path.name for path in (root / f"target-{target}").iterdir()}
        assert found == names | {"substituted-0.npz", "pixels.npz"}


def test_a_collapsed_preparation_has_its_row_and_no_release(root):
    for folder, target in (("standard", None), *((f"target-{target}", target) for target in TARGETS)):
        key = {"lam": LAM, "target": target}
        assert strict(root / folder / "runs.json") == [
            {**key, "seed": 0, "collapsed": None},
            {**key, "seed": LOST, "collapsed": MESSAGE},
        ]
        assert not list((root / folder).glob(f"*-{LOST}*"))
        assert {row["seed"] for row in strict(root / folder / "history.json")} == {0}


@pytest.mark.parametrize("target", TARGETS)
def test_substitution_shows_the_targets_training_images_and_nothing_else(root, target):
    own, folder = images_of(target), root / f"target-{target}"
    book, plain = Codebook.load(folder / "substituted-0.npz"), Codebook.load(folder / "pixels.npz")
    release = Dataset.load(folder / "seed-0.npz")
    for found, replaced in ((book, release.images), (plain, DATA.images)):
        np.testing.assert_array_equal(found.images, own)
        np.testing.assert_array_equal(found.codes, substitute(replaced, own))
        assert len(found.codes) == len(DATA)
    others = {image.tobytes() for image in BOTH.images[BOTH.z != target]}
    assert not others & {image.tobytes() for image in book.release()}
    if target < PEOPLE:  # the target's own images are their own nearest
        np.testing.assert_array_equal(plain.codes[TRAIN & (DATA.z == target)], np.arange(len(own)))


@pytest.mark.parametrize("target", TARGETS)
def test_a_release_keeps_everything_that_belongs_to_the_images_and_says_how_it_came_about(root, target):
    release = Dataset.load(root / f"target-{target}" / "seed-0.npz")
    np.testing.assert_array_equal(release.z, DATA.z)
    np.testing.assert_array_equal(release.split, DATA.split)
    assert release.images.shape == DATA.images.shape  # the artificial person is not in it
    assert set(release.attributes) == set(DATA.attributes)
    how = {"lam": LAM, "target": target, "seed": 0, "collapsed": None}
    assert release.provenance == {**DATA.provenance, **how}
    facts = strict(root / f"target-{target}" / "seed-0.json")
    assert (facts["target"], facts["game"]["pixel_anchor"]) == (target, 50.0)


def test_two_images_are_watched_through_the_epochs(root):
    for folder in ("standard", *(f"target-{target}" for target in TARGETS)):
        with np.load(root / folder / "snapshots-0.npz") as file:
            assert file["snapshots"].shape == (1 + GAME["private_epochs"], 2, SIZE, SIZE)


@pytest.fixture
def handed(monkeypatch) -> list[dict]:
    """What every game is handed, as it is played."""
    seen = []

    def watched(players: object, train: Dataset, **options: object) -> object:
        seen.append({"train": train, **options})
        return play(players, train, **options)

    monkeypatch.setattr(experiment_ferg, "play", watched)
    return seen


@pytest.mark.parametrize("target", TARGETS)
def test_the_restricted_game_is_shown_the_target_alone_and_held_to_its_matches(root, tmp_path, handed, target):
    train(root, target, tmp_path)
    (game,) = handed
    own = images_of(target)
    np.testing.assert_array_equal(game["real"], own)
    np.testing.assert_array_equal(game["train"].images, DATA.images[TRAIN])
    expected = own[matches(BOTH, content(BOTH, BOTH.attributes["clip"]), target)]
    np.testing.assert_array_equal(game["anchor"], expected[: TRAIN.sum()])
    if target < PEOPLE:  # who is the target stays what they are
        mine = DATA.z[TRAIN] == target
        np.testing.assert_array_equal(game["anchor"][mine], game["train"].images[mine])
    assert (game["anchor"] != game["train"].images).any(axis=(1, 2)).mean() > 0.6
    assert (game["lam"], game["seed"]) == (LAM, 0)


def test_the_standard_method_is_shown_everybody_and_held_to_the_image_itself(root, tmp_path, handed):
    train(root, None, tmp_path)
    (game,) = handed
    assert game["real"] is None
    assert game["anchor"] is None


def test_validation_and_test_images_do_not_teach_the_game(root, tmp_path):
    """Other test images: the same weights. The control is training images."""
    folders = {}
    for split in (2, 0):
        images = np.where((DATA.split == split)[:, None, None], 255 - DATA.images, DATA.images)
        folders[split] = tmp_path / str(split)
        options = {"start": root / "start", "out": folders[split], "device": "cpu"}
        train_target(DATA.released(images), ARTIFICIAL, GAME, LAM, 1, **options)
    weights = (root / "target-1" / "seed-0.safetensors").read_bytes()
    assert (folders[2] / "seed-0.safetensors").read_bytes() == weights
    assert (folders[0] / "seed-0.safetensors").read_bytes() != weights
    found = Codebook.load(folders[2] / "substituted-0.npz")
    np.testing.assert_array_equal(found.images, images_of(1))


def test_the_same_arguments_give_the_same_bytes_and_leave_the_start_as_it_was(root, tmp_path):
    start = {path.name: path.read_bytes() for path in (root / "start").iterdir()}
    train(root, NOBODY, tmp_path)
    for path in (root / f"target-{NOBODY}").iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
    assert start == {path.name: path.read_bytes() for path in (root / "start").iterdir()}


def test_a_game_that_collapses_leaves_its_message_and_no_release(root, tmp_path):
    """Rates that throw everything off; substitution of raw images needs no game."""
    train(root, 1, tmp_path, rate=1e6)
    first, second = strict(tmp_path / "runs.json")
    assert "collapsed in epoch 0 of the privacy phase" in first["collapsed"]
    assert second["collapsed"] == MESSAGE
    names = {path.name for path in tmp_path.iterdir()}
    assert not {"seed-0.npz", "substituted-0.npz"} & names
    assert {"seed-0.json", "history.json", "pixels.npz"} <= names
    strict(tmp_path / "history.json")


def test_a_target_who_is_nobody_known_is_refused(root, tmp_path):
    with pytest.raises(ValueError, match="no training image of private label 9"):
        train(root, 9, tmp_path)


# --- the finite release


def test_the_finite_folder_holds_its_encoder_and_a_codebook_a_target(root):
    names = {f"target-{target}.npz" for target in TARGETS} | {"history.json", "certificate.json"}
    assert {path.name for path in (root / "finite").iterdir()} == names | {"seed-0.json", "seed-0.safetensors"}
    facts = strict(root / "finite" / "seed-0.json")
    assert facts["architecture"] == {"height": SIZE, "width": SIZE}
    assert facts["config"].items() >= FINITE.items()
    rows = strict(root / "finite" / "history.json")
    assert [row["step"] for row in rows] == [0, 10]


def test_codes_are_the_same_whoever_is_shown_and_pictures_are_theirs(root):
    books = {target: Codebook.load(root / "finite" / f"target-{target}.npz") for target in TARGETS}
    codes = books[TARGETS[0]].codes
    np.testing.assert_array_equal(load_encoder(root / "finite" / "seed-0").codes(DATA.images), codes)
    assert len(np.unique(codes[TRAIN])) > 1  # or all of this would say nothing
    rows = content(BOTH, BOTH.attributes["clip"])
    for target, book in books.items():
        np.testing.assert_array_equal(book.codes, codes)
        mine = (BOTH.split == 0) & (BOTH.z == target)
        known = {image.tobytes() for image in BOTH.images[mine]}
        assert {image.tobytes() for image in book.images} <= known
        nearest = nearest_codewords(rows[: len(DATA)][TRAIN], codes[TRAIN], rows[mine])
        np.testing.assert_array_equal(book.images, BOTH.images[mine][nearest])


def test_the_certificate_is_of_the_released_codes(root):
    (row,) = strict(root / "finite" / "certificate.json")
    codes = Codebook.load(root / "finite" / f"target-{NOBODY}.npz").codes
    assert row == json.loads(json.dumps(certificate(DATA, codes, lam=1, seed=0)))


@given(st.integers(1, 6), st.floats(0, 1), st.integers(0, 2**31 - 1))
@settings(max_examples=40, deadline=None)
def test_a_certificate_bounds_what_is_found_and_a_blind_guess(k, told, seed):
    draw = np.random.default_rng(seed)
    codes = np.where(draw.random(len(DATA)) < told, DATA.z % k, draw.integers(0, k, len(DATA)))
    row = certificate(DATA, codes, lam=2)
    z, clips = DATA.z[TEST], DATA.attributes["clip"][TEST]
    assert list(row)[:2] == ["lam", "split"]
    assert set(row) == {
        *("lam", "split", "used", "bound", "clip_bound", "information", "majority", "n", "clips", "source"),
    }
    expected = (len(z), len(np.unique(clips)), "synthetic", "clips")
    assert (row["n"], row["clips"], row["source"], row["split"]) == expected
    assert row["used"] == len(np.unique(codes[TEST])) <= k
    best = sum(np.bincount(z[codes[TEST] == code]).max() for code in np.unique(codes[TEST])) / len(z)
    assert 1 >= row["bound"] >= best >= row["majority"] == np.bincount(z).max() / len(z)
    assert 1 >= row["clip_bound"] >= best  # here all clips are as long
    assert row["clip_bound"] > row["bound"] or row["bound"] == 1
    assert row["bound"] == accuracy_bound(codes[TEST], z)
    assert row["clip_bound"] == clip_accuracy_bound(codes[TEST], z, clips)


def test_a_certificate_looks_at_test_images_alone():
    codes = np.random.default_rng(0).integers(0, 3, len(DATA))
    row = certificate(DATA, codes)
    assert certificate(DATA, np.where(TEST, codes, DATA.z)) == row
    assert certificate(DATA, np.where(TEST, DATA.z, codes))["bound"] > row["bound"]  # the control: those tell all
    assert certificate(DATA, np.where(TEST, DATA.z, codes))["information"] == pytest.approx(np.log(3))


def test_training_the_finite_release_again_gives_the_same_bytes(root, tmp_path):
    train_finite_faces(DATA, ARTIFICIAL, FINITE, 1, TARGETS, out=tmp_path)
    for path in (root / "finite").iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


# --- sides


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 2**31 - 1))
@settings(max_examples=50, deadline=None)
def test_thirds_are_of_equal_size_among_training_images(triples, others, seed):
    draw = np.random.default_rng(seed)
    values = draw.normal(size=3 * triples + others)
    mask = draw.permutation(np.arange(len(values)) < 3 * triples)
    sides = in_thirds(values, mask)
    assert np.bincount(sides[mask], minlength=3).tolist() == [triples] * 3
    assert set(sides) <= {0, 1, 2}
    order = np.argsort(values)
    assert (np.diff(sides[order]) >= 0).all()
    moved = in_thirds(np.where(mask, values, values + 100), mask)
    np.testing.assert_array_equal(moved[mask], sides[mask])  # the others set no border
    assert (moved[~mask] == 2).all()


def test_sides_are_judged_where_they_are_recorded():
    data, tasks = judged(DATA)
    assert tasks == ["identity", "expression", "pose", "gaze"]
    for name in ("pose", "gaze"):
        np.testing.assert_array_equal(data.attributes[name], in_thirds(DATA.attributes[name], TRAIN))
        assert data.attributes[name].dtype == np.int64
    assert DATA.attributes["pose"].dtype == np.float64  # the data themselves stay as they were
    known = {name: DATA.attributes[name] for name in ("expression", "clip")}
    plain, tasks = judged(Dataset(DATA.images, DATA.z, known, DATA.split, DATA.provenance))
    assert tasks == ["identity", "expression"]
    assert set(plain.attributes) == set(known)


# --- judging


@pytest.fixture(scope="module")
def references(root) -> list[dict]:
    assess_references(DATA, BUDGET, standard=root / "standard", out=root / "references", device="cpu")
    return strict(root / "references" / "table.json")


@pytest.fixture(scope="module")
def cell(root, references) -> list[dict]:
    out = root / "cell.json"
    assess_target(DATA, BUDGET, NOBODY, models=root, out=out, device="cpu")
    return strict(out)


def attackers(rows: list[dict], method: str, task: str) -> list[str]:
    return [row["attacker"] for row in rows if (row["method"], row["task"]) == (method, task)]


def best(rows: list[dict], method: str, task: str) -> float:
    mine = [row for row in rows if (row["method"], row["task"]) == (method, task) and row["attacker"] != READER]
    return max(row["accuracy"] for row in mine)


def test_every_row_has_what_table_1_needs(references, cell):
    for row in references + cell:
        assert set(row) >= ROW
        assert 0 <= row["low"] <= row["accuracy"] + 1e-12
        assert row["accuracy"] - 1e-12 <= row["high"] <= 1
        assert (row["n"], row["split"], row["source"]) == (TEST.sum(), "clips", "synthetic")
    assert {row["target"] for row in references} == {None}
    assert {row["target"] for row in cell} == {NOBODY}
    assert {row["method"] for row in references} == {"raw", "standard"}
    assert {row["method"] for row in cell} == {"restricted", "substituted", "pixels", "finite"}
    assert {row["seed"] for row in references if row["method"] == "raw"} == {None}
    assert {row["seed"] for row in references + cell if row["method"] != "raw"} == {0}  # no row of what collapsed


def test_who_is_set_on_what(references, cell):
    few, two = [*FEW, "ensemble"], ["trees", "cnn", "ensemble"]
    assert attackers(references, "raw", "identity") == ["majority", *few, READER]
    assert attackers(references, "raw", "expression") == ["majority", *few, READER]
    assert attackers(references, "standard", "identity") == [*few, READER]
    for method, names, kept in (
        *[("restricted", two, two), ("substituted", few, two)],
        *[("pixels", ["trees"], ["trees"]), ("finite", ["trees"], ["trees"])],
    ):
        assert attackers(cell, method, "identity") == [*names, *([READER] if method == "restricted" else [])]
        assert attackers(cell, method, "expression") == [*kept, READER]
        for side in ("pose", "gaze"):
            assert attackers(cell, method, side) == ["trees"]


def test_raw_images_tell_everything_and_a_constant_image_nothing(references, root):
    """The negative control: on one grey nobody beats the commonest label, the reader among them."""
    (guess,) = (row["accuracy"] for row in references if (row["attacker"], row["task"]) == ("majority", "identity"))
    assert guess == pytest.approx(1 / PEOPLE)
    for task in ("identity", "expression"):
        assert best(references, "raw", task) > 0.9
    assert best(references, "raw", "pose") > 0.55
    assert best(references, "raw", "gaze") < 0.55  # there is nothing of it in the images
    read = [row["accuracy"] for row in references if (row["method"], row["attacker"]) == ("raw", READER)]
    assert len(read) == 2
    assert min(read) > 0.7
    reader = NetworkAttacker().load(root / "references" / "reader-expression.safetensors")
    blank = DATA.released(np.full_like(DATA.images, 100))
    rows = face_rows(
        blank,
        *[("trees", "cnn")] * 2,
        {"expression": reader},
        AttackBudget(**BUDGET),
        seed=0,
        target=None,
        method="constant",
    )
    for task in ("identity", "expression"):
        assert best(rows, "constant", task) <= guess + 1e-9
    assert next(row["accuracy"] for row in rows if row["attacker"] == READER) == pytest.approx(1 / EXPRESSIONS)


def test_the_readers_row_is_what_it_reads_in_the_release(root, cell):
    reader = NetworkAttacker().load(root / "references" / "reader-expression.safetensors")
    shown = Codebook.load(root / "finite" / f"target-{NOBODY}.npz").release()[TEST]
    hits = int((reader.predict(shown) == DATA.attributes["expression"][TEST]).sum())
    (row,) = (row for row in cell if (row["method"], row["attacker"]) == ("finite", READER))
    assert row["accuracy"] == hits / TEST.sum()


def test_no_attacker_of_the_finite_release_is_above_its_certificate(root, cell):
    (row,) = strict(root / "finite" / "certificate.json")
    assert best(cell, "finite", "identity") <= row["bound"] <= 1


def test_where_every_game_collapsed_there_is_what_needs_no_game(root, references, tmp_path):
    for name in ("references", "finite"):
        (tmp_path / name).symlink_to(root / name)
    folder = tmp_path / f"target-{NOBODY}"
    folder.mkdir()
    (folder / "pixels.npz").symlink_to(root / folder.name / "pixels.npz")
    write_json(folder / "runs.json", [{"lam": LAM, "target": NOBODY, "seed": 0, "collapsed": MESSAGE}])
    assess_target(DATA, BUDGET, NOBODY, models=tmp_path, out=tmp_path / "cell.json", device="cpu")
    assert {row["method"] for row in strict(tmp_path / "cell.json")} == {"pixels", "finite"}
