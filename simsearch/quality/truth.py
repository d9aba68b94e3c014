"""Which pictures belong together: by folder, by a table, or by a pattern in their names."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simsearch.engine.exchange.tables import read_table
from simsearch.errors import EvalInvalid, SimsearchError
from simsearch.paths import canonical, is_url, relative, text
from simsearch.quality.collection import Pictures
from simsearch.quality.records import HALVES, EvalOptions
from simsearch.views.base import Ids

NAME = "name:"
FOLDERS = "folders"
Names = Mapping[bytes, frozenset[str]]
"""The groups of each picture that has any, by its SHA-256."""

GroupsOf = Callable[[bytes], Iterable[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What belongs together among some pictures.

    Attributes:
        names: groups of two pictures or more, by name.
        members: places of the pictures of each group, ascending.
        groups: numbers of the groups that each picture is in.
    """

    names: tuple[str, ...]
    members: tuple[Ids, ...]
    groups: tuple[tuple[int, ...], ...]

    def right(self, place: int) -> Ids:
        """Places of the other pictures that share a group with this one, ascending."""
        together = [self.members[group] for group in self.groups[place]]
        if not together:
            return np.empty(0, dtype=np.int64)
        found = together[0] if len(together) == 1 else np.unique(np.concatenate(together))
        others: Ids = found[found != place]
        return others


def names_of(pictures: Pictures, options: EvalOptions, note: Callable[[str], None]) -> Names:
    """The groups of each picture by the truth of `options`; a picture may be in several, or in none.

    Raises EvalInvalid for a pattern that is none, SimsearchError for a table that cannot be read or names
    files that are not in the index.
    """
    groups_of: GroupsOf
    if options.truth is None:
        groups_of = _by_folder(pictures.base)
    elif options.truth.startswith(NAME):
        groups_of = _by_pattern(options.truth.removeprefix(NAME), options.group_size)
    else:
        groups_of = _by_table(Path(os.path.expanduser(options.truth)), pictures, note)
    found = {}
    for digest, paths in zip(pictures.digests, pictures.paths, strict=True):
        names = frozenset(name for path in paths for name in groups_of(path))
        if names:
            found[digest] = names
    return found


def half_of(name: str) -> str:
    """The half that a group is in, by one bit of the SHA-256 of its name.

    It is the same for ever, whatever other groups there are; the halves are about equal for many groups.
    """
    return HALVES[hashlib.sha256(os.fsencode(name)).digest()[0] & 1]


def in_half(pictures: Pictures, names: Names, half: str) -> Pictures:
    """The pictures of the groups of one half, and those without a group.

    A picture that has groups in both halves is in neither.
    """
    kept = [
        all(half_of(name) == half for name in names.get(digest, frozenset())) for digest in pictures.digests
    ]
    return pictures.at(np.flatnonzero(kept))


def truth_of(pictures: Pictures, names: Names, half: str | None = None) -> Truth:
    """The groups among these pictures, which are those of a half, if of any.

    Raises SimsearchError where no group has two pictures, or where all pictures are of one group.
    """
    places: dict[str, list[int]] = {}
    for place, digest in enumerate(pictures.digests):
        for name in names.get(digest, ()):
            places.setdefault(name, []).append(place)
    those = f"{len(pictures)} pictures" + (f" of the half to {half}" if half else "")
    several = sorted(name for name, found in places.items() if len(found) > 1)
    if not several:
        raise SimsearchError(
            f"No two of the {those} belong together ({len(places)} groups of one), so "
            "that nothing can be asked. Say with --truth what belongs together."
        )
    if any(len(places[name]) == len(pictures) for name in several):
        raise SimsearchError(
            f"All {those} belong together ({several[0]}), so that no answer can be wrong. "
            "Say with --truth what belongs together."
        )
    groups: list[list[int]] = [[] for _ in range(len(pictures))]
    for number, name in enumerate(several):
        for place in places[name]:
            groups[place].append(number)
    members = tuple(np.array(places[name], dtype=np.int64) for name in several)
    return Truth(tuple(several), members, tuple(tuple(found) for found in groups))


def _by_folder(base: bytes) -> GroupsOf:
    def groups_of(path: bytes) -> list[str]:
        folder = os.path.dirname(path)
        inside = relative(folder, base)
        return [text(folder if inside is None else inside or b".")]

    return groups_of


def _by_pattern(pattern: str, size: int | None) -> GroupsOf:
    try:
        compiled = re.compile(pattern)
    except re.error as exc:
        raise EvalInvalid(f"{pattern!r} is no regular expression: {exc}.") from exc
    if compiled.groups != 1:
        raise EvalInvalid(
            f"{pattern!r} has {compiled.groups} groups in parentheses; it needs one, around what pictures "
            "that belong together have in common. (?:…) groups without counting."
        )

    def groups_of(path: bytes) -> list[str]:
        name = text(os.path.basename(path))
        found = compiled.search(name)
        if found is None or found[1] is None:
            return []
        if size is None:
            return [found[1]]
        if not found[1].isdecimal():
            raise EvalInvalid(
                f"In {text(path)} the pattern finds {found[1]!r}, which is no number, so that it is in none "
                f"of the groups of {size} consecutive ones."
            )
        first = int(found[1]) // size * size
        return [f"{first}-{first + size - 1}"]

    return groups_of


def _by_table(table: Path, pictures: Pictures, note: Callable[[str], None]) -> GroupsOf:
    if not table.is_file():
        raise SimsearchError(
            f"{table} is no file. --truth takes a table with the columns path and group, or name:REGEX."
        )
    folder = os.fsencode(table.absolute().parent)
    groups: dict[bytes, set[str]] = {}
    for row in read_table(table):
        if "group" not in row:
            columns = ", ".join(key for key in row if key != "copies")
            raise SimsearchError(f"{table} has no column called group, only {columns}.")
        named = os.fsencode(row["path"])
        path = canonical(named if is_url(named) else os.path.join(folder, named))
        groups.setdefault(path, set()).update({row["group"]} if row["group"] else ())
    _check_known(table, list(groups), pictures, note)
    known = {path: frozenset(names) for path, names in groups.items()}
    return lambda path: known.get(path, frozenset())


def _check_known(table: Path, listed: list[bytes], pictures: Pictures, note: Callable[[str], None]) -> None:
    indexed = {path for paths in pictures.paths for path in paths}
    unknown = sorted(path for path in listed if path not in indexed)
    if not unknown:
        return
    skipped = {os.fsencode(file.path) for file in pictures.index.skipped()}
    strange = [path for path in unknown if path not in skipped]
    if strange:
        raise SimsearchError(
            f"{len(strange)} of the {len(listed)} files in {table} are not in the index "
            f"{pictures.index.path}, the first is {text(strange[0])}. Index them, or take them out."
        )
    note(f"{len(unknown)} files in {table} were skipped when they were indexed and are left out.")
