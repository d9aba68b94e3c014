"""Two sets of pictures, given as folders or indexes -> opened indexes, and what of each counts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from simsearch.dedup.candidates.collection import Collection, collection_of
from simsearch.engine.create import create_index, prepare_folder
from simsearch.engine.index import Index
from simsearch.engine.indexing import index_folder
from simsearch.engine.indexing.config import IndexingConfig
from simsearch.errors import IndexMismatch, IndexMissing, RootMissing, SimsearchError
from simsearch.paths import DATABASE, canonical, covers, existing_index, is_source_root, resolve_index, text
from simsearch.records import Progress, Skipped
from simsearch.storage import catalog
from simsearch.storage.lock import WriterLock

Given = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Asking:
    """How sets are opened.

    Attributes:
        index: the index that may hold folders; None for the usual one, if there is any.
        workers: processes that decode; None for one a processor.
        progress: called with the stage, how much is done, and of how much.
        note: called with lines for a person.
    """

    index: Given | None
    workers: int | None
    progress: Callable[[str, int, int], None]
    note: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PictureSet:
    """The pictures of an index, or those of its files that lie below a folder.

    Attributes:
        name: the folder, or that of the index.
        index: an opened index that holds them.
        below: absolute bytes of the folder; None for all that the index holds.
    """

    name: str
    index: Index
    below: bytes | None

    def skipped(self) -> tuple[Skipped, ...]:
        """The files below the folder that could not be read when they were indexed."""
        return tuple(file for file in self.index.skipped() if self._counts(file.path))

    def collection(self) -> Collection:
        """The pictures with their vectors."""
        return collection_of(self.index, self._counts)

    def places(self) -> list[bytes]:
        """The folders that the set lies in."""
        if self.below is not None:
            return [self.below]
        with self.index.database.read() as connection:
            return [root.path for root in catalog.read_roots(connection)]

    def _counts(self, path: str) -> bool:
        return self.below is None or covers(self.below, os.fsencode(path))


@contextmanager
def opened(first: Given, second: Given, asking: Asking) -> Iterator[tuple[PictureSet, PictureSet]]:
    """Two sets of pictures, each given as a folder of photos or as an index (its name or its folder).

    What works like a folder is one: an archive, a bucket, a folder of a web server; see docs/sources.md.

    A folder with a database in it is an index; a name that is a folder here means that folder. A folder that
    lies in `asking.index` is looked up there. Any other gets an index of its own in the user's cache folder,
    made with the model of the other set, which is brought up to date each time.

    Raises RootMissing for what is neither, IndexMissing, IndexMismatch for indexes of two models,
    SimsearchError where one set lies in the other, and what `index_folder` raises.
    """
    given = [_folder_of(which) for which in (first, second)]
    _refuse_overlap([[folder] for folder in given if folder is not None], (str(first), str(second)))
    with ExitStack() as stack:
        found: list[PictureSet | None] = [
            None if folder is not None else _whole(stack, which)
            for which, folder in zip((first, second), given, strict=True)
        ]
        shared = _shared(stack, asking.index) if any(folder is not None for folder in given) else None
        for place in (0, 1):
            folder, other = given[place], found[1 - place]
            if folder is not None and shared is not None and _holds(shared, folder, other):
                asking.note(
                    f"{text(folder)}: as it is in the index {shared.path}. To bring that up to date: "
                    f"simsearch index -i {shared.path}"
                )
                found[place] = PictureSet(text(folder), shared, folder)
        for place in (0, 1):
            folder, other = given[place], found[1 - place]
            if folder is not None and found[place] is None:
                found[place] = _own(stack, folder, other.index if other is not None else None, asking)
        one, two = (each for each in found if each is not None)
        _refuse_overlap([one.places(), two.places()], (one.name, two.name))
        if one.index.spec != two.index.spec:
            raise IndexMismatch(
                f"{one.name} was made with {one.index.spec.title}, {two.name} with {two.index.spec.title}, "
                "and their vectors cannot be compared. Name the folder of photos instead of one of them."
            )
        yield one, two


def _folder_of(given: Given) -> bytes | None:
    """The absolute path of a folder of photos, or of what is like one; None for an index."""
    if is_source_root(os.fsencode(given)):
        return canonical(given)
    if os.path.isdir(given) and not os.path.exists(os.path.join(given, DATABASE)):
        return canonical(given)
    if os.path.isdir(given) or (resolve_index(given) / DATABASE).exists():
        return None
    kind = "is a file" if os.path.exists(given) else "is neither a folder nor an index"
    raise RootMissing(f"{os.fspath(given)} {kind}. Name a folder of photos, an archive or an index.")


def _whole(stack: ExitStack, given: Given) -> PictureSet:
    path = Path(given) if os.path.isdir(given) else given
    index = stack.enter_context(Index.open(path))
    return PictureSet(str(index.path), index, None)


def _shared(stack: ExitStack, named: Given | None) -> Index | None:
    """The index that may hold folders. Raises IndexMissing for one that was named and is not there."""
    if named is not None:
        return stack.enter_context(Index.open(existing_index(named)))
    with suppress(IndexMissing):
        return stack.enter_context(Index.open())
    return None


def _holds(shared: Index, folder: bytes, other: PictureSet | None) -> bool:
    if other is not None and other.index.spec != shared.spec:
        return False
    with shared.database.read() as connection:
        roots = [root.path for root in catalog.read_roots(connection)]
    return any(covers(root, folder) for root in roots)


def _own(stack: ExitStack, folder: bytes, like: Index | None, asking: Asking) -> PictureSet:
    """A folder with an index in the user's cache, of the model of `like`."""
    import platformdirs

    cache = Path(platformdirs.user_cache_dir("simsearch", appauthor=False)) / "folders"
    key = hashlib.sha256(folder + b"\0" + (like.spec.id.encode() if like is not None else b""))
    place = cache / key.hexdigest()[:32]
    if like is not None:
        prepare_folder(place)
        with WriterLock(place):
            if not (place / DATABASE).exists():
                create_index(
                    place,
                    like.spec,
                    weights_path=like.weights_path or "",
                    fallback=like.fallback,
                    note=asking.note,
                ).close()

    def told(progress: Progress) -> None:
        asking.progress("indexing", progress.finished, progress.total or progress.scanned)

    index_folder(folder, place, IndexingConfig(workers=asking.workers), progress=told, note=asking.note)
    index = stack.enter_context(Index.open_at(place, locked=False))
    return PictureSet(text(folder), index, folder)


def _refuse_overlap(sets: list[list[bytes]], names: tuple[str, str]) -> None:
    """Raises SimsearchError where a place of one set is, or lies in, a place of the other."""
    if len(sets) < 2:
        return
    for one in sets[0]:
        for other in sets[1]:
            if covers(other, one) or covers(one, other):
                raise SimsearchError(
                    f"{names[0]} and {names[1]} overlap: {text(max(one, other, key=len))} lies in both, and "
                    "every picture in it would be found. Name two sets of pictures that lie apart."
                )
