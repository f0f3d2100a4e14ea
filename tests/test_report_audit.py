"""The audit in words: what beats ours comes first, what is claimed names its attackers, every number is the rows'."""

import re

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from anonrep.evaluation.information import least_error
from anonrep.reports import report_audit
from anonrep.reports.report_audit import KNOWLEDGE
from anonrep.stages.old_results import percent
from anonrep.stages.results_audit import over_seeds

PEOPLE = 30
P_Z = np.full(PEOPLE, 1 / PEOPLE)
POINTS = {"stabilised": 4, "finite": 1.5}


def release(method: str, setting: float | None, *seeds: tuple[float, float, float]) -> list[dict]:
    """Rows of `results_audit.releases`: worst attacker, utility and naturalness by seed."""
    names = ("worst_attacker", "utility", "naturalness")
    return [
        {"method": method, "setting": setting, "seed": seed, "attacker": f"{method[:3]}-{seed}", "information": 0.25}
        | dict(zip(names, values, strict=True))
        for seed, values in enumerate(seeds)
    ]


def table(*releases: list[dict]) -> pd.DataFrame:
    return over_seeds([row for rows in releases for row in rows])


OURS = release("stabilised", 4, (0.30, 0.96, 0.90), (0.34, 0.98, 0.94))  # means 0.32, 0.97, 0.92
FINITE = release("finite", 1.5, (0.05, 0.97, 0.96))
WORSE = release("gaussian_noise", 0.5, (0.33, 0.97, 0.92))
TRADES = release("k_same", 30, (0.20, 0.99, 0.91))  # less is found, and less is read
BEATS = release("leace", None, (0.30, 0.97, 0.93))  # as private as ours on the first seed, where all attack


# --- the verdict


def verdict(*releases: list[dict], points: dict = POINTS) -> list[str]:
    """The lines after the head."""
    head, empty, *lines = report_audit.verdict(table(*releases), points, "writer").splitlines()
    assert "how often the best attacker names the writer" in head
    assert empty == ""
    return lines


KEPT = "- `{}` at λ = {} is beaten by no release here in all three."
LOST = "- `{}` at λ = {} **loses** to {}: no worse in any of the three."


def test_nobody_beats_ours_where_each_is_worse_in_something():
    lines = verdict(OURS, WORSE, TRADES, points={"stabilised": 4})
    assert lines == [KEPT.format("stabilised", 4)]
    equal = (0.32, 0.97, 0.92)
    assert verdict(release("stabilised", 4, equal), release("k_same", 5, equal), points={"stabilised": 4}) == lines


def test_a_variant_that_loses_comes_first_and_says_to_whom():
    lines = verdict(FINITE, OURS, WORSE, TRADES, BEATS, points={"finite": 1.5, "stabilised": 4})
    assert lines == [LOST.format("stabilised", 4, "finite, λ = 1.5, LEACE"), KEPT.format("finite", 1.5)]


def test_our_variants_are_measured_against_one_another_but_not_against_themselves():
    better = release("stabilised", 2, (0.1, 0.99, 0.99))  # the same variant elsewhere is no other method
    assert verdict(OURS, better, points={"stabilised": 4}) == [KEPT.format("stabilised", 4)]
    rival = release("faithful", 2, (0.1, 0.99, 0.99))
    assert verdict(OURS, rival, points={"stabilised": 4}) == [LOST.format("stabilised", 4, "faithful, λ = 2")]


def test_a_variant_that_collapsed_is_among_the_losses():
    lines = verdict(FINITE, WORSE, points={"finite": 1.5, "stabilised": 4})
    assert lines == ["- `stabilised` at λ = 4 collapsed: there is no release to compare.", KEPT.format("finite", 1.5)]


# --- attackers' rows


