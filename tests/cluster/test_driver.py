"""The driver without Ray: shards are done in this process, in an order of the test's, and stopped at will."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from socket import gethostname
from types import TracebackType

import numpy as np
import pytest
from conftest import age
from numpy.typing import NDArray
from oracle import read_index

from cluster.ground import (
    EMBEDDED,
    LITE0,
    PICTURES,
    SKIPPED,
    assert_same,
    collection,
    pictures_in,
    rows_of,
    shards_in,
    vectors_of,
)
from simsearch import Index, index_folder
from simsearch.engine.cluster import driver
from simsearch.engine.cluster.claims import Claims
from simsearch.engine.cluster.config import RayConfig
from simsearch.engine.cluster.fleet import Posting
from simsearch.engine.cluster.work import Crew, Orders, Told, files_from_json, files_to_json
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.indexing.survey import Candidate
from simsearch.engine.maintenance.verify import verify
from simsearch.errors import IndexUnwritable
from simsearch.models.choice import ModelChoice
from simsearch.records import IndexReport


class Here:
    """Stands in for a cluster: its one actor is this process.

    `order` puts the numbers of the shards into the order in which they are done; `written` is called with
    each shard's file; `refuses` are digests that nobody may embed in the first round, as if the shard that
    claimed them had found another picture when it was done anew.
    """

    order: Callable[[list[int]], Sequence[int]] = staticmethod(list)
    written: Callable[[Path], None] = staticmethod(lambda path: None)
    refuses: frozenset[bytes] = frozenset()
    read: list[bytes]

    def __init__(self, address: str) -> None:
        self._rounds = 0

    def __enter__(self) -> Here:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def post(self, cpus: int | None, device: str) -> Posting:
        return Posting(actors=1, nodes=1, cpus=1, card=False)

    def work(
        self,
        orders: Orders,
        shards: Sequence[Sequence[Candidate]],
        posting: Posting,
        known: NDArray[np.uint64],
    ) -> Generator[Told, None, None]:
        claims, crew = Claims(known), Crew(Orders.from_json(orders.to_json()))
        refused = self.refuses if self._rounds == 0 else frozenset()
        self._rounds += 1
        with closing(crew._pool):
            for number in self.order(list(range(len(shards)))):
                files = files_from_json(files_to_json(shards[number]))
                Here.read += [file.path for file in files]
                told = crew.do(number, files, lambda d, n: d not in refused and claims.claim(d, n))
                self.written(Path(orders.folder) / told.name)
                yield told


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> type[Here]:
    pytest.importorskip("ray", reason="ray is not installed")
    monkeypatch.setattr(driver, "Fleet", Here)
    monkeypatch.setattr(driver, "LEAST", 1)
    monkeypatch.setattr(Here, "read", [], raising=False)
    for name in ("order", "written", "refuses"):
        monkeypatch.setattr(Here, name, Here.__dict__[name])
    return Here


def run(folder: Path | str, index: Path, *, ray: bool = True, tiles: bool = False) -> IndexReport:
    config = IndexingConfig(
        choice=ModelChoice(model=LITE0) if not index.exists() else ModelChoice(),
        workers=1,
        tiles=tiles,
        ray=RayConfig(shard_size=8) if ray else None,
    )
    return index_folder(folder, index, config)


def counts(report: IndexReport) -> dict[str, object]:
    names = ("scanned", "added", "updated", "moved", "unchanged", "ignored", "embedded", "skipped", "device")
    return {name: getattr(report, name) for name in names}


def sound(index: Path) -> None:
    assert verify(index).problems == ()


def test_it_is_the_same_index_with_the_same_ids(here: type[Here], tmp_path: Path) -> None:
    folder = collection(tmp_path / "photos")
    report = run(folder, tmp_path / "ray")
    assert (report.added, report.embedded, len(report.skipped)) == (PICTURES, EMBEDDED, SKIPPED)
    assert counts(report) == counts(run(folder, tmp_path / "local", ray=False))
    assert_same(tmp_path / "ray", tmp_path / "local")
    assert read_index(tmp_path / "ray").ids == read_index(tmp_path / "local").ids
    assert read_index(tmp_path / "ray").paths == read_index(tmp_path / "local").paths
    assert not (tmp_path / "ray" / "shards").exists()
    sound(tmp_path / "ray")
    again = run(folder, tmp_path / "ray")
    assert (again.unchanged, again.embedded, again.added) == (PICTURES, 0, 0)


def test_in_whatever_order_shards_are_done_it_is_the_same(here: type[Here], tmp_path: Path) -> None:
    # Copies come before their pictures then.
    here.order = staticmethod(lambda numbers: numbers[::-1])
    folder = collection(tmp_path / "photos")
    report = run(folder, tmp_path / "ray")
    assert counts(report) == counts(run(folder, tmp_path / "local", ray=False))
    assert_same(tmp_path / "ray", tmp_path / "local")
    sound(tmp_path / "ray")


@pytest.mark.parametrize("reverse", [False, True])
def test_shards_of_a_run_that_was_stopped_are_taken_over(
    here: type[Here], tmp_path: Path, reverse: bool
) -> None:
    folder, index = collection(tmp_path / "photos"), tmp_path / "index"

    def stop_after_three(numbers: list[int]) -> Iterator[int]:
        yield from (numbers[::-1] if reverse else numbers)[:3]
        raise KeyboardInterrupt

    here.order = staticmethod(stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        run(folder, index)
    sound(index)
    committed = set(vectors_of(index))
    kept = {path for shard in shards_in(index) for path in pictures_in(shard)}
    first = list(map(os.fsdecode, here.read))
    assert len(first) == 24 if not reverse else len(first) < 24
    assert (committed == set()) == reverse
    assert (kept == set()) != reverse

    here.read = []
    here.order = staticmethod(list)
    report = run(folder, index)
    again = set(map(os.fsdecode, here.read))
    assert again.isdisjoint(kept | committed)
    assert report.embedded == EMBEDDED - len(kept) - len(committed - set(shared(folder)))
    run(folder, tmp_path / "local", ray=False)
    assert_same(index, tmp_path / "local")
    assert shards_in(index) == []
    sound(index)


def shared(folder: Path) -> list[str]:
    """Copies, which nobody embeds."""
    return [str(folder / name) for name in ("a/0001.jpg", "z.jpg", "zz.jpg")]


def test_a_shard_that_is_torn_is_done_again(here: type[Here], tmp_path: Path) -> None:
    torn: list[str] = []

    def tear(path: Path) -> None:
        if not torn:
            path.write_bytes(path.read_bytes()[:-40])
            torn.append(path.name)

    here.written = staticmethod(tear)
    folder = collection(tmp_path / "photos")
    report = run(folder, tmp_path / "ray")
    assert (report.added, report.embedded, len(report.skipped)) == (PICTURES, EMBEDDED, SKIPPED)
    run(folder, tmp_path / "local", ray=False)
    assert_same(tmp_path / "ray", tmp_path / "local")


def test_copies_whose_picture_never_came_are_read_again(here: type[Here], tmp_path: Path) -> None:
    from hashlib import sha256

    folder = collection(tmp_path / "photos")
    here.refuses = frozenset({sha256((folder / "z.jpg").read_bytes()).digest()})
    report = run(folder, tmp_path / "ray")
    assert (report.added, report.embedded, len(report.skipped)) == (PICTURES, EMBEDDED, SKIPPED)
    assert sorted(os.path.basename(path) for path in here.read[-2:]) == [b"0000.jpg", b"z.jpg"]
    run(folder, tmp_path / "local", ray=False)
    assert_same(tmp_path / "ray", tmp_path / "local")


def test_what_moved_or_was_copied_is_not_embedded_again(here: type[Here], tmp_path: Path) -> None:
    folder, index = collection(tmp_path / "photos"), tmp_path / "index"
    run(folder, index, ray=False)
    before = rows_of(index)
    (folder / "a").rename(folder / "c")
    shutil.copyfile(folder / "b" / "0004.jpg", folder / "b" / "one more.jpg")
    age(folder)
    report = run(folder, index)
    assert (report.embedded, report.moved, report.added) == (0, 21, 1)
    assert rows_of(index) == before
    sound(index)


def test_a_file_that_changed_after_the_shard_was_written_is_read_again(
    here: type[Here], tmp_path: Path
) -> None:
    folder, index = collection(tmp_path / "photos"), tmp_path / "index"

    def stop(numbers: list[int]) -> Iterator[int]:
        yield numbers[-1]
        raise KeyboardInterrupt

    here.order = staticmethod(stop)
    with pytest.raises(KeyboardInterrupt):
        run(folder, index)
    [shard] = shards_in(index)
    path = next(iter(pictures_in(shard)))
    shutil.copyfile(folder / "cut.jpg", path)
    age(folder)
    here.order = staticmethod(list)
    report = run(folder, index)
    assert path in {skipped.path for skipped in report.skipped}
    assert path not in vectors_of(index)


def test_tiles_come_with_the_shards(here: type[Here], tmp_path: Path) -> None:
    folder = collection(tmp_path / "photos", 9)
    run(folder, tmp_path / "local", ray=False, tiles=True)
    run(folder, tmp_path / "ray", tiles=True)
    assert_same(tmp_path / "ray", tmp_path / "local")
    sound(tmp_path / "ray")
    # An index that is given tiles later reads its photos once more, for these.
    run(folder, tmp_path / "later", ray=False)
    run(folder, tmp_path / "later", tiles=True)
    assert rows_of(tmp_path / "later") == rows_of(tmp_path / "local")
    with Index.open(tmp_path / "later") as later, Index.open(tmp_path / "local") as local:
        assert later.info().tiles == local.info().tiles


def test_the_local_engine_finishes_what_ray_began(here: type[Here], tmp_path: Path) -> None:
    folder, index = collection(tmp_path / "photos"), tmp_path / "index"

    def stop(numbers: list[int]) -> Iterator[int]:
        yield from (numbers[0], numbers[-1])
        raise KeyboardInterrupt

    here.order = staticmethod(stop)
    with pytest.raises(KeyboardInterrupt):
        run(folder, index)
    assert len(shards_in(index)) == 1
    run(folder, index, ray=False)
    run(folder, tmp_path / "local", ray=False)
    assert_same(index, tmp_path / "local")
    assert not (index / "shards").exists()


def test_shards_of_their_own_folder(here: type[Here], tmp_path: Path) -> None:
    folder, index, place = collection(tmp_path / "photos", 9), tmp_path / "index", tmp_path / "shards"
    place.mkdir()
    (place / "somebody's.shard").write_bytes(b"?")
    config = IndexingConfig(
        choice=ModelChoice(model=LITE0), workers=1, ray=RayConfig(shard_size=4, shard_dir=place)
    )
    seen: list[Path] = []
    here.written = staticmethod(seen.append)
    index_folder(folder, index, config)
    assert seen
    assert all(place in path.parents for path in seen)
    assert [path.name for path in place.iterdir()] == ["somebody's.shard"]
    assert not (index / "shards").exists()


def test_a_node_that_does_not_see_the_folder_of_shards_is_named(here: type[Here], tmp_path: Path) -> None:
    folder, index = collection(tmp_path / "photos", 9), tmp_path / "index"

    def unmounted(numbers: list[int]) -> list[int]:
        (index / "shards").rmdir()
        return numbers

    here.order = staticmethod(unmounted)
    with pytest.raises(
        IndexUnwritable, match=f"The node {re.escape(gethostname())} cannot write .*--shard-dir"
    ):
        run(folder, index)
    sound(index)
    here.order = staticmethod(list)
    run(folder, index)
    run(folder, tmp_path / "local", ray=False)
    assert_same(index, tmp_path / "local")
