"""Frozen records that travel between the floors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FileStat:
    """What tells an unchanged file: bytes, nanoseconds since 1970, inode and device number."""

    size: int
    mtime_ns: int
    inode: int
    device: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a picture: upright width and height in pixels, Pillow's format name, EXIF time."""

    width: int
    height: int
    format: str
    taken_at: str | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file that was read in full: SHA-256 digest (32 bytes), stat, facts, uint8 pixels (H, W, 3).

    `tiles` are those of its tiles, uint8 (tiles, H, W, 3), where they were asked for.
    """

    digest: bytes
    stat: FileStat
    facts: Facts
    pixels: NDArray[np.uint8]
    tiles: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose bytes are known already, so it was hashed and not decoded."""

    digest: bytes
    stat: FileStat


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An image that cannot be used; transient reasons are tried again on the next run."""

    reason: str
    transient: bool
    stat: FileStat | None = None


@dataclass(frozen=True, slots=True)
class NotAnImage:
    """Neither signature nor suffix says image."""


Outcome = Decoded | Known | Unreadable | NotAnImage


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image that is not in the index, and why."""

    path: str
    reason: str
    transient: bool


@dataclass(frozen=True, slots=True)
class Photo:
    """One indexed content: vector id, absolute paths in byte order, facts, hex SHA-256."""

    id: int
    paths: tuple[str, ...]
    width: int
    height: int
    format: str
    taken_at: str | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer. `score` is cosine similarity in -1..1, higher is closer; one hit a content.

    `path` is absolute; `copies` are further files with the same bytes; `id` never changes. `one_in`: one in
    so many pairs of the collection's own pictures scores as high, which means the same in every collection;
    None where the index does not know yet, for tiles and for expanded queries; at most the pairs compared.
    `part` is the tile of the picture that the score is of (left, top, width, height in its upright pixels);
    None is the whole. `points` is how many points of query and picture agree on a place, where that was
    looked at.
    """

    path: str
    score: float
    id: int
    width: int
    height: int
    copies: tuple[str, ...] = ()
    one_in: int | None = None
    part: tuple[int, int, int, int] | None = None
    points: int | None = None


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The hits of one query, best first."""

    query: str
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `total` is None while the scan still counts."""

    scanned: int
    embedded: int
    skipped: int
    finished: int
    total: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a run of indexing did.

    scanned = added + updated + moved + unchanged + len(skipped) + ignored. `passed_over` counts files and
    folders that the rules kept the scan from (a folder is one, with all it holds). `seconds` is wall time of
    the whole run and `images_per_second` is embedded / seconds. `device` is "none" when nothing was embedded.
    """

    index: str
    model: str
    fallback: str | None
    device: str
    scanned: int
    added: int
    updated: int
    moved: int
    unchanged: int
    gone: int
    removed: int
    ignored: int
    passed_over: int
    skipped: tuple[Skipped, ...]
    embedded: int
    seconds: float
    images_per_second: float


@dataclass(frozen=True, slots=True)
class ViewInfo:
    """How an index is searched.

    Attributes:
        kind: "exact", "ivf", "hnsw" or "milvus", at the address `server`; `trouble` is why it is not in use.
        recall, robust_recall: recall@10 on held-out rows when the view was built, tuned and robust.
        tail: rows that came later and are compared one by one.
        robust, center: whether the robust setting is in use, and scores are of centred vectors by default.
    """

    kind: str
    recall: float
    tail: int
    robust_recall: float = 1.0
    robust: bool = False
    center: bool = False
    server: str | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class TilesInfo:
    """The tiles of an index: grids of (side in thousandths of the picture's, tiles an edge), how many vectors
    that is `each` photo, and how many `photos` have all of them by now."""

    grids: tuple[tuple[int, int], ...]
    each: int
    photos: int


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What `simsearch info` shows.

    `bytes` is the size on disk; `skipped` counts files; `vectors` are those of whole photos and of tiles.
    `no_labels` is why photos get no labels, and None where they do.
    """

    index: str
    format: int
    model: str
    fallback: str | None
    spec: str
    dim: int
    photos: int
    files: int
    vectors: int
    skipped: int
    bytes: int
    view: ViewInfo
    roots: tuple[str, ...]
    no_labels: str | None = None
    tiles: TilesInfo | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something `verify` found: in which file, what, and the command that mends it."""

    file: str
    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The outcome of `verify`."""

    index: str
    checked: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """True when nothing was found."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What `compact` did: vectors dropped and kept, bytes of the index's folder before and after."""

    index: str
    dropped: int
    kept: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What `export` wrote: the folder, rows and length of the vectors, names of the files."""

    index: str
    folder: str
    rows: int
    dim: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What `import` did: photos added, files of photos that were known, and those left out.

    `checked` is how many vectors were compared with the model's own; 0 for vectors of an unknown model.
    """

    index: str
    model: str
    added: int
    known: int
    skipped: tuple[Skipped, ...]
    checked: int


@dataclass(frozen=True, slots=True)
class ThumbnailsReport:
    """Thumbnails made, those that were there, and photos that could not be read."""

    index: str
    made: int
    there: int
    failed: int


@dataclass(frozen=True, slots=True)
class RemoveReport:
    """What `remove` forgot: files, photos that no file is left of, whole roots. The files are untouched.

    With `dry_run` it is what would be forgotten.
    """

    index: str
    files: int
    photos: int
    roots: tuple[str, ...]
    dry_run: bool
