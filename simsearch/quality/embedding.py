"""The same photos embedded in another way: an index of the same folders, kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from simsearch.engine.index import Index
from simsearch.engine.indexing import IndexingConfig, index_folder
from simsearch.errors import IndexMismatch
from simsearch.models.choice import ModelChoice, resolve
from simsearch.paths import text
from simsearch.records import Progress
from simsearch.spec import NAMED, EmbeddingSpec
from simsearch.storage import catalog, writer

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Making:
    """How indexes are made: `progress` gets stage, done and total; `note` lines for a person."""

    progress: Callable[[str, int, int], None]
    note: Note


@dataclass(frozen=True, slots=True)
class Kind:
    """Vectors of another kind than those of an index: how they are made, and their spec."""

    choice: ModelChoice
    spec: EmbeddingSpec


def kind_of(index: Index, model: str | None, pooling: str | None, note: Note) -> Kind | None:
    """The vectors by this model and pooling, those of `index` where None; None where they are its own.

    Their weights are fetched where they are not here. Raises ModelUnknown, WeightsMissing, IndexMismatch
    where the model of `index` cannot be had by its name.
    """
    spec = index.spec
    if model is None and pooling in (None, spec.pooling):
        return None
    choice = _choice(index, model, pooling or spec.pooling or "avg")
    wanted = resolve(choice, note=note).spec
    if wanted == spec:
        return None
    if model is None and replace(wanted, pooling=spec.pooling) != spec:
        raise IndexMismatch(
            f"{index.path} was made with {spec.title}, in a way that its name alone does not tell. "
            "Name the models to compare: --grid model=NAME,NAME"
        )
    return Kind(choice, wanted)


def embedded(stack: ExitStack, index: Index, kind: Kind | None, making: Making) -> Index:
    """An index of the photos of `index` with vectors of this kind; opened.

    That is `index` itself where `kind` is None. Any other is made in the user's cache folder, with what
    `index` passes over passed over, and is brought up to date each time. Raises what `index_folder` raises.
    """
    if kind is None:
        return index
    folder = _make(index, kind.choice, kind.spec.id, making)
    return stack.enter_context(Index.open_at(folder, locked=False))


def _choice(index: Index, model: str | None, pooling: str) -> ModelChoice:
    if model is not None:
        return ModelChoice.from_environment(None if model == "auto" else model, pooling=pooling)
    if index.spec.backbone.startswith(NAMED):
        raise IndexMismatch(
            f"The vectors of {index.path} were made elsewhere, so that they cannot be made with another "
            "pooling. Name the models to compare: --grid model=NAME,NAME"
        )
    return ModelChoice(index.spec.backbone, index.weights_path, pooling)


def _make(index: Index, choice: ModelChoice, spec: str, making: Making) -> Path:
    import platformdirs

    runs: dict[tuple[tuple[str, ...], bool], list[bytes]] = {}
    with index.database.read() as connection:
        settings = catalog.read_settings(connection)
        for root in catalog.read_roots(connection):
            runs.setdefault(catalog.rules_of(settings, writer.rules_key(root.id)), []).append(root.path)
    told = json.dumps([spec, sorted(text(root) for roots in runs.values() for root in roots)])
    cache = Path(platformdirs.user_cache_dir("simsearch", appauthor=False)) / "eval"
    folder = cache / hashlib.sha256(told.encode()).hexdigest()[:32]
    making.note(f"{choice.model}, pooling {choice.pooling}: an index of the same folders in {folder}")

    def progress(progress: Progress) -> None:
        making.progress("indexing", progress.finished, progress.total or progress.scanned)

    for (exclude, hidden), roots in runs.items():
        config = IndexingConfig(
            choice, exclude=exclude, hidden=hidden, max_pixels=index.max_pixels, prune=True, yes=True
        )
        index_folder(roots, folder, config, progress=progress, note=making.note)
    return folder
