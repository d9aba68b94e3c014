"""Chooses the keepers among pieces that pairs connect, and who follows whom."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Sequence
from typing import Protocol

from simsearch.dedup.grouping.pieces import Piece, Rules
from simsearch.dedup.records import Pair

Asked = tuple[int, int]
Following = dict[int, dict[int, Pair]]
"""By the number of a keeper's piece: its followers' numbers, each with the pair that was verified."""


class Compare(Protocol):
    """Verifies pairs of pictures by id, many at once."""

    def __call__(self, pairs: Sequence[Asked]) -> list[Pair]:
        """The pairs in any order. One that is no copy has a level outside of LEVELS, or is left out."""


class Pairs:
    """All pairs that were verified, each asked for once."""

    def __init__(self, known: Iterable[Pair], compare: Compare) -> None:
        self._compare = compare
        self._found: dict[Asked, Pair | None] = {}
        # Of a pair that is told twice the likelier one counts, in whatever order they come.
        for pair in sorted(known, key=lambda pair: (pair.score, pair.level)):
            self._found[key(pair.first, pair.second)] = pair

    def get(self, one: int, other: int) -> Pair | None:
        """The pair of two pictures, by id."""
        return self._found.get(key(one, other))

    def all(self) -> list[Pair]:
        """Every pair that has been found so far."""
        return [pair for pair in self._found.values() if pair is not None]

    def is_known(self, one: int, other: int) -> bool:
        """Whether two pictures have been compared."""
        return key(one, other) in self._found

    def ask(self, wanted: Collection[Asked]) -> None:
        """Compare those pairs that have not been, in one call."""
        new = sorted({key(*pair) for pair in wanted} - self._found.keys())
        if not new:
            return
        self._found.update(dict.fromkeys(new))
        for pair in self._compare(new):
            self._found[key(pair.first, pair.second)] = pair


def key(one: int, other: int) -> Asked:
    """Two ids, the smaller one first."""
    return (one, other) if one < other else (other, one)


class Stage:
    """One pass over some pieces.

    In keeper order: a piece that follows nobody yet is a keeper, and all that hold with it may follow it.
    What holds with one of those and was not compared with the keeper is compared now, and so on, until
    nothing more holds. In the end each follower goes to the keeper with which its score is highest, at a
    tie to the better one. So a keeper is better than all that follow it, every follower was verified
    against it, and what only a chain connects stays apart. At most two comparisons are asked for each pair
    of `start`, since only the first keeper of a piece looks further from it.

    Args:
        pieces: all pieces; `numbers` are those that take part, best first.
        rules: who may follow whom.
        pairs: what was compared, and how to compare more.
        start: the pairs by which one comes from a piece to another.
        holding: the levels with which a comparison that is asked for now holds.
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        numbers: Sequence[int],
        rules: Rules,
        pairs: Pairs,
        start: Iterable[Pair],
        holding: Collection[str],
    ) -> None:
        self._pieces = pieces
        self._rules = rules
        self._pairs = pairs
        self._holding = holding
        self._place = {number: place for place, number in enumerate(numbers)}
        self._beside = self._neighbours(numbers, start)

    def run(self) -> Following:
        """The keepers that are followed, with their followers."""
        following: Following = {}
        active = [self._lead(part, following) for part in self._parts()]
        while active:
            wanted: set[Asked] = set()
            still = []
            # Parts that nothing connects are asked about together, so that few calls hold many pairs.
            for part in active:
                asked = next(part, None)
                if asked is not None:
                    wanted |= asked
                    still.append(part)
            self._pairs.ask(wanted)
            active = still
        return self._settled(following)

    def _neighbours(self, numbers: Sequence[int], start: Iterable[Pair]) -> Following:
        by_picture: dict[int, list[int]] = {}
        for number in numbers:
            by_picture.setdefault(self._pieces[number].picture.id, []).append(number)
        beside: Following = {}
        for pair in start:
            for one in by_picture.get(pair.first, ()):
                for other in by_picture.get(pair.second, ()):
                    better, worse = sorted((one, other), key=self._place.__getitem__)
                    if self._rules.may_follow(self._pieces[better], self._pieces[worse]):
                        beside.setdefault(one, {})[other] = pair
                        beside.setdefault(other, {})[one] = pair
        return beside

    def _parts(self) -> list[list[int]]:
        """The pieces that pairs connect, each part in keeper order."""
        seen: set[int] = set()
        parts = []
        for number in self._place:
            if number in seen or number not in self._beside:
                continue
            seen.add(number)
            part = [number]
            for member in part:
                new = [other for other in self._beside[member] if other not in seen]
                seen.update(new)
                part += new
            parts.append(sorted(part, key=self._place.__getitem__))
        return parts

    def _lead(self, part: Sequence[int], following: Following) -> Generator[set[Asked], None, None]:
        """Choose the keepers of one part; yields the pairs that have to be compared before it goes on."""
        taken: set[int] = set()
        for keeper in part:
            if keeper in taken:
                continue
            taken.add(keeper)
            reached = {
                other: pair
                for other, pair in self._beside[keeper].items()
                if self._place[other] > self._place[keeper]
            }
            mine = following[keeper] = dict(reached)
            reached = {other: pair for other, pair in reached.items() if other not in taken}
            while reached:
                taken.update(reached)
                beyond = {other for member in reached for other in self._beside[member]} - taken
                fit = [o for o in beyond if self._rules.may_follow(self._pieces[keeper], self._pieces[o])]
                unknown = {
                    self._ids(keeper, o) for o in fit if not self._pairs.is_known(*self._ids(keeper, o))
                }
                if unknown:
                    yield unknown
                found = ((other, self._pairs.get(*self._ids(keeper, other))) for other in fit)
                reached = {o: pair for o, pair in found if pair is not None and pair.level in self._holding}
                mine |= reached

    def _settled(self, following: Following) -> Following:
        """Each follower with one keeper only."""
        best: dict[int, tuple[float, int, int]] = {}
        for keeper, members in following.items():
            for member, pair in members.items():
                offer = (-pair.score, self._place[keeper], keeper)
                best[member] = min(best.get(member, offer), offer)
        settled: Following = {}
        for member, (_, _, keeper) in best.items():
            settled.setdefault(keeper, {})[member] = following[keeper][member]
        return settled

    def _ids(self, one: int, other: int) -> Asked:
        return key(self._pieces[one].picture.id, self._pieces[other].picture.id)
