"""The text of a condition -> its tree, or an error that tells the place."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from simsearch.engine.queries.language.dates import Period, period
from simsearch.engine.queries.language.tree import (
    FIELDS,
    OPERATORS,
    SEVERAL,
    All,
    Compare,
    Like,
    Missing,
    Node,
    Not,
    OneOf,
    Some,
)
from simsearch.errors import QueryInvalid
from simsearch.models.labels.names import classes_named

LONGEST, VALUES, LEVELS = 10_000, 500, 30
"""Characters, values and levels of nesting of a condition, at most; SQLite takes no tree deeper than 1000."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<number>-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))
    |(?P<word>[A-Za-z_]+)
    |(?P<sign><=|>=|!=|[=<>(),])
    |(?P<end>\Z))""",
    re.VERBOSE,
)
_KINDS = {
    "text": "a text in quotes",
    "number": "a number",
    "date": "a date in quotes, such as '2023-05'",
}


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of the text: its kind (text, number, word, sign, end), its characters, where it begins."""

    kind: str
    written: str
    place: int

    def says(self, *words: str) -> bool:
        """Whether it is one of these words, in any case, or signs."""
        return self.kind in ("word", "sign") and self.written.lower() in words


def parse(text: str) -> Node:
    """The tree of a condition such as `width > 2000 and path like '%2023%'`.

        condition:   comparisons joined by and, or, not and parentheses; and binds closer than or
        comparison:  FIELD = != < <= > >= VALUE | FIELD [not] like TEXT | FIELD [not] in (VALUE, ...)
                     | FIELD [not] between VALUE and VALUE | FIELD is [not] null

    Words count in any case. A text stands in single or double quotes, a quote inside it is doubled. Raises
    QueryInvalid with the place of what cannot be understood.
    """
    if len(text) > LONGEST:
        raise QueryInvalid(f"A filter has at most {LONGEST:,} characters; this one has {len(text):,}.")
    return _Parser(text).whole()


class _Parser:
    """Reads one text from left to right, by recursive descent: a method for each rule."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._at = self._level = self._values = 0

    def whole(self) -> Node:
        """The tree of all of the text."""
        node = self._some()
        if self._next.kind != "end":
            self._refuse(self._next, "and, or, or the end was expected")
        return node

    def _split(self) -> Iterator[_Token]:
        place = 0
        while True:
            found = _TOKEN.match(self._text, place)
            if found is None:
                left = self._text[place:]
                start = _Token("", "", place + len(left) - len(left.lstrip()))
                quoted = left.lstrip()[:1] in ("'", '"')
                self._refuse(start, "a quote is not closed" if quoted else "this has no meaning here")
            kind = str(found.lastgroup)
            yield _Token(kind, found[kind], found.start(kind))
            if kind == "end":
                return
            place = found.end()

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _took(self, *words: str) -> bool:
        return self._next.says(*words) and bool(self._take())

    def _need(self, word: str) -> None:
        if not self._took(word):
            self._refuse(self._next, f"{word} was expected")

    def _refuse(self, token: _Token, why: str) -> NoReturn:
        here = self._text[token.place : token.place + 20] or "the end"
        raise QueryInvalid(f"The filter cannot be read at character {token.place + 1} ({here}): {why}.")

    def _some(self) -> Node:
        parts = [self._all()]
        while self._took("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _all(self) -> Node:
        parts = [self._one()]
        while self._took("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Node:
        token = self._next
        negated, bracketed = self._took("not"), self._took("(")
        if not negated and not bracketed:
            return self._comparison()
        self._level += 1
        if self._level > LEVELS:
            self._refuse(token, f"more than {LEVELS} levels of not and parentheses")
        if bracketed:
            node = self._some()
            self._need(")")
        else:
            node = self._one()
        self._level -= 1
        return Not(node) if negated else node

    def _comparison(self) -> Node:
        token = self._take()
        field = token.written.lower()
        if token.kind != "word" or field not in FIELDS:
            self._refuse(token, f"a field was expected, one of: {', '.join(FIELDS)}")
        if self._next.says(*OPERATORS):
            return self._compared(field)
        if self._took("is"):
            negated = self._took("not")
            self._need("null")
            return Not(Missing(field)) if negated else Missing(field)
        negated = self._took("not")
        node = self._several(field)
        return Not(node) if negated else node

    def _compared(self, field: str) -> Node:
        token = self._take()
        if field == SEVERAL:
            equal = OneOf(field, (str(self._value(field)),))
            if token.written not in ("=", "!="):
                self._refuse(token, f"{field} is compared by = != like in or is")
            return equal if token.written == "=" else Not(equal)
        return Compare(field, token.written, self._value(field))

    def _several(self, field: str) -> Node:
        if self._next.says("like"):
            token = self._take()
            if FIELDS[field] != "text":
                self._refuse(token, f"like is for texts, and {field} is a {FIELDS[field]}")
            return Like(field, str(self._value(field, pattern=True)))
        if field != SEVERAL and self._took("between"):
            low = self._value(field)
            self._need("and")
            return All((Compare(field, ">=", low), Compare(field, "<=", self._value(field))))
        if not self._took("in"):
            self._refuse(self._next, f"{' '.join(OPERATORS)} like in between or is was expected")
        self._need("(")
        values = [self._value(field)]
        while self._took(","):
            values.append(self._value(field))
        self._need(")")
        # Written out, a path or name would be put together for every value anew.
        plain = tuple(value for value in values if not isinstance(value, Period))
        return OneOf(field, plain) if plain else Some(tuple(Compare(field, "=", value) for value in values))

    def _value(self, field: str, *, pattern: bool = False) -> float | str | Period:
        token, kind = self._take(), FIELDS[field]
        self._values += 1
        if self._values > VALUES:
            self._refuse(token, f"more than {VALUES} values")
        if kind == "date" and token.kind in ("text", "number"):
            return self._period(token)
        if token.kind != kind:
            self._refuse(token, f"{field} is compared with {_KINDS[kind]}")
        if kind == "number":
            return self._number(token)
        value = self._quoted(token)
        if field == SEVERAL and not pattern:
            self._check_label(token, value)
        return value

    def _check_label(self, token: _Token, name: str) -> None:
        try:
            classes_named(name)
        except QueryInvalid as exc:
            self._refuse(token, str(exc).rstrip(".?"))

    def _period(self, token: _Token) -> Period:
        try:
            return period(token.written if token.kind == "number" else self._quoted(token))
        except QueryInvalid as exc:
            self._refuse(token, str(exc).rstrip("."))

    def _number(self, token: _Token) -> float:
        value = float(token.written)
        if not math.isfinite(value):
            self._refuse(token, "a number as large as this cannot be compared")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value

    def _quoted(self, token: _Token) -> str:
        quote = token.written[0]
        value = token.written[1:-1].replace(quote * 2, quote)
        try:
            os.fsencode(value)
        except UnicodeEncodeError:
            self._refuse(token, "a character in it is no text")
        return value
