"""Which of several copies is proposed to be kept, and why."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simsearch.dedup.grouping.criteria import CRITERIA, Candidate, Criterion
from simsearch.dedup.grouping.places import place_of, places
from simsearch.dedup.records import Picture
from simsearch.errors import SimsearchError
from simsearch.paths import is_source

DEFAULT = ("resolution", "metadata", "bytes", "oldest")
POLICIES = (*DEFAULT, "path")
LAST = ("shortest", "name")


@dataclass(frozen=True, slots=True)
class KeeperPolicy:
    """What makes a copy the one to keep; the first of these that differs decides.

    1. `reference`: files in these folders, which are never touched.
    2. `prefer`: files in these folders, an earlier one before a later one.
    3. `policies`, in their order: "resolution" (more pixels; a RAW file before a JPEG of the same picture),
       "metadata" (more kinds of it: date, camera, place, rating, tags, caption …), "bytes" (a larger file),
       "oldest" (EXIF's date, else the time of the last change), "path" (the name matches one of `pattern`, an
       earlier one before a later one; a pattern with a slash is held against the path, whole or from any of
       its folders on, see `fnmatch`).
       A `pattern` without "path" among the policies comes before them.
    4. Those of resolution, metadata, bytes and oldest that `policies` does not name, in this order.
    5. The shortest path in bytes, then the path that sorts first by bytes.

    A crop or a copy with a border is judged by its pixels as any other. Raises SimsearchError for a policy
    of another name or "path" without a pattern, NotIndexed for a folder that does not exist.
    """

    policies: tuple[str, ...] = ()
    prefer: tuple[str, ...] = ()
    pattern: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.policies:
            if name not in POLICIES:
                raise SimsearchError(f"There is no policy {name!r}. Choose from: {', '.join(POLICIES)}.")
        if "path" in self.policies and not self.pattern:
            raise SimsearchError(
                'The policy "path" needs a pattern of the names to keep, such as *original*.'
            )
        object.__setattr__(self, "prefer", places(self.prefer, "as a preferred folder"))
        object.__setattr__(self, "reference", places(self.reference, "as a reference folder"))

    def criteria(self) -> tuple[Criterion, ...]:
        """What is looked at, one after the other."""
        first = [name for name, given in (("reference", self.reference), ("prefer", self.prefer)) if given]
        if self.pattern and "path" not in self.policies:
            first.append("path")
        names = dict.fromkeys((*first, *self.policies, *DEFAULT, *LAST))
        return tuple(CRITERIA[name] for name in names)


class Order:
    """Puts copies in the order in which they are to be kept, the best one first.

    `richness` tells how many kinds of metadata a file has, and is asked only where that decides; without it
    the files themselves are read. What is known of a file is kept for the life of this object.
    """

    def __init__(
        self, policy: KeeperPolicy | None = None, *, richness: Callable[[str], int] | None = None
    ) -> None:
        self.policy = policy or KeeperPolicy()
        self._criteria = self.policy.criteria()
        self._richness = richness
        self._known: dict[str, Candidate] = {}

    def candidate(self, picture: Picture, path: str) -> Candidate:
        """One file of a picture with all that is looked at."""
        found = self._known.get(path)
        if found is None or found.picture is not picture:
            found = self._known[path] = Candidate(path, picture, self.policy, self._richness)
        return found

    def key(self, picture: Picture, path: str) -> Rank:
        """What sorts a file: the smallest is to be kept. No two paths have the same."""
        return Rank(self._criteria, self.candidate(picture, path))

    def is_there(self, picture: Picture, path: str) -> bool:
        """Whether the file is there; one that went meanwhile is neither kept nor a copy.

        What lies in a store or an archive is taken to be there: nothing is done to it.
        """
        return is_source(os.fsencode(path)) or self.candidate(picture, path).stat is not None

    def size(self, picture: Picture, path: str) -> int:
        """The file's size in bytes."""
        return self.candidate(picture, path).size

    def is_reference(self, path: str) -> bool:
        """Whether a file lies in a folder that is never touched."""
        return place_of(path, self.policy.reference) is not None

    def why(self, kept: tuple[Picture, str], others: Sequence[tuple[Picture, str]]) -> str:
        """In words, what put `kept` before the next best of `others`; a path in it is as it is.

        Before it stand the folders and patterns of the policy by which others are behind, which may be better
        in all else.
        """
        keeper = self.candidate(*kept)
        rest = [rank.candidate for rank in sorted(self.key(*other) for other in others)]
        told = []
        for criterion in self._criteria if rest else ():
            if criterion.value(rest[0]) != criterion.value(keeper):
                told.append(criterion.why(keeper, rest))
                break
            behind = [other for other in rest if criterion.wish and self._parted(keeper, other) is criterion]
            if behind:
                told.append(criterion.why(keeper, behind))
        return f"kept: {'; '.join(told) or 'the only one'}"

    def _parted(self, one: Candidate, other: Candidate) -> Criterion | None:
        """What decides between two files."""
        return next((each for each in self._criteria if each.value(one) != each.value(other)), None)


class Rank:
    """A file's place in an order; what is costly to know is asked only where nothing before it decides."""

    __slots__ = ("_criteria", "candidate")

    def __init__(self, criteria: tuple[Criterion, ...], candidate: Candidate) -> None:
        self._criteria = criteria
        self.candidate = candidate

    def __lt__(self, other: Rank) -> bool:
        for criterion in self._criteria:
            own, its = criterion.value(self.candidate), criterion.value(other.candidate)
            if own != its:
                return bool(own < its)
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rank) and self.candidate.path == other.candidate.path

    def __hash__(self) -> int:
        return hash(os.fsencode(self.candidate.path))
