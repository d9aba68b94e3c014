"""Folders that a person names, and whether a file lies in one of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache

from simsearch.errors import NotIndexed
from simsearch.media.sources.walk import MISSING, trouble
from simsearch.paths import canonical, is_source, is_source_root, relative, text


def places(named: Iterable[str], purpose: str) -> tuple[str, ...]:
    """Absolute paths of the folders (or files) `named`, in their order.

    Raises NotIndexed where there is none: a misspelt folder would protect, or find, nothing.
    """
    found = []
    for name in named:
        place = canonical(name)
        reason = trouble(place) if is_source_root(place) else None
        if reason not in (None, MISSING):
            raise NotIndexed(f"{name} ({purpose}) {reason}. Run again when it can be asked.")
        if reason is not None or not (is_source_root(place) or os.path.lexists(name)):
            raise NotIndexed(f"There is no {name} ({purpose}). Check the spelling, or mount its disk.")
        found.append(text(place))
    return tuple(found)


def place_of(path: str, among: Sequence[str]) -> int | None:
    """Which of the places holds `path`, the first of them by number; None for none.

    A link to a file lies where the link is and where the file is.
    """
    if not among:
        return None
    spellings = (os.fsencode(path), _real(path))
    for rank, place in enumerate(among):
        folder = os.fsencode(place)
        if any(relative(spelling, folder) is not None for spelling in spellings):
            return rank
    return None


@lru_cache(maxsize=1 << 16)
def _real(path: str) -> bytes:
    found = canonical(path) if is_source(os.fsencode(path)) else os.path.realpath(os.fsencode(path))
    return found.replace(b"\\", b"/") if os.sep == "\\" else found
