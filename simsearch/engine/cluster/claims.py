"""Who embeds a picture: of all files with the same bytes one, whichever actor reads it first."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
from numpy.typing import NDArray


def known_digests(digests: list[bytes]) -> NDArray[np.uint64]:
    """The first eight bytes of each, sorted: 8 MB for a million pictures, as good as never two the same."""
    heads = np.frombuffer(b"".join(digest[:8] for digest in digests), dtype=">u8")
    return np.sort(heads.astype(np.uint64))


class Claims:
    """Hands each digest to the first shard that asks for it; to that one again when it is done anew.

    `known` are the digests of pictures that are in the index, as `known_digests` makes them.
    """

    def __init__(self, known: NDArray[np.uint64]) -> None:
        self._known = known
        self._owners: dict[bytes, int] = {}
        self._begun: Counter[int] = Counter()

    def begin(self, shard: int) -> int:
        """Count that a shard is begun; how often it was by now."""
        self._begun[shard] += 1
        return self._begun[shard]

    def claim(self, digest: bytes, shard: int) -> bool:
        """Whether this shard is to embed the picture."""
        head = int.from_bytes(digest[:8], "big")
        place = int(np.searchsorted(self._known, np.uint64(head)))
        if place < len(self._known) and int(self._known[place]) == head:
            return False
        return self._owners.setdefault(digest, shard) == shard


class OwnClaims:
    """The claims of one shard: what it asks for twice is its own copy. Threads may share one."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._lock = threading.Lock()

    def is_first(self, digest: bytes) -> bool:
        """True for the first file of the shard with these bytes."""
        with self._lock:
            first = digest not in self._seen
            self._seen.add(digest)
            return first
