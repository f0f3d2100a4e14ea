"""The look at pages has eyes: what no report may do is seen."""

import pytest
from browser import chromium, fits_paper_and_the_dark, needs_chromium, opened

FAULTS = {
    "asks for something": '<script>fetch("https://example.org/").catch(() => {})</script>',
    "shows a picture from elsewhere": '<img src="https://example.org/picture.png" alt="">',
    "breaks": "<script>throw new Error('broken')</script>",
    "says something": "<script>console.error('broken')</script>",
    "is too wide": '<div style="width: 3000px">wide</div>',
    "is wider than its column": '<div class="scroll" style="width: 9px; overflow: auto"><p style="width: 99px">x</div>',
    "knows no dark": "",
}


@needs_chromium
@pytest.mark.parametrize("fault", FAULTS)
def test_a_page_with_a_fault_is_found_out(fault, tmp_path):
    (tmp_path / "page.html").write_text(f"<!doctype html><title>.</title><p>text</p>{FAULTS[fault]}", encoding="utf-8")
    page = tmp_path / "page.html"
    with chromium() as browser, pytest.raises(AssertionError), opened(browser, page, 1280) as shown:
        fits_paper_and_the_dark(shown) if fault == "knows no dark" else shown.wait_for_timeout(200)


@needs_chromium
def test_a_plain_page_is_let_pass(tmp_path):
    (tmp_path / "page.html").write_text("<!doctype html><title>.</title><p>text</p>", encoding="utf-8")
    with chromium() as browser, opened(browser, tmp_path / "page.html", 1280) as page:
        page.wait_for_timeout(200)
