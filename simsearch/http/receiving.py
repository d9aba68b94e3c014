"""Takes the body of a request into a private file, within bounds of bytes and of time."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from starlette.requests import ClientDisconnect, Request

from simsearch.errors import SimsearchError
from simsearch.media.formats import looks_like_picture

_BLOCK = 1 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
# A browser shows no answer to what it could not send to the end; so much more is read and dropped.
_DRAINED = 256 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is taken in: bytes of a picture, seconds without a byte, seconds in all, pictures at once, and how
    many stay known.
    """

    max_bytes: int = 64 << 20
    pause: float = 10.0
    seconds: float = 120.0
    at_once: int = 8
    kept: int = 32


class UploadRefused(SimsearchError):
    """A picture that was sent and not taken; `status` is that of the answer (RFC 9110)."""

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.status = status


class PrivateFolder:
    """A temporary folder that only this user can look into, made when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._path: Path | None = None

    def new_file(self, shown: str) -> Path:
        """A file that is not there yet, under a random name; of `shown` it has a picture's suffix at most.

        Some formats are told by their suffix alone.
        """
        suffix = os.path.splitext(shown)[1].lower()
        known = suffix.isascii() and looks_like_picture(os.fsencode("x" + suffix))
        with self._lock:
            if self._path is None or not self._path.is_dir():
                self._path = Path(tempfile.mkdtemp(prefix="simsearch-"))
            return self._path / (secrets.token_hex(16) + (suffix if known else ""))

    def close(self) -> None:
        """Remove it with all it holds."""
        with self._lock:
            if self._path is not None:
                shutil.rmtree(self._path, ignore_errors=True)
                self._path = None


async def receive(request: Request, place: Path, bounds: Bounds) -> None:
    """Write the body of a request to the new file `place`.

    Raises UploadRefused when it is too large (413), too slow (408), or the disk takes it not (507);
    ClientDisconnect when the sender went away.
    """
    declared = request.headers.get("content-length", "0")
    too_large = UploadRefused(
        f"The picture is larger than {bounds.max_bytes >> 20} MiB, which is the most that is taken in here. "
        "Index its folder instead.",
        413,
    )
    chunks = _timely(request, bounds)
    if declared.isdecimal() and int(declared) > bounds.max_bytes:
        await _drain(chunks)
        raise too_large
    size = 0
    try:
        async with await anyio.open_file(os.open(place, _FLAGS, 0o600), "wb", buffering=_BLOCK) as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > bounds.max_bytes:
                    break
                await file.write(chunk)
    except OSError as exc:
        await _drain(chunks)
        reason = exc.strerror or str(exc)
        raise UploadRefused(f"The picture cannot be written to {place.parent}: {reason}.", 507) from exc
    if size > bounds.max_bytes:
        await _drain(chunks)
        raise too_large


async def _timely(request: Request, bounds: Bounds) -> AsyncIterator[bytes]:
    """The body in pieces. Raises UploadRefused when they come too slowly."""
    stream, end = request.stream(), time.monotonic() + bounds.seconds
    while True:
        try:
            with anyio.fail_after(min(bounds.pause, max(0.0, end - time.monotonic()))):
                chunk = await anext(stream, None)
        except TimeoutError as exc:
            raise UploadRefused("The picture came too slowly. Send it again.", 408) from exc
        if chunk is None:
            return
        yield chunk


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    dropped = 0
    with suppress(UploadRefused, ClientDisconnect):
        async for chunk in chunks:
            dropped += len(chunk)
            if dropped > _DRAINED:
                return
