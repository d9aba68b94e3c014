"""A real server for an index, and a real browser that looks at it and notices what goes wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage

from benchmarks.browser import visitor
from benchmarks.browser.server import WAIT_S, serve
from benchmarks.browser.visitor import CHROMIUM, FLAGS

__all__ = ["CHROMIUM", "FLAGS", "REPO", "WAIT_S", "Visitor", "served"]

REPO = Path(__file__).resolve().parents[2]


@contextmanager
def served(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of a server, started as a person does with these arguments of `simsearch ui`."""
    with serve(*arguments, cwd=REPO, environment=environment) as server:
        yield server.address


class Visitor(visitor.Visitor):
    """One person with a browser of their own at a server; what the console complains of is kept."""

    def __init__(self, browser: Browser, address: str, *, width: int = 1280, dark: bool = False) -> None:
        super().__init__(browser, address, width=width, dark=dark)
        self.complaints: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on(
            "response", lambda answer: self.complaints.append(f"{answer.status}: {answer.url}")
            if answer.status >= 500 else None,
        )  # fmt: skip

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text}")

    def shot(self, name: str) -> None:
        """Take a picture of the whole page, into $SIMSEARCH_SHOTS where that is set."""
        folder = os.environ.get("SIMSEARCH_SHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}.png", full_page=True)

    def barriers(self) -> list[str]:
        """What axe-core finds that keeps people out: its serious and critical findings, with their places."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{rule['id']}: {node['html'][:160]}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]
