"""One run of indexing: which roots, which model, the loop of batches and commits, and the report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from simsearch.engine.create import create_index, prepare_folder
from simsearch.engine.index import Index
from simsearch.engine.indexing.ledger import Ledger
from simsearch.engine.indexing.pipeline import Read, ReadAhead
from simsearch.engine.indexing.survey import Scope, Survey, find_scopes
from simsearch.engine.maintenance import tend_view
from simsearch.errors import IndexMismatch, IndexMissing, PruneRefused, RootMissing
from simsearch.media.pool import DecodePool
from simsearch.media.scan import ScanRules, root_state
from simsearch.models.embedder import Embedder, ModelChoice, ResolvedModel, resolve
from simsearch.models.runners import available_threads
from simsearch.paths import DATABASE, AnyPath, canonical, resolve_index, text
from simsearch.records import Decoded, IndexReport, Progress
from simsearch.spec import EmbeddingSpec
from simsearch.storage import catalog, writer
from simsearch.storage.lock import WriterLock

COMMIT_PHOTOS, COMMIT_SECONDS = 256, 5.0
PRUNE_SHARE = 0.10

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class IndexingConfig:
    """How to index.

    Attributes:
        choice: the model of a new index; an existing one keeps its own.
        batch_size: pictures a forward pass.
        workers: decoding processes; None is one a usable core.
        rules: what the scan passes over.
        prune: forget files that were deleted; `yes` also when they are more than a tenth.
        retry_skipped: read again what was skipped for a permanent reason.
        commit_photos, commit_seconds: a commit comes after so many pictures or seconds.
    """

    choice: ModelChoice = field(default_factory=ModelChoice)
    batch_size: int = 32
    workers: int | None = None
    rules: ScanRules = field(default_factory=ScanRules)
    prune: bool = False
    yes: bool = False
    retry_skipped: bool = False
    commit_photos: int = COMMIT_PHOTOS
    commit_seconds: float = COMMIT_SECONDS


def index_folder(
    paths: AnyPath | Sequence[AnyPath] = (),
    index: str | os.PathLike[str] | None = None,
    config: IndexingConfig | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    note: Note | None = None,
) -> IndexReport:
    """Index photos below `paths`, or visit the roots of an existing index again when none are given.

    Args:
        paths: folders or files.
        index: folder or name of the index; see `simsearch.paths.resolve_index`.
        config: see `IndexingConfig`.
        progress: called about ten times a second.
        note: called with lines for a person (a model was prepared, another one was chosen).

    Returns: what was done. Raises RootMissing when a root is not there (the others are indexed first),
    IndexMismatch for another model than the index has, IndexLocked, IndexUnwritable, WeightsMissing.
    """
    config = config or IndexingConfig()
    note = note or (lambda _: None)
    wanted = [canonical(p) for p in ([paths] if isinstance(paths, (str, bytes, os.PathLike)) else paths)]
    folder = resolve_index(index)
    started = time.monotonic()
    with _writing(folder, wanted, config, note) as (opened, embedder):
        scopes, absent = find_scopes(opened.database, wanted)
        run = _Run(opened, embedder, config, started, progress)
        run.visit(scopes)
        absent += [s.root.path for s in scopes if root_state(s.root.path) != "ok" and run.misses_files]
        report = run.finish(prune=config.prune and not absent)
        if run.kept:
            note(f"{run.kept} files lie on a disk that is not here; they are kept. Mount it and run again.")
        tend_view(opened, note)
    if absent:
        names = ", ".join(text(path) for path in absent)
        raise RootMissing(
            f"{names}: missing or empty, though photos of it are indexed. "
            "If a disk is not mounted, mount it and run again; "
            "nothing was forgotten."
        )
    return report


@contextmanager
def _writing(
    folder: Path, wanted: Sequence[bytes], config: IndexingConfig, note: Note
) -> Iterator[tuple[Index, Embedder]]:
    """The index, locked, opened or made, with the embedder of its spec."""
    choice = config.choice
    exists = (folder / DATABASE).exists()
    if not exists and not wanted:
        raise IndexMissing(f"There is no index at {folder}. Name the photos: simsearch index FOLDER")
    for path in wanted:
        if not exists and not os.path.lexists(path):
            raise RootMissing(f"{text(path)} does not exist.")
    prepared = None if exists else _prepare(choice, note)
    prepare_folder(folder)
    with WriterLock(folder):
        try:
            opened = Index.open(folder)
        except IndexMissing:
            prepared = prepared or _prepare(choice, note)
            opened = create_index(
                folder, prepared.spec, weights_path=prepared.weights_path, fallback=prepared.fallback
            )
        with opened:
            opened.database.journal()
            yield opened, _embedder(opened, choice, note)


def _prepare(choice: ModelChoice, note: Note) -> ResolvedModel:
    """The model of a new index, gaps filled from the environment; an existing index keeps its own."""
    filled = ModelChoice.from_environment(
        None if choice.model == "auto" else choice.model,
        choice.weights,
        pooling=choice.pooling,
        device=choice.device,
        runtime=choice.runtime,
    )
    resolved = resolve(filled, note=note)
    if filled.weights is not None:
        # A checkpoint that does not fit must not leave an index behind that can never be filled.
        Embedder.for_spec(resolved.spec, resolved.weights_path, device="cpu", note=note).load()
    return resolved


def _embedder(index: Index, choice: ModelChoice, note: Note) -> Embedder:
    weights_path = index.weights_path
    if (choice.model, choice.weights, choice.pooling) != ("auto", None, "avg"):
        asked = resolve(choice, note=note)
        if asked.spec != index.spec:
            raise IndexMismatch(
                f"{index.path} was made with {_describe(index.spec)}, not with {_describe(asked.spec)}; "
                "their vectors cannot be compared. "
                "Leave out --model, --weights and --pooling, or name another index with -i."
            )
        weights_path = asked.weights_path
        with index.database.write() as connection:
            writer.put_settings(connection, {"weights_path": weights_path})
    return Embedder.for_spec(
        index.spec, weights_path, device=choice.device, runtime=choice.runtime, note=note
    )


def _describe(spec: EmbeddingSpec) -> str:
    return f"{spec.backbone} (weights {spec.weights_sha256[:8]}, pooling {spec.pooling})"


class _Run:
    """The loop: read ahead, embed full batches, commit every 256 photos or 5 seconds."""

    def __init__(
        self,
        index: Index,
        embedder: Embedder,
        config: IndexingConfig,
        started: float,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._index, self._embedder, self._config = index, embedder, config
        self._started, self._progress, self._shown = started, progress, 0.0
        self._survey = Survey(index.database, config.rules, config.retry_skipped)
        self._ledger = Ledger(index)
        self._batch: list[tuple[Read, Decoded]] = []
        self._committed = time.monotonic()
        self.kept = 0

    @property
    def misses_files(self) -> bool:
        """Whether the scan missed a file that is indexed."""
        return bool(self._survey.absent)

    def visit(self, scopes: Sequence[Scope]) -> None:
        """Read and embed what is new; what was embedded is committed even when the run is interrupted."""
        workers = self._config.workers or available_threads()
        pool = DecodePool(workers, self._index.spec.framing)
        candidates = chain.from_iterable(map(self._survey.candidates, scopes))
        with pool, ReadAhead(candidates, pool, workers, self._ledger.claim) as ahead:
            try:
                for read in ahead.results(self._config.commit_seconds):
                    if read is not None:
                        self._take(read)
                    self._show(ahead)
                    if time.monotonic() - self._committed >= self._config.commit_seconds:
                        self._embed()
                        self._commit()
                self._embed()
            finally:
                self._commit()

    def finish(self, *, prune: bool) -> IndexReport:
        """Judge what is gone, prune when asked, and report."""
        ledger, survey = self._ledger, self._survey
        gone = [i for i in survey.gone() if i not in ledger.moved_rows]
        self.kept = sum(absence.file_id not in ledger.moved_rows for absence in survey.absent) - len(gone)
        if prune and gone:
            self._prune(gone)
        seconds = time.monotonic() - self._started
        counts = ledger.counts
        return IndexReport(
            index=str(self._index.path),
            model=self._index.spec.backbone,
            fallback=self._index.fallback,
            device=self._embedder.device if counts.embedded else "none",
            scanned=survey.seen,
            added=counts.added,
            updated=counts.updated,
            moved=counts.moved,
            unchanged=survey.unchanged + counts.unchanged,
            gone=len(gone),
            removed=len(gone) if prune else 0,
            ignored=counts.ignored,
            skipped=tuple(sorted(survey.skipped + ledger.skipped, key=lambda s: os.fsencode(s.path))),
            embedded=counts.embedded,
            seconds=seconds,
            images_per_second=counts.embedded / seconds if seconds > 0 else 0.0,
        )

    def _take(self, read: Read) -> None:
        decoded = self._ledger.take(read)
        if decoded is not None:
            self._batch.append((read, decoded))
        if len(self._batch) >= self._config.batch_size:
            self._embed()
        if self._ledger.pending >= self._config.commit_photos:
            self._commit()

    def _embed(self) -> None:
        if self._batch:
            batch, self._batch = self._batch, []
            self._ledger.embedded(batch, self._embedder.embed(np.stack([d.pixels for _, d in batch])))

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

    def _show(self, ahead: ReadAhead) -> None:
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
                finished=counts.finished + len(self._batch),
                total=ahead.found if ahead.complete else None,
                seconds=now - self._started,
            )
        )
