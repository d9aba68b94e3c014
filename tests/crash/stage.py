"""A place to crash in: an index before a command, the command struck, and everything checked afterwards."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from oracle import read_index

from crash import format0
from crash.harness import Crash, Runner, power_cut, remember
from simsearch import Index, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.maintenance.verify import verify
from simsearch.errors import IndexMissing, SimsearchError
from simsearch.models.choice import ModelChoice
from simsearch.storage import migrations


@dataclass(frozen=True)
class Stage:
    """What a command starts from, and what the photos' vectors are whatever happens.

    `action` is the command, "INDEX" standing for the index. `goes_on` says that a run of `index` afterwards
    has to end with all photos; made vectors have no model to go on with. `mends` says that the start is
    damaged, and that `index --repair` has to mend whatever is left of it; `watched` that somebody reads it.
    """

    work: Path
    shim: Path
    photos: Path
    vectors: dict[str, NDArray[np.float32]]
    action: tuple[str, ...]
    start: Path | None = None
    goes_on: bool = True
    mends: bool = False
    watched: bool = False


def check(stage: Stage, index: Path) -> None:
    """Opens, verifies, answers as brute force does, goes on, and embeds no committed photo again."""
    if not stage.mends:
        committed(stage, index)
    if not stage.goes_on:
        return
    known = stored(index)
    digests = {path: hashlib.sha256(path.read_bytes()).digest() for path in stage.photos.iterdir()}
    choice = ModelChoice() if known else ModelChoice(model="efficientnet_lite0")
    config = IndexingConfig(choice=choice, batch_size=4, workers=1, repair=stage.mends)
    report = index_folder(stage.photos, index, config)
    if not stage.mends:
        assert report.embedded == len(set(digests.values()) - known)
    assert {str(path) for path in digests} <= committed(stage, index)


def stored(index: Path) -> set[bytes]:
    """The SHA-256 of all pictures that the index knows, those without a file too; they are adopted."""
    if not (index / "index.db").exists():
        return set()
    with sqlite3.connect(index / "index.db") as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return set()
        return {digest for (digest,) in connection.execute("SELECT sha256 FROM contents")}


def committed(stage: Stage, index: Path) -> set[str]:
    """The photos that are in the index, after everything about them was checked."""
    try:
        opened = Index.open(index)
    except IndexMissing:
        return set()
    with opened:
        problems = verify(index).problems
        assert problems == (), problems
        if not len(opened):
            return set()
        truth = read_index(index)
        for paths, vector in zip(truth.paths, truth.vectors, strict=True):
            assert float(vector @ stage.vectors[paths[0]]) > 0.9999
        questions = truth.vectors[:: max(1, len(truth.ids) // 40)]
        approximate = opened.info().view.kind != "exact"
        for query, hits in zip(questions, opened.search(questions, 5), strict=True):
            expected = [path for path, _ in truth.rank(query, 5)]
            # An approximate view may miss one of them, never the picture itself.
            assert [hit.path for hit in hits][: 1 if approximate else 5] == expected[
                : 1 if approximate else 5
            ]
        return {path for paths in truth.paths for path in paths}


class Place:
    """What one process of the pool has: a folder of its own and a warm child."""

    here: Place

    def __init__(self, work: Path, shim: Path) -> None:
        self.work = work / str(os.getpid())
        self.work.mkdir()
        self.runner = Runner(shim, self.work)

    def crash(self, stage: Stage, kind: str, at: int) -> tuple[Path, Crash, Path | None]:
        """The command struck at event `at` on a fresh copy of the start; for a kill what a power cut left."""
        root, cut = self.work / "index", self.work / "cut"
        for folder in (root, cut):
            shutil.rmtree(folder, ignore_errors=True)
        root.mkdir()
        if stage.start is not None:
            shutil.copytree(stage.start, root, dirs_exist_ok=True)
        before = remember(root)
        reader = sqlite3.connect(root / "index.db") if stage.watched else None
        if reader is not None:
            reader.execute("SELECT count(*) FROM settings").fetchall()
        action = [str(root) if word == "INDEX" else word for word in stage.action]
        crash = self.runner.run(action, root, kind, at)
        if reader is not None:
            reader.close()
        if kind == "kill" and at:
            power_cut(root, crash, before, cut)
            return root, crash, cut
        return root, crash, None


def enter(work: Path, shim: Path, turn: Synchronized[int]) -> None:
    """Begin a process of the pool."""
    # Each on a core of its own: more threads than cores would only wait for each other.
    cores = sorted(os.sched_getaffinity(0))
    with turn.get_lock():
        turn.value += 1
        os.sched_setaffinity(0, {cores[turn.value % len(cores)]})
    migrations.STEPS[0] = format0.step
    Place.here = Place(work, shim)


def events(stage: Stage) -> int:
    """How many events an undisturbed run of the command has."""
    root, crash, _ = Place.here.crash(stage, "none", 0)
    assert crash.status == 0, crash.said
    check(stage, root)
    return len(crash.events)


def strike(stage: Stage, kind: str, at: int) -> str:
    """Strike once and check what is left: "told" where the command said so, "" where nothing came about."""
    root, crash, cut = Place.here.crash(stage, kind, at)
    # Two threads' events may come in another order: a run that needed fewer is not struck.
    if not crash.struck:
        return ""
    expected = {"kill": (-9,), "tree": (-9,), "worker": (0,)}.get(kind, (0, 3))
    assert crash.status in expected, (kind, at, crash.status, crash.said)
    if crash.status == 3:
        assert crash.said.startswith("Error: "), crash.said
        assert crash.said.count("\n") == 1, crash.said
    # What is the same need not be checked twice.
    if cut is not None and contents(cut) == contents(root):
        cut = None
    for index in (cut, root):
        if index is not None:
            try:
                check(stage, index)
            except (AssertionError, SimsearchError) as exc:
                where = crash.events[at - 1] if at <= len(crash.events) else "?"
                name = "after a power cut" if index == cut else "as it was left"
                raise AssertionError(f"{kind} at event {at} ({where}), {name}: {exc}\n{crash.said}") from exc
    return "told" if crash.status == 3 else "survived"


def contents(index: Path) -> dict[str, bytes]:
    """The bytes of all that outlives the machine."""
    files = (path for path in index.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "LOCK")))
    return {str(path.relative_to(index)): path.read_bytes() for path in files}


def strike_all(
    stage: Stage, kinds: Sequence[str], choose: Callable[[range], Sequence[int]] = lambda points: points
) -> dict[str, tuple[int, int]]:
    """Strike at the chosen events in each way, in two processes; how many came about, how many were told."""
    context = get_context("spawn")
    given = (stage.work, stage.shim, context.Value("i", 0))
    with ProcessPoolExecutor(2, mp_context=context, initializer=enter, initargs=given) as pool:
        chosen = choose(range(1, pool.submit(events, stage).result() + 1))
        tried = {kind: [pool.submit(strike, stage, kind, at) for at in chosen] for kind in kinds}
        words = {kind: [future.result() for future in each] for kind, each in tried.items()}
    return {kind: (sum(map(bool, each)), each.count("told")) for kind, each in words.items()}
