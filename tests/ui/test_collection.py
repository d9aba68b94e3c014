"""The page about the index: what it says, what it lists, and the jobs that it starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import age, picture, simsearch
from streamlit import config
from streamlit.testing.v1 import AppTest

from simsearch import Index
from simsearch.records import IndexReport, Problem, Skipped, VerifyReport, ViewInfo
from simsearch.ui.jobs import running
from simsearch.ui.pages.collection import skipped, words
from ui.browser import Visitor

LONG = 300.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Four photos, two of them one picture, and a file that is none: the folder and its index."""
    place = tmp_path_factory.mktemp("collection")
    folder, index = place / "photos", place / "index"
    folder.mkdir()
    for i in range(3):
        picture(i).save(folder / f"{i}.png")
    shutil.copy(folder / "0.png", folder / "same.png")
    (folder / "<b>broken.jpg").write_bytes(b"no picture")
    age(folder)
    assert simsearch("index", folder, "-i", index, "--model", "efficientnet_lite0", "-q").returncode == 0
    return folder, index


@pytest.fixture
def own(made: tuple[Path, Path], tmp_path: Path, loopback: None) -> tuple[Path, Path]:
    """The folder, and a copy of the index for one test, at a server that only this machine reaches."""
    return made[0], Path(shutil.copytree(made[1], tmp_path / "index"))


def page(index: Path) -> AppTest:
    def script(folder: str) -> None:
        from pathlib import Path

        from simsearch.ui.pages.collection.page import show
        from simsearch.ui.shared import library

        show(library(Path(folder)))

    return AppTest.from_function(script, default_timeout=300, args=(str(index),)).run()


def press(at: AppTest, label: str) -> AppTest:
    [button] = [button for button in at.button if button.label == label]
    return button.click().run()


def tables(at: AppTest) -> str:
    return "\n".join(element.proto.body for element in at.get("html"))


def finished(kind: str, index: Path, at: AppTest) -> AppTest:
    job = running.current(kind, index)
    assert job is not None
    assert job.wait(LONG).phase == "done", job.state().error
    return at.run()


def test_it_says_what_info_says(own: tuple[Path, Path]) -> None:
    folder, index = own
    at = page(index)
    assert [(metric.label, metric.value) for metric in at.metric] == [
        ("Photos", "3"), ("Files", "4"), ("Skipped", "1"),
    ]  # fmt: skip
    shown = tables(at)
    for cell in (
        "efficientnet_lite0, 1,280 numbers a photo",
        "exact: every photo is compared, so nothing is missed",
        str(index),
        str(folder),
        ">there<",
        "&lt;b&gt;broken.jpg",
        "when it changes",
    ):
        assert cell in shown, cell
    assert "<b>broken" not in shown
    assert not at.exception


def test_a_folder_that_went_is_told(own: tuple[Path, Path], tmp_path: Path) -> None:
    _, index = own
    away = tmp_path / "away"
    away.mkdir()
    picture(9).save(away / "9.png")
    age(away)
    assert simsearch("index", away, "-i", index, "-q").returncode == 0
    shutil.rmtree(away)
    shown = tables(page(index))
    assert "missing: its photos are kept in the index." in shown
    assert ">there<" in shown


def test_index_again_and_add_a_folder(own: tuple[Path, Path], tmp_path: Path) -> None:
    _, index = own
    at = finished("index", index, press(page(index), "Index again"))
    [done] = at.success
    assert done.value == r"Indexing is done\: 4 as before, 1 skipped\."
    more = tmp_path / "more"
    more.mkdir()
    picture(7).save(more / "7.png")
    age(more)
    at.text_input(key="collection.folder").set_value(str(more)).run()
    at = finished("index", index, press(at, "Add and index it"))
    assert at.success[0].value == r"Indexing is done\: 1 new\."
    assert at.metric[0].value == "4"
    assert not press(at, "Close").success


