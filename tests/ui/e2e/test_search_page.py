"""The Search page in a browser: a picture is given or chosen, its hits are gone through and narrowed."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import picture
from playwright.sync_api import Locator, Page, expect

from ui.browser import Visitor

Visit = Callable[..., Visitor]


@pytest.fixture
def visitor(visit: Visit, address: str) -> Iterator[Visitor]:
    """One who has not been here before; at the end nothing may keep people out of what is shown."""
    came: Visitor = visit(address)
    yield came
    assert barriers(came) == []


def barriers(visitor: Visitor) -> list[str]:
    """What keeps people out, once nothing fades in or out any more."""
    visitor.settle()
    visitor.page.wait_for_function(
        "() => !document.querySelector('[data-stale=true]') && !document.getAnimations().length"
    )
    return visitor.barriers()


def card(page: Page, name: str) -> Locator:
    """The first picture of that name in the gallery."""
    return page.locator("li[data-id]").filter(has_text=re.compile(re.escape(name))).first


def searched(visitor: Visitor, title: str | re.Pattern[str]) -> None:
    """Wait until the page says that it shows this search."""
    # As a list: while the page changes, the heading before is still there.
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text([title])
    visitor.settle()


def test_a_click_searches_and_there_is_a_way_back(visitor: Visitor) -> None:
    """By Back, by Escape, by the browser's own button; a reload keeps the search."""
    page = visitor.go()
    visitor.shot("search-start")
    page.get_by_label("Name contains").fill("coffee")
    page.keyboard.press("Enter")
    expect(page.locator("li[data-id]")).to_have_count(5)
    card(page, "coffee.png").locator(".pick").click()
    searched(visitor, "Like coffee.png")
    expect(page.locator("li[data-id]")).to_have_count(4)
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.locator("li[data-id]")).to_have_count(60)
    expect(page.locator(".name").first).to_have_text("coffee.jpg")
    visitor.shot("search-hits")
    page.reload()
    searched(visitor, "Like coffee.png")
    card(page, "coffee.jpg").locator(".pick").click()
    searched(visitor, "Like coffee.jpg")
    page.keyboard.press("Escape")
    searched(visitor, "Like coffee.png")
    page.go_back()
    searched(visitor, "Like coffee.jpg")
    page.get_by_role("button", name="Back").click()
    searched(visitor, "Like coffee.png")


def test_the_keyboard_is_enough(visitor: Visitor) -> None:
    """Arrow keys go through the pictures, Enter searches and the focus goes on to the hits."""
    page = visitor.go("?name=moon")
    page.locator(".pick").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    third = page.locator(".pick").nth(2)
    expect(third).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator(".pick").nth(4)).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    searched(visitor, re.compile("Like moon"))
    expect(page.locator(".pick").first).to_be_focused()
    # One stop of Tab on the pictures, then the buttons of that one.
    page.keyboard.press("Tab")
    expect(page.locator("li[data-id]").first.locator(".plus")).to_be_focused()


def test_a_picture_is_given(visitor: Visitor, tmp_path: Path) -> None:
    """Chosen, pasted or dropped; what is no picture is refused in words and the page goes on."""
    new, bad = tmp_path / "new photo.jpg", tmp_path / "notes.jpg"
    picture(5, (300, 200)).save(new)
    bad.write_text("no picture at all")
    page = visitor.go()
    page.locator("input[type=file]").set_input_files(bad)
    expect(page.get_by_role("alert").filter(has_text="notes.jpg")).to_contain_text(
        "is no picture that can be used"
    )
    visitor.shot("search-refused")
    # The browser itself tells its console of an answer that is none.
    visitor.complaints = [told for told in visitor.complaints if "415" not in told and "422" not in told]
    page.locator("input[type=file]").set_input_files(new)
    searched(visitor, "Like new photo.jpg")
    expect(page.get_by_role("alert").filter(has_text="notes.jpg")).to_have_count(0)
    expect(page.locator("li[data-id]")).to_have_count(60)
    page.evaluate(GIVE, {"how": "paste", "name": "pasted.png"})
    searched(visitor, "Like pasted.png")
    page.evaluate(GIVE, {"how": "drop", "name": "dropped.png"})
    searched(visitor, "Like dropped.png")


GIVE = """async ({ how, name }) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  canvas.getContext("2d").fillRect(8, 8, 20, 30);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve));
  const data = new DataTransfer();
  data.items.add(new File([blob], name, { type: "image/png" }));
  const told = { bubbles: true, cancelable: true, composed: true };
  document.body.dispatchEvent(how === "paste"
    ? new ClipboardEvent("paste", { ...told, clipboardData: data })
    : new DragEvent("drop", { ...told, dataTransfer: data }));
}"""


