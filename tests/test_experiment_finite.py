"""The stages of the finite release: which files they leave, and that these say what was computed."""

import json
from pathlib import Path

import numpy as np
import pytest

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import Dataset
from anonrep.evaluation.frontier import choose, promise, validation_bound
from anonrep.evaluation.network_attacker import NetworkAttacker
from anonrep.methods.code_encoder import load_encoder, make_codebook
from anonrep.methods.finite import FiniteConfig, learn, prepare
from anonrep.networks import Players
from anonrep.stages.checkpoints import load_players, save_players
from anonrep.stages.experiment import pick_device
from anonrep.stages.experiment_finite import answer_all, certify_releases, train_finite
from anonrep.stages.old_results import finite_codebooks
from anonrep.utils.files import write_json

SIZE, PEOPLE, SHAPES, N = 8, 5, 3, 240
SEEDS, COLLAPSED = [0, 2], 1
LAMBDAS, CODES, TARGETS = [0, 1.5], [4, 3], [0, 3]
MESSAGE = "collapsed in epoch 2 of the fidelity phase"
CONFIG = {"units": 8, "steps": 12, "batch": 60, "restarts": 2, "neighbours": 2, "copies": 2}
ARCHITECTURE = {
    **{"height": SIZE, "width": SIZE, "n_private": PEOPLE, "hidden": 4},
    **{"channels": 2, "adversary_channels": 2, "variational": False},
}
TERMS = ["distortion", "consistency", "code_usage", "information"]


def people() -> Dataset:
    """A bar at one of three heights on noise, as long as it is; nobody's own."""
    draw = np.random.default_rng(0)
    images, z = draw.integers(0, 60, (N, SIZE, SIZE), np.uint8), draw.permutation(np.arange(N) % PEOPLE)
    shape, length = np.arange(N) % SHAPES, draw.integers(2, SIZE, N)
    for image, kind, long in zip(images, shape, length, strict=True):
        image[3 * kind, :long] = 250
    split = draw.permutation(np.repeat([0, 1, 2], [N - 120, 60, 60])).astype(np.uint8)
    provenance = {"source": "synthetic", "private": "writer", "dataset": "bars"}
    return Dataset(images, z, {"shape": shape, "length": length / SIZE, "coin": z % 2}, split, provenance)


DATA = people()


def prepared(folder: Path, collapsed: dict[int, str | None]) -> Path:
    """As `experiment.prepare_seeds` leaves it, without the wait: a seed that collapsed has players too."""
    for seed in collapsed:
        save_players(folder / f"seed-{seed}", Players.build(**ARCHITECTURE, seed=seed), ARCHITECTURE)
    write_json(folder / "runs.json", [{"seed": seed, "collapsed": message} for seed, message in collapsed.items()])
    return folder


def trained(root: Path, lambdas: list) -> None:
    for lam in lambdas:
        train_finite(DATA, CONFIG, CODES, lam, start=root / "start", out=root / "models" / f"lambda-{lam}")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """The folders start (of three seeds one collapsed), controls and models, where every lambda is trained."""
    root = tmp_path_factory.mktemp("finite")
    prepared(root / "start", {0: None, COLLAPSED: MESSAGE, 2: None})
    train = DATA.subset("train")
    reader = NetworkAttacker(epochs=1).fit(train.images, train.attributes["shape"])
    (root / "controls").mkdir()
    reader.save(root / "controls" / "reader.safetensors")
    trained(root, LAMBDAS)
    return root


@pytest.fixture(scope="module")
def certified(root) -> Path:
    """The folder of `certify_releases` at one lambda: the other was taken back, and leaves no ghost."""
    certify(root, root / "metrics", LAMBDAS[1:])
    return root / "metrics"


def certify(root: Path, out: Path, lambdas: list) -> None:
    folders = {"models": root / "models", "start": root / "start", "controls": root / "controls", "out": out}
    certify_releases(DATA, "shape", lambdas=lambdas, codes=[2], targets=TARGETS, **folders)


