"""One run of indexing: which roots, which model, the loop of batches and commits, and the report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from simsearch.engine.calibration.sample import sample_photos
from simsearch.engine.create import create_index, open_for_writing, prepare_folder
from simsearch.engine.index import Index
from simsearch.engine.indexing.config import IndexingConfig, settled_max_pixels, with_rules
from simsearch.engine.indexing.loop import Run
from simsearch.engine.indexing.survey import find_scopes, refuse_absent
from simsearch.engine.maintenance.repair import repair
from simsearch.engine.maintenance.view import tend_view
from simsearch.engine.tiles.setting import settled_tiling
from simsearch.errors import IndexMismatch, IndexMissing, RootMissing
from simsearch.media.formats import MAX_PIXELS
from simsearch.media.scan import ScanRules
from simsearch.media.sources.patterns import expanded
from simsearch.models.choice import ModelChoice, ResolvedModel, resolve
from simsearch.models.embedder import Embedder
from simsearch.models.onnx_graph import graph_path
from simsearch.models.precision.calibrate import int8_spec
from simsearch.models.precision.kinds import INT8, check_new
from simsearch.paths import DATABASE, AnyPath, canonical, is_source_root, resolve_index, text
from simsearch.records import IndexReport, Progress
from simsearch.spec import FLOAT32, EmbeddingSpec
from simsearch.storage import writer
from simsearch.storage.lock import WriterLock

Note = Callable[[str], None]


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
        paths: folders or files, URLs of stores and web servers, archives; see docs/sources.md.
        index: folder or name of the index; see `simsearch.paths.resolve_index`.
        config: see `IndexingConfig`.
        progress: called about ten times a second.
        note: called with lines for a person (a model was prepared, another one was chosen).

    Returns: what was done. Raises RootMissing when a root is not there (the others are indexed first),
    IndexMismatch for another model than the index has, IndexLocked, IndexUnwritable, WeightsMissing,
    SourceRefused for a URL that may hold a secret, ExtraMissing where a store needs one; by Ray also
    ExtraMissing and ClusterFailed.
    """
    config = config or IndexingConfig()
    note = note or (lambda _: None)
    several = [paths] if isinstance(paths, (str, bytes, os.PathLike)) else paths
    wanted = expanded([canonical(path) for path in several])
    folder = resolve_index(index)
    started = time.monotonic()
    if config.ray is not None:
        from simsearch.engine.cluster.address import check_address

        check_address(config.ray.address)
    with _writing(folder, wanted, config, note) as (opened, embedder):
        scopes, absent = find_scopes(opened.database, wanted)
        scopes = with_rules(opened.database, scopes, config, note)
        tiling = settled_tiling(opened.database, opened.spec, wanted=config.tiles)
        run = Run(opened, embedder, config, started, progress, note)
        run.visit(scopes, settled_max_pixels(opened, config), tiling)
        absent.update(run.emptied(scopes))
        report = run.finish(prune=config.prune and not absent)
        if run.kept:
            note(f"{run.kept} files lie on a disk that is not here; they are kept. Mount it and run again.")
        tend_view(opened, note)
        _drop_shards(opened)
    if absent:
        raise _missing(absent)
    return report


def _missing(absent: Mapping[bytes, str]) -> RootMissing:
    folders = [text(path) for path in absent if not is_source_root(path)]
    sources = [f"{text(path)} {reason}" for path, reason in absent.items() if is_source_root(path)]
    told = []
    if folders:
        told.append(
            f"{', '.join(folders)}: missing or empty, though photos of it are indexed. "
            "If a disk is not mounted, mount it and run again; nothing was forgotten."
        )
    if sources:
        told.append(
            f"{'; '.join(sources)}, though photos of it are indexed. Run again when it is there; nothing was "
            "forgotten."
        )
    return RootMissing(" ".join(told))


