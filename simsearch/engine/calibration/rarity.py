"""How rare a score is among a collection's own pairs, so that a cut means the same in every collection."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import IndexDamaged, QueryInvalid
from simsearch.storage import catalog

STEP = 1.2
"""The kept ranks grow by this factor, so that "one in so many" is known to about a tenth."""


def key_of(center: bool) -> str:
    """The setting that holds the rarity of scores of centred, or of plain vectors."""
    return "rarity:centred" if center else "rarity:plain"


@dataclass(frozen=True, slots=True)
class Rarity:
    """The highest scores among sampled pairs of a collection's different pictures, at growing ranks.

    Attributes:
        photos: how many pictures the collection had.
        pairs: how many pairs were compared.
        ranks: 1 and on, ascending, the last is `pairs`.
        scores: the cosine that so many pairs reach, descending.
    """

    photos: int
    pairs: int
    ranks: tuple[int, ...]
    scores: tuple[float, ...]

    @classmethod
    def of(cls, scores: NDArray[np.float32], photos: int) -> Rarity:
        """From the scores of all sampled pairs, at least one."""
        ordered = np.sort(scores)[::-1]
        ranks = [1]
        while ranks[-1] < len(ordered):
            ranks.append(min(max(ranks[-1] + 1, int(ranks[-1] * STEP)), len(ordered)))
        kept = tuple(float(ordered[rank - 1]) for rank in ranks)
        return cls(photos, len(ordered), tuple(ranks), kept)

    @classmethod
    def from_settings(cls, settings: Mapping[str, str], center: bool) -> Rarity | None:
        """What is kept with an index; None where nothing is, or nothing that can be."""
        key = key_of(center)
        try:
            return catalog.parsed(key, settings[key], cls._checked) if key in settings else None
        except IndexDamaged:
            return None

    @classmethod
    def _checked(cls, values: dict[str, Any]) -> Rarity:
        ranks, scores = tuple(values["ranks"]), tuple(values["scores"])
        found = cls(values["photos"], values["pairs"], ranks, scores)
        whole = all(type(number) is int for number in (found.photos, found.pairs, *ranks))
        if not (whole and ranks and ranks[0] == 1 and ranks[-1] == found.pairs and len(ranks) == len(scores)):
            raise ValueError("no ranks")
        if list(ranks) != sorted(set(ranks)) or list(scores) != sorted(map(float, scores), reverse=True):
            raise ValueError("no order")
        return found

    def one_in(self, score: float) -> int:
        """One in so many pairs of the collection scores at least `score`; at most `pairs`."""
        # Scores are stored descending and searched as they rise.
        rising = self.scores[::-1]
        place = len(rising) - bisect_left(rising, score)
        if place == 0:
            return self.pairs
        if place == len(rising):
            return 1
        high, low = self.scores[place - 1], self.scores[place]
        share = (high - score) / (high - low)
        rank: float = self.ranks[place - 1] * (self.ranks[place] / self.ranks[place - 1]) ** share
        return max(1, round(float(self.pairs / rank)))

    def cut(self, one_in: int) -> float:
        """The lowest score that at most one in so many pairs reaches; 1 to `pairs`."""
        rank = self.pairs / one_in
        place = int(np.searchsorted(self.ranks, rank, side="right"))
        if place == len(self.ranks):
            # Any score is as rare as one in one, also below those of all pairs.
            return -1.0
        low, high = self.ranks[place - 1], self.ranks[place]
        share = float(np.log(rank / low) / np.log(high / low))
        return self.scores[place - 1] + share * (self.scores[place] - self.scores[place - 1])


def cut_of(rarity: Rarity | None, one_in: int) -> float:
    """The lowest score that at most one in so many pairs reaches. Raises QueryInvalid where none is."""
    if rarity is None:
        raise QueryInvalid(
            "This index does not know yet how rare a score is in it. Run: simsearch rebuild (with one photo "
            "alone there are no pairs to tell it from)"
        )
    if one_in > rarity.pairs:
        raise QueryInvalid(
            f"This index can tell one in {rarity.pairs} pairs at most, not one in {one_in}; ask for a "
            "smaller number."
        )
    return rarity.cut(one_in)
