"""The privacy card promises nothing beyond what was measured, and no name can break its page."""

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

from anonrep.release.privacy_card import card, render, write
from anonrep.utils.text import at_most

BOUND = {"delta": 0.05, "information_bound": 0.3, "information": 0.2, "n": 250}
FACTS = {
    "data": {
        **{"name": "letters", "source": "own", "private": "writer", "size": [20, 16], "people": 10},
        **{"people_in_test": 9, "images": {"train": 600, "validation": 150, "test": 250}, "chance": 0.11},
        **{"sha256": "d" * 64, "resized": True, "inverted": False, "turned_to_grey": 7},
    },
    "model": {
        **{"kind": "finite", "codewords": 12, "lam": 2, "seed": 0, "sha256": {"codes-20-seed-0.npz": "a" * 64}},
        **{"collapsed": None, "audited": True, "fewest_people": 4},
    },
    "attackers": [
        {"on": on, "m": m, "attacker": name, "accuracy": accuracy, "low": low, "high": high, "n": n, "n_train": n_train}
        for on, m, name, accuracy, low, high, n, n_train in (
            ("released", 1, "cnn", 0.124, 0.088, 0.17, 250, 600),
            ("released", 1, "svm", 0.132, 0.095, 0.18, 250, 400),
            ("raw", 1, "cnn", 0.5, 0.44, 0.56, 250, 600),
            ("raw", 1, "svm", 0.7, 0.64, 0.75, 250, 400),
            ("permuted", 1, "cnn", 0.1, 0.07, 0.14, 250, 600),
            ("permuted", 1, "svm", 0.09, 0.06, 0.13, 250, 400),
            ("released", 1, "table", 0.128, 0.09, 0.175, 250, 600),
            ("released", 5, "table", 0.2, 0.11, 0.34, 45, 600),
        )
    ],
    "certificate": [{**BOUND, "m": m, "bound": bound} for m, bound in ((1, 0.21151), (5, 0.8501), (20, 1.0))],
    "utility": [
        {"attribute": "letter", "kind": "accuracy", "score": 0.86, "chance": 0.1},
        {"attribute": "slant", "kind": "R2", "score": 0.31, "chance": -0.01},
    ],
    "release": {"images": 60, "unlike": 3},
    "forced": [],
}
UNAUDITED = {
    "data": {name: FACTS["data"][name] for name in ("name", "source", "private", "size")},
    "model": {**{k: v for k, v in FACTS["model"].items() if k != "fewest_people"}, "audited": False},
    **{"attackers": [], "certificate": None, "utility": [], "forced": ["unaudited"]},
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


COLLAPSED = changed(model__collapsed="collapsed in epoch 3", forced=["collapsed"])
GAME = changed(model__kind="adversarial", model__codewords=None, model__fewest_people=0, certificate=None)
CASES = {
    "audited": FACTS,
    "unaudited": UNAUDITED,
    "collapsed": COLLAPSED,
    "game": GAME,
    "synthetic data": changed(data__source="synthetic"),
    "synthetic images": changed(release={"images": 60, "unlike": 0, "synthetic": True}),
    "one person's codeword": changed(model__fewest_people=1),
    "unlike images": changed(release={"images": 60, "unlike": 10}),
    "weak attackers": changed(data__chance=0.65),
    "weak certificate": changed(certificate=[{**BOUND, "m": 1, "bound": 0.7}]),
    "before a release": changed(release=None),
}


def words(page: str) -> str:
    """The text of a page, a line for each block of it."""
    body = BeautifulSoup(page, "html.parser").body
    blocks = body.find_all(["h1", "h2", "p", "li", "tr", "dt", "dd"])
    return "\n".join(" ".join(block.get_text(" ").split()) for block in blocks) + "\n"


def test_the_sentences_of_the_card(golden):
    """All sentences of all kinds of card, in one file to read and to improve."""
    pages = {name: words(render(card(facts))) for name, facts in CASES.items()}
    known = set(pages["audited"].splitlines())
    text = pages.pop("audited")
    for name, page in pages.items():
        text += f"\n--- {name}\n" + "".join(f"{line}\n" for line in page.splitlines() if line not in known)
    golden("privacy_card.txt", text)


@given(st.floats(0, 1), st.integers(1, 3))
@settings(deadline=None)
def test_a_bound_is_never_rounded_down(bound, digits):
    printed = float(at_most(bound, digits).removesuffix(" %"))
    assert bound <= printed / 100 + 1e-10
    assert printed / 100 - bound < 1.01 * 10.0 ** -(digits + 2)


def test_a_bound_in_whole_tenths_is_printed_as_it_is():
    assert [at_most(bound) for bound in (0.09, 0.08907, 0.29, 1.0, None)] == [
        "9.0 %",
        "9.0 %",
        "29.0 %",
        "100.0 %",
        "–",
    ]


@given(bound=st.floats(0, 1), accuracy=st.floats(0, 1), m=st.sampled_from([1, 5, 20]))
@settings(max_examples=60, deadline=None)
def test_a_promise_is_the_bound_or_nothing(bound, accuracy, m):
    facts = changed(certificate=[{**BOUND, "m": m, "bound": bound}])
    facts["attackers"] = [{**FACTS["attackers"][0], "m": m, "accuracy": accuracy}]
    said = [row["says"] for row in card(facts)["statements"] if row["m"] == m]
    promises = [text for text in said if "at most" in text]
    assert len(promises) == (math.ceil(round(1e3 * bound, 6)) < 1000)
    assert all(at_most(bound) in text for text in promises)
    (attacked,) = [text for text in said if "tried" in text]
    assert f"{100 * accuracy:.1f} %" in attacked


@pytest.mark.parametrize("facts", [UNAUDITED, COLLAPSED], ids=["unaudited", "collapsed"])
def test_without_a_valid_audit_there_is_no_number(facts):
    made = card(facts)
    assert "%" not in words(render(made))
    assert (made["attackers"], made["certificate"], made["utility"]) == ([], None, [])
    assert len(made["statements"]) == 1


def test_a_game_promises_nothing():
    assert not [row for row in card(GAME)["statements"] if "certificate" in row["rests_on"] or "at most" in row["says"]]


@pytest.mark.parametrize(("unlike", "images", "warned"), [(2, 2, 0), (3, 3, 1), (9, 60, 0), (10, 60, 1), (0, 9, 0)])
def test_a_few_unlike_images_are_chance(unlike, images, warned):
    assert len(card(changed(release={"images": images, "unlike": unlike}))["notices"]) == warned


def test_json_and_page_say_the_same_and_are_the_same_twice(tmp_path):
    codewords = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    for folder in ("one", "two"):
        write(tmp_path / folder, card(FACTS), codewords)
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"privacy-card.json", "privacy-card.html"}
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    made = json.loads((tmp_path / "one/privacy-card.json").read_text())
    assert made == json.loads(json.dumps(card(FACTS)))
    assert {key: made[key] for key in FACTS} == FACTS
    text = words((tmp_path / "one/privacy-card.html").read_text())
    said = [part for row in made["statements"] for part in (row["says"], row["rests_on"], *row["assumes"])]
    assert all(line in text for line in [*said, *made["not_covered"]])