def strict(path: Path) -> list[dict]:
    """What a JSON file holds; NaN and Infinity, which are no JSON, fail."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{path.name} holds {word}")

    return json.loads(path.read_text(), parse_constant=refuse)


# --- training


def test_a_folder_holds_exactly_what_is_promised(root):
    books = [f"codes-{k}-seed-{seed}" for k in CODES for seed in SEEDS]
    names = {f"{name}.{kind}" for name in books for kind in ("json", "npz", "safetensors")}
    names |= {f"seed-{seed}.npz" for seed in SEEDS} | {"runs.json", "codebooks.json", "history.json"}
    for lam in LAMBDAS:
        assert {path.name for path in (root / "models" / f"lambda-{lam}").iterdir()} == names


def test_a_collapsed_seed_keeps_its_row_and_gets_nothing_else(root):
    for lam in LAMBDAS:
        folder = root / "models" / f"lambda-{lam}"
        rows = [{"lam": lam, "seed": seed, "collapsed": None} for seed in SEEDS]
        assert strict(folder / "runs.json") == [
            rows[0],
            {"lam": lam, "seed": COLLAPSED, "collapsed": MESSAGE},
            rows[1],
        ]
        assert not list(folder.glob(f"*seed-{COLLAPSED}*"))
        for name in ("codebooks", "history"):
            assert {row["seed"] for row in strict(folder / f"{name}.json")} == set(SEEDS)


def test_it_is_what_learn_finds_on_the_prepared_autoencoder(root):
    seed, lam, k = 2, 1.5, 3
    players, config = load_players(root / "start" / f"seed-{seed}", pick_device()), FiniteConfig(**CONFIG)
    autoencoder = players.autoencoder.eval()
    seen = prepare(autoencoder, DATA, config, seed)
    encoder, history, restarts = learn(autoencoder.encoder, seen, lam, FiniteConfig(**CONFIG, codes=k), seed)
    expected = make_codebook(autoencoder, encoder, DATA)
    folder = root / "models" / f"lambda-{lam}"
    found = Codebook.load(folder / f"codes-{k}-seed-{seed}.npz")
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_array_equal(found.images, expected.images)
    key = {"lam": lam, "codes": k, "seed": seed}
    rows = [row for row in strict(folder / "history.json") if key.items() <= row.items()]
    assert rows == [{**key, **row} for row in history]
    assert strict(folder / f"codes-{k}-seed-{seed}.json")["restarts"] == restarts


def test_the_encoder_on_disk_gives_the_codes_of_its_codebook(root):
    several = 0
    for lam in LAMBDAS:
        for path in (root / "models" / f"lambda-{lam}").glob("codes-*.npz"):
            book, encoder = Codebook.load(path), load_encoder(path.with_suffix(""))
            np.testing.assert_array_equal(encoder.codes(DATA.images), book.codes)
            assert encoder.head[-1].out_features == len(book) <= int(path.stem.split("-")[1])
            assert len(np.unique(book.codes[DATA.split == 0])) == len(book)
            several += len(book) > 1
    assert several  # or all of this would say nothing


def test_its_description_says_how_it_came_about(root):
    facts = strict(root / "models" / "lambda-0" / "codes-4-seed-0.json")
    assert set(facts) == {"architecture", "codes", "units", "lam", "seed", "config", "restarts", "provenance"}
    assert (facts["lam"], facts["seed"]) == (0, 0)
    assert facts["architecture"] == ARCHITECTURE
    assert facts["units"] == CONFIG["units"]
    assert facts["config"] == CONFIG
    assert facts["provenance"] == DATA.provenance
    assert len(facts["restarts"]) == CONFIG["restarts"]


def test_the_release_is_the_first_codebook_with_everything_that_belongs_to_the_images(root):
    for lam in LAMBDAS:
        folder = root / "models" / f"lambda-{lam}"
        for seed in SEEDS:
            release = Dataset.load(folder / f"seed-{seed}.npz")
            book = Codebook.load(folder / f"codes-{CODES[0]}-seed-{seed}.npz")
            np.testing.assert_array_equal(release.images, book.release())
            np.testing.assert_array_equal(release.z, DATA.z)
            np.testing.assert_array_equal(release.split, DATA.split)
            assert set(release.attributes) == set(DATA.attributes)
            assert release.provenance == {**DATA.provenance, "lam": lam, "codes": CODES[0], "seed": seed}


def test_codebooks_has_a_row_a_codebook_judged_on_validation(root):
    for lam in LAMBDAS:
        folder = root / "models" / f"lambda-{lam}"
        rows = strict(folder / "codebooks.json")
        assert [(row["lam"], row["codes"], row["seed"]) for row in rows] == [(lam, k, s) for s in SEEDS for k in CODES]
        for row in rows:
            name = f"codes-{row['codes']}-seed-{row['seed']}"
            (chosen,) = [found for found in strict(folder / f"{name}.json")["restarts"] if found["chosen"]]
            bound = validation_bound(DATA, Codebook.load(folder / f"{name}.npz").codes)
            key = {"lam": lam, "codes": row["codes"], "seed": row["seed"]}
            assert row == {**key, **chosen, "validation_bound": bound}


def test_history_has_the_steps_of_every_restart(root):
    rows = strict(root / "models" / "lambda-1.5" / "history.json")
    steps = [(row["seed"], row["codes"], row["restart"], row["step"]) for row in rows]
    assert steps == [(seed, k, *rest) for seed in SEEDS for k in CODES for rest in ((0, 0), (0, 10), (1, 0), (1, 10))]
    assert all(list(row) == ["lam", "codes", "seed", "restart", "step", "price", *TERMS] for row in rows)


def test_training_again_gives_the_same_bytes_and_leaves_the_start_as_it_was(root, tmp_path):
    start = {path.name: path.read_bytes() for path in (root / "start").iterdir()}
    train_finite(DATA, CONFIG, CODES, 1.5, start=root / "start", out=tmp_path)
    for path in (root / "models" / "lambda-1.5").iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
    assert start == {path.name: path.read_bytes() for path in (root / "start").iterdir()}


@pytest.mark.parametrize(("lam", "written"), [(1.0, "1"), (0.0, "0"), (0.1 + 0.2, r"0\.3")])
def test_a_lambda_that_no_file_is_named_after_is_refused(root, tmp_path, lam, written):
    with pytest.raises(ValueError, match=f"lambda {lam!r}: write it as {written}: files are named after it"):
        train_finite(DATA, CONFIG, CODES, lam, start=root / "start", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_wrong_number_or_a_missing_start_is_named(root, tmp_path):
    with pytest.raises(ValueError, match="steps is 0; expected at least 1"):
        train_finite(DATA, CONFIG | {"steps": 0}, CODES, 0, start=root / "start", out=tmp_path)
    with pytest.raises(ValueError, match="codes is 1; expected at least 2"):
        train_finite(DATA, CONFIG, [1], 0, start=root / "start", out=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"runs\.json is missing: `dvc repro`"):
        train_finite(DATA, CONFIG, CODES, 0, start=tmp_path / "none", out=tmp_path)


# --- certifying


def test_every_release_of_fixed_pictures_has_its_rows(certified):
    rows, kept = strict(certified / "certificate.json"), strict(certified / "kept.json")
    learned = [(1.5, k, seed) for seed in SEEDS for k in CODES]
    own = [int(np.sum((DATA.split == 0) & (DATA.z == target))) for target in TARGETS]
    keys = [(method, *key) for key in learned for method in ("finite", "finite, two codes")]
    keys += [(method, None, 2, seed) for seed in SEEDS for method in ("k-means", "medoids")]
    keys += [("substitution", None, k, target) for k, target in zip(own, TARGETS, strict=True)]
    found = [(row["method"], row["lam"], row["codebook"], row["seed"]) for row in rows]
    assert found == [key for key in keys for _ in range(3)]
    assert [row["m"] for row in rows] == [1, 5, 20] * len(keys)
    found = [(row["method"], row["lam"], row["codebook"], row["seed"], row["attribute"]) for row in kept]
    assert found == [(*key, name) for key in keys for name in ("length", "coin")]  # not the shape, which is `utility`
    assert {row["dataset"] for row in rows + kept} == {"bars"}
    assert {row["source"] for row in rows + kept} == {"synthetic"}


def test_no_attacker_is_above_the_bound_and_counts_are_those_of_the_codebooks(root, certified):
    folder = root / "models" / "lambda-1.5"
    bounds = {(row["codes"], row["seed"]): row["validation_bound"] for row in strict(folder / "codebooks.json")}
    for row in strict(certified / "certificate.json"):
        if row["m"] == 1:
            assert row["best_attacker"] <= row["bound"]
        used = {"k-means": 2, "medoids": 2, "substitution": row["codebook"]}
        if row["method"] == "finite":
            assert row["validation_bound"] == bounds[row["codebook"], row["seed"]]
            used["finite"] = len(Codebook.load(folder / f"codes-{row['codebook']}-seed-{row['seed']}.npz"))
        assert row["used"] <= used.get(row["method"], 2 * row["codebook"])
        if row["method"] != "substitution":  # of the target's images some may be nobody's nearest
            assert row["used"] >= used.get(row["method"], 1)


def test_where_every_preparation_collapsed_there_is_substitution_and_no_answer(root, tmp_path):
    prepared(tmp_path / "start", {0: MESSAGE})
    trained(tmp_path, [0])
    folder = tmp_path / "models" / "lambda-0"
    assert {path.name for path in folder.iterdir()} == {"runs.json", "codebooks.json", "history.json"}
    (tmp_path / "controls").symlink_to(root / "controls")
    certify(tmp_path, tmp_path / "metrics", [0])
    assert {row["method"] for row in strict(tmp_path / "metrics" / "certificate.json")} == {"substitution"}
    with pytest.raises(ValueError, match=r"models holds no finite release: every preparation collapsed .*runs\.json"):
        answer_all(DATA, [0.5], lambdas=[0], models=tmp_path / "models", out=tmp_path / "epsilon.json")


# --- answering


def test_every_wanted_probability_gets_a_row(root, tmp_path):
    asked, out = [0.02, 0.4, 0.95], tmp_path / "epsilon.json"
    answer_all(DATA, asked, lambdas=LAMBDAS, models=root / "models", out=out)
    rows, candidates = strict(out), finite_codebooks(root / "models", LAMBDAS)
    assert [row["p"] for row in rows] == asked
    names = {"p", "bound", "holds", "n", "delta", "least", "lam", "codes", "seed", "validation_bound", "answer"}
    for p, row in zip(asked, rows, strict=True):
        assert set(row) == names | {"source"}
        assert row["source"] == "synthetic"
        chosen = choose(candidates, p)
        if chosen is None:
            assert [row[name] for name in ("lam", "codes", "seed", "validation_bound", "bound")] == [None] * 5
            assert not row["holds"]
            continue
        assert (type(row["codes"]), type(row["seed"])) == (int, int)
        for name in ("lam", "codes", "seed", "validation_bound"):
            assert row[name] == chosen[name]
        path = root / "models" / f"lambda-{row['lam']:g}" / f"codes-{row['codes']}-seed-{row['seed']}.npz"
        promised = promise(DATA, Codebook.load(path), p)
        assert {name: row[name] for name in promised} == promised
    assert rows[0]["lam"] is None
    assert rows[0]["answer"].startswith("No release can be certified at p = 2 %")
    assert rows[-1]["holds"]
    assert rows[-1]["answer"].startswith("At most 95 % of people can be recognised")


def test_an_impossible_promise_or_a_missing_folder_is_named(root, tmp_path):
    with pytest.raises(ValueError, match=r"p = 5: expected 0 < p < 1"):
        answer_all(DATA, [5], lambdas=LAMBDAS, models=root / "models", out=tmp_path / "a.json")
    with pytest.raises(FileNotFoundError, match=r"codebooks\.json is missing: `dvc repro`"):
        answer_all(DATA, [0.5], lambdas=[3], models=root / "models", out=tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()
