"""Paths as bytes: roots, what lies below them, and where indexes live."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from simsearch.errors import IndexMissing

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

DATABASE = "index.db"
DAMAGED = "index.db.damaged"
"""What a repair leaves of a damaged database."""


def canonical(path: AnyPath) -> bytes:
    """Absolute bytes of `path`: links in its folders resolved, the last name kept as it is.

    A folder is resolved whole, so that a root has one spelling; a linked file stays itself.
    """
    raw = os.path.abspath(os.fsencode(path))
    if os.path.isdir(raw):
        return _as_listed(os.path.realpath(raw))
    folder, name = os.path.split(raw)
    return _as_listed(os.path.join(os.path.realpath(folder), name))


def folds_case(path: bytes) -> bool:
    """Whether the file system finds an existing `path` when its last name is written in another case too."""
    folder, name = os.path.split(path)
    swapped = os.path.join(folder, name.swapcase())
    if swapped == path:
        return False
    try:
        same = os.path.samestat(os.lstat(swapped), os.lstat(path))
    except OSError:
        return False
    # Two hard links have two names, each of them listed.
    return same and not (is_listed(path) and is_listed(swapped))


def is_listed(path: bytes) -> bool:
    """Whether the folder of `path` lists exactly this name; one in another case exists and is not listed."""
    folder, name = os.path.split(path)
    try:
        return name in _names(folder, os.stat(folder).st_mtime_ns)
    except OSError:
        return True


@lru_cache(maxsize=8)
def _names(folder: bytes, mtime_ns: int) -> frozenset[bytes]:
    return frozenset(os.listdir(folder))


def _as_listed(path: bytes) -> bytes:
    """A path as the file system itself spells it, so that two spellings of a folder are one root.

    Only where case is folded (Windows, most of macOS, some mounts elsewhere) is anything listed.
    """
    parts: list[bytes] = []
    place = path
    while os.path.dirname(place) != place:
        folder, name = os.path.split(place)
        odd = folds_case(place) and not is_listed(place)
        parts.append(_listed_name(folder, name) if odd else name)
        place = folder
    spelt = os.path.join(place, *reversed(parts))
    return spelt.replace(b"\\", b"/") if os.sep == "\\" else spelt


def _listed_name(folder: bytes, name: bytes) -> bytes:
    wanted = os.fsdecode(name).casefold()
    return next((item for item in os.listdir(folder) if os.fsdecode(item).casefold() == wanted), name)


def text(path: bytes) -> str:
    """The str of `path` (surrogateescape), which `os.fsencode` turns back into the same bytes."""
    return os.fsdecode(path)


def join(root: bytes, relpath: bytes) -> bytes:
    """The absolute path of a row; an empty `relpath` means that the root is itself a file."""
    return root.rstrip(b"/") + b"/" + relpath if relpath else root


def relative(path: bytes, root: bytes) -> bytes | None:
    """`path` relative to `root` (empty when equal), or None when it does not lie below it."""
    if path == root:
        return b""
    prefix = root if root.endswith(b"/") else root + b"/"
    return path[len(prefix) :] if path.startswith(prefix) else None


def fold(paths: Iterable[bytes]) -> list[bytes]:
    """Sorted distinct `paths` without those that lie below another one."""
    kept: list[bytes] = []
    for path in sorted(set(paths), key=lambda p: (len(p), p)):
        if not any(relative(path, root) is not None for root in kept):
            kept.append(path)
    return sorted(kept)


def resolve_index(name: str | os.PathLike[str] | None = None, *, cwd: Path | None = None) -> Path:
    """The folder of an index: `name`, else $SIMSEARCH_INDEX, else "default".

    Anything with a separator (or "." and "..") is a path. A plain name is looked for in the nearest
    `indexes/` of `cwd` or a parent, then in the user's data folder; where neither holds
    it, the first of the two that exists is where it would be made.
    """
    wanted = os.fspath(name) if name is not None else os.environ.get("SIMSEARCH_INDEX") or "default"
    separators = {os.sep, os.altsep or os.sep, "/"}
    if isinstance(name, Path) or wanted in (".", "..") or any(s in wanted for s in separators):
        return Path(wanted).expanduser().absolute()
    homes = [home / wanted for home in index_homes(cwd)]
    return next((home for home in homes if (home / DATABASE).exists()), homes[0])


def existing_index(name: str | os.PathLike[str] | None = None) -> Path:
    """Like `resolve_index`, for reading. Raises IndexMissing when there is no index."""
    folder = resolve_index(name)
    if not (folder / DATABASE).exists():
        raise IndexMissing(f"There is no index at {folder}. Make one with: simsearch index FOLDER")
    return folder


def list_indexes(*, cwd: Path | None = None) -> list[Path]:
    """Every index in the nearest `indexes/` and in the user's data folder."""
    found: list[Path] = []
    for home in index_homes(cwd):
        if home.is_dir():
            found += sorted(folder for folder in home.iterdir() if (folder / DATABASE).exists())
    return found


def index_homes(cwd: Path | None = None) -> Iterator[Path]:
    """The folders that hold named indexes, nearest first."""
    here = (cwd or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / "indexes").is_dir():
            yield folder / "indexes"
            break
    import platformdirs

    yield Path(platformdirs.user_data_dir("simsearch", appauthor=False)) / "indexes"
