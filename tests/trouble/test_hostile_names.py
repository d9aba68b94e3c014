"""Hostile names of files and folders: markup, terminal escapes and formulas reach nobody's screen as such."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from conftest import age, picture, simsearch

from simsearch import index_folder
from simsearch.cli import run
from simsearch.engine.indexing import IndexingConfig
from simsearch.models.choice import ModelChoice
from simsearch.report.names import visible

LITE0 = ("--model", "efficientnet_lite0")
MARKUP = (
    b"<script>alert(1)<",
    b'"onerror=alert(1) x="',
    b"'><img src=x onerror=alert(1)>",
    b"javascript:alert(1)",
    b"&lt;b&gt; & &#60;i&#62;",
    b"--><!-- ]]> <title>",
    b"two\nlines",
)
ESCAPES = (
    b"\x1b]0;title\x07",
    b"\x1b[2J\x1b[H",
    b"\x1b]8;;mailto:x\x1b\\here\x1b]8;;\x1b\\",
    b"\x9b31m as a byte",
    b"\xc2\x9b31m as UTF-8",
    b"\xc2\x90q\xc2\x9c",
    b"\r\r\rdone, no problem found",
    b"a\x08\x08\x7f",
    "\u202egpj.exe".encode(),
    "\u2066\u200b\ufeff\u2028\u061c".encode(),
    b"line\nError: all is lost",
)
FORMULAS = (b"=cmd|' -c calc'!A0", b"@SUM(1+1)", b"+1", b"-1", b"\t=1", b'"\n=1+1,"')
# What rich itself writes on a terminal: colours, the cursor off and on, a line cleared, up by a line.
DRAWN = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|2K|1A)|\r")


class Photos:
    """A folder whose subfolders bear the hostile names, and in each a photo and a broken one of the same."""

    def __init__(self, place: Path) -> None:
        self.root, self.index, self.good, self.broken = place / "photos", place / "index", [], []
        pairs = [(name, name) for name in (*MARKUP, *ESCAPES, *FORMULAS)]
        # The slash between the two names ends the element.
        for seed, (above, name) in enumerate([*pairs, (MARKUP[0], b"script>")]):
            folder = os.path.join(os.fsencode(self.root), above)
            os.makedirs(folder, exist_ok=True)
            self.good.append(os.path.join(folder, name + b".jpg"))
            self.broken.append(os.path.join(folder, name + b".png"))
            with open(self.good[-1], "wb") as file:
                picture(seed).save(file, "JPEG")
            with open(self.broken[-1], "wb") as file:
                file.write(b"no picture")
        age(self.root)
        index_folder([self.root], self.index, IndexingConfig(choice=ModelChoice("efficientnet_lite0")))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    return Photos(tmp_path_factory.mktemp("names"))


def acting(text: str) -> set[str]:
    """The characters of a text that would act on a terminal or hide: none may be there but the line end."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"}


# The page


