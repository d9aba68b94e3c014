"""What `verify` names mends: settings, ids, segments and folders that are lost, one at a time."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import age, picture
from crash.format0 import seal
from made import ENOUGH, made_index
from oracle import read_index

from simsearch import Index, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.compact import compact
from simsearch.engine.maintenance.verify import verify
from simsearch.engine.maintenance.view import rebuild
from simsearch.errors import IndexDamaged
from simsearch.models.choice import ModelChoice
from simsearch.storage import segments

Maker = Callable[[int], Path]
LITE0 = IndexingConfig(choice=ModelChoice(model="efficientnet_lite0"))
MEND = IndexingConfig(repair=True)


@pytest.fixture
def indexed(small_photos: Maker, tmp_path: Path) -> tuple[Path, Path]:
    """A folder of 12 photos and its index."""
    folder = small_photos(12)
    index_folder(folder, tmp_path / "index", LITE0)
    return folder, tmp_path / "index"


def sql(index: Path, *statements: str) -> None:
    """Change the database behind its back."""
    connection = sqlite3.connect(index / "index.db")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def settings(index: Path) -> dict[str, str]:
    connection = sqlite3.connect(index / "index.db")
    found = dict(connection.execute("SELECT key, value FROM settings"))
    connection.close()
    return found


def assert_whole(index: Path, photos: int) -> None:
    """Nothing to be found, all photos there, answers equal brute force."""
    assert verify(index).problems == ()
    truth = read_index(index)
    assert len(truth.ids) == photos
    with Index.open(index) as opened:
        for query, hits in zip(truth.vectors, opened.search(truth.vectors, 5), strict=True):
            assert [hit.path for hit in hits] == [path for path, _ in truth.rank(query, 5)]


@pytest.mark.parametrize(
    ("key", "told"),
    [("end", True), ("uuid", True), ("format", False), ("generation", False), ("rules:1", False)],
)
def test_a_lost_setting(key: str, told: bool, indexed: tuple[Path, Path]) -> None:
    folder, index = indexed
    if key == "rules:1":
        index_folder(folder, index, IndexingConfig(exclude=("*.tmp",)))
    before = settings(index)
    sql(index, f"UPDATE settings SET value = 'x' WHERE key = '{key}'")
    [problem] = verify(index).problems
    assert problem.mend == f"simsearch index --repair -i {index}"
    if key == "rules:1":
        # What a person kept out is not to come in without a word.
        with pytest.raises(IndexDamaged, match=r"is mended, but what a person had set is lost \(rules:1\)"):
            index_folder((), index, MEND)
    assert index_folder((), index, MEND).embedded == 0
    after = settings(index)
    assert after["spec"] == before["spec"]
    assert after["format"] == "1"
    # A segment that was committed to is not written to again.
    assert after["end"] == "[2, 0]"
    assert_whole(index, 12)
    picture(99).save(folder / "new.png")
    assert index_folder((), index).embedded == 1
    assert_whole(index, 13)


def test_ids_that_were_lost_are_not_given_again(indexed: tuple[Path, Path]) -> None:
    _, index = indexed
    truth = read_index(index)
    sql(index, "DELETE FROM vectors WHERE id = 12", "DELETE FROM sqlite_sequence")
    assert {problem.what for problem in verify(index).problems} >= {"SQLite: 1 pictures have no vector"}
    report = index_folder((), index, MEND)
    assert (report.embedded, report.unchanged) == (1, 11)
    assert read_index(index).ids == [*truth.ids[:11], 13]
    assert_whole(index, 12)


def test_a_count_of_ids_that_is_lost_alone(indexed: tuple[Path, Path]) -> None:
    folder, index = indexed
    sql(index, "UPDATE sqlite_sequence SET seq = 3")
    [problem] = verify(index).problems
    assert problem.what == "SQLite: its count of ids is lost"
    # Also without the mend no id is given twice.
    picture(99).save(folder / "new.png")
    assert index_folder((), index).embedded == 1
    assert read_index(index).ids == list(range(1, 14))
    assert_whole(index, 13)


def test_a_segment_that_is_gone_is_embedded_again_under_another_number(indexed: tuple[Path, Path]) -> None:
    _, index = indexed
    (index / "segments" / "000001.seg").unlink()
    problems = verify(index).problems
    assert len(problems) == 13
    assert index_folder((), index, MEND).embedded == 12
    assert os.listdir(index / "segments") == ["000002.seg"]
    assert_whole(index, 12)


def test_an_emptied_index_does_not_write_over_segments_that_are_there(indexed: tuple[Path, Path]) -> None:
    folder, index = indexed
    before = (index / "segments" / "000001.seg").stat().st_mtime_ns
    for name in ("index.db", "index.db-wal", "index.db-shm"):
        (index / name).unlink(missing_ok=True)
    picture(99).save(folder / "new.png")
    assert index_folder(folder, index, LITE0).embedded == 13
    assert (index / "segments" / "000001.seg").stat().st_mtime_ns == before
    assert sorted(os.listdir(index / "segments")) == ["000001.seg", "000002.seg"]
    assert_whole(index, 13)


def test_folders_that_a_backup_left_out_are_made_again(indexed: tuple[Path, Path]) -> None:
    _, index = indexed
    shutil.rmtree(index / "views")
    assert rebuild(index).kind == "exact"
    assert index_folder((), index).unchanged == 12
    assert_whole(index, 12)


@pytest.mark.parametrize("bit", [0, 31])
def test_a_flipped_format_in_sqlites_header_is_mended(bit: int, indexed: tuple[Path, Path]) -> None:
    _, index = indexed
    data = bytearray((index / "index.db").read_bytes())
    # user_version: four bytes at 60, the greatest first.
    data[63 - bit // 8] ^= 1 << bit % 8
    (index / "index.db").write_bytes(data)
    [problem] = verify(index).problems
    assert problem.mend == f"simsearch index --repair -i {index}"
    assert index_folder((), index, MEND).embedded == 0
    assert_whole(index, 12)


def test_a_damaged_index_of_sqlite_deletes_nothing(
    small_photos: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", segments.HEADER + 5 * 1280 * 4)
    folder, index = small_photos(12), tmp_path / "index"
    index_folder(folder, index, LITE0)
    connection = sqlite3.connect(index / "index.db")
    query = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_vectors_2'"
    [page] = connection.execute(query).fetchone()
    connection.close()
    data = bytearray((index / "index.db").read_bytes())
    # The index over (segment, row) has no entry any more, so that by it no segment is in use.
    data[(page - 1) * 4096 + 3 : (page - 1) * 4096 + 5] = b"\0\0"
    (index / "index.db").write_bytes(data)
    with pytest.raises(IndexDamaged, match="Nothing was dropped"):
        compact(index)
    picture(99).save(folder / "new.png")
    index_folder((), index)
    names = ["000001.seg", "000002.seg", "000003.seg"]
    assert sorted(os.listdir(index / "segments")) == names
    assert not verify(index).ok
    assert index_folder((), index, MEND).embedded == 0
    assert_whole(index, 13)


def test_made_vectors_have_to_be_imported_again(tmp_path: Path) -> None:
    _, index = made_index(tmp_path)
    segment = index / "segments" / "000001.seg"
    data = bytearray(segment.read_bytes())
    data[4096 + 7 * 64] ^= 1
    segment.write_bytes(data)
    [problem] = verify(index).problems
    report = index_folder((), index, MEND)
    assert (report.embedded, report.unchanged) == (0, ENOUGH - 1)
    [skipped] = report.skipped
    assert (skipped.path, skipped.reason) == (problem.file, "its vector was damaged; import it again")
    assert_whole(index, ENOUGH - 1)


def test_a_picture_that_comes_back_is_found_by_a_view_that_was_built_without_it(tmp_path: Path) -> None:
    photos, index = made_index(tmp_path)
    away = [photos / "00005.png", photos / "00700.png"]
    for path in away:
        path.rename(tmp_path / path.name)
    assert index_folder((), index, IndexingConfig(prune=True, yes=True)).removed == 2
    rebuild(index, view="ivf")
    for path in away:
        (tmp_path / path.name).rename(path)
    age(photos)
    assert index_folder((), index).embedded == 0
    truth = read_index(index)
    assert len(truth.ids) == ENOUGH
    places = [truth.paths.index([str(path)]) for path in away]
    with Index.open(index) as opened:
        for place, hits in zip(places, opened.search(truth.vectors[places], 3), strict=True):
            assert hits[0].path == truth.paths[place][0]
        [everything] = opened.search(truth.vectors[:1], ENOUGH)
        assert sorted(hit.id for hit in everything) == truth.ids
        [far] = opened.search(truth.vectors[:1], ENOUGH, max_score=0.0)
    assert len(far) == int((np.float32(truth.vectors @ truth.vectors[0]) <= 0).sum())


def test_a_row_that_says_another_format_under_a_right_seal_is_left_alone(indexed: tuple[Path, Path]) -> None:
    _, index = indexed
    told = seal(["format", "2"])
    sql(
        index, f"UPDATE settings SET value = '2', seal = {told} WHERE key = 'format'", "PRAGMA user_version=2"
    )
    before = (index / "index.db").read_bytes()
    [problem] = verify(index).problems
    assert (problem.mend, "Update simsearch" in problem.what) == ("see there", True)
    assert (index / "index.db").read_bytes() == before


def test_photos_of_damaged_rows_are_named_and_just_they_are_read_again(indexed: tuple[Path, Path]) -> None:
    _, index = indexed
    paths = dict(zip(read_index(index).ids, read_index(index).paths, strict=True))
    sql(
        index,
        "UPDATE contents SET width = 7 WHERE id = 3",
        "UPDATE vectors SET crc32 = 7 WHERE id = 5",
        "UPDATE files SET size = 7 WHERE content_id = 8",
    )
    segment = index / "segments" / "000001.seg"
    data = bytearray(segment.read_bytes())
    # The tenth was embedded into row 9.
    data[4096 + 9 * 1280 * 4] ^= 1
    segment.write_bytes(data)
    problems = verify(index).problems
    named = [problem.file for problem in problems if problem.file != "index.db"]
    # The vector of the eighth is whole: its file is found again, and nothing of it embedded.
    assert sorted(named) == sorted([*paths[3], *paths[5], *paths[10]])
    assert {problem.mend for problem in problems} == {f"simsearch index --repair -i {index}"}
    report = index_folder((), index, MEND)
    assert (report.embedded, report.updated, report.added, report.unchanged) == (3, 3, 1, 8)
    assert_whole(index, 12)
