"""A shard on disk: what came of each of its files, vectors included, whole or not there at all.

The bytes are MAGIC, the length of the JSON (8 bytes, little-endian), the JSON, the vectors as little-endian
float32, and the SHA-256 of all of that. Nothing of it is ever executed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.models.labels.classifier import Labels
from simsearch.records import Facts, FileStat, Known, NotAnImage, Unreadable
from simsearch.storage.disk.durable import sync_names, synced, write_at

MAGIC = b"SIMSHRD1"
SUFFIX = ".shard"
PART = ".part"
_LENGTH = struct.Struct("<Q")
_SHA256 = 32


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A file that was embedded: digest, stat, facts, float32 (1 + tiles, dim), and labels, if it got any."""

    digest: bytes
    stat: FileStat
    facts: Facts
    vectors: NDArray[np.float32]
    labels: Labels = ()


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A file of a shard and what came of it; `claimed`: its digest when it was to be embedded and failed."""

    path: bytes
    outcome: Picture | Known | Unreadable | NotAnImage
    claimed: bytes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """Files that were read together.

    Attributes:
        key: of the run: model, limits and index. Shards of another key are of no use.
        read_ns: before any of them was read, in ns since 1970, by the clock of the driver.
        device: where they were embedded.
        entries: in the order that was asked for.
    """

    key: str
    read_ns: int
    device: str
    entries: tuple[Entry, ...]


def write_shard(folder: Path, name: str, shard: Shard) -> None:
    """Put a shard into `folder` under `name`, whole and durable, or not at all. Raises OSError."""
    part = folder / f"{name}.{secrets.token_hex(4)}{PART}"
    try:
        with synced(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as fd:
            write_at(fd, encode(shard), 0)
        part.replace(folder / name)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    sync_names(os.fsencode(folder))


def read_shard(path: Path, key: str) -> Shard | None:
    """The shard at `path`; None when it is not there, not whole, or of another key."""
    try:
        return decode(path.read_bytes(), key)
    except OSError:
        return None


def encode(shard: Shard) -> bytes:
    """The bytes of a shard."""
    vectors = [e.outcome.vectors for e in shard.entries if isinstance(e.outcome, Picture)]
    told = {
        "key": shard.key,
        "read_ns": shard.read_ns,
        "device": shard.device,
        "shape": list(vectors[0].shape) if vectors else [0, 0],
        "files": [_told(entry) for entry in shard.entries],
    }
    head = json.dumps(told).encode()
    rows = np.stack(vectors).astype("<f4").tobytes() if vectors else b""
    data = MAGIC + _LENGTH.pack(len(head)) + head + rows
    return data + hashlib.sha256(data).digest()


def decode(data: bytes, key: str) -> Shard | None:
    """The shard that `encode` made; None for anything else, and for one of another key."""
    body = data[:-_SHA256]
    start = len(MAGIC) + _LENGTH.size
    if not data.startswith(MAGIC) or len(body) < start or hashlib.sha256(body).digest() != data[-_SHA256:]:
        return None
    try:
        (size,) = _LENGTH.unpack_from(body, len(MAGIC))
        told = json.loads(body[start : start + size])
        if told["key"] != key:
            return None
        rows = np.frombuffer(body, dtype="<f4", offset=start + size).astype(np.float32)
        pictures = sum(file["kind"] == "picture" for file in told["files"])
        vectors = rows.reshape(pictures, *told["shape"])
        return Shard(key, int(told["read_ns"]), str(told["device"]), _entries(told["files"], vectors))
    except (ValueError, KeyError, TypeError, IndexError, struct.error, RecursionError):
        return None


def _told(entry: Entry) -> dict[str, Any]:
    outcome = entry.outcome
    told: dict[str, Any] = {"path": os.fsdecode(entry.path)}
    if isinstance(outcome, Picture):
        facts, digest = asdict(outcome.facts), outcome.digest.hex()
        labels = [list(label) for label in outcome.labels]
        return told | {"kind": "picture", "digest": digest, "facts": facts, "labels": labels} | _of(outcome)
    if isinstance(outcome, Known):
        return told | {"kind": "known", "digest": outcome.digest.hex()} | _of(outcome)
    if isinstance(outcome, Unreadable):
        claimed = entry.claimed.hex() if entry.claimed is not None else None
        why = {"reason": outcome.reason, "transient": outcome.transient, "claimed": claimed}
        return told | {"kind": "unreadable"} | why | _of(outcome)
    return told | {"kind": "no image"}


def _of(outcome: Picture | Known | Unreadable) -> dict[str, Any]:
    stat = outcome.stat
    return {"stat": None if stat is None else [stat.size, stat.mtime_ns, stat.inode, stat.device]}


def _entries(files: Sequence[dict[str, Any]], vectors: NDArray[np.float32]) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    left = iter(vectors)
    for told in files:
        path, kind = os.fsencode(told["path"]), told["kind"]
        if kind == "no image":
            entries.append(Entry(path, NotAnImage()))
            continue
        stat = None if told["stat"] is None else FileStat(*map(int, told["stat"]))
        if kind == "unreadable":
            claimed = bytes.fromhex(told["claimed"]) if told["claimed"] is not None else None
            why = Unreadable(str(told["reason"]), bool(told["transient"]), stat)
            entries.append(Entry(path, why, claimed))
            continue
        digest = bytes.fromhex(told["digest"])
        if stat is None or len(digest) != _SHA256:
            raise ValueError("a picture without stat or digest")
        if kind == "known":
            entries.append(Entry(path, Known(digest, stat)))
            continue
        labels = tuple((int(number), int(millionths)) for number, millionths in told["labels"])
        entries.append(Entry(path, Picture(digest, stat, Facts(**told["facts"]), next(left), labels)))
    return tuple(entries)
