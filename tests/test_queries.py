"""Filters, several examples, regions and variety, held against predicates and loops in plain Python."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made import ENOUGH, made_index
from oracle import Truth, read_index
from PIL import Image

from simsearch import Embedder, Index, index_folder
from simsearch.cli import run
from simsearch.cli.query import USUAL
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.view import rebuild
from simsearch.engine.queries.diversity import AMONG, BALANCE
from simsearch.engine.queries.examples import Example, Seen, rocchio
from simsearch.engine.queries.filters import PhotoFilter, ids_where
from simsearch.engine.queries.language.dates import nanoseconds, period
from simsearch.engine.queries.language.parsing import LEVELS, LONGEST, VALUES, parse
from simsearch.engine.queries.language.tree import FIELDS, All, Compare, Like, Missing, Not, OneOf, Some
from simsearch.engine.queries.region import Box
from simsearch.engine.ranking import Wanted
from simsearch.engine.search import QueryOptions, Searcher
from simsearch.errors import NotIndexed, PhotoUnreadable, QueryInvalid, RegionOutside
from simsearch.models.choice import ModelChoice
from simsearch.records import Photo
from simsearch.storage.catalog.matching import like_regex

LITE0 = ModelChoice(model="efficientnet_lite0")
ODD = os.fsdecode(b"caf\xe9 %_'.png")


@dataclass(frozen=True)
class File:
    """A file of an indexed picture, as a predicate sees it."""

    path: str
    photo: Photo

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    @property
    def bytes(self) -> int:
        return os.stat(self.path).st_size

    @property
    def megapixels(self) -> float:
        return self.photo.width * self.photo.height / 1e6

    @property
    def modified(self) -> str:
        return datetime.fromtimestamp(int(os.stat(self.path).st_mtime)).isoformat()

    @property
    def date(self) -> str:
        return self.photo.taken_at or self.modified


Rule = Callable[[File], bool]


@dataclass(frozen=True)
class Library:
    """A small collection in two roots, and its index."""

    photos: Path
    other: Path
    index: Path


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """30 pictures of many sizes, formats and dates; some with EXIF's date, some copied, one oddly named."""
    work = tmp_path_factory.mktemp("library")
    photos, other = work / "photos", work / "other"
    for folder in (photos / "2022", photos / "2023" / "summer", photos / "2023x", other):
        folder.mkdir(parents=True)
    folders = [photos / "2022", photos / "2023", photos / "2023" / "summer", photos / "2023x", other]
    for n in range(30):
        suffix = ("jpg", "png", "webp")[n % 3]
        made = picture(n, (40 + 7 * n, 90 - 2 * n))
        exif = Image.Exif()
        if n % 4 == 0:
            exif.get_ifd(0x8769)[36867] = f"{2021 + n % 3}:0{1 + n % 9}:1{n % 10} 12:30:{10 + n}"
        made.save(folders[n % 5] / f"IMG_{n:03d}.{suffix}", exif=exif)
    shutil.copy(photos / "2022" / "IMG_000.jpg", photos / "2023" / "copy.jpg")
    shutil.copy(photos / "2022" / "IMG_005.webp", other / "Copy Of.webp")
    picture(99, (50, 50)).save(photos / "2023" / "odd.png")
    os.rename(photos / "2023" / "odd.png", photos / "2023" / ODD)
    for n, path in enumerate(sorted((*photos.rglob("*.*"), *other.rglob("*.*")))):
        then = datetime(2020 + n % 4, 1 + n % 12, 1 + n % 28, n % 24).timestamp()
        os.utime(path, (then, then))
    index_folder([photos, other], work / "index", IndexingConfig(choice=LITE0))
    return Library(photos, other, work / "index")


@pytest.fixture(scope="module")
def opened(library: Library) -> Iterator[Index]:
    with Index.open(library.index) as index:
        yield index


@dataclass(frozen=True)
class Made:
    """1,020 made vectors in two indexes, of which one has an approximate view, and what NumPy reads there."""

    exact: Path
    approximate: Path
    truth: Truth


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    work = tmp_path_factory.mktemp("made")
    _, folder = made_index(work)
    shutil.copytree(folder, work / "approximate")
    rebuild(work / "approximate", view="ivf", recall=0.9)
    return Made(folder, work / "approximate", read_index(folder))


def files_that(index: Index, rule: Rule) -> dict[int, list[str]]:
    """The paths that a predicate holds for, by id, of the photos that have one."""
    found = {photo.id: [path for path in photo.paths if rule(File(path, photo))] for photo in index.photos()}
    return {key: paths for key, paths in found.items() if paths}


def like(value: str, pattern: str) -> bool:
    meant = {"%": ".*", "_": ".", r"\%": "%", r"\_": "_", r"\\": r"\\"}
    signs = re.findall(r"(?s)\\[%_\\]|.", pattern)
    regex = "".join(meant.get(sign, re.escape(sign)) for sign in signs)
    return re.fullmatch(regex, value, re.DOTALL | re.IGNORECASE) is not None


