"""Tables and sentences of the reports: their numbers are those of the rows, and golden files hold their words."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import LOST_TARGET, WHY

from anonrep.reports import pareto, tables, words
from anonrep.stages.results import Results, as_table
from anonrep.utils.text import percent

KEY = {
    "dataset": "d",
    "split": "random",
    "people": "known",
    "target": None,
    "source": "uci",
    "knowledge": "release",
    "m": 1,
}


def attack(method: str, setting: float | None, seed: int, task: str, attacker: str, accuracy: float, **more) -> dict:
    ends = {"low": accuracy - 0.02, "high": accuracy + 0.02, "n": 1000, "attackers": 9, "n_train": 100}
    ends |= {"restarts": 0, "trained": True}
    row = {**KEY, "method": method, "setting": setting, "seed": seed, "task": task, "attacker": attacker, **ends}
    return {**row, "accuracy": accuracy, "information": 0.1, **more}


def made(attacks: list[dict], **rows: list[dict]) -> Results:
    """Results of these rows, of writers and digits."""
    about = {"dataset": "d", "private": "writer", "utility": "digit", "source": "uci", "n_private": 30}
    about |= {"splits": {"random": [1, 1, 1]}, "chance": {"random": 1 / 30}}
    kinds = ("naturalness", "certificate", "exposure", "utility", "runs", "target_accuracy")
    return Results(about, as_table(attacks), **{kind: as_table(rows.get(kind, [])) for kind in kinds})


def rivals(lost: int, swing: float, private: float, reader: float) -> Results:
    """The paper's term at 0.1 and 90 %, and gradient reversal beside it, with three seeds each at two lambdas."""
    rows = {"attacks": [], "runs": [], "naturalness": []}
    for method, numbers in (
        ("stabilised", (0, 0.01, 0.1, 0.9)),
        ("stabilised-reversal", (lost, swing, private, reader)),
    ):
        for lam, seed in ((lam, seed) for lam in (1, 2) for seed in range(3)):
            key = {**KEY, "method": method, "setting": lam, "seed": seed}
            gone = "collapsed" if seed < numbers[0] else None
            rows["runs"].append({**key, "collapsed": gone, "swing": None if gone else numbers[1]})
            if not gone:
                rows["attacks"].append(attack(method, lam, seed, "writer", "trees", numbers[2]))
                rows["attacks"].append(attack(method, lam, seed, "digit", "cnn", numbers[3]))
                rows["naturalness"].append(
                    {**key, "digit_accuracy": numbers[3], "ssim": 0.5, "two_sample_accuracy": 0.5}
                )
    return made(rows.pop("attacks"), **rows)


@pytest.mark.parametrize(
    ("numbers", "training", "trade_off"),
    [
        ((0, 0.01, 0.1, 0.9), "not less stable", "not poorer"),
        ((0, 0.01, 0.08, 0.95), "not less stable", "not poorer"),
        ((0, 0.02, 0.2, 0.9), "unstable", "poorer"),
        ((1, 0.01, 0.1, 0.85), "unstable", "poorer"),
        ((3, 0.01, 0.0, 1.0), "unstable", "poorer"),
    ],
)
def test_whether_gradient_reversal_is_unstable_follows_from_the_rows(numbers, training, trade_off):
    said = words.terms(rivals(*numbers))
    assert said.endswith(f"So its training is **{training}** here, and its trade-off **{trade_off}**.")
    table = tables.terms_table(rivals(*numbers))
    assert table["private term"].tolist() == ["the paper's", "the paper's", "gradient reversal", "gradient reversal"]
    assert table.collapsed.tolist()[2:] == [f"{numbers[0]} of 3"] * 2


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_what_the_printed_sign_did_is_said_with_the_numbers_of_the_runs_that_lasted(lost):
    results = rivals(lost, 0.01, 0.25, 0.6)
    names = {"stabilised": "faithful", "stabilised-reversal": "faithful-printed-sign"}
    kinds = {kind: getattr(results, kind) for kind in ("attacks", "runs", "naturalness")}
    said = words.printed_sign(replace(results, **{kind: rows.replace(names) for kind, rows in kinds.items()}))
    assert f"{2 * lost} of 6 runs collapsed" in said
    assert ("Of the others" in said) == ("in 60.0 %" in said) == (lost < 3), "no number of a run that collapsed"
    assert "Of `faithful` at the same λ" in said
    assert words.printed_sign(results) == ""


