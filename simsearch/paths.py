"""Paths as bytes: roots, what lies below them, URLs and archives among them, and where indexes live."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from simsearch.errors import IndexMissing, SourceRefused

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

DATABASE = "index.db"
DAMAGED = "index.db.damaged"
"""What a repair leaves of a damaged database."""


# pathlib makes one slash of the two of a URL.
_URL = re.compile(rb"(s3a?|gc?s|https?):/{1,2}(?=[^/])", re.IGNORECASE)
_SCHEMES = {b"s3a": b"s3", b"gcs": b"gs"}
_ARCHIVE = re.compile(rb"[^/]\.(?:zip|tar|tgz|tbz2?|txz|tar\.(?:gz|bz2|xz))(?=/|$)", re.IGNORECASE)


def canonical(path: AnyPath) -> bytes:
    """Absolute bytes of `path`: links in its folders resolved, the last name kept as it is.

    A folder is resolved whole, so that a root has one spelling; a linked file stays itself. A URL keeps its
    spelling but for what means the same: the case of scheme and host, a slash at the end.

    Raises SourceRefused for a URL that may hold a secret.
    """
    raw = os.fsencode(path)
    if is_url(raw):
        return _canonical_url(raw)
    raw = os.path.abspath(raw)
    inside = archive_of(raw)
    if inside is not None and inside[1]:
        return join(canonical(inside[0]), inside[1])
    if os.path.isdir(raw):
        return _as_listed(os.path.realpath(raw))
    folder, name = os.path.split(raw)
    return _as_listed(os.path.join(os.path.realpath(folder), name))


def absolute(path: AnyPath) -> bytes:
    """Like `canonical`, but a path of this machine keeps its links. Raises SourceRefused."""
    raw = os.fsencode(path)
    return canonical(raw) if is_source(raw) else os.path.abspath(raw)


def is_url(path: bytes) -> bool:
    """Whether this is an object or a folder of a store or a web server, and no path of this machine."""
    return _URL.match(path) is not None


def archive_of(path: bytes) -> tuple[bytes, bytes] | None:
    """The archive that `path` names or lies in, and the name inside it; None where there is none.

    Archives are told by their suffix; on this machine there has to be such a file.
    """
    found = _URL.match(path)
    start = path.find(b"/", found.end()) if found is not None else 0
    if start < 0:
        return None
    for match in _ARCHIVE.finditer(path, start):
        archive = path[: match.end()]
        if found is not None or os.path.isfile(archive):
            return archive, path[match.end() + 1 :]
    return None


def is_source(path: bytes) -> bool:
    """Whether the bytes at `path` have to be fetched or unpacked before they can be read."""
    if is_url(path):
        return True
    inside = archive_of(path)
    return inside is not None and bool(inside[1])


def is_source_root(root: bytes) -> bool:
    """Whether the files of a root are listed by a store, a server or an archive, and not by a folder."""
    return is_url(root) or archive_of(root) is not None


def _canonical_url(url: bytes) -> bytes:
    found = _URL.match(url)
    scheme, rest = (found[1].lower(), url[found.end() :]) if found is not None else (b"", url)
    scheme = _SCHEMES.get(scheme, scheme)
    host, slash, path = rest.partition(b"/")
    web = scheme.startswith(b"http")
    if web:
        path = path.partition(b"#")[0]
    if b"@" in host or (web and b"?" in host + path):
        told = text(scheme + b"://" + host.rpartition(b"@")[2].partition(b"?")[0])
        raise SourceRefused(
            f"An address at {told} has a user's name or a query string (?...) in it, which may be a "
            "secret, and all of it would be kept in the index. Give it without; docs/sources.md says where "
            "credentials go."
        )
    if web:
        host = host.lower().removesuffix(b":80" if scheme == b"http" else b":443")
    return (scheme + b"://" + host + slash + path).rstrip(b"/")


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


def label(path: AnyPath) -> str:
    """A path as a person knows it: as given, but a URL with both slashes, of which pathlib makes one."""
    raw = os.fsencode(path)
    return text(_canonical_url(raw) if is_url(raw) else raw)


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


def covers(root: bytes, path: bytes) -> bool:
    """Whether a visit of `root` also visits `path`: the archives in a folder are not looked into."""
    if relative(path, root) is None:
        return False
    inside, outside = archive_of(path), archive_of(root)
    return inside is None or (outside is not None and inside[0] == outside[0])


def fold(paths: Iterable[bytes]) -> list[bytes]:
    """Sorted distinct `paths` without those that a visit of another one also visits."""
    kept: list[bytes] = []
    for path in sorted(set(paths), key=lambda p: (len(p), p)):
        if not any(covers(root, path) for root in kept):
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
