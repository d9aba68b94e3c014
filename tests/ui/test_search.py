"""The Search page without a browser: what an address means, what is found, what the page shows of it."""

from __future__ import annotations

import csv
import datetime
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from children import wait_for
from conftest import age, picture, simsearch
from hypothesis import given
from hypothesis import strategies as st
from oracle import read_index
from streamlit.testing.v1 import AppTest

from simsearch.engine.index import Index
from simsearch.engine.search import QueryOptions
from simsearch.errors import PhotoUnreadable, SimsearchError
from simsearch.records import Hit
from simsearch.ui.pages.search.answers import facts, finding, folders, opening, tiles
from simsearch.ui.pages.search.wanted import Example, Limits, Search, from_address, to_address
from simsearch.ui.parts.region import checked
from simsearch.ui.shared import Library, library

EVERYTHING = Search(
    plus=(Example(indexed=12, box=(0.1, 0.2, 0.3, 0.4)), Example(upload="aB-_9")),
    minus=(Example(indexed=3),),
    limits=Limits(
        folder=os.fsdecode(b"/photos/\xff & more"),
        name="50 %",
        label="tiger cat",
        formats=("JPEG", "PNG"),
        megapixels=4,
        width=800,
        since=datetime.date(2020, 2, 29),
        until=datetime.date(2023, 1, 1),
    ),
)


def read(address: dict[str, str | list[str]]) -> Search:
    told = {key: [value] if isinstance(value, str) else value for key, value in address.items()}
    return from_address(told, finding.FORMATS)


def test_an_address_says_all_of_a_search() -> None:
    """Shareable and kept by a reload: each part is there in a form that a person can read."""
    address = to_address(EVERYTHING)
    assert address == {
        "like": ["12@0.1,0.2,0.3,0.4", "uaB-_9"],
        "unlike": ["3"],
        "folder": "/photos/%FF%20%26%20more",
        "name": "50%20%25",
        "label": "tiger cat",
        "format": ["JPEG", "PNG"],
        "megapixels": "4",
        "width": "800",
        "since": "2020-02-29",
        "until": "2023-01-01",
    }
    assert read(address) == EVERYTHING
    assert to_address(Search()) == {}
    assert read({}) == Search()


def test_what_makes_no_sense_in_an_address_is_passed_over() -> None:
    """An address is written by anybody; `unlike` means nothing without `like`."""
    address: dict[str, str | list[str]] = {
        "like": ["x", "", "u", "7@1,2", "7@0.5,0.5,nan,1", "8@0.9,0.9,0.5,0.5", "-1", "9" * 30],
        "unlike": ["2"],
        "format": ["EXE", "PNG"],
        "megapixels": "-4",
        "width": "many",
        "since": "2023-02-30",
    }
    found = read(address)
    assert found.plus == (Example(indexed=7), Example(indexed=8, box=(0.9, 0.9, 0.1, 0.1)))
    assert found.limits == Limits(formats=("PNG",))
    assert read({"unlike": ["2"]}) == Search()


@given(
    st.dictionaries(
        st.sampled_from(["like", "unlike", "folder", "name", "since", "width"]), st.lists(st.text())
    )
)
def test_no_address_breaks_the_page(address: dict[str, list[str]]) -> None:
    """Whatever it says, a search comes out, and that one's address says the same again."""
    found = read(dict(address))
    assert read(to_address(found)) == found


def test_examples_come_and_go() -> None:
    """A picture is on one side at most, and nothing is unlike without something to be like."""
    one = Search(plus=(Example(indexed=1),))
    both = one.with_example(2, like=True).with_example(3, like=False)
    assert to_address(both) == {"like": ["1", "2"], "unlike": ["3"]}
    assert to_address(both.with_example(2, like=False)) == {"like": ["1"], "unlike": ["3", "2"]}
    assert one.with_example(1, like=False) == one
    assert to_address(both.with_region((0.5, 0.5, 0.5, 0.5))) == {
        "like": ["1@0.5,0.5,0.5,0.5", "2"],
        "unlike": ["3"],
    }
    assert both.without(Example(indexed=1)).without(Example(indexed=2)) == Search()
    assert Limits(name="x", formats=("PNG",)).count() == 2


def test_a_box_from_a_browser_is_checked() -> None:
    """It is cut to the picture; what is none, or too small to be meant, is the whole picture."""
    assert checked([0.25, 0.5, 0.5, 0.75]) == (0.25, 0.5, 0.5, 0.5)
    assert checked([-1, 0, 2, 1]) == (0.0, 0.0, 1.0, 1.0)
    assert checked([0.1, 0.1, 0.001, 0.5]) is None
    for nonsense in (None, "box", [1, 2], [0, 0, float("nan"), 1], [0, 0, "a", 1], {"x": 1}):
        assert checked(nonsense) is None