def test_the_page_makes_no_request():
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


HOSTILE = "</style><script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}&lt;b&gt;"


def hostile(value: object, key: str = "") -> object:
    """The facts with HOSTILE for every text and key that somebody else might have written."""
    if isinstance(value, dict):
        return {HOSTILE if key == "sha256" else name: hostile(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner, key) for inner in value]
    return HOSTILE if isinstance(value, str) and key not in ("kind", "on", "source", "forced") else value


@pytest.mark.parametrize("facts", [FACTS, COLLAPSED], ids=["audited", "collapsed"])
def test_hostile_names_stay_text(facts):
    page, usual = (BeautifulSoup(render(card(one)), "html.parser") for one in (hostile(facts), facts))
    assert page.get_text().count(HOSTILE) >= 8
    kinds = {tag.name for tag in usual.find_all()}
    assert {tag.name for tag in page.find_all()} <= kinds


@needs_chromium
@pytest.mark.parametrize("facts", [FACTS, UNAUDITED], ids=["audited", "unaudited"])
def test_a_card_in_a_browser_asks_for_nothing_and_fits_phone_and_paper(facts, tmp_path):
    write(tmp_path, card(facts), np.random.default_rng(0).integers(0, 256, (12, 20, 16), np.uint8))
    with chromium() as browser:
        for width in WIDTHS:
            with opened(browser, tmp_path / "privacy-card.html", width) as page:
                assert page.get_by_role("heading").first.is_visible()
                fits_paper_and_the_dark(page)
