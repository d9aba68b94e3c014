"""What goes as one: a picture, the other half of its shot, and the files that belong to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from simsearch.dedup.acts.disk import facts as disk
from simsearch.dedup.acts.planning.candidates import Candidate, Scene
from simsearch.dedup.acts.planning.companions import Family, is_video
from simsearch.dedup.acts.records import FileFacts
from simsearch.errors import PhotoUnreadable

NO_COPY = "no copy of what belongs to it would stay: "
HALF_STAYS = "you said that the other half of its shot stays: "
HALF_KEPT = "the other half of its shot is kept: "


@dataclass(frozen=True, slots=True)
class Unit:
    """Pictures that go, the first one giving its name, and what belongs to them with what stays for it."""

    pictures: tuple[Candidate, ...]
    belongings: tuple[tuple[FileFacts, FileFacts | None], ...]


def units(scene: Scene, found: dict[str, Candidate], reasons: dict[str, str]) -> Iterator[Unit]:
    """What goes together, by path; why a candidate stays after all is written to `reasons`.

    A RAW or a video is a picture of its own kind: it goes only where the same bytes stay with the keeper.
    """
    done: set[str] = set()
    for path in sorted(found, key=os.fsencode):
        if path in done:
            continue
        try:
            family = scene.family(path)
        except OSError as exc:
            reasons[path] = f"its folder cannot be listed: {exc.strerror or exc}"
            continue
        own = {name: found[_path(family, name)] for name in family.pictures if _path(family, name) in found}
        done.update(candidate.facts.path for candidate in own.values())
        unit = _settle(scene, family, own, reasons)
        if unit is not None:
            yield unit


def _settle(
    scene: Scene, family: Family, own: dict[bytes, Candidate], reasons: dict[str, str]
) -> Unit | None:
    """The unit of a family; pictures are taken out until each that goes has all its company with it."""
    going = dict(own)
    while going:
        blocked = _complete(scene, family, going) or _belongings(scene, family, going)
        if isinstance(blocked, tuple):
            break
        for name, reason in blocked.items():
            if name in own:
                reasons[own[name].facts.path] = reason
            going.pop(name, None)
        # What only went along with one that stays, stays.
        going = {name: item for name, item in going.items() if name in own}
    else:
        return None
    ordered = sorted(going, key=lambda name: (going[name].group is None, name))
    return Unit(tuple(going[name] for name in ordered), blocked)


def _complete(scene: Scene, family: Family, going: dict[bytes, Candidate]) -> dict[bytes, str]:
    """Add the other halves of all shots to `going`; for shots that cannot go the reason, by name."""
    for name in list(going):
        shot = family.shot(name)
        for other in shot:
            if other in going:
                continue
            path = _path(family, other)
            if disk.identity(path) in scene.kept:
                return dict.fromkeys(shot, HALF_KEPT + path)
            twin = scene.twin(path, going[name].keeper)
            if twin is None or os.path.islink(path):
                return dict.fromkeys(shot, NO_COPY + path)
            if scene.stays(path, twin):
                return dict.fromkeys(shot, HALF_STAYS + path)
            going[other] = Candidate(None, "bytes", disk.read_facts(path), twin)
    return {}


def _belongings(
    scene: Scene, family: Family, going: dict[bytes, Candidate]
) -> dict[bytes, str] | tuple[tuple[FileFacts, FileFacts | None], ...]:
    """The files that belong to none but what goes, each with what stays for it, or why pictures stay."""
    found: list[tuple[FileFacts, FileFacts | None]] = []
    for name in belongings(family, set(going)):
        path, pictures = _path(family, name), family.owners[name]
        twin = scene.twin(path, going[pictures[0]].keeper) if is_video(name) else None
        if is_video(name) and twin is None:
            return dict.fromkeys(pictures, NO_COPY + path)
        try:
            found.append((disk.read_facts(path), twin))
        except PhotoUnreadable as exc:
            return dict.fromkeys(pictures, f"what belongs to it {exc}: {path}")
    return tuple(found)


def belongings(family: Family, going: set[bytes]) -> list[bytes]:
    """The names of the files that belong to pictures of `going` and to no other."""
    return [name for name, pictures in family.owners.items() if going.issuperset(pictures)]


def _path(family: Family, name: bytes) -> str:
    return os.fsdecode(os.path.join(family.folder, name))