@pytest.fixture
def lib(shown_index: Path) -> Library:
    return library(shown_index)


def ids(lib: Library, *ends: str) -> list[int]:
    """The ids of the sample photos whose paths end so."""
    paths = {photo.paths[0]: photo.id for photo in lib.index.photos()}
    return [next(number for path, number in paths.items() if path.endswith(end)) for end in ends]


def test_a_search_by_one_picture_is_a_query(lib: Library) -> None:
    """The page and `simsearch query` give the same hits, and the picture itself is none."""
    [coffee] = ids(lib, "originals/coffee.png")
    hits = finding.hits_of(lib, Search(plus=(Example(indexed=coffee),)))
    assert hits == lib.searcher.query_id(coffee, QueryOptions(k=finding.BEST)).hits
    assert len(hits) == len(lib.index) - 1
    assert {os.path.basename(hit.path) for hit in hits[:4]} == {"coffee.jpg"}
    assert finding.hits_of(lib, Search(plus=(Example(indexed=coffee),))) is hits


def test_more_and_less_like_are_rocchios_formula(lib: Library) -> None:
    """The mean of what hits are to be like, less a quarter of what they are to be unlike."""
    plus = ids(lib, "originals/coffee.png", "originals/coins.png")
    minus = ids(lib, "originals/moon.png")
    search = Search(tuple(Example(indexed=i) for i in plus), tuple(Example(indexed=i) for i in minus))
    wanted = lib.index.vectors(plus).mean(axis=0) - lib.index.vectors(minus)[0] / 4
    others = [photo.id for photo in lib.index.photos() if photo.id not in (*plus, *minus)]
    every = read_index(lib.index.path)
    scores = every.seen(lib.index.vectors(others)) @ every.seen((wanted / np.linalg.norm(wanted))[None])[0]
    hits = finding.hits_of(lib, search)
    assert [hit.id for hit in hits[:5]] == [others[place] for place in np.argsort(-scores)[:5]]
    assert [hit.score for hit in hits] == pytest.approx(sorted(scores, reverse=True), abs=1e-5)


def test_limits_hold_for_hits_and_for_the_collection(lib: Library) -> None:
    """Both show what is within the limits and nothing else; the collection its last pictures first."""
    [coffee] = ids(lib, "originals/coffee.png")
    photos = list(lib.index.photos())
    root = os.path.commonpath([photo.paths[0] for photo in photos])
    for limits, within in (
        (Limits(folder=f"{root}/mirrored"), lambda p: "/mirrored/" in p.paths[0]),
        (Limits(name="Co"), lambda p: "co" in os.path.basename(p.paths[0])),
        (Limits(name="co*e"), lambda p: "coffee" in p.paths[0]),
        (Limits(name="it's"), lambda p: False),
        (Limits(formats=("PNG",)), lambda p: p.format == "PNG"),
        (Limits(megapixels=1), lambda p: p.width * p.height >= 1_000_000),
        (Limits(width=700, name="motor"), lambda p: p.width >= 700 and "motor" in p.paths[0]),
        (Limits(until=datetime.date(1990, 1, 1)), lambda p: False),
    ):
        wanted = [photo.id for photo in photos if within(photo)]
        assert finding.matching(lib, limits).tolist() == wanted[::-1], limits
        hits = finding.hits_of(lib, Search((Example(indexed=coffee),), limits=limits))
        assert sorted(hit.id for hit in hits) == [number for number in wanted if number != coffee], limits


def test_an_upload_that_is_forgotten_is_told(lib: Library) -> None:
    """An address outlives what was uploaded."""
    with pytest.raises(PhotoUnreadable, match="Give it again"):
        finding.hits_of(lib, Search(plus=(Example(upload="gone"),)))


@pytest.fixture
def odd(tmp_path: Path) -> Library:
    """Two photos in folders below a root; one of the names holds a byte that is no text and Markdown."""
    root = tmp_path / "photos"
    names = (b"a/b/**one** \xff.jpg", b"c/two.jpg")
    for seed, name in enumerate(names):
        place = os.path.join(os.fsencode(root), name)
        os.makedirs(os.path.dirname(place))
        written = io.BytesIO()
        picture(seed).save(written, "JPEG")
        with open(place, "wb") as file:
            file.write(written.getvalue())
    age(root)
    index = tmp_path / "index"
    assert simsearch("index", root, "-i", index, "-q", "--model", "efficientnet_lite0").returncode == 0
    return library(index)


