"""Makes groups of copies out of verified pairs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from simsearch.dedup.grouping.keeper import Order
from simsearch.dedup.grouping.leaders import Compare, Following, Pairs, Stage
from simsearch.dedup.grouping.pieces import Piece, Rules, pieces
from simsearch.dedup.grouping.scope import Scope
from simsearch.dedup.records import COPIES, LEVELS, DuplicateGroup, DuplicatePhoto, Pair, Picture

PROBABLY, SIMILAR = "probably", "similar"
WHOLE = 20
"""Up to so many pictures, all pairs of a group are compared."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A file in a group, with its level and score towards the keeper."""

    picture: Picture
    path: str
    level: str
    score: float


def group(
    pictures: Sequence[Picture],
    pairs: Iterable[Pair],
    compare: Compare,
    order: Order,
    *,
    scope: Scope | None = None,
    different: Callable[[bytes, bytes], bool] | None = None,
) -> list[DuplicateGroup]:
    """Groups of copies, by path of the keeper; the same whatever the order of `pictures` and `pairs`.

    In keeper order, the best picture that follows no other one is a keeper, and its followers are those of
    which a pair with it was verified: a chain of copies is no group. A follower goes to the keeper with which
    its score is highest, at a tie to the better one; a keeper is better than all that follow it. Files with
    the same bytes are one picture and stay together, at level "bytes" where the keeper is one of them.

    This is done for sure levels ("bytes", "pixels", "near") first; then for "probably" among the pictures
    that follow none, which adds to a keeper's group; then, where `pairs` holds any, for "similar" among those
    that are left, in groups of their own. So a doubtful pair has no say in who is kept among sure ones, and a
    picture follows at most one other; only a keeper may be in a second, less certain group, alone of its
    files. A RAW file and the JPEG or HEIC with its name in the same folder are no pair.

    Args:
        pictures: what is compared; files that are not there any more are left out.
        pairs: verified pairs at or over the threshold, of any of LEVELS.
        compare: verifies pairs that a group needs and `pairs` lacks, at most two for each of `pairs` besides
            those for `min_score`.
        order: which file is kept; a file in its reference folders never follows.
        scope: which pairs of files count; all by default. A file that it does not allow with the keeper is
            left out.
        different: whether two contents, by SHA-256, were told apart by a person.

    `min_score` is the smallest score of any two pictures of the group that were compared: of all pairs in a
    group of up to 20 pictures, beyond that of all pairs with the keeper and those that are known anyway. It
    may be lower than the threshold, which each member reaches with the keeper. Same bytes are 1.0.
    """
    scope = scope or Scope()
    rules, known = Rules(order, scope, different), Pairs(pairs, compare)
    given = [pair for pair in known.all() if pair.level == SIMILAR]
    parts = pieces(pictures, order, scope)
    ranked = sorted(range(len(parts)), key=lambda number: parts[number].rank)

    def stage(numbers: Sequence[int], start: Iterable[Pair], holding: Sequence[str]) -> Following:
        return Stage(parts, numbers, rules, known, start, holding).run()

    sure = stage(ranked, [pair for pair in known.all() if pair.level in COPIES], COPIES)
    left = _without_followers(ranked, sure)
    probable = stage(left, [pair for pair in known.all() if pair.level == PROBABLY], (*COPIES, PROBABLY))
    left = _without_followers(left, probable)
    alike = stage(left, given, LEVELS)

    made = _Groups(parts, rules, known, order)
    copies = made.of_copies(sure, probable)
    found = [*copies, *made.of_similar(alike)]
    made.compare_all(found)
    return sorted((made.record(members) for members in found), key=lambda g: (os.fsencode(g.keep), g.level))


def _without_followers(numbers: Sequence[int], following: Following) -> list[int]:
    followers = {member for members in following.values() for member in members}
    return [number for number in numbers if number not in followers]


