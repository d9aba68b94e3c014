"""Two visitors at once: how soon one is answered while the other has something slow done."""

from __future__ import annotations

from playwright.sync_api import Browser

from benchmarks.browser.answers import begin_searching, end_searching, search_in_a_row
from benchmarks.browser.server import WAIT_S, Server
from benchmarks.browser.visitor import Visitor

ALONE, SEARCHING, COPIES = "nobody else", "another searches on and on", "another looks for copies"

Milliseconds = dict[str, list[float]]


def beside_a_search(browser: Browser, server: Server, times: int) -> Milliseconds:
    """Milliseconds of each of so many searches: first and last alone, and between while another searches."""
    one, other = Visitor(browser, server.address), Visitor(browser, server.address)
    page = one.go()
    other.go()
    found = {ALONE: search_in_a_row(page, times // 2)}
    begin_searching(other.page, parity=1)
    found[SEARCHING] = search_in_a_row(page, times)
    end_searching(other.page)
    found[ALONE] += search_in_a_row(page, times - times // 2)
    one.close()
    other.close()
    return found


def beside_copies(browser: Browser, server: Server, times: int) -> Milliseconds:
    """The same, while another has copies looked for in the same index, which reads every picture.

    Raises RuntimeError where that was over before the searches were.
    """
    one, other = Visitor(browser, server.address), Visitor(browser, server.address)
    page = one.go()
    other.go()
    found = {ALONE: search_in_a_row(page, times // 2)}
    other.follow("Duplicates")
    other.page.get_by_role("button", name="Look for copies").click()
    cancel = other.page.get_by_role("button", name="Cancel")
    cancel.wait_for(timeout=WAIT_S * 1000)
    found[COPIES] = search_in_a_row(page, times)
    if not cancel.is_visible():
        raise RuntimeError("looking for copies was over before the searches were; take more photos")
    cancel.click()
    other.page.get_by_text("was cancelled").wait_for()
    found[ALONE] += search_in_a_row(page, times - times // 2)
    one.close()
    other.close()
    return found
