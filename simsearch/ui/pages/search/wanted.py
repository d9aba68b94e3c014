"""What is looked for, as a record that an address of the page can hold."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote_to_bytes

from simsearch.models.labels.names import list_names
from simsearch.ui.parts.region import Box, checked

Address = dict[str, str | list[str]]
MOST_EXAMPLES = 16
_LONGEST = 18


@dataclass(frozen=True, slots=True)
class Example:
    """A picture that the hits are to be like, or unlike: an indexed one by its id, or an upload by its.

    `box` is the region of it that counts; None is the whole picture.
    """

    indexed: int | None = None
    upload: str | None = None
    box: Box | None = None

    def __str__(self) -> str:
        name = f"u{self.upload}" if self.indexed is None else str(self.indexed)
        return name if self.box is None else f"{name}@{','.join(f'{part:g}' for part in self.box)}"

    @classmethod
    def read(cls, words: str) -> Example | None:
        """What `str` made of one, or None."""
        name, _, told = words.partition("@")
        box = checked([_number(part) for part in told.split(",")]) if told else None
        if name.isascii() and name.isdigit() and len(name) <= _LONGEST:
            return cls(indexed=int(name), box=box)
        return cls(upload=name[1:], box=box) if name[:1] == "u" and len(name) > 1 else None


@dataclass(frozen=True, slots=True)
class Limits:
    """Which pictures may be shown at all.

    Attributes:
        folder: absolute; the pictures in it and below it.
        name: part of a file's name.
        label: one of ImageNet's that they have.
        formats: Pillow's names.
        megapixels, width, kilobytes: at least so large; the last is of the file.
        since, until: first and last day on which they were taken.
        best: hits at most; 0 for as many as are ever shown.
    """

    folder: str | None = None
    name: str = ""
    label: str | None = None
    formats: tuple[str, ...] = ()
    megapixels: int = 0
    width: int = 0
    kilobytes: int = 0
    since: datetime.date | None = None
    until: datetime.date | None = None
    best: int = 0

    def count(self) -> int:
        """How many filters are set."""
        return sum(1 for field in self.__slots__ if field != "best" and getattr(self, field))


@dataclass(frozen=True, slots=True)
class Search:
    """Examples and limits; without an example it is the collection that is looked through."""

    plus: tuple[Example, ...] = ()
    minus: tuple[Example, ...] = ()
    limits: Limits = Limits()

    @property
    def examples(self) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
        """What makes two searches the same but for their limits."""
        return self.plus, self.minus

    def with_example(self, vector_id: int, *, like: bool) -> Search:
        """This search with an indexed picture as one more example; it is taken from the other side."""
        made = Example(indexed=vector_id)
        plus = tuple(example for example in self.plus if example.indexed != vector_id)
        minus = tuple(example for example in self.minus if example.indexed != vector_id)
        if like:
            return replace(self, plus=(*plus, made)[:MOST_EXAMPLES], minus=minus)
        # The last picture that the hits are to be like cannot be what they are to be unlike as well.
        return replace(self, plus=plus, minus=(*minus, made)[:MOST_EXAMPLES]) if plus else self

    def without(self, example: Example) -> Search:
        """This search without an example; with the last one to be like go those to be unlike."""
        plus = tuple(known for known in self.plus if known != example)
        minus = tuple(known for known in self.minus if known != example)
        return replace(self, plus=plus, minus=minus if plus else ())

    def with_region(self, box: Box | None) -> Search:
        """This search by a region of its first example."""
        return replace(self, plus=(replace(self.plus[0], box=box), *self.plus[1:]))


def to_address(search: Search) -> Address:
    """The query part of the page's address that stands for a search."""
    limits = search.limits
    told: Address = {
        "like": [str(example) for example in search.plus],
        "unlike": [str(example) for example in search.minus],
        # Twice encoded: a folder's name may hold bytes that no address can.
        "folder": quote(os.fsencode(limits.folder)) if limits.folder else "",
        "name": quote(limits.name),
        "label": limits.label or "",
        "format": list(limits.formats),
        "megapixels": str(limits.megapixels or ""),
        "width": str(limits.width or ""),
        "kilobytes": str(limits.kilobytes or ""),
        "k": str(limits.best or ""),
        "since": limits.since.isoformat() if limits.since else "",
        "until": limits.until.isoformat() if limits.until else "",
    }
    return {key: value for key, value in told.items() if value}


def from_address(told: Mapping[str, Sequence[str]], formats: Sequence[str]) -> Search:
    """The search that an address stands for; what makes no sense in it is passed over.

    `told` holds all values of each key, `formats` all that can be asked for.
    """

    def one(key: str) -> str:
        return next(iter(told.get(key, ())), "")

    def examples(key: str) -> tuple[Example, ...]:
        found = [Example.read(words) for words in told.get(key, ())]
        return tuple(dict.fromkeys(example for example in found if example))[:MOST_EXAMPLES]

    limits = Limits(
        folder=os.fsdecode(unquote_to_bytes(one("folder"))) or None,
        # Unlike a folder it stands in a field, which holds text only.
        name=unquote_to_bytes(one("name")).decode("utf-8", "replace"),
        label=next((name for name in list_names() if name == one("label")), None),
        formats=tuple(name for name in formats if name in told.get("format", ())),
        megapixels=_count(one("megapixels")),
        width=_count(one("width")),
        kilobytes=_count(one("kilobytes")),
        best=_count(one("k")),
        since=_day(one("since")),
        until=_day(one("until")),
    )
    plus = examples("like")
    return Search(plus, examples("unlike") if plus else (), limits)


def _count(words: str) -> int:
    return int(words) if words.isascii() and words.isdigit() and len(words) < 7 else 0


def _number(words: str) -> float | None:
    try:
        return float(words)
    except ValueError:
        return None


def _day(words: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(words)
    except ValueError:
        return None