def attacked(
    method: str, setting: float | None, seed: int = 0, knowledge: str = "release", m: int = 1, **found
) -> list:
    """Rows of `results_audit.audited`: attacker to accuracy, and (for one image) to what it believed."""
    n = 1000 if m == 1 else 40
    key = {"dataset": "pendigits", "method": method, "setting": setting, "seed": seed, "task": "writer"}
    rows = []
    for place, (attacker, accuracy) in enumerate(found.items()):
        row = {**key, "knowledge": knowledge, "attacker": attacker, "m": m, "accuracy": accuracy, "n": n}
        row |= {"low": accuracy - 0.021, "high": accuracy + 0.034, "attackers": len(found), "candidates": 1}
        if m == 1:  # who is best at guessing need not be best at believing
            row |= {"information": 1.5 - place / 4, "information_low": 1 + place / 8, "information_fano": accuracy}
        rows.append(row | {"source": "synthetic"})
    return rows


def digit(rows: list[dict]) -> list[dict]:
    """The same attackers on what is to be kept, where all succeed."""
    return [row | {"task": "digit", "accuracy": 0.999} for row in rows]


PLAIN = [
    *attacked("raw", None, majority=0.04, trees=0.46, cnn=0.61),
    *attacked("raw", None, 1, trees=0.99),
    *attacked("raw", None, m=5, majority=0.05, trees=0.9, cnn=0.97),
    *attacked("permuted", None, majority=0.03, trees=0.045, cnn=0.02),
    *attacked("constant", None, trees=0.036),
    *attacked("stabilised", 4, majority=0.035, trees=0.314, cnn=0.277),
    *attacked("stabilised", 4, 1, trees=0.345, cnn=0.29),
    *attacked("stabilised", 4, 2, trees=0.28, cnn=0.302),
    *attacked("stabilised", 4, m=5, majority=0.05, trees=0.7, cnn=0.85),
    *attacked("stabilised", 2, majority=0.9, trees=0.95, cnn=0.95),
    *attacked("finite", 1.5, majority=0.033, trees=0.045, cnn=0.041),
    *attacked("finite", 1.5, m=5, majority=0.033, trees=0.1, cnn=0.1),
]
OUTSIDERS = [
    *attacked("stabilised", 4, knowledge="raw", majority=0.035, trees=0.12, cnn=0.105),
    *attacked("stabilised", 4, knowledge="unseen", majority=0.03, trees=0.22, cnn=0.227),
    *attacked("stabilised", 4, knowledge="as few", majority=0.03, trees=0.219, cnn=0.2),
    *attacked("stabilised", 4, 1, knowledge="raw", trees=0.98, cnn=0.97),
]
ROWS = pd.DataFrame(PLAIN + digit(PLAIN) + OUTSIDERS)


def numbers(text: str) -> list[str]:
    return re.findall(r"\d+\.\d %", text)


# --- claims


def test_a_claim_names_the_best_attacker_how_many_were_tried_and_the_interval():
    text = report_audit.claim(ROWS, "finite", 1.5, "writer")
    assert text == (
        "`finite` at λ = 1.5, seed 0: the best of 3 attackers, `trees`, names the writer in **4.5 %** of 1000 released "
        "images (2.4 % to 7.9 %, all intervals together at 95 %). No attacker of this suite exceeded that; another "
        "might."
    )


def test_a_claim_over_several_seeds_says_what_the_others_came_to():
    text = report_audit.claim(ROWS, "stabilised", 4, "writer")
    assert "seed 0: the best of 3 attackers, `trees`, names the writer in **31.4 %**" in text
    assert text.endswith("On 2 more seeds the best of 2 attackers finds 30.2 % to 34.5 %.")
    assert numbers(text) == ["31.4 %", "29.3 %", "34.8 %", "30.2 %", "34.5 %"]
    one = report_audit.claim(ROWS[ROWS.seed < 2], "stabilised", 4, "writer")
    assert one.endswith("On 1 more seed the best of 2 attackers finds 34.5 % to 34.5 %.")


