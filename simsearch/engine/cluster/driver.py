"""The driver of a run by Ray: cuts files into shards, has them done, and enters them in their order."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from simsearch.engine.cluster.claims import known_digests
from simsearch.engine.cluster.config import RayConfig
from simsearch.engine.cluster.entering import Entering
from simsearch.engine.cluster.fleet import Fleet, Posting
from simsearch.engine.cluster.shards.folder import NAME, ShardFolder, clear
from simsearch.engine.cluster.work import Orders
from simsearch.engine.index import Index
from simsearch.engine.indexing.ledger import Ledger
from simsearch.engine.indexing.survey import Candidate
from simsearch.framing import Tiling
from simsearch.models.choice import ModelChoice
from simsearch.models.embedder import Embedder
from simsearch.models.labels.labeller import Labeller
from simsearch.storage import catalog
from simsearch.storage.schema import contents

ROUND = 1 << 18
"""So many files are held in memory and given to Ray at once."""

LEAST = 64
"""A shard is not made smaller than this for the sake of the number of actors."""

SHARES = 4
"""So many shards each actor gets at least, where there are enough files: none waits long at the end."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a run stands on: where results go, what embeds, and whom to tell.

    `tick` is called after each file: it commits when that is due, and shows how far the run is; `commit`
    commits at once.
    """

    index: Index
    ledger: Ledger
    embedder: Embedder
    labeller: Labeller | None
    choice: ModelChoice
    note: Callable[[str], None]
    tick: Callable[[], None]
    commit: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What is read and how: see `IndexingConfig`."""

    max_pixels: int
    tiling: Tiling | None
    batch_size: int | None
    workers: int | None


