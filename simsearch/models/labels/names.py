"""The names of ImageNet's 1,000 classes, as torchvision has them; `python -m benchmarks categories` makes it.

The table is of torchvision (BSD-3-Clause), which is not imported here.
"""

from __future__ import annotations

import csv
import difflib
from functools import cache
from importlib import resources

from simsearch.errors import QueryInvalid

CLASSES = 1000
_TABLE = "imagenet.csv"
_NEAR = 3


@cache
def list_names() -> tuple[str, ...]:
    """The name of each class, in the order of the classes; no two are spelt the same."""
    table = resources.files("simsearch.models.labels").joinpath(_TABLE)
    with table.open(encoding="utf-8") as stream:
        return tuple(row["name"] for row in csv.DictReader(stream))


def name_of(number: int) -> str:
    """The name of a class; one that only a later version knows has its number for a name."""
    return list_names()[number] if 0 <= number < CLASSES else f"class {number}"


def classes_named(name: str) -> set[int]:
    """The class that is spelt so, else those that are in letters of either case: CARDIGAN is two.

    Raises QueryInvalid, which names the nearest.
    """
    spelt = {number for number, known in enumerate(list_names()) if known == " ".join(name.split())}
    found = spelt or {number for number, known in enumerate(list_names()) if _plain(known) == _plain(name)}
    if found:
        return found
    raise QueryInvalid(f"There is no label {name!r}.{_advice(name)}")


def _advice(name: str) -> str:
    """What may have been meant: labels that hold it as a word, or a word that is spelt nearly so."""
    wanted = _plain(name)
    words = {word for known in list_names() for word in _words(known)}
    spelt = {*words, *map(_plain, list_names())}
    meant = [wanted] if wanted in words else difflib.get_close_matches(wanted, sorted(spelt))
    held = [known for known in list_names() if not set(meant).isdisjoint((_plain(known), *_words(known)))]
    if not held:
        return " They are ImageNet's, in torchvision's spelling, such as 'golden retriever'."
    more = f" and {len(held) - _NEAR} more" if len(held) > _NEAR else ""
    return f" Did you mean {' or '.join(map(repr, held[:_NEAR]))}{more}?"


def _words(name: str) -> list[str]:
    return _plain(name).split()


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
