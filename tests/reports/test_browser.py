"""The page in a real browser: headless Chromium, where one is installed."""

import os
import shutil
import time
from pathlib import Path

import pytest

from reports.build import write

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
]
ROOT = Path(__file__).parents[2]
NARROW, WIDE = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as player:
        running = player.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield running
        running.close()


@pytest.fixture
def opened(browser, results, tmp_path):
    """(a function that opens the page, what went wrong in it)."""
    path, wrong, pages = write(results, tmp_path / "out"), [], []

    def visit(viewport=WIDE, scheme="light"):
        tab = browser.new_page(viewport=viewport, color_scheme=scheme)
        pages.append(tab)
        tab.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on(
            "request",
            lambda r: wrong.append(r.url) if not r.url.startswith(("file:", "data:")) else None,
        )
        tab.goto(path.as_uri())
        return tab

    yield visit, wrong
    for tab in pages:
        tab.close()


def test_nothing_goes_wrong_and_nothing_is_fetched(opened):
    visit, wrong = opened
    tab = visit()
    tab.wait_for_timeout(300)
    assert wrong == []
    images = tab.evaluate(
        "[...document.images].map(i => [i.complete && i.naturalWidth > 0, i.alt])"
    )
    assert images
    assert all(loaded and alt for loaded, alt in images)


def test_nothing_overflows_a_phone(opened):
    visit, _ = opened
    assert visit(NARROW).evaluate("document.documentElement.scrollWidth") <= 360


def test_tables_sort_by_number_both_ways(opened):
    visit, _ = opened
    tab = visit()
    column = "#ablations tbody td"
    head = tab.locator("#ablations thead button", has_text="value")
    head.click()
    assert tab.locator(column).all_inner_texts() == ["0.15", "0.725 ± 0.1", "10", "–"]
    head.press("Enter")
    assert tab.locator(column).all_inner_texts() == ["10", "0.725 ± 0.1", "0.15", "–"]
    assert tab.locator("#ablations thead th").nth(1).get_attribute("aria-sort") == "descending"


def test_the_slider_moves_by_mouse_and_keyboard(opened):
    visit, _ = opened
    tab = visit()
    slider, stack = tab.locator(".compare input"), tab.locator(".compare .stack")
    box = slider.bounding_box()
    slider.click(position={"x": box["width"] * 0.2, "y": box["height"] / 2})
    by_mouse = int(slider.input_value())
    assert 10 < by_mouse < 30
    slider.press("ArrowRight")
    assert int(slider.input_value()) == by_mouse + 1
    assert f"--at: {by_mouse + 1}%" in stack.get_attribute("style")


def test_figures_enlarge_and_their_points_have_names(opened):
    visit, _ = opened
    tab = visit()
    titles = tab.locator("#throughput svg title").all_text_contents()
    assert any("tiny-widened-denoise-b1" in title for title in titles)
    tab.locator(".enlarge-figure").first.click()
    assert tab.locator("dialog svg").is_visible()
    tab.keyboard.press("Escape")
    assert not tab.locator("dialog svg").is_visible()


def test_the_committed_page_is_sound_too(browser, tmp_path):
    """Its size, its images, its width on a phone, and axe's verdict."""
    from axe_playwright_python.sync_playwright import Axe

    start = time.perf_counter()
    path = write(ROOT / "results", tmp_path)
    assert time.perf_counter() - start < 60
    assert path.stat().st_size < 8e6
    tab = browser.new_page(viewport=NARROW)
    tab.goto(path.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    images = tab.evaluate("[...document.images].map(i => i.alt)")
    assert len(images) > 5
    assert all(images)
    violations = Axe().run(tab).response["violations"]
    tab.close()
    assert [v["id"] for v in violations if v["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(opened, scheme):
    from axe_playwright_python.sync_playwright import Axe

    visit, _ = opened
    found = Axe().run(visit(scheme=scheme)).response["violations"]
    serious = [
        (v["id"], v["nodes"][0]["html"][:200])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []
