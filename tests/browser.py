"""Chromium, for tests of what a reader sees: pages from disk, with the network off."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WIDTHS = (360, 1280)  # pixels: a phone's, a desk's
A4 = 650  # pixels between the margins of a sheet
WIDER = "[...document.querySelectorAll('.scroll')].some(one => one.scrollWidth > one.clientWidth + 1)"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@contextmanager
def chromium() -> Iterator[Any]:
    """Playwright's browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, path: Path, width: int, columns: bool = True) -> Iterator[Any]:
    """The page at `path`, offline and so many pixels wide; when done with, that it asked for nothing and fits."""
    page, requests, complaints = browser.new_page(viewport={"width": width, "height": 800}, has_touch=True), [], []
    page.context.set_offline(True)
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    assert fits(page, width), f"{path.name} scrolls sideways at {width} pixels"
    assert not columns or width < max(WIDTHS) or not page.evaluate(WIDER), "something is wider than its column"
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)"), "an image did not load"
    yield page
    page.close()
    assert all(url == path.as_uri() or url.startswith("data:") for url in requests), requests
    assert not complaints, complaints


def fits(page: Any, width: int) -> bool:
    """Whether nothing sticks out to the right of `width` pixels."""
    return page.evaluate("document.documentElement.scrollWidth") <= width


def fits_paper_and_the_dark(page: Any) -> None:
    """Dark where the reader's system is, white on paper, and no wider. Leaves the page as wide as paper."""
    papers = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(papers) == 2
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.set_viewport_size({"width": A4, "height": 1000})
    assert fits(page, A4), "a table or figure is cut off on paper"