def test_where_no_rival_was_played_nothing_is_said_of_it(found):
    results = found["pendigits"].results
    assert words.terms(results) == ""
    assert tables.terms_table(results).empty
    assert pareto.terms(results)


# --- what is chosen


def game(lam: float, private: float, utility: float) -> list[dict]:
    return [attack("stabilised", lam, 0, task, "cnn", x) for task, x in (("writer", private), ("digit", utility))]


def natural(lam: float, reader: float) -> dict:
    row = {**KEY, "method": "stabilised", "setting": lam, "seed": 0, "ssim": 0.5, "two_sample_accuracy": 0.9}
    return {**row, "digit_accuracy": reader}


@given(st.lists(st.tuples(*[st.floats(0.01, 1)] * 3), min_size=1, max_size=6))
def test_the_operating_point_hides_most_among_those_that_keep_enough(values):
    rows = [row for lam, (private, utility, _) in enumerate(values) for row in game(lam, private, utility)]
    results = made(rows, naturalness=[natural(lam, reader) for lam, (*_, reader) in enumerate(values)])
    point = tables.operating_point(tables.releases(results), "stabilised", utility=0.5, reader=0.5)
    enough = [one for one in values if one[1] >= 0.5 and one[2] >= 0.5] or values
    assert point.private_cnn == pytest.approx(min(private for private, *_ in enough))


def test_the_finite_point_has_the_least_bound_on_validation_images_whatever_test_images_say():
    rows = [
        {**KEY, "method": "finite", "setting": lam, "seed": seed, "codes": 20, "n": 9, "bound": 1 - bound}
        | {"validation_bound": bound, "delta": 0.05}
        for lam, bound in ((0, 0.3), (1, 0.1), (2, 0.2))
        for seed in (0, 1)
    ]
    results = made([attack("raw", None, 0, "writer", "cnn", 0.5)], certificate=rows)
    assert tables.finite_point(results) == 1


def test_the_best_target_keeps_the_expression_and_hides_most():
    table = pd.DataFrame(
        [
            ("random", "substituted", 0, 0.3, 0.8),
            ("random", "substituted", 1, 0.2, 0.6),
            ("clips", "pixels", 2, 0.1, 0.9),
        ],
        columns=["split", "method", "target", "private", "utility"],
    )
    assert tables.best_target(table, "random").target == 0
    assert tables.best_target(table.iloc[1:], "random").target == 1, "where none keeps it, the one that keeps most"
    assert tables.best_target(table, "clips") is None


# --- the numbers are the rows'


