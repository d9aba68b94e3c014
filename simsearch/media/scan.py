"""Walks a folder and yields its regular files in bytewise order, passing over what is no collection."""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat as modes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from simsearch.paths import DATABASE, join
from simsearch.records import FileStat

DEFAULT_EXCLUDES: tuple[str, ...] = (
    "._*",
    "@eaDir",
    ".git",
    ".hg",
    ".svn",
    "node_modules",
    "__pycache__",
    "__MACOSX",
    ".thumbnails",
    ".thumb",
    ".thumbs",
    "Thumbs.db",
    "thumbs.db",
    "ehthumbs.db",
    ".DS_Store",
    "*.lrdata",
    ".Trash*",
    ".Trashes",
    "$RECYCLE.BIN",
    "$Recycle.Bin",
    "RECYCLER",
    "#recycle",
    "@Recycle",
    "System Volume Information",
    "lost+found",
    ".simsearch-trash",
)


@dataclass(frozen=True, slots=True)
class ScanRules:
    """What is passed over besides `DEFAULT_EXCLUDES`.

    A pattern of `exclude` (see `fnmatch`) is held against a name, or, where it holds a slash, against the
    path below the root, in which `*` also matches slashes. An excluded folder is not entered. Names that
    begin with a dot are passed over unless `hidden`.
    """

    exclude: tuple[str, ...] = ()
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A regular file, or a link to one: path below the root (empty when the root is the file), and stat."""

    relpath: bytes
    stat: FileStat


@dataclass(frozen=True, slots=True)
class Unlistable:
    """A folder or file that cannot be looked into, so nothing at or below it may be judged as gone."""

    relpath: bytes
    reason: str


Found = ScannedFile | Unlistable


@dataclass
class PassedOver:
    """Counts the files and folders that the rules kept a scan from looking at."""

    names: int = 0


def scan(
    root: bytes, below: bytes = b"", rules: ScanRules | None = None, passed: PassedOver | None = None
) -> Iterator[Found]:
    """Every regular file at or below `below` of `root`, in bytewise order of the whole relative path.

    `root` or `below` may name a single file; both are taken whatever the rules say of their own names.
    Links to files are followed, links to folders are not; sockets, pipes and devices are passed over, and so
    are the folders of indexes. What vanishes while the scan runs is passed over. Only the entries of the
    folders on the way down are held in memory.
    """
    passed_over = counting(rules or ScanRules(), passed or PassedOver())
    place = join(root, below)
    try:
        found = os.stat(place)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as exc:
        yield Unlistable(below, _reason(exc))
        return
    if modes.S_ISREG(found.st_mode):
        yield ScannedFile(below, file_stat(found))
    elif modes.S_ISDIR(found.st_mode):
        yield from _walk(root, below, passed_over)


def root_state(root: bytes) -> Literal["ok", "missing", "empty"]:
    """Whether a root is there; "missing" also covers a dead mount, "empty" a folder without any entry.

    A folder that exists and may not be listed is "ok": `scan` says so in its own words.
    """
    try:
        if not modes.S_ISDIR(os.stat(root).st_mode):
            return "ok"
    except OSError:
        return "missing"
    try:
        with os.scandir(root) as entries:
            return "ok" if next(entries, None) is not None else "empty"
    except PermissionError:
        return "ok"
    except OSError:
        return "missing"


def file_stat(found: os.stat_result) -> FileStat:
    """The part of a stat result that tells an unchanged file."""
    return FileStat(found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)


def _walk(root: bytes, below: bytes, passed_over: Callable[[bytes, bytes], bool]) -> Iterator[Found]:
    # A stack of open listings, not recursion: trees may be deeper than the interpreter's limit.
    stack: list[Iterator[tuple[bytes, os.stat_result | None] | Unlistable]] = [
        _list(root, below, passed_over)
    ]
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
        elif isinstance(step, Unlistable):
            yield step
        elif step[1] is None:
            stack.append(_list(root, step[0], passed_over))
        else:
            yield ScannedFile(step[0], file_stat(step[1]))


def _list(
    root: bytes, folder: bytes, passed_over: Callable[[bytes, bytes], bool]
) -> Iterator[tuple[bytes, os.stat_result | None] | Unlistable]:
    """The entries of one folder in order: (relpath, stat) of a file, (relpath, None) of a folder."""
    try:
        with os.scandir(join(root, folder)) as listing:
            # A folder sorts as its name and a slash, which is how its files' paths sort.
            entries = sorted(
                (e.name + b"/" if e.is_dir(follow_symlinks=False) else e.name, e) for e in listing
            )
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as exc:
        yield Unlistable(folder, _reason(exc))
        return
    keys = {key for key, _ in entries}
    if DATABASE.encode() in keys and b"segments/" in keys:
        return
    for key, entry in entries:
        relpath = folder + b"/" + entry.name if folder else entry.name
        if passed_over(entry.name, relpath):
            continue
        if key.endswith(b"/"):
            yield relpath, None
            continue
        try:
            found = entry.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as exc:
            # A link that leads to itself is no file, as a dangling one is none.
            if exc.errno != errno.ELOOP:
                yield Unlistable(relpath, _reason(exc))
            continue
        if modes.S_ISREG(found.st_mode):
            yield relpath, found


def matcher(rules: ScanRules) -> Callable[[bytes, bytes], bool]:
    """Whether the rules pass over a name at a path below the root."""
    patterns = [pattern.rstrip("/") for pattern in (*DEFAULT_EXCLUDES, *rules.exclude)]
    names = _any_of([p for p in patterns if "/" not in p])
    paths = _any_of([p.removeprefix("./").lstrip("/") for p in patterns if "/" in p])

    def passed_over(name: bytes, relpath: bytes) -> bool:
        if name.startswith(b".") and not rules.hidden:
            return True
        return bool(names.match(os.fsdecode(name)) or paths.match(os.fsdecode(relpath)))

    return passed_over


def counting(rules: ScanRules, passed: PassedOver) -> Callable[[bytes, bytes], bool]:
    """Like `matcher`, and each name that is passed over is counted."""
    matches = matcher(rules)

    def passed_over(name: bytes, relpath: bytes) -> bool:
        found = matches(name, relpath)
        passed.names += found
        return found

    return passed_over


def _any_of(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(p) for p in patterns) or r"(?!)")


def _reason(exc: OSError) -> str:
    return f"cannot be looked into: {exc.strerror or exc}"
