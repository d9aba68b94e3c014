"""python -m benchmarks screens: pictures of the pages for the documents, made of the sample photos."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from PIL import Image

from benchmarks.browser.server import WAIT_S, serve
from benchmarks.peers.children import run_child, simsearch
from benchmarks.samples import make_samples

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from benchmarks.browser.visitor import Visitor

OUT = Path(__file__).resolve().parents[2] / "docs" / "screens"
MODEL = "efficientnet_lite0"
WIDE, NARROW, HIGH = 1280, 390, 844
QUALITY, LARGEST = 85, 120_000
GRID = 30
# Where the cup is in coffee.png, as fractions of the picture.
CUP = "0.27,0.02,0.44,0.78"
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("screens")
@click.option("--index", type=FOLDER, help="Of an index of the sample photos. [default: made anew]")
@click.option("--out", type=NEW_FOLDER, default=OUT, help="Where they go. [default: docs/screens]")
def screens(index: Path | None, out: Path) -> None:
    """Take a picture of each page."""
    from benchmarks.browser.visitor import chromium

    out.mkdir(parents=True, exist_ok=True)
    with _place() as place:
        photos = place / "home" / "Pictures"
        make_samples(photos)
        if index is None:
            index = place / "photos"
            run_child(simsearch("index", photos, "-i", index, "--model", MODEL, "-q"))
        with chromium() as browser:
            with serve("-i", index, "-q", cwd=place) as server:
                for file, take in SCENES.items():
                    _keep(out / file, take(browser, server.address))
            home = {"HOME": str(place / "home"), "SIMSEARCH_MODEL": MODEL}
            with serve("-i", place / "new", "-q", cwd=place, environment=home) as server:
                _keep(out / "welcome.jpg", _welcome(browser, server.address))


@contextmanager
def _place() -> Iterator[Path]:
    """An empty folder whose name the pictures may show, since it is the same every time."""
    place = Path(tempfile.gettempdir(), "simsearch-screens")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place)


@contextmanager
def _visit(browser: Browser, address: str, *, width: int = WIDE, dark: bool = False) -> Iterator[Visitor]:
    from benchmarks.browser.visitor import Visitor

    visitor = Visitor(browser, address, width=width, height=HIGH, dark=dark)
    try:
        yield visitor
    finally:
        visitor.close()


def _search(browser: Browser, address: str) -> bytes:
    with _visit(browser, address) as visitor:
        return visitor.go().screenshot()


def _hits(browser: Browser, address: str) -> bytes:
    with _visit(browser, address) as visitor:
        return visitor.go(_like(visitor, "motorcycle_left.png")).screenshot()


def _region(browser: Browser, address: str) -> bytes:
    with _visit(browser, address) as visitor:
        return visitor.go(f"{_like(visitor, 'coffee.png')}@{CUP}").screenshot()


def _phone(browser: Browser, address: str) -> bytes:
    with _visit(browser, address, width=NARROW) as visitor:
        return visitor.go(_like(visitor, "chelsea.png")).screenshot()


def _dark(browser: Browser, address: str) -> bytes:
    with _visit(browser, address, dark=True) as visitor:
        return visitor.go(_like(visitor, "rocket.jpg")).screenshot()


def _duplicates(browser: Browser, address: str) -> bytes:
    with _visit(browser, address) as visitor:
        page = visitor.go()
        visitor.follow("Duplicates")
        page.get_by_role("button", name="Look for copies").click()
        group = page.locator("ol li button[data-key]").filter(has_text="coffee").first
        group.click(timeout=10 * WAIT_S * 1000)
        page.locator("figure img").first.wait_for()
        # It stays where the list was scrolled to.
        page.get_by_test_id("stMain").evaluate("(main) => main.scrollTo({ top: 0 })")
        visitor.settle()
        return page.screenshot()


def _map(browser: Browser, address: str) -> bytes:
    with _visit(browser, address) as visitor:
        page = visitor.go()
        visitor.follow("Map")
        page.wait_for_selector(".part[data-drawn]")
        _point_at_a_picture(page)
        visitor.settle()
        return page.screenshot()


def _index(browser: Browser, address: str) -> bytes:
    with _visit(browser, address) as visitor:
        page = visitor.go()
        visitor.follow("Index")
        return page.screenshot()


def _welcome(browser: Browser, address: str) -> bytes:
    with _visit(browser, address) as visitor:
        page = visitor.go()
        page.get_by_role("button", name="Pictures", exact=True).click()
        page.get_by_text("seems to hold").wait_for(timeout=10 * WAIT_S * 1000)
        # The hint of the button that was pressed would lie over the field.
        page.mouse.move(WIDE - 1, HIGH - 1)
        page.evaluate("document.activeElement?.blur()")
        page.get_by_role("tooltip").wait_for(state="detached")
        visitor.settle()
        return page.screenshot()


SCENES: dict[str, Callable[[Browser, str], bytes]] = {
    "search.jpg": _search,
    "hits.jpg": _hits,
    "region.jpg": _region,
    "phone.jpg": _phone,
    "dark.jpg": _dark,
    "map.jpg": _map,
    "index.jpg": _index,
    "duplicates.jpg": _duplicates,
}
"""What is shown of the pages, by the name of its file."""


def _like(visitor: Visitor, name: str) -> str:
    """The address of the search by a photo of that name."""
    page: Page = visitor.go(f"?name={name}")
    chosen = page.locator("li[data-id]").first.get_attribute("data-id")
    return f"?like={chosen}"


def _point_at_a_picture(page: Page) -> None:
    """Move over the map, from its middle on, until the card of a picture is shown."""
    box, card = page.locator(".stage").bounding_box(), page.locator(".card")
    for place in range(GRID * GRID if box else 0):
        across, down = place % GRID, (place // GRID + GRID // 2) % GRID
        if box and not card.is_visible():
            page.mouse.move(
                box["x"] + box["width"] * (across + 0.5) / GRID,
                box["y"] + box["height"] * (down + 0.5) / GRID,
            )


def _keep(path: Path, shot: bytes) -> None:
    """Write a picture as JPEG, as small as the documents may have it."""
    quality = QUALITY
    while True:
        stream = io.BytesIO()
        with Image.open(io.BytesIO(shot)) as image:
            image.convert("RGB").save(stream, "JPEG", quality=quality, optimize=True, progressive=True)
        if stream.tell() <= LARGEST or quality < 50:
            break
        quality -= 5
    path.write_bytes(stream.getvalue())
    print(f"{path.name}: {stream.tell():,} bytes, quality {quality}", file=sys.stderr)
