"""What people said about copies -> rows for a program, and a table for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simsearch.report.duplicates.words import counted
from simsearch.report.table import PLAIN, Screen, new_table, render, shown_name

if TYPE_CHECKING:
    from simsearch.storage.answers import Decision, Label

LABEL = "label"
KIND_WORDS = {"different": "no copies of each other", "keep-all": "all stay"}
LABEL_WORDS = {True: "label: copies", False: "label: different"}


@dataclass(frozen=True, slots=True)
class VerdictContent:
    """One content: hex SHA-256, files at that time (1 for a label), and the files that are indexed now."""

    sha256: str
    files: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One verdict, "different" or "keep-all", or a "label" that says whether two are the same; when, on what.

    `same` is None but for a label.
    """

    kind: str
    at: str
    contents: tuple[VerdictContent, ...]
    same: bool | None = None


def verdict_rows(
    decisions: Iterable[Decision], labels: Iterable[Label], files: Mapping[bytes, tuple[str, ...]]
) -> tuple[VerdictRow, ...]:
    """Verdicts and labels, the oldest first, with the files of their contents, as far as `files` has them."""

    def on(contents: Mapping[bytes, int]) -> tuple[VerdictContent, ...]:
        return tuple(VerdictContent(sha.hex(), count, files.get(sha, ())) for sha, count in contents.items())

    rows = [VerdictRow(item.kind, item.at, on(item.contents)) for item in decisions]
    rows += [
        VerdictRow(LABEL, label.at, on({label.first: 1, label.second: 1}), label.same) for label in labels
    ]
    return tuple(sorted(rows, key=lambda row: row.at))


def verdicts_table(rows: Sequence[VerdictRow], screen: Screen = PLAIN) -> str:
    """Every verdict and label with its files; what is not indexed any more is named by its digest.

    Of a content with several files all but the first are marked: nothing is said of them towards each other.
    """
    table = new_table(("said", "left"), ("at", "left"), ("", "left"), ("files", "left"))
    for row in rows:
        words = KIND_WORDS.get(row.kind, row.kind) if row.same is None else LABEL_WORDS[row.same]
        said, at = words, row.at
        for content in row.contents:
            gone = f"({counted(content.files, 'file')} with SHA-256 {content.sha256[:12]}…, not indexed now)"
            for place, name in enumerate(content.paths or (gone,)):
                table.add_row(said, at, "same bytes" if place else "", shown_name(name))
                said = at = ""
    return render(screen, table)
