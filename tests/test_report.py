"""What people and programs are shown: exact names, whole paths, pages that cannot be broken by a name."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simsearch.records import (
    Hit,
    IndexInfo,
    IndexReport,
    Problem,
    QueryResult,
    Skipped,
    VerifyReport,
    ViewInfo,
)
from simsearch.report import machine
from simsearch.report.html import query_page
from simsearch.report.lines import human_bytes, index_line, skipped_lines
from simsearch.report.names import visible
from simsearch.report.table import Screen, info_table, query_table, query_tables, skipped_table, verify_table

NASTY = "/photos/[red]a,\"b\"\n\x1b[31m<script>alert('x')</script>&\udcff\u202egpj.exe 猫.jpg"
LONG = "/photos/" + "long folder name/" * 20 + "picture.jpg"
FILE_NAMES = st.binary(min_size=1, max_size=60).map(lambda raw: "/" + os.fsdecode(raw.replace(b"\0", b"")))


def result(*paths: str, query: str = "/q.jpg", copies: tuple[str, ...] = ()) -> QueryResult:
    hits = tuple(
        Hit(path, score=0.9 - 0.1 * n, id=n + 1, width=40, height=30, copies=copies)
        for n, path in enumerate(paths)
    )
    return QueryResult(query, hits)


REPORT = IndexReport(
    index="/indexes/default",
    model="resnet50",
    fallback=None,
    device="cpu",
    scanned=9,
    added=3,
    updated=0,
    moved=1,
    unchanged=2,
    gone=0,
    removed=0,
    ignored=2,
    passed_over=0,
    skipped=(Skipped(NASTY, "truncated", False),),
    embedded=3,
    seconds=1.5,
    images_per_second=2.0,
)


# Names


def test_visible_shows_what_would_act_on_a_terminal() -> None:
    assert visible("plain name.jpg") == "plain name.jpg"
    assert visible("Zürich 猫 👩\u200d🚀.jpg") == "Zürich 猫 👩\u200d🚀.jpg"
    assert visible("a\x1b[31m\r\n\t\x7f\x9b") == "a\\x1b[31m\\r\\n\\t\\x7f\\x9b"
    assert visible("\udcff\udc80") == "\\xff\\x80"
    assert visible("a\u202eb\u2028c") == "a\\u202eb\\u2028c"


@given(FILE_NAMES)
def test_visible_is_one_printable_line_of_utf8(name: str) -> None:
    shown = visible(name)
    assert shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", shown)


# Machine formats


@given(FILE_NAMES)
def test_every_format_keeps_the_bytes_of_a_name(name: str) -> None:
    answer = [result(name, query=name, copies=(name,))]
    raw = os.fsencode(name)

    (entry,) = json.loads(machine.to_json(answer))
    assert os.fsencode(entry["query"]) == os.fsencode(entry["hits"][0]["path"]) == raw
    assert os.fsencode(entry["hits"][0]["copies"][0]) == raw
    assert machine.to_json(answer).isascii()

    (line,) = machine.to_jsonl(answer)
    assert json.loads(line) == entry
    assert line.count(b"\n") == 1

    assert b"".join(machine.to_paths(answer, end=b"\0")) == raw + b"\0"

    text = b"".join(machine.to_csv(answer)).decode("utf-8", "surrogateescape")
    header, row = csv.reader(io.StringIO(text, newline=""))
    fields = dict(zip(header, row, strict=True))
    assert os.fsencode(fields["path"]) == os.fsencode(fields["query"]) == raw
    assert json.loads(fields["copies"]) == [name]
    assert (fields["rank"], float(fields["score"]), fields["id"]) == ("1", 0.9, "1")


def test_json_of_queries_is_a_list_with_an_entry_for_each() -> None:
    value = json.loads(machine.to_json([result("/a"), result()]))
    assert [entry["query"] for entry in value] == ["/q.jpg", "/q.jpg"]
    hit = set(value[0]["hits"][0])
    assert hit == {"path", "score", "id", "width", "height", "copies", "one_in", "part", "points"}
    assert value[1]["hits"] == []
    assert json.loads(machine.to_json([])) == []


def test_json_of_an_index_run_and_a_check() -> None:
    value = json.loads(machine.to_json(REPORT))
    assert value["skipped"] == [{"path": NASTY, "reason": "truncated", "transient": False}]
    assert value["fallback"] is None
    report = VerifyReport("/i", 5, (Problem("segments/000001.seg", "a row differs", "index again"),))
    value = json.loads(machine.verify_json(report))
    assert value["ok"] is False
    assert value["problems"] == [
        {"file": "segments/000001.seg", "what": "a row differs", "mend": "index again"}
    ]


def test_json_refuses_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        machine.to_json({"score": float("nan")})


# Tables


def test_a_plain_table_is_whole_and_without_colour() -> None:
    text = query_table(result(LONG, NASTY, copies=("/copy of it.jpg",)))
    assert LONG in text
    assert "/copy of it.jpg" in text
    assert visible(NASTY) in text
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())
    assert "0.9000" in text
    assert "40 x 30" in text


def test_a_narrow_terminal_folds_a_path_and_cuts_nothing() -> None:
    text = query_table(result(LONG, query=LONG), Screen(width=60))
    assert "…" not in text
    assert "".join(LONG.split()) in "".join(text.split()).replace("copy", "")


def test_markup_and_emoji_codes_in_names_stay_as_they_are() -> None:
    assert "/[bold]x[/bold] :smile:.jpg" in query_table(result("/[bold]x[/bold] :smile:.jpg"))
    assert "[/x]" in skipped_table([Skipped("/[/x]", "[red]broken[/red]", True)])


def test_colour_only_on_request() -> None:
    assert "\x1b[" in query_table(result("/a"), Screen(width=80, colour=True))
    assert "\x1b[31m" not in query_table(result(NASTY), Screen(width=80, colour=True))


def test_no_hit_is_said() -> None:
    assert "nothing matches" in query_table(result())
    both = "".join(query_tables([result("/a"), result(query="/other")]))
    assert both.index("/q.jpg") < both.index("/a") < both.index("\n\n/other")


def test_the_line_of_an_index_run() -> None:
    line = index_line(REPORT)
    assert line.startswith("/indexes/default: 3 added, 1 moved, 2 unchanged, 1 skipped, 2 ignored; ")
    assert "2.0 photos/s, resnet50 on cpu" in line
    assert "updated" not in line


def test_skipped_files_are_listed_up_to_ten() -> None:
    skipped = [Skipped(f"/{n}.jpg", "truncated\x1b[0m", False) for n in range(12)]
    lines = list(skipped_lines(skipped, more="simsearch info --skipped"))
    assert len(lines) == 11
    assert lines[0] == "Skipped /0.jpg: truncated\\x1b[0m"
    assert lines[-1] == "… and 2 more: see simsearch info --skipped"
    assert len(list(skipped_lines(skipped[:10], more="x"))) == 10


def test_info_and_verify_say_what_matters() -> None:
    view = ViewInfo("ivf", 0.9912, 40)
    info = IndexInfo("/i", 1, "resnet50", None, "ab" * 32, 2048, 7, 9, 9, 1, 94_200_000, view, ("/p", LONG))
    text = info_table(info)
    for part in ("7 in 9 files", "1 files", "2048", "0.991", "40", "94.2 MB", "ab" * 32, "/p", LONG):
        assert part in text
    assert "fallback" not in text
    assert "no problem" in verify_table(VerifyReport("/i", 5, ()))
    problem = Problem("index.db", "a row differs", "simsearch index /p")
    assert "simsearch index /p" in verify_table(VerifyReport("/i", 5, (problem,)))
    many = verify_table(VerifyReport("/i", 99, (problem,) * 70))
    assert "70 problems" in many
    assert many.count("simsearch index /p") == 50
    assert many.splitlines()[-1] == "and 20 more; --json lists them all"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (94_200_000, "94.2 MB"), (2 * 10**12, "2.0 TB")],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert human_bytes(size) == text


# The page


class Page(HTMLParser):
    """Reads a page back: its tags, its pictures, its links and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "wbr":
            self.tags.append(tag)
        found = dict(attrs)
        if tag == "img":
            self.images.append(found)
        if tag == "a":
            self.links.append(found["href"] or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_its_pictures_and_asks_no_network() -> None:
    thumbnails = {"/q.jpg": b"\xff\xd8query", "/a.jpg": b"\xff\xd8hit"}
    html = query_page([result("/a.jpg", "/b.jpg", copies=("/c.jpg",))], thumbnails)
    page = Page(html)
    assert [image["alt"] for image in page.images] == ["Query: /q.jpg", "Hit 1: a.jpg"]
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in page.images)
    assert not re.search(r"(?:src|href)=\"(?!data:|file://)", html)
    assert "script" not in page.tags
    assert "http" not in re.sub(r"http-equiv", "", html)
    for part in ("no preview", "0.9000", "0.8000", "1 copy", "/c.jpg", "id 2"):
        assert part in page.text
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


@given(FILE_NAMES | st.just(NASTY))
def test_no_name_breaks_the_page(name: str) -> None:
    calm = Page(query_page([result("/a.jpg", copies=("/b.jpg",))], {"/a.jpg": b"x", "/q.jpg": b"x"}))
    html = query_page([result(name, query=name, copies=(name,))], {name: b"x"}, title=name, subtitle=name)
    page = Page(html)
    assert html.encode("utf-8")
    assert page.tags == calm.tags
    assert visible(name) in page.text


def test_links_lead_to_the_very_bytes_of_a_name() -> None:
    page = Page(query_page([result("/a b/\udcff#?%.jpg")], {}))
    assert page.links == ["file:///a%20b/%FF%23%3F%25.jpg"]