class Page(HTMLParser):
    """Reads a page back: every attribute, every link, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(query: bytes, photos: Photos, place: Path) -> Page:
    shown = simsearch("query", os.fsdecode(query), "-i", photos.index, "-k", "99", "--html", place)
    assert shown.returncode == 0, shown.stderr
    return Page(place.read_text(encoding="utf-8"))


def test_names_are_text_in_the_page_and_links_lead_to_their_bytes(photos: Photos, tmp_path: Path) -> None:
    page = page_of(photos.good[0], photos, tmp_path / "page.html")
    calm = {"a", "bdi", "body", "div", "figcaption", "figure", "h1", "h2", "head", "header", "html", "img"}
    assert page.tags <= calm | {
        "li",
        "main",
        "meta",
        "meter",
        "ol",
        "section",
        "span",
        "style",
        "title",
        "wbr",
    }
    assert {name for name in page.attributes if name.startswith("on") or name == "srcdoc"} == set()
    for name in (*MARKUP, *ESCAPES):
        assert visible(os.fsdecode(name + b".jpg")) in page.text
    assert acting(page.text) == set()
    # The query's own file is no hit.
    assert sorted(unquote_to_bytes(link.removeprefix("file://")) for link in page.links) == sorted(
        photos.good[1:]
    )
    assert all(re.fullmatch(r"file:///[A-Za-z0-9/._~%-]+", link) for link in page.links)


# The terminal


def in_terminal(*args: str | os.PathLike[str]) -> str:
    """All that a command writes on a terminal, less what rich draws of itself."""
    own, child = pty.openpty()
    command = [sys.executable, "-m", "simsearch", *map(os.fspath, args)]
    env = {**os.environ, "COLUMNS": "200", "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=child, stderr=child, env=env):
        os.close(child)
        parts = []
        # Linux ends the reading with an error when the last writer has gone.
        try:
            while part := os.read(own, 1 << 16):
                parts.append(part)
        except OSError:
            pass
    os.close(own)
    return DRAWN.sub("", b"".join(parts).decode("utf-8", "surrogateescape"))


def commands(photos: Photos, place: Path) -> dict[str, tuple[str | os.PathLike[str], ...]]:
    """Each kind of output that names a file."""
    gone = os.fsdecode(b"/gone/" + b"".join(ESCAPES).replace(b"/", b"") + b".jpg")
    deep = place / "deep"
    return {
        "index": ("index", photos.root, "-i", place / "new", *LITE0),
        "index a hostile place": ("index", gone, "-i", place / "new"),
        "query": (
            "query",
            os.fsdecode(photos.good[7]),
            os.fsdecode(photos.good[0]),
            "-i",
            photos.index,
            "-k",
            "99",
        ),
        "query what is broken": ("query", *map(os.fsdecode, photos.broken), "-i", photos.index),
        "query what is gone": ("query", gone, "-i", photos.index),
        "info": ("info", "-i", place / os.fsdecode(b"\x1b[2J"), "--skipped"),
        "info --skipped": ("info", "--skipped", "-i", photos.index),
        "verify --deep": ("verify", "--deep", "-i", deep),
        "no index there": ("verify", "-i", gone),
        "remove": ("remove", gone, "-i", photos.index, "--dry-run"),
        "weights": ("index", photos.root, "-i", place / "w", "--weights", gone, "--model", "resnet50"),
        "model": ("index", photos.root, "-i", place / "w", "--model", gone),
        "usage": ("compact", gone),
        "info of a photo": ("info", gone, "-i", photos.index),
        "option": ("info", f"--{os.fsdecode(ESCAPES[1])}"),
        "command": (os.fsdecode(ESCAPES[0]),),
    }


KINDS = [
    *("index", "index a hostile place", "query", "query what is broken", "query what is gone", "info"),
    *("info --skipped", "verify --deep", "no index there", "remove", "weights", "model", "usage", "option"),
    "info of a photo",
    "command",
]


def deep_index(photos: Photos, place: Path) -> None:
    """An index of hostile names whose files have changed since."""
    folder = place / os.fsdecode(b"changed\x1b[2J")
    folder.mkdir()
    file = folder / os.fsdecode(b"\x1b]0;x\x07\xc2\x9b.jpg")
    picture(1).save(file, "JPEG")
    age(folder)
    index_folder([folder], place / "deep", IndexingConfig(choice=ModelChoice("efficientnet_lite0")))
    picture(2).save(file, "JPEG")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_name_acts_on_whoever_reads_the_output(
    kind: str, photos: Photos, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    if kind == "verify --deep":
        deep_index(photos, tmp_path)
    arguments = commands(photos, tmp_path)[kind]
    run([os.fspath(argument) for argument in arguments])
    piped = capfdbinary.readouterr()
    assert b"Traceback" not in piped.err
    said = (piped.out + piped.err).decode("utf-8", "surrogateescape")
    assert acting(said) == set()
    assert "\\x1b" in said
    assert acting(in_terminal(*arguments)) == set()


def test_a_name_begins_no_line_of_its_own(photos: Photos) -> None:
    said = simsearch("info", "--skipped", "-i", photos.index).stdout.decode()
    assert "line\\nError: all is lost.png" in said
    # A heading, and a line each.
    assert said.count("\n") == 1 + len(photos.broken)


# Programs


def test_json_gives_back_every_byte_of_every_name(photos: Photos) -> None:
    answer = simsearch("query", os.fsdecode(photos.good[0]), "-i", photos.index, "-k", "99", "--json").stdout
    assert answer.isascii()
    assert acting(answer.decode()) == set()
    [entry] = json.loads(answer)
    assert os.fsencode(entry["query"]) == photos.good[0]
    assert sorted(os.fsencode(hit["path"]) for hit in entry["hits"]) == sorted(photos.good[1:])
    skipped = json.loads(simsearch("info", "--skipped", "-i", photos.index, "--json").stdout)
    assert sorted(os.fsencode(item["path"]) for item in skipped) == sorted(photos.broken)


def test_no_cell_of_a_csv_is_a_formula(photos: Photos, tmp_path: Path) -> None:
    query = ("query", os.fsdecode(photos.good[0]), "-i", photos.index, "-k", "99", "--format", "csv")
    assert simsearch("export", tmp_path / "out", "-i", photos.index).returncode == 0
    for data, number in (
        (simsearch(*query).stdout, len(photos.good) - 1),
        ((tmp_path / "out" / "photos.csv").read_bytes(), len(photos.good)),
    ):
        text = data.decode("utf-8", "surrogateescape")
        header, *rows = csv.reader(io.StringIO(text, newline=""))
        assert (len(rows), {len(row) for row in rows}) == (number, {len(header)})
        # Paths are absolute, so that whatever a name begins with, its cell begins with a slash.
        assert {cell[0] for row in rows for cell in row if cell} & set("=+-@\t\r\n") == set()
        paths = {os.fsencode(row[header.index("path")]) for row in rows}
        assert paths >= set(photos.good[1:])
