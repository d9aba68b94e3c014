"""What was decided about groups of copies, and what follows from it: plain records, nothing is done here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from simsearch.dedup.acts.records import Left
from simsearch.dedup.records import COPIES, LEVELS, DuplicateGroup, DuplicatePhoto

SET_ASIDE, KEEP_ALL, DIFFERENT = "set-aside", "keep-all", "different"
EXACT = ("bytes", "pixels")

KEPT, GOES, STAYS, OTHER, UNSURE = "kept", "goes", "stays", "other", "unsure"

STAYS_WORDS = "you let it stay"
OTHER_WORDS = "you said that it is another picture"
UNSURE_WORDS = {
    "probably": "it is only probably a copy of what is kept",
    "similar": "it is another shot, and no copy of what is kept",
    "different": "it was held against what is kept, and is no copy of it",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with one group.

    Attributes:
        kind: "set-aside": one is kept and its copies go; "keep-all": all stay and are not asked about again;
            "different": these are different pictures.
        keep: path of the file that is kept.
        stay: paths of copies that stay all the same.
        others: paths of files that show another picture than the one that is kept.
    """

    kind: str
    keep: str
    stay: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Headed:
    """A group as it is when `group.keep` is kept: levels and scores are those towards it.

    `reasons` tells, by path, why a member may not go, whatever its level.
    """

    group: DuplicateGroup
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answers:
    """What is told to `simsearch.dedup.verdicts.Verdicts`, each a list of SHA-256, one for each file."""

    different: tuple[tuple[bytes, ...], ...]
    keep_all: tuple[tuple[bytes, ...], ...]


def key_of(group: DuplicateGroup) -> str:
    """Names a group by its files and their bytes, so that it is the same one when it is found again."""
    digest = hashlib.sha256()
    for photo in sorted(group.photos, key=lambda photo: os.fsencode(photo.path)):
        digest.update(os.fsencode(photo.path) + b"\0" + photo.sha256.encode() + b"\n")
    return digest.hexdigest()[:24]


def proposal(group: DuplicateGroup) -> Decision:
    """What the search proposes: its keeper stays, and the copies of it go."""
    return Decision(SET_ASIDE, group.keep)


def kept(decision: Decision, keep: str) -> Decision:
    """The same with another file that is kept."""
    rest = frozenset({keep})
    return replace(
        decision, kind=SET_ASIDE, keep=keep, stay=decision.stay - rest, others=decision.others - rest
    )


def with_stay(decision: Decision, path: str) -> Decision:
    """A copy stays, or goes after all; what is kept stays anyway."""
    if path == decision.keep:
        return decision
    own = frozenset({path})
    return replace(decision, kind=SET_ASIDE, stay=decision.stay ^ own, others=decision.others - own)


def with_other(decision: Decision, path: str) -> Decision:
    """A file shows another picture than the one that is kept, or does not after all."""
    if path == decision.keep:
        return decision
    own = frozenset({path})
    return replace(decision, kind=SET_ASIDE, others=decision.others ^ own, stay=decision.stay - own)


def may_differ(group: DuplicateGroup) -> bool:
    """Whether a group can be called different pictures: files with the same bytes cannot."""
    return len({photo.sha256 for photo in group.photos}) == len(group.photos)


def may_be_other(group: DuplicateGroup, keep: str, path: str) -> bool:
    """Whether one file can be called another picture than the one that is kept."""
    digests = {photo.path: photo.sha256 for photo in group.photos}
    return digests.get(keep) != digests.get(path)


def role(photo: DuplicatePhoto, decision: Decision, reasons: Mapping[str, str]) -> str:
    """What becomes of a member of a headed group: "kept", "goes", "stays", "other" or "unsure"."""
    if decision.kind == KEEP_ALL:
        return STAYS
    if decision.kind == DIFFERENT:
        return OTHER
    if photo.path == decision.keep:
        return KEPT
    if photo.path in decision.others:
        return OTHER
    if photo.path in reasons or photo.level not in COPIES:
        return UNSURE
    return STAYS if photo.path in decision.stay else GOES


def reason(photo: DuplicatePhoto, decision: Decision, reasons: Mapping[str, str]) -> str:
    """Why a member stays; empty for one that goes or is kept."""
    found = role(photo, decision, reasons)
    if found == UNSURE:
        return reasons.get(photo.path) or UNSURE_WORDS.get(photo.level, photo.level)
    return {STAYS: STAYS_WORDS, OTHER: OTHER_WORDS}.get(found, "")


def to_plan(headed: Headed, decision: Decision) -> tuple[DuplicateGroup | None, tuple[Left, ...]]:
    """The keeper with what goes, for `make_plan` (None where nothing goes), and what stays, and why."""
    if decision.kind != SET_ASIDE:
        return None, ()
    photos = headed.group.photos
    roles = {photo.path: role(photo, decision, headed.reasons) for photo in photos}
    keeper = [photo for photo in photos if roles[photo.path] == KEPT]
    going = [photo for photo in photos if roles[photo.path] == GOES]
    left = tuple(
        Left(photo.path, reason(photo, decision, headed.reasons))
        for photo in photos
        if roles[photo.path] not in (KEPT, GOES)
    )
    if not keeper or not going:
        return None, left
    level = max((photo.level for photo in going), key=LEVELS.index)
    return replace(headed.group, level=level, photos=(*keeper, *going)), left


def answers(pairs: Iterable[tuple[DuplicateGroup, Decision]]) -> Answers:
    """What the decisions say about contents, whether or not files go."""
    different: list[tuple[bytes, ...]] = []
    keep_all: list[tuple[bytes, ...]] = []
    for group, decision in pairs:
        digests = {photo.path: bytes.fromhex(photo.sha256) for photo in group.photos}
        if decision.kind == DIFFERENT:
            different.append(tuple(digests.values()))
        elif decision.kind == KEEP_ALL:
            keep_all.append(tuple(digests.values()))
        else:
            own = digests[decision.keep]
            different += [(own, digests[path]) for path in _in_order(decision.others, digests)]
            stay = [digests[path] for path in _in_order(decision.stay, digests)]
            keep_all += [(own, *stay)] if stay else []
    return Answers(tuple(different), tuple(keep_all))


def exact_ones(groups: Mapping[str, DuplicateGroup], decided: Mapping[str, Decision]) -> dict[str, Decision]:
    """The proposals for all groups of equal bytes or pixels of which nothing was decided yet."""
    return {
        key: proposal(group)
        for key, group in groups.items()
        if key not in decided and all(photo.level in EXACT for photo in group.photos)
    }


def gain(group: DuplicateGroup) -> int:
    """Bytes of the copies that the proposed keeper makes superfluous."""
    return sum(photo.bytes for photo in group.photos if photo.path != group.keep and photo.level in COPIES)


def chosen(groups: Mapping[str, DuplicateGroup], level: str | None, order: str) -> list[str]:
    """Keys of the groups of a level (None: all), by "bytes" to gain, "certainty", or "path" of the keeper."""
    found = [key for key, group in groups.items() if level is None or group.level == level]
    found.sort(key=lambda key: os.fsencode(groups[key].keep))
    if order == "bytes":
        found.sort(key=lambda key: gain(groups[key]), reverse=True)
    elif order == "certainty":
        found.sort(key=lambda key: (LEVELS.index(groups[key].level), -groups[key].min_score))
    return found


def _in_order(paths: Iterable[str], known: Mapping[str, bytes]) -> list[str]:
    return sorted((path for path in paths if path in known), key=os.fsencode)
