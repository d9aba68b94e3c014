"""Which photos fulfil a condition: what can be asked of a file in SQL, and the search for it."""

from __future__ import annotations

import fnmatch
import os
import re
import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from simsearch.storage.catalog.files import chunks
from simsearch.storage.catalog.vectors import WHOLE
from simsearch.storage.schema import contents, files, roots, vectors

Condition = sa.ColumnElement[bool]

_BELOW = sa.cast(
    sa.func.rtrim(roots.c.path, "/").op("||")(sa.literal("/")).op("||")(files.c.relpath), sa.LargeBinary
)
# A root that is itself a file has an empty path below it.
PATH: sa.ColumnElement[bytes] = sa.case((sa.func.length(files.c.relpath) == 0, roots.c.path), else_=_BELOW)
FOLDER: sa.ColumnElement[bytes] = sa.func.simsearch_folder(PATH, type_=sa.LargeBinary)
NAME: sa.ColumnElement[bytes] = sa.func.simsearch_name(PATH, type_=sa.LargeBinary)
MEGAPIXELS: sa.ColumnElement[Any] = contents.c.width * contents.c.height / sa.literal(1e6)


def is_like(column: sa.ColumnElement[Any], pattern: str) -> Condition:
    """Whether all of a text is like `pattern`: % is any text, _ any character; letters in either case."""
    return sa.func.simsearch_like(pattern.encode("utf-8", "surrogatepass"), column) == 1


def is_glob(column: sa.ColumnElement[Any], pattern: str) -> Condition:
    """Whether all of a text fits `pattern` by the rules of `fnmatch`, case and all; * matches slashes too."""
    return sa.func.simsearch_glob(pattern.encode("utf-8", "surrogatepass"), column) == 1


def matching_vectors(connection: sa.Connection, condition: Condition) -> NDArray[np.int64]:
    """The ids of the whole-picture vectors of contents with a file that fulfils the condition, ascending.

    The condition is over the tables files, contents, roots and vectors, of one file and its picture at a
    time. Rows are not held against their seals here; those of the photos that are shown are.
    """
    query = _query(connection, vectors.c.id, condition)
    pages = connection.execute(query, execution_options={"yield_per": 10_000})
    # A picture is found once for each of its files that fulfil it.
    return np.unique(np.fromiter(pages.scalars(), dtype=np.int64))


def matching_files(
    connection: sa.Connection, condition: Condition, content_ids: Sequence[int]
) -> dict[int, set[bytes]]:
    """The absolute paths of those files of each content that fulfil the condition; see `matching_vectors`."""
    found: dict[int, set[bytes]] = {}
    for chunk in chunks(content_ids):
        query = _query(connection, files.c.content_id, condition)
        query = query.add_columns(PATH).where(files.c.content_id.in_(chunk))
        for content_id, path in connection.execute(query):
            found.setdefault(content_id, set()).add(path)
    return found


def holds_file(connection: sa.Connection, condition: Condition) -> bool:
    """Whether any indexed file fulfils a condition over the table files; one look, however many there are."""
    query = sa.select(files.c.id).where(files.c.content_id.is_not(None), condition).limit(1)
    return connection.execute(query).first() is not None


def _query(connection: sa.Connection, column: sa.ColumnElement[Any], condition: Condition) -> sa.Select[Any]:
    _teach(connection)
    joined = (
        files.join(contents, contents.c.id == files.c.content_id)
        .join(roots, roots.c.id == files.c.root_id)
        .join(vectors, sa.and_(vectors.c.content_id == contents.c.id, vectors.c.part == WHOLE))
    )
    return sa.select(column).select_from(joined).where(condition)


def _teach(connection: sa.Connection) -> None:
    """Give SQLite the functions above, once a connection.

    Its own LIKE and GLOB see bytes that are no UTF-8 as other characters than Python does.
    """
    raw = connection.connection.dbapi_connection
    if "simsearch_text" not in connection.info and isinstance(raw, sqlite3.Connection):
        raw.create_function("simsearch_folder", 1, partial(_part, os.path.dirname), deterministic=True)
        raw.create_function("simsearch_name", 1, partial(_part, os.path.basename), deterministic=True)
        raw.create_function("simsearch_like", 2, partial(_fits, like_regex), deterministic=True)
        raw.create_function("simsearch_glob", 2, partial(_fits, _glob), deterministic=True)
        connection.info["simsearch_text"] = True


def _part(part: Callable[[bytes], bytes], path: object) -> bytes | None:
    return part(path) if isinstance(path, bytes) else None


def _fits(compiled: Callable[[bytes], re.Pattern[str]], pattern: bytes, value: object) -> bool | None:
    if isinstance(value, bytes):
        value = os.fsdecode(value)
    return bool(compiled(pattern).match(value)) if isinstance(value, str) else None


# A character that a backslash takes as it is, or any one.
_SIGNS = re.compile(r"(?s)\\([%_\\])|(.)")


@lru_cache(maxsize=64)
def like_regex(pattern: bytes) -> re.Pattern[str]:
    """What matches the texts that are like `pattern`, see `is_like`."""
    pieces = [""]
    for escaped, char in _SIGNS.findall(pattern.decode("utf-8", "surrogatepass")):
        if char == "%":
            pieces.append("")
        else:
            pieces[-1] += "." if char == "_" else re.escape(escaped or char)
    first, *pieces = pieces
    # Atomic groups take the first place where a piece fits, which is never wrong, and never go back.
    middle = "".join(f"(?>.*?{piece})" for piece in pieces[:-1])
    last = f".*{pieces[-1]}" if pieces else ""
    return re.compile(rf"(?si)\A{first}{middle}{last}\Z")


@lru_cache(maxsize=64)
def _glob(pattern: bytes) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern.decode("utf-8", "surrogatepass")))
