"""The folders of an index, to choose one of: its roots at once, those below as soon as they are read."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future

from simsearch.engine.index import Index
from simsearch.paths import join, text
from simsearch.storage import catalog
from simsearch.ui.shared import Library

MOST = 2000
PATIENCE_S = 0.25

_lock = threading.Lock()
_read: dict[str, tuple[int, Future[tuple[str, ...]]]] = {}


def folders(lib: Library) -> tuple[str, ...]:
    """The roots and the folders below them that hold pictures, absolute, in byte order.

    Of a large index just the roots, until all its files have been gone through in the background; of more
    than MOST folders those deepest down are left out.
    """
    with lib.index.database.read() as connection:
        generation = catalog.generation(connection)
    with _lock:
        known = _read.get(lib.key)
        if known is None or known[0] != generation:
            known = _read[lib.key] = (generation, _started(lib.index))
    try:
        return known[1].result(timeout=PATIENCE_S)
    except TimeoutError:
        return roots(lib.index)


def roots(index: Index) -> tuple[str, ...]:
    """The folders that were indexed."""
    with index.database.read() as connection:
        return tuple(text(root.path) for root in catalog.read_roots(connection))


def _started(index: Index) -> Future[tuple[str, ...]]:
    future: Future[tuple[str, ...]] = Future()

    def read() -> None:
        try:
            future.set_result(_folders(index))
        except Exception as exc:
            # It is raised where the result is asked for.
            future.set_exception(exc)

    # The server does not wait for it when it ends.
    threading.Thread(target=read, name="folders", daemon=True).start()
    return future


def _folders(index: Index) -> tuple[str, ...]:
    with index.database.read() as connection:
        known = catalog.read_roots(connection)
    found: set[bytes] = {root.path for root in known}
    for root in known:
        after: bytes | None = None
        while True:
            # A page in each transaction, so that no writer waits.
            with index.database.read() as connection:
                rows = catalog.files_after(connection, root.id, b"", after)
            if not rows:
                break
            after = rows[-1].relpath
            for folder in {os.path.dirname(row.relpath) for row in rows if row.content_id is not None}:
                found.update(join(root.path, part) for part in _upwards(folder))
    if len(found) > MOST:
        found = set(sorted(found, key=lambda path: (path.count(b"/"), path))[:MOST])
    return tuple(text(path) for path in sorted(found))


def _upwards(folder: bytes) -> list[bytes]:
    parts = folder.split(b"/") if folder else []
    return [b"/".join(parts[: i + 1]) for i in range(len(parts))]
