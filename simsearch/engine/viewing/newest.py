"""The newest snapshot of an index, and what becomes of it when the server of its view fails."""

from __future__ import annotations

import logging
import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from simsearch.engine.snapshot import Snapshot
from simsearch.engine.viewing.record import named_view
from simsearch.errors import SimsearchError, ViewUnavailable
from simsearch.storage import catalog
from simsearch.storage.segments import SegmentStore

AGAIN_S = 60
"""So long a server that failed is left alone."""

T = TypeVar("T")


class Newest:
    """Reads a snapshot again only when somebody has committed since.

    Where the view is on a server that fails, every row is compared instead and a line says so, once; after a
    minute the server is asked again.
    """

    def __init__(self, segments: SegmentStore, folder: Path) -> None:
        self._segments, self._folder = segments, folder
        self._snapshot: Snapshot | None = None
        self._failed = 0.0
        self._told = ""
        self._lock = threading.Lock()

    def at(self, connection: sa.Connection) -> Snapshot:
        """The snapshot of the commit that a read transaction sees."""
        generation = catalog.generation(connection)
        with self._lock:
            known = self._snapshot
            if known is None or known.generation != generation:
                return self._renewed(connection, known, self._left_alone(connection, known))
            if not self._is_due(known):
                return known
            # One alone asks the server, and all others go on without it: it may hang.
            self._failed = time.monotonic()
        asked = Snapshot(connection, self._segments, self._folder, known)
        with self._lock:
            return self._kept(asked, known) if self._snapshot is known else asked

    def used(self, connection: sa.Connection, use: Callable[[Snapshot], T]) -> T:
        """What `use` makes of the snapshot; of one without a view where the view's server fails meanwhile."""
        snapshot = self.at(connection)
        try:
            return use(snapshot)
        except ViewUnavailable as exc:
            return use(self.refused(connection, exc))

    def refused(self, connection: sa.Connection, why: SimsearchError) -> Snapshot:
        """The snapshot without its view, whose server failed."""
        with self._lock:
            return self._renewed(connection, self._snapshot, why)

    def _left_alone(self, connection: sa.Connection, known: Snapshot | None) -> SimsearchError | None:
        """What the server failed with a moment ago, where the view is still the same: commits are many."""
        if known is None or self._is_due(known):
            return None
        return known.trouble if named_view(catalog.read_settings(connection)) == known.named else None

    def _is_due(self, known: Snapshot) -> bool:
        return known.trouble is not None and time.monotonic() - self._failed > AGAIN_S

    def _renewed(
        self, connection: sa.Connection, known: Snapshot | None, refused: SimsearchError | None = None
    ) -> Snapshot:
        return self._kept(Snapshot(connection, self._segments, self._folder, known, refused), known)

    def _kept(self, snapshot: Snapshot, known: Snapshot | None) -> Snapshot:
        """Take a snapshot for the newest, and say so once where the server of its view fails."""
        if snapshot.trouble is not None:
            if known is None or snapshot.trouble is not known.trouble:
                self._failed = time.monotonic()
            line = f"{snapshot.trouble} {remedy(snapshot, self._folder)}"
            if line != self._told:
                logging.getLogger("simsearch").warning(line)
            self._told = line
        else:
            self._told = ""
        self._snapshot = snapshot
        return snapshot


def remedy(snapshot: Snapshot, folder: Path) -> str:
    """What is done instead where a server fails, and the command that mends it."""
    remote = snapshot.named.remote if snapshot.named is not None else None
    view = f" --view {shlex.quote(remote.address)}" if remote is not None else ""
    return (
        "Every photo is compared instead. When the server is there again, or to feed it anew: "
        f"simsearch rebuild{view} -i {shlex.quote(str(folder))}"
    )
