"""Forgets files, folders and roots, wherever they are; the files themselves are never touched."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from simsearch.engine.create import open_for_writing
from simsearch.errors import NotIndexed, PruneRefused
from simsearch.paths import AnyPath, canonical, existing_index, relative, text
from simsearch.records import RemoveReport
from simsearch.storage import catalog, writer
from simsearch.storage.catalog import Root
from simsearch.storage.lock import WriterLock

SHARE = 0.10


def remove(
    paths: Sequence[AnyPath],
    index: str | os.PathLike[str] | None = None,
    *,
    yes: bool = False,
    dry_run: bool = False,
    note: Callable[[str], None] | None = None,
) -> RemoveReport:
    """Forget what is indexed at or below `paths`, whether or not it still exists.

    A root that is named, or that lies below a path that is named, is forgotten whole. What lies below a
    root that stays is found again by the next `index` of that root if it is still there.

    Args:
        yes: also when it is more than a tenth of all files.
        dry_run: only say what would be forgotten.

    Raises NotIndexed for a path that the index does not know, PruneRefused, IndexMissing, IndexLocked.
    """
    folder = existing_index(index)
    with WriterLock(folder), open_for_writing(folder, note or (lambda _: None)) as opened:
        with opened.database.read() as connection:
            roots = catalog.read_roots(connection)
            known = catalog.count(connection, "files") + catalog.count(connection, "skipped")
            whole, files = _found(connection, roots, [canonical(path) for path in paths])
            photos = len(catalog.contents_only_in(connection, files))
        if len(files) > SHARE * known and not (yes or dry_run):
            raise PruneRefused(
                f"{len(files)} of {known} files would be forgotten, more than a tenth; nothing was. "
                "If that is right, run again with --yes."
            )
        if not dry_run:
            with opened.database.write() as connection:
                writer.drop_files(connection, sorted(files))
                for root in whole:
                    writer.drop_root(connection, root.id)
    names = tuple(text(root.path) for root in whole)
    return RemoveReport(str(folder), len(files), photos, names, dry_run)


def _found(
    connection: sa.Connection, roots: Sequence[Root], paths: Sequence[bytes]
) -> tuple[list[Root], set[int]]:
    """The roots that are forgotten whole, and the rows of all files at or below the paths."""
    whole: list[Root] = []
    files: set[int] = set()
    for path in paths:
        known = False
        for root in roots:
            below = relative(path, root.path)
            if relative(root.path, path) is not None:
                known = True
                whole += [root] if root not in whole else []
                files.update(catalog.files_below(connection, root.id, b""))
            elif below is not None:
                found = catalog.files_below(connection, root.id, below)
                known = known or bool(found)
                files.update(found)
        if not known:
            raise NotIndexed(
                f"Nothing at or below {text(path)} is in the index; nothing was forgotten. "
                "See the folders with: simsearch info"
            )
    return whole, files
