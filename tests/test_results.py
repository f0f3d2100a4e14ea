"""From rows to tables, sentences and figures: the grid is what was asked for, no collapsed run passes as private."""

import inspect
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from anonrep.data.dataset import Dataset
from anonrep.game import DEPARTURES, GameConfig
from anonrep.reports import plots, report, report_finite
from anonrep.reports.report_departures import REASONS, ablation_cells, ablation_runs, ablation_table, departures_table
from anonrep.stages import old_results as results
from anonrep.utils.files import write_json

KEY = ("variant", "lam", "seed")
TASKS = ("writer", "digit")
WHY = "collapsed in epoch 2 of the privacy phase: the output was all but constant"


def attacked(variant: str, lam: float | None, seed: int, m: int = 1, **accuracies: float) -> list[dict]:
    """Rows of attackers that hold m images: `cnn_writer=0.1` is the attacker cnn on the task writer."""
    rows = []
    for name, accuracy in accuracies.items():
        attacker, task = name.rsplit("_", 1)
        interval = {"low": accuracy - 0.02, "high": accuracy + 0.02, "n": 1000}
        key = {"variant": variant, "lam": lam, "seed": seed, "task": task, "attacker": attacker, "m": m}
        row = {**key, "accuracy": accuracy, **interval, "attackers": len(accuracies), "candidates": 1}
        rows.append(row | {"source": "synthetic"})
    return rows


CONTROLS = [
    *attacked("raw", None, 0, cnn_writer=0.55, trees_writer=0.46, cnn_digit=0.99, trees_digit=0.98),
    *attacked("raw", None, 1, cnn_writer=0.57, trees_writer=0.48, cnn_digit=0.99, trees_digit=0.98),
    *attacked("raw", None, 0, 5, cnn_writer=0.95, trees_writer=0.96),
    *attacked("permuted", None, 0, cnn_writer=0.03, trees_writer=0.04, cnn_digit=0.1, trees_digit=0.1),
    *attacked("permuted", None, 0, 5, cnn_writer=0.02, trees_writer=0.05),
    *attacked("constant", None, 0, trees_writer=0.03, trees_digit=0.1),
]


def cell(variant: str, lam: float, *seeds: dict, several: bool = True) -> dict:
    """What stage assess writes; without `several` images, stage ablation. A seed is None where the run collapsed."""
    found = {"accuracy": [], "naturalness": [], "runs": []}
    for seed, accuracies in enumerate(seeds):
        key = dict(zip(KEY, (variant, lam, seed), strict=True))
        found["runs"].append({**key, "collapsed": None if accuracies else WHY, "source": "synthetic"})
        if accuracies:
            found["accuracy"] += attacked(variant, lam, seed, **accuracies)
            private = dict.fromkeys((name for name in accuracies if several and name.endswith("writer")), 0.9)
            found["accuracy"] += attacked(variant, lam, seed, 5, **private)
            natural = {
                "digit_accuracy": 0.9 - lam / 10,
                "ssim": 0.5,
                "two_sample_accuracy": 0.75,
                "source": "synthetic",
            }
            found["naturalness"].append({**key, **natural})
    return found


GRID = {
    ("faithful", 0): cell("faithful", 0, dict(cnn_writer=0.4, trees_writer=0.5, cnn_digit=0.99, trees_digit=0.9)),
    ("faithful", 0.5): cell("faithful", 0.5, None),
    ("stabilised", 0): cell(
        "stabilised",
        0,
        dict(cnn_writer=0.30, trees_writer=0.40, cnn_digit=0.98, trees_digit=0.9),
        dict(cnn_writer=0.36, trees_writer=0.34, cnn_digit=0.98, trees_digit=0.9),
    ),
    ("stabilised", 0.5): cell(
        "stabilised", 0.5, dict(cnn_writer=0.10, trees_writer=0.30, cnn_digit=0.96, trees_digit=0.9), None
    ),
}
NAMES, LAMBDAS = ["faithful", "stabilised"], [0, 0.5]


def write_grid(folder, grid=None) -> None:
    """Stage outputs on disk, as the pipeline names them."""
    write_json(folder / "controls.json", CONTROLS)
    for (variant, lam), found in (grid or GRID).items():
        write_json(folder / "assess" / f"{variant}-{lam}.json", found)


