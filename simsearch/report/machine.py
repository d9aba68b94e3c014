"""Records -> JSON, JSON lines, CSV and lists of paths, as bytes that keep every file name exactly."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from simsearch.report.lines import part_of

if TYPE_CHECKING:
    from simsearch.records import QueryResult, VerifyReport

CSV_COLUMNS = (
    "query",
    "rank",
    "path",
    "score",
    "id",
    "width",
    "height",
    "copies",
    "one_in",
    "part",
    "points",
)


def to_json(value: Any) -> bytes:
    """One JSON value and a newline, in ASCII.

    `value` is a record, a list or tuple of records, or plain data. A byte of a path that is no UTF-8 is
    written as its lone surrogate, e.g. `\\udcff`, which `os.fsencode` turns back.
    """
    return json.dumps(_plain(value), ensure_ascii=True, indent=2, allow_nan=False).encode("ascii") + b"\n"


def verify_json(report: VerifyReport) -> bytes:
    """The outcome of a check as {ok, index, checked, problems}."""
    return to_json({"ok": report.ok, **asdict(report)})


def to_jsonl(results: Iterable[QueryResult]) -> Iterator[bytes]:
    """A line of JSON for each query, as soon as it is answered."""
    for result in results:
        yield json.dumps(asdict(result), ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def to_csv(results: Iterable[QueryResult]) -> Iterator[bytes]:
    """A header and a line for each hit; `copies` is a JSON list, paths keep their bytes.

    `part` is x,y,w,h in pixels, or empty where the whole photo matched.
    """
    yield csv_line(CSV_COLUMNS)
    for result in results:
        for rank, hit in enumerate(result.hits, start=1):
            copies = json.dumps(hit.copies, ensure_ascii=True)
            facts = (hit.id, hit.width, hit.height, copies, hit.one_in, part_of(hit), hit.points)
            yield csv_line((result.query, rank, hit.path, repr(hit.score), *facts))


def to_paths(results: Iterable[QueryResult], *, end: bytes = b"\n") -> Iterator[bytes]:
    """The paths of the hits, raw, each followed by `end` (a NUL for `xargs -0`); copies are left out."""
    for result in results:
        for hit in result.hits:
            yield os.fsencode(hit.path) + end


def csv_line(row: Iterable[object]) -> bytes:
    """One line of CSV in UTF-8 with its newline; lone surrogates of a path become its bytes again."""
    line = io.StringIO()
    # The writer quotes a lone carriage return in a name only when its own line end has one.
    csv.writer(line, lineterminator="\r\n").writerow(row)
    return (line.getvalue()[:-2] + "\n").encode("utf-8", "surrogateescape")


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value
