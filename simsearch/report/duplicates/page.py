"""Groups of copies, leaks and pairs in doubt -> an HTML page that needs no network: pictures are in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from simsearch.report.duplicates.table import leaks_summary, summary
from simsearch.report.duplicates.threshold.curve import calibration_line
from simsearch.report.duplicates.threshold.doubts import doubt_facts
from simsearch.report.duplicates.words import group_words, is_copy, level_words, score_words
from simsearch.report.lines import human_bytes
from simsearch.report.page import broken, document, escaped, link, picture

if TYPE_CHECKING:
    from simsearch.dedup.records import DuplicateGroup, DuplicatePhoto, DuplicateReport, Leak, LeakReport
    from simsearch.report.duplicates.threshold.doubts import DoubtRow

Thumbnails = Callable[[str], bytes | None]
"""Gives JPEG bytes for a path, or None where there is no preview."""

SHOWN_PHOTOS = 24
_STYLE = """
.why { color: var(--soft); font-size: .85rem; margin: -.5rem 0 .75rem; }
ol.side { grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); }
li.keep { border: 2px solid var(--accent); }
.mark { color: var(--accent); font-weight: 600; }
.doubt .mark { color: var(--soft); }
.facts b { color: var(--ink); }
details.rest { margin-top: .75rem; }
@media (max-width: 40rem) { ol.side { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
"""


def groups_page(report: DuplicateReport, thumbnail: Thumbnails) -> Iterator[str]:
    """A self-contained page of all groups, in pieces: their pictures side by side, the keeper marked.

    What differs from the keeper is bold. Of a large group the first 24 are shown, the others listed.
    """
    sections = chain(
        _calibration(report),
        (_group(number, group, thumbnail) for number, group in enumerate(report.groups, start=1)),
    )
    return document(sections, title="Copies", subtitle=summary(report), style=_STYLE)


def leaks_page(report: LeakReport, thumbnail: Thumbnails) -> Iterator[str]:
    """A self-contained page of all leaks, in pieces: the test picture beside the one of the training set."""
    sections = chain(
        _calibration(report),
        (_leak(number, leak, thumbnail) for number, leak in enumerate(report.leaks, start=1)),
    )
    subtitle = f"{report.test} in {report.train}: {leaks_summary(report)}"
    return document(sections, title="Leaks", subtitle=subtitle, style=_STYLE)


def doubts_page(rows: Sequence[DoubtRow], thumbnail: Thumbnails) -> Iterator[str]:
    """A self-contained page of the pairs that are asked about, in pieces, numbered as they are asked."""
    sections = (_doubt(number, row, thumbnail) for number, row in enumerate(rows, start=1))
    subtitle = "Is the second picture a copy of the first, edited or not? Answer at the terminal."
    return document(sections, title="Copies or not?", subtitle=subtitle, style=_STYLE)


def _calibration(report: DuplicateReport | LeakReport) -> Iterator[str]:
    if report.calibration is not None:
        line = calibration_line(report.calibration)
        yield f'<section><p class="why">{escaped(line[:1].upper() + line[1:])}.</p></section>\n'


def _group(number: int, group: DuplicateGroup, thumbnail: Thumbnails) -> str:
    keeper = group.photos[0]
    shown = "".join(_photo(photo, keeper, thumbnail) for photo in group.photos[:SHOWN_PHOTOS])
    rows = "".join(
        f"<li><bdi>{link(photo.path, photo.path)}</bdi></li>" for photo in group.photos[SHOWN_PHOTOS:]
    )
    left = len(group.photos) - SHOWN_PHOTOS
    rest = f'<details class="rest"><summary>{left} more</summary><ul>{rows}</ul></details>' if rows else ""
    score = f", score from {score_words(group.min_score)} on" if group.min_score < 1 else ""
    return (
        f'<section aria-labelledby="g{number}">\n<h2 id="g{number}">Group {number}: '
        f"{escaped(group_words(group.level))}{score}</h2>\n"
        f'<p class="why"><bdi>{broken(group.why)}</bdi></p>\n'
        f'<ol class="side">\n{shown}</ol>{rest}\n</section>\n'
    )


def _photo(photo: DuplicatePhoto, keeper: DuplicatePhoto, thumbnail: Thumbnails) -> str:
    kept = photo.path == keeper.path
    kind = "keep" if kept else "copy" if is_copy(photo.level) else "doubt"
    mark = "Keep" if kept else level_words(photo.level).capitalize()
    score = "" if kept else f"<span>{score_words(photo.score)}</span>"
    folder, name = os.path.split(photo.path)
    same_folder = folder == os.path.dirname(keeper.path)
    facts = ", ".join(
        (
            _fact(
                f"{photo.width} &times; {photo.height}",
                (photo.width, photo.height) != (keeper.width, keeper.height),
            ),
            _fact(human_bytes(photo.bytes), photo.bytes != keeper.bytes),
        )
    )
    return (
        f'<li class="{kind}">{picture(thumbnail(photo.path), f"{mark}: {name}")}'
        f'<div class="score"><div class="mark">{escaped(mark)}</div>{score}</div>'
        f'<div class="name"><bdi>{link(photo.path, name)}</bdi></div>'
        f'<div class="facts"><bdi>{_fact(broken(folder), not same_folder)}</bdi></div>'
        f'<div class="facts">{facts}</div></li>\n'
    )


def _fact(markup: str, differs: bool) -> str:
    return f"<b>{markup}</b>" if differs else markup


def _leak(number: int, leak: Leak, thumbnail: Thumbnails) -> str:
    sides = "".join(
        _side(what, path, thumbnail) for what, path in (("Test", leak.test), ("Train", leak.train))
    )
    return (
        f'<section aria-labelledby="l{number}">\n<h2 id="l{number}">Leak {number}: '
        f"{escaped(level_words(leak.level))}, score {score_words(leak.score)}</h2>\n"
        f'<ol class="side">\n{sides}</ol>\n</section>\n'
    )


def _doubt(number: int, row: DoubtRow, thumbnail: Thumbnails) -> str:
    known = doubt_facts(row.first)
    sides = ""
    for what, photo in (("First", row.first), ("Second", row.second)):
        compared = zip(doubt_facts(photo), known, strict=True)
        facts = ", ".join(_fact(escaped(fact), fact != other) for fact, other in compared if fact)
        sides += _side(what, photo.path, thumbnail, f'<div class="facts">{facts}</div>')
    return (
        f'<section aria-labelledby="p{number}">\n<h2 id="p{number}">Pair {number}: '
        f"score {score_words(row.score)}</h2>\n"
        f'<ol class="side">\n{sides}</ol>\n</section>\n'
    )


def _side(what: str, path: str, thumbnail: Thumbnails, facts: str = "") -> str:
    folder, name = os.path.split(path)
    return (
        f"<li>{picture(thumbnail(path), f'{what}: {name}')}"
        f'<div class="score"><div class="mark">{what}</div></div>'
        f'<div class="name"><bdi>{link(path, name)}</bdi></div>'
        f'<div class="facts"><bdi>{broken(folder)}</bdi></div>{facts}</li>\n'
    )
