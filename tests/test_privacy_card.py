"""The privacy card: no sentence beyond what was measured, no number of what was not, and nothing a name could break."""

import copy
import json
import math
import re

import numpy as np
import pytest
from browser import WIDTHS, chromium, fits_paper_and_the_dark, needs_chromium, opened
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from anonrep.release import privacy_card
from anonrep.release.privacy_card import at_most, card, render, write

FACTS = {
    "data": {
        **{"name": "letters", "source": "own", "private": "writer", "size": [20, 16], "people": 10},
        **{"people_in_test": 9, "images": {"train": 600, "validation": 150, "test": 250}, "blind": 0.11},
        **{"sha256": "d" * 64, "resized": True, "inverted": False, "turned_to_grey": 7},
    },
    "model": {
        **{"kind": "finite", "pictures": 12, "lam": 2, "seed": 0, "sha256": {"codes-20-seed-0.npz": "a" * 64}},
        **{"collapsed": None, "audited": True, "behind": 4},
    },
    "attackers": [
        {"on": on, "m": 1, "attacker": name, "accuracy": accuracy, "low": low, "high": high, "n": 250}
        for on, name, accuracy, low, high in (
            ("released", "cnn", 0.124, 0.088, 0.17),
            ("released", "svm", 0.132, 0.095, 0.18),
            ("raw", "cnn", 0.5, 0.44, 0.56),
            ("raw", "svm", 0.7, 0.64, 0.75),
            ("permuted", "cnn", 0.1, 0.07, 0.14),
            ("permuted", "svm", 0.09, 0.06, 0.13),
        )
    ]
    + [
        {"on": "released", "m": 1, "attacker": "table", "accuracy": 0.128, "low": 0.09, "high": 0.175, "n": 250},
        {"on": "released", "m": 5, "attacker": "table", "accuracy": 0.2, "low": 0.11, "high": 0.34, "n": 45},
    ],
    "certificate": [
        {"m": 1, "bound": 0.21151, "delta": 0.05, "information_bound": 0.3, "information": 0.2, "n": 250},
        {"m": 5, "bound": 0.8501, "delta": 0.05, "information_bound": 0.3, "information": 0.2, "n": 250},
        {"m": 20, "bound": 1.0, "delta": 0.05, "information_bound": 0.3, "information": 0.2, "n": 250},
    ],
    "kept": [
        {"attribute": "letter", "kind": "accuracy", "score": 0.86, "chance": 0.1},
        {"attribute": "slant", "kind": "R2", "score": 0.31, "chance": -0.01},
    ],
    "release": {"images": 60, "unlike": 3},
    "against": [],
}
UNAUDITED = {
    "data": {name: FACTS["data"][name] for name in ("name", "source", "private", "size")},
    "model": {**FACTS["model"], "audited": False},
    **{"attackers": [], "certificate": None, "kept": [], "against": ["unaudited"]},
    "release": {"images": 60, "unlike": None},
}


def changed(**changes: object) -> dict:
    """FACTS with other values at keys like data__source."""
    facts = copy.deepcopy(FACTS)
    for key, value in changes.items():
        *above, last = key.split("__")
        place = facts
        for name in above:
            place = place[name]
        place[last] = value
    return facts


def words(page: str) -> str:
    return " ".join(BeautifulSoup(page, "html.parser").get_text(" ").split())


def said(facts: dict, m: int) -> list[str]:
    return [row["says"] for row in card(facts)["statements"] if row["m"] == m]


# --- what may be said


def test_a_card_holds_the_facts_and_what_follows_from_them():
    made = card(FACTS)
    assert set(made) == {"card", "notices", "statements", "not_covered", *FACTS}
    assert {key: made[key] for key in FACTS} == FACTS
    for statement in made["statements"]:
        assert set(statement) == {"m", "says", "rests_on", "assumes"}
    assert [statement["m"] for statement in made["statements"]] == [1, 1, 5, 5, 20, 20]


def test_every_sentence_names_what_it_rests_on_and_assumes():
    for statement in card(FACTS)["statements"]:
        assert re.search(r"certificate|95 % interval|no attacker", statement["rests_on"])
        if "no attacker" not in statement["rests_on"]:
            assert any("drawn like the test images: of the same 10 people" in text for text in statement["assumes"])
            assert any("nothing else about the writer" in text for text in statement["assumes"])
            assert any("independent" in text for text in statement["assumes"]) == (statement["m"] > 1)


