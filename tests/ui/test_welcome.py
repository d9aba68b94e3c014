"""The first visit: a folder is chosen, looked at and indexed, and Cancel truly stops."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from children import is_running, workers_of
from conftest import picture
from streamlit import config
from streamlit.testing.v1 import AppTest

from simsearch import Index
from simsearch.engine.maintenance.verify import verify
from simsearch.errors import SimsearchError
from simsearch.ui import folders
from simsearch.ui.jobs import running
from simsearch.ui.jobs.looking import Look
from simsearch.ui.pages.welcome import looking
from ui.browser import Visitor, served

LONG = 300.0
LITE0 = "efficientnet_lite0"
MANY = 900
Maker = Callable[[int], Path]


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loopback: None) -> Path:
    """A home with pictures, a server that only this machine reaches, and an index that is not there."""
    home = tmp_path / "home"
    (home / "Pictures" / "2024").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SIMSEARCH_INDEX", str(tmp_path / "index"))
    monkeypatch.setenv("SIMSEARCH_MODEL", LITE0)
    return home


def page() -> AppTest:
    def script() -> None:
        from simsearch.ui.pages.welcome.page import show

        show()

    return AppTest.from_function(script, default_timeout=300).run()


def said(at: AppTest) -> str:
    return "\n".join(element.value for element in (*at.text, *at.caption, *at.error, *at.info))


def press(at: AppTest, label: str) -> AppTest:
    [button] = [button for button in at.button if button.label == label]
    return button.click().run()


def test_a_folder_is_looked_at_and_indexed(small_photos: Maker, tmp_path: Path) -> None:
    folder = small_photos(5)
    (folder / "notes.txt").write_text("no picture")
    at = page()
    assert "Index these photos" not in [button.label for button in at.button]
    at.text_input(key="welcome.folder").set_value(str(folder)).run()
    look = running.current("look", folder)
    assert look is not None
    assert look.wait(LONG).phase == "done"
    at.run()
    assert "This folder seems to hold 5 photos. Indexing takes about " in said(at)
    assert "1 other file is looked into as well, in case it is a picture." in said(at)
    assert not (tmp_path / "index").exists()
    press(at, "Index these photos")
    job = running.current("index", tmp_path / "index")
    assert job is not None
    assert job.wait(LONG).phase == "done"
    with Index.open(tmp_path / "index") as index:
        assert len(index) == 5
    assert not at.exception


def test_the_usual_folders_of_the_home_are_one_click(at_home: Path) -> None:
    at = page().button(key="welcome.usual.0").click().run()
    assert at.text_input(key="welcome.folder").value == str(at_home / "Pictures")
    job = running.current("look", at_home / "Pictures")
    assert job is not None
    job.wait(LONG)
    assert "There seem to be no photos in this folder. Choose another one." in said(at.run())


def test_folders_can_be_gone_through(at_home: Path) -> None:
    for i in range(3):
        picture(i).save(at_home / "Pictures" / "2024" / f"{i}.jpg")
    odd = at_home / "Pictures" / "*a* [b](c) :red[d]"
    odd.mkdir()
    at = press(press(page(), "Up"), at_home.name).button(key="welcome.sub.0").click().run()
    labels = [button.label for button in at.button]
    assert r"2024, 3 photos" in labels
    assert "\\*a\\* \\[b\\]\\(c\\) \\:\u2060red\\[d\\]" in labels
    press(press(at, "2024, 3 photos"), "Take this folder")
    assert at.text_input(key="welcome.folder").value == str(at_home / "Pictures" / "2024")


def test_what_is_no_folder_is_told_in_words(tmp_path: Path, at_home: Path) -> None:
    at = page()
    at.text_input(key="welcome.folder").set_value(str(tmp_path / "no")).run()
    [error] = at.error
    assert "is not there" in error.value
    (tmp_path / "file.jpg").write_bytes(b"")
    with pytest.raises(SimsearchError, match="is a file, not a folder"):
        folders.checked(str(tmp_path / "file.jpg"))
    assert folders.checked("  ") is None
    assert folders.checked(" '~/Pictures' ") == at_home / "Pictures"
    (tmp_path / "blank ").mkdir()
    assert folders.checked(f"{tmp_path}/blank ") == tmp_path / "blank "


def test_seen_from_other_machines_it_lists_no_folder(at_home: Path) -> None:
    config.set_option("server.address", "0.0.0.0")
    at = page()
    assert not at.text_input
    assert not at.button
    [command] = at.code
    assert command.value.startswith("simsearch index FOLDER -i ")


def test_folders_are_listed_by_name_with_their_photos(tmp_path: Path) -> None:
    place = tmp_path / "place"
    for name in (b"b", b"a", b".hidden", b"\xff"):
        os.makedirs(os.path.join(os.fsencode(place), name))
    for i in range(2):
        (place / "a" / f"{i}.png").write_bytes(b"")
    (place / "a" / "x.txt").write_bytes(b"")
    found = folders.subfolders(place)
    assert [(item.path.name, item.photos) for item in found] == [("a", 2), ("b", 0), ("\udcff", 0)]
    assert [folders.label(item) for item in found[:2]] == ["a, 2 photos", "b"]
    assert [folders.can_be_typed(item.path) for item in found] == [True, True, False]
    with pytest.raises(SimsearchError, match="cannot be read"):
        folders.subfolders(tmp_path / "no")


def test_what_a_look_says() -> None:
    whole = Look("/p", 1200, 1203, True, 150.0, "resnet50", True)
    assert looking.in_words(whole) == [
        "This folder seems to hold 1,200 photos. Indexing takes about 2 minutes.",
        "3 other files are looked into as well, in case they are pictures.",
    ]
    part = Look("/p", 1, 1, False, 1.0, "resnet50", False)
    assert looking.in_words(part)[0] == (
        "This folder seems to hold at least 1 photo. Indexing takes about 1 second or more."
    )
    assert "The weights of resnet50 are not on this machine." in looking.in_words(part)[1]


def test_in_the_browser_it_is_shown_live_and_cancel_truly_stops(
    visit: Callable[..., Visitor], at_home: Path, tmp_path: Path
) -> None:
    index, pictures = tmp_path / "index", at_home / "Pictures"
    # So many that they are not all indexed before somebody can cancel it.
    for i in range(MANY):
        picture(i, (48, 40)).save(pictures / f"{i:03d}.png")
    with served("-i", index, environment={"HOME": str(at_home)}) as address:
        visitor = visit(address)
        page = visitor.go()
        visitor.shot("welcome")
        page.get_by_role("button", name="Pictures", exact=True).click()
        page.get_by_text(f"seems to hold {MANY} photos").wait_for(timeout=LONG * 1000)
        assert visitor.barriers() == []
        page.get_by_role("button", name="Index these photos").click()
        page.get_by_text(f"of {MANY}").wait_for(timeout=LONG * 1000)
        visitor.shot("welcome-indexing")
        assert visitor.barriers() == []
        [child] = children_of_jobs(index)
        workers = workers_of(child)
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("link", name="Search").wait_for()
        assert not any(is_running(pid) for pid in (child, *workers))
        assert verify(index).ok
    shutil.rmtree(index)


def children_of_jobs(index: Path) -> list[int]:
    """The processes that hold the lock of an index, by the note in it."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            return [int(json.loads((index / "LOCK").read_text())["pid"])]
        except (OSError, ValueError):
            time.sleep(0.05)
    return []