def test_a_region_is_drawn_moved_and_taken_away(visitor: Visitor) -> None:
    """By mouse and by keyboard; the address holds it as fractions of the picture."""
    page = visitor.go("?like=1")
    canvas = page.locator(".canvas")
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')]"
        ".some(at => at.shadowRoot?.querySelector('.canvas img')?.complete)"
    )
    place = canvas.bounding_box()
    assert place is not None
    page.mouse.move(place["x"] + place["width"] * 0.25, place["y"] + place["height"] * 0.25)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] * 0.5, place["y"] + place["height"] * 0.5, steps=3)
    page.mouse.move(place["x"] + place["width"] * 0.75, place["y"] + place["height"] * 0.75, steps=3)
    page.mouse.up()
    searched(visitor, re.compile("^Like a region of "))
    visitor.shot("search-region")
    drawn = box_in(page.url)
    assert drawn == pytest.approx([0.25, 0.25, 0.5, 0.5], abs=0.01)
    page.locator(".canvas .box").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_function("before => location.href !== before", arg=page.url)
    visitor.settle()
    moved = [drawn[0] - 0.02, drawn[1], drawn[2], drawn[3] + 0.02]
    assert box_in(page.url) == pytest.approx(moved, abs=0.001)
    page.keyboard.press("Delete")
    searched(visitor, re.compile("^Like (?!a region)"))
    assert page.url.endswith("?like=1")


def box_in(url: str) -> list[float]:
    return [float(part) for part in url.split("%40")[1].split("%2C")]


def test_examples_are_added_and_taken_away(visitor: Visitor) -> None:
    """More like one, less like another, by the buttons over a picture and by its panel."""
    page = visitor.go("?like=1")
    first, second = (page.locator("li[data-id]").nth(place) for place in (0, 5))
    more, less = first.get_attribute("data-id"), second.get_attribute("data-id")
    first.hover()
    first.locator(".plus").click()
    page.wait_for_url(f"**/?like=1&like={more}")
    visitor.settle()
    unwanted = page.locator(f"li[data-id='{less}']")
    unwanted.locator(".more").click()
    visitor.settle()
    visitor.shot("search-panel")
    assert barriers(visitor) == []
    page.get_by_role("button", name="Less like this").click()
    page.wait_for_url(f"**/?like=1&like={more}&unlike={less}")
    visitor.settle()
    visitor.shot("search-examples")
    expect(page.locator(".chips li")).to_have_count(3)
    page.locator(".chips .minus button").click()
    page.wait_for_url(f"**/?like=1&like={more}")
    expect(page.locator(".chips li")).to_have_count(2)


def test_a_path_is_copied_and_the_hits_are_taken_along(visitor: Visitor) -> None:
    """The clipboard holds the path; the table all hits above the cut."""
    page = visitor.go("?like=1")
    page.locator(".more").first.click()
    page.get_by_role("button", name="Copy path").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    path = page.evaluate("navigator.clipboard.readText()")
    assert Path(path).is_file()
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    slider = page.locator("#cut")
    slider.focus()
    page.keyboard.press("End")
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    label = page.locator("label[for=cut]")
    above = int(re.findall(r": (\d+) of the best", label.inner_text())[0])
    expect(page.locator("li[data-id]")).to_have_count(above)
    expect(slider).to_be_focused()
    with page.expect_download() as downloading:
        page.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(downloading.value.path()).read_text())))
    assert len(rows) == above > 0
    assert rows[0]["path"] == path


def test_the_next_page_and_filters_of_hits(visitor: Visitor) -> None:
    """60 hits a page; a filter narrows the hits and can be cleared."""
    page = visitor.go("?like=1")
    first = page.locator(".name").first.inner_text()
    page.get_by_role("button", name="Next page").click()
    expect(page.get_by_text("Page 2 of 2")).to_be_visible()
    expect(page.locator("li[data-id]")).to_have_count(34)
    page.get_by_role("button", name="Previous page").click()
    expect(page.locator("li[data-id]")).to_have_count(60)
    expect(page.locator(".name").first).to_have_text(first)
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Width of at least").fill("1000")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?like=1&width=1000")
    # Four of the retina and three of the deep field are so wide.
    expect(page.locator("li[data-id]")).to_have_count(7)
    visitor.settle()
    visitor.shot("search-filters")
    page.get_by_role("button", name="Clear the filter").click()
    page.wait_for_url("**/?like=1")
    expect(page.locator("li[data-id]")).to_have_count(60)


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_in_light_and_dark(visit: Visit, address: str, dark: bool) -> None:
    """Nothing is wider than the screen, and nothing too faint."""
    width = 390
    visitor: Visitor = visit(address, width=width, dark=dark)
    look = "phone-dark" if dark else "phone"
    for where, name in (("", "start"), ("?like=1&like=2&unlike=3", "hits")):
        page = visitor.go(where)
        visitor.shot(f"search-{name}-{look}")
        assert barriers(visitor) == []
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    page.locator(".more").first.click()
    visitor.shot(f"search-panel-{look}")
    assert barriers(visitor) == []
    box = page.locator("dialog[open]").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
