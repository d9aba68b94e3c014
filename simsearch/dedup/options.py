"""What a search for copies is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from simsearch.dedup.grouping.keeper import KeeperPolicy
from simsearch.dedup.grouping.scope import Scope
from simsearch.errors import SimsearchError

REACHES = ("exact", "near", "similar")
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class DedupOptions:
    """What is looked for, where, and what is kept.

    Attributes:
        reach: "exact" for equal bytes and pixels, "near" for edited copies too, "similar" also for other
            shots of one scene, which are shown as such and never called copies.
        threshold: scores from here on are copies; None for the one that simsearch comes with, "auto" for one
            that is worked out on the collection's own pictures.
        precision: with "auto", the share of true copies among those called so.
        scope: which files are compared.
        policy: which copy is proposed to be kept.
        workers: processes that decode; None for one a processor.

    Raises SimsearchError for values that mean nothing.
    """

    reach: str = "near"
    threshold: float | str | None = None
    precision: float = 0.99
    scope: Scope = field(default_factory=Scope)
    policy: KeeperPolicy = field(default_factory=KeeperPolicy)
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.reach not in REACHES:
            raise SimsearchError(f"Nothing is called {self.reach!r} here. Choose from: {', '.join(REACHES)}.")
        if isinstance(self.threshold, str):
            if self.threshold != AUTO:
                raise SimsearchError(
                    f'A threshold is a number from 0 to 1 or "auto", not {self.threshold!r}.'
                )
        elif self.threshold is not None and not 0 < self.threshold <= 1:
            raise SimsearchError(f"A threshold lies above 0 and is at most 1, not {self.threshold}.")
        if not 0.5 <= self.precision < 1:
            raise SimsearchError(f"A precision lies from 0.5 to below 1, not {self.precision}.")
