"""Compacting, removing, deep checks, thumbnails: what is kept, what goes, what readers see meanwhile."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import age, picture, simsearch
from oracle import read_index
from PIL import Image

from simsearch import Index, index_folder
from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.compact import compact
from simsearch.engine.maintenance.remove import remove
from simsearch.engine.maintenance.thumbnails import make_thumbnails
from simsearch.engine.maintenance.verify import verify
from simsearch.engine.maintenance.view import rebuild
from simsearch.errors import IndexUnwritable, NotIndexed, PruneRefused
from simsearch.models.choice import ModelChoice
from simsearch.records import IndexReport
from simsearch.storage import segments

Maker = Callable[[int], Path]
LITE0 = ModelChoice(model="efficientnet_lite0")


def run(folder: Path | tuple[()], index: Path, **options: object) -> IndexReport:
    return index_folder(folder, index, IndexingConfig(choice=LITE0, **options))  # type: ignore[arg-type]


def rows(index: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(index / "index.db") as connection:
        return connection.execute(query).fetchall()


def assert_answers(index: Path) -> None:
    truth = read_index(index)
    with Index.open(index) as opened:
        assert len(opened) == len(truth.ids)
        for query, hits in zip(truth.vectors, opened.search(truth.vectors, 5), strict=True):
            assert [hit.path for hit in hits] == [path for path, _ in truth.rank(query, 5)]


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> int:
    """Segments of ten rows, so that an index of few photos has several."""
    monkeypatch.setattr(segments, "SEGMENT_BYTES", segments.HEADER + 10 * 1280 * 4)
    return 10


# Compaction


def test_what_no_file_has_is_dropped_and_everything_else_stays(
    small_segments: int, small_photos: Maker, tmp_path: Path
) -> None:
    folder, index = small_photos(40), tmp_path / "index"
    run(folder, index)
    assert [f.name for f in sorted((index / "segments").iterdir())] == [f"{n:06d}.seg" for n in (1, 2, 3, 4)]
    before = read_index(index)
    untouched = (index / "segments" / "000001.seg").stat()
    # The files of segment 2, in the order in which they were embedded, and one of segment 4.
    doomed = [before.paths[i][0] for i in (*range(10, 20), 35)]
    for path in doomed:
        os.unlink(path)
    run((), index, prune=True, yes=True)
    assert len(rows(index, "SELECT id FROM vectors")) == 40

    report = compact(index)
    assert (report.dropped, report.kept) == (11, 29)
    assert report.bytes_after < report.bytes_before
    after = read_index(index)
    kept = [i for i in range(40) if before.paths[i][0] not in doomed]
    assert after.ids == [before.ids[i] for i in kept]
    assert np.array_equal(after.vectors, before.vectors[kept])
    assert len(rows(index, "SELECT id FROM vectors")) == len(rows(index, "SELECT id FROM contents")) == 29
    # Segments without a dropped row are not written again; the others are gone.
    files = {f.name: f for f in (index / "segments").iterdir()}
    assert set(files) == {"000001.seg", "000003.seg", "000005.seg"}
    assert files["000001.seg"].stat().st_ino == untouched.st_ino
    assert verify(index).ok
    assert_answers(index)
    assert compact(index).dropped == 0


def test_ids_are_never_used_again(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(12), tmp_path / "index"
    run(folder, index)
    newest = max(read_index(index).ids)
    shutil.rmtree(folder / "a")
    run((), index, prune=True, yes=True)
    assert compact(index).dropped == 6
    picture(500).save(folder / "b" / "new.jpg")
    run((), index)
    assert max(read_index(index).ids) == newest + 1
    assert rows(index, f"SELECT id, content_id FROM vectors WHERE id > {newest}") == [
        (newest + 1, newest + 1)
    ]
    assert_answers(index)


def test_what_comes_back_is_embedded_once_and_only_after_compaction(
    small_photos: Maker, tmp_path: Path
) -> None:
    folder, index, away = small_photos(12), tmp_path / "index", tmp_path / "away"
    run(folder, index)
    for embedded, compacted in ((0, False), (6, True), (0, False)):
        (folder / "a").rename(away)
        run((), index, prune=True, yes=True)
        if compacted:
            compact(index)
        away.rename(folder / "a")
        assert run((), index).embedded == embedded
        assert len(rows(index, "SELECT id FROM vectors")) == 12
        assert_answers(index)


def test_an_approximate_view_survives_compaction(tmp_path: Path) -> None:
    folder, index = tmp_path / "photos", tmp_path / "index"
    folder.mkdir()
    for i in range(1300):
        Image.new("RGB", (1, 1), (i % 256, i // 256, 7)).save(folder / f"{i:04d}.png")
    np.save(tmp_path / "v.npy", np.random.default_rng(1).normal(size=(1300, 32)))
    (tmp_path / "p.csv").write_text("path\n" + "\n".join(map(str, sorted(folder.iterdir()))))
    import_embeddings(Origin(tmp_path / "v.npy", tmp_path / "p.csv", name="made"), index)
    assert rebuild(index, view="ivf", recall=1.0).kind == "ivf"
    # A few dropped rows leave the view as it is, many have it built again.
    for gone, kind in ((slice(0, 5), "ivf"), (slice(5, 300), "exact")):
        remove(sorted(folder.iterdir())[gone], index, yes=True)
        compact(index)
        assert verify(index).ok
        truth = read_index(index)
        with Index.open(index) as opened:
            assert opened.info().view.kind == kind
            hits = opened.search(truth.vectors[:20], 5)
            assert [len(found) for found in hits] == [5] * 20
            assert all({hit.id for hit in found} <= set(truth.ids) for found in hits)


def test_damage_is_not_sealed_anew(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(12), tmp_path / "index"
    run(folder, index)
    shutil.rmtree(folder / "a")
    run((), index, prune=True, yes=True)
    kept = read_index(index).ids[0]
    ((row,),) = rows(index, f"SELECT row FROM vectors WHERE id = {kept}")
    with (index / "segments" / "000001.seg").open("r+b") as file:
        file.seek(4096 + int(row) * 1280 * 4)  # type: ignore[call-overload]
        file.write(b"\x00\x00\x80\x3f")
    done = simsearch("compact", "-i", index)
    assert done.returncode == 1
    assert b"is not what was written. Run: simsearch verify" in done.stderr
    assert len(rows(index, "SELECT id FROM vectors")) == 12


def test_a_copy_that_has_no_room_is_not_begun(
    small_photos: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, index = small_photos(12), tmp_path / "index"
    run(folder, index)
    shutil.rmtree(folder / "a")
    run((), index, prune=True, yes=True)
    full = shutil.disk_usage(index)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    with pytest.raises(IndexUnwritable, match="Make room"):
        compact(index)
    assert [f.name for f in (index / "segments").iterdir()] == ["000001.seg"]


READER = """
import os, sys
from simsearch import Index
index, asked = Index.open(sys.argv[1]), 0
print("ready", flush=True)
while asked < 50 or not os.path.exists(sys.argv[2]):
    ids = [photo.id for photo in index.photos() if "/b/" in photo.paths[0]][:4]
    vectors = index.vectors(ids)
    for vector_id, hits in zip(ids, index.search(vectors, 3), strict=True):
        assert len(hits) == 3 and hits[0].id == vector_id, (vector_id, hits)
        assert abs(hits[0].score - 1) < 1e-5
        asked += 1