class RayRun:
    """One run. `device` is where the photos were embedded, None as long as none was."""

    def __init__(self, ground: Ground, limits: Limits, config: RayConfig) -> None:
        self._ground, self._limits, self._config = ground, limits, config
        self._key = _key(ground.index, ground.labeller is not None, limits)
        place = ground.index.path / NAME
        if config.shard_dir is not None:
            place = config.shard_dir.absolute() / f"simsearch-{_uuid(ground.index)}"
        self._folder = ShardFolder(place, self._key)
        self._entering = Entering(ground.ledger)
        self._stack = ExitStack()
        self._fleet: Fleet | None = None
        self._posting: Posting | None = None
        self._rounds = 0
        self.device: str | None = None

    def visit(self, candidates: Iterable[Candidate]) -> None:
        """Have all of them read and embedded, and committed; what an earlier run left is taken over.

        Raises ClusterFailed, ExtraMissing, IndexUnwritable, DeviceUnavailable, WeightsMissing. What was
        entered by then is committed; shards that are finished stay for the next run.
        """
        self._folder.prepare()
        with self._stack:
            try:
                todo: list[Candidate] = []
                for candidate in candidates:
                    if self._takes_over(candidate):
                        continue
                    todo.append(candidate)
                    if len(todo) == ROUND:
                        self._round(todo)
                        todo = []
                if self._entering.taken_over:
                    self._ground.note(
                        f"{self._entering.taken_over:,} photos were embedded by a run that was stopped."
                    )
                self._round(todo)
                self._round(self._entering.left_over(), all_anew=True)
                self._entering.give_up()
            finally:
                self._ground.commit()
        clear(self._folder.path)

    def _takes_over(self, candidate: Candidate) -> bool:
        found = self._folder.take(candidate)
        if found is None:
            return False
        entry, read_ns = found
        self._entering.enter(candidate, entry, read_ns, anew=False)
        self._ground.tick()
        return True

    def _round(self, todo: Sequence[Candidate], *, all_anew: bool = False) -> None:
        """Have these files done. With `all_anew` no picture is left out because it seemed to be known."""
        if not todo:
            return
        fleet, posting = self._assembled()
        self._ground.tick()
        size = shard_size(len(todo), posting.actors, self._config.shard_size)
        shards = [todo[start : start + size] for start in range(0, len(todo), size)]
        if not all_anew:
            self._ground.note(_posted(len(todo), len(shards), posting))
        self._ground.commit()
        known = known_digests([]) if all_anew else self._known()
        orders = self._orders(posting)
        done: dict[int, str] = {}
        turn = 0
        told_before: set[str] = set()
        with closing(fleet.work(orders, shards, posting, known)) as finished:
            for told in finished:
                for line in set(told.notes) - told_before:
                    self._ground.note(line)
                told_before.update(told.notes)
                done[told.number] = told.name
                while turn in done:
                    self._enter(shards[turn], done.pop(turn))
                    turn += 1

    def _enter(self, files: Sequence[Candidate], name: str) -> None:
        """Enter and commit a shard that is done, and delete it; one that is not whole is done again."""
        shard = self._folder.read(name)
        if shard is None or [entry.path for entry in shard.entries] != [file.path for file in files]:
            self._entering.again(files)
            return
        for candidate, entry in zip(files, shard.entries, strict=True):
            self._entering.enter(candidate, entry, shard.read_ns)
            self._ground.tick()
        self.device = shard.device
        self._ground.commit()
        self._folder.drop(name)

    def _assembled(self) -> tuple[Fleet, Posting]:
        """The cluster with its actors' places, begun when there is the first file to read."""
        if self._fleet is None or self._posting is None:
            ground = self._ground
            # Here first: the network is prepared once for all actors of this machine, and what is wrong with
            # its weights is told before anything is started.
            (ground.labeller or ground.embedder).load()
            self._fleet = self._stack.enter_context(Fleet(self._config.address))
            device = "cpu" if self._needs_cpu() else ground.choice.device
            self._posting = self._fleet.post(self._limits.workers, device)
        return self._fleet, self._posting

    def _needs_cpu(self) -> bool:
        spec, choice = self._ground.index.spec, self._ground.choice
        return choice.runtime == "onnx" or spec.arithmetic != "float32"

    def _orders(self, posting: Posting) -> Orders:
        ground, limits = self._ground, self._limits
        self._rounds += 1
        return Orders(
            key=self._key,
            read_ns=time.time_ns() + self._rounds,
            folder=str(self._folder.path),
            spec=ground.index.spec.to_json(),
            weights_path=ground.embedder.weights_path,
            device="cuda" if posting.card else "cpu",
            runtime=ground.choice.runtime,
            batch_size=limits.batch_size,
            labels=ground.labeller is not None,
            grids=limits.tiling.grids if limits.tiling is not None else None,
            max_pixels=limits.max_pixels,
            threads=posting.cpus,
            names_node=posting.nodes > 1,
        )

    def _known(self) -> NDArray[np.uint64]:
        """The digests of pictures that are in the index with all that they are to have there."""
        tiling = self._limits.tiling
        with self._ground.index.database.read() as connection:
            rows = connection.execute(sa.select(contents.c.id, contents.c.sha256))
            lacking = (
                set() if tiling is None else set(catalog.without_tiles(connection, len(tiling)).tolist())
            )
            return known_digests([digest for number, digest in rows if number not in lacking])


def shard_size(files: int, actors: int, most: int) -> int:
    """How many files a shard: `most`, or fewer so that each actor gets some shards, but then not below 64.

    With 2 actors 10,000 files are cut into shards of 1,024, and 1,000 files into shards of 125.
    """
    return min(most, max(LEAST, math.ceil(files / (SHARES * actors))))


def _key(index: Index, labels: bool, limits: Limits) -> str:
    grids = limits.tiling.grids if limits.tiling is not None else None
    told = [_uuid(index), index.spec.id, labels, grids, limits.max_pixels]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _uuid(index: Index) -> str:
    with index.database.read() as connection:
        return catalog.read_settings(connection)["uuid"]


def _posted(files: int, shards: int, posting: Posting) -> str:
    card = " and a graphics card" if posting.card else ""
    return (
        f"{_some(files, 'file')} in {_some(shards, 'shard')} for up to {_some(posting.actors, 'Ray actor')} "
        f"with {_some(posting.cpus, 'CPU')}{card} each, on {_some(posting.nodes, 'node')}."
    )


def _some(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
