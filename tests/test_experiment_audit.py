"""The stages of the audit: which files they leave, who is set on what, and that nobody sees more than is said."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import KNeighborsClassifier
from test_experiment_finite import prepared

from anonrep.data.dataset import Dataset
from anonrep.evaluation.assessment import assess
from anonrep.evaluation.attackers import FEW, AttackBudget, on_pixels
from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.game import Outcome, reconstruct
from anonrep.methods.adversaries import AdversaryConfig, play_against
from anonrep.methods.perturbations import perturb
from anonrep.stages import experiment, experiment_audit
from anonrep.stages.checkpoints import load_players
from anonrep.stages.experiment_audit import assess_outsiders, baseline
from anonrep.utils.files import write_json

SIZE, PEOPLE, SHAPES, N = 8, 5, 3, 240
TASKS, SEEDS, COLLAPSED = ("writer", "shape"), [0, 2], 1
MESSAGE = "collapsed in epoch 1 of the game: the output was all but constant"
BUDGET = {"network_epochs": 1, "reader_epochs": 1, "two_sample_epochs": 1}
GAME = {"batch": 60, "epochs": 1}
WHOLE = ["majority", *FEW, "ensemble"]


def people() -> Dataset:
    """A bar at one of three heights on noise, and a dot in each writer's own place under it."""
    draw = np.random.default_rng(0)
    images, z = draw.integers(0, 60, (N, SIZE, SIZE), np.uint8), draw.permutation(np.arange(N) % PEOPLE)
    shape = np.arange(N) % SHAPES
    images[np.arange(N), 2 * shape] = 200
    images[np.arange(N), SIZE - 1, z] = 255
    split = draw.permutation(np.repeat([0, 1, 2], [N - 120, 60, 60])).astype(np.uint8)
    return Dataset(images, z, {"shape": shape}, split, {"source": "synthetic", "private": "writer", "dataset": "dots"})


DATA = people()
TRAIN, HELD, TEST = (DATA.split == split for split in range(3))
FITTED: list[tuple[str, np.ndarray, np.ndarray]] = []  # candidate, images, labels
SHOWN: list[tuple[str, np.ndarray]] = []  # candidate, images


class Spy(ClassifierMixin, BaseEstimator):
    """Nearest neighbours that keep what they are handed."""

    def __init__(self, name: str, k: int) -> None:
        self.name, self.k = name, k

    def fit(self, images: np.ndarray, labels: np.ndarray) -> "Spy":
        FITTED.append((f"{self.name}-{self.k}", images, labels))
        self.inner_ = on_pixels(KNeighborsClassifier(self.k)).fit(images, labels)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        SHOWN.append((f"{self.name}-{self.k}", images))
        return self.inner_.predict_proba(images)


def suite(budget: AttackBudget, *, seed: int, device: str) -> dict:
    """A suite of the same names that takes no time."""
    spies = {name: [Spy(name, k) for k in ((1, 5) if name == "neighbours" else (3,))] for name in FEW}
    return {"majority": [on_pixels(DummyClassifier(strategy="prior"))], **spies}


@pytest.fixture(autouse=True)
def spied(monkeypatch):
    for module in (experiment, experiment_audit):
        monkeypatch.setattr(module, "suite", suite)
    FITTED.clear()
    SHOWN.clear()


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """The folders start, of three seeds one collapsed, and controls."""
    root = tmp_path_factory.mktemp("audit")
    prepared(root / "start", {0: None, COLLAPSED: MESSAGE, 2: None})
    (root / "controls").mkdir()
    train = DATA.subset("train")
    NetworkAttacker(epochs=8).fit(train.images, train.attributes["shape"]).save(root / "controls/reader.safetensors")
    return root


def run(root: Path, folder: Path, method: str, settings: list, **more: object) -> dict[str, list[dict]]:
    """What `baseline` writes to `folder`."""
    where = {"start": root / "start", "controls": root / "controls", "releases": folder / "releases"}
    options = {"game": GAME, "images": (1, 3), "device": "cpu", **where, **more}
    baseline(DATA, TASKS, BUDGET, method, settings, out=folder / "out.json", **options)
    return strict(folder / "out.json")