@pytest.fixture
def rows(tmp_path) -> dict[str, list]:
    """The collected grid."""
    write_grid(tmp_path)
    return results.collect(tmp_path / "controls.json", tmp_path / "assess", NAMES, LAMBDAS)


@pytest.fixture
def table(rows) -> pd.DataFrame:
    """The trade-off of the grid."""
    accuracy, naturalness, _ = results.tables(rows)
    return results.trade_off(accuracy, naturalness, *TASKS)


# Collecting.


def test_the_grid_is_an_argument_and_stray_files_are_ignored(tmp_path):
    ghost = {("stabilised", 4): cell("stabilised", 4, dict(cnn_writer=0.01, cnn_digit=0.99))}
    write_grid(tmp_path, GRID | ghost)
    (tmp_path / "assess" / "notes.json").write_text("not even JSON")
    rows = results.collect(tmp_path / "controls.json", tmp_path / "assess", ["stabilised"], [0, 0.5])
    assert {row["variant"] for row in rows["accuracy"]} == {"raw", *results.CONTROLS, "stabilised"}
    assert {row["lam"] for row in rows["accuracy"]} == {None, 0, 0.5}
    assert {(row["variant"], row["lam"]) for row in rows["runs"]} == {("stabilised", 0), ("stabilised", 0.5)}


def test_the_controls_come_first_and_nothing_is_lost_or_doubled(rows):
    assert rows["accuracy"][: len(CONTROLS)] == CONTROLS
    for kind in ("accuracy", "naturalness", "runs"):
        extra = CONTROLS if kind == "accuracy" else []
        assert rows[kind] == extra + [row for found in GRID.values() for row in found[kind]]


def test_a_missing_cell_is_an_error_that_names_it(tmp_path):
    write_grid(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"faithful-2\.json is missing: `dvc repro`"):
        results.collect(tmp_path / "controls.json", tmp_path / "assess", NAMES, [0, 2])


# Collapsed runs.


def test_a_collapsed_run_is_in_runs_and_nowhere_else(rows, table):
    lost = {("faithful", 0.5, 0), ("stabilised", 0.5, 1)}
    key = [tuple(row[name] for name in KEY) for row in rows["runs"] if row["collapsed"]]
    assert set(key) == lost
    for kind in ("accuracy", "naturalness"):
        assert not lost & {tuple(row[name] for name in KEY) for row in rows[kind]}
    found = set(zip(table.variant, table.lam, strict=True))
    assert found == {("faithful", 0), ("stabilised", 0), ("stabilised", 0.5)}
    assert table.set_index(["variant", "lam"]).seeds.to_dict() == {
        ("faithful", 0): 1,
        ("stabilised", 0): 2,
        ("stabilised", 0.5): 1,
    }


def test_the_metrics_files_are_plain_json_with_the_collapsed_in_runs_alone(rows, tmp_path):
    results.write_metrics(rows, tmp_path / "metrics", *TASKS)

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    read = {
        path.stem: json.loads(path.read_text(), parse_constant=refuse) for path in (tmp_path / "metrics").glob("*.json")
    }
    assert set(read) == {"fig2", "controls", "naturalness", "runs", "summary"}
    one = [row for row in rows["accuracy"] if row["m"] == 1]
    assert read["fig2"] + read["controls"] == sorted(one, key=lambda row: row["variant"] in results.CONTROLS)
    assert {row["variant"] for row in read["controls"]} == set(results.CONTROLS) == {"permuted", "constant"}
    assert {row["variant"] for row in read["fig2"] if row["lam"] is None} == {"raw"}
    assert read["naturalness"] == rows["naturalness"]
    assert read["runs"] == rows["runs"]
    assert read["summary"]["source"] == "synthetic"
    assert list(read["summary"]["faithful"]) == ["lambda 0"]
    assert read["summary"]["stabilised"]["lambda 0.5"]["private_cnn"] == 0.1
    assert read["summary"]["stabilised"]["lambda 0.5"]["seeds"] == 1


