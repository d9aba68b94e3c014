"""How soon hits are shown after a click on a picture, by the clock of the browser."""

from __future__ import annotations

from playwright.sync_api import Page

SHOWN = """async ({ times, parity }) => {
  const list = () => {
    for (const at of document.querySelectorAll("*")) {
      const found = at.shadowRoot?.querySelector(".part > ol[aria-label]");
      if (found) return found;
    }
    return null;
  };
  const frame = () => new Promise(requestAnimationFrame);
  const app = document.querySelector("[data-testid=stApp]");
  const seen = (window.simsearchSeen ??= new Set());
  const late = performance.now() + 300_000;
  const until = async (holds) => {
    while (!holds()) {
      if (performance.now() > late) throw new Error("nothing was shown for too long");
      await frame();
    }
  };
  const took = [];
  while (took.length < times && !window.simsearchEnough) {
    const before = list();
    const fresh = [...before.children].filter((item) => !seen.has(item.dataset.id)
      && item.dataset.id % 2 === parity);
    if (!fresh.length) throw new Error("every picture of this page was searched by already");
    const next = fresh[Math.min(5, fresh.length - 1)];
    seen.add(next.dataset.id);
    const label = `Like ${next.querySelector(".name").textContent}`;
    const began = performance.now();
    next.querySelector(".pick").click();
    await until(() => list() !== before && list()?.getAttribute("aria-label") === label);
    // What is in the page now is on the screen once this frame is drawn.
    await frame();
    took.push(performance.now() - began);
    await until(() => app.dataset.testScriptState === "notRunning"
      && !document.querySelector("[data-stale=true]"));
  }
  return took;
}"""
"""Searches by one hit after the other, each a picture that was not searched by yet, so that no kept answer is
shown. A search is over when the gallery with its hits is drawn; thumbnails come after. Two visitors of
different parity never search by the same picture."""


def search_in_a_row(page: Page, times: int, parity: int = 0) -> list[float]:
    """Milliseconds from each of so many clicks to its hits; the page shows hits or the collection."""
    took = page.evaluate(SHOWN, {"times": times, "parity": parity})
    return [float(one) for one in took]


def begin_searching(page: Page, parity: int) -> None:
    """Search on and on, until `end_searching`, while others are looked at."""
    page.evaluate(
        f"(how) => {{ window.simsearchEnough = false; window.simsearchRow = ({SHOWN})(how); }}",
        {"times": 10_000, "parity": parity},
    )


def end_searching(page: Page) -> list[float]:
    """Milliseconds of each search since `begin_searching`."""
    took = page.evaluate("async () => { window.simsearchEnough = true; return await window.simsearchRow; }")
    page.evaluate("() => { window.simsearchEnough = false; }")
    return [float(one) for one in took]
