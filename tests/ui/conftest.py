"""A browser for the tests of the pages, an index for them to look at, and visitors who notice complaints."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from streamlit import config

from ui.browser import CHROMIUM, FLAGS, REPO, WAIT_S, Visitor, served


@pytest.fixture(scope="session", autouse=True)
def patience() -> None:
    """A busy machine takes its time."""
    expect.set_options(timeout=WAIT_S * 1000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, which `make tools` installs."""
    assert os.path.exists(CHROMIUM), "There is no /usr/bin/chromium; as root on Debian: make tools"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        yield started
        started.close()


@pytest.fixture
def loopback() -> Iterator[None]:
    """Pages in this process find an address that only this machine reaches, whatever ran before."""
    before = config.get_option("server.address")
    config.set_option("server.address", "127.0.0.1")
    yield
    config.set_option("server.address", before)


@pytest.fixture(scope="session")
def shown_index(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample photos, indexed; tests that change it make their own."""
    index = tmp_path_factory.mktemp("shown") / "sample"
    command = [sys.executable, "-m", "simsearch", "index", photos, "-i", index, "-q"]
    subprocess.run([*map(str, command), "--model", "efficientnet_lite0"], cwd=REPO, check=True)
    return index


@pytest.fixture(scope="module")
def address(shown_index: Path) -> Iterator[str]:
    """A server of the sample photos, one a module of tests."""
    with served("-i", shown_index) as where:
        yield where


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors: `visit(address, width=390, dark=True)`. At the end none may have heard a complaint."""
    visitors: list[Visitor] = []

    def comes(where: str, **how: int | bool) -> Visitor:
        visitors.append(Visitor(browser, where, **how))  # type: ignore[arg-type]
        return visitors[-1]

    yield comes
    heard = [complaint for visitor in visitors for complaint in visitor.complaints]
    for visitor in visitors:
        visitor.close()
    assert heard == []
