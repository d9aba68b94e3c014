"""Archives that are as they were when all of them was read: these are not opened, or fetched, again."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

from simsearch.errors import SourceUnreachable
from simsearch.media.scan import ScanRules
from simsearch.media.sources.opened import archive_stat, opened_stat
from simsearch.paths import archive_of
from simsearch.records import FileStat
from simsearch.storage import catalog, writer
from simsearch.storage.catalog import Root
from simsearch.storage.catalog.files import YOUNG_NS
from simsearch.storage.database import Database


@dataclass
class Archives:
    """Knows for each root in an archive what the archive was like, kept as a setting of the index.

    It counts only with the same rules and as many files in the index as then: who removes one wants it found
    again.
    """

    database: Database
    _listed: dict[int, tuple[Root, ScanRules, int]] = field(default_factory=dict)

    def are_as_before(self, root: Root, rules: ScanRules) -> bool:
        """Whether the members of a root need no listing, since they are those of the index."""
        inside = archive_of(root.path)
        if inside is None:
            return False
        with self.database.read() as connection:
            kept = catalog.read_settings(connection).get(writer.archive_key(root.id))
        if kept is None:
            return False
        try:
            return kept == self._told(root, rules, archive_stat(inside[0]))
        except SourceUnreachable:
            return False

    def listed(self, root: Root, rules: ScanRules) -> None:
        """The listing of a root has begun."""
        if archive_of(root.path) is not None:
            self._listed[root.id] = root, rules, time.time_ns()

    def forget(self, root: Root) -> None:
        """The listing of a root did not come to its end, or missed what is in the index."""
        self._listed.pop(root.id, None)

    def keep(self) -> None:
        """Note the archives that were listed, now that all they hold is in the index or skipped."""
        for root, rules, began in self._listed.values():
            inside = archive_of(root.path)
            stat = opened_stat(inside[0]) if inside is not None else None
            # One that was just written may be written again without a change of its time.
            if stat is not None and stat.mtime_ns < began - YOUNG_NS:
                told = self._told(root, rules, stat)
                with self.database.write() as connection:
                    writer.put_settings(connection, {writer.archive_key(root.id): told})

    def _told(self, root: Root, rules: ScanRules, stat: FileStat) -> str:
        with self.database.read() as connection:
            files = catalog.count_below(connection, root.id)
        return json.dumps(
            [stat.size, stat.mtime_ns, stat.inode, files, list(rules.exclude), rules.hidden],
            ensure_ascii=True,
        )
