"""What a listing says of an object, as the stat of a file."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from simsearch.records import FileStat

_CHANGED = ("LastModified", "Last-Modified", "updated", "mtime", "timeModified")


@dataclass(frozen=True, slots=True)
class Entry:
    """An object: its name below the folder that was listed, and its stat.

    `stat` is None where the listing has none (links of a web page); `folder` says that more lies below it.
    """

    relpath: bytes
    stat: FileStat | None
    folder: bool = False


def entry_of(relpath: bytes, told: Mapping[str, Any]) -> Entry:
    """An entry from the facts that fsspec tells.

    An ETag stands in the place of the inode, as 63 bits of its SHA-256: it differs when the bytes do. Stores
    make it from the bytes, so that it tells alone; of web servers the time of change counts too. What tells
    neither gets the present time, which never is the same again, so that it is read in every run.
    """
    tag = told.get("generation") or told.get("ETag") or told.get("etag")
    changed = next((told[name] for name in _CHANGED if told.get(name)), None)
    web = "url" in told or "mimetype" in told
    mtime_ns = _nanoseconds(changed) if changed is not None and (web or not tag) else 0
    if not tag and not mtime_ns:
        mtime_ns = time.time_ns()
    folder = told.get("mimetype") in ("text/html", "application/xhtml+xml") or told.get("type") == "directory"
    return Entry(relpath, FileStat(int(told.get("size") or 0), mtime_ns, folded(str(tag or "")), 0), folder)


def folded(words: str) -> int:
    """63 bits of the SHA-256 of some words; 0 for none."""
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8]) >> 1 if words else 0


def _nanoseconds(changed: object) -> int:
    """A time as a store tells it, in ns since 1970; 0 for one that cannot be understood."""
    try:
        if isinstance(changed, str):
            known = changed[:1].isdigit()
            changed = datetime.fromisoformat(changed) if known else parsedate_to_datetime(changed)
        if isinstance(changed, datetime):
            whole = changed if changed.tzinfo is not None else changed.replace(tzinfo=UTC)
            return int(whole.timestamp()) * 1_000_000_000 + whole.microsecond * 1000
    except (ValueError, OverflowError, OSError):
        pass
    return 0


def unknown() -> FileStat:
    """The stat of what is there and tells nothing: never the same again, so that it is read in every run."""
    return FileStat(0, time.time_ns(), 0, 0)