def strict(path: Path) -> dict | list:
    """What a JSON file holds; NaN and Infinity, which are no JSON, fail."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{path.name} holds {word}")

    return json.loads(path.read_text(), parse_constant=refuse)


def releases(folder: Path) -> dict[str, Dataset]:
    return {path.stem: Dataset.load(path) for path in sorted((folder / "releases").iterdir())}


def key(row: dict) -> tuple:
    return row["method"], row["setting"], row["seed"]


def worst(rows: list[dict], **where: object) -> float:
    """The best attacker of one image on the writer, among the rows with these values."""
    where |= {"task": "writer", "m": 1}
    return max(row["accuracy"] for row in rows if where.items() <= row.items())


# --- perturbations


def test_a_perturbation_is_made_once_at_every_setting(root, tmp_path):
    found = run(root, tmp_path, "gaussian_noise", [0.1, 0.5])
    keys = [("gaussian_noise", setting, 0) for setting in (0.1, 0.5)]
    assert [key(row) for row in found["runs"]] == [key(row) for row in found["naturalness"]] == keys
    assert {row["collapsed"] for row in found["runs"]} == {None}
    made = releases(tmp_path)
    assert list(made) == ["0.1-0", "0.5-0"]
    for _, setting, seed in keys:
        release = made[f"{setting}-0"]
        np.testing.assert_array_equal(release.images, perturb(DATA, "gaussian_noise", setting, seed))
        np.testing.assert_array_equal(release.z, DATA.z)
        how = {"method": "gaussian_noise", "setting": setting, "seed": seed}
        assert release.provenance == {**DATA.provenance, **how}


def test_its_rows_say_what_they_are_about_and_who_was_set_on_it(root, tmp_path):
    found = run(root, tmp_path, "leace", [None])
    assert list(releases(tmp_path)) == ["only-0"]
    for row in found["accuracy"]:
        assert list(row)[:5] == ["dataset", "method", "setting", "seed", "task"]
        assert (row["dataset"], *key(row), row["source"]) == ("dots", "leace", None, 0, "synthetic")
    who = [(row["task"], row["m"], row["attacker"]) for row in found["accuracy"]]
    kept = [("shape", 1, name) for name in [*FEW, "ensemble"]]  # by a few, with one image
    assert who == [*(("writer", m, name) for m in (1, 3) for name in WHOLE), *kept]
    ((only,), (run_,)) = found["naturalness"], found["runs"]
    measures = ["shape_accuracy", "ssim", "two_sample_accuracy"]
    assert list(only) == ["dataset", "method", "setting", "seed", *measures, "source"]
    assert run_ == {**{name: only[name] for name in list(only)[:4]}, "collapsed": None, "source": "synthetic"}


def test_the_same_inputs_give_the_same_bytes(root, tmp_path):
    for name in ("a", "b"):
        run(root, tmp_path / name, "gaussian_noise", [0.2])
    for file in ("out.json", "releases/0.2-0.npz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_attackers_find_the_writer_where_nothing_is_changed_and_guess_where_all_is_lost(root, tmp_path):
    """A release that is the raw images is attacked as these are; one that is a single grey tells nothing."""
    rows = run(root, tmp_path, "pixelate", [1, SIZE])["accuracy"]
    raw = assess(DATA, "writer", suite(AttackBudget(), seed=0, device="cpu"), images_per_person=(1, 3))
    measured = ["attacker", "m", "accuracy", "low", "high", "n", "attackers", "candidates", "information"]
    same = [row for row in rows if (row["setting"], row["task"]) == (1, "writer")]
    assert [[row.get(name) for name in measured] for row in same] == [
        [row.get(name) for name in measured] for row in raw
    ]
    assert worst(rows, setting=1) > 0.9
    assert worst(rows, setting=SIZE) < 0.45


def test_nobody_is_fitted_to_a_test_image_or_shown_its_label(root, tmp_path):
    run(root, tmp_path, "gaussian_blur", [0])  # changes nothing
    test = {image.tobytes() for image in DATA.images[TEST]}
    train = [image.tobytes() for image in DATA.images[TRAIN]]
    assert FITTED
    for _, images, _labels in FITTED:
        assert [image.tobytes() for image in images] == train
        assert not test & {image.tobytes() for image in images}


# --- games


@pytest.fixture
def played(monkeypatch) -> list[dict]:
    """Games are as short as can be, and collapse at lambda 1 with seed 2: what each was handed."""
    calls = []

    def play(players, train, objective, lam, config, seed, device) -> Outcome:
        calls.append({"train": train, "objective": objective, "lam": lam, "config": config, "seed": seed})
        outcome = play_against(players, train, objective, lam, config, seed, device)
        outcome.collapsed = MESSAGE if (lam, seed) == (1, 2) else None  # three steps from nothing end nowhere
        return outcome

    monkeypatch.setattr(experiment_audit, "play_against", play)
    return calls


def test_a_game_is_played_with_every_seed_that_was_prepared(root, tmp_path, played):
    found = run(root, tmp_path, "maximum_entropy", [0.5])
    keys = [("maximum_entropy", 0.5, seed) for seed in SEEDS]
    assert [(call["objective"], call["lam"], call["seed"]) for call in played] == keys
    assert [key(row) for row in found["naturalness"]] == keys
    runs = [(row["seed"], bool(row["collapsed"])) for row in found["runs"]]
    assert runs == [(0, False), (COLLAPSED, True), (2, False)], "a preparation that collapsed keeps its row"
    for call in played:
        assert call["config"] == AdversaryConfig(**GAME)
        np.testing.assert_array_equal(call["train"].images, DATA.images[TRAIN])
    made = releases(tmp_path)
    assert list(made) == ["0.5-0", "0.5-2"]
    assert not np.array_equal(made["0.5-0"].images, made["0.5-2"].images)


def test_what_is_released_is_what_the_game_leaves(root, tmp_path, played):
    run(root, tmp_path, "gradient_reversal", [0.5])
    for seed in SEEDS:
        players = load_players(root / "start" / f"seed-{seed}")
        outcome = play_against(players, DATA.subset("train"), "gradient_reversal", 0.5, AdversaryConfig(**GAME), seed)
        expected = reconstruct(outcome.autoencoder, DATA.images, "cpu")
        np.testing.assert_array_equal(releases(tmp_path)[f"0.5-{seed}"].images, expected)


def test_everybody_goes_for_the_first_seed_and_a_few_for_the_others(root, tmp_path, played):
    rows = run(root, tmp_path, "gradient_reversal", [0.5])["accuracy"]
    for seed, private, kept in ((0, WHOLE, [*FEW, "ensemble"]), (2, [*FEW, "ensemble"], ["cnn", "ensemble"])):
        mine = [row for row in rows if row["seed"] == seed]
        assert [row["attacker"] for row in mine if row["task"] == "shape"] == kept
        for m in (1, 3):
            found = [row for row in mine if (row["task"], row["m"]) == ("writer", m)]
            assert [row["attacker"] for row in found] == private
            assert {row["attackers"] for row in found} == {len(private)}


def test_a_collapsed_game_has_a_row_in_runs_alone(root, tmp_path, played):
    found = run(root, tmp_path, "maximum_entropy", [0.5, 1])
    lost = ("maximum_entropy", 1, 2)
    assert [key(row) for row in found["runs"] if row["collapsed"] and row["seed"] != COLLAPSED] == [lost]
    left = {(lam, seed) for lam in (0.5, 1) for seed in SEEDS} - {lost[1:]}
    for kind in ("accuracy", "naturalness"):
        assert {key(row)[1:] for row in found[kind]} == left
    assert set(releases(tmp_path)) == {f"{lam:g}-{seed}" for lam, seed in left}


def test_a_method_that_does_not_exist_is_named(root, tmp_path):
    with pytest.raises(ValueError, match="no method 'mosaic'; expected one of gaussian_noise"):
        run(root, tmp_path, "mosaic", [1])
    assert not (tmp_path / "out.json").exists()


# --- attackers who know less


def stamped(value: int) -> np.ndarray:
    """The raw images with a grey corner, so that a release is told from the raw images and from another one."""
    images = DATA.images.copy()
    images[:, 1, 7] = value
    return images


OPEN = {0: stamped(100), 2: stamped(120)}  # hides nothing
CLOSED = {0: np.full_like(DATA.images, 90)}  # a constant image
SHUFFLED = {0: DATA.images[np.random.default_rng(1).permutation(N)]}  # anybody's image: labels permuted


def write_runs(models: Path, variant: str, lam: float, images: dict[int, np.ndarray], lost: tuple = ()) -> None:
    """A folder of trained runs, as `experiment.train_lambda` leaves it."""
    folder = models / variant / f"lambda-{lam:g}"
    runs = [{"lam": lam, "seed": s, "collapsed": MESSAGE if s in lost else None} for s in sorted([*images, *lost])]
    write_json(folder / "runs.json", runs)
    for seed, released in images.items():
        DATA.released(released, seed=seed).save(folder / f"seed-{seed}.npz")


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    models = tmp_path_factory.mktemp("models")
    write_runs(models, "open", 2, OPEN, lost=(COLLAPSED,))
    write_runs(models, "closed", 0.5, CLOSED)
    write_runs(models, "shuffled", 1, SHUFFLED)
    write_runs(models, "lost", 1, {}, lost=(0, 1))
    return models


POINTS = {"open": 2, "closed": 0.5, "shuffled": 1}
RUNS = [("open", 2, 0), ("open", 2, 2), ("closed", 0.5, 0), ("shuffled", 1, 0)]
IMAGES = {("open", 0): OPEN[0], ("open", 2): OPEN[2], ("closed", 0): CLOSED[0], ("shuffled", 0): SHUFFLED[0]}


def outsiders(models: Path, out: Path, points: dict, data: Dataset = DATA) -> list[dict]:
    assess_outsiders(data, "writer", BUDGET, points, images=(1, 3), models=models, out=out, device="cpu")
    return strict(out)


@pytest.fixture(scope="module")
def rows(models, tmp_path_factory) -> list[dict]:
    """Outsiders on all releases at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment_audit, "suite", suite)
        return outsiders(models, tmp_path_factory.mktemp("rows") / "out.json", POINTS | {"lost": 1})