@contextmanager
def _writing(
    folder: Path, wanted: Sequence[bytes], config: IndexingConfig, note: Note
) -> Iterator[tuple[Index, Embedder]]:
    """The index, locked, opened or made, with the embedder of its spec."""
    exists = (folder / DATABASE).exists()
    if not exists and not wanted:
        raise IndexMissing(f"There is no index at {folder}. Name the photos: simsearch index FOLDER")
    if not exists:
        refuse_absent(wanted)
    prepared = None if exists else _prepare(wanted, config, note)
    prepare_folder(folder)
    with WriterLock(folder):
        if exists and config.repair:
            repair(folder, note)
        try:
            opened = open_for_writing(folder, note)
        except IndexMissing:
            prepared = prepared or _prepare(wanted, config, note)
            opened = create_index(
                folder,
                prepared.spec,
                weights_path=prepared.weights_path,
                fallback=prepared.fallback,
                note=note,
            )
        with opened:
            yield opened, _embedder(opened, config, note)


def _prepare(wanted: Sequence[bytes], config: IndexingConfig, note: Note) -> ResolvedModel:
    """The model of a new index, gaps filled from the environment; an existing index keeps its own."""
    choice = config.choice
    filled = ModelChoice.from_environment(
        None if choice.model == "auto" else choice.model,
        choice.weights,
        pooling=choice.pooling,
        device=choice.device,
        runtime=choice.runtime,
    )
    resolved = resolve(filled, note=note)
    named = filled.weights is not None or resolved.spec.backbone.startswith("timm/")
    if named and not graph_path(resolved.spec).exists():
        # A checkpoint that does not fit must not leave an index behind that can never be filled; where its
        # network has been prepared before, it fits.
        Embedder.for_spec(resolved.spec, resolved.weights_path, note=note).check_weights()
    if choice.precision in (None, FLOAT32):
        return resolved
    check_new(resolved.spec.backbone, choice.precision, choice.device, choice.runtime)
    if choice.precision == INT8:
        rules = ScanRules(config.exclude or (), config.hidden or False)
        sample = sample_photos(wanted, resolved.spec.framing, rules, config.max_pixels or MAX_PIXELS)
        return replace(resolved, spec=int8_spec(resolved.spec, resolved.weights_path, sample, note))
    return replace(resolved, spec=replace(resolved.spec, precision=choice.precision))


def _drop_shards(index: Index) -> None:
    """What a run by Ray that was stopped left is of no use any more, whoever finished it."""
    from simsearch.engine.cluster.shards.folder import NAME, clear

    clear(index.path / NAME)


def _embedder(index: Index, config: IndexingConfig, note: Note) -> Embedder:
    choice, weights_path = config.choice, index.weights_path
    # By Ray the card is that of an actor; there may be none here.
    device = "auto" if config.ray is not None and choice.device.startswith("cuda") else choice.device
    if choice.precision not in (None, index.spec.arithmetic):
        raise IndexMismatch(
            f"{index.path} was made in {index.spec.arithmetic}, not in {choice.precision}; their vectors "
            "cannot be compared. Leave out --precision, or name another index with -i."
        )
    if (choice.model, choice.weights, choice.pooling) != ("auto", None, "avg"):
        asked = resolve(choice, note=note)
        if replace(asked.spec, precision=index.spec.precision) != index.spec:
            raise IndexMismatch(
                f"{index.path} was made with {_describe(index.spec)}, not with {_describe(asked.spec)}; "
                "their vectors cannot be compared. "
                "Leave out --model, --weights and --pooling, or name another index with -i."
            )
        weights_path = asked.weights_path
        with index.database.write() as connection:
            writer.put_settings(connection, {"weights_path": weights_path})
    return Embedder.for_spec(
        index.spec, weights_path, device=device, runtime=choice.runtime, note=note, bulk=True
    )


def _describe(spec: EmbeddingSpec) -> str:
    return f"{spec.title} (weights {spec.weights_sha256[:8]}, pooling {spec.pooling})"
