"""Hits and indexed pictures -> the tiles of a gallery and the lines of a table."""

from __future__ import annotations

import os
from collections.abc import Sequence

from simsearch.records import Hit, QueryResult
from simsearch.report import machine
from simsearch.report.lines import part_of, rarity_words
from simsearch.report.names import visible
from simsearch.ui.look import size_of
from simsearch.ui.pages.search.answers.facts import Shot, shots
from simsearch.ui.parts.gallery import Tile
from simsearch.ui.shared import Library

LIKELY = 0.2
"""Labels of at least this probability are shown with a picture, four or fewer."""


def name_of(path: str) -> str:
    """The last name of a path, to be shown."""
    return visible(os.path.basename(path) or path)


def hit_tiles(lib: Library, hits: Sequence[Hit]) -> list[Tile]:
    """The tiles of some hits."""
    known = shots(lib.index, [hit.id for hit in hits])
    return [_tile(lib, known.get(hit.id), hit) for hit in hits]


def shot_tiles(lib: Library, ids: Sequence[int]) -> list[Tile]:
    """The tiles of indexed pictures; one that went meanwhile is left out."""
    known = shots(lib.index, ids)
    return [_tile(lib, known[vector_id], None) for vector_id in ids if vector_id in known]


def facts_line(shot: Shot) -> str:
    """Size, format, bytes and day of a picture, and what it is likely to show, with dots between."""
    words = [f"{shot.width} \N{MULTIPLICATION SIGN} {shot.height}"]
    if shot.width * shot.height >= 100_000:
        words.append(f"{shot.width * shot.height / 1e6:.1f} MP")
    shows = [f"{label.name} {label.probability:.0%}" for label in shot.labels if label.probability >= LIKELY]
    return " · ".join(word for word in (*words, shot.format, size_of(shot.bytes), shot.day, *shows) if word)


def table(label: str, hits: Sequence[Hit]) -> bytes:
    """The hits as CSV, as `simsearch query --format csv` writes them."""
    return b"".join(machine.to_csv([QueryResult(label, tuple(hits))]))


def _tile(lib: Library, shot: Shot | None, hit: Hit | None) -> Tile:
    # A hit shows the file that matched; one of the two is always there.
    paths = (hit.path, *hit.copies) if hit is not None else shot.paths if shot is not None else ("",)
    vector_id = hit.id if hit is not None else shot.id if shot is not None else 0
    return Tile(
        id=vector_id,
        src=lib.thumbnail(vector_id),
        large=lib.picture(vector_id),
        name=name_of(paths[0]),
        path=visible(paths[0]),
        copied=_as_text(paths[0]),
        facts=" · ".join(filter(None, (facts_line(shot) if shot is not None else "", *_matched(hit)))),
        score=f"{hit.score:.3f}" if hit is not None else "",
        copies=tuple(visible(path) for path in paths[1:]),
    )


def _matched(hit: Hit | None) -> tuple[str, ...]:
    """How rare such a score is here, and the part that matched, as far as they are known."""
    if hit is None:
        return ()
    rare = f"as alike as {rarity_words(hit.one_in)} pairs" if hit.one_in is not None else ""
    return rare, f"by its part {part_of(hit)}" if hit.part is not None else ""


def _as_text(path: str) -> str:
    """A path for the clipboard; bytes that are no text are written as escapes."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return visible(path)
    return path
