"""Weights files: where they lie on this machine, and how they are fetched; torch is never imported."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import queue
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from simsearch.errors import WeightsMissing
from simsearch.models.registry import Backbone, get_backbone
from simsearch.spec import EmbeddingSpec

Progress = Callable[[int, int | None], None]

PATIENCE = 10.0
_CHUNK = 1 << 20
_LEAST_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file of weights: absolute path and hex SHA-256 of its bytes."""

    path: Path
    sha256: str


def read_digest(path: Path) -> WeightsFile:
    """The file at `path` with its SHA-256. Raises WeightsMissing when it cannot be read."""
    if not path.is_file():
        raise WeightsMissing(f"There is no weights file {path}; check the path that was given.")
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as exc:
        raise WeightsMissing(f"The weights file {path} cannot be read: {exc.strerror or exc}.") from exc
    return WeightsFile(path.absolute(), digest)


def usual_place(backbone: Backbone) -> Path | None:
    """Where the weights of `backbone` belong: torchvision's cache, or the package that carries them.

    None when that package is not installed. The package is found, not imported: it would import torch.
    """
    if backbone.package is None:
        return _hub_folder() / backbone.file
    found = importlib.util.find_spec(backbone.package)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "models" / backbone.file


def locate(backbone: Backbone) -> WeightsFile | None:
    """The weights of `backbone` if they lie in their usual place and are whole, else None."""
    place = usual_place(backbone)
    if place is None or not place.is_file():
        return None
    found = read_digest(place)
    return found if found.sha256.startswith(backbone.sha256) else None


def locate_or_fetch(backbone: Backbone, note: Callable[[str], None]) -> WeightsFile:
    """`locate`, else `fetch` after a line to `note`. Raises WeightsMissing."""
    found = locate(backbone)
    if found is None and backbone.url is not None:
        note(f"Fetching the weights of {backbone.name} ({backbone.megabytes:.0f} MB, once)")
    return found or fetch(backbone)


def find(spec: EmbeddingSpec, remembered: str | None) -> Path:
    """The file with the SHA-256 of `spec`: the path remembered, else the usual place of its backbone.

    Raises WeightsMissing, which names the places, and ModelUnknown.
    """
    usual = usual_place(get_backbone(spec.backbone))
    places = [Path(place) for place in (remembered, usual) if place is not None]
    for place in places:
        if place.is_file() and read_digest(place).sha256 == spec.weights_sha256:
            return place
    raise WeightsMissing(
        f"These vectors come from {spec.backbone} with the weights of SHA-256 {spec.weights_sha256}, and no "
        f"such file is at {' or '.join(map(str, places)) or 'any known place'}; put it back, or give it with "
        "--weights FILE."
    )


def fetch(backbone: Backbone, *, seconds: float = PATIENCE, progress: Progress | None = None) -> WeightsFile:
    """Download the weights of `backbone` into torchvision's cache.

    One attempt, no retry: a proxy from the environment is honoured, and each wait of more than `seconds`
    for the network ends it, so that a machine without a connection hears so at once. `progress` is called
    with the bytes so far and their total (None when the server does not say). What arrives is checked
    against the known SHA-256 before it gets its name. Raises WeightsMissing.
    """
    place = usual_place(backbone)
    if backbone.url is None or place is None:
        raise WeightsMissing(
            f"The weights of {backbone.name} come with {backbone.source}, which is not installed or is "
            "damaged; install it again with pip."
        )
    part = place.with_name(f"{place.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with _open(backbone.url, seconds) as response:
            place.parent.mkdir(parents=True, exist_ok=True)
            with part.open("xb") as target:
                digest = _copy(response, target, seconds, progress)
                target.flush()
                os.fsync(target.fileno())
        if not digest.startswith(backbone.sha256):
            raise _NetworkFailure(
                f"what came is another file, whose SHA-256 begins with {digest[:8]} and not with "
                f"{backbone.sha256} (the login page of a network?)"
            )
        part.replace(place)
    except _NetworkFailure as exc:
        raise FetchFailed(backbone, f"could not be fetched from {backbone.url} ({exc})") from exc
    except OSError as exc:
        reason = f"cannot be written to {place.parent} ({exc.strerror or exc})"
        raise FetchFailed(backbone, reason) from exc
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return WeightsFile(place, digest)


class FetchFailed(WeightsMissing):
    """A download that came to nothing. `reason` says why, without the advice of the message."""

    def __init__(self, backbone: Backbone, reason: str) -> None:
        self.reason = f"The weights of {backbone.name} are not on this machine and {reason}."
        self.advice = (
            f"fetch {backbone.file} on another machine and put it into {_hub_folder()}, or give a checkpoint "
            "with --weights FILE"
        )
        super().__init__(
            f"{self.reason} Please {self.advice}, or use --model efficientnet_lite2, which is installed."
        )


class _NetworkFailure(Exception):
    """Why a download ended, in words."""


def _open(url: str, seconds: float) -> Any:
    """The response of `url`, or _NetworkFailure after `seconds` whatever the machine waits for.

    A socket's time-out covers neither the look-up of a name nor a host with many addresses, so the
    opening runs in a thread that may be left behind.
    """
    from urllib.request import Request, build_opener

    request = Request(url, headers={"User-Agent": "simsearch"})
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
    if isinstance(answer, Exception):
        raise _NetworkFailure(_words(answer)) from answer
    return answer


def _copy(response: Any, target: IO[bytes], seconds: float, progress: Progress | None) -> str:
    """Copy a response's body to `target`, giving up when it stalls or is cut; returns its hex SHA-256."""
    length = response.headers.get("Content-Length")
    total = int(length) if length and length.isdecimal() else None
    digest, done = hashlib.sha256(), 0
    window_start, window_bytes = time.monotonic(), 0
    while True:
        try:
            block = response.read1(_CHUNK)
        except (OSError, HTTPException) as exc:
            raise _NetworkFailure(f"{_words(exc)} after {done} bytes") from exc
        if not block:
            break
        target.write(block)
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
    return digest.hexdigest()


def _words(exc: BaseException) -> str:
    """What a network error says, without its Python wrapping."""
    reason = getattr(exc, "reason", None)
    if isinstance(reason, BaseException):
        return _words(reason)
    return str(getattr(exc, "strerror", None) or exc) or type(exc).__name__


def _hub_folder() -> Path:
    """The folder where torchvision keeps what it downloads.

    See https://docs.pytorch.org/docs/stable/hub.html#where-are-my-downloaded-models-saved
    """
    home = os.environ.get("TORCH_HOME")
    if not home:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        home = os.path.join(cache, "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"
