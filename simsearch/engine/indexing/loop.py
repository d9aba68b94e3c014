"""The loop of one run: walk, read ahead, embed full batches, commit, and count."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.cluster.config import RayConfig
from simsearch.engine.index import Index
from simsearch.engine.indexing.config import IndexingConfig
from simsearch.engine.indexing.estimate import WorkList, check_space, estimate, forecast
from simsearch.engine.indexing.ledger import Ledger
from simsearch.engine.indexing.pipeline import EmbedAhead, Embedded, Read, ReadAhead
from simsearch.engine.indexing.survey import Candidate, Scope, Survey
from simsearch.engine.labels.kept import labeller_for, settle
from simsearch.errors import PruneRefused
from simsearch.framing import Tiling
from simsearch.media.decode import DecodeLimits
from simsearch.media.pool import DecodePool
from simsearch.media.sources.walk import trouble
from simsearch.models.embedder import Embedder
from simsearch.models.runners import available_threads
from simsearch.records import IndexReport, Progress, Skipped
from simsearch.storage import catalog, writer

PRUNE_SHARE = 0.10


class Run:
    """The loop: read ahead, embed full batches, commit every 256 photos or 5 seconds."""

    def __init__(
        self,
        index: Index,
        embedder: Embedder,
        config: IndexingConfig,
        started: float,
        progress: Callable[[Progress], None] | None,
        note: Callable[[str], None],
    ) -> None:
        self._index, self._embedder, self._config = index, embedder, config
        self._started, self._progress, self._note = started, progress, note
        self._shown = 0.0
        self._total: int | None = None
        self._survey = Survey(index.database, config.retry_skipped)
        self._ledger = Ledger(index)
        self._labeller = labeller_for(index, embedder, note)
        self._ahead = EmbedAhead(embedder, config.batch_size, self._labeller)
        self._committed = time.monotonic()
        self._device: str | None = None
        self.kept = 0

    def emptied(self, scopes: Sequence[Scope]) -> dict[bytes, str]:
        """The roots that have nothing to give any more, with why, where files were missed or not read."""
        missed = bool(self._survey.absent) or any(skipped.transient for skipped in self._skipped())
        if not missed:
            return {}
        reasons = ((scope.root.path, trouble(scope.root.path)) for scope in scopes)
        return {path: reason for path, reason in reasons if reason is not None}

    def _skipped(self) -> Iterator[Skipped]:
        return chain(self._survey.skipped, self._ledger.skipped)

    def visit(self, scopes: Sequence[Scope], max_pixels: int, tiling: Tiling | None) -> None:
        """Read and embed what is new; what was embedded is committed even when the run is interrupted.

        The folders are walked before anything is read, so that a person hears how long it will take. Where
        there is too much to hold in memory they are walked twice.
        """
        config = self._config
        self._ledger.tiling = tiling
        self._survey.max_pixels, self._survey.untiled = max_pixels, self._untiled(tiling)
        work = WorkList()
        work.gather(self._candidates(scopes), self._show)
        size = check_space(self._index, work, 0 if tiling is None else len(tiling))
        if config.ray is not None:
            self._visit_by_ray(self._to_read(work, scopes), max_pixels, tiling)
            return
        workers, limits = config.workers or available_threads(), DecodeLimits(max_pixels=max_pixels)
        with DecodePool(workers, self._index.spec.framing, tiling=tiling, limits=limits) as pool:
            if work.is_long:
                known = self._ledger.is_known
                seconds = estimate(work, pool, self._embedder, known, workers)
                self._note(forecast(work, seconds, size))
            candidates = self._to_read(work, scopes)
            with self._ahead, ReadAhead(candidates, pool, workers, self._ledger.claim) as ahead:
                self._consume(ahead)

    def _to_read(self, work: WorkList, scopes: Sequence[Scope]) -> Iterable[Candidate]:
        """What was found to read, by another walk where it is not held."""
        self._total = work.files
        if work.is_held:
            return work.candidates
        known = self._survey
        self._survey = Survey(known.database, known.retry_skipped, known.max_pixels, known.untiled)
        return self._candidates(scopes)

    def _visit_by_ray(self, candidates: Iterable[Candidate], max_pixels: int, tiling: Tiling | None) -> None:
        from simsearch.engine.cluster.driver import Ground, Limits, RayRun

        config = self._config
        ground = Ground(
            self._index,
            self._ledger,
            self._embedder,
            self._labeller,
            config.choice,
            self._note,
            self._tick,
            self._commit,
        )
        limits = Limits(max_pixels, tiling, config.batch_size, config.workers)
        run = RayRun(ground, limits, config.ray or RayConfig())
        try:
            run.visit(candidates)
        finally:
            self._device = run.device

    def _tick(self) -> None:
        if self._ledger.pending >= self._config.commit_photos:
            self._commit()
        self._show()

    def _untiled(self, tiling: Tiling | None) -> NDArray[np.int64] | None:
        if tiling is None:
            return None
        with self._index.database.read() as connection:
            return catalog.without_tiles(connection, len(tiling))

    def _candidates(self, scopes: Sequence[Scope]) -> Iterator[Candidate]:
        return chain.from_iterable(map(self._survey.candidates, scopes))

    def _consume(self, ahead: ReadAhead) -> None:
        try:
            for read in ahead.results(self._config.commit_seconds):
                if read is not None:
                    self._take(read)
                self._show()
                if time.monotonic() - self._committed >= self._config.commit_seconds:
                    self._enter(self._ahead.done())
                    self._commit()
            self._enter(self._ahead.rest())
        finally:
            self._commit()

    def finish(self, *, prune: bool) -> IndexReport:
        """Judge what is gone, prune when asked, and report."""
        ledger, survey = self._ledger, self._survey
        settle(self._index, self._labeller, self._note, embedded=self._ledger.counts.embedded > 0)
        gone = [i for i in survey.gone() if i not in ledger.moved_rows]
        self.kept = sum(absence.file_id not in ledger.moved_rows for absence in survey.absent) - len(gone)
        if prune and gone:
            self._prune(gone)
        survey.archives.keep()
        seconds = time.monotonic() - self._started
        counts = ledger.counts
        return IndexReport(
            index=str(self._index.path),
            model=self._index.spec.title,
            fallback=self._index.fallback,
            device=self._device or self._embedder.device if counts.embedded else "none",
            scanned=survey.seen,
            added=counts.added,
            updated=counts.updated,
            moved=counts.moved,
            unchanged=survey.unchanged + counts.unchanged,
            gone=len(gone),
            removed=len(gone) if prune else 0,
            ignored=counts.ignored,
            passed_over=survey.passed.names,
            skipped=tuple(sorted(survey.skipped + ledger.skipped, key=lambda s: os.fsencode(s.path))),
            embedded=counts.embedded,
            seconds=seconds,
            images_per_second=counts.embedded / seconds if seconds > 0 else 0.0,
        )

    def _take(self, read: Read) -> None:
        decoded = self._ledger.take(read)
        if decoded is not None:
            self._enter(self._ahead.put(read, decoded))
        if self._ledger.pending >= self._config.commit_photos:
            self._commit()

    def _enter(self, done: Iterable[Embedded]) -> None:
        for embedded in done:
            self._ledger.embedded(embedded)
            if self._ledger.pending >= self._config.commit_photos:
                self._commit()

    def _commit(self) -> None:
        self._ledger.commit()
        self._committed = time.monotonic()

    def _prune(self, gone: Sequence[int]) -> None:
        with self._index.database.read() as connection:
            known = catalog.count(connection, "files") + catalog.count(connection, "skipped")
        if len(gone) > PRUNE_SHARE * known and not self._config.yes:
            raise PruneRefused(
                f"{len(gone)} of {known} files are gone, more than a tenth; nothing was forgotten. "
                "If that is right, run again with --prune --yes."
            )
        with self._index.database.write() as connection:
            writer.drop_files(connection, gone)

    def _show(self) -> None:
        now = time.monotonic()
        if self._progress is None or now - self._shown < 0.1:
            return
        self._shown = now
        counts = self._ledger.counts
        self._progress(
            Progress(
                scanned=self._survey.seen,
                embedded=counts.embedded,
                skipped=len(self._ledger.skipped) + len(self._survey.skipped),
                finished=counts.finished + self._ahead.pending,
                total=self._total,
                seconds=now - self._started,
            )
        )