def test_one_five_and_twenty_images():
    certified, attacked = said(FACTS, 1)
    assert (
        certified == "Who holds one released image names the right writer in at most 21.16 % of cases, by any method."
    )
    assert attacked == (
        "The best of the 3 attackers tried, svm, names the right writer from one released image in 13.2 % of cases, "
        "a blind guess in 11.0 %."
    )
    certified, attacked = said(FACTS, 5)
    assert "5 released images that are known to be of one writer names the right one in at most 85.01 %" in certified
    assert attacked.startswith("The attacker tried, table, names the right writer from 5 released images")
    certified, attacked = said(FACTS, 20)
    assert certified.startswith("Nothing is promised about who holds 20 released images")
    assert attacked.endswith("was not tried.")


def test_what_is_not_covered_is_listed():
    text = " ".join(card(FACTS)["not_covered"])
    for part in (
        "Anything but who the writer is",
        "Anybody who is not among",
        "more than 20 images",
        "unlike",
        "metadata",
    ):
        assert part in text
    assert "Other releases of the same images" in text
    assert "no certificate" not in text
    game = changed(model__kind="adversarial", model__pictures=None, certificate=None)
    assert "Every attacker that was not tried" in " ".join(card(game)["not_covered"])
    assert not [row for row in card(game)["statements"] if "certificate" in row["rests_on"]]
    assert not [row for row in card(game)["statements"] if "at most" in row["says"]]


@given(st.floats(0, 1))
@settings(deadline=None)
def test_a_bound_is_never_rounded_down(bound):
    printed = float(at_most(bound).removesuffix(" %"))
    assert bound <= printed / 100 + 1e-12
    assert printed / 100 - bound < 1.01e-4


@given(bound=st.floats(0, 1), accuracy=st.floats(0, 1), m=st.sampled_from([1, 5, 20]))
@settings(max_examples=60, deadline=None)
def test_no_number_that_was_not_measured(bound, accuracy, m):
    """Whatever is found, a promise is the bound or nothing, and an attacker's number is the attacker's."""
    facts = changed(certificate=[{**FACTS["certificate"][0], "m": m, "bound": bound}])
    facts["attackers"] = [{**FACTS["attackers"][0], "m": m, "accuracy": accuracy}]
    promises = [text for text in said(facts, m) if "by any method" in text]
    assert len(promises) == (math.ceil(1e4 * bound) < 10_000)
    for text in promises:
        assert at_most(bound) in text
    (attacked,) = [text for text in said(facts, m) if "tried" in text]
    assert f"{100 * accuracy:.1f} %" in attacked


@pytest.mark.parametrize("facts", [UNAUDITED, changed(model__collapsed="collapsed in epoch 3", against=["collapsed"])])
def test_what_was_not_audited_or_collapsed_gets_no_number(facts):
    made = card(facts)
    (statement,) = made["statements"]
    assert statement["says"] == "Nothing is known about the privacy of these images."
    page = words(render(made))
    assert "%" not in page.replace("100 %", "")
    assert "explicitly" in page
    assert "Attackers tried" not in page


def test_attackers_that_learned_from_fewer_images_are_named_beside_the_table():
    limit = "Of 600 training images svm learned from 400, drawn at random"
    rows = [{**row, "n_train": 400 if row["attacker"] == "svm" else 600} for row in FACTS["attackers"]]
    assert limit in words(render(card({**FACTS, "attackers": rows})))
    rows = [{**row, "n_train": 600} for row in FACTS["attackers"]]
    for everybody in (rows, FACTS["attackers"]):  # an audit of before this was recorded
        assert "drawn at random" not in words(render(card({**FACTS, "attackers": everybody})))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"data__source": "synthetic"}, "Synthetic: a program drew the images"),
        ({"model__collapsed": "collapsed in epoch 3"}, "This model collapsed in epoch 3."),
        ({"model__audited": False}, "This model was not audited"),
        ({"against": ["collapsed", "unaudited"]}, "Released although the model is collapsed and unaudited"),
        ({"model__behind": 1}, "of a single person"),
        ({"release": {"images": 60, "unlike": 10}}, "10 of these 60 images are further"),
        ({"data__blind": 0.65}, "On raw images the attackers tried do no better than a blind guess"),
        ({"certificate": [{**FACTS["certificate"][0], "bound": 0.7}]}, "the certificate promises nothing here"),
    ],
)
def test_what_has_to_be_read_first(changes, part):
    assert card(FACTS)["notices"] == []
    (notice,) = card(changed(**changes))["notices"]
    assert part in notice
    assert part in words(render(card(changed(**changes))))


@pytest.mark.parametrize(("unlike", "images", "said_so"), [(2, 2, 0), (3, 3, 1), (9, 60, 0), (10, 60, 1), (0, 9, 0)])
def test_a_few_unlike_images_are_chance(unlike, images, said_so):
    facts = changed(release={"images": images, "unlike": unlike})
    assert len(card(facts)["notices"]) == said_so


# --- the page


