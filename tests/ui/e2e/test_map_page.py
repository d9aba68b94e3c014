"""The map in a real browser: by mouse and by keyboard, light, dark and narrow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from ui.browser import Visitor

Visit = Callable[..., Visitor]


def opened(visitor: Visitor) -> Page:
    """The map, gone to as a person does."""
    page = visitor.go()
    page.get_by_role("link", name="Map").click()
    page.wait_for_selector(".part[data-drawn]")
    visitor.settle()
    return page


def drawn_anew(page: Page) -> None:
    """Wait until what was done last is on the screen: it is drawn in the next frame."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_by_keyboard(visit: Visit, address: str) -> None:
    visitor = visit(address)
    page = opened(visitor)
    stage = page.get_by_role("application", name="Map of the pictures")
    stage.focus()
    page.keyboard.press("ArrowRight")
    said = page.locator(".said")
    expect(said).not_to_be_empty()
    first = said.inner_text()
    for key in ("ArrowLeft", "ArrowUp", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    expect(said).not_to_have_text(first)
    seen = page.locator(".part[data-drawn]")
    whole = int(seen.get_attribute("data-seen") or 0)
    for _ in range(8):
        page.keyboard.press("+")
    page.wait_for_function(
        "([part, whole]) => Number(part.dataset.seen) < whole", arg=[seen.element_handle(), whole]
    )
    page.keyboard.press("0")
    expect(seen).to_have_attribute("data-seen", str(whole))
    name = said.inner_text().split(",")[0]
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def test_by_mouse(visit: Visit, address: str) -> None:
    visitor = visit(address)
    page = opened(visitor)
    stage, card = page.locator(".stage"), page.locator(".card")
    box = stage.bounding_box()
    assert box is not None
    expect(card).to_be_hidden()
    # Over the map line by line, until a picture is pointed at.
    for place in range(400):
        page.mouse.move(
            box["x"] + box["width"] * (place % 20 + 0.5) / 20,
            box["y"] + box["height"] * (place // 20 + 0.5) / 20,
        )
        drawn_anew(page)
        if card.is_visible():
            break
    drawn = page.locator(".part[data-drawn]")
    expect(drawn).to_have_attribute("data-drawn", "dots")
    visitor.shot("map_hover")
    for _ in range(30):
        if drawn.get_attribute("data-drawn") == "pictures":
            break
        page.mouse.wheel(0, -120)
        drawn_anew(page)
    expect(drawn).to_have_attribute("data-drawn", "pictures")
    visitor.settle()
    expect(card.locator("img")).to_have_js_property("complete", True)
    name = card.locator(".name").inner_text()
    visitor.shot("map_pictures")
    page.mouse.down()
    page.mouse.up()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


@pytest.mark.parametrize(
    ("name", "width", "dark"), [("light", 1280, False), ("dark", 1280, True), ("phone", 390, False)]
)
def test_nothing_keeps_people_out(visit: Visit, address: str, name: str, width: int, dark: bool) -> None:
    visitor = visit(address, width=width, dark=dark)
    page = opened(visitor)
    page.locator(".stage").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="Search by this picture")).to_be_visible()
    visitor.settle()
    visitor.shot(f"map_{name}")
    assert visitor.barriers() == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
