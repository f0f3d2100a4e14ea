"""Results of a data set: the rows of every judge once, and of several attackers the best one over its seeds."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import READER
from test_tables import KEY, attack, made

from anonrep.data.dataset import Dataset
from anonrep.stages import paths
from anonrep.stages.results import KINDS, Results, as_table, best_attackers, collect, limited
from anonrep.utils.files import write_json

ACCURACIES = st.dictionaries(
    st.tuples(st.sampled_from(["cnn", "svm", "trees"]), st.integers(0, 2)), st.floats(0.01, 1), min_size=1
)


@given(ACCURACIES)
def test_the_best_attacker_has_the_largest_mean_over_the_seeds_it_was_trained_on(found):
    rows = [attack("stabilised", 1, seed, "writer", name, x) for (name, seed), x in found.items()]
    means = {name: np.mean([x for (other, _), x in found.items() if other == name]) for name, _ in found}
    best = best_attackers(as_table(rows))
    (name,) = best.attacker.unique()
    assert means[name] == pytest.approx(max(means.values()))
    assert len(best) == sum(other == name for other, _ in found), "one row a seed"
    row = made([*rows, attack("stabilised", 1, 0, "digit", "cnn", 0.9)]).releases.iloc[0]
    assert row.private == pytest.approx(max(means.values()))
    assert row.seeds == len({seed for _, seed in found})


def test_only_attackers_of_one_released_image_count_and_the_raw_reader_is_none():
    rows = [attack("finite", 4, 0, task, "cnn", 0.2) for task in ("writer", "digit")]
    rows += [attack("finite", 4, 0, "writer", "svm", 0.9, m=5)]
    rows += [attack("finite", 4, 0, "writer", "mlp", 0.8, knowledge="raw")]
    rows += [attack("finite", 4, 0, "writer", READER, 0.7, knowledge="raw")]
    row = made(rows).releases.iloc[0]
    assert (row.private, row.private_attacker, row.private_cnn, row.private_reader) == (0.2, "cnn", 0.2, 0.7)


@pytest.mark.parametrize(("setting", "target"), [(None, None), (4, None), (None, 6), (1.0, 2)])
def test_a_release_without_setting_or_target_is_a_release_like_others(setting, target):
    rows = [
        {**attack(method, setting, 0, task, "cnn", x), "target": target}
        for method, x in (("one", 0.3), ("two", 0.4))
        for task in ("writer", "digit")
    ]
    table = made(rows).releases.set_index("method")
    assert table.private.to_dict() == {"one": 0.3, "two": 0.4}
    for name, value in (("setting", setting), ("target", target)):
        assert all(math.isnan(x) if value is None else x == value for x in table[name])


def test_attackers_who_learned_from_fewer_images():
    rows = pd.DataFrame({"attacker": ["svm", "cnn", "svm", "old"], "n_train": [60, 100, 50, None]})
    assert limited(rows) == {"svm": 60}
    assert limited(rows[rows.attacker == "cnn"]) == {}


@pytest.fixture
def left(tmp_path, monkeypatch):
    """What the judges of three releases left, one of them no longer among the parameters."""
    monkeypatch.chdir(tmp_path)
    images, z = np.zeros((6, 2, 2), np.uint8), np.array([0, 1] * 3)
    facts = {"dataset": "d", "source": "uci", "private": "writer", "utility": "digit", "split": "random"}
    split = np.array([0, 0, 1, 1, 2, 2], np.uint8)
    Dataset(images, z, {"digit": z}, split, facts).save(paths.data_file("d", "random"))
    write_json(paths.controls_folder("d", "random") / "attacks.json", [attack("raw", None, 0, "writer", "cnn", 0.5)])
    write_json(paths.threat_models_file("d"), [attack("kept", 1, 0, "writer", "cnn", 0.1, knowledge="unseen")])
    for name in ("kept", "lost", "ghost"):
        why = "collapsed" if name == "lost" else None
        rows = {kind: [] for kind in KINDS} | {
            "runs": [{**KEY, "method": name, "setting": 1, "seed": 0, "collapsed": why}]
        }
        rows["attacks"] = [] if why else [attack(name, 1, 0, task, "cnn", 0.3) for task in ("writer", "digit")]
        write_json(paths.assessment_file(name), rows)
    return {name: {"data": "d", "split": "random", "method": "game"} for name in ("kept", "lost")} | {
        "other": {"data": "another", "split": "random", "method": "game"}
    }


def test_the_releases_are_an_argument_and_a_ghost_is_ignored(left):
    collect("d", ["random"], left, [0.1], out=paths.metrics_folder("d"))
    found = Results.read(paths.metrics_folder("d"))
    assert found.attacks.method.tolist() == ["raw", "kept", "kept", "kept"], "controls first, nothing lost or doubled"
    assert found.runs.method.tolist() == ["kept", "lost"]
    assert found.releases.method.tolist() == ["raw", "kept"], "a collapsed run is in runs alone"
    assert (found.private, found.to_keep, found.source, found.about["n_private"]) == ("writer", "digit", "uci", 2)
    assert found.about["splits"] == {"random": [2, 2, 2]}
    text = (paths.metrics_folder("d") / "attacks.json").read_text()
    assert json.loads(text)[0]["setting"] is None, "plain JSON"


def test_a_missing_file_is_named_with_its_command(left):
    paths.assessment_file("lost").unlink()
    with pytest.raises(FileNotFoundError, match=r"lost\.json is missing: `dvc repro`"):
        collect("d", ["random"], left, [0.1], out=paths.metrics_folder("d"))
    with pytest.raises(FileNotFoundError, match="about"):
        Results.read(paths.metrics_folder("nothing"))
