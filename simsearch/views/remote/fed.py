"""What an index writes down of the rows that it fed to a server."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any

from simsearch.errors import QueryInvalid
from simsearch.views.remote.address import MilvusAddress

_NAME = re.compile(r"\w{1,100}_simsearch_([0-9a-f]{32})_[0-9a-f]{16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fed:
    """What an index wrote down of a collection when all of its rows were seen there.

    Attributes:
        address: see `MilvusAddress`.
        name: of the collection; it holds the id of the index and that of the build.
        rows: how many have an id up to `last_id`.
        stamp: what the row `last_id` is stamped with: another one at every feeding, so that rows which
            another copy of the index fed are told from its own.
    """

    address: str
    name: str
    rows: int
    last_id: int
    stamp: int

    @classmethod
    def checked(cls, values: dict[str, Any]) -> Fed:
        """What was written as JSON. Raises ValueError, TypeError."""
        fed = cls(**values)
        counts = (fed.rows, fed.last_id, fed.stamp)
        if any(type(count) is not int or not 0 < count < 1 << 62 for count in counts):
            raise ValueError("no count")
        if index_of(fed.name) is None:
            raise ValueError("no name of a collection")
        try:
            MilvusAddress.parse(fed.address)
        except QueryInvalid as exc:
            raise ValueError("no address") from exc
        return fed


def new_name(collection: str, index: str) -> str:
    """The name of a new collection: of this index, and of no other build of it."""
    return f"{collection}_simsearch_{index}_{secrets.token_hex(8)}"


def index_of(name: str) -> str | None:
    """The id of the index that a collection's name is of; None where it is none of ours."""
    parts = _NAME.fullmatch(name)
    return parts[1] if parts else None