def test_odd_names_are_shown_and_copied(odd: Library) -> None:
    """Nothing of a name is lost or acted on; the table of hits keeps its bytes."""
    root = odd.index.info().roots[0]
    assert folders.folders(odd) == (root, f"{root}/a", f"{root}/a/b", f"{root}/c")
    two, one = tiles.shot_tiles(odd, finding.matching(odd, Limits()).tolist())
    if one.name == "two.jpg":
        one, two = two, one
    assert (one.name, one.path) == (r"**one** \xff.jpg", rf"{root}/a/b/**one** \xff.jpg")
    assert one.copied == one.path
    assert two.copied == f"{root}/c/two.jpg"
    day = datetime.datetime.fromtimestamp(os.stat(two.copied).st_mtime).date()
    size = os.stat(two.copied).st_size
    assert two.facts == f"96 \u00d7 72 · JPEG · {size / 1000:.1f} kB · {day}"
    hits = finding.hits_of(odd, Search(plus=(Example(indexed=two.id),)))
    [tile] = tiles.hit_tiles(odd, hits)
    assert (tile.id, tile.score) == (one.id, f"{hits[0].score:.3f}")
    assert b"**one** \xff.jpg" in tiles.table("two.jpg", hits)


def test_the_table_is_that_of_the_command_line(lib: Library) -> None:
    """The same columns, and a line a hit."""
    hits = (Hit("/a/b.jpg", 0.5, 7, 40, 30, ("/a/c.jpg",)), Hit("/d.jpg", 0.25, 8, 4, 3))
    rows = list(csv.DictReader(io.StringIO(tiles.table("x.jpg", hits).decode())))
    assert [(row["query"], row["rank"], row["path"], row["score"]) for row in rows] == [
        ("x.jpg", "1", "/a/b.jpg", "0.5"),
        ("x.jpg", "2", "/d.jpg", "0.25"),
    ]
    assert json.loads(rows[0]["copies"]) == ["/a/c.jpg"]


def test_folders_are_opened_for_a_visitor_of_this_machine_only() -> None:
    """Both ends must be this machine: a proxy makes any visitor look like one."""
    here = "http://localhost:8501"
    assert opening.is_here(None, here)
    assert opening.is_here("127.0.0.1", "http://127.0.0.1:8501/search")
    assert opening.is_here("::1", "http://[::1]:8501")
    assert not opening.is_here("192.168.1.7", here)
    assert not opening.is_here(None, "https://photos.example.org/")
    assert not opening.is_here(None, None)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="xdg-open is how Linux opens folders")
