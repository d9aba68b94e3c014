"""Searches and limits -> ids and hits from the index; what all sessions were answered is kept for a while."""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.labels.kept import names_kept
from simsearch.engine.queries.examples import Seen, rocchio
from simsearch.engine.queries.filters import PhotoFilter, ids_where
from simsearch.engine.queries.region import Box
from simsearch.engine.search import QueryOptions
from simsearch.errors import PhotoUnreadable
from simsearch.records import Hit
from simsearch.storage import catalog
from simsearch.ui.http.uploads import Upload, upload
from simsearch.ui.pages.search.wanted import Example, Limits, Search
from simsearch.ui.shared import Library

BEST = 500
"""So many hits are looked up at once; pages, the cut and the table are made of them."""

KEPT = 64
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "RAW", "GIF", "TIFF", "BMP", "JPEG2000", "PSD")
"""The formats that can be asked for, by Pillow's names."""

Ids = NDArray[np.int64]

T = TypeVar("T")

_lock = threading.Lock()
_kept: OrderedDict[Hashable, Any] = OrderedDict()


def hits_of(lib: Library, search: Search) -> tuple[Hit, ...]:
    """The best hits of a search, at most BEST; its examples are not among them.

    Raises what a query raises, and PhotoUnreadable when an upload is not held any more.
    """
    return _remembered(lib, search, lambda: _hits(lib, search))


def matching(lib: Library, limits: Limits) -> Ids:
    """The ids of all pictures within the limits, those that were indexed last first."""

    def found() -> Ids:
        return ids_where(lib.index, _filter(limits))[::-1]

    return _remembered(lib, limits, found)


def label_names(lib: Library) -> tuple[str, ...]:
    """The names of all labels that a picture has."""
    return _remembered(lib, "labels", lambda: names_kept(lib.index))


def upload_of(example: Example) -> Upload:
    """The upload of an example. Raises PhotoUnreadable when it is not held any more."""
    found = upload(example.upload or "")
    if found is None:
        raise PhotoUnreadable("The picture that was given is not held any more. Give it again.")
    return found


def _hits(lib: Library, search: Search) -> tuple[Hit, ...]:
    plus = [_seen(lib, example) for example in search.plus]
    minus = [_seen(lib, example) for example in search.minus]
    own = [path for seen in (*plus, *minus) for path in seen.own]
    photos = _filter(search.limits) if search.limits.count() else None
    return lib.searcher.search_vector(
        rocchio(plus, minus), QueryOptions(k=min(search.limits.best or BEST, BEST), photos=photos), own
    )


def _seen(lib: Library, example: Example) -> Seen:
    """An example with its vector, stored or made; an indexed one is no hit itself, an upload may be.

    Raises NotIndexed, PhotoUnreadable, WeightsMissing.
    """
    box = Box(*example.box) if example.box is not None else None
    if example.indexed is not None:
        own = tuple(os.fsencode(path) for path in lib.index.paths_of(example.indexed))
        return Seen(lib.searcher.vector_of(example.indexed, box), own=own)
    held = upload_of(example)
    known = lib.index.vector_id_of(digest=held.digest) if box is None else None
    if known is not None:
        return Seen(lib.searcher.vector_of(known))
    if box is not None:
        return Seen(lib.searcher.vector_of(held.preview, box))
    return Seen(lib.searcher.embedder.embed(held.framed[None])[0])


def _filter(limits: Limits) -> PhotoFilter:
    where = []
    if limits.name:
        # A star is what people write for any text; what a pattern means something by is text to them.
        pattern = re.sub(r"([\\%_])", r"\\\1", limits.name).replace("'", "''").replace("*", "%")
        where.append(f"name like '%{pattern}%'")
    if limits.megapixels:
        where.append(f"megapixels >= {limits.megapixels}")
    return PhotoFilter(
        folders=(limits.folder,) if limits.folder else (),
        labels=(limits.label,) if limits.label else (),
        formats=limits.formats,
        min_width=limits.width or None,
        min_bytes=1000 * limits.kilobytes or None,
        since=limits.since.isoformat() if limits.since else None,
        until=limits.until.isoformat() if limits.until else None,
        where=" and ".join(where) or None,
    )


def _remembered(lib: Library, what: Search | Limits | str, find: Callable[[], T]) -> T:
    """What `find` found of this commit of the index, of an earlier call where that is kept."""
    with lib.index.database.read() as connection:
        key = (lib.key, catalog.generation(connection), what)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            known: T = _kept[key]
            return known
    found = find()
    with _lock:
        _kept[key] = found
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return found
