"""A real server for an index, and a real browser that looks at it and notices what goes wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

REPO = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync", "--force-color-profile=srgb", "--hide-scrollbars",
)  # fmt: skip
WAIT_S = 60


@contextmanager
def served(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of a server, started as a person does with these arguments of `simsearch ui`."""
    command = [sys.executable, "-m", "simsearch", "ui", "--no-open", "--port", "0", *map(str, arguments)]
    child = subprocess.Popen(
        command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(child.stdout.readline, "")), daemon=True)  # type: ignore[union-attr]
    reader.start()
    try:
        yield _address(child, lines)
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
        finally:
            sys.stderr.write("".join(lines))


def _address(child: subprocess.Popen[str], lines: list[str]) -> str:
    began = time.monotonic()
    while time.monotonic() - began < WAIT_S:
        found = re.search(r"http://127\.0\.0\.1:\d+", "".join(lines))
        if found:
            return found[0]
        assert child.poll() is None, "".join(lines)
        time.sleep(0.1)
    raise AssertionError("no address: " + "".join(lines))


class Visitor:
    """One person with a browser of their own at a server; what the console complains of is kept."""

    def __init__(self, browser: Browser, address: str, *, width: int = 1280, dark: bool = False) -> None:
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        self.context.set_default_timeout(WAIT_S * 1000)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on(
            "response", lambda answer: self.complaints.append(f"{answer.status}: {answer.url}")
            if answer.status >= 500 else None,
        )  # fmt: skip
        self.address = address

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text}")

    def go(self, where: str = "") -> Page:
        """Open a page of the server and wait until its script has run."""
        self.page.goto(f"{self.address}/{where}")
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until the running script is done and all pictures are there."""
        self.page.wait_for_selector("[data-testid=stApp]")
        self.page.wait_for_function(
            "() => document.querySelector('[data-testid=stApp]').getAttribute('data-test-script-state')"
            " === 'notRunning'"
        )
        # What Streamlit still shows of the run before, and what moves.
        self.page.wait_for_function(
            "() => !document.querySelector('[data-stale=true]')"
            " && document.getAnimations().every(one => one.playState !== 'running')"
        )
        self.page.wait_for_load_state("networkidle")

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

    def close(self) -> None:
        self.context.close()
