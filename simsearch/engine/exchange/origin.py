"""Ready embeddings as files: the array of vectors, the table of their photos, and what made them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from simsearch.engine.exchange.export import SPEC, VECTORS
from simsearch.engine.exchange.tables import read_table
from simsearch.errors import IndexMismatch, SimsearchError
from simsearch.models.choice import ModelChoice, resolve
from simsearch.paths import canonical, join
from simsearch.spec import EmbeddingSpec

BLOCK = 4096

Vectors = NDArray[np.float32]
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where ready embeddings come from.

    Attributes:
        vectors: .npy of (n, dim) floats, or a folder that `export` wrote.
        photos: .csv or .parquet with a column "path", row r belonging to row r of the vectors; None when
            `vectors` is such a folder. A column "sha256" is believed only if the file agrees.
        choice: the model that made them, or None.
        name: a name for vectors of a model unknown here, or None.
    """

    vectors: Path
    photos: Path | None = None
    choice: ModelChoice | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A file of the table: its path, the SHA-256 that is said of it (or ""), and the row of its vector."""

    path: bytes
    sha256: str
    place: int


def open_origin(
    origin: Origin, note: Note
) -> tuple[Vectors, list[Row], tuple[EmbeddingSpec, str], list[bytes]]:
    """The vectors (mapped), their photos, their spec with the path of its weights, and the roots told of."""
    place, photos, told, roots = origin.vectors, origin.photos, None, list[bytes]()
    if place.is_dir():
        found = [place / name for name in ("photos.csv", "photos.parquet") if (place / name).exists()]
        photos = photos or next(iter(found), None)
        told, roots = _told_by_export(place / SPEC)
        place = place / VECTORS
    if photos is None:
        raise SimsearchError(f"{origin.vectors} needs the table of its photos as well (.csv or .parquet).")
    try:
        vectors = np.load(place, mmap_mode="r", allow_pickle=False)
        if not isinstance(vectors, np.ndarray):
            raise ValueError("it is an archive of arrays")
    except (OSError, ValueError, EOFError, BadZipFile, SyntaxError, MemoryError, TokenError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        raise SimsearchError(f"{place} cannot be read as an array of vectors (.npy): {reason}.") from exc
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or vectors.shape[1] < 2:
        raise SimsearchError(f"{place} is {vectors.dtype} {vectors.shape}, not floats of shape (n, dim).")
    rows, count = _read_rows(photos)
    if count != len(vectors):
        raise SimsearchError(
            f"{photos} has {count} rows, {place} has {len(vectors)}; they do not belong together."
        )
    spec = _spec(origin, told, vectors.shape[1], note)
    if spec[0].dim != vectors.shape[1]:
        raise IndexMismatch(
            f"{place} has {vectors.shape[1]} numbers a vector, {spec[0].backbone} makes {spec[0].dim}."
        )
    return vectors, rows, spec, roots


def _read_rows(photos: Path) -> tuple[list[Row], int]:
    """Every path of the table, copies too, each once, and the number of its rows."""
    rows: dict[bytes, Row] = {}
    count = 0
    folders: dict[str, bytes] = {}
    for place, entry in enumerate(read_table(photos)):
        count += 1
        for name in (entry["path"], *entry["copies"]):
            folder, own = os.path.split(name)
            try:
                if folder not in folders:
                    folders[folder] = canonical(folder or ".")
                path = join(folders[folder], os.fsencode(own))
            except ValueError as exc:
                raise SimsearchError(f"Row {place} of {photos} has no path that can be: {exc}.") from exc
            rows.setdefault(path, Row(path, str(entry.get("sha256") or ""), place))
    return list(rows.values()), count


def _told_by_export(path: Path) -> tuple[EmbeddingSpec | None, list[bytes]]:
    """The spec and the roots that an export wrote beside its vectors."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return EmbeddingSpec.from_json(json.dumps(told["spec"])), [os.fsencode(r) for r in told["roots"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None, []


def check_lengths(vectors: Vectors) -> None:
    """Raises SimsearchError when a vector has no length, before anything is written."""
    for start in range(0, len(vectors), BLOCK):
        lengths = np.linalg.norm(np.asarray(vectors[start : start + BLOCK], dtype=np.float64), axis=1)
        wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
        if len(wrong):
            raise SimsearchError(
                f"The vector of row {start + wrong[0]} is zero or not finite, so it cannot be compared."
            )


def _spec(origin: Origin, told: EmbeddingSpec | None, dim: int, note: Note) -> tuple[EmbeddingSpec, str]:
    if origin.name is not None:
        return EmbeddingSpec.named(origin.name, dim), ""
    if origin.choice is not None:
        resolved = resolve(origin.choice, note=note)
        return resolved.spec, resolved.weights_path
    if told is None:
        raise SimsearchError(
            "Say which model made these vectors (--model, --weights), or give them a name (--spec NAME)."
        )
    return told, ""


def unit(vector: Any) -> Vectors:
    """A vector at length 1, float32."""
    given = np.asarray(vector, dtype=np.float64)
    return np.asarray(given / np.linalg.norm(given), dtype=np.float32)
