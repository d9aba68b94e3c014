"""How levels, and counts of copies, are said to a person."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from simsearch.dedup.records import COPIES

if TYPE_CHECKING:
    from simsearch.dedup.records import DuplicateGroup, DuplicatePhoto

LEVEL_WORDS = {
    "bytes": "same bytes",
    "pixels": "same pixels",
    "near": "a copy",
    "probably": "probably a copy",
    "similar": "similar, no copy",
    "different": "different pictures",
}
GROUP_WORDS = {
    "near": "copies",
    "probably": "probably copies",
    "similar": "similar, no copies",
}
MOST_DECIMALS = 9


def level_words(level: str) -> str:
    """A level as a person would say it."""
    return LEVEL_WORDS.get(level, level)


def group_words(level: str) -> str:
    """The level of a group as a person would say it."""
    return GROUP_WORDS.get(level, level_words(level))


def score_words(score: float) -> str:
    """A score with four decimals, rounded down: 1.0000 is what is certain, and nothing else."""
    # The millionth makes up for what is no round number in binary.
    floored = math.floor(score * 10_000 + 1e-6) / 10_000
    return f"{score if score >= 1 else min(floored, 0.9999):.4f}"


def threshold_words(threshold: float) -> str:
    """A score from which on something holds, rounded up: what is shown as less does not reach it.

    With four decimals, or as many more as it takes to tell it from 1.0000, which is what is certain.
    """
    for decimals in range(4, MOST_DECIMALS + 1):
        # The hundredth makes up for what is no round number in binary.
        raised = math.ceil(threshold * 10**decimals - 0.01) / 10**decimals
        if raised < 1:
            return f"{raised:.{decimals}f}"
    return "1.0000"


def is_copy(level: str) -> bool:
    """Whether what was found at this level is called a copy."""
    return level in COPIES


def spare(groups: Iterable[DuplicateGroup]) -> Iterator[DuplicatePhoto]:
    """The copies that the keepers make superfluous: none of those that are only probable or alike."""
    for group in groups:
        yield from (photo for photo in group.photos if photo.path != group.keep and is_copy(photo.level))


def unsure(groups: Iterable[DuplicateGroup]) -> int:
    """How many members of groups are not called copies."""
    return sum(
        not is_copy(photo.level) for group in groups for photo in group.photos if photo.path != group.keep
    )


def counted(number: int, what: str, plural: str | None = None) -> str:
    """A number with its noun: "1 copy", "2 copies"."""
    return f"{number:,} {what if number == 1 else plural or what + 's'}"