class _Groups:
    """Turns followers into records; a group is its members, the keeper first."""

    def __init__(self, parts: Sequence[Piece], rules: Rules, pairs: Pairs, order: Order) -> None:
        self._parts = parts
        self._rules = rules
        self._pairs = pairs
        self._order = order

    def of_copies(self, sure: Following, probable: Following) -> list[list[_Member]]:
        """Groups of the sure levels and, of the same keepers, of "probably"."""
        own: dict[int, list[_Member]] = {}
        following = {member for members in sure.values() for member in members}
        for number, keeper in enumerate(self._parts):
            same = () if number in following else self._rules.followers(keeper, keeper.files[1:])
            members = [_Member(keeper.picture, path, "bytes", 1.0) for path in same]
            for member, pair in sure.get(number, {}).items():
                members += self._files(keeper, self._parts[member].files, self._parts[member], pair)
            if members:
                own[number] = [_Member(keeper.picture, keeper.files[0], "bytes", 1.0), *members]
        groups = dict(own)
        for number, followers in probable.items():
            keeper = self._parts[number]
            members = groups.get(number, [_Member(keeper.picture, keeper.files[0], "bytes", 1.0)])
            for member, pair in followers.items():
                part = self._parts[member]
                members = members + self._files(
                    keeper, part.files[:1] if member in own else part.files, part, pair
                )
            groups[number] = members
        return [members for members in groups.values() if len(members) > 1]

    def of_similar(self, alike: Following) -> list[list[_Member]]:
        """Groups of other shots: of each picture only its best file."""
        groups = []
        for number, followers in alike.items():
            keeper = self._parts[number]
            members = [_Member(keeper.picture, keeper.files[0], "bytes", 1.0)]
            for member, pair in followers.items():
                part = self._parts[member]
                members += self._files(keeper, part.files[:1], part, pair)
            if len(members) > 1:
                groups.append(members)
        return groups

    def compare_all(self, groups: Iterable[Sequence[_Member]]) -> None:
        """Compare what `min_score` needs, of all groups in one call."""
        wanted = set()
        for members in groups:
            pictures = _pictures(members)
            if len(pictures) <= WHOLE:
                comparable = (two for two in combinations(pictures, 2) if self._rules.comparable(*two))
                wanted |= {(one.id, other.id) for one, other in comparable}
        self._pairs.ask(wanted)

    def record(self, members: Sequence[_Member]) -> DuplicateGroup:
        """The group as it is shown."""
        keeper, *others = members
        others.sort(key=lambda member: self._order.key(member.picture, member.path))
        told = [(member.picture, member.path) for member in others]
        return DuplicateGroup(
            level=max((member.level for member in others), key=LEVELS.index),
            min_score=self._min_score(members),
            keep=keeper.path,
            why=self._order.why((keeper.picture, keeper.path), told),
            photos=tuple(self._photo(member) for member in (keeper, *others)),
        )

    def _files(self, keeper: Piece, files: Sequence[str], part: Piece, pair: Pair) -> list[_Member]:
        allowed = self._rules.followers(keeper, files)
        return [_Member(part.picture, path, pair.level, pair.score) for path in allowed]

    def _min_score(self, members: Sequence[_Member]) -> float:
        keeper, *others = _pictures(members)
        whole = len(others) < WHOLE
        two = combinations((keeper, *others), 2) if whole else ((keeper, other) for other in others)
        pairs = (self._pairs.get(one.id, other.id) for one, other in two)
        return min((pair.score for pair in pairs if pair is not None), default=1.0)

    def _photo(self, member: _Member) -> DuplicatePhoto:
        picture, size = member.picture, self._order.size(member.picture, member.path)
        return DuplicatePhoto(
            member.path,
            member.score,
            picture.width,
            picture.height,
            size,
            member.level,
            picture.sha256.hex(),
        )


def _pictures(members: Iterable[_Member]) -> list[Picture]:
    """The pictures of a group, each once, the keeper's first."""
    return list({member.picture.id: member.picture for member in members}.values())
