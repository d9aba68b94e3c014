"""URLs with braces or stars for many: `s3://b/shard-{0000..0009}.tar`, `gs://b/2023/*.zip`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product

from simsearch.errors import RootMissing, SourceRefused
from simsearch.media.sources.stores.remote import store_of
from simsearch.paths import is_url, text

MOST = 10_000
_BRACES = re.compile(rb"\{(\d+\.\.\d+|[^{}]*,[^{}]*)\}")


def expanded(paths: Iterable[bytes]) -> list[bytes]:
    """The paths, with each URL that has braces or stars as all that it stands for.

    `{0000..0009}` counts with as many digits as its first number, `{a,b}` is one of each, and `*` is what a
    store has there. Paths of this machine stay as they are: a shell does this for them. Raises RootMissing
    for a star that finds nothing, SourceRefused for too many.
    """
    found: list[bytes] = []
    for path in paths:
        for one in _braces(path) if is_url(path) else [path]:
            found += _starred(one) if is_url(path) and b"*" in one else [one]
        if len(found) > MOST:
            raise SourceRefused(f"{text(path)} stands for more than {MOST:,} sources. Name a folder of them.")
    return found


def _braces(url: bytes) -> list[bytes]:
    parts = _BRACES.split(url)
    choices = [_choices(part) if number % 2 else [part] for number, part in enumerate(parts)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MOST:
        raise SourceRefused(f"{text(url)} stands for more than {MOST:,} sources. Name a folder of them.")
    return [b"".join(chosen) for chosen in product(*choices)]


def _choices(inside: bytes) -> list[bytes]:
    if b".." not in inside or b"," in inside:
        return inside.split(b",")
    first, last = inside.split(b"..")
    if abs(int(last) - int(first)) > MOST:
        return [b""] * (MOST + 1)
    step = 1 if int(last) >= int(first) else -1
    return [b"%0*d" % (len(first), number) for number in range(int(first), int(last) + step, step)]


def _starred(url: bytes) -> list[bytes]:
    found = store_of(url).glob(url)
    if not found:
        raise RootMissing(f"Nothing is there that {text(url)} stands for. Check the address.")
    return found
