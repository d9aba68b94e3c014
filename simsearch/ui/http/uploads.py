"""Pictures that a browser sends: taken in, decoded in a process of their own, and kept as pixels only."""

from __future__ import annotations

import os
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import anyio
import numpy as np
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simsearch.framing import Fitting, Framing
from simsearch.http.decoding import DECODERS, Decoders, jpeg, seen_at
from simsearch.http.receiving import Bounds, PrivateFolder, UploadRefused, receive
from simsearch.media.decode import DecodeLimits
from simsearch.records import Decoded, NotAnImage, Unreadable
from simsearch.report.names import visible
from simsearch.ui.http.pictures import CACHED, is_secret
from simsearch.ui.shared import SECRET, Library, library_by_key

PREVIEW = 1600  # pixels, of the longer side
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture that was sent. Its file is gone; these are what is left of it.

    Attributes:
        id: names it in `upload` and in addresses; cannot be guessed.
        name: what its sender called it: any text, at most 255 characters, only to be shown.
        digest: SHA-256 of its bytes, 32 bytes.
        width, height: upright, in pixels.
        framed: uint8 pixels (H, W, 3), upright, as the spec of the index that it was sent to frames them.
        preview: JPEG bytes, the longer side at most 1600 pixels.
    """

    id: str
    name: str
    digest: bytes
    width: int
    height: int
    framed: NDArray[np.uint8]
    preview: bytes


class Uploads:
    """The pictures that were sent to this process; the oldest are forgotten first."""

    def __init__(self, bounds: Bounds | None = None, decoders: Decoders = DECODERS) -> None:
        self.bounds, self._decoders = bounds or Bounds(), decoders
        self._folder = PrivateFolder()
        self._receiving = anyio.CapacityLimiter(self.bounds.at_once)
        self._decoding = anyio.CapacityLimiter(decoders.workers)
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Upload] = OrderedDict()

    def get(self, upload_id: str) -> Upload | None:
        """The picture with this id, or None when there never was one or it is forgotten."""
        with self._lock:
            return self._kept.get(upload_id)

    async def take(self, request: Request, library: Library) -> Upload:
        """Take in the body of a request. Raises UploadRefused; ClientDisconnect."""
        try:
            self._receiving.acquire_on_behalf_of_nowait(request)
        except anyio.WouldBlock as exc:
            words = "Too many pictures are being sent at once. Send it again in a moment."
            raise UploadRefused(words, 503) from exc
        try:
            name = unquote(request.headers.get("x-name", ""), errors="replace")[:_LONGEST_NAME]
            place = self._folder.new_file(name)
            try:
                await receive(request, place, self.bounds)
                made = await anyio.to_thread.run_sync(
                    self._decoded, place, name, library, limiter=self._decoding
                )
            finally:
                place.unlink(missing_ok=True)
        finally:
            self._receiving.release_on_behalf_of(request)
        with self._lock:
            self._kept[made.id] = made
            while len(self._kept) > self.bounds.kept:
                self._kept.popitem(last=False)
        return made

    def close(self) -> None:
        """Forget all, and remove the folder that they came through."""
        with self._lock:
            self._kept.clear()
        self._folder.close()

    def _decoded(self, place: Path, name: str, library: Library) -> Upload:
        limits = DecodeLimits(library.index.max_pixels, self.bounds.max_bytes)
        framed = self._read(place, name, library.index.spec.framing, limits)
        whole = self._read(place, name, seen_at(PREVIEW), limits)
        facts, preview = framed.facts, jpeg(whole.pixels, PREVIEW)
        token = secrets.token_urlsafe(16)
        # What comes from a process is a view of all its answer; a copy lets go of the rest.
        pixels = framed.pixels.copy()
        return Upload(token, name, framed.digest, facts.width, facts.height, pixels, preview)

    def _read(self, place: Path, name: str, framing: Framing | Fitting, limits: DecodeLimits) -> Decoded:
        if place.stat().st_size == 0:
            raise UploadRefused(_no_picture(name, "the file is empty"), 422)
        outcome = self._decoders.read(os.fsencode(place), framing, limits)
        if isinstance(outcome, Decoded):
            return outcome
        if isinstance(outcome, NotAnImage):
            raise UploadRefused(_no_picture(name, "its content is no picture"), 415)
        reason = outcome.reason if isinstance(outcome, Unreadable) else "it cannot be read"
        raise UploadRefused(_no_picture(name, reason), 422)


def _no_picture(name: str, reason: str) -> str:
    return f"{visible(name) or 'This'} is no picture that can be used: {reason}."


UPLOADS = Uploads()
"""Those of this process."""


def upload(upload_id: str) -> Upload | None:
    """A picture that was sent, by its id; None when it is forgotten, or there never was one."""
    return UPLOADS.get(upload_id)


def upload_address(library: Library) -> str:
    """Where a picture is sent to be asked with: POST of its bytes, its name percent-encoded in X-Name.

    The answer is JSON: {"upload": id}, or {"error": words} with status 408, 413, 415, 422, 503 or 507.
    """
    return f"/simsearch/{SECRET}/{library.key}/upload"


def preview_address(upload_id: str) -> str:
    """The address of a picture that was sent, as large as a screen needs it."""
    return f"/simsearch/{SECRET}/preview/{upload_id}"


async def _take(request: Request) -> Response:
    values = request.path_params
    library = library_by_key(values["key"]) if is_secret(values["secret"]) else None
    if library is None:
        return JSONResponse({"error": "This page is out of date. Load it again."}, 404)
    try:
        taken = await UPLOADS.take(request, library)
    except UploadRefused as exc:
        return JSONResponse({"error": str(exc)}, exc.status, headers={"Connection": "close"})
    except ClientDisconnect:
        return Response(status_code=499)
    return JSONResponse({"upload": taken.id})


async def _preview(request: Request) -> Response:
    values = request.path_params
    found = upload(values["upload"]) if is_secret(values["secret"]) else None
    if found is None:
        return Response(status_code=404)
    return Response(found.preview, media_type="image/jpeg", headers={"Cache-Control": CACHED})


def routes() -> list[Route]:
    """The addresses of pictures that are sent, see `upload_address` and `preview_address`."""
    return [
        Route("/simsearch/{secret}/{key}/upload", _take, methods=["POST"]),
        Route("/simsearch/{secret}/preview/{upload}", _preview, methods=["GET"]),
    ]