def test_every_release_has_rows_of_each_knowledge_and_a_collapsed_one_none(rows):
    found = [(*key(row), row["knowledge"], row["m"], row["attacker"]) for row in rows]
    kinds = [(knowledge, m, name) for knowledge in ("raw", "unseen", "as few") for m in (1, 3) for name in WHOLE]
    assert found == [(*release, *kind) for release in RUNS for kind in kinds]
    for row in rows:
        assert list(row)[:6] == ["dataset", "method", "setting", "seed", "task", "knowledge"]
        assert (row["dataset"], row["task"], row["source"]) == ("dots", "writer", "synthetic")
        assert row["attackers"] == len(WHOLE)


def test_on_images_that_hide_nothing_raw_knowledge_is_worth_as_much_as_on_raw_images(models, tmp_path):
    """The positive control, beside other releases, from which its test images are told apart again."""
    write_runs(models, "raw", 1, {0: DATA.images})
    found = outsiders(models, tmp_path / "out.json", {"closed": 0.5, "raw": 1, "shuffled": 1})
    mine = [row for row in found if (row["method"], row["knowledge"]) == ("raw", "raw")]
    raw = assess(DATA, "writer", suite(AttackBudget(), seed=0, device="cpu"), images_per_person=(1, 3))
    for row, expected in zip(mine, raw, strict=True):
        assert {name: row[name] for name in expected} == expected
    assert worst(mine) > 0.9


