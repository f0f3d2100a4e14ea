"""Elements of a page: whatever a text holds stays text, images are what they were, a slider needs no script."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anonrep.reports import elements

HOSTILE = "<script>alert(1)</script>\"' onload=x & <b>bold</b>"
TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(str.strip)


def pixels(markup: str) -> list[np.ndarray]:
    """The images of an element, as arrays."""
    sources = re.findall(r"data:image/png;base64,([^\"]+)", markup)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(source)))) for source in sources]


@pytest.mark.parametrize(
    "made",
    [
        lambda text: elements.note(text),
        lambda text: elements.lines([text, text]),
        lambda text: elements.table([(text, [text])], text),
        lambda text: elements.data_table(pd.DataFrame({text: [text]}), text),
        lambda text: elements.slider("name", text, {text: text}),
        lambda text: elements.picture(np.zeros((2, 2), np.uint8), text),
        lambda text: elements.contents([("name", text)]),
        lambda text: elements.coloured(text, "red"),
        lambda text: elements.figure("data:,", text, text, 10),
    ],
)
@given(TEXTS)
def test_a_text_stays_text(made, text):
    for hostile in (text, HOSTILE):
        page = BeautifulSoup(str(made(hostile)), "html.parser")
        assert not page.find("script")
        assert not page.find(lambda element: element.name == "b" and element.text == "bold")
        assert not [element for element in page.find_all(True) if "onload" in element.attrs]
        seen = page.get_text() + "".join(image.get("alt", "") for image in page.find_all("img"))
        assert "".join(hostile.split()) in "".join(seen.split())


def test_elements_within_elements_are_elements():
    inner = elements.lines(["one", "two"])
    page = BeautifulSoup(str(elements.table([(inner, [elements.note("x")])])), "html.parser")
    assert page.td.small.text == "two"
    assert page.p.text == "x"


def test_an_image_is_black_ink_on_white_or_light_with_whole_pixels():
    image = np.arange(400, dtype=np.uint8).reshape(20, 20)
    ink, light = (elements.picture(image, "a", 70, ink=ink) for ink in (True, False))
    np.testing.assert_array_equal(pixels(ink)[0], 255 - image)
    np.testing.assert_array_equal(pixels(light)[0], image)
    assert "width:80px" in ink


def test_a_slider_has_a_stop_and_a_panel_for_each_text_and_starts_at_the_first():
    page = BeautifulSoup(str(elements.slider("lam", "λ:", {"0": "a", "4": "b"})), "html.parser")
    assert [stop.get("checked") is not None for stop in page.find_all("input")] == [True, False]
    assert [panel.text for panel in page.find_all(class_="panel")] == ["a", "b"]
    for panels in ({}, dict.fromkeys(map(str, range(elements.STOPS + 1)), "x")):
        with pytest.raises(ValueError, match="expected 1 to"):
            elements.slider("lam", "λ:", panels)


def test_the_small_lines_of_a_cell():
    page = BeautifulSoup(str(elements.data_table(pd.DataFrame({"a": ["1 %\n0 to 2\ntrees"]}))), "html.parser")
    assert [small.text for small in page.td.find_all("small")] == ["0 to 2", "trees"]