def test_the_report_reads_what_was_written(rows, table, tmp_path):
    results.write_metrics(rows, tmp_path, *TASKS)
    finite = {"method": "finite", "codebook": 20, "lam": 0.5}
    more = {"kept": [{"score": 0.5}], "epsilon": [{"asked": 0.1}], "certificate": [{"method": "medoids"}, finite]}
    for name, found in more.items():
        write_json(tmp_path / f"{name}.json", found)
    read = results.read_metrics(tmp_path, *TASKS)
    one = [row for row in rows["accuracy"] if row["m"] == 1]
    assert read.accuracy == sorted(one, key=lambda row: row["variant"] in results.CONTROLS)
    pd.testing.assert_frame_equal(read.attackers, pd.DataFrame(read.accuracy))
    pd.testing.assert_frame_equal(read.table, table)
    assert (read.naturalness, read.runs) == (rows["naturalness"], rows["runs"])
    assert (read.kept, read.epsilon, read.codes) == (more["kept"], more["epsilon"], 20)
    (tmp_path / "kept.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"kept\.json is missing: `dvc repro`"):
        results.read_metrics(tmp_path, *TASKS)


# Tables.


def test_an_attacker_of_several_images_is_in_no_table_and_no_figure(rows, tmp_path):
    """Its accuracy, the largest of all here, answers another question; it must not pass as the worst attacker's."""
    several = [row for row in rows["accuracy"] if row["m"] > 1]
    assert len(several) == 2 * 2 + 2 * 4  # or this would say nothing
    accuracy, *_ = results.tables(rows)
    assert set(accuracy.m) == {1}
    assert len(accuracy) == len(rows["accuracy"]) - len(several)
    without = rows | {"accuracy": [row for row in rows["accuracy"] if row["m"] == 1]}
    for name, found in (("with", rows), ("without", without)):
        results.write_metrics(found, tmp_path / name, *TASKS)
    for path in (tmp_path / "with").iterdir():
        assert path.read_bytes() == (tmp_path / "without" / path.name).read_bytes(), path.name


def test_the_worst_attacker_is_the_best_on_average_over_the_seeds_it_was_set_on(rows):
    accuracy, *_ = results.tables(rows)
    worst = results.worst(accuracy, "writer").set_index(list(KEY)).sort_index()
    assert set(worst.attacker["stabilised", 0.0]) == {"trees"}
    assert len(worst) == 4 + 2 + 2  # released, permuted and constant, raw
    assert set(results.worst(accuracy, "digit").task) == {"digit"}
    first = accuracy[(accuracy.variant == "stabilised") & (accuracy.task == "writer") & (accuracy.lam == 0)].iloc[[0]]
    rare = pd.concat([accuracy, first.assign(attacker="patient", accuracy=0.9)])
    assert results.worst(rare, "writer").query("variant == 'stabilised' and lam == 0").iloc[0].attacker == "patient"


def test_the_trade_off_averages_over_seeds(table):
    row = table[(table.variant == "stabilised") & (table.lam == 0)].iloc[0]
    assert row.private_cnn == pytest.approx(0.33)
    assert row.private_worst == pytest.approx(0.37)  # the trees' mean; the plain network's is 0.33
    assert row.kept_cnn == pytest.approx(0.98)
    assert row.naturalness == pytest.approx(0.9)
    assert "raw" not in set(table.variant)
    assert (table.private_worst >= table.private_cnn).all()


def test_nothing_to_judge_is_said_when_every_run_collapsed(rows):
    accuracy, naturalness, _ = results.tables(rows)
    with pytest.raises(ValueError, match="every run of every variant collapsed"):
        results.trade_off(accuracy, naturalness.iloc[:0], *TASKS)


def test_the_operating_point_is_the_most_private_that_keeps_enough(table):
    point = results.operating_point(table, "stabilised", kept=0.95, naturalness=0.85)
    assert (point.lam, point.private_cnn) == (0.5, 0.1)
    assert results.operating_point(table, "stabilised", kept=0.97, naturalness=0.85).lam == 0
    assert results.operating_point(table, "stabilised", kept=0.95, naturalness=0.88).lam == 0
    assert results.operating_point(table, "faithful", kept=0.95, naturalness=0.85).lam == 0


@pytest.mark.parametrize("asked", [{"kept": 0.99, "naturalness": 0.5}, {"kept": 0.5, "naturalness": 0.95}])
def test_there_may_be_no_operating_point(table, asked):
    assert results.operating_point(table, "stabilised", **asked) is None
    assert results.operating_point(table, "elsewhere", kept=0, naturalness=0) is None


# Sentences.


def headline(table, rows, **asked) -> str:
    """The headline of `stabilised`."""
    accuracy, *_ = results.tables(rows)
    return report.headline(table, accuracy, "stabilised", "writer", **({"kept": 0.95, "naturalness": 0.85} | asked))


def test_the_headline_says_the_flattering_number_and_the_honest_one(table, rows):
    text = headline(table, rows)
    assert "At λ = 0.5 the game `stabilised`" in text
    assert "**10.0 %** (raw images: 56.0 %)" in text
    assert "`trees`, finds the writer in **30.0 %** of the same released images (raw: 56.0 %)" in text
    assert "finds 96.0 %" in text
    assert "reads 85.0 %" in text
    assert "One seed; this lambda" in text
    assert "picked after the fact" in text


def test_the_headline_says_what_the_whole_suite_found_where_only_one_seed_faced_it(table, rows):
    text = headline(table[table.lam == 0], rows, kept=0, naturalness=0)
    accuracy, *_ = results.tables(rows)
    mine = accuracy[(accuracy.variant == "stabilised") & (accuracy.lam == 0) & (accuracy.task == "writer")]
    first = mine[mine.seed == 0]
    most = first.loc[first.accuracy.idxmax()]
    assert f"; on seed 0, which faces the whole suite, `{most.attacker}` reaches {100 * most.accuracy:.1f} %." in text
    assert "whole suite" not in headline(table, rows)  # one seed: the same number again


@pytest.mark.parametrize("seeds", [1, 3])
def test_what_the_finite_release_promises_holds_for_the_worst_of_its_seeds(table, seeds):
    rows = [
        {"method": "finite", "codebook": 20, "lam": 2, "seed": seed, "m": m, "used": 9, "n": 1000, "delta": 0.05}
        | {"bound": bound * m**0.5, "validation_bound": 0.1, "worst_attacker": 0.02 + seed / 100}
        | {"utility": 0.98, "naturalness": 0.97}
        for seed, bound in enumerate([0.08, 0.11, 0.09][:seeds])
        for m in (1, 4)
    ]
    text = report_finite.headline(pd.DataFrame(rows), table, 20, private="writer", kept="digit")
    one, four, reached = ("8.0 %", "16.0 %", "2.0 %") if seeds == 1 else ("11.0 %", "22.0 %", "4.0 %")
    assert f"names the writer in more than {one}** of released images" in text
    assert f"at most {four} for 4 images." in text
    assert f"the best of our attackers reached {reached})" in text
    assert ("the greatest" in text) == (seeds > 1)


def test_the_headline_admits_that_nothing_keeps_enough(table, rows):
    text = headline(table, rows, kept=0.99)
    assert text.startswith("No lambda of `stabilised` keeps")
    assert "99.0 %" in text
    assert "10.0 %" not in text


def test_the_attackers_table_shows_the_release_between_its_controls(rows):
    accuracy, *_ = results.tables(rows)
    found = report.attackers_table(accuracy, "stabilised", 0, "writer")
    assert list(found.columns) == ["released images", "raw images", "permuted labels", "constant image"]
    assert list(found.index) == ["cnn", "trees"]
    assert found.loc["cnn"].to_list() == [
        "33.0 % (28.0 to 38.0; 2)",
        "56.0 % (53.0 to 59.0; 2)",
        "3.0 % (1.0 to 5.0; 1)",
        "–",  # not set on a constant image here
    ]


def test_the_trade_off_table_keeps_every_row_and_names_the_worst_attacker(table):
    found = report.trade_off_table(table, *TASKS)
    assert len(found) == len(table)
    row = found[(found.variant == "stabilised") & (found["λ"] == "0.5")].iloc[0]
    assert row["writer, CNN"] == "10.0 %"
    assert row["writer, best of suite"] == "30.0 %"
    assert row["which attacker"] == "trees"


def test_the_ablation_table_has_no_number_for_what_collapsed():
    cells = {
        "nothing": cell("nothing", 1, dict(cnn_writer=0.1, trees_writer=0.3, cnn_digit=0.96), several=False),
        "r1": cell("r1", 1, None),
    }
    found = ablation_table(cells, *TASKS)
    assert len(found) == 2
    assert found["writer, CNN"].to_list() == ["10.0 %", "collapsed"]
    assert found["writer, best attacker"].to_list() == ["30.0 %", ""]
    assert report.collapsed_runs(ablation_runs(cells)).startswith("1 of 2 runs collapsed; ")
    assert f"- `r1`, λ = 1, seed 0: {WHY}" in report.collapsed_runs(ablation_runs(cells))
    assert not found.isna().any(axis=None)


def test_the_ablation_compares_by_attackers_whom_all_cells_have_met(tmp_path, rows):
    """The grid's own row has met the whole suite; what only it has met stays out."""
    write_json(tmp_path / "r1.json", cell("r1", 0.5, dict(cnn_writer=0.2, trees_writer=0.3, cnn_digit=0.9)))
    strong = attacked("stabilised", 0.5, 0, cnn_large_writer=0.99)
    found = SimpleNamespace(**rows | {"accuracy": rows["accuracy"] + strong})
    cells = ablation_cells(tmp_path, found, "stabilised", {"lam": 0.5, "seeds": [0], "without": ["r1"]})
    table = ablation_table(cells, *TASKS)
    assert table["taken back"].to_list() == ["nothing", "r1"]
    assert table["writer, CNN"].to_list() == ["10.0 %", "20.0 %"]
    assert table["writer, best attacker"].to_list() == ["30.0 %", "30.0 %"]
    with pytest.raises(ValueError, match=r"no run of stabilised at lambda 7: ablation\.lam must be one of the grid's"):
        ablation_cells(tmp_path, found, "stabilised", {"lam": 7, "seeds": [0], "without": ["r1"]})


@pytest.mark.parametrize("as_table", [list, pd.DataFrame], ids=["rows", "table"])
def test_who_learned_from_fewer_images_is_said_and_nothing_where_nobody_did(as_table):
    """On the attackers' best terms: an outsider who had few images says nothing of those who had them all."""
    counts = [("trees", 9000), ("svm", 6000), ("neighbours", 6000), ("ensemble", 9000), ("trees", 100), ("svm", 100)]
    rows = [{"attacker": name, "n_train": count, "accuracy": 0.5} for name, count in counts]
    said = results.limited(as_table(rows))
    assert said.startswith("Of 9000 training images svm learned from 6000 and neighbours learned from 6000, drawn at")
    assert results.limited(as_table([*rows, {"attacker": "reader", "accuracy": 0.2}])) == said
    assert results.limited(as_table(row for row in rows if row["attacker"] in ("svm", "neighbours"))) == ""
    assert results.limited(as_table([{"attacker": "trees", "accuracy": 0.5}])) == ""
    assert results.limited([]) == ""


def test_departures_are_told_as_they_are_written_in_the_parameters():
    found = departures_table({"hidden": 24, "freeze_decoder": True, "kl": 0.001, "pixel_anchor": 250.0, "r1": 0.0})
    assert found.departure.to_list() == ["kl", "freeze_decoder", "pixel_anchor"]
    assert found.value.to_list() == ["0.001", "yes", "250"]
    assert found.why.to_list() == [REASONS[name] for name in found.departure]


def test_every_departure_has_its_reason_and_a_row_in_the_ablation():
    parameters = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))
    game = parameters["variants"]["stabilised"]["game"]
    paper, ours = GameConfig(), GameConfig(**game)
    assert list(REASONS) == list(DEPARTURES)
    assert parameters["ablation"]["without"] == [name for name in DEPARTURES if name in game]
    assert all(getattr(paper, name) != getattr(ours, name) for name in parameters["ablation"]["without"])
    assert not set(DEPARTURES) & set(parameters["variants"]["faithful"]["game"])


