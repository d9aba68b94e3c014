"""What all sessions of one server share: opened indexes with their searchers, and a secret of its own."""

from __future__ import annotations

import gc
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from simsearch.engine.index import Index
from simsearch.engine.search import Searcher
from simsearch.paths import DATABASE, existing_index

SECRET = secrets.token_urlsafe(12)
"""Part of the address of every picture, so that no other page of the browser can ask for one."""


@dataclass(frozen=True, slots=True)
class Library:
    """An opened index, which any number of sessions and requests read at once.

    Attributes:
        key: names it in addresses.
        index: the opened index.
        searcher: loads the network at the first picture that needs it, once for all sessions.
    """

    key: str
    index: Index
    searcher: Searcher

    def thumbnail(self, vector_id: int) -> str:
        """The address of the thumbnail of an indexed picture."""
        return f"/simsearch/{SECRET}/{self.key}/thumb/{vector_id}"

    def picture(self, vector_id: int) -> str:
        """The address of an indexed picture as large as a screen needs it."""
        return f"/simsearch/{SECRET}/{self.key}/picture/{vector_id}"


_others = threading.Event()


_settled = threading.Event()


def settle() -> None:
    """Once a first page is shown: take all that it loaded out of what is searched for garbage.

    Streamlit collects after every run, and most of that time went into modules that never go.
    """
    if not _settled.is_set():
        _settled.set()
        gc.collect()
        gc.freeze()


def let_in(*, public: bool) -> None:
    """Say, before anything is served, whether others than this machine are."""
    if public:
        _others.set()
    else:
        _others.clear()


def is_public() -> bool:
    """Whether others than this machine are served."""
    return _others.is_set()


# Pictures are asked for while an index is being opened, which takes long on a slow disk.
_opening, _lock = threading.Lock(), threading.Lock()
_open: dict[Path, tuple[tuple[int, int], Library]] = {}


def library(name: str | Path | None = None) -> Library:
    """The opened index of that name or folder; one that was made anew in the same place is opened anew.

    Raises IndexMissing, FormatUnknown, IndexDamaged.
    """
    folder = existing_index(name).resolve()
    with _opening:
        found = (folder / DATABASE).stat()
        stamp = (found.st_dev, found.st_ino)
        known = _open.get(folder)
        if known is not None and known[0] == stamp:
            return known[1]
        # Sessions may still read from the earlier one: it is closed with the last of them.
        index = Index.open(folder)
        opened = Library(secrets.token_hex(4), index, Searcher(index))
        with _lock:
            _open[folder] = (stamp, opened)
        return opened


def library_by_key(key: str) -> Library | None:
    """The opened index with this key."""
    with _lock:
        return next((opened for _, opened in _open.values() if opened.key == key), None)
