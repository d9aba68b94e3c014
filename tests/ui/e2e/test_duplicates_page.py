"""The duplicates in a real browser: by keyboard, by touch, light, dark, narrow; files go and come back."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from acts.ground import tree
from conftest import age
from PIL import ImageOps
from playwright.sync_api import Locator, Page, expect

from ui.browser import Visitor, served
from ui.scenes import enter, scene

Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Three groups: a picture with its half-size and its mirrored part; two files alike; one saved twice."""
    work = tmp_path_factory.mktemp("duplicates").resolve()
    photos, index = work / "photos", work / "index"
    for name in "abc":
        (photos / name).mkdir(parents=True)
    one, two, three = scene(1), scene(2), scene(3)
    one.save(photos / "a" / "one.png")
    one.resize((240, 160)).save(photos / "b" / "one <b>half<b> *.jpg", quality=90)
    ImageOps.mirror(one.crop((60, 30, 480, 320))).save(photos / "c" / "one.jpg", quality=92)
    two.save(photos / "a" / "two.jpg", quality=95)
    shutil.copy(photos / "a" / "two.jpg", photos / "b" / "two.jpg")
    three.save(photos / "a" / "three.jpg", quality=95)
    three.save(photos / "b" / "three.jpg", quality=60)
    age(photos)
    enter(photos, index)
    return photos, index


@pytest.fixture(scope="module")
def address(collection: tuple[Path, Path]) -> Iterator[str]:
    with served("-i", collection[1]) as where:
        yield where


def opened(visitor: Visitor) -> Page:
    """The groups, gone to as a person does, and looked for where nobody has yet."""
    page = visitor.go()
    page.get_by_role("link", name="Duplicates").click()
    expect(page.get_by_role("heading", name="Duplicates")).to_be_visible()
    look, rows = page.get_by_role("button", name="Look for copies"), groups(page)
    expect(look.or_(rows.first).first).to_be_visible()
    if look.is_visible():
        look.click()
    expect(rows).to_have_count(3)
    visitor.settle()
    return page


def groups(page: Page) -> Locator:
    return page.locator("ol li button[data-key]")


def status(page: Page) -> Locator:
    return page.locator(".status")


def view(page: Page, name: str) -> None:
    page.get_by_test_id("stButtonGroup").get_by_role("radio", name=name).or_(
        page.get_by_test_id("stButtonGroup").get_by_role("button", name=name)
    ).first.click()


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_by_keyboard_to_files_and_back(visit: Visit, address: str, collection: tuple[Path, Path]) -> None:
    photos, _ = collection
    before = tree(photos)
    visitor = visit(address)
    page = opened(visitor)
    assert visitor.barriers() == []
    visitor.shot("duplicates-groups")
    first = groups(page).filter(has_text="3 files")
    first.focus()
    press(page, "Enter")
    # The picture has more pixels than its half, and than its part.
    expect(status(page)).to_have_text(re.compile("^Proposed: 2 files of .* go, 1 is kept.$"))
    expect(page.locator("figure img")).to_have_count(2)
    visitor.settle()
    assert visitor.barriers() == []
    visitor.shot("duplicates-group")
    press(page, "3")
    expect(status(page)).to_have_text(re.compile("^Decided: 2 files of"))
    expect(page.locator("figure").first).to_contain_text("b/one <b>half<b> *.jpg")
    press(page, "u")
    expect(status(page)).to_have_text(re.compile("^Proposed: 2 files"))
    press(page, "x")
    expect(status(page)).to_have_text(re.compile("^Decided: 1 file of .* goes, 1 is kept, 1 more stays.$"))
    # What is decided is taken for said, and the next group comes.
    title = page.get_by_role("heading", level=2)
    expect(title).to_have_text(re.compile("^Group 2 of 3"))
    press(page, "a")
    expect(title).to_have_text(re.compile("^Group 3 of 3"))
    press(page, "k")
    expect(title).to_have_text(re.compile("^Group 2 of 3"))
    press(page, "Escape")
    expect(groups(page)).to_have_count(3)
    page.get_by_role("button", name="Accept all exact ones (1)").click()
    page.get_by_role("button", name="Summary (2 decided)").click()
    done = page.get_by_role("button", name="Do it")
    expect(done).to_be_enabled()
    visitor.settle()
    assert visitor.barriers() == []
    visitor.shot("duplicates-summary")
    assert tree(photos) == before
    done.click()
    expect(page.get_by_text("Done: 2 copies set aside")).to_be_visible()
    assert not (photos / "b" / "two.jpg").exists()
    expect(groups(page)).to_have_count(1)
    page.get_by_role("button", name="Take the answers back").click()
    expect(page.get_by_text("Remembered:")).to_have_count(0)
    visitor.settle()
    assert visitor.barriers() == []
    visitor.shot("duplicates-done")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone: 2 pictures put back")).to_be_visible()
    expect(groups(page)).to_have_count(3)
    assert tree(photos) == before
    view(page, "History")
    expect(page.get_by_text("undone (")).to_be_visible()
    visitor.settle()
    assert visitor.barriers() == []
    visitor.shot("duplicates-history")


