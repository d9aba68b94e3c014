"""Why a hit is alike, in the browser: both pictures under their heat, what matches what, what goes wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from playwright.sync_api import Page, expect

from simsearch.engine.index import Index
from simsearch.errors import SimsearchError
from simsearch.quality.why.explain import basis_of, explain
from simsearch.ui.http.why.asking import Explainer
from simsearch.ui.http.why.framed import framed
from simsearch.ui.pages.search.wanted import Example
from simsearch.ui.shared import library
from ui.browser import Visitor

Visit = Callable[..., Visitor]
WAIT_MS = 300_000


def opened(visitor: Visitor, name: str = "coffee") -> Page:
    """The panel of the second hit of a search, with the question asked."""
    page = visitor.go(f"?name={name}")
    page.locator(".pick").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Like")
    visitor.settle()
    page.locator("li[data-id]").nth(1).hover()
    page.locator("li[data-id]").nth(1).locator(".more").click()
    page.get_by_role("button", name="Why alike?").click()
    return page


def test_both_pictures_are_shown_under_their_heat(visit: Visit, address: str) -> None:
    visitor = visit(address)
    page = opened(visitor)
    expect(page.get_by_role("status")).to_contain_text("Looking at both pictures")
    expect(page.locator(".why .cells")).to_have_count(2, timeout=WAIT_MS)
    expect(page.locator(".why .cell")).to_have_count(98)
    expect(page.locator(".why figcaption").first).to_have_text("coffee.jpg")
    visitor.shot("explain-wide")
    assert visitor.barriers() == []
    # A place of the first shows what it matches in the second.
    told = page.locator(".why .told")
    before = page.evaluate(HEAT)
    page.locator(".why .cells").first.locator(".cell").nth(24).click()
    expect(told).to_contain_text("This place adds")
    after = page.evaluate(HEAT)
    assert before[0] == after[0]
    assert before[1] != after[1]
    visitor.shot("explain-place")
    # The heat is as strong as the slider says.
    page.get_by_label("Strength of the heat").fill("0")
    assert page.locator(".why .heat").first.evaluate("(heat) => getComputedStyle(heat).opacity") == "0"
    page.get_by_role("button", name="Only the picture").click()
    expect(page.locator(".why")).to_have_count(0)


HEAT = """() => [...document.querySelectorAll("*")].map((one) => one.shadowRoot).filter(Boolean).flatMap(
  (root) => [...root.querySelectorAll("canvas.heat")]).map((heat) => heat.toDataURL())"""


def test_the_keyboard_is_enough_on_a_phone_in_the_dark(visit: Visit, address: str) -> None:
    visitor = visit(address, width=390, dark=True)
    page = opened(visitor)
    cells = page.locator(".why .cells").first.locator(".cell")
    expect(cells).to_have_count(49, timeout=WAIT_MS)
    cells.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(cells.nth(8)).to_be_focused()
    page.keyboard.press("Enter")
    expect(cells.nth(8)).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".why .told")).to_contain_text("This place adds")
    # One Escape lets go of the place, the next one closes the panel.
    page.keyboard.press("Escape")
    expect(cells.nth(8)).to_have_attribute("aria-pressed", "false")
    expect(page.locator("dialog[open]")).to_have_count(1)
    visitor.shot("explain-phone")
    assert visitor.barriers() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_a_picture_that_was_given_is_compared(visit: Visit, address: str, tmp_path: Path) -> None:
    """And with a second example the panel asks which of the two is meant."""
    picture(5, (300, 200)).save(tmp_path / "new photo.jpg")
    visitor = visit(address)
    page = visitor.go()
    page.locator("input[type=file]").set_input_files(tmp_path / "new photo.jpg")
    expect(page.get_by_role("heading", level=1)).to_have_text("Like new photo.jpg")
    visitor.settle()
    page.locator("li[data-id]").first.hover()
    page.locator("li[data-id]").first.locator(".plus").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("and 1 more")
    visitor.settle()
    page.locator("li[data-id]").nth(1).hover()
    page.locator("li[data-id]").nth(1).locator(".more").click()
    page.get_by_role("button", name="Why alike?").click()
    expect(page.locator(".why figcaption").first).to_have_text("new photo.jpg", timeout=WAIT_MS)
    second = page.get_by_label("Compared with").locator("option").nth(1).text_content()
    page.get_by_label("Compared with").select_option(index=1)
    expect(page.locator(".why figcaption").first).to_have_text(second or "", timeout=WAIT_MS)
    assert visitor.barriers() == []


def test_the_process_says_what_the_command_does(shown_index: Path) -> None:
    """By a region as well, which is drawn where it is; a process that is late is told of and replaced."""
    lib = library(str(shown_index))
    basis = basis_of(lib.index)
    one, other = (int(number) for number in sorted(photo.id for photo in lib.index.photos())[:2])
    sides = [framed(lib, Example(indexed=number)) for number in (one, other)]
    explainer = Explainer()
    try:
        told = explainer.ask(basis, sides[0].pixels, sides[1].pixels)
        paths = [lib.index.paths_of(number)[0] for number in (one, other)]
        direct = explain(paths[0], paths[1], lib.index)
        assert told.score == pytest.approx(direct.score, abs=1e-6)
        assert np.allclose(told.pairs, direct.likeness.pairs, atol=1e-6)
        assert sides[0].area == direct.first.looked_at
    finally:
        explainer.close()
    part = framed(lib, Example(indexed=one, box=(0.5, 0.5, 0.5, 0.5)))
    assert part.area.x > part.size[0] / 2
    assert part.area.y > part.size[1] / 2
    late = Explainer(seconds=0.01)
    with pytest.raises(SimsearchError, match=r"It took longer than 0\.01 s"):
        late.ask(basis, sides[0].pixels, sides[1].pixels)
    late.close()


def test_weights_that_are_gone_are_told(shown_index: Path, tmp_path: Path) -> None:
    with Index.open(shown_index) as index:
        basis = basis_of(index)
    lost = basis.spec.__class__.from_json(basis.spec.to_json().replace(basis.spec.weights_sha256, "0" * 64))
    explainer = Explainer()
    blank = np.zeros((224, 224, 3), np.uint8)
    try:
        with pytest.raises(SimsearchError, match="no such file is at"):
            explainer.ask(type(basis)(lost, None), blank, blank)
        assert explainer.ask(basis, blank, blank).score == pytest.approx(1)
    finally:
        explainer.close()


def test_the_server_loads_no_torch() -> None:
    code = "import sys, simsearch.ui.http.why.route; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.split() == [b"False"]
