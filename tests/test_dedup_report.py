"""What people and programs are shown of copies, leaks and plans."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from test_report import FILE_NAMES, NASTY, Page

from simsearch.dedup.acts.records import (
    ActReport,
    Companion,
    FileFacts,
    Left,
    Plan,
    PlannedFile,
    PlannedGroup,
    PlannedMerge,
    Run,
)
from simsearch.dedup.records import (
    Comparison,
    DuplicateGroup,
    DuplicatePhoto,
    DuplicateReport,
    Leak,
    LeakReport,
)
from simsearch.records import Skipped
from simsearch.report.duplicates import machine
from simsearch.report.duplicates.acts import act_lines, left_lines, plan_table, runs_table
from simsearch.report.duplicates.page import groups_page, leaks_page
from simsearch.report.duplicates.progress import StageProgress
from simsearch.report.duplicates.table import comparison_lines, groups_table, leaks_table
from simsearch.report.duplicates.words import score_words, threshold_words
from simsearch.report.machine import to_json
from simsearch.report.names import visible
from simsearch.report.table import Screen

SHA = "ab" * 32


def photo(path: str, level: str = "near", score: float = 0.99, **facts: int) -> DuplicatePhoto:
    values = {"width": 40, "height": 30, "bytes": 2000} | facts
    return DuplicatePhoto(path, score, level=level, sha256=SHA, **values)


def group(keep: str, *others: DuplicatePhoto, level: str = "near", why: str = "kept: x") -> DuplicateGroup:
    photos = (photo(keep, "bytes", 1.0, width=80, height=60, bytes=9000), *others)
    return DuplicateGroup(level, min(p.score for p in photos), keep, why, photos)


def report(*groups: DuplicateGroup, **changes: Any) -> DuplicateReport:
    failed = (Skipped("/bad.jpg", "truncated", False),)
    values: dict[str, Any] = {"photos": 1234, "compared": 56, "failed": failed, "silenced": 2} | changes
    return DuplicateReport(index="/i", threshold=0.9, groups=groups, **values)


COPIES = group(
    "/p/a.jpg", photo("/p/b.jpg"), photo("/q/c.jpg", "bytes", 1.0, width=80, height=60, bytes=9000)
)
DOUBTFUL = group("/p/d.jpg", photo("/p/e.jpg", "probably", 0.7), level="probably")


# Machine formats


def test_the_json_of_groups() -> None:
    value = json.loads(to_json(report(COPIES)))
    beside = {"index", "threshold", "photos", "compared", "failed", "silenced", "calibration", "without"}
    assert set(value) == {"groups"} | beside
    [one] = value["groups"]
    assert set(one) == {"level", "min_score", "keep", "why", "photos"}
    assert {"path", "score", "width", "height", "bytes"} <= set(one["photos"][0])
    assert (one["keep"], one["photos"][1]["score"]) == ("/p/a.jpg", 0.99)


def test_the_csv_has_a_line_a_photo() -> None:
    text = b"".join(machine.groups_csv([COPIES, DOUBTFUL])).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["group"], row["keep"], row["level"], row["path"]) for row in rows] == [
        ("1", "true", "bytes", "/p/a.jpg"),
        ("1", "false", "near", "/p/b.jpg"),
        ("1", "false", "bytes", "/q/c.jpg"),
        ("2", "true", "bytes", "/p/d.jpg"),
        ("2", "false", "probably", "/p/e.jpg"),
    ]
    assert rows[1] | {"path": "", "level": ""} == {
        **{"group": "1", "level": "", "keep": "false", "path": "", "score": "0.99"},
        **{"width": "40", "height": "30", "bytes": "2000", "sha256": SHA},
    }


def test_paths_are_those_that_may_go_and_no_doubtful_ones() -> None:
    assert b"".join(machine.spare_paths([COPIES, DOUBTFUL])) == b"/p/b.jpg\n/q/c.jpg\n"
    assert b"".join(machine.spare_paths([COPIES], end=b"\0")) == b"/p/b.jpg\0/q/c.jpg\0"


@given(FILE_NAMES)
def test_every_format_keeps_the_bytes_of_a_name(name: str) -> None:
    raw = os.fsencode(name)
    found = report(group("/keep.jpg", photo(name)))
    value = json.loads(to_json(found))
    assert os.fsencode(value["groups"][0]["photos"][1]["path"]) == raw
    text = b"".join(machine.groups_csv(found.groups)).decode("utf-8", "surrogateescape")
    *_, row = csv.reader(io.StringIO(text, newline=""))
    assert os.fsencode(row[3]) == raw
    assert b"".join(machine.spare_paths(found.groups, end=b"\0")) == raw + b"\0"
    leaks = LeakReport("/a", "/b", 0.9, 1, 1, (Leak(name, name, "near", 0.95),), ())
    text = b"".join(machine.leaks_csv(leaks)).decode("utf-8", "surrogateescape")
    *_, row = csv.reader(io.StringIO(text, newline=""))
    assert [os.fsencode(cell) for cell in row[:2]] == [raw, raw]
    assert row[2:] == ["near", "0.95"]


# Tables


def test_the_table_shows_what_differs_from_the_keeper() -> None:
    lines = groups_table(report(COPIES)).splitlines()
    assert lines[0] == "Group 1: copies, score from 0.9900 on; kept: x"
    rows = [re.split(r"  +", line.strip()) for line in lines[2:5]]
    assert rows == [
        ["keep", "80 x 60", "9.0 kB", "/p/a.jpg"],
        ["a copy", "0.9900", "40 x 30", "2.0 kB", "/p/b.jpg"],
        ["same bytes", "1.0000", "=", "=", "/q/c.jpg"],
    ]
    assert lines[-1] == (
        "/i: 2 copies of 11.0 kB in 1 group, 2 groups not shown by an earlier verdict, "
        "1 photo could not be read; 1,234 photos, 56 pairs compared, copies from a score of 0.9000 on"
    )


@pytest.mark.parametrize(
    ("score", "shown"),
    [
        (1.0, "1.0000"),
        (0.99999, "0.9999"),
        (0.9999, "0.9999"),
        (0.7, "0.7000"),
        (0.29, "0.2900"),
        (0.0, "0.0000"),
    ],
)
def test_only_what_is_certain_is_1(score: float, shown: str) -> None:
    assert score_words(score) == shown


@pytest.mark.parametrize(
    ("threshold", "shown"),
    [
        (0.96075, "0.9608"),
        (0.96074999, "0.9608"),
        (0.9, "0.9000"),
        (0.29, "0.2900"),
        (0.99995, "0.99995"),
        (1 - 1e-9, "0.999999999"),
        (1.0, "1.0000"),
    ],
)
def test_a_threshold_is_rounded_up(threshold: float, shown: str) -> None:
    assert threshold_words(threshold) == shown
    assert float(shown) >= threshold - 1e-12
    assert f"copies from {shown} on\n" in comparison_lines(
        Comparison("/a", "/b", "near", 1.0, threshold, False, 0)
    )


def test_of_equal_bytes_and_pixels_no_score_is_told() -> None:
    exact = DuplicateReport("/i", 1.0, 10, 5, (COPIES,), (), 0)
    assert groups_table(exact).splitlines()[-1].endswith("; 10 photos, 5 pairs compared")


def test_progress_follows_a_total_that_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with StageProgress(terminal) as progress:
        progress.update("indexing", 1, 2)
        progress.update("indexing", 7, 200)
    assert "Indexing" in terminal.getvalue()
    assert "7/200" in terminal.getvalue()


def test_a_long_report_is_cut_and_says_so() -> None:
    many = groups_table(report(*[group(f"/{n}.jpg", photo(f"/{n}b.jpg")) for n in range(25)]))
    assert many.count("Group ") == 20
    assert "and 5 more; --html or --json shows all\n" in many
    assert "25 copies" in many
    large = groups_table(report(group("/a.jpg", *[photo(f"/{n}.jpg") for n in range(30)])))
    assert "and 11 more in this group\n" in large


def test_doubtful_copies_are_counted_apart() -> None:
    assert "to look at" not in groups_table(report(COPIES))
    assert "2 copies of 11.0 kB in 2 groups, 1 to look at" in groups_table(report(COPIES, DOUBTFUL))
    assert "0 copies of 0 B in 1 group, 1 to look at" in groups_table(report(DOUBTFUL))
    nothing = report(failed=(), silenced=0, compared=0)
    assert groups_table(nothing) == "/i: no copies found; 1,234 photos, 0 pairs compared\n"


def test_no_name_moves_the_cursor() -> None:
    text = groups_table(report(group(NASTY, photo(NASTY + "2"), why=f"kept: in {NASTY}")), Screen(60, False))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_leaks_are_counted_in_test_pictures() -> None:
    leaks = (
        Leak("/t/1.jpg", "/a.jpg", "bytes", 1.0),
        Leak("/t/3.jpg", "/b.jpg", "near", 0.97),
        Leak("/t/2.jpg", "/c.jpg", "probably", 0.6),
    )
    text = leaks_table(LeakReport("/train", "/test", 0.9, 1000, 50, leaks, ()))
    last = "2 test files found among 1,000 training photos, 1 more to look at; 50 test photos looked up"
    assert text.splitlines()[-1] == last
    assert re.search(r"same bytes +1\.0000 +/t/1\.jpg +/a\.jpg", text)
    none = LeakReport("/train", "/test", 0.9, 10, 0, (), (Skipped("/x", "gone", True),))
    assert leaks_table(none) == (
        "0 test files found among 10 training photos, 1 photo could not be read; 0 test photos looked up\n"
    )


def test_a_comparison_says_how_to_turn_the_second() -> None:
    assert comparison_lines(Comparison("/a", "/b", "near", 0.98765, 0.9, True, 90)) == (
        "a copy: score 0.9876, copies from 0.9000 on\n  /a\n"
        "  /b (has to be mirrored left to right, then turned by 90° clockwise)\n"
    )
    assert comparison_lines(Comparison("/a", "/b", "similar", 0.1, 0.9, False, 0)).splitlines()[2] == "  /b"


# Plans


def facts(path: str, size: int = 1000) -> FileFacts:
    return FileFacts(path, size, 1, 2, 3, SHA)


def plan(action: str = "set-aside", groups: int = 1) -> Plan:
    keeper, sidecar = facts("/p/a.jpg"), Companion(facts("/p/b.xmp", 500), "/p/T/b.xmp", None)
    file = PlannedFile(facts("/p/b.jpg"), "near", "/p/T/b.jpg", keeper, (sidecar,))
    merge = PlannedMerge("/p/a.xmp", b"<x/>", ("rating 4, from b.jpg",), None, "/p/T/a.xmp")
    one = PlannedGroup(
        "/p/a.jpg", "kept: x", "near", (file,), (Left("/p/c.jpg", "it is probably a copy"),), merge
    )
    return Plan(1, "20260101-000000-abcdef", "/i", action, None, (one,) * groups)


def test_a_plan_says_what_goes_where_and_what_is_left() -> None:
    text = plan_table(plan())
    rows = [re.split(r"  +", line.strip(), maxsplit=1) for line in text.splitlines()]
    assert rows == [
        ["keep", "/p/a.jpg (kept: x)"],
        ["note", "rating 4, from b.jpg, in /p/a.xmp"],
        ["set aside", "/p/b.jpg -> /p/T/b.jpg"],
        ["with it", "/p/b.xmp -> /p/T/b.xmp"],
        ["leave", "/p/c.jpg: it is probably a copy"],
        [""],
        [
            "Plan 20260101-000000-abcdef: set aside 1 copy with 1 file beside them, 1.5 kB; write 1 sidecar; "
            "leave 1 file"
        ],
    ]
    linked = plan_table(plan("hardlink"))
    assert re.search(r"replace by a hard link +/p/b\.jpg \(the old file is kept as /p/T/b\.jpg\)", linked)
    assert "and 3 more groups; --json shows all" in plan_table(plan(groups=23))


def test_a_plan_that_does_nothing_names_no_run() -> None:
    left = PlannedGroup("/p/a.jpg", "kept: x", "near", (), (Left("/p/c.jpg", "probably a copy"),), None)
    nothing = Plan(1, "20260101-000000-abcdef", "/i", "hardlink", None, (left,))
    assert plan_table(nothing).splitlines()[-1] == "Nothing to put hard links in place of; leave 1 file"
    nothing = Plan(1, "20260101-000000-abcdef", "/i", "move", "/to", ())
    assert plan_table(nothing) == "Nothing to move\n"


def test_what_an_act_did(tmp_path: Path) -> None:
    left, trash = (Left("/x\x1b", "changed"),), (str(tmp_path), str(tmp_path / "gone"))
    done = ActReport("RUN", "set-aside", "applied", 2, 1, 1500, left, trash)
    assert "".join(act_lines(done, "set aside")) == (
        f"RUN: 2 pictures and 1 file beside them set aside, 1.5 kB; it is applied now\n  in {tmp_path}\n"
    )
    (tmp_path / "simsearch-undo.jsonl").write_text("")
    moved = ActReport("RUN", "move", "applied", 2, 0, 1500, (), trash)
    assert "".join(act_lines(moved, "moved")) == "RUN: 2 pictures moved, 1.5 kB; it is applied now\n"
    partly = ActReport("RUN", "set-aside", "partly", 1, 0, 500, left, ())
    assert "".join(act_lines(partly, "put back")) == "RUN: 1 picture put back, 500 B; it is partly done now\n"
    assert list(left_lines(())) == []
    assert list(left_lines(done.left)) == ["Left /x\\x1b: changed", "1 file was left."]
    assert list(left_lines(done.left * 25))[-2:] == ["… and 5 more: see --json", "25 files were left."]


def test_runs_are_listed() -> None:
    text = runs_table(
        [Run("20260101-000000-abcdef", "2026-01-01T00:00:00Z", "move", 1234, 5_000_000, "applied")]
    )
    assert re.split(r"  +", text.splitlines()[1].strip()) == [
        "20260101-000000-abcdef",
        *("2026-01-01T00:00:00Z", "move", "applied", "1,234", "5.0 MB"),
    ]


# Pages


def test_the_page_shows_groups_side_by_side_and_asks_no_network() -> None:
    pictures = {"/p/a.jpg": b"\xff\xd8a", "/p/b.jpg": b"\xff\xd8b"}
    html = "".join(groups_page(report(COPIES, DOUBTFUL), pictures.get))
    page = Page(html)
    assert [image["alt"] for image in page.images] == ["Keep: a.jpg", "A copy: b.jpg"]
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in page.images)
    assert not re.search(r"(?:src|href)=\"(?!data:|file://)", html)
    assert "http" not in re.sub(r"http-equiv", "", html)
    assert "script" not in page.tags
    assert "default-src 'none'" in html
    for part in ("Group 2: probably copies, score from 0.7000 on", "kept: x", "no preview", "0.9900"):
        assert part in page.text
    assert re.findall(r"<b>(.*?)</b>", html) == [
        *("40 &times; 30", "2.0 kB"),
        "/<wbr>q",
        *("40 &times; 30", "2.0 kB"),
    ]
    assert html.count('<li class="keep">') == 2
    assert html.count('<li class="doubt">') == 1
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


def test_a_large_group_is_shown_in_part_and_listed_whole() -> None:
    asked: list[str] = []
    large = report(group("/a.jpg", *[photo(f"/{n}.jpg") for n in range(100)]))
    page = Page("".join(groups_page(large, lambda path: asked.append(path))))
    assert len(asked) == 24
    assert "77 more" in page.text
    assert len(page.links) == 101


@pytest.mark.parametrize("name", ["/a b.jpg", NASTY])
def test_no_name_breaks_the_page(name: str) -> None:
    calm = Page("".join(groups_page(report(group("/a.jpg", photo("/b.jpg"))), lambda _: b"x")))
    html = "".join(groups_page(report(group(name, photo(name + "2"), why=name)), lambda _: b"x"))
    page = Page(html)
    assert html.encode("utf-8")
    # Folders are other ones here, so that one may be bold and the other not.
    assert [tag for tag in page.tags if tag != "b"] == [tag for tag in calm.tags if tag != "b"]
    assert visible(os.path.basename(name)) in page.text


def test_the_page_of_leaks() -> None:
    leaks = (Leak("/t/1.jpg", "/a.jpg", "near", 0.97),)
    page = Page(
        "".join(leaks_page(LeakReport("/a", "/t", 0.9, 10, 5, leaks, ()), lambda path: path.encode()))
    )
    assert [image["alt"] for image in page.images] == ["Test: 1.jpg", "Train: a.jpg"]
    assert "1 test file found among 10 training photos" in page.text
