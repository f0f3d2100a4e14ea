"""The audit's rows: under the same names, none lost, and a release is beaten only where it is beaten."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonrep.data.dataset import Dataset
from anonrep.stages import results_audit
from anonrep.stages.results_audit import (
    RELEASE,
    audited,
    better,
    gather,
    gather_baselines,
    over_seeds,
    put_together,
    releases,
    surrogates,
)
from anonrep.utils.files import read_json, write_json

ASKED = ["dataset", "method", "setting", "seed", "worst_attacker", "utility", "naturalness", "source"]  # by the audit
MEASURES = ["worst_attacker", "utility", "naturalness"]
WHY = "collapsed in epoch 2 of the privacy phase: the output was all but constant"


def attacked(key: dict, m: int = 1, **accuracies: float) -> list[dict]:
    """Rows of attackers that hold m images: `trees_writer=0.4` is the attacker trees on the writer."""
    rows = []
    for name, accuracy in accuracies.items():
        attacker, task = name.rsplit("_", 1)
        private = sum(other.endswith(task) for other in accuracies)
        interval = {"low": accuracy - 0.02, "high": accuracy + 0.03, "n": 1000}
        row = {**key, "task": task, "attacker": attacker, "m": m, "accuracy": accuracy, **interval}
        row |= {"attackers": private, "candidates": 1, **({"information": 3 * accuracy} if m == 1 else {})}
        rows.append(row | {"source": "synthetic"})
    return rows


def judged(key: dict, digit: float) -> dict:
    return {**key, "digit_accuracy": digit, "ssim": 0.5, "two_sample_accuracy": 0.75, "source": "synthetic"}


def release(method: str, setting: float | None, seed: int, many: float = 0.99, **accuracies: float) -> dict:
    """What a stage writes of one release; `read` is its naturalness, `many` what an attacker of five images reaches."""
    key = dict(zip(RELEASE, ("pendigits", method, setting, seed), strict=True))
    read = accuracies.pop("read")
    return {
        "accuracy": attacked(key, **accuracies) + attacked(key, 5, trees_writer=many),
        "naturalness": [judged(key, read)],
        "runs": [{**key, "collapsed": None, "source": "synthetic"}],
    }


def joined(*found: dict) -> dict[str, list]:
    return {kind: [row for one in found for row in one[kind]] for kind in ("accuracy", "naturalness", "runs")}


FIRST = {"majority_writer": 0.03, "trees_writer": 0.30, "cnn_writer": 0.20, "committee_writer": 0.32}
FOUND = joined(
    release("stabilised", 4, 0, **FIRST, cnn_digit=0.96, trees_digit=0.99, read=0.9),
    release("stabilised", 4, 2, trees_writer=0.26, cnn_writer=0.28, cnn_digit=0.98, trees_digit=0.5, read=0.8),
    release("leace", None, 0, trees_writer=0.5, cnn_writer=0.6, cnn_digit=0.99, read=0.4),
)


# --- gathering


@pytest.fixture
def grid(tmp_path) -> dict[str, list]:
    """The controls and a grid of two variants, one run of it collapsed, on disk and gathered."""

    def old(row: dict) -> dict:
        rest = {name: value for name, value in row.items() if name not in ("dataset", "method", "setting")}
        return {"variant": row["method"], "lam": row["setting"], **rest}

    controls = [
        old(row)
        for method in ("raw", "permuted", "constant")
        for row in release(method, None, 0, cnn_writer=0.6, cnn_digit=0.9, read=1)["accuracy"]
    ]
    write_json(tmp_path / "controls.json", controls)
    for variant in ("faithful", "stabilised"):
        for lam in (0, 4):
            cell = release(variant, lam, 0, cnn_writer=0.4 - lam / 20, cnn_digit=0.9, read=0.9)
            cell = {kind: [old(row) for row in rows] for kind, rows in cell.items()}
            if (variant, lam) == ("faithful", 4):
                cell = {"accuracy": [], "naturalness": [], "runs": [cell["runs"][0] | {"collapsed": WHY}]}
            write_json(tmp_path / "cells" / f"{variant}-{lam}.json", cell)
    return gather(tmp_path / "controls.json", tmp_path / "cells", ["faithful", "stabilised"], [0, 4], "pendigits")


def test_a_variant_is_a_method_and_lambda_its_setting(grid):
    left = [("faithful", 0), ("stabilised", 0), ("stabilised", 4)]
    for rows in grid.values():
        assert all(list(row)[:4] == RELEASE and row["dataset"] == "pendigits" for row in rows)
        assert not any({"variant", "lam"} & set(row) for row in rows)
    assert [(row["method"], row["setting"]) for row in grid["naturalness"]] == left
    assert [(row["method"], row["setting"]) for row in grid["runs"]] == [left[0], ("faithful", 4), *left[1:]]
    assert [row["collapsed"] for row in grid["runs"]] == [None, WHY, None, None]
    assert len(grid["accuracy"]) == 3 * (3 + len(left))  # two tasks, and one of several images
    assert {row["accuracy"] for row in grid["accuracy"] if row["task"] == "writer" and row["m"] == 1} == {0.6, 0.4, 0.2}


def test_the_rows_of_the_baselines_are_those_that_were_asked_for(tmp_path):
    first, second = release("leace", None, 0, cnn_writer=0.5, read=1), release("k_same", 5, 0, cnn_writer=0.1, read=1)
    for name, found in (("leace", first), ("k_same", second), ("ghost", second)):
        write_json(tmp_path / f"{name}.json", found)
    assert gather_baselines(tmp_path, ["k_same", "leace"]) == joined(second, first)
    with pytest.raises(FileNotFoundError, match=r"pixelate\.json is missing: `dvc repro`"):
        gather_baselines(tmp_path, ["pixelate"])


def test_the_audit_has_the_controls_the_points_and_the_outsiders(grid):
    outsider = {**grid["accuracy"][-1], "knowledge": "raw"}
    rows = audited(grid["accuracy"], [outsider], {"stabilised": 4, "faithful": 4})
    assert rows[-1] == outsider
    assert {row["knowledge"] for row in rows[:-1]} == {"release"}
    shown = [(row["method"], row["setting"]) for row in rows[:-1]]
    assert set(shown) == {("raw", None), ("permuted", None), ("constant", None), ("stabilised", 4)}
    plain = [{name: value for name, value in row.items() if name != "knowledge"} for row in rows[:-1]]
    wanted = [row for row in grid["accuracy"] if (row["method"], row["setting"]) in shown]
    assert plain == wanted
    assert audited(grid["accuracy"], [], {}) == [row for row in rows[:-1] if row["setting"] is None]


# --- releases


def test_a_row_for_each_release_with_what_was_asked_for():
    rows = releases(FOUND["accuracy"], FOUND["naturalness"], "writer", "digit")
    assert [tuple(row[name] for name in RELEASE[1:]) for row in rows] == [
        *[("stabilised", 4, 0), ("stabilised", 4, 2)],
        ("leace", None, 0),
    ]
    for row in rows:
        assert [name for name in row if name in ASKED] == ASKED
        assert set(row) == {*ASKED, "attacker", "attackers", "low", "high", "information"}
    names = ["worst_attacker", "attacker", "attackers", "low", "high", "information", "utility", "naturalness"]
    assert [rows[0][name] for name in names] == pytest.approx([0.32, "ensemble", 4, 0.30, 0.35, 0.96, 0.96, 0.9])
    assert [rows[1][name] for name in names] == pytest.approx([0.28, "cnn", 2, 0.26, 0.31, 0.84, 0.98, 0.8])
    assert rows[2]["setting"] is None


def test_only_attackers_of_one_image_on_the_private_label_count():
    """Those of five images, and those of the digit, are the best of all here: they answer other questions."""
    rows = releases(FOUND["accuracy"], FOUND["naturalness"], "writer", "digit")
    for row in rows:
        mine = [one for one in FOUND["accuracy"] if all(one[name] == row[name] for name in RELEASE)]
        assert max(one["accuracy"] for one in mine) > row["worst_attacker"] + 0.2
        private = [one["accuracy"] for one in mine if (one["task"], one["m"]) == ("writer", 1)]
        assert row["worst_attacker"] == max(private)
    assert [row["utility"] for row in rows] == [0.96, 0.98, 0.99]  # the plain network's, not the best


def test_no_release_is_in_the_table_that_was_not_judged(grid):
    rows = releases(grid["accuracy"], grid["naturalness"], "writer", "digit")
    assert [(row["method"], row["setting"]) for row in rows] == [("faithful", 0), ("stabilised", 0), ("stabilised", 4)]


def test_the_audit_is_written_from_the_grid_and_the_baselines(grid, tmp_path):
    others = release("leace", None, 0, cnn_writer=0.5, cnn_digit=0.9, read=1)
    outsider, points = {**grid["accuracy"][-1], "knowledge": "raw"}, {"stabilised": 4}
    audit = put_together(grid, others, [outsider], points, "writer", "digit")
    both = joined(grid, others)
    assert audit.audited == audited(grid["accuracy"], [outsider], points)  # the baselines are not audited
    assert audit.releases == releases(both["accuracy"], both["naturalness"], "writer", "digit")
    assert audit.runs == both["runs"]
    assert len(audit.attackers) == len(audit.audited)
    pd.testing.assert_frame_equal(audit.table, over_seeds(audit.releases))
    audit.write(tmp_path / "metrics")
    assert read_json(tmp_path / "metrics" / "audit.json") == audit.audited
    assert read_json(tmp_path / "metrics" / "baselines.json") == audit.releases


# --- over seeds


def test_means_over_seeds_with_the_least_and_the_greatest():
    table = over_seeds(releases(FOUND["accuracy"], FOUND["naturalness"], "writer", "digit"))
    assert list(table.method) == ["stabilised", "leace"]
    assert table.setting.iloc[0] == 4
    assert np.isnan(table.setting.iloc[1])
    first, second = table.iloc[0], table.iloc[1]
    names = [*MEASURES, "information", "least", "greatest", "seeds", "attacker"]
    assert [first[name] for name in names] == pytest.approx([0.30, 0.97, 0.85, 0.90, 0.28, 0.32, 2, "ensemble"])
    assert [second[name] for name in names] == pytest.approx([0.6, 0.99, 0.4, 1.8, 0.6, 0.6, 1, "cnn"])


FRACTIONS = st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])
SETTINGS = st.sampled_from([None, 0, 0.5, 4])
QUICK = settings(max_examples=30, deadline=None)
POINTS = st.tuples(st.sampled_from(["finite", "leace", "k_same"]), SETTINGS)
TABLES = st.dictionaries(
    POINTS, st.lists(st.tuples(FRACTIONS, FRACTIONS, FRACTIONS), min_size=1, max_size=3), min_size=1
)


def rows_of(found: dict) -> list[dict]:
    """Rows of `releases`, a seed after the other."""
    return [
        {"method": method, "setting": setting, "seed": seed, "attacker": f"attacker {seed}", "information": 0.0}
        | dict(zip(MEASURES, values, strict=True))
        for (method, setting), seeds in found.items()
        for seed, values in enumerate(seeds)
    ]


@given(TABLES)
@QUICK
def test_every_release_keeps_its_row_whatever_its_setting(found):
    table = over_seeds(rows_of(found))
    keys = [(row.method, None if np.isnan(row.setting) else row.setting) for row in table.itertuples()]
    assert keys == list(found)
    for row, seeds in zip(table.itertuples(), found.values(), strict=True):
        assert [getattr(row, name) for name in MEASURES] == pytest.approx(np.mean(seeds, axis=0))
        worst = [values[0] for values in seeds]
        assert (row.least, row.greatest, row.seeds) == (min(worst), max(worst), len(seeds))
        assert row.least <= row.worst_attacker + 1e-9
        assert row.worst_attacker <= row.greatest + 1e-9


# --- better


def beats(one: tuple, other: tuple) -> bool:
    """Written out: less is found of the person, more is kept in both ways; equal in all three is no better."""
    no_worse = one[0] <= other[0] and one[1] >= other[1] and one[2] >= other[2]
    return no_worse and one != other


ONE_SEED = st.dictionaries(POINTS, st.tuples(FRACTIONS, FRACTIONS, FRACTIONS), min_size=2)


@given(ONE_SEED)
@QUICK
def test_who_is_better_is_who_is_no_worse_in_all_and_better_in_one(found):
    table = over_seeds(rows_of({key: [values] for key, values in found.items()}))
    methods = [method for method, _ in found]
    for (method, setting), mine in found.items():
        if setting is None:  # ours have a lambda
            continue
        winners = better(table, method, setting, methods)
        keys = {(row.method, None if np.isnan(row.setting) else row.setting) for row in winners.itertuples()}
        assert keys == {key for key, values in found.items() if beats(values, mine)}
        assert (method, setting) not in keys  # nobody beats itself
        assert better(table, method, setting, []).empty
        for key in keys:  # nor those that it beats
            if key[1] is not None:
                back = better(table, *key, [method])
                assert not ((back.method == method) & (back.setting == setting)).any()


def test_others_are_those_that_are_named():
    table = over_seeds(rows_of({("finite", 4): [(0.5, 0.9, 0.9)], ("leace", None): [(0.1, 0.9, 0.9)]}))
    assert list(better(table, "finite", 4, ["leace"]).method) == ["leace"]
    assert better(table, "finite", 4, ["k_same", "finite"]).empty


# --- from the runs' own folders


def test_names_of_files_tell_settings_apart():
    assert [results_audit.file_name(setting) for setting in (None, 0, 0.25, 5, 30.0)] == [
        "only",
        "0",
        "0.25",
        "5",
        "30",
    ]


@pytest.fixture
def models(tmp_path):
    """Releases whose every image is one grey, told by the method and the seed: raw 0, stabilised 40, leace 80."""
    split = np.repeat([0, 2], [6, 6]).astype(np.uint8)
    facts = {"source": "synthetic", "private": "writer"}
    data = Dataset(np.zeros((12, 4, 4), np.uint8), np.arange(12) % 2, {"digit": np.arange(12) % 3}, split, facts)
    data.images[:, 0, 0] = np.arange(12)
    folders = {"stabilised/lambda-4/seed": 40, "stabilised/lambda-0/seed": 60, "baselines/leace/only": 80}
    for folder, grey in folders.items():
        for seed in (0, 2):
            images = data.images.copy()
            images[:, 1:] = grey + seed
            data.released(images).save(tmp_path / f"{folder}-{seed}.npz")
    return data, tmp_path


def test_the_same_test_images_as_the_first_surviving_seed_shows_them(models):
    data, folder = models
    keys = [("faithful", 4, 0), ("stabilised", 0, 0), ("stabilised", 4, 0), ("stabilised", 4, 2), ("leace", None, 2)]
    runs = [
        {"method": m, "setting": s, "seed": seed, "collapsed": WHY if m == "faithful" else None} for m, s, seed in keys
    ]
    found = results_audit.strips(data, folder, runs, {"stabilised": 4, "faithful": 4}, "digit")
    assert list(found) == [("raw", None), ("stabilised", 4), ("leace", None)]
    for images, grey in zip(found.values(), (0, 40, 82), strict=True):
        assert images[:, 0, 0].tolist() == [6, 7, 8]  # of every digit the first test image
        assert set(images[:, 1:].ravel()) == {grey}
    runs[2]["collapsed"] = WHY
    again = results_audit.strips(data, folder, runs, {"stabilised": 4}, "digit")
    assert set(again["stabilised", 4][:, 1:].ravel()) == {42}


def test_the_variants_at_every_lambda_and_no_baseline(models):
    data, folder = models
    runs = [{"method": "stabilised", "setting": lam, "seed": 0, "collapsed": None} for lam in (0, 4)]
    runs += [{"method": "leace", "setting": None, "seed": 0, "collapsed": None}]
    found = results_audit.strips_by_lambda(data, folder, runs, ["stabilised"], [0, 4], "digit")
    assert list(found) == [("raw", None), ("stabilised", 0), ("stabilised", 4)]
    for images, grey in zip(found.values(), (0, 60, 40), strict=True):
        assert set(images[:, 1:].ravel()) == {grey}


def test_the_surrogate_is_that_of_the_last_epoch_of_the_first_seed(tmp_path):
    def history(variant: str, rows: list[dict], lost: tuple[int, ...] = ()) -> None:
        write_json(tmp_path / variant / "lambda-4" / "history.json", rows)
        runs = [{"seed": seed, "collapsed": "collapsed" if seed in lost else None} for seed in (0, 1, 2)]
        write_json(tmp_path / variant / "lambda-4" / "runs.json", runs)

    epochs = [(0, 5.0, 1.0), (0, 3.0, 1.0), (1, 3.4, 3.1), (0, 9.0, 1.0)]
    seeds = [0, 1, 1, 2]  # of these the first has collapsed
    history(
        "stabilised",
        [{"seed": s, "epoch": e, "objective": o, "private": p} for s, (e, o, p) in zip(seeds, epochs, strict=True)],
        lost=(0,),
    )
    history("finite", [{"seed": 0, "step": 0, "price": 4, "information": 0.1}])
    history("faithful", [], lost=(0, 1, 2))  # its preparations collapsed
    points = {"stabilised": 4, "finite": 4, "faithful": 4}
    assert surrogates(tmp_path, points) == {"stabilised": pytest.approx(0.3)}


def test_rows_are_plain():
    rows = releases(FOUND["accuracy"], FOUND["naturalness"], "writer", "digit")
    assert all(type(value) in (str, int, float, type(None)) for row in rows for value in row.values())
    assert isinstance(over_seeds(rows), pd.DataFrame)
