"""What a file is at this moment, and whether that is still what a plan says of it."""

from __future__ import annotations

import os
import stat as modes

from simsearch.dedup.acts.records import FileFacts
from simsearch.errors import PhotoUnreadable
from simsearch.media.files import OpenFile

CHANGED = "it has changed since the plan was made"
GONE = "it is gone"
LINKED = "it is a link"
OTHER_DISK = "on another disk"
TOO_LONG = "its new place would have too long a name"


def read_facts(path: str) -> FileFacts:
    """The facts of a file, of what a link leads to, read once. Raises PhotoUnreadable, the reason alone."""
    with OpenFile(os.fsencode(path)) as file:
        digest, found = file.sha256(), file.stat
    return FileFacts(path, found.size, found.mtime_ns, found.inode, found.device, digest.hex())


def identity(path: str | bytes) -> tuple[int, int] | None:
    """(device, inode) of what `path` leads to, by which two names are one file; None where nothing is."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_regular(path: str | bytes) -> bool:
    """Whether there is a file at `path` that is no link and nothing special."""
    try:
        return modes.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def is_at(path: str | bytes, facts: FileFacts) -> bool:
    """Whether the very file of `facts` lies at `path`: the same inode, size and time, else the same bytes."""
    if not is_regular(path):
        return False
    found = os.lstat(path)
    if found.st_size != facts.size:
        return False
    # An inode's number alone is that of another file on another disk, and of an edited one.
    now = (found.st_dev, found.st_ino, found.st_mtime_ns)
    return now == (facts.device, facts.inode, facts.mtime_ns) or digest_of(path) == facts.sha256


def digest_of(path: str | bytes) -> str | None:
    """The hex SHA-256 of a file, or None where it cannot be read."""
    try:
        return read_facts(os.fsdecode(path)).sha256
    except PhotoUnreadable:
        return None


def objection(facts: FileFacts) -> str | None:
    """Why the file of `facts` is not what it was; None where it is.

    It is the same by size and every byte, and by inode or time: some file systems (FAT, many network ones)
    number their files anew when they are mounted.
    """
    path = facts.path
    if not os.path.lexists(path):
        return GONE
    if os.path.islink(path):
        return LINKED
    try:
        now = read_facts(path)
    except PhotoUnreadable as exc:
        return f"it {exc}"
    same = (now.size, now.sha256) == (facts.size, facts.sha256)
    known = now.inode == facts.inode or now.mtime_ns == facts.mtime_ns
    return None if same and known else CHANGED


def rights_objection(source: bytes, target: bytes) -> str | None:
    """Why a file may not be brought from `source` to `target` by the rights of folders; None where it may.

    Disks that are mounted to be read only refuse as well.
    """
    there = os.path.dirname(target)
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    for folder in (os.path.dirname(source), there):
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            return f"{os.fsdecode(folder)} may not be written"
    return None


class Keepers:
    """Files that stay, read in full when first asked for and again whenever their stat has changed."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, ...]] = {}

    def objection(self, keeper: FileFacts, file: str | bytes) -> str | None:
        """Why `keeper` does not stand in for what lies at `file`; None where it does."""
        now = _stamp(keeper.path)
        if now is None:
            return f"what is kept in its stead is gone: {keeper.path}"
        if now[:2] == identity(file):
            return f"it is the same file as what is kept: {keeper.path}"
        if self._seen.get(keeper.path) != now:
            if digest_of(keeper.path) != keeper.sha256:
                return f"what is kept in its stead has changed or cannot be read: {keeper.path}"
            self._seen[keeper.path] = now
        return None


def _stamp(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