def test_the_headline_table_holds_the_numbers_of_the_rows():
    rows = [attack("raw", None, 0, "writer", name, x) for name, x in (("cnn", 0.5), ("svm", 0.6), ("majority", 0.9))]
    rows[-1]["accuracy"] = 0.02
    rows += [attack("raw", None, 0, "digit", "cnn", 0.99)]
    rows += [attack("finite", 4, seed, "writer", "trees", 0.03 + seed / 100) for seed in (0, 1)]
    rows += [attack("finite", 4, 0, "writer", "cnn", 0.01), attack("finite", 4, 0, "digit", "trees", 0.9)]
    rows += [
        attack("finite", 4, 0, "writer", "trees", 0.8, m=5),
        attack("finite", 4, 0, "writer", "svm", 0.9, knowledge="raw"),
    ]
    proofs = [
        {**KEY, "method": "finite", "setting": 4, "seed": seed, "codes": codes, "n": 9, "bound": bound, "delta": 0.05}
        | {"validation_bound": bound}
        for seed, codes, bound in ((0, 20, 0.08), (1, 20, 0.09), (0, 40, 0.5))
    ]
    results = made(rows, certificate=proofs)
    table = tables.headline_table(results, tables.headline_points(results))
    assert table.release.tolist() == ["raw images", "finite\nλ = 4"]
    raw, finite = table.iloc[0], table.iloc[1]
    assert raw["writer: best attacker"] == "60.0 %\nsvm"
    assert raw["writer: certified bound"] == "–"
    assert finite["writer: fresh CNN (paper)"] == "1.0 %"
    assert finite["writer: best attacker"] == "3.5 %\ntrees", "one image, by attackers of the release, mean over seeds"
    assert finite["writer: certified bound"] == "9.0 %", "the greatest of the seeds with the first number of codes"
    assert finite["digit: fresh network"] == "90.0 %\ntrees", "no CNN was trained: the best that was"
    numbers = tables.headline_numbers(results)["random"]
    assert numbers["finite"]["bound"] == 0.09
    assert "utility_cnn" not in numbers["finite"]
    assert tables.chance(results, "random") == pytest.approx(1 / 30)


def test_markdown_is_a_table_of_the_same_cells():
    table = pd.DataFrame({"a": ["1 %\ntrees"], "b": ["–"]})
    assert tables.markdown(table).splitlines() == ["| a | b |", "| --- | --- |", "| 1 % (trees) | – |"]


def test_where_clips_stay_whole_clips_are_counted(found):
    rows = tables.bounds(found["ferg"].results).set_index("split")
    assert rows.bound.to_dict() == {"random": 0.25, "clips": 0.45}
    assert rows.draws.to_dict() == {"random": "168 test images", "clips": "21 test clips"}
    releases = tables.releases(found["ferg"].results)
    assert set(tables.at(releases, split="clips", method="finite").bound) == {0.45}, "of every target"
    assert releases[releases.method == "substituted"].bound.isna().all()


def test_every_attacker_stands_beside_the_controls(found):
    point = {"method": "stabilised", "setting": 2, "target": None}
    table = tables.attackers_table(found["pendigits"].results, [point], "writer").set_index("attacker")
    assert list(table) == ["raw", "stabilised, λ = 2"]
    assert table.loc["svm", "stabilised, λ = 2"] == f"{percent(0.9 * 0.69)}\n56.2 to 68.0; 2"


def test_table_1_has_a_row_for_each_release_and_for_what_collapsed(found):
    table = tables.target_table(found["ferg"].results, "random")
    methods = ["raw", "standard", "restricted", "pixels", "substituted", "finite"]
    assert list(dict.fromkeys(table.method)) == methods
    assert (table.method == "substituted").sum() == 3, "one game collapsed"
    (lost,) = table[table.identity == "collapsed"].to_dict("records")
    assert (lost["method"], lost["target"]) == ("restricted", f"{LOST_TARGET} malcolm")
    assert set(lost.values()) == {"restricted", f"{LOST_TARGET} malcolm", "collapsed", "–"}, "and no number"
    assert not set(tables.paper_table()) & set(table), "the paper's numbers are for other images"
    restricted = table[table.target == "6 nobody"].set_index("method").loc["restricted"]
    assert restricted["identity: raw-trained"] == percent(0.4 * (0.9 - 6 / 50))


def test_what_own_runs_cost_is_said_from_the_rows_of_one_split():
    shared = {**KEY, "setting": 4, "seed": 0, "codes": 9}
    found = (
        ("clips", "finite", 0.5, 0.1),
        ("random", "finite", 0.2301, 0.89),
        ("random", "finite, own runs", 0.25, 0.6),
    )
    rows = [shared | dict(zip(("split", "method", "bound", "utility"), one, strict=True)) for one in found]
    results = made([attack("raw", None, 0, "writer", "cnn", 0.5)], certificate=rows)
    said = words.own_runs(results)
    assert "in 60.0 % of test images, where clips gave 89.0 % (split random)" in said
    assert "at most 25.0 % instead of 23.1 %" in said, "bounds are rounded up"
    assert words.own_runs(made([], certificate=rows[:2])) == ""