def test_collapsed_runs_are_named_with_their_reason(rows):
    text = report.collapsed_runs(rows["runs"])
    assert text.startswith("2 of 6 runs collapsed; they are no evidence of privacy and have no accuracy:")
    assert f"- `faithful`, λ = 0.5, seed 0: {WHY}" in text
    assert f"- `stabilised`, λ = 0.5, seed 1: {WHY}" in text
    assert "λ = 0," not in text
    healthy = [row for row in rows["runs"] if not row["collapsed"]]
    assert report.collapsed_runs(healthy) == "None of the 4 runs collapsed."


def test_the_shown_run_is_one_that_survived(rows, table):
    assert report.survivor(rows["runs"], "stabilised", 0.5) == 0
    assert report.shown_point(table, "stabilised").lam == 0.5


@pytest.mark.parametrize(
    ("source", "setting", "words"),
    [
        ("uci", "full", []),
        ("synthetic", "full", ["synthetic"]),
        ("uci", "quick", ["quick setting"]),
        ("synthetic", "smoke", ["synthetic", "smoke setting"]),
    ],
)
def test_the_warning_names_what_is_not_the_real_thing(source, setting, words):
    text = report.warning(source, setting)
    assert bool(text) == bool(words)
    assert all(word in text for word in words)


# Figures.


