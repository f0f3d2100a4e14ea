"""Stages from games to tables, on faces of a few lines: who is shown, who judges, and what a collapsed run leaves."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from anonrep.data.codebook import Codebook
from anonrep.data.dataset import UNSEEN, Dataset
from anonrep.evaluation.attackers import FEW, AttackBudget, suite
from anonrep.evaluation.certificate import accuracy_bound
from anonrep.evaluation.frontier import choose, validation_bound
from anonrep.game import play
from anonrep.methods.code_encoder import load_encoder
from anonrep.methods.codebooks import substitute
from anonrep.methods.content import content, matches
from anonrep.methods.perturbations import perturb
from anonrep.stages import game, paths, results, threat_models
from anonrep.stages.assess import assess_release, in_thirds, swings
from anonrep.stages.baseline import baseline_release
from anonrep.stages.controls import assess_controls, load_readers
from anonrep.stages.finite import release_by_codebook
from anonrep.stages.game import prepare_seeds, release_by_game, with_artificial
from anonrep.stages.releases import load_all, read_index
from anonrep.utils.files import read_json, write_json

SIZE, EXPRESSIONS, NOBODY, CHANCE = 15, 3, 3, 1 / 3
SEEDS, LOST = [0, 2], 1
MESSAGE = "collapsed in epoch 2 of the fidelity phase"
GAME = {
    **{"hidden": 12, "channels": 6, "adversary_channels": 2, "batch": 16, "pixel_epochs": 40, "pixel_rate": 0.01},
    **{"fidelity_epochs": 1, "private_epochs": 1, "rate": 0.001, "adversary_rate": 0.001, "pixel_anchor": 50.0},
}
FINITE = {"units": 8, "steps": 20, "batch": 60, "restarts": 1, "neighbours": 2, "copies": 2, "jitter": 0.05}
BUDGET = {"network_epochs": 6, "large_epochs": 0, "trees": 20, "boosting_rounds": 5, "reader_epochs": 10}
ALL, TREES = [*suite(AttackBudget(**BUDGET), seed=0), "ensemble"], {"private": ["trees"], "utility": ["trees"]}
PLANS = {"default": {"private": "all", "utility": ["trees"]}, "again": {"private": FEW, "utility": ["cnn"]}}
PLANS |= {
    "constant": "again",
    **dict.fromkeys(("restricted", "substituted", "pixels", "finite", "gaussian_noise"), TREES),
}
ASSESSMENT = {
    **{"budget": BUDGET, "budgets": {"finite": {"trees": 5}}, "attackers": {**PLANS, "side": ["trees"]}},
    **{"seeds": [0, 1], "images_per_person": [1, 3], "sides": ["pose", "age"], "attributes": ["pose", "age"]},
    **{"readers": ["identity", "expression"], "naturalness": False},
}
RELEASES = {
    "standard": ("game", {"lam": 1, "title": "standard"}),
    "shown": ("game", {"lam": 1, "target": NOBODY}),
    "lost": ("game", {"lam": 1, "target": 1, "changes": {"rate": 1e6}}),  # a rate that throws everything off
    "unmatched": ("game", {"lam": 1, "target": 1, "title": "restricted, no match", "changes": {"pixel_anchor": 0}}),
    "faces": ("finite", {"codes": [4, 3], "lam": 1, "targets": [1, NOBODY]}),
    "similar": ("finite", {"codes": [4], "lam": 1, "targets": [1], "runs": "similarity", "title": "finite, own runs"}),
    "decoded": ("finite", {"codes": [4], "lam": 1}),
    "noise": ("baseline", {"method": "gaussian_noise", "values": [0.1, 0.5]}),
    "reversal": ("game", {"lam": 1, "title": "reversal", "changes": {"private_term": "reversal"}}),
    "k-means": ("baseline", {"method": "k-means", "values": [3]}),
    "substitution": ("baseline", {"method": "substitution codebook", "values": [1]}),
}
JUDGED = [name for name in RELEASES if name not in ("reversal", "unmatched", "similar")]  # others have all of theirs
START, RAW = paths.start_folder("faces"), paths.controls_folder("faces", "clips")
CPU = {"device": "cpu"}


def drawn(people: list[int], clips: int = 4, seed: int = 0) -> Dataset:
    """A column for the person, a bar at one of three heights, and at the foot how far a head is turned."""
    axes, draw = (people, range(EXPRESSIONS), range(clips), range(5)), np.random.default_rng(seed)
    z, expression, clip, frame = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    pose = draw.normal(size=len(z) // 5).repeat(5) + frame / 4
    images = draw.integers(90, 130, (len(z), SIZE, SIZE), np.uint8)
    images[:, 13:, 4:] = (125 + 100 * np.tanh(pose))[:, None, None]
    for image, person, height, long in zip(images, z, expression, 12 + frame % 2, strict=True):
        image[: 4 + 3 * person, 1:3] = 255
        image[1 + 4 * height : 3 + 4 * height, 6:long] = 10
    # Of the four clips of a cell two are training's, one validation's, one the test's.
    split = (np.array([0, 0, 1, 2])[clip] if clips == 4 else 0 * z).astype(np.uint8)
    facts = {"source": "synthetic", "dataset": "faces", "private": "identity", "utility": "expression"}
    attributes = {"expression": expression, "clip": np.arange(len(z)) // 5, "pose": pose}
    return Dataset(images, z, attributes, split, facts | {"split": "clips", "ink": False})


DATA, ARTIFICIAL = drawn([0, 1, 2]), drawn([NOBODY], 2, seed=1)
TRAIN, HELD, TEST = (DATA.split == part for part in range(3))


def make(name: str, out: Path | None = None, data: Dataset = DATA) -> Path:
    """A release of RELEASES, in its place or in `out`."""
    (kind, options), out = RELEASES[name], out or paths.release_folder(name)
    make = {"game": release_by_game, "finite": release_by_codebook, "baseline": baseline_release}[kind]
    game, finite = {"config": GAME, "method": "restricted", **CPU}, {"config": FINITE, **CPU}
    make(data, **{"game": game, "finite": finite, "baseline": {}}[kind], **options, start=START, out=out)
    return out


@pytest.fixture(scope="module", autouse=True)
def project(tmp_path_factory) -> Iterator[None]:
    """A project with all releases; of three preparations one collapsed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        DATA.save(paths.data_file("faces", "clips"))
        ARTIFICIAL.save(paths.artificial_file("faces"))
        prepare_seeds(DATA, GAME, SEEDS, START, **CPU)
        first, last = read_json(START / "runs.json")
        assert first["collapsed"] is last["collapsed"] is None
        write_json(START / "runs.json", [first, {"seed": LOST, "collapsed": MESSAGE}, last])
        for name in RELEASES:
            make(name)
        yield