def test_no_claim_is_made_of_attackers_who_know_less_or_hold_more_or_seek_something_else():
    for row in (rows for rows in (ROWS[ROWS.m == 5], ROWS[ROWS.task == "digit"], ROWS[ROWS.knowledge != "release"])):
        text = report_audit.claim(row, "stabilised", 4, "writer")
        assert text == "`stabilised` at λ = 4 collapsed and is no evidence of privacy."


def test_a_collapsed_variant_has_no_number():
    text = report_audit.claim(ROWS, "faithful", 4, "writer")
    assert text == "`faithful` at λ = 4 collapsed and is no evidence of privacy."


def test_no_claim_says_more_than_an_audit_can():
    """Every sentence about privacy names its attackers and interval; none speaks of all attackers."""
    for variant, lam in POINTS.items():
        text = report_audit.claim(ROWS, variant, lam, "writer")
        assert re.search(r"best of \d+ attackers, `\w+`", text)
        assert re.search(r"\(\d+\.\d % to \d+\.\d %, all intervals together at 95 %\)", text)
        assert "another might" in text
        assert not re.search(r"no classifier|certif|guarantee|private\b", text)


# --- tables


def test_every_attacker_stands_beside_the_controls():
    found = report_audit.attackers_table(ROWS, POINTS, "writer")
    assert list(found) == ["attacker", "raw", "permuted", "constant", "stabilised, λ = 4", "finite, λ = 1.5"]
    assert found.to_numpy().tolist() == [
        ["majority", "4.0 % (1.9 to 7.4)", "3.0 % (0.9 to 6.4)", "–", "3.5 % (1.4 to 6.9)", "3.3 % (1.2 to 6.7)"],
        [
            *["trees", "46.0 % (43.9 to 49.4)", "4.5 % (2.4 to 7.9)", "3.6 % (1.5 to 7.0)"],
            *["31.4 % (29.3 to 34.8)", "4.5 % (2.4 to 7.9)"],
        ],
        ["cnn", "61.0 % (58.9 to 64.4)", "2.0 % (-0.1 to 5.4)", "–", "27.7 % (25.6 to 31.1)", "4.1 % (2.0 to 7.5)"],
    ]


def test_a_collapsed_variant_has_no_column():
    found = report_audit.attackers_table(ROWS, {"faithful": 4}, "writer")
    assert list(found) == ["attacker", "raw", "permuted", "constant"]


def test_the_best_of_each_release_by_what_it_knows_and_holds():
    top = report_audit.best(ROWS, POINTS | {"faithful": 4}, "writer")
    found = {(row.release, row.knowledge, row.m): (row.attacker, row.accuracy) for row in top.itertuples()}
    assert found == {
        ("raw", "release", 1): ("cnn", 0.61),
        ("raw", "release", 5): ("cnn", 0.97),
        ("stabilised, λ = 4", "release", 1): ("trees", 0.314),
        ("stabilised, λ = 4", "release", 5): ("cnn", 0.85),
        ("stabilised, λ = 4", "raw", 1): ("trees", 0.12),
        ("stabilised, λ = 4", "unseen", 1): ("cnn", 0.227),
        ("stabilised, λ = 4", "as few", 1): ("trees", 0.219),
        ("finite, λ = 1.5", "release", 1): ("trees", 0.045),
        ("finite, λ = 1.5", "release", 5): ("trees", 0.1),
    }
    assert len(top) == len(found)
    assert set(top.seed) == {0}  # where everybody was set on it


def test_the_table_of_knowledge_has_a_gap_where_nobody_was_set():
    found = report_audit.knowledge_table(report_audit.best(ROWS, POINTS, "writer"))
    assert list(found) == ["release", *KNOWLEDGE.values()]
    assert found.set_index("release").loc["stabilised, λ = 4"].to_list() == [
        "31.4 % (29.3 to 34.8), trees",
        "12.0 % (9.9 to 15.4), trees",
        "22.7 % (20.6 to 26.1), cnn",
        "21.9 % (19.8 to 25.3), trees",
    ]
    for name, cell in (("raw", "61.0 % (58.9 to 64.4), cnn"), ("finite, λ = 1.5", "4.5 % (2.4 to 7.9), trees")):
        assert found.set_index("release").loc[name].to_list() == [cell, "–", "–", "–"]


