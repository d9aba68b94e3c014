"""Files of finished shards -> the ledger, so that it holds what a run on one machine would have entered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simsearch.engine.cluster.shards.format import Entry, Picture
from simsearch.engine.indexing.ledger import Ledger
from simsearch.engine.indexing.pipeline import Embedded, Read
from simsearch.engine.indexing.survey import Candidate
from simsearch.records import Decoded, FileStat, Known, Unreadable

_NO_PIXELS = np.empty((0, 0, 3), dtype=np.uint8)
_CHANGED = Unreadable("changed while it was read", transient=True)


class Entering:
    """Enters files one by one; copies wait for the picture that they are of, in whichever shard it comes.

    `taken_over` counts the pictures that were embedded by an earlier run.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._orphans: dict[bytes, list[Read]] = {}
        self._held: set[bytes] = set()
        self._again: list[Candidate] = []
        self.taken_over = 0

    def enter(self, candidate: Candidate, entry: Entry, read_ns: int, *, anew: bool = True) -> None:
        """Enter what came of a file; `anew` says that this run embedded it."""
        outcome = entry.outcome
        if isinstance(outcome, Picture):
            self._picture(candidate, outcome, read_ns, anew)
        elif isinstance(outcome, Known):
            self._copy(Read(candidate, replace(outcome, stat=_here(outcome.stat, candidate)), None, read_ns))
        elif isinstance(outcome, Unreadable):
            self._unreadable(candidate, outcome, entry.claimed, read_ns)
        else:
            self._ledger.take(Read(candidate, outcome, None, read_ns))

    def again(self, files: Sequence[Candidate]) -> None:
        """Have these files done once more."""
        self._again += files

    def left_over(self) -> list[Candidate]:
        """The files to be done once more, with those whose picture never came: its own file has changed."""
        orphans = [read.candidate for reads in self._orphans.values() for read in reads]
        self._orphans.clear()
        files, self._again = self._again + orphans, []
        return files

    def give_up(self) -> None:
        """Skip until the next run what was left over twice."""
        for candidate in self.left_over():
            self._ledger.take(Read(candidate, _CHANGED, None, 0))

    def _picture(self, candidate: Candidate, picture: Picture, read_ns: int, anew: bool) -> None:
        stat = _here(picture.stat, candidate)
        if not self._claim(picture.digest):
            self._copy(Read(candidate, Known(picture.digest, stat), None, read_ns))
            return
        decoded = Decoded(picture.digest, stat, picture.facts, _NO_PIXELS)
        read = Read(candidate, decoded, picture.digest, read_ns)
        self._ledger.embedded(Embedded([(read, decoded)], picture.vectors, [picture.labels]))
        if not anew:
            self._ledger.counts.embedded -= 1
            self.taken_over += 1
        self._join(picture.digest)

    def _unreadable(
        self, candidate: Candidate, outcome: Unreadable, claimed: bytes | None, read_ns: int
    ) -> None:
        mine = claimed if claimed is not None and self._claim(claimed) else None
        stat = _here(outcome.stat, candidate) if outcome.stat is not None else None
        self._ledger.take(Read(candidate, replace(outcome, stat=stat), mine, read_ns))
        if mine is not None:
            self._join(mine)

    def _copy(self, read: Read) -> None:
        outcome = read.outcome
        if not isinstance(outcome, Known):
            raise TypeError("only a file with known bytes is a copy")
        if outcome.digest in self._orphans:
            self._orphans[outcome.digest].append(read)
        elif self._claim(outcome.digest):
            # Nobody has brought the picture yet: the ledger hears of the copy when somebody does.
            self._held.add(outcome.digest)
            self._orphans[outcome.digest] = [read]
        else:
            self._ledger.take(read)

    def _claim(self, digest: bytes) -> bool:
        if digest in self._held:
            self._held.discard(digest)
            return True
        return self._ledger.claim(digest)

    def _join(self, digest: bytes) -> None:
        for read in self._orphans.pop(digest, []):
            self._ledger.take(read)


def _here(stat: FileStat, candidate: Candidate) -> FileStat:
    """The stat of what was read, with the numbers of inode and device that this machine saw: a node on a
    network may see others. A file that was put into its place meanwhile is read again by the next run."""
    return replace(stat, inode=candidate.stat.inode, device=candidate.stat.device)
