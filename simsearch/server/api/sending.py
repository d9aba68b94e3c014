"""Pictures that are sent: taken out of the request, and decoded in a process that may fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from simsearch.http.decoding import Decoders
from simsearch.http.receiving import PrivateFolder
from simsearch.media.decode import DecodeLimits
from simsearch.records import Decoded, Known, NotAnImage, Unreadable
from simsearch.report.names import visible
from simsearch.server.answering.library import Opened
from simsearch.server.failures import Refusal

IMAGE, UNLIKE, OPTIONS = "image", "unlike", "options"
OPTIONS_BYTES = 1 << 20
_LONGEST_NAME = 255
_COPIED = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Decoding:
    """What pictures are decoded by: processes, a place for their bytes, and the most bytes of one."""

    decoders: Decoders
    folder: PrivateFolder
    most: int


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """A picture that was sent: its name, SHA-256, and pixels (H, W, 3); None where its bytes are indexed."""

    name: str
    digest: bytes
    pixels: NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """The parts of a request: pictures to be like and to be unlike, and the JSON of all else."""

    images: tuple[UploadFile, ...]
    unlike: tuple[UploadFile, ...]
    options: str | bytes
    parts: FormData


async def form_of(request: Request, most_pictures: int) -> Form:
    """The form that a request holds; close its `parts` when done.

    Raises Refusal: 400 for a form that is none, 415 for another kind of body, 507 where the disk has no room.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Refusal(415, "Pictures are sent as multipart/form-data, in parts called image.")
    try:
        # The options may be a file as well.
        parts = await request.form(max_files=most_pictures + 1, max_fields=1, max_part_size=OPTIONS_BYTES)
    except Refusal:
        raise
    except HTTPException as exc:
        raise Refusal(400, f"The form cannot be read: {exc.detail}") from exc
    except OSError as exc:
        raise Refusal(507, f"The request cannot be kept while it is read: {exc.strerror or exc}.") from exc
    try:
        return _sorted(parts)
    except Refusal:
        await parts.close()
        raise


def _sorted(parts: FormData) -> Form:
    pictures: dict[str, list[UploadFile]] = {IMAGE: [], UNLIKE: []}
    options: str | bytes = "{}"
    for name, part in parts.multi_items():
        if name in pictures and isinstance(part, UploadFile):
            pictures[name].append(part)
        elif name == OPTIONS:
            options = part if isinstance(part, str) else _read(part)
        else:
            raise Refusal(
                400,
                f"The part {visible(name[:_LONGEST_NAME])} is not known. Pictures are sent as files in parts "
                f"called {IMAGE} and {UNLIKE}, all else as JSON text in the part {OPTIONS}.",
            )
    return Form(tuple(pictures[IMAGE]), tuple(pictures[UNLIKE]), options, parts)


def _read(part: UploadFile) -> bytes:
    """The options where they came as a file: so browsers send a part that has a type of its own."""
    if (part.size or 0) > OPTIONS_BYTES:
        raise Refusal(413, f"The part {OPTIONS} may have {OPTIONS_BYTES} bytes at most.")
    return part.file.read()


def decoded(part: UploadFile, opened: Opened, by: Decoding) -> Sent:
    """Decode a picture. It takes a while, and its file is gone afterwards. Raises Refusal."""
    name = (part.filename or IMAGE)[:_LONGEST_NAME]
    if not part.size:
        raise _refused(name, "the file is empty", 422)
    if part.size > by.most:
        raise Refusal(413, f"{visible(name)} has more than {by.most} bytes, the most of a picture here.")
    index = opened.index
    place = by.folder.new_file(name)
    try:
        _write(part.file, os.fspath(place))
        outcome = by.decoders.read(
            os.fsencode(place),
            index.spec.framing,
            DecodeLimits(index.max_pixels, by.most),
            lambda digest: index.vector_id_of(digest=digest) is not None,
        )
    finally:
        place.unlink(missing_ok=True)
    if isinstance(outcome, Known):
        return Sent(name, outcome.digest, None)
    if isinstance(outcome, Decoded):
        # What comes from a process is a view of all its answer; a copy lets go of the rest.
        return Sent(name, outcome.digest, outcome.pixels.copy())
    if isinstance(outcome, NotAnImage):
        raise _refused(name, "its content is no picture", 415)
    raise _refused(name, outcome.reason if isinstance(outcome, Unreadable) else "it cannot be read", 422)


def weights_of(told: Sequence[float], pictures: Sequence[UploadFile], name: str) -> Sequence[float | None]:
    """A weight for each picture. Raises Refusal where there are some and not all."""
    if told and len(told) != len(pictures):
        raise Refusal(422, f"{name} has {len(told)} numbers for {len(pictures)} pictures.")
    return told or [None] * len(pictures)


def _write(source: BinaryIO, place: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        source.seek(0)
        with open(os.open(place, flags, 0o600), "wb") as target:
            shutil.copyfileobj(source, target, _COPIED)
    except OSError as exc:
        raise Refusal(507, f"A picture cannot be kept while it is read: {exc.strerror or exc}.") from exc


def _refused(name: str, reason: str, status: int) -> Refusal:
    return Refusal(status, f"{visible(name)} is no picture that can be used: {reason}.")