def test_every_knowledge_that_the_audit_knows_has_words():
    assert set(KNOWLEDGE) == {"release", "raw", "unseen", "as few"}
    without = report_audit.knowledge_table(report_audit.best(pd.DataFrame(PLAIN), POINTS, "writer"))
    assert list(without) == ["release", KNOWLEDGE["release"]]


def certificate(method: str, lam: float | None, codes: int, seed: int, bound: float) -> list[dict]:
    """Rows of certificate.json."""
    key = {"method": method, "lam": lam, "codebook": codes, "seed": seed}
    return [{**key, "m": m, "bound": min(1, bound * m), "information_bound": bound} for m in (1, 5, 20)]


CERTIFICATE = [
    *certificate("finite", 0.0, 20, 0, 0.9),
    *certificate("finite", 1.5, 20, 1, 0.04),
    *certificate("finite", 1.5, 40, 1, 0.8),
    *certificate("finite", 1.5, 20, 2, 0.7),
    *certificate("finite, two codes", 1.5, 20, 1, 0.6),
    *certificate("substitution", None, 170, 0, 0.5),
]


def test_the_certificate_is_that_of_the_audited_release_and_no_other():
    found = report_audit.certified(CERTIFICATE, POINTS)
    assert list(found) == ["method", "release", "m", "bound", "information_bound"]
    assert found.to_numpy().tolist() == [
        ["finite", "finite, λ = 1.5", m, pytest.approx(0.04 * m), 0.04] for m in (1, 5, 20)
    ]


@pytest.mark.parametrize(
    ("rows", "points"),
    [
        (CERTIFICATE, {"stabilised": 4}),
        (CERTIFICATE, {"finite": 7}),
        (certificate("substitution", None, 170, 0, 0.5), POINTS),  # every preparation collapsed: no lambda anywhere
    ],
)
def test_where_nothing_is_certified_there_is_no_row(rows, points):
    found = report_audit.certified(rows, points)
    assert list(found) == ["method", "release", "m", "bound", "information_bound"]
    assert found.empty


def information(surrogate: dict, rows: pd.DataFrame = ROWS, points: dict = POINTS) -> pd.DataFrame:
    bounds = report_audit.certified(CERTIFICATE, points)
    return report_audit.information_table(rows, points, surrogate, bounds, "writer", P_Z).set_index("release")


def test_information_is_bounded_from_below_by_the_best_in_each_way():
    found = information({"stabilised": 0.123})
    assert list(found.index) == ["raw", "stabilised, λ = 4", "finite, λ = 1.5"]
    row = found.loc["stabilised, λ = 4"]
    assert row["lower bound, from belief"] == "1.50 (majority)"
    assert row["its limit, 95 %"] == "1.25 (cnn)"
    assert row["lower bound, Fano"] == "0.31 (trees)"
    assert found["surrogate of eq. 11"].to_list() == ["–", "0.12", "–"]


def test_an_upper_bound_gives_a_least_error_and_nothing_follows_without_one():
    found = information({})
    error = least_error(0.04, P_Z)
    assert 0.5 < error < 1 - 1 / PEOPLE
    assert found["upper bound"].to_list() == ["none", "none", "0.040"]
    assert found["so every classifier errs in at least"].to_list() == ["nothing follows"] * 2 + [percent(error)]


def test_a_collapsed_variant_has_no_row_of_information():
    found = information({"faithful": 0.5}, points=POINTS | {"faithful": 4})
    assert list(found.index) == ["raw", "stabilised, λ = 4", "finite, λ = 1.5"]


