"""Lists any root alike: a folder, a bucket, a web server's pages, an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import Literal

from simsearch.errors import SourceUnreachable
from simsearch.media import scan as folders
from simsearch.media.formats import looks_like_picture
from simsearch.media.scan import Found, PassedOver, ScannedFile, ScanRules, Unlistable, counting, matcher
from simsearch.media.sources.entries import Entry, unknown
from simsearch.media.sources.held import is_other
from simsearch.media.sources.opened import archive_at, archive_stat
from simsearch.media.sources.stores.remote import PARALLEL, store_of
from simsearch.paths import archive_of, is_source_root, join, text
from simsearch.records import FileStat

MISSING = "is missing or empty"
"""What `trouble` says of a store that was asked and has nothing there."""


def scan(
    root: bytes, below: bytes = b"", rules: ScanRules | None = None, passed: PassedOver | None = None
) -> Iterator[Found]:
    """Every file, object or member at or below `below` of `root`; see `simsearch.media.scan.scan`.

    A store or an archive that cannot be listed to its end gives one `Unlistable`, as the last thing found:
    what was not found before that must not be judged.
    """
    if not is_source_root(root):
        yield from folders.scan(root, below, rules, passed)
        return
    passed_over = counting(rules or ScanRules(), passed or PassedOver())
    place = join(root, below)
    try:
        for entry in _kept(_entries(place), below, passed_over):
            relpath = join(below, entry.relpath) if below else entry.relpath
            if entry.stat is not None:
                yield ScannedFile(relpath, entry.stat)
    except SourceUnreachable as exc:
        yield Unlistable(below, str(exc))


def root_state(root: bytes) -> Literal["ok", "missing", "empty"]:
    """Whether a root is there, see `simsearch.media.scan.root_state`; a store is asked for it."""
    if not is_source_root(root):
        return folders.root_state(root)
    return "ok" if trouble(root) is None else "missing"


def trouble(root: bytes, *, quick: bool = False) -> str | None:
    """Why a root has nothing to give now, in words that follow its name; None when it has.

    With `quick` an archive that is there is not opened, which may be the fetching of it.
    """
    if not is_source_root(root):
        state = folders.root_state(root)
        return None if state == "ok" else f"is {state}"
    inside = archive_of(root)
    try:
        if inside is not None and quick:
            archive_stat(inside[0])
            return None
        if inside is None and store_of(root).web:
            return _web_trouble(root)
        return None if next(_entries(root), None) is not None else MISSING
    except SourceUnreachable as exc:
        return str(exc).removeprefix(text(root) + " ")


def _web_trouble(url: bytes) -> str | None:
    found = store_of(url).info(url)
    if found is None or (found.folder and not store_of(url).links(url)):
        return MISSING
    return None


def passes_over(rules: ScanRules, relpath: bytes, below: bytes = b"") -> bool:
    """Whether a scan of `below` with these rules does not look at a path, wherever it is."""
    matches = matcher(rules)
    start = len(below) + 1 if below else 0
    ends = [place for place in range(start, len(relpath)) if relpath[place : place + 1] == b"/"]
    paths = [relpath[:end] for end in ends] + ([relpath] if relpath != below else [])
    return any(matches(path.rpartition(b"/")[2], path) for path in paths)


def _entries(place: bytes) -> Iterator[Entry]:
    """What is at or below a place, by the names below it, in bytewise order. Raises SourceUnreachable."""
    inside = archive_of(place)
    if inside is not None:
        yield from archive_at(inside[0], fresh=True).entries(inside[1])
        return
    store = store_of(place)
    # A web server has pages, which can only be told by asking; a store has none, and lists at once.
    first = store.info(place) if store.web else None
    if store.web and (first is None or not first.folder):
        yield from [first] if first is not None else []
        return
    found = store.listing(place)
    one = next(found, None)
    if one is None:
        single = None if store.web else store.info(place)
        yield from [single] if single is not None and not single.folder else []
        return
    yield from _with_stats(place, chain([one], found))


def _with_stats(place: bytes, entries: Iterator[Entry]) -> Iterator[Entry]:
    """Entries with their stats; those that have none yet are asked for, some at a time."""
    store = store_of(place)

    def asked(entry: Entry) -> Entry:
        if entry.stat is not None:
            return entry
        if is_other(entry.relpath):
            return Entry(entry.relpath, FileStat(0, 0, 0, 0))
        try:
            found = store.info(join(place, entry.relpath))
        except SourceUnreachable:
            # It is there, since its page says so; reading it will tell what is wrong.
            return Entry(entry.relpath, unknown())
        if found is None or found.folder:
            # A link to nothing, or to a page. A picture that is a page now may be one of a login.
            return Entry(entry.relpath, unknown() if looks_like_picture(entry.relpath) else None)
        return Entry(entry.relpath, found.stat)

    with ThreadPoolExecutor(PARALLEL, "simsearch-list") as threads:
        while page := list(islice(entries, 1000)):
            if all(entry.stat is not None for entry in page):
                yield from page
            else:
                yield from threads.map(asked, page)


def _kept(
    entries: Iterator[Entry], below: bytes, passed_over: Callable[[bytes, bytes], bool]
) -> Iterator[Entry]:
    """Entries that the rules do not pass over; a folder that they do counts once, with all it holds."""
    entered: bytes | None = None
    left: bytes | None = None
    for entry in entries:
        name = entry.relpath
        if not name:
            yield entry
            continue
        if left is not None and name.startswith(left):
            continue
        folder, slash, last = name.rpartition(b"/")
        if folder + slash != entered:
            left = _passed_folder(folder, below, passed_over) if slash else None
            if left is not None:
                continue
            entered = folder + slash
        if not passed_over(last, join(below, name) if below else name):
            yield entry


def _passed_folder(folder: bytes, below: bytes, passed_over: Callable[[bytes, bytes], bool]) -> bytes | None:
    parts = folder.split(b"/")
    for number, part in enumerate(parts, 1):
        path = b"/".join(parts[:number])
        if passed_over(part, join(below, path) if below else path):
            return path + b"/"
    return None
