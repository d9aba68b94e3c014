"""A person with a browser of their own at a server: Chromium, driven by Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks.browser.server import WAIT_S

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync", "--force-color-profile=srgb", "--hide-scrollbars",
)  # fmt: skip

# What Streamlit still shows of the run before is stale, what fades in moves; pictures out of sight may wait.
_QUIET = """() => {
  const sought = [document];
  for (const root of sought) {
    for (const at of root.querySelectorAll("*")) {
      if (at.shadowRoot) sought.push(at.shadowRoot);
      if (at.tagName !== "IMG" || at.complete) continue;
      const box = at.getBoundingClientRect();
      if (box.width && box.bottom > 0 && box.top < innerHeight) return false;
    }
  }
  return document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "notRunning"
    && !document.querySelector("[data-stale=true]")
    && document.getAnimations().every((one) => one.playState !== "running");
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium without a window. Raises playwright's Error where it is not installed."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        try:
            yield started
        finally:
            started.close()


class Visitor:
    """One person at a server; of the pages of two visitors neither knows what the other's browser keeps."""

    def __init__(
        self, browser: Browser, address: str, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> None:
        self.address = address
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        self.context.set_default_timeout(WAIT_S * 1000)
        self.page: Page = self.context.new_page()

    def go(self, where: str = "") -> Page:
        """Open a page of the server and wait until its script has run."""
        self.page.goto(f"{self.address}/{where}")
        self.settle()
        return self.page

    def follow(self, name: str) -> None:
        """Go to a page by its link, which on a phone has to be unfolded first, and wait until it is there."""
        page, unfold = self.page, self.page.get_by_test_id("stExpandSidebarButton")
        narrow = unfold.is_visible()
        if narrow:
            unfold.click()
        page.get_by_role("link", name=name).first.click()
        page.get_by_role("heading", name=name, level=1).wait_for()
        if narrow:
            page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
        self.settle()

    def settle(self) -> None:
        """Wait until the running script is done, nothing moves and all pictures in sight are there."""
        self.page.wait_for_function(_QUIET)
        self.page.wait_for_load_state("networkidle")

    def close(self) -> None:
        """Leave; what this browser kept is forgotten."""
        self.context.close()
