"""Settings as the database has them, each held against its seal and against what it may be."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import sqlalchemy as sa

from simsearch.errors import IndexDamaged
from simsearch.storage.catalog.files import sealed_rows
from simsearch.storage.schema import settings

GENERATION = "generation"
MOST = 1 << 62
T = TypeVar("T")


def read_settings(connection: sa.Connection) -> dict[str, str]:
    """All settings."""
    return {row["key"]: row["value"] for row in sealed_rows(connection, settings, sa.select(settings))}


def generation(connection: sa.Connection) -> int:
    """How many times the index was written to."""
    query = sa.select(settings).where(settings.c.key == GENERATION)
    found = {row["key"]: row["value"] for row in sealed_rows(connection, settings, query)}
    return number(found, GENERATION, 0)


def number(found: Mapping[str, str], key: str, default: int) -> int:
    """A setting that is a count. Raises IndexDamaged for anything else."""
    return parsed(key, found[key], _count) if key in found else default


def end_of(found: Mapping[str, str]) -> tuple[int, int]:
    """Where the next vector goes: (segment, row). Raises IndexDamaged where that cannot be."""
    return parsed("end", found.get("end", ""), _place)


def replaced_segments(found: Mapping[str, str]) -> set[int]:
    """The segments that were replaced and whose files may be deleted. Raises IndexDamaged."""
    return parsed("replaced", found.get("replaced", "[]"), lambda value: {_count(item) for item in value})


def rules_of(found: Mapping[str, str], key: str) -> tuple[tuple[str, ...], bool]:
    """What a root passes over: patterns, and whether hidden files are taken. Raises IndexDamaged."""
    return parsed(key, found.get(key, "{}"), _rules)


def parsed(key: str, value: str, check: Callable[[Any], T]) -> T:
    """What `check` makes of a setting's JSON. Raises IndexDamaged where it raises TypeError or ValueError."""
    try:
        return check(json.loads(value))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise IndexDamaged(
            f"The setting {key} in index.db is none that simsearch writes. Run: simsearch verify"
        ) from exc


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < MOST:
        raise ValueError("no count")
    return value


def _place(value: Any) -> tuple[int, int]:
    segment, row = value
    return _count(segment), _count(row)


def _rules(value: dict[str, Any]) -> tuple[tuple[str, ...], bool]:
    exclude, hidden = value.get("exclude", []), value.get("hidden", False)
    if not isinstance(hidden, bool) or not isinstance(exclude, list):
        raise ValueError("no rules")
    if not all(isinstance(glob, str) for glob in exclude):
        raise ValueError("no patterns")
    return tuple(exclude), hidden
