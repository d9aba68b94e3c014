"""One group on the desk: what is shown of it, and what the keys and buttons there do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simsearch.dedup.records import DuplicateGroup, DuplicatePhoto
from simsearch.report.duplicates.words import counted, group_words, level_words, score_words
from simsearch.report.names import visible
from simsearch.ui.look import size_of
from simsearch.ui.pages.duplicates.deciding import decisions as deciding
from simsearch.ui.pages.duplicates.deciding.decisions import Decision, Headed
from simsearch.ui.pages.duplicates.deciding.facts import LABELS, shown, thumbnail_of
from simsearch.ui.pages.duplicates.deciding.heading import headed
from simsearch.ui.pages.duplicates.deciding.laying import Lay, laid
from simsearch.ui.pages.duplicates.deciding.session import Session
from simsearch.ui.pages.duplicates.finding import Found
from simsearch.ui.shared import Library

SHOWN = 24
"""Members in one message; of a larger group the rest is asked for."""

_CHIPS = {"kept": "Kept", "goes": "Goes", "stays": "Stays", "other": "Another picture", "unsure": "Stays"}


@dataclass(frozen=True, slots=True)
class Desk:
    """One group that a visitor decides about."""

    lib: Library
    found: Found
    session: Session
    key: str

    @property
    def group(self) -> DuplicateGroup:
        """The group as it was found."""
        return self.found.groups[self.key]

    @property
    def decision(self) -> Decision:
        """What was decided, else what is proposed."""
        return self.session.decisions.get(self.key) or deciding.proposal(self.group)

    def headed(self) -> Headed:
        """The group towards the file that is kept as it is decided now."""
        return headed(self.lib.index, self.found, self.group, self.decision.keep)

    def data(self) -> dict[str, object]:
        """What the part `side_by_side` shows."""
        group, decision, session = self.group, self.decision, self.session
        now = self.headed()
        members = {photo.path: photo for photo in now.group.photos}
        photos = group.photos[session.first : session.first + SHOWN]
        if all(photo.path != decision.keep for photo in photos):
            photos = (members[decision.keep], *photos)
        listed = session.listed(self.found.open_groups())
        place = listed.index(self.key) if self.key in listed else 0
        score = f", score from {score_words(group.min_score)} on" if group.min_score < 1 else ""
        return {
            "key": self.key,
            "title": f"Group {place + 1} of {len(listed)}: {group_words(group.level)}{score}",
            "status": status(now, self.session.decisions.get(self.key), decision),
            "why": visible(now.group.why.replace("kept: ", "A is kept: ", 1)),
            "decided": self.key in session.decisions,
            "deciding": True,
            "buttons": self._buttons(now),
            "labels": LABELS,
            "members": [self._member(members[photo.path], now) for photo in photos],
            "lays": self._lays(photos),
            "first": session.first,
            "total": len(group.photos),
            "shown": SHOWN,
            "ahead": self._ahead(listed, place),
            "heard": session.heard,
        }

    def _buttons(self, now: Headed) -> list[dict[str, object]]:
        going = any(self._role(photo, now) == deciding.GOES for photo in now.group.photos)
        decided = self.key in self.session.decisions
        same = "" if deciding.may_differ(self.group) else "Some of these files have the same bytes."
        words = "Go on" if decided or not going else "Accept"
        on = "On to the next group" if words == "Go on" else "Do as is proposed, and on to the next group"
        return [
            {"what": "accept", "words": words, "key": "A", "main": True, "help": on},
            {
                "what": "different",
                "words": "Not duplicates",
                "key": "N",
                "disabled": bool(same),
                "help": same,
            },
            {"what": "keep-all", "words": "All stay", "key": "L"},
            {"what": "back", "words": "Take back", "key": "U", "disabled": not decided},
        ]

    def _role(self, photo: DuplicatePhoto, now: Headed) -> str:
        return deciding.role(photo, self.decision, now.reasons)

    def _member(self, photo: DuplicatePhoto, now: Headed) -> dict[str, object]:
        found, role = shown(self.lib, photo), self._role(photo, now)
        is_kept = photo.path == self.decision.keep
        return {
            "number": self._number(photo.path),
            "thumb": found.thumbnail,
            "picture": found.picture,
            "name": found.name,
            "facts": found.facts,
            "role": role,
            "chip": _CHIPS[role],
            "reason": deciding.reason(photo, self.decision, now.reasons),
            "level": "" if is_kept else _level(photo),
            "other": not is_kept and deciding.may_be_other(self.group, self.decision.keep, photo.path),
        }

    def _number(self, path: str) -> int:
        return next(number for number, photo in enumerate(self.group.photos, 1) if photo.path == path)

    def _lays(self, photos: tuple[DuplicatePhoto, ...]) -> dict[str, Lay]:
        keeper = next(photo for photo in self.group.photos if photo.path == self.decision.keep)
        known = (
            (photo, self.found.worked_out.get(("laid", keeper.sha256, photo.sha256))) for photo in photos
        )
        return {str(self._number(photo.path)): lay for photo, lay in known if lay is not None}

    def _ahead(self, listed: list[str], place: int) -> list[str]:
        """Thumbnails of the group that comes next, so that they are there when it does."""
        following = listed[place + 1 : place + 2]
        photos = [photo for key in following for photo in self.found.groups[key].photos[:6]]
        return [address for photo in photos if (address := thumbnail_of(self.lib, photo))]

    def take_in(self, act: Mapping[str, Any]) -> None:
        """Do what a key or a button says; what is no act on this group as it is changes nothing."""
        what, number = act.get("what"), act.get("member")
        if not isinstance(what, str):
            return
        photos = self.group.photos
        path = photos[number - 1].path if isinstance(number, int) and 0 < number <= len(photos) else None
        if what in _ON_MEMBERS:
            if path is not None:
                self._on_member(what, path)
        elif what in _ON_GROUPS:
            _ON_GROUPS[what](self)

    def _on_member(self, what: str, path: str) -> None:
        decision = self.decision
        if what == "lay":
            keeper = next(photo for photo in self.group.photos if photo.path == decision.keep)
            member = next(photo for photo in self.group.photos if photo.path == path)
            lay = laid(self.lib.index, self.found, keeper, member)
            self.found.worked_out[("laid", keeper.sha256, member.sha256)] = lay
        elif what == "keep":
            self._decide(deciding.kept(decision, path))
        elif what == "stay":
            self._decide(deciding.with_stay(decision, path))
        elif deciding.may_be_other(self.group, decision.keep, path):
            self._decide(deciding.with_other(decision, path))

    def _decide(self, decision: Decision) -> None:
        self.session.decisions[self.key] = decision

    def accept(self) -> None:
        """Take what is proposed where nothing was decided, and go on; where nothing would go, only go on."""
        now = self.headed()
        if any(self._role(photo, now) == deciding.GOES for photo in now.group.photos):
            self.session.decisions.setdefault(self.key, self.decision)
        self.step(1)

    def differ(self) -> None:
        """These are different pictures."""
        if deciding.may_differ(self.group):
            self._decide(Decision(deciding.DIFFERENT, self.group.keep))

    def keep_all(self) -> None:
        """All of these stay."""
        self._decide(Decision(deciding.KEEP_ALL, self.group.keep))

    def take_back(self) -> None:
        """Nothing is decided about this group any more."""
        self.session.decisions.pop(self.key, None)

    def step(self, by: int) -> None:
        """Go to the next group, or the one before; past the last one the list comes."""
        listed = self.session.listed(self.found.open_groups())
        place = listed.index(self.key) + by if self.key in listed else len(listed)
        self.session.open_group(listed[max(0, place)] if place < len(listed) else None)

    def more(self, by: int) -> None:
        """Show other members of a large group."""
        first = self.session.first + by * SHOWN
        if 0 <= first < len(self.group.photos):
            self.session.first = first


_ON_MEMBERS = ("keep", "stay", "other", "lay")
_ON_GROUPS: dict[str, Callable[[Desk], None]] = {
    "accept": Desk.accept,
    "different": Desk.differ,
    "keep-all": Desk.keep_all,
    "back": Desk.take_back,
    "next": lambda desk: desk.step(1),
    "previous": lambda desk: desk.step(-1),
    "list": lambda desk: desk.session.open_group(None),
    "more": lambda desk: desk.more(1),
    "fewer": lambda desk: desk.more(-1),
}


def status(now: Headed, said: Decision | None, decision: Decision) -> str:
    """What was decided about a group, or is proposed, in one sentence."""
    if decision.kind == deciding.KEEP_ALL:
        return "Decided: all of these stay, and are not asked about again."
    if decision.kind == deciding.DIFFERENT:
        return "Decided: these are different pictures. All stay, and are not called copies again."
    roles = [(photo, deciding.role(photo, decision, now.reasons)) for photo in now.group.photos]
    going = [photo.bytes for photo, role in roles if role == deciding.GOES]
    stay = sum(role not in (deciding.GOES, deciding.KEPT) for _, role in roles)
    word = "Proposed" if said is None else "Decided"
    if not going:
        return f"{word}: nothing of this group goes."
    what = f"{counted(len(going), 'file')} of {size_of(sum(going))} {'goes' if len(going) == 1 else 'go'}"
    return f"{word}: {what}, {'1 is' if len(going) + stay else 'all are'} kept{_stay(stay)}."


def _level(photo: DuplicatePhoto) -> str:
    certain = photo.level in deciding.EXACT
    return level_words(photo.level) + ("" if certain else f", score {score_words(photo.score)}")


def _stay(count: int) -> str:
    return f", {count} more {'stays' if count == 1 else 'stay'}" if count else ""
