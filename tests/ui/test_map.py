"""The map's colours worked out by hand, its points against the index, and the page without a browser."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from oracle import read_index
from streamlit.testing.v1 import AppTest
from test_layout import made

from simsearch.engine.maintenance.remove import remove
from simsearch.ui.pages.map import points as points_of
from simsearch.ui.pages.map.colours import by_folder, by_year
from simsearch.ui.pages.map.page import words
from simsearch.ui.pages.map.points import Chart, chart
from simsearch.ui.parts.scatter import Points
from simsearch.ui.shared import library


@pytest.fixture
def indexed(tmp_path: Path) -> Path:
    """The index of six photos, by turns in photos/a and photos/b."""
    return made(tmp_path, 6)


def test_colours_by_the_folder_in_which_pictures_part() -> None:
    found = by_folder([b"/home/me/2020/x/1", b"/home/me/2020/2", b"/home/me/2019/3", b"/home/me/4"])
    assert found is not None
    # 2020 has two; of those with one what lies in the shared folder comes first.
    assert found.labels == ("2020", "directly in me", "2019")
    assert found.of == (0, 0, 2, 1)
    assert not found.rest


def test_one_folder_needs_no_colours() -> None:
    assert by_folder([b"/a/b/1", b"/a/b/2"]) is None
    assert by_folder([]) is None


def test_the_smallest_of_many_folders_are_one_group() -> None:
    # Folders 0 to 11, of 12 down to 1 pictures.
    paths = [b"/p/%02d/%d" % (folder, n) for folder in range(12) for n in range(12 - folder)]
    found = by_folder(paths)
    assert found is not None
    assert found.labels == (*(f"{folder:02d}" for folder in range(9)), "3 other folders")
    assert found.rest
    assert found.of.count(9) == 3 + 2 + 1


def test_names_of_folders_show_what_they_hide() -> None:
    found = by_folder([b"/p/a\x1b[31m/1", b"/p/\xff/2"])
    assert found is not None
    assert found.labels == ("a\\x1b[31m", "\\xff")


def test_colours_by_year() -> None:
    found = by_year(["2021-05-01T10:00:00", None, "2019-01-01T00:00:00", "2021-12-31T23:59:59"])
    assert found is not None
    assert found.labels == ("2019", "2021", "no date in the file")
    assert found.of == (1, 2, 0, 1)
    assert (found.ordered, found.rest) == (True, True)
    assert by_year(["2021-05-01T10:00:00", None]) is None


def test_the_earliest_of_many_years_are_one_group() -> None:
    found = by_year([f"{year}-01-01T00:00:00" for year in range(2000, 2012)])
    assert found is not None
    assert found.labels == ("before 2003", *(str(year) for year in range(2003, 2012)))
    assert found.of == (0, 0, 0, *range(1, 10))
    assert not found.rest


def test_points_are_those_of_the_index_and_worked_out_once_a_commit(indexed: Path) -> None:
    lib, truth = library(indexed), read_index(indexed)
    first = chart(lib)
    assert first.points.ids == truth.ids
    assert first.points.names == [os.path.basename(paths[0]) for paths in truth.paths]
    [grouping] = first.points.groupings
    assert grouping.labels == ("a", "b")
    assert [grouping.labels[i] for i in grouping.of] == [paths[0].split("/")[-2] for paths in truth.paths]
    assert (first.total, chart(lib)) == (6, first)
    remove([truth.paths[0][0]], indexed, yes=True)
    second = chart(lib)
    assert (len(second.points.ids), second.total) == (5, 5)
    assert second.token != first.token


def test_whoever_asks_meanwhile_waits_for_the_same(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lib, real, entered, leave = library(indexed), points_of._chart, threading.Event(), threading.Event()
    begun, found = [], []

    def slow(lib: points_of.Library) -> Chart:
        begun.append(lib.key)
        entered.set()
        assert leave.wait(120)
        return real(lib)

    monkeypatch.setattr(points_of, "_chart", slow)
    threads = [threading.Thread(target=lambda: found.append(chart(lib))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert entered.wait(120)
    leave.set()
    for thread in threads:
        thread.join(120)
    assert len(begun) == 1
    assert len(found) == 3
    assert all(one is found[0] for one in found)


@pytest.mark.parametrize(
    ("shown", "total", "share", "expected"),
    [
        (3, 3, 0.149, "3 of 3 pictures; two axes show 14 % of the variance, so neighbours"),
        (
            5,
            12345,
            0.004,
            "5 of 12,345 pictures, taken evenly; two axes show less than 1 % of the variance, so",
        ),
        (1, 1, 1.0, "1 of 1 picture; two axes show 100 % of the variance."),
    ],
)
def test_words(shown: int, total: int, share: float, expected: str) -> None:
    points = Points(list(range(shown)), [0.0] * shown, [0.0] * shown, [""] * shown)
    assert expected in words(Chart(points, "t", share, total))


def page(index: str) -> None:
    from pathlib import Path

    from simsearch.ui.pages.map.page import show
    from simsearch.ui.shared import library

    show(library(Path(index)))


def test_the_page(indexed: Path) -> None:
    shown = AppTest.from_function(page, args=(str(indexed),)).run(timeout=300)
    assert not shown.exception
    assert shown.title[0].value == "Map"
    assert "6 of 6 pictures" in shown.markdown[0].value


def test_the_page_of_an_empty_index(indexed: Path) -> None:
    remove([indexed.parent / "photos"], indexed, yes=True)
    shown = AppTest.from_function(page, args=(str(indexed),)).run(timeout=300)
    assert not shown.exception
    assert "no picture to show" in shown.info[0].value