print(asked)
"""


def test_readers_see_no_error_while_photos_go_and_come_and_are_compacted(
    small_segments: int, small_photos: Maker, tmp_path: Path
) -> None:
    folder, index, away = small_photos(40), tmp_path / "index", tmp_path / "away"
    run(folder, index)
    # "b" stays all the time, and its photos have the ids that the readers ask for.
    first = sorted((folder / "b").iterdir())
    assert len(first) == 20
    stop = tmp_path / "stop"
    command = [sys.executable, "-c", READER, str(index), str(stop)]
    readers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    for _ in range(3):
        (folder / "a").rename(away)
        run((), index, prune=True, yes=True)
        compact(index)
        away.rename(folder / "a")
        assert run((), index).embedded == 20
    stop.touch()
    for reader in readers:
        out, err = reader.communicate(timeout=300)
        assert reader.returncode == 0, err
        assert int(out) >= 50
    assert verify(index).ok
    assert_answers(index)


def test_threads_of_one_index_read_on_through_a_compaction(
    small_segments: int, small_photos: Maker, tmp_path: Path
) -> None:
    folder, index = small_photos(30), tmp_path / "index"
    run(folder, index)
    failures: list[BaseException] = []
    stop = threading.Event()
    with Index.open(index) as opened:
        kept = [photo.id for photo in opened.photos() if "/b/" in photo.paths[0]]

        def read() -> None:
            try:
                while not stop.is_set():
                    hits = opened.search(opened.vectors(kept[:5]), 2)
                    assert [found[0].id for found in hits] == kept[:5]
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for path in sorted((folder / "a").iterdir()):
            path.unlink()
            run((), index, prune=True, yes=True)
            compact(index)
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []
        # Nobody holds on to the room of segments that are gone; a search that began before a compaction may
        # have opened one again, until the next commit is read.
        picture(99).save(folder / "b" / "new.jpg")
        run((), index)
        opened.search(opened.vectors(kept[:1]), 1)
        held = [
            os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.lexists(entry.path)
        ]
    assert not [name for name in held if str(index) in name and name.endswith("(deleted)")]


# Removal


def test_files_folders_and_roots_are_forgotten_and_never_touched(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(24), tmp_path / "index"
    other = tmp_path / "other"
    other.mkdir()
    picture(99).save(other / "x.png")
    shutil.copy(folder / "a" / "0001.jpg", other / "copy.jpg")
    age(tmp_path)
    index_folder([folder, other], index, IndexingConfig(choice=LITE0))

    report = remove([folder / "a" / "0001.jpg"], index)
    assert (report.files, report.photos, report.roots) == (1, 0, ())
    with pytest.raises(PruneRefused, match="11 of 25 files would be forgotten"):
        remove([folder / "a"], index)
    planned = remove([folder / "a"], index, dry_run=True)
    assert (planned.files, planned.photos) == (11, 11)
    assert len(read_index(index).ids) == 25
    assert remove([folder / "a"], index, yes=True).photos == 11
    assert len(read_index(index).ids) == 14
    assert remove([folder], index, yes=True).roots == (str(folder),)
    assert sorted(read_index(index).paths) == [[str(other / "copy.jpg")], [str(other / "x.png")]]
    assert rows(index, "SELECT count(*) FROM roots") == [(1,)]
    assert sum(1 for path in folder.rglob("*.jpg")) == 24
    with pytest.raises(NotIndexed, match="simsearch info"):
        remove([folder], index)
    # What was forgotten is taken up again without embedding.
    assert run(folder, index).embedded == 0
    assert verify(index).ok


def test_a_path_above_a_root_and_files_that_are_gone(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(12), tmp_path / "index"
    run(folder, index)
    shutil.rmtree(folder / "a")
    assert remove([folder / "a" / "0001.jpg"], index).files == 1
    assert remove([folder / "a"], index, yes=True).files == 5
    shutil.rmtree(folder)
    done = simsearch("remove", tmp_path, "--yes", "-i", index)
    assert done.returncode == 0, done.stderr
    assert f"forgot the folder {folder} whole" in done.stdout.decode()
    assert read_index(index).ids == []


# Deep checks


def test_a_deep_check_reads_every_file(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(12), tmp_path / "index"
    run(folder, index)
    seen: list[tuple[int, int]] = []
    assert verify(index, deep=True, progress=lambda done, total: seen.append((done, total))).ok
    assert seen[-1] == (12, 12)

    rotten, edited, gone = (folder / "b" / f"{n:04d}.jpg" for n in (0, 2, 4))
    stat = rotten.stat()
    data = bytearray(rotten.read_bytes())
    data[-5] ^= 1
    rotten.write_bytes(data)
    os.utime(rotten, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    picture(77).save(edited)
    gone.unlink()
    assert verify(index).ok
    problems = {problem.file: problem for problem in verify(index, deep=True).problems}
    assert set(problems) == {str(rotten), str(edited), str(gone)}
    assert "other bytes than were indexed" in problems[str(rotten)].what
    assert problems[str(edited)].what == "was changed since it was indexed"
    assert problems[str(gone)].what == "cannot be read: No such file or directory"
    assert simsearch("verify", "--deep", "-i", index).returncode == 3

    # The commands that it names mend it.
    for command in problems[str(rotten)].mend.partition("take it as it is: ")[2].split(" && "):
        assert command.startswith("simsearch ")
        done = simsearch(*command.split()[1:])
        assert done.returncode == 0, done.stderr
    run((), index, prune=True)
    assert verify(index, deep=True).ok


# Thumbnails


def test_thumbnails_are_made_ahead_and_go_with_their_photos(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(12), tmp_path / "index"
    run(folder, index)
    first, second = make_thumbnails(index), make_thumbnails(index)
    assert (first.made, first.there, first.failed) == (12, 0, 0)
    assert (second.made, second.there, second.failed) == (0, 12, 0)
    shutil.rmtree(folder / "a")
    run((), index, prune=True, yes=True)
    compact(index)
    with sqlite3.connect(index / "thumbs.db") as connection:
        kept = {bytes(row[0]) for row in connection.execute("SELECT sha256 FROM thumbs")}
    assert kept == {row[0] for row in rows(index, "SELECT sha256 FROM contents")}
    assert len(kept) == 6


def test_a_run_begins_by_deleting_what_a_killed_compaction_left(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(12), tmp_path / "index"
    run(folder, index)
    old = (index / "segments" / "000001.seg").read_bytes()
    shutil.rmtree(folder / "a")
    run((), index, prune=True, yes=True)
    compact(index)
    # As if the machine had stopped between the switch and the deletion.
    (index / "segments" / "000001.seg").write_bytes(old)
    time.sleep(0.01)
    run((), index)
    assert [f.name for f in (index / "segments").iterdir()] == ["000002.seg"]


def test_a_check_beside_compactions_finds_nothing(
    small_segments: int, small_photos: Maker, tmp_path: Path
) -> None:
    folder, index = small_photos(40), tmp_path / "index"
    run(folder, index)
    stop = threading.Event()
    found: list[object] = []

    def check() -> None:
        while not stop.is_set():
            report = verify(index)
            found.extend(report.problems)
            found.extend([] if report.checked else ["nothing was checked"])

    threads = [threading.Thread(target=check) for _ in range(2)]
    for thread in threads:
        thread.start()
    for path in sorted((folder / "a").iterdir())[:12]:
        path.unlink()
        run((), index, prune=True, yes=True)
        compact(index)
    stop.set()
    for thread in threads:
        thread.join()
    assert found == []


def test_compacting_without_a_segment_says_so(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(12), tmp_path / "index"
    run(folder, index)
    shutil.rmtree(folder / "a")
    run((), index, prune=True, yes=True)
    (index / "segments" / "000001.seg").unlink()
    done = simsearch("compact", "-i", index)
    assert done.returncode == 1
    assert b"000001.seg: No such file or directory. Run: simsearch verify" in done.stderr
    assert simsearch("verify", "-i", index).returncode == 3


def test_a_root_that_is_not_there_is_one_problem_of_a_deep_check(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(12), tmp_path / "index"
    run(folder, index)
    folder.rename(tmp_path / "elsewhere")
    [problem] = verify(index, deep=True).problems
    assert (problem.file, problem.what) == (str(folder), "the whole folder is not there")
