"""An index of format 1 that every later version opens, and the way from an older one, by a made-up format."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import age
from crash import format0
from oracle import read_index
from test_places import restricted

from simsearch import Index, SimsearchError, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.verify import verify
from simsearch.errors import FormatUnknown, RootMissing
from simsearch.models.choice import ModelChoice
from simsearch.storage import migrations

FIXTURE = Path(__file__).parents[1] / "fixtures" / "format-1"


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A copy of an index of five files that was made when format 1 was new; never made again."""
    shutil.copytree(FIXTURE / "index", tmp_path / "index")
    return tmp_path / "index"


def expected() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURE / "expected.json").read_text())
    return found


def assert_answers(index: Path) -> None:
    """The photos and hits that were written down when the index was made."""
    told = expected()
    with Index.open(index) as opened:
        assert {photo.paths[0]: list(photo.paths) for photo in opened.photos()} == told["photos"]
        [skipped] = opened.skipped()
        assert skipped.path == "/photos/broken.jpg"
        ids = [photo.id for photo in opened.photos()]
        for hits, wanted in zip(opened.search(opened.vectors(ids), 4), told["hits"], strict=True):
            assert [hit.path for hit in hits] == [path for path, _ in wanted]
            assert [hit.score for hit in hits] == pytest.approx([score for _, score in wanted], abs=1e-5)


def test_an_index_of_format_1_answers_as_it_did(first: Path) -> None:
    assert_answers(first)
    report = verify(first)
    # Four photos, and a fifth that was pruned and waits for compaction.
    assert (report.problems, report.checked) == ((), 5)
    with sqlite3.connect(first / "index.db") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


def test_its_photos_are_known_wherever_they_lie_now(first: Path, tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match="/photos: missing or empty"):
        index_folder((), first)
    assert_answers(first)
    shutil.copytree(FIXTURE / "photos", tmp_path / "photos")
    age(tmp_path / "photos")
    report = index_folder(tmp_path / "photos", first)
    assert (report.added, report.embedded, len(report.skipped)) == (5, 0, 1)
    # What is embedded now is what was embedded then.
    again = index_folder(
        tmp_path / "photos", tmp_path / "new", IndexingConfig(choice=ModelChoice(model="efficientnet_lite0"))
    )
    assert again.embedded == 4
    old, new = read_index(first), read_index(tmp_path / "new")
    vectors = {path: vector for paths, vector in zip(old.paths, old.vectors, strict=True) for path in paths}
    for paths, vector in zip(new.paths, new.vectors, strict=True):
        assert float(vectors[paths[0]] @ vector) > 0.9999


@pytest.fixture
def older(first: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same index in a made-up format 0, from which there is a step."""
    monkeypatch.setitem(migrations.STEPS, 0, format0.step)
    format0.make_old(first)
    return first


def test_an_older_index_is_brought_forward_when_it_is_opened(older: Path, tmp_path: Path) -> None:
    before = read_index(older)
    assert_answers(older)
    with sqlite3.connect(older / "index.db") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        settings = dict(connection.execute("SELECT key, value FROM settings"))
    assert (settings["format"], settings["generation"]) == ("1", "1")
    assert verify(older).ok
    after = read_index(older)
    assert (after.ids, after.paths) == (before.ids, before.paths)


def test_several_readers_open_an_older_index_at_once(older: Path) -> None:
    ended: list[object] = []

    def ask() -> None:
        try:
            assert_answers(older)
            ended.append(True)
        except SimsearchError as error:
            ended.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One of them holds the lock for a moment; whoever meets it is told who does.
    assert True in ended
    assert all(outcome is True or "is being written by" in str(outcome) for outcome in ended)
    assert_answers(older)


def test_an_older_index_that_may_not_be_written_is_refused_in_words(older: Path, tmp_path: Path) -> None:
    before = (older / "index.db").read_bytes()
    for path in (older, older / "segments", older / "index.db"):
        path.chmod(0o555)
    done = restricted("info", "-i", older, home=tmp_path)
    assert done.returncode == 1
    assert b"Error: " in done.stderr
    assert b"Traceback" not in done.stderr
    for path in (older, older / "segments", older / "index.db"):
        path.chmod(0o755)
    assert (older / "index.db").read_bytes() == before


@pytest.mark.parametrize(("version", "words"), [(2, "Update simsearch"), (0, "Index the photos again")])
def test_a_format_without_a_way_is_refused_and_left_alone(first: Path, version: int, words: str) -> None:
    with sqlite3.connect(first / "index.db") as connection:
        row = (str(version), format0.seal(["format", str(version)]))
        connection.execute("UPDATE settings SET value = ?, seal = ? WHERE key = 'format'", row)
        connection.execute(f"PRAGMA user_version={version}")
    before = (first / "index.db").read_bytes()
    with pytest.raises(FormatUnknown, match=words):
        Index.open(first)
    for act in (
        lambda: index_folder((), first),
        lambda: index_folder((), first, IndexingConfig(repair=True)),
    ):
        with pytest.raises(SimsearchError):
            act()
    assert (first / "index.db").read_bytes() == before
