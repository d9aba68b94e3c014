"""What the server holds in memory while all thumbnails of a collection are paged through, again and again."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from playwright.sync_api import Page

from benchmarks.browser.server import Server
from benchmarks.browser.visitor import Visitor

_SCROLL = """async () => {
  const main = document.querySelector("[data-testid=stMain]");
  for (let at = 0; at < main.scrollHeight; at += innerHeight) {
    main.scrollTo({ top: at });
    await new Promise(requestAnimationFrame);
  }
  main.scrollTo({ top: main.scrollHeight });
}"""
# Every picture of the page, in sight or not: how many there are, and how many have come.
_LOADED = """() => {
  const pictures = [...document.querySelectorAll("*")]
    .flatMap((at) => [...(at.shadowRoot?.querySelectorAll("li[data-id] img") ?? [])]);
  return pictures.length && pictures.every((one) => one.complete && one.naturalWidth) ? pictures.length : 0;
}"""


@dataclass(frozen=True, slots=True)
class Pass:
    """One way through all pages: pages, thumbnails shown, seconds, and MiB in memory after it."""

    pages: int
    pictures: int
    seconds: float
    server: float
    below: float


def page_through(visitor: Visitor, server: Server) -> Pass:
    """Load the first page anew, turn to the last one, and have every thumbnail sent by the server."""
    began, shown = time.perf_counter(), 0
    page = visitor.page
    # Else the browser would show what it kept of the pass before.
    page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    visitor.go()
    pages = _pages(page)
    for number in range(1, pages + 1):
        if number > 1:
            page.get_by_role("button", name="Next page").click()
            page.get_by_text(re.compile(f"^Page {number} of {pages}$")).wait_for()
            visitor.settle()
        page.evaluate(_SCROLL)
        shown += int(page.wait_for_function(_LOADED).json_value())
    return Pass(pages, shown, time.perf_counter() - began, *server.memory())


def _pages(page: Page) -> int:
    told = page.get_by_text(re.compile(r"^Page 1 of \d+$")).inner_text()
    return int(told.rpartition(" ")[2])
