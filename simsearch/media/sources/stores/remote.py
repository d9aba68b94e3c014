"""Objects of stores and web servers by fsspec: lists them, and fetches each within bounds. Its only user."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from simsearch.errors import ExtraMissing, SourceUnreachable
from simsearch.media.files import FileUnreadable
from simsearch.media.formats import looks_like_picture
from simsearch.media.sources.entries import Entry, entry_of
from simsearch.media.sources.spool import spool
from simsearch.media.sources.stores.failures import Failure, Health, failure_of
from simsearch.media.sources.stores.watch import Beat, Beginning, TooMuch, silence, watched
from simsearch.media.sources.stores.web import links_below
from simsearch.paths import relative, text

PARALLEL = 16
"""So many objects are fetched at once."""

TRIES = 3
LISTING = 30.0
"""So many times the patience for a listing that comes as one, without telling of its single answers."""

STOP: ContextVar[threading.Event | None] = ContextVar("stop", default=None)
"""Set in a thread whose fetches end when the event is set."""

PAGES, PAGE_BYTES = 100_000, 1 << 26


class Store:
    """The buckets of a kind of store, or web servers: one for each scheme, shared by all threads."""

    def __init__(self, scheme: str) -> None:
        self.web = scheme.startswith("http")
        self._fs, self._health = _filesystem(scheme), Health()
        self._slots = threading.BoundedSemaphore(PARALLEL)

    def info(self, url: bytes) -> Entry | None:
        """What is at an address: an object, or on a web server a page, which is a folder. None for nothing.

        Raises SourceUnreachable.
        """
        try:
            return entry_of(b"", self._tried(url, lambda beat: self._fs._info(text(url))))
        except Failure as exc:
            if not exc.missing:
                raise _unreachable(url, exc) from exc
        if self.web and not url.endswith(b"/") and not looks_like_picture(url):
            # Some servers have a page of a folder at the address with a slash alone.
            return self.info(url + b"/")
        return None

    def listing(self, url: bytes) -> Iterator[Entry]:
        """All objects below a folder, by their names below it, in bytewise order; none for a single object.

        Raises SourceUnreachable, where the listing stops short as well.
        """
        try:
            if self.web:
                yield from sorted(self._linked(url), key=lambda entry: entry.relpath)
            elif url.startswith(b"s3:"):
                yield from self._pages(url)
            else:
                found = self._tried(url, lambda beat: self._fs._find(text(url), detail=True), slow=LISTING)
                named = ((relative(_address(url, name), url), told) for name, told in found.items())
                entries = [entry_of(name, told) for name, told in named if name]
                yield from sorted(entries, key=lambda entry: entry.relpath)
        except Failure as exc:
            if not exc.missing:
                raise _unreachable(url, exc) from exc

    def glob(self, pattern: bytes) -> list[bytes]:
        """The addresses that match, sorted. Raises SourceUnreachable."""
        try:
            found = self._tried(pattern, lambda beat: self._fs._glob(text(pattern)), slow=LISTING)
        except Failure as exc:
            raise _unreachable(pattern, exc) from exc
        return sorted(_address(pattern, name) for name in found)

    def fetch(self, url: bytes, target: Path, most: int, size: int | None = None) -> None:
        """Write an object of at most `most` bytes into a file; `size` is what the listing said.

        Raises FileUnreadable: transient, but for what is too large.
        """
        try:
            self._tried(
                url, lambda beat: self._fs._get_file(text(url), os.fspath(target), callback=beat), most
            )
        except TooMuch as exc:
            if size is not None and size <= most:
                raise FileUnreadable("changed while it was fetched", transient=True) from exc
            raise FileUnreadable(f"the file is larger than {most >> 20} MiB", transient=False) from exc
        except Failure as exc:
            raise FileUnreadable(f"cannot be fetched: {exc}", transient=True) from exc
        if size is not None and target.stat().st_size != size:
            raise FileUnreadable("changed while it was fetched", transient=True)

    def head(self, url: bytes, size: int) -> bytes:
        """The first bytes of an object. Raises FileUnreadable."""
        try:
            if self.web:
                return self._beginning(url, size)
            return bytes(self._tried(url, lambda beat: self._fs._cat_file(text(url), start=0, end=size)))
        except Failure as exc:
            raise FileUnreadable(f"cannot be fetched: {exc}", transient=True) from exc

    def _beginning(self, url: bytes, size: int) -> bytes:
        """The first bytes of a file of a web server; some send all of it though they are asked for these."""
        target, asked = spool().new(), {"Range": f"bytes=0-{size - 1}"}
        try:
            with contextlib.suppress(TooMuch):
                self._tried(
                    url,
                    lambda beat: self._fs._get_file(
                        text(url), os.fspath(target), size, Beginning(beat, size), headers=asked
                    ),
                )
            return target.read_bytes()[:size]
        finally:
            target.unlink(missing_ok=True)

    def _pages(self, url: bytes) -> Iterator[Entry]:
        """S3 lists in bytewise order, a thousand at a time, so that memory does not grow with a bucket."""
        bucket, _, key = text(url).removeprefix("s3://").partition("/")
        wanted, last = {"Bucket": bucket, "Prefix": f"{key}/" if key else ""}, b""
        while True:
            asked = partial(self._fs._call_s3, "list_objects_v2", **wanted)
            try:
                page = self._tried(url, lambda beat, asked=asked: asked())  # type: ignore[misc]
            except Failure as exc:
                if last:
                    # A bucket that goes in the middle is no bucket that ends there.
                    raise Failure(str(exc)) from exc
                raise
            for told in page.get("Contents", ()):
                name = os.fsencode(told["Key"].removeprefix(wanted["Prefix"]))
                if name < last:
                    # Rows are held against a listing in this order; buckets of S3 Express have none.
                    raise Failure("its listing is in no order")
                last = name
                if name and not name.endswith(b"/"):
                    yield entry_of(name, {**told, "size": told["Size"]})
            if not page.get("IsTruncated"):
                return
            if not page.get("NextContinuationToken"):
                raise Failure("its listing stops in the middle")
            wanted["ContinuationToken"] = page["NextContinuationToken"]

    def _linked(self, url: bytes) -> Iterator[Entry]:
        """What the pages of a web server link to, at and below `url`, and nowhere else."""
        todo, seen = [url], {url}
        while todo:
            page = todo.pop()
            for link in self._links(page, whole=page == url):
                if link in seen:
                    continue
                seen.add(link)
                if len(seen) > PAGES:
                    raise Failure(f"its pages have more than {PAGES:,} links")
                if link.endswith(b"/"):
                    todo.append(link)
                else:
                    yield Entry(link[len(url.rstrip(b"/")) + 1 :], None)

    def links(self, url: bytes) -> list[bytes]:
        """What one page of a web server links to below itself. Raises SourceUnreachable."""
        try:
            return self._links(url)
        except Failure as exc:
            raise _unreachable(url, exc) from exc

    def _links(self, url: bytes, *, whole: bool = True) -> list[bytes]:
        """Those of a page; where it is a part of a listing, its absence says nothing of what was there."""
        page, target = text(url.rstrip(b"/") + b"/"), spool().new()
        try:
            self._tried(
                url, lambda beat: self._fs._get_file(page, os.fspath(target), callback=beat), PAGE_BYTES
            )
            return links_below(url, target.read_bytes())
        except TooMuch as exc:
            raise Failure("its page is too large for a listing") from exc
        except Failure as exc:
            if not whole:
                raise Failure(f"{page}: {exc}") from exc
            raise
        finally:
            target.unlink(missing_ok=True)

    def _tried(
        self,
        url: bytes,
        begin: Callable[[Beat], Coroutine[Any, Any, Any]],
        most: int = 1 << 62,
        slow: float = 1.0,
    ) -> Any:
        """The result of what `begin` starts, tried again where that may help. Raises Failure, TooMuch."""
        from fsspec.asyn import sync

        stop = STOP.get() or threading.Event()
        for attempt in range(TRIES):
            self._health.check(url)
            beat = Beat(most)
            try:
                with self._slots:
                    beat.last = time.monotonic()
                    found = sync(self._fs.loop, watched, begin, beat, slow, stop)
            except TooMuch:
                self._health.answered(url)
                raise
            except Exception as exc:
                # Each library raises its own; all of them become words here.
                failure = failure_of(exc, silence())
                again = self._health.failed(url, failure)
                if not again or attempt == TRIES - 1:
                    raise failure from exc
                stop.wait(0.5 * 2**attempt)
            else:
                self._health.answered(url)
                return found
        raise Failure("was given up")


@lru_cache(maxsize=8)
def store(scheme: str) -> Store:
    """That of a scheme, made once. Raises ExtraMissing."""
    return Store(scheme)


def store_of(url: bytes) -> Store:
    """That of an address. Raises ExtraMissing."""
    return store(text(url.partition(b":")[0]))


def _filesystem(scheme: str) -> Any:
    """An fsspec file system that remembers no listing and does not try again by itself."""
    package = {"s3": "s3fs", "gs": "gcsfs"}.get(scheme, "aiohttp")
    try:
        import fsspec

        known = fsspec.get_filesystem_class(scheme)
        if scheme == "gs":
            # The usual one asks by gRPC first what kind of bucket it is, for what only writers need.
            known = importlib.import_module("gcsfs.core").GCSFileSystem
    except ImportError as exc:
        raise ExtraMissing(
            f"{scheme}:// is read by fsspec with {package}, which is not installed. "
            "Install it with: pip install 'simsearch[remote]'"
        ) from exc
    for name in ("fsspec", "s3fs", "gcsfs", "aiobotocore", "botocore", "aiohttp"):
        # Their warnings may quote an address with a signature, and would be among the answers' lines.
        logging.getLogger(name).addHandler(logging.NullHandler())
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if scheme == "s3":
        patience = {"connect_timeout": silence(), "read_timeout": silence(), "retries": {"max_attempts": 0}}
        options["config_kwargs"] = {**patience, "max_pool_connections": PARALLEL}
    elif scheme.startswith("http"):
        # Packed bodies would have other sizes than listings say; netrc is where curl keeps passwords as well.
        headers = {"Accept-Encoding": "identity"}
        options["client_kwargs"] = {"trust_env": True, "headers": headers, "auto_decompress": False}
    made = known(**options)
    if scheme == "s3":
        made.retries = 1
    return made


def _address(url: bytes, name: str) -> bytes:
    """The address of a name as fsspec tells it, which leaves out the scheme of stores."""
    raw = os.fsencode(name)
    return raw if b"://" in raw else url.partition(b"://")[0] + b"://" + raw


def _unreachable(url: bytes, exc: Failure) -> SourceUnreachable:
    return SourceUnreachable(f"{text(url)} cannot be listed: {exc}")