def images(n: int, seed: int = 0) -> np.ndarray:
    """uint8 (n, 6, 6)."""
    return np.random.default_rng(seed).integers(0, 256, (n, 6, 6), np.uint8)


CERTIFICATE = pd.DataFrame(
    [
        {"variant": "stabilised", "lam": lam, "seed": seed, "bound": bound}
        for lam, bounds in {0: (0.36, 0.44), 0.5: (0.18, 0.22)}.items()
        for seed, bound in enumerate(bounds)
    ]
)


def figure2(rows, source: str, setting: str, certificate: pd.DataFrame | None = None) -> Figure:
    """Fig. 2 of the hand-made grid."""
    accuracy, _, runs = results.tables(rows)
    accuracy = accuracy.assign(source=source)
    strips = {name: {"raw": images(3), "λ = 0": images(3, 1)} for name in NAMES}
    words = {"private": "writer", "kept": "digit", "chance": 1 / 30, "setting": setting}
    return plots.figure2(accuracy, results.worst(accuracy, "writer"), runs, strips, certificate, **words)


def contact_sheet(source: str, setting: str) -> Figure:
    """A contact sheet of a few images."""
    z, split = np.arange(12) % 3, np.zeros(12, np.uint8)
    data = Dataset(images(12), z, {"digit": np.arange(12) % 2}, split, {"source": source})
    return plots.contact_sheet(data, setting=setting)


