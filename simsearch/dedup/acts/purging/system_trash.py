"""Gives a file to the system's trash, by send2trash (https://github.com/arsenetar/send2trash)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import cast

from simsearch.errors import ExtraMissing


class TrashRefused(OSError):
    """The system's trash does not take a file, which lies where it was."""


def give(path: str) -> None:
    """Move a file to the trash of the system. Raises ExtraMissing, TrashRefused."""
    send = _library()
    try:
        send(os.fsencode(path) if os.name == "posix" else path)
    except OSError as exc:
        reason = f"the system's trash does not take a file: {exc.strerror or exc}"
        raise TrashRefused(exc.errno or errno.EIO, reason, path) from exc


def check() -> None:
    """Raises ExtraMissing where the library is not installed."""
    _library()


def _library() -> Callable[[str | bytes], None]:
    try:
        from send2trash import send2trash
    except ImportError as exc:
        raise ExtraMissing(
            "The system's trash needs send2trash. Install it with: pip install send2trash; "
            "or delete for good with --permanently"
        ) from exc
    return cast("Callable[[str | bytes], None]", send2trash)
