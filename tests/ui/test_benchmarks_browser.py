"""The measurements of the pages: a server's memory and end, searches in a row, all pages, the tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image
from playwright.sync_api import Browser

from benchmarks.browser import screens
from benchmarks.browser.answers import begin_searching, end_searching, search_in_a_row
from benchmarks.browser.case import First, Measured, report
from benchmarks.browser.paging import Pass, page_through
from benchmarks.browser.server import below, resident, serve
from benchmarks.browser.visitor import Visitor
from benchmarks.peers.children import ChildFailed
from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin

PHOTOS = 130


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 130 small pictures: three pages."""
    place = tmp_path_factory.mktemp("browser")
    paths = [place / "photos" / f"{number:03d}.png" for number in range(PHOTOS)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        picture(number, (48, 40)).save(path)
    vectors, named = place / "made.npy", place / "made.csv"
    np.save(vectors, np.random.default_rng(0).standard_normal((PHOTOS, 8), dtype=np.float32))
    named.write_text("\n".join(["path", *map(str, paths)]) + "\n")
    import_embeddings(Origin(vectors, named, name="made"), place / "index")
    return place / "index"


def test_every_picture_is_searched_by_once_and_sent_in_every_pass(browser: Browser, index: Path) -> None:
    with serve("-i", index, "-q", cwd=index.parent) as server:
        one, other = Visitor(browser, server.address), Visitor(browser, server.address)
        page = one.go()
        other.go()
        begin_searching(other.page, parity=1)
        took = search_in_a_row(page, 4)
        beside = end_searching(other.page)
        assert len(took) == 4
        assert all(0 < one < 60_000 for one in (*took, *beside))
        for chosen, parity in ((page, 0), (other.page, 1)):
            seen = chosen.evaluate("[...window.simsearchSeen]")
            assert len(seen) >= 1
            assert {int(name) % 2 for name in seen} == {parity}
        passes = [page_through(one, server) for _ in range(2)]
        assert [(way.pages, way.pictures) for way in passes] == [(3, PHOTOS)] * 2
        # Python with numpy and Streamlit, and at least one process that decodes.
        assert all(50 < way.server < 2000 for way in passes)
        assert all(way.below > 10 for way in passes)
        one.close()
        other.close()


def test_memory_is_that_of_a_process_and_of_all_below_it() -> None:
    inner = "import time; data = bytearray(120 << 20); print(1, flush=True); time.sleep(600)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        [grandchild] = below(child.pid)
        assert grandchild in below(os.getpid())
        assert 120 < resident(grandchild) < 200
        assert resident(child.pid) < 60
        child.kill()
        os.kill(grandchild, 9)
    assert resident(child.pid) == 0.0


def test_a_server_that_does_not_start_or_ends_says_why(index: Path) -> None:
    with pytest.raises(ChildFailed, match="no-address"), serve("--public", "no-address"):
        pass
    with pytest.raises(ChildFailed, match="ended by itself, with status -9"), serve("-i", index) as server:
        kill(server.pid)


def kill(pid: int) -> None:
    """End a child and leave it to its parent to find out."""
    os.kill(pid, 9)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_the_tables_hold_median_worst_and_ratio() -> None:
    times = {"nobody else": [100.0, 200.0, 900.0], "another": [300.0, 400.0, 500.0]}
    passes = [Pass(2, 100, 9.0, 150.0, 60.0), Pass(2, 100, 5.0, 151.0, 61.0)]
    made = report(Measured(5000, First(1.0, 2.0, 0.5), times, times, passes, 3.2), "command")
    first, large, small, memory = made.tables
    assert [row[1] for row in first.rows] == [1.0, 2.0, 0.5]
    assert large.rows == (
        ("nobody else", 3, 200.0, 900.0, 1.0, 1000.0),
        ("another", 3, 400.0, 500.0, 2.0, None),
    )
    assert small.title == "From a click to its hits, 100 photos"
    assert "whose load was 3.2" in small.note
    assert memory.rows[1] == ("after pass 2", 100, 151.0, 61.0, 5.0)
    assert made.figures["load"] == 3.2


def test_the_pictures_of_the_documents_are_all_there_and_small() -> None:
    wanted = {*screens.SCENES, "welcome.jpg"}
    assert {path.name for path in screens.OUT.iterdir()} == wanted
    for path in screens.OUT.iterdir():
        assert path.stat().st_size <= screens.LARGEST
        with Image.open(path) as shot:
            assert shot.width == (390 if path.name == "phone.jpg" else 1280)