def test_two_pictures_in_one_place(visit: Visit, address: str) -> None:
    visitor = visit(address, dark=True)
    page = opened(visitor)
    groups(page).filter(has_text="3 files").click()
    expect(page.locator("figure")).to_have_count(2)
    # One zoom for both.
    press(page, "+", "+")
    moves = page.locator(".content").evaluate_all("all => all.map((each) => each.style.transform)")
    assert len(moves) == 2
    assert moves[0] == moves[1] != "translate(0%, 0%) scale(1)"
    press(page, "0", "d")
    # The part is mirrored and cropped, and laid where it came from: it covers 420 x 290 of 480 x 320.
    said = page.locator(".measure")
    expect(said).to_have_text(re.compile("B shows 79 % of A.$"))
    visible = re.match(r"([0-9.]+) % of what both show differs visibly", said.inner_text())
    assert visible is not None
    assert float(visible[1]) < 40
    visitor.settle()
    visitor.shot("duplicates-difference-dark")
    press(page, "f")
    expect(page.locator("canvas")).to_have_count(2)
    # Held down, it is B that is seen, and it stays as long.
    page.locator("h2").focus()
    page.keyboard.down(" ")
    expect(page.locator("canvas:not([hidden])")).to_have_attribute("aria-label", re.compile("^B: "))
    page.keyboard.up(" ")
    press(page, "s")
    expect(page.locator("figure img")).to_have_count(2)


def test_at_the_width_of_a_phone_by_touch(visit: Visit, address: str) -> None:
    visitor = visit(address, width=390)
    page = opened(visitor)
    visitor.shot("duplicates-groups-phone")
    groups(page).filter(has_text="3 files").click()
    expect(page.locator("figure img")).to_have_count(2)
    page.get_by_role("button", name="Picture 3").click()
    page.get_by_role("button", name="It is another picture").click()
    expect(status(page)).to_have_text(re.compile("^Decided: 1 file of .* goes, 1 is kept, 1 more stays.$"))
    page.get_by_role("button", name="Take back").click()
    expect(status(page)).to_have_text(re.compile("^Proposed: "))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    visitor.settle()
    assert visitor.barriers() == []
    visitor.shot("duplicates-group-phone")


def test_it_is_taught_by_pairs(visit: Visit, address: str) -> None:
    visitor = visit(address)
    page = opened(visitor)
    view(page, "Teach")
    page.get_by_role("button", name="pairs to ask about").click()
    title = page.get_by_role("heading", level=2)
    expect(title).to_have_text(re.compile("^Pair 1 of [0-9]+: are these copies of one picture"))
    number = int(re.findall("[0-9]+", title.inner_text())[1])
    visitor.settle()
    assert visitor.barriers() == []
    visitor.shot("duplicates-teach")
    for pair in range(2, number + 1):
        press(page, "n" if pair == 2 else "j")
        expect(title).to_have_text(re.compile(f"^Pair {pair} of "))
    press(page, "y")
    expect(page.get_by_text(f"{min(2, number)} answer")).to_be_visible()
