"""Indexing and search against brute force in NumPy, through changes of every kind."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import age, picture, small_pngs
from oracle import read_index

from simsearch import Index, SimsearchError, find_duplicates, find_similar, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.indexing.survey import Absence, Survey
from simsearch.engine.maintenance.verify import verify
from simsearch.engine.maintenance.view import rebuild
from simsearch.engine.search import QueryOptions
from simsearch.errors import (
    IndexEmpty,
    IndexMismatch,
    IndexMissing,
    NotIndexed,
    PruneRefused,
    RootMissing,
    WeightsRefused,
)
from simsearch.models.choice import ModelChoice
from simsearch.records import IndexReport, Progress
from simsearch.storage.database import Database

LITE0 = ModelChoice(model="efficientnet_lite0")
Maker = Callable[[int], Path]


def run(folder: Path | list[Path] | tuple[()], index: Path, **options: object) -> IndexReport:
    config = IndexingConfig(choice=LITE0, **options)  # type: ignore[arg-type]
    return index_folder(folder, index, config)  # type: ignore[arg-type]


def counts(report: IndexReport) -> dict[str, int]:
    names = ("added", "updated", "moved", "unchanged", "gone", "removed", "ignored", "embedded")
    found = {name: getattr(report, name) for name in names} | {"skipped": len(report.skipped)}
    seen = sum(found[n] for n in ("added", "updated", "moved", "unchanged", "skipped", "ignored"))
    assert report.scanned == seen
    return {name: value for name, value in found.items() if value}


def assert_equals_brute_force(index: Path, k: int = 7) -> None:
    truth = read_index(index)
    with Index.open(index) as opened:
        chosen = range(0, len(truth.ids), max(1, len(truth.ids) // 60))
        answers = opened.search(truth.vectors[list(chosen)], k)
        for row, hits in zip(chosen, answers, strict=True):
            expected = truth.rank(truth.vectors[row], k)
            assert [hit.path for hit in hits] == [path for path, _ in expected]
            assert [hit.score for hit in hits] == pytest.approx([score for _, score in expected], abs=1e-6)
            assert {hit.id for hit in hits} <= set(truth.ids)
            assert len(hits) == min(k, len(truth.ids))
            by_id = dict(zip(truth.ids, truth.paths, strict=True))
            assert all([hit.path, *hit.copies] == by_id[hit.id] for hit in hits)


def test_hits_equal_brute_force_through_adding_moving_changing_copying_and_pruning(
    small_photos: Maker, tmp_path: Path
) -> None:
    folder, index = small_photos(24), tmp_path / "index"
    assert counts(run(folder, index)) == {"added": 24, "embedded": 24}
    assert_equals_brute_force(index)

    assert counts(run(folder, index)) == {"unchanged": 24}

    (folder / "a").rename(folder / "renamed")
    assert counts(run(folder, index)) == {"moved": 12, "unchanged": 12}
    assert_equals_brute_force(index)

    shutil.copy(folder / "b" / "0000.jpg", folder / "copy.jpg")
    picture(100).save(folder / "b" / "0002.jpg", quality=92)
    (folder / "notes.txt").write_text("no picture")
    (folder / "b" / "0004.jpg").unlink()
    report = run(folder, index)
    assert counts(report) == {
        "added": 1, "updated": 1, "unchanged": 22, "gone": 1, "ignored": 1, "embedded": 1,
    }  # fmt: skip
    assert_equals_brute_force(index)

    report = run(folder, index, prune=True)
    assert (report.gone, report.removed) == (1, 1)
    assert_equals_brute_force(index)
    with Index.open(index) as opened:
        assert len(opened) == 23
        gone = str(folder / "b" / "0004.jpg")
        assert all(gone not in photo.paths for photo in opened.photos())
    assert verify(index).ok


def test_what_comes_back_after_pruning_is_adopted_and_not_embedded_again(
    small_photos: Maker, tmp_path: Path
) -> None:
    folder, index = small_photos(20), tmp_path / "index"
    run(folder, index)
    kept = (folder / "a" / "0001.jpg").read_bytes()
    (folder / "a" / "0001.jpg").unlink()
    assert run(folder, index, prune=True).removed == 1
    (folder / "a" / "0001.jpg").write_bytes(kept)
    assert counts(run(folder, index)) == {"added": 1, "unchanged": 19}
    assert_equals_brute_force(index)


def test_copies_are_one_embedding_and_one_hit(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(3), tmp_path / "index"
    for name in ("x.jpg", "y.jpg", "z.jpg"):
        shutil.copy(folder / "b" / "0000.jpg", folder / name)
    assert counts(run(folder, index)) == {"added": 6, "embedded": 3}
    [result] = find_similar(folder / "a" / "0001.jpg", index, k=10)
    first = next(hit for hit in result.hits if hit.copies)
    assert [first.path, *first.copies] == [str(folder / n) for n in ("b/0000.jpg", "x.jpg", "y.jpg", "z.jpg")]
    assert len(result.hits) == 2
    [own] = find_similar(folder / "x.jpg", index, k=1)
    assert own.hits[0].score == pytest.approx(1.0, abs=1e-6)
    assert str(folder / "x.jpg") not in [own.hits[0].path, *own.hits[0].copies]
    [group] = find_duplicates(index).groups
    assert group.level == "bytes"
    assert [photo.path for photo in group.photos] == [
        str(folder / n) for n in ("b/0000.jpg", "x.jpg", "y.jpg", "z.jpg")
    ]
    assert group.why.startswith("kept: ")


def assert_answers(index: Path, kind: str) -> None:
    """Those of brute force; of an approximate view all but 1 %, with brute force's scores, and whoever asks
    for as many as there are gets all."""
    if kind == "exact":
        assert_equals_brute_force(index)
        return
    truth, found = read_index(index), []
    queries = truth.vectors[::18]
    with Index.open(index) as opened:
        of_all, of_best = (opened.search(queries, k) for k in (len(truth.ids), 7))
    for query, everything, best in zip(queries, of_all, of_best, strict=True):
        score_of = dict(truth.rank(query, len(truth.ids)))
        assert len(best) == 7
        for hits in (everything, best):
            scores = [hit.score for hit in hits]
            assert scores == sorted(scores, reverse=True)
            assert scores == pytest.approx([score_of[hit.path] for hit in hits], abs=1e-6)
        assert {hit.path for hit in everything} == set(score_of)
        found.append(len({hit.path for hit in best} & set(list(score_of)[:7])) / 7)
    assert np.mean(found) >= 0.99


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_views_with_a_tail_and_without_equal_brute_force(tmp_path: Path, kind: str) -> None:
    folder, index = tmp_path / "photos", tmp_path / "index"
    small_pngs(folder, range(1100))
    run(folder, index)
    info = rebuild(index, view=kind, recall=1.0)
    assert (info.kind, info.tail) == (kind, 0)
    assert info.recall >= 0.99
    assert_answers(index, kind)
    small_pngs(folder, range(2000, 2040))
    for i in range(0, 60):
        (folder / f"{i:05d}.png").unlink()
    assert counts(run(folder, index, prune=True)) == {
        "added": 40, "unchanged": 1040, "gone": 60, "removed": 60, "embedded": 40,
    }  # fmt: skip
    with Index.open(index) as opened:
        assert opened.info().view.tail == (40 if kind == "ivf" else 0)
    assert_answers(index, kind)


def test_a_missing_or_emptied_root_loses_nothing_even_with_prune(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(6), tmp_path / "index"
    run(folder, index)
    away = folder.rename(tmp_path / "unplugged")
    for options in ({"prune": True}, {"prune": True, "yes": True}, {}):
        with pytest.raises(RootMissing, match="nothing was forgotten"):
            run(folder, index, **options)
        with pytest.raises(RootMissing):
            run((), index, **options)
    folder.mkdir()
    with pytest.raises(RootMissing, match="missing or empty"):
        run(folder, index, prune=True, yes=True)
    folder.rmdir()
    away.rename(folder)
    assert counts(run((), index)) == {"unchanged": 6}


def test_pruning_more_than_a_tenth_needs_a_yes(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(20), tmp_path / "index"
    run(folder, index)
    for i in (0, 2, 4):
        (folder / "b" / f"{i:04d}.jpg").unlink()
    with pytest.raises(PruneRefused, match="3 of 20"):
        run(folder, index, prune=True)
    with Index.open(index) as opened:
        assert len(opened) == 20
    assert run(folder, index, prune=True, yes=True).removed == 3


def test_only_what_lies_below_the_given_path_can_be_gone(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(20), tmp_path / "index"
    run(folder, index)
    (folder / "a" / "0001.jpg").unlink()
    (folder / "b" / "0002.jpg").unlink()
    report = run(folder / "b", index, prune=True)
    assert (report.scanned, report.gone, report.removed) == (9, 1, 1)
    assert run(folder, index).gone == 1


def test_nested_roots_are_folded_into_the_outer_one(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(8), tmp_path / "index"
    run(folder / "a", index)
    single = folder / "b" / "0000.jpg"
    run(single, index)
    assert counts(run(folder, index)) == {"added": 3, "unchanged": 5, "embedded": 3}
    with Index.open(index) as opened:
        assert opened.info().roots == (str(folder),)
    assert_equals_brute_force(index)
    assert verify(index).ok


def test_a_file_written_again_with_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    folder, index = tmp_path / "photos", tmp_path / "index"
    folder.mkdir()
    path = folder / "a.ppm"
    picture(1).save(path)
    before = path.stat()
    run(folder, index)
    data = bytearray(path.read_bytes())
    data[-300:] = bytes(300)
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert counts(run(folder, index)) == {"updated": 1, "embedded": 1}
    assert_equals_brute_force(index)


def test_odd_names_are_found_again(tmp_path: Path) -> None:
    folder, index = tmp_path / "photos", tmp_path / "index"
    folder.mkdir()
    names = [b"\xff.jpg", b"a\nb.jpg", "é.jpg".encode(), "e\u0301.jpg".encode(), b"-k.jpg", b" .jpg"]
    for seed, name in enumerate(names):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            picture(seed).save(file, "JPEG")
    age(folder)
    assert counts(run(folder, index)) == {"added": 6, "embedded": 6}
    for name in names:
        path = os.path.join(os.fsencode(folder), name)
        [result] = find_similar(path, index, options=QueryOptions(k=1, include_self=True))
        assert os.fsencode(result.hits[0].path) == path
    assert counts(run(folder, index)) == {"unchanged": 6}


def test_skipped_files_are_listed_and_not_tried_again_until_they_change(
    small_photos: Maker, tmp_path: Path
) -> None:
    folder, index = small_photos(4), tmp_path / "index"
    whole = (folder / "b" / "0000.jpg").read_bytes()
    bad = folder / "b" / "bad.jpg"
    bad.write_bytes(whole[: len(whole) // 2])
    (folder / "b" / "also-bad.jpg").write_bytes(whole[: len(whole) // 2])
    age(folder)
    report = run(folder, index)
    assert counts(report) == {"added": 4, "embedded": 4, "skipped": 2}
    assert [s.path for s in report.skipped] == [str(folder / "b" / n) for n in ("also-bad.jpg", "bad.jpg")]
    assert not report.skipped[0].transient
    with Index.open(index) as opened:
        assert opened.skipped() == report.skipped
    assert counts(run(folder, index)) == {"unchanged": 4, "skipped": 2}
    bad.write_bytes(whole + b"\0")
    age(folder)
    assert counts(run(folder, index)) == {"updated": 1, "unchanged": 4, "skipped": 1, "embedded": 1}
    assert_equals_brute_force(index)


def test_each_vector_belongs_to_its_own_file_when_a_batch_holds_bad_ones(
    small_photos: Maker, tmp_path: Path
) -> None:
    folder, index, alone = small_photos(12), tmp_path / "index", tmp_path / "alone"
    for i in (3, 6, 7):
        (folder / ("a" if i % 2 else "b") / f"{i:04d}.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    run(folder, index)
    one_by_one = tmp_path / "one"
    one_by_one.mkdir()
    for path in sorted(folder.rglob("*.jpg")):
        shutil.copy(path, one_by_one / path.name)
        run(one_by_one, alone, batch_size=1, workers=1)
    together, separate = read_index(index), read_index(alone)
    expected = {Path(p[0]).name: v for p, v in zip(separate.paths, separate.vectors, strict=True)}
    assert len(together.ids) == 9
    for paths, vector in zip(together.paths, together.vectors, strict=True):
        assert float(vector @ expected[Path(paths[0]).name]) > 0.9999


def test_errors_of_a_user_are_said_in_words(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(2), tmp_path / "index"
    with pytest.raises(IndexMissing, match="simsearch index"):
        find_similar(folder / "a" / "0001.jpg", index)
    with pytest.raises(RootMissing, match="does not exist"):
        run(tmp_path / "nowhere", index)
    assert not index.exists()
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", index).scanned == 0
    with pytest.raises(IndexEmpty):
        find_similar(folder / "a" / "0001.jpg", index)
    run(folder, index)
    with pytest.raises(IndexMismatch, match="efficientnet_lite0"):
        index_folder(folder, index, IndexingConfig(choice=ModelChoice(model="efficientnet_lite2")))
    with pytest.raises(SimsearchError, match="missing"):
        find_similar(folder / "missing.jpg", index)
    (tmp_path / "text.jpg").write_text("just words")
    with pytest.raises(SimsearchError, match=r"text\.jpg"):
        find_similar(tmp_path / "text.jpg", index)
    with pytest.raises(NotIndexed, match="99"):
        find_similar(99, index)
    with Index.open(index) as opened:
        with pytest.raises(SimsearchError, match="1280"):
            opened.search(np.ones((1, 7), dtype=np.float32))
        with pytest.raises(SimsearchError, match="NaN"):
            opened.search(np.full((1, 1280), np.nan, dtype=np.float32))


def test_scores_can_be_bounded_and_k_may_exceed_the_collection(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(40), tmp_path / "index"
    run(folder, index)
    truth = read_index(index)
    every = truth.rank(truth.vectors[0], 40)
    with Index.open(index) as opened:
        low, high = every[30][1] - 1e-6, every[5][1] + 1e-6
        [hits] = opened.search(truth.vectors[:1], 10, min_score=low, max_score=high)
        assert [h.path for h in hits] == [path for path, score in every if low <= score <= high][:10]
        [hits] = opened.search(truth.vectors[:1], 1000)
        assert [h.path for h in hits] == [path for path, _ in every]


def test_verify_finds_a_flipped_bit_in_a_vector_and_a_query_does_not_return_it(
    small_photos: Maker, tmp_path: Path
) -> None:
    folder, index = small_photos(5), tmp_path / "index"
    run(folder, index)
    assert verify(index).checked == 5
    [third] = read_index(index).paths[2]
    segment = index / "segments" / "000001.seg"
    data = bytearray(segment.read_bytes())
    data[4096 + 2 * 1280 * 4 + 17] ^= 0x10
    segment.write_bytes(data)
    [problem] = verify(index).problems
    assert problem.file == third
    assert problem.what == "its vector in segments/000001.seg is not what was written"
    assert problem.mend == f"simsearch index --repair -i {index}"
    with pytest.raises(SimsearchError, match="simsearch verify"):
        find_similar(1, index)
    report = index_folder((), index, IndexingConfig(repair=True))
    assert (report.embedded, report.updated, report.unchanged) == (1, 1, 4)
    assert verify(index).ok
    truth = read_index(index)
    hits = find_similar(1, index, options=QueryOptions(k=5, include_self=True))[0].hits
    assert [hit.path for hit in hits] == [path for path, _ in truth.rank(truth.vectors[0], 5)]


def test_verify_finds_a_changed_row(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(5), tmp_path / "index"
    run(folder, index)
    connection = sqlite3.connect(index / "index.db")
    connection.execute("UPDATE vectors SET content_id = 9 WHERE id = 4")
    connection.commit()
    connection.close()
    assert not verify(index).ok


def test_a_lost_view_is_searched_exactly_and_built_again(tmp_path: Path) -> None:
    folder, index = tmp_path / "photos", tmp_path / "index"
    small_pngs(folder, range(1000))
    run(folder, index)
    rebuild(index, view="ivf")
    [view] = (index / "views").glob("*.faiss")
    view.write_bytes(view.read_bytes()[:-100])
    [problem] = verify(index).problems
    assert problem.mend == f"simsearch rebuild -i {index}"
    truth = read_index(index)
    with Index.open(index) as opened:
        hits = opened.search(truth.vectors[:3], 5)
    assert [[h.path for h in row] for row in hits] == [
        [path for path, _ in truth.rank(query, 5)] for query in truth.vectors[:3]
    ]
    rebuild(index)
    assert verify(index).ok


def test_a_reader_sees_what_another_process_committed(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(3), tmp_path / "index"
    run(folder, index)
    with Index.open(index) as reader:
        assert len(reader) == 3
        picture(50).save(folder / "new.jpg")
        time.sleep(0.01)
        run(folder, index)
        assert len(reader) == 4


def test_a_file_whose_disk_is_not_there_is_not_gone(tmp_path: Path) -> None:
    """Device 7 is here; 5 was a disk mounted below the root; 8 has become 9 since the last run."""
    found = Survey(Database(tmp_path / "index.db", create=True))
    found.devices[8] = 9
    found.absent = [Absence(1, 7, 7), Absence(2, 5, 7), Absence(3, 8, 9), Absence(4, 8, 7)]
    assert found.gone() == [1, 3]


def test_a_root_that_vanishes_during_the_scan_loses_nothing(tmp_path: Path) -> None:
    folder, index = tmp_path / "photos", tmp_path / "index"
    small_pngs(folder, range(900, 920))
    run(folder, index)
    # So many new files come first that the walk still waits for room when the disk goes.
    small_pngs(folder, range(300))

    def unplug(_: Progress) -> None:
        if folder.exists():
            folder.rename(tmp_path / "unplugged")

    config = IndexingConfig(choice=LITE0, prune=True, yes=True, workers=1)
    with pytest.raises(RootMissing, match="nothing was forgotten"):
        index_folder(folder, index, config, progress=unplug)
    with Index.open(index) as opened:
        kept = {path for photo in opened.photos() for path in photo.paths}
    assert {str(folder / f"{seed:05d}.png") for seed in range(900, 920)} <= kept


@pytest.mark.parametrize("by", ["option", "environment"])
def test_a_checkpoint_that_does_not_fit_leaves_no_index_behind(
    small_photos: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    folder, weights = small_photos(2), tmp_path / "odd.pth"
    torch.save({"layer.weight": torch.zeros(3)}, weights)
    if by == "environment":
        monkeypatch.setenv("SIMSEARCH_WEIGHTS", str(weights))
    choice = ModelChoice(weights=str(weights) if by == "option" else None)
    with pytest.raises(WeightsRefused, match=r"odd\.pth"):
        index_folder(folder, tmp_path / "index", IndexingConfig(choice=choice))
    assert not (tmp_path / "index").exists()


def test_weights_that_moved_are_remembered_at_their_new_place(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(2), tmp_path / "index"
    run(folder, index)
    with Index.open(index) as opened:
        first = opened.weights_path
    assert first is not None
    again = tmp_path / "again.pth"
    shutil.copy(first, again)
    choice = ModelChoice(model="efficientnet_lite0", weights=str(again))
    index_folder(folder, index, IndexingConfig(choice=choice))
    with Index.open(index) as opened:
        assert opened.weights_path == str(again)