# The language


def test_a_condition_becomes_the_tree_that_it_looks_like() -> None:
    assert parse("width > 2000 and path like '%2023%'") == All(
        (Compare("width", ">", 2000), Like("path", "%2023%"))
    )
    assert parse("id = 1 or id = 2 and not id = 3") == Some(
        (
            Compare("id", "=", 1),
            All((Compare("id", "=", 2), Not(Compare("id", "=", 3)))),
        )
    )
    assert parse("(id = 1 OR id = -2.5e1) AND Taken IS NOT NULL") == All(
        (Some((Compare("id", "=", 1), Compare("id", "=", -25))), Not(Missing("taken")))
    )
    assert parse("name not in ('it''s', \"a \"\" b\")") == Not(OneOf("name", ("it's", 'a " b')))
    assert parse("bytes between .5 and 7") == All((Compare("bytes", ">=", 0.5), Compare("bytes", "<=", 7)))
    assert parse("taken = 2023") == parse("taken = '2023'") == Compare("taken", "=", period("2023"))


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("", 1, "a field was expected, one of: path, folder"),
        ("width >> 2", 8, "width is compared with a number"),
        ("width > 'a'", 9, "width is compared with a number"),
        ("name = 5", 8, "name is compared with a text in quotes"),
        ("wdth > 5", 1, "a field was expected"),
        ("width > 5 name = 'a'", 11, "and, or, or the end was expected"),
        ("width > 5 and", 14, "a field was expected"),
        ("(width > 5", 11, ") was expected"),
        ("width > 5)", 10, "and, or, or the end"),
        ("name = 'abc", 8, "a quote is not closed"),
        ("width > 5; drop table files", 10, "this has no meaning here"),
        ("width > 5 -- x", 11, "this has no meaning here"),
        ("width like 'a%'", 7, "like is for texts"),
        ("width", 6, "= != < <= > >= like in between or is"),
        ("taken > '2023-13'", 9, "is no date"),
        ("taken > 2023-05-01", 13, "and, or, or the end"),
        ("taken is 5", 10, "null was expected"),
        ("id in ()", 8, "id is compared with a number"),
        ("id = 1e999", 6, "as large as this"),
        ("id = 5abc", 6, "no meaning"),
        ("id = \u0663", 6, "no meaning"),
        ("name = '\ud800'", 8, "no text"),
        ("not " * (LEVELS + 1) + "id = 1", 4 * LEVELS + 1, "levels"),
        ("id in (" + "1," * VALUES + "1)", 8 + 2 * VALUES, "values"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else str(value),
)
def test_what_cannot_be_read_is_one_error_with_its_place(text: str, place: int, why: str) -> None:
    with pytest.raises(QueryInvalid, match=re.escape(f"at character {place} (")) as caught:
        PhotoFilter(where=text)
    assert why in str(caught.value)


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(QueryInvalid, match="at most 10,000 characters"):
        parse("id = 1 or " * (LONGEST // 10) + "id = 1")


WORDS = st.sampled_from(
    [
        *FIELDS,
        *("and", "or", "not", "like", "in", "between", "is", "null", "(", ")", ",", "=", "!=", "<", ">="),
        *(
            "'2023'",
            "'%a_'",
            '"x"',
            "5",
            "-1.5e3",
            "1e400",
            "0x10",
            "\0",
            "' OR 1=1 --",
            "; DROP TABLE files",
        ),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=14).map(" ".join)))
@example("name = '" + "'" * 999)
@example("(" * 5000)
@example("id=1 or " * 400 + "id=1")
def test_any_text_is_a_filter_or_the_one_error_and_changes_nothing(opened: Index, text: str) -> None:
    try:
        photos = PhotoFilter(where=text)
    except QueryInvalid:
        return
    everything = {photo.id for photo in opened.photos()}
    assert set(ids_where(opened, photos).tolist()) <= everything
    assert len(everything) == 31


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
@example("x' OR 'a'='a")
@example("'; DROP TABLE files; --")
@example("\0")
def test_a_value_is_a_value_whatever_it_holds(opened: Index, value: str) -> None:
    quoted = "'" + value.replace("'", "''") + "'"
    assert ids_where(opened, PhotoFilter(where=f"name = {quoted}")).size == 0
    every = {photo.id for photo in opened.photos()}
    assert set(ids_where(opened, PhotoFilter(where=f"name != {quoted}")).tolist()) == every
    pattern = f"path like {quoted}"
    expected = files_that(opened, lambda file: like(file.path, value))
    assert set(ids_where(opened, PhotoFilter(where=pattern)).tolist()) == set(expected)


# Filters against predicates


RULES: list[tuple[str, Rule]] = [
    ("width > 100", lambda f: f.photo.width > 100),
    ("width * 1 > 5", lambda f: False),
    ("width != 40", lambda f: f.photo.width != 40),
    ("height <= 60 and width >= 110", lambda f: f.photo.height <= 60 and f.photo.width >= 110),
    ("megapixels < 0.008", lambda f: f.megapixels < 0.008),
    ("megapixels between 0.005 and 0.01", lambda f: 0.005 <= f.megapixels <= 0.01),
    ("bytes > 1500", lambda f: f.bytes > 1500),
    ("format = 'jpeg' or format = 'Png'", lambda f: f.photo.format in ("JPEG", "PNG")),
    ("format in ('webp', 'JPG')", lambda f: f.photo.format in ("WEBP", "JPEG")),
    ("format != 'jpg'", lambda f: f.photo.format != "JPEG"),
    ("format like 'j%'", lambda f: f.photo.format == "JPEG"),
    ("not format = 'jpeg' and not width < 90", lambda f: f.photo.format != "JPEG" and f.photo.width >= 90),
    ("path like '%2023%'", lambda f: "2023" in f.path),
    ("path like '%/2023/%' or name like 'copy%'", lambda f: "/2023/" in f.path or like(f.name, "copy%")),
    ("name like 'img\\_01_.%'", lambda f: like(f.name, "img_01_.%") and f.name[3] == "_"),
    ("name like 'img\\%'", lambda f: False),
    ("name like 'img_01_.%'", lambda f: like(f.name, "img_01_.%")),
    ("name = 'copy.jpg'", lambda f: f.name == "copy.jpg"),
    ("name = 'COPY.jpg'", lambda f: False),
    ("name > 'IMG_015'", lambda f: os.fsencode(f.name) > b"IMG_015"),
    ("folder like '%summer'", lambda f: f.folder.endswith("summer")),
    ("taken is null", lambda f: f.photo.taken_at is None),
    ("taken is not null", lambda f: f.photo.taken_at is not None),
    ("width is null", lambda f: False),
    ("taken = '2022'", lambda f: (f.photo.taken_at or "").startswith("2022")),
    ("taken != '2022'", lambda f: f.photo.taken_at is not None and f.photo.taken_at[:4] != "2022"),
    ("not taken = '2022'", lambda f: (f.photo.taken_at or "")[:4] != "2022"),
    ("taken > '2021-03'", lambda f: (f.photo.taken_at or "") >= "2021-04"),
    ("taken between 2021 and 2022", lambda f: (f.photo.taken_at or "")[:4] in ("2021", "2022")),
    ("modified < '2022-06-01'", lambda f: f.modified < "2022-06-01"),
    ("modified >= '2021-02-02 13:00'", lambda f: f.modified >= "2021-02-02T13:00"),
    ("date = 2021", lambda f: f.date[:4] == "2021"),
    ("date <= '2021'", lambda f: f.date[:4] <= "2021"),
    ("date not between '2021' and '2022'", lambda f: f.date[:4] not in ("2021", "2022")),
    ("id in (1, 3, 999999)", lambda f: f.photo.id in (1, 3)),
    ("id > 9007199254740993", lambda f: False),
    ("path = 'x' or not (id < 5 or id > 9)", lambda f: 5 <= f.photo.id <= 9),
]


@pytest.mark.parametrize(("where", "rule"), RULES, ids=[where for where, _ in RULES])
def test_a_condition_finds_what_the_predicate_finds(opened: Index, where: str, rule: Rule) -> None:
    if "*" in where:
        with pytest.raises(QueryInvalid):
            PhotoFilter(where=where)
        return
    assert ids_where(opened, PhotoFilter(where=where)).tolist() == sorted(files_that(opened, rule))


def test_the_other_parts_of_a_filter(opened: Index, library: Library) -> None:
    photos, other = library.photos, library.other
    cases: list[tuple[PhotoFilter, Rule]] = [
        (PhotoFilter(), lambda f: True),
        (PhotoFilter(folders=(photos / "2023",)), lambda f: f.path.startswith(f"{photos}/2023/")),
        (PhotoFilter(folders=(photos,)), lambda f: f.path.startswith(f"{photos}/")),
        (PhotoFilter(folders=(photos.parent,)), lambda f: True),
        (
            PhotoFilter(folders=(other, os.fsencode(photos / "2022"))),
            lambda f: f.path.startswith((f"{other}/", f"{photos}/2022/")),
        ),
        (PhotoFilter(folders=(photos / "2023" / "copy.jpg",)), lambda f: f.name == "copy.jpg"),
        (PhotoFilter(formats=("jpg", "WebP")), lambda f: f.photo.format in ("JPEG", "WEBP")),
        (PhotoFilter(min_width=75, max_width=145), lambda f: 75 <= f.photo.width <= 145),
        (PhotoFilter(min_height=50, max_height=50), lambda f: f.photo.height == 50),
        (PhotoFilter(min_bytes=1000, max_bytes=2000), lambda f: 1000 <= f.bytes <= 2000),
        (PhotoFilter(since="2021-06", until="2022"), lambda f: "2021-06" <= f.date < "2023"),
        (PhotoFilter(since="2022-02-10 12:00"), lambda f: f.date >= "2022-02-10T12:00"),
        (PhotoFilter(glob="*.jpg"), lambda f: f.name.endswith(".jpg")),
        (PhotoFilter(glob="IMG_0[12]?.*"), lambda f: fnmatch.fnmatchcase(f.name, "IMG_0[12]?.*")),
        (PhotoFilter(glob="*/2023/*.jpg"), lambda f: fnmatch.fnmatchcase(f.path, "*/2023/*.jpg")),
        (
            PhotoFilter(folders=(photos,), formats=("png",), min_width=100, where="name like 'i%'"),
            lambda f: (
                f.path.startswith(f"{photos}/")
                and f.photo.format == "PNG"
                and f.photo.width >= 100
                and f.name.startswith("I")
            ),
        ),
    ]
    for photos_filter, rule in cases:
        assert ids_where(opened, photos_filter).tolist() == sorted(files_that(opened, rule)), photos_filter


def test_a_name_that_is_no_utf8_is_found_by_its_bytes(opened: Index, library: Library) -> None:
    [expected] = files_that(opened, lambda file: file.name == ODD)
    quoted = ODD.replace("'", "''")
    for where in (
        f"name = '{quoted}'",
        "name like 'caf_ \\%__.png'".replace("\\", ""),
        f"path = '{library.photos}/2023/{quoted}'",
        "name like 'CAF_ %.PNG'",
        f"name like '{quoted}'",
    ):
        assert ids_where(opened, PhotoFilter(where=where)).tolist() == [expected], where
    for glob in ("caf? *.png", ODD.replace("%", "[%]")):
        assert ids_where(opened, PhotoFilter(glob=glob)).tolist() == [expected]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"folders": ("/nowhere/at/all",)}, "No indexed photo lies below /nowhere/at/all"),
        ({"folders": ("a\0b",)}, "is no folder"),
        ({"since": "May"}, "is no date"),
        ({"until": "0000"}, "is no date"),
        ({"since": "2023", "until": "2022-12-31"}, "No photo is since"),
        ({"min_width": 5, "max_width": 4}, "at least 5 and at most 4"),
        ({"min_bytes": 1 << 80}, "less than 16 digits"),
        ({"where": "width"}, "cannot be read"),
    ],
    ids=str,
)
def test_a_filter_that_means_nothing_is_refused(opened: Index, wrong: dict[str, object], why: str) -> None:
    with pytest.raises(QueryInvalid, match=re.escape(why)):
        ids_where(opened, PhotoFilter(**wrong))  # type: ignore[arg-type]


