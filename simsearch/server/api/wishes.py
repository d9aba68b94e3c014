"""What a request asks, in the words of the engine; no path in it makes the server look at the disk."""

from __future__ import annotations

import os
from collections.abc import Sequence

from simsearch.engine.batch.asking import Stored
from simsearch.engine.index import Index
from simsearch.engine.queries.examples import Example
from simsearch.engine.queries.filters import PhotoFilter
from simsearch.engine.queries.options import QueryOptions
from simsearch.errors import QueryInvalid, SourceRefused
from simsearch.http.config import ServerConfig
from simsearch.paths import canonical, is_url, relative
from simsearch.server.api.shapes import Picture, Wish
from simsearch.server.failures import Refusal
from simsearch.storage import catalog


def options_of(wish: Wish, index: Index, config: ServerConfig) -> QueryOptions:
    """The options of a query. Raises QueryInvalid."""
    if max(wish.k, wish.offset) > config.max_hits:
        raise QueryInvalid(f"k and offset may be {config.max_hits} here at most.")
    if wish.min_score is not None and wish.max_score is not None and wish.min_score > wish.max_score:
        raise QueryInvalid("min_score is above max_score, so that nothing can match.")
    return QueryOptions(
        k=wish.k,
        min_score=wish.min_score,
        max_score=wish.max_score,
        include_self=wish.include_self,
        center=wish.center,
        offset=wish.offset,
        photos=_filter(wish, index),
        diverse=wish.diverse,
        one_in=wish.one_in,
        tiles=wish.parts == "all",
        expand=wish.expand,
    )


def examples_of(pictures: Sequence[Picture]) -> tuple[Example, ...]:
    """The examples that a request names. Raises Refusal (404) for a path that can be none of an index."""
    return tuple(Example(_stored(picture), picture.weight) for picture in pictures)


def name_of(picture: Picture) -> str:
    """What a query by this photo is called in its result."""
    return picture.path if picture.path is not None else str(picture.id)


def _stored(picture: Picture) -> Stored:
    if picture.path is None:
        return Stored(id=picture.id)
    path = _lexical(picture.path)
    if path is None:
        raise Refusal(404, f"No photo of this index lies at {picture.path!a}.")
    return Stored(path=path)


def _lexical(path: str) -> bytes | None:
    """An absolute path without . and .., or a URL, by its letters alone; None for what is none."""
    try:
        raw = os.fsencode(path)
        if is_url(raw):
            return canonical(raw)
    except (UnicodeEncodeError, SourceRefused):
        return None
    if not os.path.isabs(raw) or b"\0" in raw:
        return None
    plain = os.path.normpath(raw)
    return plain.replace(b"\\", b"/") if os.sep == "\\" else plain


def _filter(wish: Wish, index: Index) -> PhotoFilter | None:
    """The filter of a request; None where it asks for none."""
    folders = _folders(wish.folder, index) if wish.folder else ()
    photos = PhotoFilter(
        folders,
        tuple(wish.type),
        since=wish.since,
        until=wish.until,
        where=wish.where,
        labels=tuple(wish.label),
    )
    # Links in a folder's path were followed by now: where they led, nobody is told.
    for told, followed in zip(folders, photos.folders, strict=True):
        if followed != told:
            raise _no_folder(os.fsdecode(told))
    return photos or None


def _folders(names: Sequence[str], index: Index) -> tuple[bytes, ...]:
    """Folders of the index's roots, or above one. Raises QueryInvalid for all others, there or not."""
    with index.database.read() as connection:
        roots = [root.path for root in catalog.read_roots(connection)]
    found = []
    for name in names:
        folder = _lexical(name)
        if folder is None or not any(
            relative(folder, root) is not None or relative(root, folder) is not None for root in roots
        ):
            raise _no_folder(name)
        found.append(folder)
    return tuple(found)


def _no_folder(name: str) -> QueryInvalid:
    return QueryInvalid(f"No indexed photo lies below {name!a}.")