def test_of_what_tells_nothing_no_knowledge_helps(rows):
    for method in ("closed", "shuffled"):
        for knowledge in ("raw", "unseen", "as few"):
            assert worst(rows, method=method, knowledge=knowledge) < 0.45
    for seed in SEEDS:
        for knowledge in ("raw", "unseen", "as few"):
            assert worst(rows, method="open", seed=seed, knowledge=knowledge) > 0.6


def same(images: np.ndarray, mask: np.ndarray, release: np.ndarray) -> bool:
    return np.array_equal(images, release[mask])


def test_what_each_is_trained_tuned_and_set_on(models, tmp_path):
    outsiders(models, tmp_path / "out.json", POINTS)
    candidates = [f"{one.name}-{one.k}" for name in FEW for one in suite(AttackBudget(), seed=0, device="cpu")[name]]
    rounds = [FITTED[start : start + len(candidates)] for start in range(0, len(FITTED), len(candidates))]
    assert len(rounds) == 1 + 2 * len(RUNS)  # raw images are learned once, whatever they are set on
    assert all([name for name, *_ in one] == candidates for one in rounds)
    for _, images, labels in rounds[0]:
        assert same(images, TRAIN, DATA.images)
        np.testing.assert_array_equal(labels, DATA.z[TRAIN])
    for place, (variant, _, seed) in enumerate(RUNS):
        unseen, few = rounds[1 + 2 * place : 3 + 2 * place]
        for _, images, labels in unseen:
            assert same(images, HELD, IMAGES[variant, seed])
            np.testing.assert_array_equal(labels, DATA.z[HELD])
        for _, images, labels in few:
            assert len(images) == len(labels) == HELD.sum()
    # Which training images the few are is told by those that are like no other.
    ((_, chosen, labels), *_) = rounds[2]
    place = {image.tobytes(): index for index, image in enumerate(OPEN[0])}
    index = [place[image.tobytes()] for image in chosen]
    assert set(DATA.split[index]) == {0}
    assert len(set(index)) == HELD.sum()
    np.testing.assert_array_equal(labels, DATA.z[index])
    for one in rounds[2::2]:  # the same few of every release
        np.testing.assert_array_equal(one[0][2], labels)


