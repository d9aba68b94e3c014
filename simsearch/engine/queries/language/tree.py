"""The tree of a condition: what is asked of one file and its picture."""

from __future__ import annotations

from dataclasses import dataclass

from simsearch.engine.queries.language.dates import Period

FIELDS: dict[str, str] = {
    "path": "text",
    "folder": "text",
    "name": "text",
    "format": "text",
    "label": "text",
    "width": "number",
    "height": "number",
    "megapixels": "number",
    "bytes": "number",
    "id": "number",
    "taken": "date",
    "modified": "date",
    "date": "date",
}
"""Every field by its kind. `date` is `taken`, or `modified` where a photo does not say when it was taken."""

SEVERAL = "label"
"""The field of which a photo has several values: a comparison holds where it does for one of them."""

OPERATORS = ("=", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Compare:
    """A field against a value of its kind, by one of `OPERATORS`.

    A period is compared as a whole: = is within it, < before it begins, > after it has ended. Where a date
    is missing no comparison holds.
    """

    field: str
    operator: str
    value: float | str | Period


@dataclass(frozen=True, slots=True)
class OneOf:
    """A field of text or numbers that equals one of the values."""

    field: str
    values: tuple[float | str, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """A text against a pattern in which % is any text and _ any character, whatever the case of letters."""

    field: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Glob:
    """A text against a pattern of `fnmatch`, case and all."""

    field: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Below:
    """Whether a file is, or lies below, this absolute path."""

    folder: bytes


@dataclass(frozen=True, slots=True)
class Missing:
    """Whether a field has no value, as `taken` has where a photo does not say."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: Node


@dataclass(frozen=True, slots=True)
class All:
    """Every part; true without one."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of the parts."""

    parts: tuple[Node, ...]


Node = Compare | OneOf | Like | Glob | Below | Missing | Not | All | Some