def test_a_folder_of_the_index_that_no_photo_lies_in_is_told(opened: Index, library: Library) -> None:
    with pytest.raises(QueryInvalid, match="No indexed photo lies below"):
        ids_where(opened, PhotoFilter(folders=(library.photos / "202",)))


def test_there_is_nothing_after_the_last_year() -> None:
    for text in ("9999", "9999-12", "9999-12-31", "9999-12-31 23:59:59"):
        assert period(text).end == datetime.max


@pytest.mark.parametrize(
    ("pattern", "fits", "misses"),
    [
        (r"a\_b%", ("a_b", "A_B.jpg"), ("axb", r"a\_b")),
        (r"100\%", ("100%",), ("1000", "100")),
        (r"\\_", (r"\x",), ("x", r"\\x")),
        (r"a\b", (r"a\b",), ("ab",)),
    ],
)
def test_a_backslash_takes_signs_as_they_are(
    pattern: str, fits: tuple[str, ...], misses: tuple[str, ...]
) -> None:
    made = like_regex(pattern.encode())
    assert [bool(made.match(text)) for text in (*fits, *misses)] == [True] * len(fits) + [False] * len(misses)


def test_dates_are_periods_of_local_time() -> None:
    assert period("2023") == period(" 2023 ")
    assert [period(text).end for text in ("2023", "2023-12", "2023-1-31", "2023-01-31T23:59")] == [
        datetime(2024, 1, 1),
        datetime(2024, 1, 1),
        datetime(2023, 2, 1),
        datetime(2023, 2, 1),
    ]
    assert period("2024-02-29 10:00:59").end == datetime(2024, 2, 29, 10, 1)
    assert nanoseconds(datetime(2023, 5, 1)) == int(datetime(2023, 5, 1).timestamp()) * 10**9
    assert nanoseconds(datetime(1, 1, 1)) == -(2**63) + 1
    assert nanoseconds(datetime(9000, 1, 1)) == 2**63 - 1


