"""A real run is killed at each sync, rename and commit; with and without the bytes that were never synced."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import age, picture
from numpy.typing import NDArray
from oracle import read_index

from crash.harness import Before, Crash, build_shim, power_cut, remember, run_killed
from simsearch import Index, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.verify import verify
from simsearch.errors import IndexMissing
from simsearch.models.choice import ModelChoice

CHILD = Path(__file__).with_name("child.py")
PHOTOS, COMMIT = 24, 8


@dataclass
class Stage:
    """Photos, the vectors that an undisturbed run gives them by path, and a place to crash in."""

    photos: Path
    work: Path
    shim: Path
    vectors: dict[str, NDArray[np.float32]]

    def crash(
        self, at: int, start: Path | None = None, action: Sequence[str] | None = None
    ) -> tuple[Path, Crash, Before]:
        """A child that is killed at event `at`, on a fresh copy of the index `start`, or on none.

        `action` is what it does, "INDEX" standing for the index; indexing all photos when left out.
        """
        root = self.work / "index"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        if start is not None:
            shutil.copytree(start, root, dirs_exist_ok=True)
        before = remember(root)
        action = action or ["index", str(self.photos), "INDEX", str(COMMIT)]
        command = [str(CHILD), *(str(root) if word == "INDEX" else word for word in action)]
        return root, run_killed(self.shim, command, root, at, self.work), before

    def check(self, index: Path) -> None:
        """Opens, verifies, answers as brute force does, goes on, and embeds no committed photo again."""
        self.committed(index)
        committed = self.stored(index)
        config = IndexingConfig(
            choice=ModelChoice(model="efficientnet_lite0"), batch_size=4, commit_photos=COMMIT
        )
        report = index_folder(self.photos, index, config)
        assert report.embedded == len(self.vectors) - committed
        assert self.committed(index) == len(self.vectors)

    def stored(self, index: Path) -> int:
        """How many vectors the index holds, those of photos without a file too; they are adopted."""
        if not (index / "index.db").exists():
            return 0
        with sqlite3.connect(index / "index.db") as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return 0
            return int(connection.execute("SELECT count(*) FROM vectors").fetchone()[0])

    def committed(self, index: Path) -> int:
        """How many photos are in the index, after everything about them was checked."""
        try:
            opened = Index.open(index)
        except IndexMissing:
            return 0
        with opened:
            assert verify(index).problems == ()
            if not len(opened):
                return 0
            truth = read_index(index)
            for paths, vector in zip(truth.paths, truth.vectors, strict=True):
                assert float(vector @ self.vectors[paths[0]]) > 0.9999
            for query, hits in zip(truth.vectors, opened.search(truth.vectors, 5), strict=True):
                assert [hit.path for hit in hits] == [path for path, _ in truth.rank(query, 5)]
            return len(truth.ids)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    work = tmp_path_factory.mktemp("crash")
    photos = work / "photos"
    photos.mkdir()
    for i in range(PHOTOS):
        picture(i, (64, 48)).save(photos / f"{i:03d}.png")
    age(photos)
    choice = ModelChoice(model="efficientnet_lite0")
    index_folder(photos, work / "calm", IndexingConfig(choice=choice, batch_size=4))
    truth = read_index(work / "calm")
    vectors = {paths[0]: vector for paths, vector in zip(truth.paths, truth.vectors, strict=True)}
    return Stage(photos, work, build_shim(work), vectors)


def crash_points(
    stage: Stage,
    points: range | None = None,
    start: Path | None = None,
    action: Sequence[str] | None = None,
) -> int:
    """Crash at each point, check what a kill and what a power cut leave; the number of points."""
    _, whole, _ = stage.crash(0, start, action)
    assert whole.status == 0
    kinds = {line.split()[1].split("-", 1)[1] for line in whole.events}
    assert {"sync", "commit"} <= kinds
    tried = 0
    for at in points or range(1, len(whole.events) + 1):
        if at > len(whole.events):
            break
        root, crash, before = stage.crash(at, start, action)
        if crash.status == 0:
            # Two threads' events may come in another order; a run that needed fewer was not killed.
            continue
        cut = stage.work / "cut"
        shutil.rmtree(cut, ignore_errors=True)
        power_cut(root, crash, before, cut)
        stage.check(cut)
        stage.check(root)
        tried += 1
    return tried


def test_some_kill_points_of_a_first_run(stage: Stage) -> None:
    assert crash_points(stage, range(2, 200, 9)) >= 4


@pytest.mark.proof
def test_every_kill_point_of_a_first_run(stage: Stage) -> None:
    tried = crash_points(stage)
    print(f"kill points of a first run: {tried}, each with and without unsynced bytes")
    assert tried >= 30


@contextmanager
def without(stage: Stage, photos: Sequence[Path]) -> Iterator[None]:
    """Some of the photos are elsewhere meanwhile."""
    away = stage.work / "away"
    away.mkdir()
    for path in photos:
        path.rename(away / path.name)
    yield
    for path in away.iterdir():
        path.rename(stage.photos / path.name)
    away.rmdir()


def index_all(stage: Stage, index: Path, *, prune: bool = False) -> None:
    choice = ModelChoice(model="efficientnet_lite0")
    index_folder(stage.photos, index, IndexingConfig(choice=choice, batch_size=4, prune=prune, yes=prune))


@pytest.fixture(scope="module")
def pruned(stage: Stage) -> Path:
    """An index of all photos from which a third was pruned, so that their vectors wait for compaction."""
    start = stage.work / "pruned"
    index_all(stage, start)
    with without(stage, sorted(stage.photos.iterdir())[::3]):
        index_all(stage, start, prune=True)
    assert (stage.stored(start), stage.committed(start)) == (PHOTOS, PHOTOS - COMMIT)
    return start


def test_some_kill_points_of_a_compaction(stage: Stage, pruned: Path) -> None:
    assert crash_points(stage, range(2, 200, 7), pruned, ["compact", "INDEX"]) >= 2


@pytest.mark.proof
def test_every_kill_point_of_a_compaction(stage: Stage, pruned: Path) -> None:
    tried = crash_points(stage, start=pruned, action=["compact", "INDEX"])
    print(f"kill points of a compaction: {tried}, each with and without unsynced bytes")
    assert tried >= 10


@pytest.mark.proof
def test_every_kill_point_of_a_removal(stage: Stage, pruned: Path) -> None:
    tried = crash_points(stage, start=pruned, action=["remove", str(stage.photos), "INDEX"])
    print(f"kill points of a removal: {tried}, each with and without unsynced bytes")
    assert tried >= 2


@pytest.mark.proof
def test_every_kill_point_of_a_run_that_goes_on(stage: Stage) -> None:
    start = stage.work / "start"
    # An index of the first third, whose other rows the next run has to add.
    with without(stage, sorted(stage.photos.iterdir())[COMMIT:]):
        index_all(stage, start)
    tried = crash_points(stage, start=start)
    print(f"kill points of a run that goes on: {tried}, each with and without unsynced bytes")
    assert tried >= 20
