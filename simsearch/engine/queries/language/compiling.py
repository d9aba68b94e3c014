"""The tree of a condition -> SQL, in which every value is bound and none is part of the text."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from simsearch.engine.queries.language.dates import Period, nanoseconds, written
from simsearch.engine.queries.language.tree import (
    All,
    Below,
    Compare,
    Glob,
    Like,
    Missing,
    Node,
    Not,
    OneOf,
    Some,
)
from simsearch.errors import QueryInvalid
from simsearch.models.labels.names import classes_named, list_names
from simsearch.paths import relative, text
from simsearch.storage import catalog
from simsearch.storage.catalog import Condition, matching
from simsearch.storage.schema import contents, files

_TEXTS: dict[str, sa.ColumnElement[Any]] = {
    "path": matching.PATH,
    "folder": matching.FOLDER,
    "name": matching.NAME,
    "format": contents.c.format,
}
_NUMBERS: dict[str, sa.ColumnElement[Any]] = {
    "width": contents.c.width,
    "height": contents.c.height,
    "megapixels": matching.MEGAPIXELS,
    "bytes": files.c.size,
    "id": contents.c.id,
}
_ORDER: dict[str, Callable[[Any, Any], Condition]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# What people call a format by its usual suffix, in Pillow's words.
_NAMES = {"JPG": "JPEG", "TIF": "TIFF", "HEIC": "HEIF", "JP2": "JPEG2000"}


def compiled(connection: sa.Connection, node: Node) -> Condition:
    """The condition of a tree, for `catalog.matching_vectors`.

    It is never NULL: where a date is missing, what asks for it is false, and its opposite true. Raises
    QueryInvalid for a folder below which nothing is indexed.
    """
    match node:
        case All(parts):
            return sa.and_(sa.true(), *(compiled(connection, part) for part in parts))
        case Some(parts):
            return sa.or_(sa.false(), *(compiled(connection, part) for part in parts))
        case Not(part):
            return sa.not_(compiled(connection, part))
        case Below(folder):
            return _below(connection, folder)
        case OneOf("label", values):
            return _labelled(connection, set[int]().union(*(classes_named(str(value)) for value in values)))
        case Like("label", pattern):
            return _labelled(connection, classes_like(pattern))
        case Missing("label"):
            return sa.not_(_labelled(connection, None))
        case OneOf(field, values):
            column, bound = _column(field)
            return column.in_([bound(value) for value in values])
        case Like(field, pattern):
            return matching.is_like(_TEXTS[field], pattern)
        case Glob(field, pattern):
            return matching.is_glob(_TEXTS[field], pattern)
        case Missing(field):
            return contents.c.taken_at.is_(None) if field == "taken" else sa.false()
        case Compare():
            return _compared(node)


def _labelled(connection: sa.Connection, classes: set[int] | None) -> Condition:
    """Whether a photo has one of these labels; None is any. Raises QueryInvalid where none gets labels."""
    if catalog.has_labels(connection):
        return catalog.is_labelled(classes)
    refuse_without_labels(connection)
    return sa.false()


def refuse_without_labels(connection: sa.Connection) -> None:
    """Raises QueryInvalid where an index keeps no labels, with the reason."""
    reason = catalog.why_no_labels(catalog.read_settings(connection))
    if reason is not None:
        raise QueryInvalid(f"The photos of this index have no labels: {reason}.")


def classes_like(pattern: str) -> set[int]:
    """The classes whose names are like `pattern`, see `matching.is_like`. Raises QueryInvalid for none."""
    fits = matching.like_regex(pattern.encode("utf-8", "surrogatepass")).match
    found = {number for number, name in enumerate(list_names()) if fits(name)}
    if not found:
        raise QueryInvalid(f"There is no label like {pattern!r}. They are ImageNet's, such as 'tabby'.")
    return found


def _compared(node: Compare) -> Condition:
    if isinstance(node.value, Period):
        return _dated(node.field, node.operator, node.value)
    column, bound = _column(node.field)
    return _ORDER[node.operator](column, bound(node.value))


def _column(field: str) -> tuple[sa.ColumnElement[Any], Callable[[float | str], sa.ColumnElement[Any]]]:
    """A field of text or numbers, and what binds a value to be compared with it."""
    if field in _NUMBERS:
        return _NUMBERS[field], sa.literal
    if field == "format":
        return sa.func.upper(contents.c.format), lambda value: sa.literal(_format(str(value)))
    return _TEXTS[field], lambda value: sa.literal(os.fsencode(str(value)), sa.LargeBinary)


def _format(name: str) -> str:
    upper = name.upper().encode("ascii", "replace").decode()
    return _NAMES.get(upper, upper)


def _dated(field: str, sign: str, value: Period) -> Condition:
    taken = _within(contents.c.taken_at, sign, written(value.start), written(value.end))
    modified = _within(files.c.mtime_ns, sign, nanoseconds(value.start), nanoseconds(value.end))
    told = contents.c.taken_at.is_not(None)
    if field == "modified":
        return modified
    return sa.and_(told, taken) if field == "taken" else sa.case((told, taken), else_=modified)


def _within(column: sa.ColumnElement[Any], sign: str, start: str | int, end: str | int) -> Condition:
    """A moment against the period from `start` up to, and without, `end`."""
    begun, over = column >= sa.literal(start), column >= sa.literal(end)
    holds: dict[str, Condition] = {
        "=": sa.and_(begun, sa.not_(over)),
        "!=": sa.or_(sa.not_(begun), over),
        "<": sa.not_(begun),
        "<=": sa.not_(over),
        ">": over,
        ">=": begun,
    }
    return holds[sign]


def _below(connection: sa.Connection, folder: bytes) -> Condition:
    parts: list[Condition] = []
    for root in catalog.read_roots(connection):
        inside = relative(folder, root.path)
        own = files.c.root_id == root.id
        if inside:
            within = sa.and_(files.c.relpath >= inside + b"/", files.c.relpath < inside + b"0")
            parts.append(sa.and_(own, sa.or_(files.c.relpath == inside, within)))
        elif inside is not None or relative(root.path, folder) is not None:
            parts.append(own)
    condition = sa.or_(sa.false(), *parts)
    if not catalog.holds_file(connection, condition):
        raise QueryInvalid(
            f"No indexed photo lies below {text(folder)}. simsearch info shows the folders of this index."
        )
    return condition