# Filtered search


def test_a_hit_shows_the_file_that_matches(library: Library) -> None:
    first, copy = library.photos / "2022" / "IMG_000.jpg", library.photos / "2023" / "copy.jpg"
    with Searcher(library.index) as searcher:
        near = library.photos / "2023" / "IMG_001.png"
        for folder, path, other in (("2022", first, copy), ("2023", copy, first)):
            photos = PhotoFilter(folders=(library.photos / folder,))
            hits = searcher.query_path(near, QueryOptions(k=50, photos=photos)).hits
            [hit] = [hit for hit in hits if hit.path == str(path)]
            assert hit.copies == (str(other),)
        # Its own file is left out, and its copy elsewhere does not match.
        photos = PhotoFilter(folders=(library.photos / "2022",))
        hits = searcher.query_path(first, QueryOptions(k=50, photos=photos)).hits
        assert not any(str(copy) in (hit.path, *hit.copies) for hit in hits)
        hits = searcher.query_path(first, QueryOptions(k=1, photos=photos, include_self=True)).hits
        assert [hit.path for hit in hits] == [str(first)]


def test_filtered_hits_are_the_best_of_those_that_match(library: Library) -> None:
    truth = read_index(library.index)
    with Searcher(library.index) as searcher:
        for where in ("width > 100", "format = 'png'", "id = 3", "id = 999"):
            photos = PhotoFilter(where=where)
            allowed = set(ids_where(searcher.index, photos).tolist())
            for row, scores in enumerate(truth.seen(truth.vectors[:8]) @ truth.seen(truth.vectors).T):
                expected = [
                    (truth.ids[n], scores[n])
                    for n in np.argsort(-scores, kind="stable")
                    if truth.ids[n] in allowed and n != row
                ]
                hits = searcher.query_id(truth.ids[row], QueryOptions(k=4, photos=photos)).hits
                assert not {hit.path for hit in hits} & set(truth.paths[row])
                assert [hit.id for hit in hits] == [key for key, _ in expected[:4]]
                assert [hit.score for hit in hits] == pytest.approx([s for _, s in expected[:4]], abs=1e-6)


