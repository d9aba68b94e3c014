"""A view that a Milvus server holds: rows on their main directions, fed by id from the segments."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from simsearch.errors import IndexDamaged, ViewStale, ViewUnavailable
from simsearch.views.base import Blocks, Ids, Owners, Vectors
from simsearch.views.faiss_view import check_rows, write_synced
from simsearch.views.remote.address import MilvusAddress
from simsearch.views.remote.client import BUILD_S, MOST, OPEN_S, MilvusServer
from simsearch.views.remote.fed import Fed, index_of, new_name
from simsearch.views.remote.filters import expressions
from simsearch.views.remote.kinds import KINDS
from simsearch.views.tuning import RERANKED, Setting, Trial

CHECK_S = 30
"""So long a collection that was found whole is taken for whole."""

DENSE = 8
"""Where at least one in so many rows is allowed, more are fetched than asked for and the others dropped."""


class MilvusView:
    """A view in a collection of a server, which lists `setting.reranked` candidates.

    Rows are float32 on up to 256 main directions, an eighth of ResNet-50's, since candidates are ranked by
    the true vectors here; the transform lies beside the index. They are compared by squared L2, which every
    index of Milvus knows. All that is not as it was fed is a ViewUnavailable, never a wrong answer.
    """

    kind = "milvus"

    def __init__(self, server: MilvusServer, transform: Any, fed: Fed) -> None:
        self._server, self._transform, self.fed = server, transform, fed
        self._kind = KINDS[server.address.index]
        self._feeding = False
        self._checked = time.monotonic()
        self.setting = self.robust = Setting(0, RERANKED[-1], 0.0)

    def __len__(self) -> int:
        return self.fed.rows

    @classmethod
    def build(
        cls,
        place: tuple[MilvusAddress, str],
        blocks: Blocks,
        total: int,
        *,
        recall: float,
        owners: Owners | None = None,
    ) -> Self:
        """Feed every row into a new collection of `place`, (address, id of the index); tune as FAISS views.

        Until the caller has written `fed` down, nobody knows the collection; where this fails it is dropped.
        Raises ExtraMissing, ViewUnavailable, SimsearchError.
        """
        from simsearch.views.training import learn_transform

        address, index = place
        check_rows(cls.kind, total)
        server = MilvusServer(address)
        transform = learn_transform(blocks, total)
        name = new_name(address.collection, index)
        view = cls(server, transform, Fed(str(address), name, 0, 0, 0))
        server.create(name, transform.d_out, f"simsearch: a view of index {index}; it can be made again")
        try:
            for ids, rows in blocks():
                view.add(ids, rows)
            server.flush(name)
            server.build_index(name, view._kind.name, view._kind.built(total))
            view._seal()
            view._tune(blocks, total, recall, owners)
        except BaseException:
            with contextlib.suppress(ViewUnavailable):
                server.drop(name)
            raise
        return view

    @classmethod
    def read(cls, path: Path, fed: Fed, setting: Setting, robust: Setting) -> Self:
        """The view of which `write` wrote the transform, once the collection was found to be as it was fed.

        Raises IndexDamaged when FAISS cannot read `path`, ExtraMissing, ViewUnavailable, ViewStale.
        """
        try:
            transform = faiss.read_VectorTransform(os.fspath(path))
        except RuntimeError as exc:
            raise IndexDamaged(f"FAISS cannot read {path}: {exc}. Run: simsearch rebuild") from exc
        address = MilvusAddress.parse(fed.address)
        if address.file is not None and not os.path.isdir(address.file):
            # Milvus Lite would make it, wherever the record says.
            raise ViewStale(f"{fed.address} is not there any more.")
        view = cls(MilvusServer(address), transform, fed)
        view._server.load(fed.name, OPEN_S)
        view.check()
        view.setting, view.robust = setting, robust
        return view

    def write(self, path: Path) -> None:
        """Wait until the server has all rows that were added, and write the transform to `path`."""
        if self._feeding:
            self._server.flush(self.fed.name)
            self._seal()
        write_synced(partial(faiss.write_VectorTransform, self._transform), path)

    def add(self, ids: Ids, rows: Vectors) -> None:
        """Feed rows with ids past all that are there, which count once `write` has been called."""
        if not self._feeding:
            # What a feeding left that was never written down.
            if self.fed.rows:
                self._server.delete_past(self.fed.name, self.fed.last_id)
            self.fed, self._feeding = replace(self.fed, stamp=1 + secrets.randbelow(1 << 60)), True
        self._server.insert(self.fed.name, ids, self._reduced(rows), self.fed.stamp)
        last = max(self.fed.last_id, int(ids.max()))
        self.fed = replace(self.fed, rows=self.fed.rows + len(ids), last_id=last)

    def check(self) -> None:
        """Raises ViewStale unless the collection holds exactly what is written down of it."""
        fed = self.fed
        count = self._server.count(fed.name, fed.last_id)
        if count != fed.rows:
            raise ViewStale(
                f"{fed.address} holds {count} of the {fed.rows} rows that were fed to {fed.name}."
            )
        if self._server.stamp(fed.name, fed.last_id) != fed.stamp:
            raise ViewStale(f"{fed.address} holds rows in {fed.name} that another copy of this index fed.")
        self._checked = time.monotonic()

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> list[Ids]:
        """Candidates of each query: `setting.reranked`, or `k` where that is more.

        Asked for more than Milvus gives at most, all rows are candidates. Filters go to the server; a query
        for which it finds too few among the `allowed` rows gets all of these.
        """
        if time.monotonic() - self._checked > CHECK_S:
            self.check()
        if allowed is not None:
            return self._among(queries, max(k, self.robust.reranked), allowed)
        most = max(k, self.setting.reranked)
        if most > MOST or most >= len(self):
            everything = np.concatenate(list(self.groups(MOST)))
            return [everything for _ in queries]
        return self._candidates(queries, most, self.setting.nprobe)

    def groups(self, most: int) -> Iterator[Ids]:
        """The ids of all rows, ascending: a folder's photos come together."""
        for after in range(0, self.fed.last_id, MOST):
            ids = self._server.ids(self.fed.name, after, min(after + MOST, self.fed.last_id))
            for start in range(0, len(ids), most):
                yield ids[start : start + most]

    def _candidates(self, queries: Vectors, k: int, nprobe: int) -> list[Ids]:
        most = min(k, len(self))
        found = self._asked(queries, most, nprobe)
        if min(map(len, found)) < most:
            # Rows past the last that is written down took places.
            found = self._asked(queries, most, nprobe, f"id <= {self.fed.last_id}")
        return found

    def _asked(self, queries: Vectors, most: int, nprobe: int, where: str = "") -> list[Ids]:
        parameters = self._kind.parameters(nprobe, most)
        found = self._server.search(self.fed.name, self._reduced(queries), most, parameters, where)
        return [one.ids[one.ids <= self.fed.last_id] for one in found]

    def _among(self, queries: Vectors, k: int, allowed: Ids) -> list[Ids]:
        allowed = allowed[allowed <= self.fed.last_id]
        if k >= len(allowed) or k > MOST:
            return [allowed for _ in queries]
        wider = 2 * k * len(self) // len(allowed)
        if len(allowed) * DENSE >= len(self) and wider <= MOST:
            found = self._candidates(queries, wider, self.robust.nprobe)
            found = [ids[np.isin(ids, allowed, assume_unique=True)] for ids in found]
            if min(map(len, found)) >= k:
                return found
        return self._pushed_down(queries, k, allowed)

    def _pushed_down(self, queries: Vectors, k: int, allowed: Ids) -> list[Ids]:
        ids: list[list[Ids]] = [[] for _ in queries]
        distances: list[list[Any]] = [[] for _ in queries]
        short: set[int] = set()
        for own, where in expressions(allowed):
            most = min(k, len(own))
            parameters = self._kind.parameters(self._kind.hardest(len(self)), most)
            answers = self._server.search(self.fed.name, self._reduced(queries), most, parameters, where)
            for place, found in enumerate(answers):
                ids[place].append(found.ids)
                distances[place].append(found.distances)
                if len(found.ids) < most:
                    short.add(place)
        best = [np.argsort(np.concatenate(one), kind="stable")[:k] for one in distances]
        return [
            allowed if place in short else np.concatenate(ids[place])[best[place]]
            for place in range(len(queries))
        ]

    def _reduced(self, rows: Vectors) -> Vectors:
        return np.asarray(self._transform.apply(np.ascontiguousarray(rows)), dtype=np.float32)

    def _seal(self) -> None:
        """Wait until all that was fed can be found."""
        self._server.load(self.fed.name, BUILD_S)
        self.check()
        self._feeding = False

    def _tune(self, blocks: Blocks, total: int, recall: float, owners: Owners | None) -> None:
        trial, kind = Trial.of(blocks, total, owners), self._kind
        self.setting = trial.tuned(self._candidates, kind.efforts(total), recall)
        nprobe = kind.harder(self.setting.nprobe, total)
        self.robust = trial.measured(self._candidates, nprobe, max(RERANKED[-1], self.setting.reranked))


def sweep(address: MilvusAddress, index: str, keep: str = "") -> None:
    """Drop the collections that builds of an index left at a server, but for `keep`; no others, ever.

    Raises ViewUnavailable, ExtraMissing.
    """
    server = MilvusServer(address)
    for name in server.collections():
        if index_of(name) == index and name != keep and server.is_ours(name):
            server.drop(name)