def test_a_folder_is_opened_by_the_systems_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the folder as one argument; what cannot be opened is told in words."""
    told = tmp_path / "told"
    program = tmp_path / "bin" / "xdg-open"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$#" "$1" > {told}.new && mv {told}.new {told}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    folder = tmp_path / "a 'folder' $(of) photos"
    folder.mkdir()
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SimsearchError, match="No program that opens folders"):
        opening.open_folder(str(folder / "x.jpg"))
    monkeypatch.setenv("DISPLAY", ":0")
    opening.open_folder(str(folder / "x.jpg"))
    wait_for(told.exists)
    assert told.read_text() == f"1|{folder}|"
    with pytest.raises(SimsearchError, match="is not there"):
        opening.open_folder(str(tmp_path / "gone" / "x.jpg"))


def page(index: str) -> None:
    """The page as the script shows it; AppTest runs the source of this function alone."""
    from simsearch.ui import look
    from simsearch.ui.pages.search.page import show
    from simsearch.ui.shared import library

    try:
        show(library(index))
    except Exception as exc:
        look.problem(str(exc))


def shown(index: Path, **query: list[str]) -> AppTest:
    app = AppTest.from_function(page, args=(str(index),), default_timeout=300)
    for key, values in query.items():
        app.query_params[key] = values
    return app.run()


def gallery(app: AppTest) -> dict[str, object]:
    """What the page hands to the part `gallery`."""
    for node in app:
        data = getattr(getattr(node, "proto", None), "json", "")
        if data and "tiles" in json.loads(data):
            found: dict[str, object] = json.loads(data)
            return found
    return {}


def names(app: AppTest) -> list[str]:
    return [tile["name"] for tile in gallery(app).get("tiles", [])]  # type: ignore[attr-defined]


def words(app: AppTest) -> str:
    return " | ".join(node.value for kind in (app.title, app.markdown, app.info, app.error) for node in kind)


def test_the_collection_is_looked_through_page_by_page(shown_index: Path) -> None:
    """At most 60 pictures at a time; together all of them, once each."""
    count = len(library(shown_index).index)
    app = shown(shown_index)
    assert f"{count} pictures, 1 to 60 shown" in words(app)
    first = names(app)
    assert len(first) == 60
    [button] = [button for button in app.button if button.label == "Next page"]
    app = button.click().run()
    assert f"{count} pictures, 61 to {count} shown" in words(app)
    assert len(names(app)) == count - 60
    assert sorted([*first, *names(app)]) == sorted(
        os.path.basename(photo.paths[0]) for photo in library(shown_index).index.photos()
    )


def test_an_address_is_a_search_and_back_leads_to_the_one_before(shown_index: Path, lib: Library) -> None:
    """The hits are those of the query, and the way back is the way it came."""
    coffee, moon = ids(lib, "originals/coffee.png", "originals/moon.png")
    app = shown(shown_index, like=[str(coffee)])
    assert names(app)[:4] == ["coffee.jpg"] * 4
    assert gallery(app)["refine"]
    assert not gallery(app)["back"]
    app.query_params["like"] = [str(moon)]
    app = app.run()
    assert names(app)[:2] == ["moon.jpg"] * 2
    [back] = [button for button in app.button if button.label == "Back"]
    app = back.click().run()
    assert names(app)[:4] == ["coffee.jpg"] * 4
    assert app.query_params["like"] == str(coffee)
    assert not [button for button in app.button if button.label == "Back"]


def test_a_filter_in_a_field_is_one_in_the_address(shown_index: Path, lib: Library) -> None:
    """Both ways: typing changes the address, the address fills the field, and it can be cleared."""
    app = shown(shown_index, name=["coffee"])
    assert {name.split(".")[0] for name in names(app)} == {"coffee"}
    [field] = [field for field in app.text_input if field.label == "Name contains"]
    assert field.value == "coffee"
    app = field.set_value("moon").run()
    assert app.query_params["name"] == "moon"
    assert {name.split(".")[0] for name in names(app)} == {"moon"}
    [clear] = [button for button in app.button if button.label == "Clear the filter"]
    app = clear.click().run()
    assert "name" not in app.query_params
    assert len(names(app)) == 60


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"like": ["999999"]}, "has the id 999999"),
        ({"like": ["ugone"]}, "Give it again"),
        ({"name": ["no such name"]}, "No picture is within these filters"),
        ({"name": ["%FF"]}, "No picture is within these filters"),
        ({"like": ["1"], "name": ["no such name"]}, "No picture is within these filters"),
        ({"since": ["2020-01-01"], "until": ["2010-01-01"]}, "since 2020-01-01"),
        ({"folder": ["/nowhere"]}, "/nowhere"),
    ],
)
def test_what_cannot_be_shown_is_told(shown_index: Path, query: dict[str, list[str]], told: str) -> None:
    """In words, and with nothing that looks like an answer."""
    app = shown(shown_index, **query)
    assert told in words(app).replace("\\", "")
    assert not app.exception
    assert names(app) == []


def test_looking_and_searching_load_no_network(shown_index: Path) -> None:
    """A collection is looked through, and searched by what is in it, without torch or onnxruntime."""
    program = f"""
import sys
sys.path.insert(0, "tests")
from ui.test_search import names, shown
assert len(names(shown({str(shown_index)!r}))) == 60
assert len(names(shown({str(shown_index)!r}, like=["1", "2"], unlike=["3"]))) == 60
print(sorted({{"torch", "onnxruntime", "timm"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_an_empty_index_is_told(small_photos: Callable[[int], Path], tmp_path: Path) -> None:
    """Instead of an empty gallery."""
    index = tmp_path / "index"
    photos = small_photos(1)
    assert simsearch("index", photos, "-i", index, "-q", "--model", "efficientnet_lite0").returncode == 0
    assert simsearch("remove", photos, "-i", index, "--yes").returncode == 0
    with Index.open(index) as opened:
        assert len(opened) == 0
    assert "This index holds no picture yet" in words(shown(index))


def test_pictures_are_limited_by_what_they_show(lib: Library, shown_index: Path, loopback: None) -> None:
    """The field offers what some picture is labelled with; a picture shows its labels among its facts."""
    [chelsea] = ids(lib, "originals/chelsea.png")
    found = finding.matching(lib, Limits(label="tiger cat")).tolist()
    assert chelsea in found
    [shot] = facts.shots(lib.index, [chelsea]).values()
    [tile] = tiles.shot_tiles(lib, [chelsea])
    [share] = [label.probability for label in shot.labels if label.name == "tiger cat"]
    assert share > tiles.LIKELY
    assert f" · tiger cat {share:.0%}" in tile.facts
    assert from_address({"label": ["tiger cat"]}, finding.FORMATS).limits == Limits(label="tiger cat")
    assert from_address({"label": ["wolpertinger"]}, finding.FORMATS).limits == Limits()
    app = shown(shown_index)
    [field] = [one for one in app.selectbox if one.label == "Shows"]
    assert field.options == sorted(finding.label_names(lib))
    app = field.set_value("tiger cat").run()
    assert not app.exception
    assert f"{len(found)} picture" in words(app)
    assert app.query_params["label"] == "tiger cat"
