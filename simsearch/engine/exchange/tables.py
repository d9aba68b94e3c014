"""Tables of photos on disk, as CSV or Parquet (by pyarrow): a row a photo, paths with every byte."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from simsearch.errors import ExtraMissing, SimsearchError

PAGE = 1000


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """One line: `row` is that of the vector, `copies` are further paths with the same bytes."""

    row: int
    id: int
    path: str
    sha256: str
    width: int
    height: int
    format: str
    taken_at: str | None
    copies: tuple[str, ...] = ()


COLUMNS = tuple(field.name for field in fields(PhotoRow))


def write_csv(path: Path, rows: Iterable[PhotoRow]) -> None:
    """Write CSV (RFC 4180); bytes of a path that are no UTF-8 stay as they are, `copies` is a JSON list."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for row in rows:
            values = [getattr(row, name) for name in COLUMNS[:-1]]
            writer.writerow([*values, json.dumps(row.copies, ensure_ascii=True)])


def write_parquet(path: Path, rows: Iterable[PhotoRow]) -> None:
    """Write Parquet; paths are binary, since not every path is text. Raises ExtraMissing without pyarrow."""
    arrow, parquet = _pyarrow()
    kinds = {"row": arrow.int64(), "id": arrow.int64(), "width": arrow.int64(), "height": arrow.int64()}
    kinds |= {"path": arrow.binary(), "copies": arrow.list_(arrow.binary())}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
    with parquet.ParquetWriter(path, schema) as writer:
        for page in _pages(rows):
            columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in page] for name in COLUMNS}
            columns["path"] = [os.fsencode(row.path) for row in page]
            columns["copies"] = [[os.fsencode(copy) for copy in row.copies] for row in page]
            writer.write_table(arrow.table(columns, schema=schema))


def read_table(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a .csv or .parquet file as dictionaries of strings; needs a column "path".

    `copies` is a list. Raises SimsearchError for another kind of file, or one without that column.
    """
    try:
        rows = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
        for number, row in enumerate(rows):
            if "\0" in row["path"]:
                raise ValueError(f"row {number} has a path that no file can have")
            yield row
    except (OSError, csv.Error, UnicodeError, ValueError, RecursionError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        raise SimsearchError(f"{path} cannot be read as a table of photos: {reason}.") from exc


def _read_csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        _check(path, reader.fieldnames or ())
        for number, row in enumerate(reader):
            copies = json.loads(row.get("copies") or "[]")
            if not row["path"] or not isinstance(copies, list) or not all(isinstance(c, str) for c in copies):
                raise ValueError(f"row {number} has no path, or copies that are no list of paths")
            yield {**{key: value for key, value in row.items() if key}, "copies": copies}


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    arrow, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            _check(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=PAGE):
                for row in batch.to_pylist():
                    copies = [_text(copy) for copy in row.get("copies") or []]
                    yield {
                        key: copies if key == "copies" else _text(value)
                        for key, value in {"copies": copies, **row}.items()
                    }
    except (arrow.ArrowException, TypeError) as exc:
        raise ValueError(exc) from exc


def _text(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, bytes) else "" if value is None else str(value)


def _check(path: Path, names: Iterable[str]) -> None:
    found = list(names)
    if "path" not in found:
        raise SimsearchError(
            f"{path} has no column called path, only {', '.join(found) or 'none at all'}; the first line of "
            "a CSV names its columns."
        )


def _pages(rows: Iterable[PhotoRow]) -> Iterator[list[PhotoRow]]:
    page: list[PhotoRow] = []
    for row in rows:
        page.append(row)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as exc:
        raise ExtraMissing('Parquet needs pyarrow: pip install "simsearch[parquet]"') from exc
    return pyarrow, parquet
