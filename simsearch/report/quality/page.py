"""Figures of quality -> an HTML page that needs no network: figures, classes, and the worst queries shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from simsearch.report.page import broken, document, escaped, link, picture
from simsearch.report.quality.table import (
    figure_cells,
    figure_titles,
    group_cells,
    group_titles,
    summary,
)

if TYPE_CHECKING:
    from simsearch.quality.records import Answer, EvalReport, WorstQuery

Thumbnails = Callable[[str], bytes | None]
"""Gives JPEG bytes for a path, or None where there is no preview."""

SHOWN_GROUPS = 500
SHOWN_ANSWERS = 24
_STYLE = """
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 500; color: var(--soft); font-size: .85rem; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; }
.mark { font-weight: 600; color: var(--soft); }
li.query, li.right { border: 2px solid var(--accent); }
li.right .mark, li.query .mark { color: var(--accent); }
"""


def eval_page(report: EvalReport, thumbnail: Thumbnails) -> Iterator[str]:
    """A self-contained page of an evaluation, in pieces.

    Each of the worst queries is shown with its best answers, those that are right marked. The first 500
    classes and 24 answers a query are shown.
    """
    worst = (_worst(number, query, thumbnail) for number, query in enumerate(report.worst, start=1))
    sections = chain((_figures(report), _groups(report)), worst)
    return document(sections, title="Quality of the answers", subtitle=summary(report), style=_STYLE)


def _figures(report: EvalReport) -> str:
    titles = figure_titles(report.config.k)
    return (
        '<section aria-labelledby="figures">\n<h2 id="figures">All queries</h2>\n'
        f"{_table(titles, [[escaped(cell) for cell in figure_cells(report)]])}</section>\n"
    )


def _groups(report: EvalReport) -> str:
    rows = (
        [f"<bdi>{broken(group.name)}</bdi>", *map(escaped, group_cells(group))]
        for group in report.groups[:SHOWN_GROUPS]
    )
    left = len(report.groups) - SHOWN_GROUPS
    more = f"<p>and {left:,} more</p>" if left > 0 else ""
    return (
        '<section aria-labelledby="classes">\n<h2 id="classes">Classes, the lowest mAP first</h2>\n'
        f"{_table(('class', *group_titles(report.config.k)), rows)}{more}</section>\n"
    )


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{escaped(title)}</th>' for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n'
    )


def _worst(number: int, query: WorstQuery, thumbnail: Thumbnails) -> str:
    right = sum(answer.right for answer in query.answers)
    answers = "".join(
        _answer(rank, answer, thumbnail) for rank, answer in enumerate(query.answers[:SHOWN_ANSWERS], start=1)
    )
    asked = _card("query", "Query", query.path, thumbnail, "")
    return (
        f'<section aria-labelledby="w{number}">\n<h2 id="w{number}">Worst query {number}: average precision '
        f"{query.average_precision:.4f}, {right} of the first {len(query.answers)} answers right, class "
        f"<bdi>{broken(', '.join(query.groups))}</bdi></h2>\n<ol>\n{asked}{answers}</ol>\n</section>\n"
    )


def _answer(rank: int, answer: Answer, thumbnail: Thumbnails) -> str:
    kind, mark = ("right", "Right") if answer.right else ("wrong", "Wrong")
    return _card(kind, f"{mark}, #{rank}", answer.path, thumbnail, f"{answer.score:.4f}")


def _card(kind: str, mark: str, path: str, thumbnail: Thumbnails, score: str) -> str:
    folder, name = os.path.split(path)
    return (
        f'<li class="{kind}">{picture(thumbnail(path), f"{mark}: {name}")}'
        f'<div class="score"><div class="mark">{mark}</div><span>{score}</span></div>'
        f'<div class="name"><bdi>{link(path, name)}</bdi></div>'
        f'<div class="folder"><bdi>{broken(folder)}</bdi></div></li>\n'
    )
