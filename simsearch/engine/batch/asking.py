"""Several queries at once: looked up in one transaction, and ranked together where they ask for the same."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import sqlalchemy as sa

from simsearch.engine.batch.hits import content_paths
from simsearch.engine.index import Index
from simsearch.engine.queries.examples import Example, Seen, rocchio
from simsearch.engine.queries.options import QueryOptions
from simsearch.engine.ranking import Wanted, checked_rows
from simsearch.engine.search import Searcher, page_of, wanted_by
from simsearch.errors import IndexDamaged, NotIndexed, SimsearchError
from simsearch.paths import text
from simsearch.records import QueryResult
from simsearch.storage import catalog


@dataclass(frozen=True, slots=True)
class Stored:
    """An indexed picture as a query names it: by its id, by a file's absolute path, or by its SHA-256.

    Exactly one of the three is given. Its file is neither read nor looked at: what counts is what the index
    knows of it. Files of an id and of a path are no hits of the query; by the SHA-256 of a picture that was
    sent they are.
    """

    id: int | None = None
    path: bytes | None = None
    digest: bytes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A query: pictures to be like and unlike, and what else is asked; examples of `options` play no part.

    The source of an `Example` is a `Stored` here; anything else has been looked at already.
    """

    label: str
    plus: tuple[Example | Seen, ...]
    minus: tuple[Example | Seen, ...] = ()
    options: QueryOptions = field(default_factory=QueryOptions)


Answer = QueryResult | SimsearchError


def answers(searcher: Searcher, questions: Sequence[Question]) -> list[Answer]:
    """The result of each question, in order, or the error that it alone met.

    The same hits as if each were asked by itself; scores to the last bit but one.
    """
    named = {
        one.source
        for question in questions
        for one in (*question.plus, *question.minus)
        if isinstance(one, Example)
    }
    try:
        seen = look_up(searcher.index, named)
    except SimsearchError as exc:
        if len(questions) == 1 or not isinstance(exc, IndexDamaged):
            return [exc for _ in questions]
        # A damaged photo that one asks for is no reason to refuse the others.
        return [answer for question in questions for answer in answers(searcher, [question])]
    found: list[Answer | None] = [None] * len(questions)
    groups: dict[Wanted, list[_Asked]] = {}
    for number, question in enumerate(questions):
        try:
            wanted, asked = _asked(searcher, number, question, seen)
            groups.setdefault(wanted, []).append(asked)
        except SimsearchError as exc:
            found[number] = exc
    for wanted, group in groups.items():
        for asked, answer in zip(group, _ranked(searcher.index, wanted, group), strict=True):
            found[asked.number] = answer
    return [answer for answer in found if answer is not None]


def look_up(index: Index, pictures: Collection[Stored]) -> dict[Stored, Seen]:
    """The vector and the own files of each picture that the index holds; the others are left out.

    Raises IndexDamaged when a checksum does not hold.
    """
    if not pictures:
        return {}

    def found(connection: sa.Connection) -> dict[Stored, Seen]:
        contents = {one: _content_of(connection, one) for one in pictures}
        wanted = sorted({content for content in contents.values() if content is not None})
        table = catalog.vectors_where(connection, "content_id", wanted)
        rows = checked_rows(index.segments, table)
        places = {content: place for place, content in enumerate(table.contents.tolist())}
        by_id = [one.id for one in pictures if one.id in places]
        paths = content_paths(connection, [number for number in by_id if number is not None])
        return {
            one: Seen(rows[places[content]], own=_own(one, paths))
            for one, content in contents.items()
            if content in places
        }

    return index.steadily(found)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A question with its place among all, its vector, and the files that are no answer to it."""

    number: int
    question: Question
    vector: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    own: frozenset[bytes]


def _asked(
    searcher: Searcher, number: int, question: Question, seen: dict[Stored, Seen]
) -> tuple[Wanted, _Asked]:
    plus, minus = ([_seen(one, seen) for one in side] for side in (question.plus, question.minus))
    options = question.options
    itself = frozenset(path for one in (*plus, *minus) for path in one.own)
    vector, wanted = rocchio(plus, minus), wanted_by(options)
    if options.expand:
        vector = searcher.expanded(vector, options.expand, replace(wanted, without=itself))
    return wanted, _Asked(number, question, vector, frozenset() if options.include_self else itself)


def _seen(one: Example | Seen, seen: dict[Stored, Seen]) -> Seen:
    if isinstance(one, Seen):
        return one
    if one.source not in seen:
        raise NotIndexed(_unknown(one.source))
    return replace(seen[one.source], weight=one.weight)


def _unknown(one: Stored) -> str:
    if one.id is not None:
        return f"No photo of this index has the id {one.id}."
    if one.path is not None:
        return f"No photo of this index lies at {text(one.path)}."
    return "The picture was forgotten by the index in this very moment. Send it again."


def _ranked(index: Index, wanted: Wanted, group: Sequence[_Asked]) -> list[Answer]:
    try:
        vectors = np.stack([asked.vector for asked in group])
        ranked = index.rank(vectors, replace(wanted, own=tuple(asked.own for asked in group)))
    except SimsearchError as exc:
        if len(group) == 1 or not isinstance(exc, IndexDamaged):
            return [exc for _ in group]
        return [answer for asked in group for answer in _ranked(index, wanted, [asked])]
    return [
        QueryResult(asked.question.label, page_of(hits, asked.question.options))
        for asked, hits in zip(group, ranked, strict=True)
    ]


def _content_of(connection: sa.Connection, one: Stored) -> int | None:
    if one.digest is not None:
        return catalog.content_by_digest(connection, one.digest)
    if one.path is not None:
        row = catalog.row_at(connection, one.path)
        return row.content_id if row is not None else None
    # A picture has the id of its whole vector.
    return one.id


def _own(one: Stored, paths: dict[int, list[bytes]]) -> tuple[bytes, ...]:
    if one.path is not None:
        return (one.path,)
    return tuple(paths.get(one.id, ())) if one.id is not None else ()