@pytest.fixture(scope="module")
def controls(project) -> list[dict]:
    """The rows of raw images, permuted labels and a constant image; readers of raw images lie beside them."""
    assess_controls(DATA, ASSESSMENT, ["permuted", "constant"], out=RAW, **CPU)
    return read_json(RAW / "attacks.json")


def assess(name: str, out: Path, **changes: object) -> dict[str, list[dict]]:
    readers = load_readers(RAW, ASSESSMENT, "cpu")
    assess_release(DATA, paths.release_folder(name), readers, ASSESSMENT | changes, out=out, **CPU)
    return read_json(out)


@pytest.fixture(scope="module")
def assessed(controls) -> dict[str, dict[str, list[dict]]]:
    """The rows of every release."""
    return {name: assess(name, paths.assessment_file(name)) for name in JUDGED}


def pick(rows: list[dict], **where: object) -> list[dict]:
    """The rows that have these values."""
    return [row for row in rows if where.items() <= row.items()]


def names(rows: list[dict], **where: object) -> list[str]:
    return [row["attacker"] for row in pick(rows, **where)]


def as_set(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


# --- making releases


def test_the_artificial_person_comes_after_everybody_for_training_alone(tmp_path, monkeypatch):
    both, n = with_artificial(DATA), len(DATA)
    np.testing.assert_array_equal(both.images, np.concatenate([DATA.images, ARTIFICIAL.images]))
    assert (set(both.z[n:]), set(both.split[n:])) == ({NOBODY}, {0})
    assert not set(both.attributes["clip"][:n]) & set(both.attributes["clip"][n:])
    monkeypatch.chdir(tmp_path)
    for somebody_or_tested in (drawn([2], 2), drawn([NOBODY])):
        somebody_or_tested.save(paths.artificial_file("faces"))
        with pytest.raises(ValueError, match=f"private label is {NOBODY}, and all its images are training's"):
            with_artificial(DATA)


@pytest.mark.parametrize(("name", "target"), [("standard", None), ("shown", NOBODY), ("lost", 1), ("unmatched", 1)])
def test_who_is_shown_to_the_discriminator_and_what_the_anchor_holds_on_to(tmp_path, monkeypatch, name, target):
    seen, both = [], with_artificial(DATA)
    monkeypatch.setattr(game, "play", lambda *args, **more: (seen.append((args[1], more)), play(*args, **more))[1])
    make(name, tmp_path)
    assert [more["seed"] for _, more in seen] == SEEDS
    for train, more in seen:
        np.testing.assert_array_equal(train.images, DATA.images[TRAIN])
        if target is None:  # everybody, and each image is anchored to itself
            assert more["real"] is more["anchor"] is None
            continue
        own = both.images[(both.split == 0) & (both.z == target)]
        np.testing.assert_array_equal(more["real"], own)
        if name == "unmatched":
            assert more["anchor"] is None
            continue
        matched = own[matches(both, content(both, both.attributes["clip"]), target)]
        np.testing.assert_array_equal(more["anchor"], matched[: TRAIN.sum()])


def test_substitution_shows_the_targets_training_images_and_nothing_else():
    folder = paths.release_folder("shown")
    outputs = {seed: Dataset.load(folder / f"seed-{seed}.npz").images for seed in SEEDS}
    assert (outputs[0] != outputs[2]).any()
    replaced = {f"substituted-{seed}": images for seed, images in outputs.items()} | {"pixels": DATA.images}
    for name, images in replaced.items():
        book = Codebook.load(folder / f"{name}.npz")
        np.testing.assert_array_equal(book.images, ARTIFICIAL.images)
        np.testing.assert_array_equal(book.codes, substitute(images, ARTIFICIAL.images))
    pixels = Codebook.load(paths.release_folder("lost") / "pixels.npz")  # of somebody who has test images too
    np.testing.assert_array_equal(pixels.images, DATA.images[TRAIN & (DATA.z == 1)])


def test_a_variant_names_its_substitution_after_it_and_leaves_the_one_by_pixels_to_the_others():
    found = {name: {row["method"] for row in read_index(paths.release_folder(name))} for name in ("shown", "unmatched")}
    assert found["shown"] == {"restricted", "substituted", "pixels"}
    assert found["unmatched"] == {"restricted, no match", "substituted, no match"}


def test_runs_by_similarity_use_no_clip_number(tmp_path):
    """Other clip numbers change nothing; the control is the release that learns from them."""
    clips = np.random.default_rng(0).permutation(DATA.attributes["clip"])
    data = replace(DATA, attributes={**DATA.attributes, "clip": clips})
    for name, same in (("similar", True), ("faces", False)):
        before, after = paths.release_folder(name), make(name, tmp_path / name, data)
        weights = [(folder / "codes-4-seed-0.safetensors").read_bytes() for folder in (before, after)]
        assert (weights[0] == weights[1]) == same
    assert {row["method"] for row in read_index(paths.release_folder("similar"))} == {"finite, own runs"}


def test_validation_and_test_images_teach_no_game(tmp_path):
    """With others in their place, weights are the same. The control is training images."""
    weights, config = {}, GAME | {"pixel_epochs": 2}
    for changed, mask in (("nothing", np.zeros_like(TRAIN)), ("others", HELD | TEST), ("training", TRAIN)):
        data = DATA.released(np.where(mask[:, None, None], 255 - DATA.images, DATA.images))
        prepare_seeds(data, config, [0], tmp_path / changed, **CPU)
        folders = tmp_path / changed, make("shown", tmp_path / f"{changed}-shown", data)
        weights[changed] = [(folder / "seed-0.safetensors").read_bytes() for folder in folders]
    assert weights["nothing"] == weights["others"]
    assert not set(weights["nothing"]) & set(weights["training"])


@pytest.mark.parametrize("name", RELEASES)
def test_the_same_arguments_give_the_same_bytes_and_leave_the_start_as_it_was(tmp_path, name):
    folders = START, paths.release_folder(name), tmp_path
    start, first, _ = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    make(name, tmp_path)
    same, _, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert (start, first) == (same, second)


@pytest.mark.parametrize("name", ["faces", "decoded"])
def test_an_encoder_on_disk_gives_the_indices_of_its_codebooks_whoever_is_shown(name):
    both, folder, several = with_artificial(DATA), paths.release_folder(name), 0
    for release in load_all(folder, DATA):
        book, target, seed = release.codebook, release.key["target"], release.key["seed"]
        codes = load_encoder(folder / f"codes-{release.codes}-seed-{seed}").codes(DATA.images)
        (row,) = pick(read_json(folder / "codebooks.json"), codes=release.codes, seed=seed)
        assert row["validation_bound"] == validation_bound(DATA, codes)
        several += len(np.unique(codes[TRAIN])) > 1
        assert codes.max() < release.codes
        if target is not None:
            assert as_set(book.images) <= as_set(both.images[(both.split == 0) & (both.z == target)])
        if release.key["method"] == "finite":
            np.testing.assert_array_equal(book.codes, codes)
        else:  # the second code stands beside the first
            assert len({*zip(codes, book.codes, strict=True)}) == book.used <= 2 * release.codes
        assert release.attacked == (release.key["method"] == "finite" and release.codes == 4)
        assert release.certified == (target in (None, 1))  # one certificate holds for all targets
    assert several  # or all of this would say nothing


def test_a_perturbation_is_made_once_a_value_and_what_is_learned_for_every_seed():
    made = {name: [*load_all(paths.release_folder(name), DATA)] for name in RELEASES}
    keys = {n: [(r.key["method"], r.key["setting"], r.key["seed"], r.codes) for r in made[n]] for n in made}
    assert keys["noise"] == [("gaussian_noise", value, 0, None) for value in (0.1, 0.5)]
    assert keys["reversal"] == [("reversal", 1, seed, None) for seed in SEEDS]
    assert keys["k-means"] == [("k-means", None, seed, 3) for seed in SEEDS]
    assert keys["substitution"] == [("substitution", None, 1, 30)]  # the target takes the place of a seed
    for one in made["noise"]:
        np.testing.assert_array_equal(one.data.images, perturb(DATA, "gaussian_noise", one.key["setting"], 0))
    for name, differs in (("reversal", True), ("standard", False)):  # another private term is another game
        pairs = zip(made[name], made["standard"], strict=True)
        assert [(one.data.images != other.data.images).any() for one, other in pairs] == [differs] * len(SEEDS)


# --- judging


def test_a_game_that_stands_still_or_goes_straight_has_no_swing_and_one_that_swings_has_its_own():
    def swing(accuracies: list[float], mse: list[float]) -> tuple:
        rows = [{"private_accuracy": a, "mse": b} for a, b in zip(accuracies, mse, strict=True)]
        return tuple(swings(rows).values())

    assert swing([0.9] * 5 + [0.3] * 5, [0.01] * 10) == pytest.approx((0, 0), abs=1e-12)  # the first half is free
    assert swing([*np.linspace(0.9, 0.1, 10)], [*np.linspace(1, 2, 10)]) == pytest.approx((0, 0), abs=1e-12)
    up, down = [0.3, 0.5] * 8, [0.02, 0.04] * 8
    assert swing(up, down) == pytest.approx((0.1, 1 / 3), rel=0.03)
    assert swing(up, [100 * mse for mse in down]) == pytest.approx(swing(up, down)), "the unit of mse does not matter"
    assert swing([0.5] * 4, [1] * 4) == (None, None)


@pytest.mark.parametrize("name", ["standard", "shown", "lost", "decoded", "k-means"])
def test_a_collapsed_run_has_a_row_and_no_file_and_is_judged_by_nobody(assessed, name):
    folder, lost = paths.release_folder(name), {LOST, *(SEEDS if name == "lost" else ())}
    why = {row["seed"]: (row["collapsed"], row["file"]) for row in read_index(folder) if row["collapsed"]}
    assert set(why) == lost
    assert why[LOST] == (MESSAGE, None)
    assert name != "lost" or "collapsed in epoch 0 of the privacy phase" in why[0][0]
    assert not [path for seed in lost for path in folder.glob(f"*[a-z0-9]-{seed}.npz") if "snap" not in path.name]
    runs = [row for row in assessed[name]["runs"] if row["collapsed"]]
    assert {row["seed"] for row in runs} == lost
    for kind in ("attacks", "certificate", "utility"):
        rows = [row for row in assessed[name][kind] if row["method"] != "pixels"]  # raw pixels need no game
        assert {row["seed"] for row in rows} <= {*SEEDS} - lost
    assert assessed[name]["attacks" if name != "k-means" else "certificate"]
    assert not (folder / "history.json").exists() or read_json(folder / "history.json")


def test_raw_images_tell_the_person_and_a_constant_image_and_permuted_labels_nothing(controls):
    private = [row for row in pick(controls, task="identity") if row["attacker"] != results.READER]
    for seed in (0, 1):
        assert max(row["accuracy"] for row in pick(private, method="raw", seed=seed, m=1)) > 0.9
    for method in ("permuted", "constant"):
        assert {row["m"] for row in pick(private, method=method)} == {1, 3}
        assert all(row["low"] <= CHANCE <= row["high"] for row in pick(private, method=method))
    sight = {"task": "expression", "attacker": results.READER, "seed": 0}
    (raw,), (blank,) = pick(controls, method="raw", **sight), pick(controls, method="constant", **sight)
    assert raw["low"] > 1 / EXPRESSIONS == blank["accuracy"]


def test_the_first_seed_faces_the_whole_suite_and_the_others_one_attacker_of_each_kind(controls, assessed):
    few, standard, shown = [*FEW, "ensemble"], assessed["standard"]["attacks"], assessed["shown"]["attacks"]
    for rows, method, seed, private, utility in (
        *((controls, "raw", 0, ALL, ["trees"]), (controls, "raw", 1, few, ["cnn"])),
        *((controls, "permuted", 0, ALL, ["trees"]), (controls, "constant", 0, few, ["cnn"])),
        *((standard, "standard", 0, ALL, ["trees"]), (standard, "standard", 2, few, ["cnn"])),
        *((shown, "restricted", 0, ["trees"], ["trees"]), (shown, "restricted", 2, few, ["cnn"])),
    ):
        mine = {"method": method, "seed": seed, "knowledge": "release"}
        found = {task: names(rows, task=task, m=1, **mine) for task in ("identity", "expression", "pose", "age")}
        assert found == {"identity": private, "expression": utility, "pose": ["trees"], "age": []}
        assert names(rows, task="identity", m=3, **mine) == private
    noise = names(assessed["noise"]["attacks"], task="identity", m=1, knowledge="release")
    assert noise == ["trees"] * 2  # each value is a first


def test_raw_readers_read_what_is_not_judged_for_naturalness_and_never_the_one_person_shown(assessed, tmp_path):
    tasks = {"standard": {"identity", "expression"}, "restricted": {"identity", "expression"}}
    tasks |= {"substituted": {"expression"}, "pixels": {"expression"}, "finite": {"expression"}}
    rows = [row for name in ("standard", "shown", "faces") for row in assessed[name]["attacks"]]
    for method, expected in tasks.items():
        assert {row["task"] for row in pick(rows, method=method, attacker=results.READER, knowledge="raw")} == expected
    reader = load_readers(RAW, ASSESSMENT, "cpu")["expression"]
    test = Dataset.load(paths.release_folder("standard") / "seed-0.npz").subset("test")
    (row,) = pick(rows, method="standard", seed=0, task="expression", attacker=results.READER)
    assert row["accuracy"] == np.mean(reader.predict(test.images) == test.attributes["expression"])
    assert not assessed["noise"]["naturalness"]
    natural = assess("noise", tmp_path / "out.json", naturalness=True)
    assert results.READER not in names(natural["attacks"])
    small, large = natural["naturalness"]
    assert (small["setting"], large["setting"]) == (0.1, 0.5)
    assert small["ssim"] > large["ssim"]


@pytest.mark.parametrize("name", ["faces", "decoded", "k-means", "substitution"])
def test_no_attacker_is_above_the_certificate(assessed, name):
    certified = [one for one in load_all(paths.release_folder(name), DATA) if one.certified]
    rows, z = assessed[name]["certificate"], DATA.z[TEST]
    assert [row["m"] for row in rows] == [1, 3] * len(certified)
    for row, one in zip(rows[::2], certified, strict=True):
        codes = one.codebook.codes[TEST]
        assert (one.key | {"codes": one.codes}).items() <= row.items()
        share = sum(np.bincount(z[codes == code]).max() for code in np.unique(codes)) / len(z)  # of the best rule
        assert row["majority"] <= share < row["bound"] == accuracy_bound(codes, z)
        assert row["best_attacker"] <= row["bound"] <= row["clip_bound"] or row["clip_bound"] == 1
        private = pick(assessed[name]["attacks"], seed=row["seed"], task="identity", m=1)
        if one.attacked:
            assert private
            assert max(attack["accuracy"] for attack in private) <= row["bound"]
    assert {row["attribute"] for row in assessed[name]["utility"]} == {"pose"}


def test_sides_are_thirds_of_the_training_images():
    sides, tasks = in_thirds(DATA, ["pose", "age"])
    assert tasks == ["pose"]
    assert np.bincount(sides.attributes["pose"][TRAIN]).tolist() == [30] * 3
    assert (np.diff(sides.attributes["pose"][np.argsort(DATA.attributes["pose"])]) >= 0).all()


# --- attackers who know less


def test_who_knows_what_who_finds_the_person_and_that_test_labels_reach_no_attacker(tmp_path, monkeypatch):
    """Releases that show everything and nothing. Other test labels: the same beliefs, and what they find is gone."""
    handed, beliefs, attack = [], [], threat_models.attack

    def watched(attackers: dict, *parts: object) -> list:
        handed.append(parts[:3])
        found = attack({"neighbours": attackers["neighbours"]}, *parts)
        beliefs.append(found[0].test)
        return found

    monkeypatch.setattr(threat_models, "attack", watched)
    framed = np.where(np.arange(SIZE) == 0, 0, DATA.images).astype(np.uint8)
    folders = [tmp_path / "open", tmp_path / "closed"]
    for folder, images in zip(folders, (framed, np.full_like(DATA.images, 90)), strict=True):
        DATA.released(images).save(folder / "seed-0.npz")
        rows = read_index(paths.release_folder("standard"))[:2]  # the second collapsed
        write_json(folder / "releases.json", [row | {"method": folder.name} for row in rows])
    z = DATA.z.copy()
    z[TEST] = np.random.default_rng(2).permutation(z[TEST])
    for name, data in (("rows", DATA), ("others", replace(DATA, z=z))):
        threat_models.assess_threat_models(data, folders, ASSESSMENT, out=tmp_path / name, **CPU)

    assert len(handed) == 2 * (1 + 2 * 2)  # raw images are learned once, for both releases
    raw, unseen, few, *_ = handed
    np.testing.assert_array_equal(raw[0][0], DATA.images[TRAIN])
    np.testing.assert_array_equal(unseen[0][0], framed[HELD])
    assert len(as_set(few[0][0]) & as_set(framed[TRAIN])) == len(few[0][0]) == HELD.sum()
    for (_, tuned, test), (trained, *_) in ((unseen, few), (few, unseen)):
        np.testing.assert_array_equal(tuned[0], trained[0])  # each is tuned on what the other is trained on
        np.testing.assert_array_equal(test[0], framed[TEST])
    assert all(np.array_equal(*pair) for pair in zip(beliefs[:5], beliefs[5:], strict=True))

    rows, others = read_json(tmp_path / "rows"), read_json(tmp_path / "others")
    keys, knowledge = ("method", "knowledge", "m", "attacker"), ("raw", "unseen", "as few")
    expected = [*product(("open", "closed"), knowledge, (1, 3), ("neighbours", "ensemble"))]
    assert [tuple(row[key] for key in keys) for row in rows] == expected
    assert {(row["task"], row["seed"]) for row in rows} == {("identity", 0)}  # none of the run that collapsed
    assert all(row["low"] > CHANCE for row in pick(rows, method="open"))
    assert all(row["low"] <= CHANCE <= row["high"] for row in pick(rows, method="closed"))
    assert all(row["low"] <= CHANCE for row in pick(others, method="open", m=1))


def test_where_all_runs_collapsed_there_is_nothing_to_attack_and_without_releases_no_row(tmp_path):
    out, rows = tmp_path / "out.json", read_index(paths.release_folder("standard"))
    write_json(tmp_path / "releases.json", [row for row in rows if row["collapsed"]])
    with pytest.raises(ValueError, match="all runs collapsed; there is nothing to attack"):
        threat_models.assess_threat_models(DATA, [tmp_path], ASSESSMENT, out=out)
    threat_models.assess_threat_models(DATA, [], ASSESSMENT, out=out)
    assert read_json(out) == []


# --- people who took part in nothing


def with_unseen() -> Dataset:
    """DATA, and after it two people more."""
    more = drawn([3, 4], seed=2)
    attributes = {name: np.concatenate([DATA.attributes[name], more.attributes[name]]) for name in DATA.attributes}
    split = np.r_[DATA.split, np.full(len(more), UNSEEN, np.uint8)]
    images = np.concatenate([DATA.images, more.images])
    return Dataset(images, np.r_[DATA.z, more.z], attributes, split, DATA.provenance)


def test_unseen_people_are_released_too_and_change_nothing_for_the_others(tmp_path):
    both = with_unseen()
    for name in ("noise", "k-means", "substitution", "decoded", "reversal"):
        pairs = zip(
            load_all(paths.release_folder(name), DATA), load_all(make(name, tmp_path / name, both), both), strict=True
        )
        for alone, found in pairs:
            np.testing.assert_array_equal(found.data.images, alone.data.images)
            assert (found.key, found.key | {"people": "unseen"}) == (alone.key, found.unseen.key)
            assert alone.unseen is None
            assert (found.data.n_private, found.unseen.data.n_private, len(found.unseen.data)) == (3, 2, 120)
            if found.codebook:
                np.testing.assert_array_equal(found.codebook.codes, alone.codebook.codes)
                np.testing.assert_array_equal(found.unseen.codebook.release(), found.unseen.data.images)
    baseline_release(both, "k_same", [2], start=START, out=tmp_path / "k-same")  # it needs to know the person
    assert [one.unseen for one in load_all(tmp_path / "k-same", both)] == [None]


def test_attackers_find_unseen_people_on_raw_images_and_the_certificate_counts_all_of_theirs(controls, tmp_path):
    both, other = with_unseen(), {"people": "unseen"}
    assess_controls(both, ASSESSMENT, ["permuted"], out=tmp_path, **CPU)
    rows = read_json(tmp_path / "attacks.json")
    assert [row for row in rows if row["people"] == "known"] == pick(controls, method="raw") + pick(
        controls, method="permuted"
    )
    mine = pick(rows, task="identity", m=1, **other)
    assert [(row["method"], row["seed"], row["attacker"]) for row in mine] == [
        ("raw", 0, name) for name in (*FEW, "ensemble")
    ]
    assert max(row["accuracy"] for row in mine) > 0.9
    assert {row["n"] for row in mine} == {54}

    make("decoded", tmp_path / "decoded", both)
    assess_release(
        both, tmp_path / "decoded", load_readers(RAW, ASSESSMENT, "cpu"), ASSESSMENT, out=tmp_path / "rows", **CPU
    )
    found, (first, *_) = read_json(tmp_path / "rows"), load_all(tmp_path / "decoded", both)
    assert [row["seed"] for row in pick(found["attacks"], attacker="trees", m=1, **other)] == [first.key["seed"]]
    codes, z = first.unseen.codebook.codes, first.unseen.data.z
    row, *_ = pick(found["certificate"], **other)
    share = sum(np.bincount(z[codes == code]).max() for code in np.unique(codes)) / len(z)  # of the best rule
    assert share < row["bound"] == accuracy_bound(codes, z)
    assert (row["n"], row["majority"]) == (120, 0.5)


# --- results


def collect(out: Path, without: str = "", targets: tuple[float, ...] = (0.5,), **more: dict) -> dict[str, list[dict]]:
    """What stage results writes where params.yaml has all releases but one."""
    write_json(paths.threat_models_file("faces"), [{"method": "insider"}])
    one = {"data": "faces", "split": "clips"}
    grid = {n: one | {"method": RELEASES[n][0], "options": RELEASES[n][1]} for n in JUDGED if n != without}
    results.collect("faces", ["clips"], grid | more, targets, out=out)
    return {path.stem: read_json(path) for path in out.iterdir()}


def test_every_row_is_collected_and_a_release_taken_back_leaves_no_ghost(assessed, controls, tmp_path):
    whole = collect(tmp_path, elsewhere={"data": "digits", "split": "random", "method": "game"})
    for kind in results.KINDS:
        ends = (controls, [{"method": "insider"}]) if kind == "attacks" else ([], [])
        assert whole[kind] == ends[0] + [row for rows in assessed.values() for row in rows[kind]] + ends[1]
    less = collect(tmp_path, without="noise")
    for kind in results.KINDS:
        assert less[kind] == [row for row in whole[kind] if row["method"] != "gaussian_noise"]
    assert len(less["attacks"]) < len(whole["attacks"])
    with pytest.raises(FileNotFoundError, match=r"typo\.json is missing: `dvc repro`"):
        collect(tmp_path, typo={"data": "faces", "split": "clips", "method": "game"})


def test_a_target_accuracy_is_answered_by_the_release_that_validation_chose_or_by_why_none(assessed, tmp_path):
    few, less, most = collect(tmp_path, targets=(0.02, 0.5, 0.999))["target_accuracy"]
    assert few["answer"].startswith("No release can be certified at p = 2 %")
    assert less["answer"].startswith("None of these 4 releases can promise that at most 50 %")
    for row in (few, less):
        assert [row[name] for name in ("lam", "codes", "seed", "bound", "holds")] == [None, None, None, None, False]
    assert most["answer"].startswith("No classifier names the person in more than 99.9 %")
    chosen = choose(results.codebooks(["faces", "decoded"]), 0.999)
    assert (most["holds"], most["codes"], most["seed"]) == (True, chosen.codes, chosen.seed)
    assert most["bound"] == accuracy_bound(results.load_codebook(chosen).codes[TEST], DATA.z[TEST])
    write_json(tmp_path / "runs.json", [{"seed": 0, "collapsed": MESSAGE}])
    release_by_codebook(DATA, FINITE, [4], lam=1, start=tmp_path, out=paths.release_folder("nothing"), **CPU)
    assert results.answers(DATA, ["nothing"], [0.5]) == []


def attacked(method: str, seed: int, *, target: int | None = None, task: str = "identity", **found: float) -> list:
    """Rows of attackers on one task: attacker to accuracy."""
    key = {"split": "clips", "method": method, "setting": None, "target": target, "seed": seed, "task": task, "m": 1}
    spans = {name: {"accuracy": value, "low": value - 0.1, "high": value + 0.1} for name, value in found.items()}
    return [{**key, "attacker": name, "trained": True, "knowledge": "release", **span} for name, span in spans.items()]


def test_the_best_attacker_is_best_on_average_over_the_seeds_it_was_set_on(tmp_path):
    first = attacked("open", 0, trees=0.5, cnn=0.1, svm=0.45)
    rows = [
        *first,
        *attacked("open", 2, trees=0.2, cnn=0.5),  # 0.35 and 0.3 on average; svm was set on one seed alone
        *attacked("open", 0, task="expression", trees=0.9),
        *[row | change | {"accuracy": 0.99} for row in first for change in ({"knowledge": "raw"}, {"m": 5})],
        first[0] | {"attacker": results.READER, "knowledge": "raw", "accuracy": 0.97},
        *attacked("shown", 0, target=0, trees=0.3, cnn=0.6),
        *attacked("shown", 0, target=1, trees=0.8),
        *attacked("shown", 0, target=1, task="expression", trees=0.7),
        *attacked("shown", 0, target=1, task="pose", trees=0.4),
    ]
    natural = {"split": "clips", "method": "open", "setting": None, "target": None, "expression_accuracy": 0.6}
    tables = {name: [] for name in (*results.KINDS, "target_accuracy")} | {"attacks": rows}
    tables["naturalness"] = [natural | {"seed": s, "ssim": s / 4, "two_sample_accuracy": 0.8} for s in SEEDS]
    for name, found in (tables | {"about": {"private": "identity", "utility": "expression", "unseen": None}}).items():
        write_json(tmp_path / f"{name}.json", found)
    table = results.Results.read(tmp_path).releases
    one, zero, second = (row for _, row in table.iterrows())
    assert (one.private_attacker, one.private, one.seeds, one.utility) == ("svm", 0.45, 2, 0.9)
    assert [one.private_low, one.private_high, one.private_cnn] == pytest.approx([0.35, 0.55, 0.3])
    assert (one.private_reader, one.ssim, one.utility_reader) == (0.97, 0.25, 0.6)
    assert (zero.target, zero.private_attacker, zero.private) == (0, "cnn", 0.6)
    assert (second.private_attacker, second.private, second.utility, second.pose) == ("trees", 0.8, 0.7, 0.4)
    assert np.isnan([zero.pose, one.pose, zero.ssim, second.private_cnn]).all()