def test_the_two_with_fewer_images_are_tuned_on_each_others(models, tmp_path):
    outsiders(models, tmp_path / "out.json", {"open": 2})
    (_, few, _), (_, unseen, _) = FITTED[10], FITTED[5]
    assert len(few) == len(unseen) == HELD.sum()
    shown = [images for name, images in SHOWN if name == FITTED[0][0]]
    all_test = np.concatenate([OPEN[0][TEST], OPEN[2][TEST]])
    for images, expected in zip(shown[:2], (DATA.images[HELD], all_test), strict=True):
        np.testing.assert_array_equal(images, expected)
    tuned = [images for images in shown if len(images) == len(few) and not np.array_equal(images, OPEN[0][TEST])]
    np.testing.assert_array_equal(tuned[1], few)
    assert any(np.array_equal(images, unseen) for images in tuned)


def test_labels_of_test_images_reach_no_attacker(models, tmp_path):
    """With others in their place everything the attackers are handed is the same, and their accuracy is lost."""
    first = outsiders(models, tmp_path / "a.json", {"open": 2})
    handed = [*(part for one in FITTED for part in one[1:]), *(images for _, images in SHOWN)]
    FITTED.clear()
    SHOWN.clear()
    z = DATA.z.copy()
    z[TEST] = np.random.default_rng(2).permutation(z[TEST])
    other = Dataset(DATA.images, z, DATA.attributes, DATA.split, DATA.provenance)
    second = outsiders(models, tmp_path / "b.json", {"open": 2}, other)
    again = [*(part for one in FITTED for part in one[1:]), *(images for _, images in SHOWN)]
    assert len(handed) == len(again) > 0
    assert all(np.array_equal(one, two) for one, two in zip(handed, again, strict=True))
    assert worst(first, knowledge="raw") > 0.9
    assert worst(second, knowledge="raw") < 0.45


def test_the_same_releases_give_the_same_bytes(models, tmp_path):
    for name in ("a", "b"):
        outsiders(models, tmp_path / name, {"closed": 0.5})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_where_all_collapsed_there_is_nothing_to_audit(models, tmp_path):
    with pytest.raises(ValueError, match=r"all runs of \{'lost': 1\} collapsed; there is nothing to audit"):
        outsiders(models, tmp_path / "out.json", {"lost": 1})
    assert not (tmp_path / "out.json").exists()


def test_a_point_without_runs_is_named(models, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"lambda-7/runs\.json is missing: `dvc repro`"):
        outsiders(models, tmp_path / "out.json", {"open": 7})
