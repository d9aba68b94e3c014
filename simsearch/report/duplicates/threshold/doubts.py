"""Pairs that a person is asked about -> rows for a program, and lines for a person at a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simsearch.report.duplicates.words import score_words
from simsearch.report.lines import human_bytes
from simsearch.report.table import PLAIN, Screen, new_table, render, shown_name

if TYPE_CHECKING:
    from simsearch.dedup.records import Doubt, Picture


@dataclass(frozen=True, slots=True)
class DoubtPhoto:
    """One side of a pair: its first file, further files with the same bytes, and facts of them.

    `bytes` is None where the file is gone, `taken_at` "YYYY-MM-DDTHH:MM:SS" or None, `sha256` hex.
    """

    path: str
    copies: tuple[str, ...]
    width: int
    height: int
    bytes: int | None
    format: str
    taken_at: str | None
    sha256: str


@dataclass(frozen=True, slots=True)
class DoubtRow:
    """Two pictures of which it would help to know whether they are one, and the score of the pair."""

    score: float
    first: DoubtPhoto
    second: DoubtPhoto


def doubt_rows(doubts: Iterable[Doubt], bytes_of: Callable[[str], int | None]) -> tuple[DoubtRow, ...]:
    """The pairs with the sizes of their files, as `bytes_of` has them by path, else as the index has them."""

    def photo(picture: Picture) -> DoubtPhoto:
        path, *copies = picture.paths
        here = bytes_of(path)
        size = picture.size if here is None else here
        facts = (picture.width, picture.height, size, picture.format, picture.taken_at)
        return DoubtPhoto(path, tuple(copies), *facts, picture.sha256.hex())

    return tuple(DoubtRow(doubt.score, photo(doubt.first), photo(doubt.second)) for doubt in doubts)


def doubt_table(row: DoubtRow, title: str, screen: Screen = PLAIN) -> str:
    """The two files of a pair below a title; in the second row "=" stands where it does not differ."""
    columns = (("size", "right"), ("bytes", "right"), ("taken", "left"), ("format", "left"), ("", "left"))
    table = new_table(*columns)
    first, second = doubt_facts(row.first), doubt_facts(row.second)
    same = ["=" if one == other != "" else other for one, other in zip(first, second, strict=True)]
    for facts, photo in ((first, row.first), (same, row.second)):
        table.add_row(*facts, shown_name(photo.path))
        for copy in photo.copies:
            table.add_row("", "", "", "same bytes", shown_name(copy))
    return render(screen, f"{title}: score {score_words(row.score)}", table)


def doubt_facts(photo: DoubtPhoto) -> list[str]:
    """Size in pixels, bytes, date and format of one side, as a person reads them; "" for what is unknown."""
    return [
        f"{photo.width} x {photo.height}",
        "" if photo.bytes is None else human_bytes(photo.bytes),
        (photo.taken_at or "").replace("T", " "),
        photo.format,
    ]