def test_releases_come_with_the_most_private_first():
    found = report_audit.releases_table(table(OURS, FINITE, BEATS), "writer", "digit")
    assert list(found) == [
        *["release", "writer, best attacker", "which, first seed", "digit, fresh network", "digit, raw reader"],
        *["I(Z; X̂) at least", "seeds"],
    ]
    assert found.to_numpy().tolist() == [
        ["finite, λ = 1.5", "5.0 %", "fin-0", "97.0 %", "96.0 %", "0.25 nats", 1],
        ["LEACE", "30.0 %", "lea-0", "97.0 %", "93.0 %", "0.25 nats", 1],
        ["stabilised, λ = 4", "32.0 % (30.0 to 34.0)", "sta-0", "97.0 %", "92.0 %", "0.25 nats", 2],
    ]


WHY = "collapsed in epoch 1 of the game: the output was all but constant"


def test_games_differ_from_seed_to_seed_by_this_much():
    runs = [
        *[("stabilised", 4, 0, None), ("stabilised", 4, 1, None), ("stabilised", 4, 2, WHY)],
        *[("gradient_reversal", 1, 0, WHY), ("gradient_reversal", 1, 1, WHY)],
        *[("leace", None, 0, None), ("gaussian_noise", 0.5, 0, None)],
    ]
    rows = [dict(zip(("method", "setting", "seed", "collapsed"), run, strict=True)) for run in runs]
    found = report_audit.stability([*OURS, *BEATS, *WORSE], rows)
    assert list(found) == ["release", "seeds", "collapsed", "best attacker", "fresh network", "raw reader"]
    assert found.to_numpy().tolist() == [
        ["stabilised, λ = 4", 3, 1, "30.0 % to 34.0 %", "96.0 % to 98.0 %", "90.0 % to 94.0 %"],
        ["gradient reversal, λ = 1", 2, 2, "–", "–", "–"],
    ]


def test_a_method_with_a_single_seed_is_in_no_table_of_spread():
    runs = [{"method": "leace", "setting": None, "seed": 0, "collapsed": None}]
    assert report_audit.stability(BEATS, runs).empty


# --- the slider


def slid(images: dict | None = None) -> dict[str, dict[str, list]]:
    """Stop to variant to its cells: texts, then the texts of images."""
    rows = table(OURS, FINITE, release("finite", 4, (0.06, 0.9, 0.8)), WORSE)
    page = BeautifulSoup(report_audit.lambda_slider(rows, "writer", "digit", images), "html.parser")
    stops = [label.text for label in page.find_all("label")]
    found = {}
    for stop, panel in zip(stops, page.find_all("div", "panel"), strict=True):
        lines = [row.find_all("td") for row in panel.find_all("tr")[1:]]
        found[stop] = {
            name.text: [cell.img["alt"] if cell.img else cell.text for cell in cells] for name, *cells in lines
        }
    return found


def test_the_slider_has_every_lambda_of_our_variants_and_their_means():
    found = slid()
    assert list(found) == ["1.5", "4"]
    assert found["4"] == {
        "faithful": ["–"] * 3,
        "stabilised": ["32.0 %", "97.0 %", "92.0 %"],
        "finite": ["6.0 %", "90.0 %", "80.0 %"],
    }
    assert found["1.5"]["stabilised"] == ["–"] * 3
    assert found["1.5"]["finite"] == ["5.0 %", "97.0 %", "96.0 %"]


def test_the_slider_shows_the_images_of_each_variant_at_its_lambda():
    two = np.zeros((2, 4, 4), np.uint8)
    found = slid({("raw", None): two, ("finite", 4.0): two, ("stabilised", 1.5): two})
    assert [cells[3:] for cells in found["4"].values()] == [
        ["raw, image 1", "raw, image 2"],
        [],
        [],
        ["finite, image 1", "finite, image 2"],
    ]
    assert found["1.5"]["stabilised"][3:] == ["stabilised, image 1", "stabilised, image 2"]
    assert found["4"]["raw"][:3] == ["–"] * 3