def test_a_codeword_is_told_by_its_test_images(found):
    faces, digits = found["ferg"], found["pendigits"]
    for artefacts, split, method in ((faces, "clips", "finite"), (digits, "random", "finite")):
        data, book = artefacts.data(split), artefacts.codebook(artefacts.run(split=split, method=method))
        table = tables.codeword_table(data, book)
        mine = (data.split == 2) & (book.codes == 0)
        assert table["share of test images"][0] == percent(mine.sum() / (data.split == 2).sum())
        top = np.bincount(data.z[mine]).argmax()
        assert table[f"most frequent {data.private}"][0].startswith(tables.named(data.private, top))


def test_the_ablation_compares_by_attackers_and_seeds_that_all_have():
    rows = [*game(2, 0.2, 0.9), attack("stabilised", 2, 0, "writer", "mlp", 0.9)]
    rows += [attack("stabilised", 2, 1, "writer", "cnn", 0.8)]
    rows += [attack("without-kl", 2, 0, task, "cnn", x) for task, x in (("writer", 0.3), ("digit", 0.5))]
    runs = [
        {**KEY, "method": name, "setting": 2, "seed": 0, "collapsed": why}
        for name, why in (("stabilised", None), ("without-kl", None), ("without-r1", WHY))
    ]
    naturals = [natural(2, 0.7), {**natural(2, 0.6), "method": "without-kl"}]
    table = tables.ablation_table(made(rows, runs=runs, naturalness=naturals), "stabilised").set_index("taken back")
    assert table["writer: fresh CNN"].to_dict() == {"nothing": "20.0 %", "kl": "30.0 %", "r1": "collapsed"}
    assert table.loc["nothing", "writer: best attacker"] == "20.0 %\ncnn"


def test_departures_are_those_of_the_game():
    table = tables.departures_table({"hidden": 24, "kl": 0.001, "clip": 0.0, "freeze_decoder": True})
    assert table.departure.tolist() == ["kl", "freeze_decoder"]
    assert table.value.tolist() == ["0.001", "yes"]


# --- what beats what


MEASURES = ["private", "utility_cnn", "utility_reader"]


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=8), st.tuples(*[st.integers(0, 3)] * 3))
def test_a_release_is_beaten_by_one_that_is_no_worse_in_all_three_and_better_in_one(others, mine):
    table = pd.DataFrame(others, columns=MEASURES)
    found = words.beaten_by(pd.Series(mine, MEASURES), table)
    expected = [o for o in others if o[0] <= mine[0] and o[1] >= mine[1] and o[2] >= mine[2] and o != mine]
    assert found[MEASURES].to_numpy().tolist() == [list(one) for one in expected]


# --- sentences


def test_a_claim_says_no_more_than_an_audit_can(found):
    claim = words.claim(found["pendigits"].results, {"method": "stabilised", "setting": 2.0})
    assert "No attacker of this suite exceeded that. Another attacker might." in claim
    lost = words.claim(found["pendigits"].results, {"method": "faithful", "setting": 2.0})
    assert "no evidence of privacy" in lost
    assert "%" not in lost


def test_every_collapsed_run_is_named_with_its_reason(found):
    said = words.collapsed(found["ferg"].results.runs)
    assert said.count(WHY) == 2
    assert f"`restricted`, split clips, target {LOST_TARGET}, λ = 1, seed 0: {WHY}" in said
    assert "None of the" in words.collapsed(found["ferg"].results.runs.assign(collapsed=None))


@pytest.mark.parametrize("source", ["uci", "ferg", "synthetic"])
@pytest.mark.parametrize("setting", ["full", "quick"])
def test_synthetic_data_and_small_settings_are_named(source, setting):
    said, shown = (
        words.warning(source, setting),
        tables.show(pd.DataFrame({"a": [1]}), source=source, setting=setting).data,
    )
    for text in (said, shown.lower()):
        assert ("synthetic" in text) == (source == "synthetic")
        assert ("quick" in text) == (setting == "quick")


