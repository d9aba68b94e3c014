"""Real runs are struck at each write, sync, rename, deletion and commit; also without what was not synced."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import age, picture
from made import made_index
from numpy.typing import NDArray
from oracle import read_index

from crash.format0 import make_old
from crash.harness import build_shim
from crash.stage import Stage, strike_all
from simsearch import index_folder
from simsearch.engine.exchange.export import export
from simsearch.engine.indexing import IndexingConfig
from simsearch.models.choice import ModelChoice

PHOTOS, THIRD = 24, 8
FULL, QUOTA, BROKEN = f"error:{errno.ENOSPC}:all", f"error:{errno.EDQUOT}:all", f"error:{errno.EIO}"
KILLS = ("kill", "tree", "worker")
REFUSED = f"error:{errno.EACCES}"
Faults = Callable[..., None]


@dataclass(frozen=True)
class Ground:
    """Photos and the vectors that an undisturbed run gives them by path."""

    work: Path
    photos: Path
    shim: Path
    vectors: dict[str, NDArray[np.float32]]

    def stage(self, *action: str, start: Path | None = None) -> Stage:
        """A command on this ground."""
        return Stage(self.work, self.shim, self.photos, self.vectors, action, start)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory where there is one: of thousands of syncs none need reach a disk."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > 1 << 29:
        with tempfile.TemporaryDirectory(dir=memory) as place:
            yield Path(place)
    else:
        yield tmp_path_factory.mktemp("crash")


@pytest.fixture(scope="module")
def ground(work: Path) -> Ground:
    photos = work / "photos"
    photos.mkdir()
    for i in range(PHOTOS):
        picture(i, (64, 48)).save(photos / f"{i:03d}.png")
    age(photos)
    index_all(photos, work / "calm")
    return Ground(work, photos, build_shim(work), vectors_of(work / "calm"))


def vectors_of(index: Path) -> dict[str, NDArray[np.float32]]:
    truth = read_index(index)
    return {paths[0]: vector for paths, vector in zip(truth.paths, truth.vectors, strict=True)}


def index_all(photos: Path, index: Path, *, prune: bool = False) -> None:
    choice = ModelChoice(model="efficientnet_lite0")
    index_folder(photos, index, IndexingConfig(choice=choice, batch_size=4, prune=prune, yes=prune))


@contextmanager
def without(ground: Ground, photos: Sequence[Path]) -> Iterator[None]:
    """Some of the photos are elsewhere meanwhile."""
    away = ground.work / "away"
    away.mkdir()
    for path in photos:
        path.rename(away / path.name)
    yield
    for path in away.iterdir():
        path.rename(ground.photos / path.name)
    away.rmdir()


@pytest.fixture(scope="module")
def third(ground: Ground) -> Path:
    """An index of the first third, whose other rows the next run has to add."""
    start = ground.work / "third"
    with without(ground, sorted(ground.photos.iterdir())[THIRD:]):
        index_all(ground.photos, start)
    return start


@pytest.fixture(scope="module")
def pruned(ground: Ground) -> Path:
    """An index of all photos from which a third was pruned, so that their vectors wait for compaction."""
    start = ground.work / "pruned"
    index_all(ground.photos, start)
    with without(ground, sorted(ground.photos.iterdir())[::3]):
        index_all(ground.photos, start, prune=True)
    return start


@pytest.fixture(scope="module")
def rotten(ground: Ground) -> Path:
    """An index with a damaged header, two damaged vectors and a damaged row."""
    start = ground.work / "rotten"
    index_all(ground.photos, start)
    flip(start / "segments" / "000001.seg", 20, 4096 + 5 * 1280 * 4, 4096 + 9 * 1280 * 4 + 100)
    data = (start / "index.db").read_bytes()
    flip(start / "index.db", data.index(b"007.png"))
    return start


def flip(path: Path, *offsets: int) -> None:
    data = bytearray(path.read_bytes())
    for offset in offsets:
        data[offset] ^= 4
    path.write_bytes(data)


@pytest.fixture(scope="module")
def old(ground: Ground) -> Path:
    """An index of a made-up older format."""
    start = ground.work / "old"
    shutil.copytree(ground.work / "calm", start)
    make_old(start)
    return start


@pytest.fixture(scope="module")
def thinned(ground: Ground) -> Stage:
    """An index of which a third of the photos was deleted, and their being pruned."""
    photos, index = ground.work / "thinned-photos", ground.work / "thinned"
    shutil.copytree(ground.photos, photos)
    index_all(photos, index)
    vectors = vectors_of(index)
    for path in sorted(photos.iterdir())[::3]:
        path.unlink()
    return Stage(ground.work, ground.shim, photos, vectors, ("again", "INDEX", "prune", "yes"), index)


@pytest.fixture(scope="module")
def exported(ground: Ground) -> Path:
    """All embeddings as plain files, to be imported."""
    export(ground.work / "exported", ground.work / "calm")
    return ground.work / "exported"


@pytest.fixture(scope="module")
def viewed(ground: Ground) -> Stage:
    """An index of made vectors that is large enough for a view, and its being built anew."""
    photos, index = made_index(ground.work)
    action = ("rebuild", "INDEX", "ivf")
    return Stage(ground.work, ground.shim, photos, vectors_of(index), action, index, goes_on=False)


def some(step: int) -> Callable[[range], Sequence[int]]:
    """Every so manieth event."""
    return lambda points: points[1::step]


def test_some_kill_points_of_a_first_run(ground: Ground) -> None:
    stage = ground.stage("index", "INDEX", str(ground.photos))
    assert strike_all(stage, ["kill"], some(23))["kill"][0] >= 4


def test_some_kill_points_of_a_compaction(ground: Ground, pruned: Path) -> None:
    assert strike_all(ground.stage("compact", "INDEX", start=pruned), ["kill"], some(11))["kill"][0] >= 2


def test_a_disk_that_is_full_now_and_then(ground: Ground, third: Path) -> None:
    stage = ground.stage("index", "INDEX", str(ground.photos), start=third)
    assert strike_all(stage, [FULL], some(23))[FULL][1] >= 1


def count(faults: Faults, name: str, tried: dict[str, tuple[int, int]]) -> None:
    names = {
        "kill": "kill -9, and what a power cut leaves",
        "tree": "kill -9 of the process and its workers",
        "worker": "kill -9 of the workers",
        FULL: "the disk is full from there on",
        QUOTA: "the quota is used up from there on",
        BROKEN: "one I/O error",
        REFUSED: "one permission refused",
    }
    for kind, (n, told) in tried.items():
        faults(f"{name}: {names[kind]}", tried=n, told=told)
        assert n, (name, kind)


@pytest.mark.proof
def test_every_point_of_a_first_run(ground: Ground, faults: Faults) -> None:
    stage = ground.stage("index", "INDEX", str(ground.photos))
    count(faults, "index, first run", strike_all(stage, KILLS) | strike_all(stage, [FULL, BROKEN], some(3)))


@pytest.mark.proof
def test_every_point_of_a_run_that_goes_on(ground: Ground, third: Path, faults: Faults) -> None:
    stage = ground.stage("index", "INDEX", str(ground.photos), start=third)
    count(faults, "index, goes on", strike_all(stage, KILLS) | strike_all(stage, [QUOTA, REFUSED], some(3)))


@pytest.mark.proof
@pytest.mark.parametrize("command", ["compact", "remove", "prune", "repair", "watched repair", "migrate"])
def test_every_point_of(command: str, ground: Ground, request: pytest.FixtureRequest, faults: Faults) -> None:
    kinds = ["kill"] if command == "watched repair" else ["kill", FULL, BROKEN]
    count(faults, command, strike_all(stage_of(command, ground, request), kinds))


@pytest.mark.proof
def test_every_point_of_an_import(ground: Ground, exported: Path, faults: Faults) -> None:
    stage = ground.stage("import", "INDEX", str(exported))
    count(faults, "import", strike_all(stage, KILLS) | strike_all(stage, [FULL, BROKEN], some(3)))


def stage_of(command: str, ground: Ground, request: pytest.FixtureRequest) -> Stage:
    if command == "prune":
        stage: Stage = request.getfixturevalue("thinned")
        return stage
    if command.endswith("repair"):
        stage = ground.stage("again", "INDEX", "repair", start=request.getfixturevalue("rotten"))
        return replace(stage, mends=True, watched=command.startswith("watched"))
    if command == "migrate":
        return ground.stage("migrate", "INDEX", start=request.getfixturevalue("old"))
    start = request.getfixturevalue("pruned")
    if command == "remove":
        return ground.stage("remove", "INDEX", str(ground.photos), start=start)
    return ground.stage("compact", "INDEX", start=start)


@pytest.mark.proof
def test_every_point_of_a_rebuild(viewed: Stage, faults: Faults) -> None:
    count(faults, "rebuild", strike_all(viewed, ["kill", FULL, BROKEN]))
