"""The rows of an index for files that an act took away or brought back."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from simsearch.dedup.acts.records import FileFacts
from simsearch.engine.disk import file_stat
from simsearch.engine.index import Index
from simsearch.paths import relative
from simsearch.storage import catalog, writer
from simsearch.storage.catalog import Root
from simsearch.storage.writer import FileChange


def forget(index: Index, paths: Sequence[str]) -> None:
    """Forget files that are not there any more; their vectors stay until `compact`.

    The caller holds the writer's lock. Raises IndexUnwritable, IndexDamaged.
    """
    doomed: list[int] = []
    with index.database.read() as connection:
        roots = catalog.read_roots(connection)
        for root, below in _places(roots, [path for path in paths if not os.path.lexists(path)]):
            row = catalog.file_at(connection, root.id, below)
            doomed += [] if row is None else [row.id]
    if doomed:
        with index.database.write() as connection:
            writer.drop_files(connection, doomed)


def remember(index: Index, restored: Sequence[FileFacts]) -> None:
    """Enter files again that came back as they were, where their vectors are still there.

    The caller holds the writer's lock. Raises IndexUnwritable, IndexDamaged.
    """
    changes: list[FileChange] = []
    now = time.time_ns()
    with index.database.read() as connection:
        roots = catalog.read_roots(connection)
        for facts in restored:
            stat, digest = file_stat(os.fsencode(facts.path)), bytes.fromhex(facts.sha256)
            same = stat is not None and (stat.size, stat.mtime_ns) == (facts.size, facts.mtime_ns)
            if stat is None or not same or catalog.content_by_digest(connection, digest) is None:
                continue
            for root, below in _places(roots, [facts.path]):
                if catalog.file_at(connection, root.id, below) is None:
                    changes.append(FileChange(root.id, below, stat, now, digest=digest))
    if changes:
        with index.database.write() as connection:
            writer.put_files(connection, changes)


def _places(roots: Sequence[Root], paths: Sequence[str]) -> Iterator[tuple[Root, bytes]]:
    """Each root and path below it that a path has; roots are never one inside another."""
    for path in paths:
        for root in roots:
            below = relative(os.fsencode(path), root.path)
            if below is not None:
                yield root, below