def test_attackers_who_learned_from_fewer_images_are_named():
    rows = pd.DataFrame({"attacker": ["svm", "cnn", "svm"], "n_train": [60, 100, 50]})
    assert "svm learned from 60" in words.fewer_images(rows)
    assert words.fewer_images(rows[rows.attacker == "cnn"]) == ""


def test_a_network_that_did_not_train_is_no_evidence_of_privacy():
    """With one seed that died the other one counts; with none left there is no number."""
    dead = {"restarts": 2, "trained": False}
    rows = [attack("raw", None, 0, task, "cnn", 0.9) for task in ("writer", "digit")]
    rows += [attack("stabilised", lam, 0, "digit", "cnn", 0.99) for lam in (1, 2)]
    rows += [attack("stabilised", 1, 0, "writer", "svm", 0.5)]
    rows += [attack("stabilised", 1, 0, "writer", "cnn", 0.03, **dead)]
    rows += [attack("stabilised", 2, seed, "writer", "cnn", 0.3, restarts=seed) for seed in (0, 1)]
    rows += [attack("stabilised", 2, 2, "writer", "cnn", 0.03, **dead)]
    results = made(rows, naturalness=[natural(lam, 0.9) for lam in (1, 2)])
    table = tables.releases(results)
    assert [tables.network(row, "private") for _, row in table.iterrows()] == ["90.0 %", "did not train", "30.0 %"]
    assert tables.operating_point(table, "stabilised").setting == 2
    shown = tables.attackers_table(results, [{"method": "stabilised", "setting": 1}], "writer").set_index("attacker")
    assert shown["stabilised, λ = 1"].to_dict() == {"cnn": "did not train", "svm": "50.0 %\n48.0 to 52.0; 1"}
    assert "each time: cnn on `stabilised` (2)" in words.restarted(results.attacks)
    assert "All of them trained" in words.restarted(results.attacks[results.attacks.trained])
    assert words.restarted(results.attacks[results.attacks.restarts == 0]) == ""


def test_the_words_of_the_reports(found, golden):
    """Every sentence and table of the made-up project, as they stand in the golden file."""
    digits, faces = found["pendigits"].results, found["ferg"].results
    points = tables.headline_points(digits)
    parts = [words.warning("synthetic", "smoke")]
    for results in (digits, faces):
        parts += [tables.markdown(tables.headline_table(results, tables.headline_points(results)))]
        parts += [words.how_to_read(results), words.collapsed(results.runs), words.seeds(results.runs)]
        parts += [tables.markdown(tables.certificate_table(results))]
    parts += [words.chosen(digits, points), words.verdict(digits, points)]
    parts += [words.claim(digits, point) for point in points]
    parts += [words.faces(faces, split) for split in faces.about["splits"]]
    parts += [words.answers(digits.target_accuracy)]
    parts += [words.unseen(digits, points), tables.markdown(tables.unseen_table(digits, points))]
    parts += [words.unseen(faces, points)]
    best = tables.best_by_knowledge(digits, points)
    surrogate = found["pendigits"].surrogates(points)
    for table in (
        tables.trade_off_table(digits, ["faithful", "stabilised"]),
        tables.attackers_table(digits, points, "writer"),
        tables.audit_table(digits),
        tables.knowledge_table(best),
        tables.information_table(digits, points, surrogate, np.ones(3) / 3),
        tables.target_table(faces, "clips"),
        tables.paper_table(),
        tables.departures_table(dict.fromkeys(tables.REASONS, 1)),
    ):
        parts.append(tables.markdown(table))
    for name in ("FIGURE1", "FIGURE2", "EPOCHS", "COUPLES", "FRONTIER", "PARETO", "TARGETS", "TERMS", "IMAGES"):
        pair = getattr(words, name)
        parts.append("\n".join(pair))
    golden("reports.txt", "\n\n".join(parts) + "\n")