@pytest.mark.parametrize("few", [True, False])
def test_an_approximate_view_keeps_a_filter(made: Made, few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, truth = made.approximate, made.truth
    # 1,020 rows are few; so many that lists are searched would take minutes to make.
    monkeypatch.setattr("simsearch.engine.snapshot.FILTERED_EXACTLY", 2000 if few else 5)
    photos = PhotoFilter(where="name like '%3.png' or name like '%7.png'")
    allowed = np.array([n for n, paths in enumerate(truth.paths) if paths[0][-5] in "37"])
    assert len(allowed) == ENOUGH / 5
    with Index.open(folder) as index:
        assert index.info().view.kind == "ivf"
        assert ids_where(index, photos).tolist() == [truth.ids[n] for n in allowed]
        answers = index.rank(truth.vectors[:40], Wanted(k=10, photos=photos))
        only = index.rank(truth.vectors[:1], Wanted(k=2000, photos=photos))[0]
        half = np.array(truth.ids[: ENOUGH // 2])
        both = index.rank(truth.vectors[:1], Wanted(k=2000, photos=photos, allowed=half))[0]
    assert sorted(hit.id for hit in only) == [truth.ids[n] for n in allowed]
    assert sorted(hit.id for hit in both) == [truth.ids[n] for n in allowed if n < ENOUGH // 2]
    right = 0
    for query, hits in zip(truth.vectors, answers, strict=False):
        scores = truth.vectors[allowed] @ query
        best = [truth.ids[allowed[n]] for n in np.argsort(-scores, kind="stable")[:10]]
        assert len(hits) == 10
        assert {hit.id for hit in hits} <= {truth.ids[n] for n in allowed}
        right += len({hit.id for hit in hits} & set(best))
    assert right == 400 if few else right >= 0.95 * 400


def test_pages_follow_each_other(made: Made) -> None:
    folder, truth = made.exact, made.truth
    best = [path for path, _ in truth.rank(truth.vectors[0], 30, without=truth.paths[0][0])]
    with Searcher(folder) as searcher:
        for diverse in (None, 0.5):
            whole = searcher.query_id(truth.ids[0], QueryOptions(k=30, diverse=diverse)).hits
            pages = [
                searcher.query_id(truth.ids[0], QueryOptions(k=10, offset=start, diverse=diverse)).hits
                for start in (0, 10, 20)
            ]
            assert tuple(hit for page in pages for hit in page) == whole
            assert diverse is not None or [hit.path for hit in whole] == best
        last = QueryOptions(k=10, offset=ENOUGH - 4)
        assert len(searcher.query_id(truth.ids[0], last).hits) == 3
        assert searcher.query_id(truth.ids[0], QueryOptions(offset=ENOUGH)).hits == ()


# Variety


def naive(scores: list[float], vectors: list[list[float]], balance: float, count: int) -> list[int]:
    """Maximal marginal relevance as its paper writes it."""
    picked: list[int] = []
    while len(picked) < min(count, len(scores)):
        best, most = -1, -9.0
        for n in range(len(scores)):
            if n in picked:
                continue
            near = max(
                (sum(a * b for a, b in zip(vectors[n], vectors[p], strict=True)) for p in picked), default=0
            )
            value = balance * scores[n] - (1 - balance) * near
            if value > most + 1e-7:
                best, most = n, value
        picked.append(best)
    return picked


@pytest.mark.parametrize("balance", [0.0, 0.3, 0.7, 1.0])
def test_variety_is_that_of_a_naive_loop(made: Made, balance: float) -> None:
    folder, truth = made.exact, made.truth
    with Searcher(folder) as searcher:
        plain = searcher.query_id(truth.ids[5], QueryOptions(k=AMONG + 40)).hits
        varied = searcher.query_id(truth.ids[5], QueryOptions(k=12, diverse=balance)).hits
        again = searcher.query_id(truth.ids[5], QueryOptions(k=12, diverse=balance)).hits
        long = searcher.query_id(truth.ids[5], QueryOptions(k=AMONG + 40, diverse=balance)).hits
    place = {key: n for n, key in enumerate(truth.ids)}
    vectors = [truth.vectors[place[hit.id]].astype(float).tolist() for hit in plain[:AMONG]]
    order = naive([hit.score for hit in plain[:AMONG]], vectors, balance, 12)
    assert varied == again == tuple(plain[n] for n in order)
    assert long[:12] == varied
    assert sorted(long[:AMONG], key=lambda hit: hit.id) == sorted(plain[:AMONG], key=lambda hit: hit.id)
    assert long[AMONG:] == plain[AMONG:]
    if balance == 1:
        assert varied == plain[:12]


def test_variety_among_few_centred_and_filtered(library: Library) -> None:
    with Searcher(library.index) as searcher:
        photos = PhotoFilter(formats=("png",))
        plain = searcher.query_id(1, QueryOptions(k=50, photos=photos, center=True)).hits
        varied = searcher.query_id(1, QueryOptions(k=50, photos=photos, center=True, diverse=0.5)).hits
        assert varied[0] == plain[0]
        assert set(varied) == set(plain)
        nothing = PhotoFilter(where="id = 0")
        assert searcher.query_id(1, QueryOptions(photos=nothing, diverse=0.5)).hits == ()


def test_numbers_that_mean_nothing_are_refused() -> None:
    for wrong in ({"offset": -1}, {"diverse": 1.5}, {"diverse": float("nan")}):
        with pytest.raises(QueryInvalid):
            QueryOptions(**wrong)
    for weight in (0.0, -1.0, float("inf"), float("nan"), 1e308):
        with pytest.raises(QueryInvalid, match="above 0"):
            Example("a.jpg", weight)


# Several examples


def test_rocchio_by_hand() -> None:
    a, b, c = (np.eye(3, dtype=np.float32)[n] for n in range(3))
    assert rocchio([Seen(a)]) is a
    assert rocchio([Seen(a), Seen(b)]) == pytest.approx([0.5**0.5, 0.5**0.5, 0])
    # (1 a + 3 b) / 4, of length sqrt(10) / 4.
    assert rocchio([Seen(a), Seen(b, 3.0)]) == pytest.approx([1 / 10**0.5, 3 / 10**0.5, 0])
    # a - 0.25 c, and a - (1 b + 0.5 c) / 2.
    assert rocchio([Seen(a)], [Seen(c)]) == pytest.approx(np.array([4, 0, -1]) / 17**0.5)
    expected = np.array([1, -0.5, -0.25]) / (1 + 0.25 + 0.0625) ** 0.5
    assert rocchio([Seen(a)], [Seen(b, 1.0), Seen(c, 0.5)]) == pytest.approx(expected)
    with pytest.raises(QueryInvalid, match="cancels out"):
        rocchio([Seen(a)], [Seen(a, 1.0)])
    with pytest.raises(QueryInvalid, match="at least one"):
        rocchio([], [Seen(a)])


def test_several_examples_are_searched_by_their_vector_without_their_files(
    made: Made,
) -> None:
    folder, truth = made.exact, made.truth
    one, two, three = truth.vectors[0], truth.vectors[1], truth.vectors[2]
    vector = (one + 2 * two) / 3 - 0.25 * three
    vector /= np.linalg.norm(vector)
    order = [n for n in np.argsort(-(truth.vectors @ vector)) if n > 2][:8]
    with Searcher(folder) as searcher:
        plus = (Example(truth.paths[1][0], 2.0),)
        minus = (searcher.look_at(Example(truth.ids[2])),)
        result = searcher.query_id(truth.ids[0], QueryOptions(k=8, plus=plus, minus=minus))
        assert [hit.id for hit in result.hits] == [truth.ids[n] for n in order]
        everything = QueryOptions(k=8, include_self=True, plus=plus, minus=minus)
        assert searcher.query_id(truth.ids[0], everything).hits[0].id == truth.ids[1]
        own = [path for paths in truth.paths[:3] for path in paths]
        hits = searcher.search_vector(vector, QueryOptions(k=8), own)
        assert [hit.id for hit in hits] == [hit.id for hit in result.hits]
        with pytest.raises(NotIndexed):
            searcher.query_id(truth.ids[0], QueryOptions(plus=(Example(10**9),)))


# Regions


def test_a_box_is_fractions_or_pixels() -> None:
    assert Box.parse("0.25,0.5,0.5,0.5").edges((200, 100), (200, 100)) == (50, 50, 150, 100)
    assert Box.parse("20, 10, 30, 40").edges((200, 100), (200, 100)) == (20, 10, 50, 50)
    # A picture of 400 x 200 pixels that was decoded at half its size.
    assert Box(20, 10, 30, 40).edges((200, 100), (400, 200)) == (10, 5, 25, 25)
    assert Box(0, 0, 1, 1).edges((7, 9), (7, 9)) == (0, 0, 7, 9)
    assert Box(150, 50, 900, 900).edges((200, 100), (200, 100)) == (150, 50, 200, 100)
    assert Box(0.999, 0, 1e-9, 1).edges((10, 10), (10, 10)) == (9, 0, 10, 10)
    for outside in (Box(200, 0, 5, 5), Box(0, 1, 0.5, 0.5)):
        with pytest.raises(RegionOutside, match="200 x 100 pixels"):
            outside.edges((200, 100), (200, 100))


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "a,b,c,d", "0,0,0,1", "-1,0,5,5", "0.5,0.5,20,20", "nan,0,1,1"]
)
def test_what_is_no_region_is_refused(text: str) -> None:
    with pytest.raises(QueryInvalid, match="is no region"):
        Box.parse(text)


def test_a_region_is_that_part_of_the_upright_picture_and_nothing_else(
    library: Library, tmp_path: Path
) -> None:
    # Two pictures side by side, lying on their side as EXIF says.
    upright = Image.new("RGB", (400, 300))
    upright.paste(picture(50, (200, 300)), (0, 0))
    upright.paste(picture(51, (200, 300)), (200, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    part = upright.crop((200, 0, 400, 300))
    with Searcher(library.index) as searcher:
        [expected] = searcher.embedder.embed([part])
        sources = (path, str(path), path.read_bytes(), np.asarray(upright), upright, Image.open(path))
        for source in sources:
            for box in (Box(0.5, 0, 0.5, 1), Box(200, 0, 200, 300), Box(200, 0, 9999, 9999)):
                assert searcher.vector_of(source, box) == pytest.approx(expected, abs=1e-6)
        whole = searcher.vector_of(path)
        assert whole == pytest.approx(searcher.embedder.embed([upright])[0], abs=1e-6)
        assert float(whole @ expected) < 0.99
        with pytest.raises(
            RegionOutside, match=r"turned\.png cannot be searched by: it has no region 400,0,1,2"
        ):
            searcher.vector_of(path, Box(400, 0, 1, 2))
        # However small a part is asked for, it is a pixel high: here the topmost row.
        topmost = searcher.vector_of(path, Box(0, 0, 1, 1e-320))
        assert topmost == pytest.approx(searcher.vector_of(path, Box(0, 0, 400, 1)), abs=1e-6)
        with pytest.raises(PhotoUnreadable, match=r"missing\.jpg"):
            searcher.vector_of(tmp_path / "missing.jpg", Box(0, 0, 1, 1))
        with pytest.raises(QueryInvalid, match="no picture"):
            searcher.vector_of(np.zeros((4, 4), np.uint8), Box(0, 0, 1, 1))


def test_a_region_of_an_indexed_photo_leaves_that_photo_out(library: Library) -> None:
    own = library.photos / "2022" / "IMG_000.jpg"
    with Searcher(library.index) as searcher:
        vector_id = searcher.index.vector_id_of(path=own)
        assert vector_id is not None
        box = Box(0.25, 0.25, 0.5, 0.5)
        with Image.open(own) as image:
            [expected] = searcher.embedder.embed([image.crop((10, 22, 30, 68))])
        for source in (own, vector_id):
            assert searcher.vector_of(source, box) == pytest.approx(expected, abs=1e-6)
        for hits in (
            searcher.query_path(own, QueryOptions(k=50, box=box)).hits,
            searcher.query_id(vector_id, QueryOptions(k=50, box=box)).hits,
        ):
            assert str(own) not in [hit.path for hit in hits]


def test_a_region_of_a_large_jpeg_is_decoded_no_smaller_than_it_needs(
    library: Library, tmp_path: Path
) -> None:
    large = tmp_path / "large.jpg"
    picture(7, (4000, 3000)).save(large, quality=95)
    with Searcher(library.index) as searcher, Image.open(large) as image:
        for box, part in (
            (Box(0.25, 0.25, 0.5, 0.5), (1000, 750, 3000, 2250)),
            (Box(1000, 750, 2000, 1500), (1000, 750, 3000, 2250)),
        ):
            [expected] = searcher.embedder.embed([image.crop(part)])
            assert float(searcher.vector_of(large, box) @ expected) > 0.995


def test_an_indexed_path_is_answered_without_a_network(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> Embedder:
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(Embedder, "for_spec", none)
    truth = read_index(library.index)
    with Searcher(library.index) as searcher:
        for n in (0, 7):
            assert searcher.vector_of(truth.paths[n][0]).tolist() == truth.vectors[n].tolist()
            assert searcher.vector_of(truth.ids[n]).tolist() == truth.vectors[n].tolist()
        assert searcher.query_path(truth.paths[0][0]).hits


# The command line


def asked(capfd: pytest.CaptureFixture[str], library: Library, *arguments: object) -> list[list[str]]:
    """The paths of the hits of each query, as the command line gives them."""
    assert run(["query", *map(str, arguments), "-i", str(library.index), "--json"]) == 0
    return [[hit["path"] for hit in query["hits"]] for query in json.loads(capfd.readouterr().out)]


def test_the_command_line_asks_what_python_asks(
    library: Library, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one, two, three = (
        library.photos / "2022" / name for name in ("IMG_000.jpg", "IMG_005.webp", "IMG_010.png")
    )
    with Searcher(library.index) as searcher:

        def expected(plus: list[Example], minus: list[Example], **options: object) -> list[str]:
            first, *more = plus
            asked = QueryOptions(plus=tuple(more), minus=tuple(minus), box=first.box, **options)  # type: ignore[arg-type]
            by = searcher.query_id if isinstance(first.source, int) else searcher.query_path
            return [hit.path for hit in by(first.source, asked).hits]

        everything = expected([Example(one)], [], k=50)
        assert asked(capfd, library, one, "-k", 50) == [everything]
        near = expected([Example(one), Example(two, 2.5)], [Example(three)])
        [found] = asked(capfd, library, one, "--plus", f"{two}=2.5", "--minus", three)
        assert found == near
        assert not {str(one), str(two), str(three)} & set(found)
        [found] = asked(capfd, library, "--id", 1, "--minus", f"{three}=.5", "-k", 3)
        assert found == expected([Example(1)], [Example(three, 0.5)], k=3)

        photos = PhotoFilter((library.photos,), ("png",), since="2021", until="2022", where="width > 60")
        filters = ("--folder", library.photos, "--type", "png", "--since", "2021", "--until", "2022")
        [found] = asked(capfd, library, one, *filters, "--where", "width > 60", "-k", 50)
        assert found == expected([Example(one)], [], k=50, photos=photos) != []

        [found] = asked(capfd, library, one, "--crop", "0.25,0.25,0.5,0.5")
        assert found == expected([Example(one, box=Box(0.25, 0.25, 0.5, 0.5))], [])
        varied = expected([Example(one)], [], diverse=BALANCE)
        assert varied != everything[:10]
        for arguments in ((one, "--diverse"), ("--diverse", one), ("--diverse", USUAL, one)):
            assert asked(capfd, library, *arguments) == [varied]
        assert USUAL == BALANCE

        odd = tmp_path / "a=2"
        shutil.copy(three, odd)
        [found] = asked(capfd, library, one, "--plus", odd)
        assert found == expected([Example(one), Example(odd)], [])


def test_what_cannot_be_asked_is_said_once(library: Library, capfd: pytest.CaptureFixture[str]) -> None:
    one, two = (str(library.photos / "2022" / name) for name in ("IMG_000.jpg", "IMG_025.png"))
    where = ["-i", str(library.index), "--format", "paths", "-k", "2"]
    assert run(["query", one, two, "--folder", "/nowhere", *where]) == 1
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "No indexed photo lies below /nowhere" in err
    assert run(["query", one, two, "--plus", "missing.jpg", *where]) == 1
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    # The first is 40 pixels wide, the second 215.
    assert run(["query", one, two, "--crop", "100,0,20,20", *where]) == 1
    out, err = capfd.readouterr()
    assert out.count("\n") == 2
    assert err.count("\n") == 1
    assert f"{one} cannot be searched by: it has no region 100,0,20,20: it is 40 x 90 pixels" in err