def players(source: str, setting: str) -> Figure:
    """A game of three epochs."""
    history = pd.DataFrame([{"epoch": epoch} | dict.fromkeys(plots.PLAYERS, 1.0 + epoch) for epoch in range(3)])
    return plots.players({"a": history, "b": history}, chance=3.4, source=source, setting=setting)


DRAW = {
    "figure2": lambda rows, source, setting: figure2(rows, source, setting, CERTIFICATE),
    "contact_sheet": lambda rows, source, setting: contact_sheet(source, setting),
    "players": lambda rows, source, setting: players(source, setting),
    "epochs_strip": lambda rows, source, setting: plots.epochs_strip(
        images(8).reshape(4, 2, 6, 6), source=source, setting=setting
    ),
    "couples": lambda rows, source, setting: plots.couples(
        images(4), images(4, 1), source=source, setting=setting, columns=2
    ),
}


def test_every_figure_is_drawn_below():
    drawing = {
        name
        for name, function in inspect.getmembers(plots, inspect.isfunction)
        if function.__module__ == plots.__name__ and inspect.signature(function).return_annotation is Figure
    }
    assert drawing == set(DRAW), "a new figure: draw it here, so that its title is held to what it shows"


@pytest.mark.parametrize("name", DRAW)
def test_neither_synthetic_data_nor_a_small_setting_passes_as_the_real_thing(name, rows):
    def title(source, setting):
        return DRAW[name](rows, source, setting).get_suptitle().lower()

    assert "uci pen-digits" in title("uci", "full")
    assert not any(word in title("uci", "full") for word in ("synthetic", "setting"))
    assert "synthetic, not the real data" in title("synthetic", "full")
    for setting in ("quick", "smoke"):
        assert f"{setting} setting, not the results" in title("uci", setting)
        assert "synthetic" in title("synthetic", setting)


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_is_the_same_file_every_time(name, rows, tmp_path):
    for attempt in ("a", "b"):
        plots.save(DRAW[name](rows, "uci", "full"), tmp_path / attempt)
    for kind in ("svg", "png"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def panels(figure: Figure) -> dict[str, Axes]:
    """The figure's panels by their titles."""
    return {axis.get_title(): axis for axis in figure.axes if axis.get_title()}


def curves(axis: Axes) -> dict[str, Line2D]:
    """Everything drawn as a line, by its label; those that start with "_" are not in the legend themselves."""
    return {line.get_label(): line for line in axis.get_lines()}


def legend(figure: Figure) -> list[str]:
    """What the figure's one legend says."""
    (found,) = (axis.get_legend() for axis in figure.axes if axis.get_legend())
    return [text.get_text() for text in found.get_texts()]


def test_figure_2_has_a_panel_a_variant_with_three_curves_and_a_cross_where_a_run_collapsed(rows):
    figure = figure2(rows, "uci", "full")
    assert list(panels(figure)) == NAMES
    accuracy, *_ = results.tables(rows)
    for variant, axis in panels(figure).items():
        lines = curves(axis)
        cnn = accuracy[(accuracy.variant == variant) & (accuracy.attacker == "cnn") & (accuracy.task == "writer")]
        curve = lines["writer: fresh CNN (paper)"]
        assert list(curve.get_xdata()) == sorted(set(cnn.lam))
        assert list(curve.get_ydata()) == pytest.approx(cnn.groupby("lam").accuracy.mean().to_list())
        assert lines["_blind guess"].get_ydata()[0] == pytest.approx(1 / 30)
        for name in ("fresh CNN (paper)", "best attacker of the suite"):
            assert lines[f"_writer: {name}, raw images"].get_ydata()[0] == pytest.approx(0.56)
        assert list(lines["_collapsed run"].get_xdata()) == [0.5]
        worst = lines["writer: best attacker of the suite"]
        assert (np.array(worst.get_ydata()) >= np.array(curve.get_ydata())).all()


PLAIN = [
    *["digit: fresh CNN (paper)", "writer: fresh CNN (paper)", "writer: best attacker of the suite"],
    *["the same on raw images, in its colour", "writer: blind guess", "collapsed run"],
]
CERTIFIED = "writer: certified bound, any classifier"


def test_figure_2_says_everything_once_in_its_legend(rows):
    assert legend(figure2(rows, "uci", "full")) == PLAIN
    assert legend(figure2(rows, "uci", "full", CERTIFICATE)) == [*PLAIN[:3], CERTIFIED, *PLAIN[3:]]
    healthy = rows | {"runs": [row | {"collapsed": None} for row in rows["runs"]]}
    assert legend(figure2(healthy, "uci", "full")) == PLAIN[:-1]


@pytest.mark.parametrize("certified", NAMES)
def test_the_certificate_is_a_curve_of_its_own_variant_alone(rows, certified):
    figure = figure2(rows, "uci", "full", CERTIFICATE.assign(variant=certified))
    assert legend(figure)[3] == CERTIFIED
    for variant, axis in panels(figure).items():
        lines = curves(axis)
        assert (CERTIFIED in lines) == (variant == certified)
        assert not any(label.startswith(f"_{CERTIFIED}") for label in lines)
    curve = curves(panels(figure)[certified])[CERTIFIED]
    assert list(curve.get_xdata()) == LAMBDAS
    assert list(curve.get_ydata()) == pytest.approx([0.4, 0.2])  # means over the seeds
    assert curve.get_marker() == "D"
    (band,) = (
        found.get_paths()[0].get_extents()
        for found in panels(figure)[certified].collections
        if to_hex(found.get_facecolor()[0]) == plots.COLOURS["certified"]
    )
    assert (band.ymin, band.ymax) == pytest.approx((0.18, 0.44))  # from the smallest to the largest seed


def test_a_variant_whose_runs_all_collapsed_has_its_crosses_and_no_curve(rows):
    lost = {kind: [row for row in rows[kind] if row["variant"] != "faithful"] for kind in ("accuracy", "naturalness")}
    lost["runs"] = [row | {"collapsed": WHY} if row["variant"] == "faithful" else row for row in rows["runs"]]
    figure = figure2(lost, "uci", "full")
    lines = curves(panels(figure)["faithful"])
    assert list(lines["_collapsed run"].get_xdata()) == LAMBDAS
    assert not any("CNN" in label or "attacker" in label for label in lines if not label.startswith("_"))
    assert legend(figure) == PLAIN
