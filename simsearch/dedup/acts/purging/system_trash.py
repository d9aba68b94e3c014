"""Gives a file to the system's trash, by send2trash (https://github.com/arsenetar/send2trash)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import cast

from simsearch.errors import ActStopped, ExtraMissing


def give(path: str) -> None:
    """Move a file to the trash of the system. Raises ExtraMissing, ActStopped."""
    send = _library()
    try:
        send(os.fsencode(path) if os.name == "posix" else path)
    except OSError as exc:
        raise ActStopped(
            f"The system's trash does not take {path}: {exc.strerror or exc}. Nothing is lost; run the same "
            "command again, or delete for good with: simsearch purge RUN --permanently"
        ) from exc


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
