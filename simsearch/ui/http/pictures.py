"""Thumbnails and pictures of opened indexes by address, and nothing else of the disk."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simsearch.engine.maintenance.thumbnails import Thumbnails
from simsearch.engine.ranking import content_paths
from simsearch.errors import SimsearchError
from simsearch.http.decoding import DECODERS, jpeg, seen_at
from simsearch.media.thumbs import keep, look_up
from simsearch.records import Decoded, Known
from simsearch.storage import catalog
from simsearch.ui.shared import SECRET, Library, library_by_key

THUMB, PICTURE = "thumb", "picture"
SIDES = {THUMB: 256, PICTURE: 1600}
# The address holds the secret of this process and an id that never means another picture.
CACHED = "private, max-age=86400, immutable"
FORGET_FAILURE = 60.0  # seconds
_ROOM = 32 << 20  # bytes of JPEGs
_Key = tuple[bytes, int]
# Of any length Python would refuse to make a number.
_NUMBER = re.compile("[0-9]{1,18}")


def is_secret(told: str) -> bool:
    """Whether an address holds the secret of this process; how long that takes says nothing of it."""
    return secrets.compare_digest(told.encode("utf-8", "surrogatepass"), SECRET.encode())


@dataclass(slots=True)
class _Memory:
    """The JPEGs last asked for, by digest and side, and what could not be decoded a moment ago."""

    jpegs: OrderedDict[_Key, bytes] = field(default_factory=OrderedDict)
    failed: dict[_Key, float] = field(default_factory=dict)
    size: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: _Key) -> bytes | None:
        """The JPEG, b"" for a picture that failed, None where nothing is known."""
        with self.lock:
            if key in self.jpegs:
                self.jpegs.move_to_end(key)
                return self.jpegs[key]
            return b"" if self.failed.get(key, 0.0) > time.monotonic() else None

    def keep(self, key: _Key, made: bytes) -> None:
        with self.lock:
            self.size += len(made) - len(self.jpegs.pop(key, b""))
            self.jpegs[key] = made
            while self.size > _ROOM:
                self.size -= len(self.jpegs.popitem(last=False)[1])

    def fail(self, key: _Key) -> None:
        now = time.monotonic()
        with self.lock:
            self.failed = {known: until for known, until in self.failed.items() if until > now}
            self.failed[key] = now + FORGET_FAILURE


_memory = _Memory()
# One that takes long keeps a place in the queue of decoding, which what is made already passes by.
_looking, _making = anyio.CapacityLimiter(8), anyio.CapacityLimiter(2 * DECODERS.workers)
_threads = anyio.CapacityLimiter(2 * DECODERS.workers)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A picture of an index that is asked for."""

    library: Library
    kind: str
    digest: bytes
    paths: tuple[bytes, ...]

    @property
    def key(self) -> _Key:
        return self.digest, SIDES[self.kind]

    @property
    def thumbnails(self) -> Thumbnails:
        """Those that are kept with the index, and the limits of what is decoded for it."""
        return Thumbnails.of(self.library.index)

    def kept(self) -> bytes | None:
        """The JPEG without a look at the file; b"" where that failed a moment ago, None if unknown."""
        found = _memory.get(self.key)
        if found is None and self.kind == THUMB:
            found = look_up(self.thumbnails.store, *self.key)
            if found is not None:
                _memory.keep(self.key, found)
        return found

    def _is_made(self, digest: bytes) -> bool:
        return digest == self.digest and bool(self.kept())

    def made(self) -> tuple[bytes, bool]:
        """The JPEG from the first file that can be read, and whether it still is what was indexed."""
        side = SIDES[self.kind]
        store, limits = self.thumbnails.store, self.thumbnails.limits
        for path in self.paths:
            outcome = DECODERS.read(path, seen_at(side), limits, self._is_made)
            if isinstance(outcome, Known):
                return self.kept() or b"", True
            if isinstance(outcome, Decoded):
                found = jpeg(outcome.pixels, side)
                if outcome.digest != self.digest:
                    return found, False
                _memory.keep(self.key, found)
                if self.kind == THUMB:
                    keep(store, self.digest, side, found)
                return found, True
        _memory.fail(self.key)
        return b"", True


def _find(library: Library, kind: str, vector_id: int) -> _Wanted | None:
    try:
        with library.index.database.read() as connection:
            contents = catalog.vectors_where(connection, "id", [vector_id]).contents.tolist()
            facts = catalog.contents_by_id(connection, contents)
            paths = content_paths(connection, contents)
    except SimsearchError:
        return None
    found = [(row.sha256, paths[key]) for key, row in facts.items() if key in paths]
    return _Wanted(library, kind, found[0][0], tuple(found[0][1])) if found else None


async def _answer(request: Request) -> Response:
    values = request.path_params
    library = library_by_key(values["key"]) if is_secret(values["secret"]) else None
    kind, digits = values["kind"], values["number"]
    if library is None or kind not in SIDES or not _NUMBER.fullmatch(digits):
        return Response(status_code=404)
    number = int(digits)
    tag = f'"{library.key}-{kind}-{number}"'
    headers = {"Cache-Control": CACHED, "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    wanted = await anyio.to_thread.run_sync(_find, library, kind, number, limiter=_looking)
    if wanted is None:
        return Response(status_code=404)
    found, same = await anyio.to_thread.run_sync(wanted.kept, limiter=_looking), True
    if found is None:
        async with _making:
            if await request.is_disconnected():
                return Response(status_code=499)
            found, same = await anyio.to_thread.run_sync(wanted.made, limiter=_threads)
    if not found:
        return Response(status_code=404, headers={"Cache-Control": "no-store"})
    if not same:
        headers = {"Cache-Control": "no-store"}
    return Response(found, media_type="image/jpeg", headers=headers)


def routes() -> list[Route]:
    """The addresses of pictures, see `simsearch.ui.shared.Library`."""
    return [Route("/simsearch/{secret}/{key}/{kind}/{number}", _answer, methods=["GET"])]
