"""What people said about copies -> rows for a program, and a table for a person at a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simsearch.report.duplicates.words import counted
from simsearch.report.table import PLAIN, Screen, new_table, render, shown_name

if TYPE_CHECKING:
    from simsearch.storage.answers import Decision

KIND_WORDS = {"different": "no copies of each other", "keep-all": "all stay"}


@dataclass(frozen=True, slots=True)
class VerdictContent:
    """One content of a verdict: hex SHA-256, files at that time, and the files that are indexed now."""

    sha256: str
    files: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One verdict: "different" or "keep-all", when, and on what."""

    kind: str
    at: str
    contents: tuple[VerdictContent, ...]


def verdict_rows(
    decisions: Sequence[Decision], files: Mapping[bytes, tuple[str, ...]]
) -> tuple[VerdictRow, ...]:
    """The verdicts with the files of their contents, as far as `files` has them by digest."""
    return tuple(
        VerdictRow(
            item.kind,
            item.at,
            tuple(
                VerdictContent(sha.hex(), count, files.get(sha, ())) for sha, count in item.contents.items()
            ),
        )
        for item in decisions
    )


def verdicts_table(rows: Sequence[VerdictRow], screen: Screen = PLAIN) -> str:
    """Every verdict with its files; what is not indexed any more is named by its digest."""
    table = new_table(("said", "left"), ("at", "left"), ("files", "left"))
    for row in rows:
        said, at = KIND_WORDS.get(row.kind, row.kind), row.at
        for content in row.contents:
            gone = f"({counted(content.files, 'file')} with SHA-256 {content.sha256[:12]}…, not indexed now)"
            for name in content.paths or (gone,):
                table.add_row(said, at, shown_name(name))
                said = at = ""
    return render(screen, table)