def test_check_finds_a_damaged_byte_and_says_what_mends_it(own: tuple[Path, Path]) -> None:
    _, index = own
    at = finished("verify", index, press(page(index), "Check the index"))
    assert at.success[0].value == r"3 photos of the index checked\: no problem found\."
    segment = next((index / "segments").glob("*.seg"))
    content = bytearray(segment.read_bytes())
    content[-5000] ^= 1
    segment.write_bytes(content)
    at = finished("verify", index, press(at, "Check the index"))
    # Each file of the picture whose vector it is is named; which picture was entered last is chance.
    with Index.open(index) as opened:
        files = len(opened.paths_of(max(photo.id for photo in opened.photos())))
    found = {1: "1 problem found", 2: "2 problems found"}[files]
    assert at.warning[0].value == rf"3 photos of the index checked\: {found}\."
    assert "simsearch index --repair" in tables(at)


def test_rebuild_says_how_the_index_is_searched_now(own: tuple[Path, Path]) -> None:
    _, index = own
    at = page(index)
    at.selectbox(key="collection.view").set_value("exact").run()
    at = finished("rebuild", index, press(at, "Rebuild"))
    told = r"Rebuilt\. exact\: every photo is compared, so nothing is missed; scores are centred on the "
    assert at.success[0].value == told + r"collection\."


def test_seen_from_other_machines_no_folder_is_added(own: tuple[Path, Path]) -> None:
    _, index = own
    config.set_option("server.address", "0.0.0.0")
    at = page(index)
    assert not at.text_input
    assert f"simsearch index FOLDER -i {index}" in [code.value for code in at.code]


def test_skipped_files_come_by_pages_and_all_of_them_as_csv() -> None:
    def script() -> None:
        from simsearch.records import Skipped
        from simsearch.ui.pages.collection import skipped

        skipped.show([Skipped(f"/p/{i:03d}.jpg", "empty file", i % 2 == 0) for i in range(120)], "test")

    at = AppTest.from_function(script, default_timeout=300).run()
    assert tables(at).count("empty file") == 50
    assert "/p/049.jpg" in tables(at)
    assert "/p/050.jpg" not in tables(at)
    rows = [Skipped("/p/a,b\udcff.jpg", "empty file", True), Skipped("/p/c.jpg", "no", False)]
    assert skipped.csv(rows) == (
        b'path,reason,tried_again\n"/p/a,b\xff.jpg",empty file,every time\n/p/c.jpg,no,when it changes\n'
    )


def test_the_words() -> None:
    ivf = ViewInfo("ivf", 0.9915, 12, robust_recall=0.9992)
    assert words.searched(ivf) == (
        "ivf: finds 99.2 % of the ten most alike, measured on its own photos; "
        "12 newer photos compared one by one beside it"
    )
    robust = ViewInfo("hnsw", 0.99, 0, robust_recall=0.999, robust=True, center=True)
    assert words.searched(robust) == (
        "hnsw: finds 99.9 % of the ten most alike, measured on its own photos; "
        "scores are centred on the collection"
    )
    report = IndexReport(
        "/i", "m", None, "cpu", 10, 1, 2, 0, 6, 3, 0, 0, 0, (Skipped("/a", "no", True),), 3, 1.0, 3.0
    )
    assert words.indexed(report) == (
        "Indexing is done: 1 new, 2 changed, 6 as before, 3 gone from the disk, 1 skipped."
    )
    found = VerifyReport("/i", 1200, (Problem("index.db", "what", "mend"),) * 2)
    assert words.checked(found) == "1,200 photos of the index checked: 2 problems found."
    assert ("Give back the room of photos that were forgotten", "simsearch compact -i '/a b'") in list(
        words.commands("/a b")
    )


@pytest.mark.parametrize("how", [{}, {"dark": True}, {"width": 390}], ids=["light", "dark", "phone"])
def test_in_the_browser_nothing_keeps_people_out(
    visit: Callable[..., Visitor], address: str, how: dict[str, int]
) -> None:
    visitor = visit(address, **how)
    page = visitor.go()
    page.get_by_role("link", name="Index").click()
    page.get_by_role("button", name="Index again").wait_for()
    page.get_by_text("At the terminal").click()
    page.get_by_text("simsearch compact").wait_for()
    visitor.shot("index-" + "-".join(map(str, how)))
    assert visitor.barriers() == []