def test_the_page_shows_what_the_json_says():
    made = card(FACTS)
    text = words(render(made, np.zeros((3, 4, 5), np.uint8)))
    for statement in made["statements"]:
        assert statement["says"] in text
        assert statement["rests_on"] in text
    for line in [*made["not_covered"], *(part for row in made["statements"] for part in row["assumes"])]:
        assert line in text
    assert "svm 1 13.2 % (9.5 to 18.0; 250) 70.0 % (64.0 to 75.0; 250) 9.0 % (6.0 to 13.0; 250)" in text
    assert "table 5 20.0 % (11.0 to 34.0; 45) – –" in text
    assert "letter 86.0 % 10.0 % accuracy slant 0.31 -0.01 R2" in text
    assert "7 of the data set's were in colour and were turned to grey" in text
    assert f"sha256 of codes-20-seed-0.npz {'a' * 64}" in text


def test_the_page_asks_the_network_for_nothing():
    page = BeautifulSoup(render(card(FACTS), np.zeros((3, 4, 5), np.uint8)), "html.parser")
    (policy,) = page.find_all("meta", attrs={"http-equiv": "Content-Security-Policy"})
    rules = dict(part.split(maxsplit=1) for part in policy["content"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert not page.find_all(["script", "link", "iframe", "object", "base", "form"])
    assert not re.search(r"https?:|//[a-z]|url\(|@import", str(page))
    images = page.find_all("img")
    assert len(images) == 3
    assert all(image["src"].startswith("data:image/png;base64,") and image["alt"] for image in images)


def test_the_page_reads_on_a_phone_and_in_the_dark():
    page = render(card(FACTS))
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "prefers-color-scheme: dark" in page
    assert 'lang="en"' in page
    tables = BeautifulSoup(page, "html.parser").find_all("table")
    assert all("scroll" in table.parent["class"] for table in tables)  # it scrolls inside itself


HOSTILE = "</style><script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}&lt;b&gt;"


def strings(value: object, path: tuple = ()) -> list[tuple]:
    """Where in the facts a text stands that somebody else might have written; what decides about sentences is ours."""
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in strings(inner, (*path, key))]
    if isinstance(value, list):
        return [found for key, inner in enumerate(value) for found in strings(inner, (*path, key))]
    return [path] if isinstance(value, str) and path[-1] not in ("kind", "on", "source") else []


@pytest.mark.parametrize("path", strings(FACTS), ids=lambda path: ".".join(map(str, path)))
def test_hostile_names_stay_text(path):
    pages = {}
    for name in (HOSTILE, "harmless"):
        place = facts = copy.deepcopy(FACTS)
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = name
        pages[name] = BeautifulSoup(render(card(facts)), "html.parser")
        assert name in pages[name].get_text()
    tags = [[tag.name for tag in page.find_all()] for page in pages.values()]
    assert tags[0] == tags[1]


def test_a_hostile_file_name_of_the_model_stays_text():
    facts = changed(model__sha256={HOSTILE: "0"}, model__collapsed=HOSTILE)
    page = BeautifulSoup(render(card(facts)), "html.parser")
    assert not page.find_all(["script", "img"])
    assert page.get_text().count(HOSTILE) == 2


def test_both_files_are_written_and_the_same_twice(tmp_path):
    pictures = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    for folder in ("one", "two"):
        write(tmp_path / folder, card(FACTS), pictures)
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"privacy-card.json", "privacy-card.html"}
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    assert json.loads((tmp_path / "one/privacy-card.json").read_text()) == json.loads(json.dumps(card(FACTS)))
    assert json.loads((tmp_path / "one/privacy-card.json").read_text())["card"] == privacy_card.VERSION


@pytest.mark.parametrize("lam", [0, 0.5, None])
def test_lambda_is_shown_or_said_not_to_be_known(lam):
    text = words(render(card(changed(model__lam=lam))))
    assert f"λ = {'not recorded' if lam is None else lam}" in text


def test_a_card_before_any_release_says_so():
    assert "Nothing is released yet" in words(render(card(changed(release=None))))
    assert words(render(card(changed(release={"images": 1, "unlike": 0})))).startswith(
        "Privacy card: letters Privacy card 1 released image of"
    )


@needs_chromium
@pytest.mark.parametrize("facts", [FACTS, UNAUDITED], ids=["audited", "unaudited"])
def test_a_card_in_a_browser_asks_for_nothing_and_fits_phone_and_paper(facts, tmp_path):
    write(tmp_path, card(facts), np.random.default_rng(0).integers(0, 256, (12, 20, 16), np.uint8))
    with chromium() as browser:
        for width in WIDTHS:
            with opened(browser, tmp_path / "privacy-card.html", width) as page:
                assert page.get_by_role("heading").first.is_visible()
                fits_paper_and_the_dark(page)
