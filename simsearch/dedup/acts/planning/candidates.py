"""Which members of the groups may go, each seen by itself, and why the others are left."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from simsearch.dedup.acts.disk import facts as disk
from simsearch.dedup.acts.disk.places import TRASH, Places
from simsearch.dedup.acts.planning.companions import Family, family_in, is_raw
from simsearch.dedup.acts.records import LINKS, FileFacts, Left
from simsearch.dedup.metadata.sidecars import listing_of
from simsearch.dedup.records import COPIES, DuplicateGroup, DuplicatePhoto
from simsearch.errors import PhotoUnreadable
from simsearch.paths import canonical, is_source, relative

UNSURE = "look at it first"
OTHER_BYTES = "not the same bytes: a link would lose this version"
IN_REFERENCE = "in a reference folder"
LINK_TO_KEEPER = "a link to the keeper itself"
SAME_INODE = "same inode as the keeper"
KEPT_ELSEWHERE = "it is kept for another group"
ELSEWHERE = "in a store, on a web server or in an archive, where simsearch only reads"
OUTSIDE = "not below a folder of the index"
BENT = "its path leads through a link, or is not the one that its folder lists"
SAME_SHOT = "the other half of the shot that is kept"
RAW_AND_DEVELOPED = "a RAW file and a developed picture: neither stands in for the other"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A copy that may go: number of its group (None for what only goes with one), and what stays for it."""

    group: int | None
    level: str
    facts: FileFacts
    keeper: FileFacts


@dataclass(slots=True)
class Scene:
    """What all groups have in common.

    Attributes:
        places, action: of the run.
        reference: folders that are never touched.
        keepers: facts of the keeper of each group, or why it cannot be one.
        kept: (device, inode) of every keeper.
        links: by path of a file, a symbolic link of the index that leads to it.
        stay: pictures that a person lets stay, by path.
        kept_all: whether a person said that all files of these contents, by SHA-256, stay.
    """

    places: Places
    action: str
    reference: tuple[bytes, ...]
    keepers: list[FileFacts | str] = field(default_factory=list)
    kept: set[tuple[int, int]] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)
    stay: frozenset[str] = frozenset()
    kept_all: Callable[[Sequence[bytes]], bool] = lambda digests: False

    def family(self, path: str) -> Family:
        """The family of a picture. Raises OSError where its folder cannot be listed."""
        folder, name = os.path.split(os.fsencode(path))
        return family_in(listing_of(folder), name)

    def is_reference(self, path: str) -> bool:
        """Whether a path is in a folder that is never touched."""
        return any(relative(os.fsencode(path), folder) is not None for folder in self.reference)

    def stays(self, path: str, twin: FileFacts) -> bool:
        """Whether a person said that a picture stays beside another file of the same bytes."""
        return path in self.stay or self.kept_all([bytes.fromhex(twin.sha256)] * 2)

    def twin(self, path: str, keeper: FileFacts) -> FileFacts | None:
        """The file with the bytes of `path` that belongs to the keeper: of its shot, or its video."""
        name = os.path.basename(os.fsencode(keeper.path))
        try:
            family = self.family(keeper.path)
        except OSError:
            return None
        own = [other for other, pictures in family.owners.items() if name in pictures]
        for other in (*family.shot(name), *own):
            place = os.fsdecode(os.path.join(family.folder, other))
            found = disk.digest_of(place) if _same_size(place, path) else None
            if found is not None and found == disk.digest_of(path):
                return disk.read_facts(place)
        return None


def look_at_keepers(scene: Scene, groups: Sequence[DuplicateGroup]) -> None:
    """Read the keeper of each group; a group without one is left as it is."""
    for group in groups:
        found = disk.identity(group.keep)
        if found is not None:
            scene.kept.add(found)
        scene.keepers.append(_keeper(scene, group))


def _keeper(scene: Scene, group: DuplicateGroup) -> FileFacts | str:
    said = next((photo.sha256 for photo in group.photos if photo.path == group.keep), None)
    if said is None:
        return "its group names no keeper"
    if is_source(os.fsencode(group.keep)):
        return "what is kept is " + ELSEWHERE
    if scene.places.root_of(os.fsencode(group.keep)) is None:
        return "what is kept is " + OUTSIDE
    if canonical(group.keep) != os.fsencode(group.keep):
        return "what is kept: " + BENT
    try:
        found = disk.read_facts(group.keep)
    except PhotoUnreadable as exc:
        return f"what is kept {exc}"
    return found if found.sha256 == said else "what is kept has changed since it was compared"


def candidates(
    scene: Scene, groups: Sequence[DuplicateGroup]
) -> tuple[dict[str, Candidate], list[dict[str, str]]]:
    """The copies that may go, by path, and for each group why others are left, by path."""
    found: dict[str, Candidate] = {}
    left: list[dict[str, str]] = []
    for number, (group, keeper) in enumerate(zip(groups, scene.keepers, strict=True)):
        reasons: dict[str, str] = {}
        for photo in group.photos:
            if photo.path == group.keep:
                continue
            if photo.path in found:
                reasons[photo.path] = "it goes with another group"
                continue
            judged = keeper if isinstance(keeper, str) else _judged(scene, number, photo, keeper)
            if isinstance(judged, str):
                reasons[photo.path] = judged
            else:
                found[photo.path] = judged
        left.append(reasons)
    return found, left


def _judged(scene: Scene, number: int, photo: DuplicatePhoto, keeper: FileFacts) -> Candidate | str:
    path = photo.path
    reason = _place(scene, photo, keeper)
    if reason is not None:
        return reason
    try:
        facts = disk.read_facts(path)
    except PhotoUnreadable as exc:
        return f"it {exc}"
    if facts.sha256 != photo.sha256:
        return "it has changed since it was compared"
    if scene.action in LINKS:
        if photo.level != "bytes" or facts.sha256 != keeper.sha256:
            return OTHER_BYTES
        other_disk = scene.action == "hardlink" and facts.device != keeper.device
        return disk.OTHER_DISK if other_disk else Candidate(number, photo.level, facts, keeper)
    if _is_same_shot(scene, path, keeper.path):
        return SAME_SHOT
    if is_raw(os.fsencode(path)) == is_raw(os.fsencode(keeper.path)):
        return Candidate(number, photo.level, facts, keeper)
    twin = scene.twin(path, keeper)
    return Candidate(number, photo.level, facts, twin) if twin else RAW_AND_DEVELOPED


def _place(scene: Scene, photo: DuplicatePhoto, keeper: FileFacts) -> str | None:
    """Why a member is left, from its place and what kind of file it is."""
    raw = os.fsencode(photo.path)
    if is_source(raw):
        return ELSEWHERE
    if photo.level not in COPIES:
        return UNSURE
    if scene.places.root_of(raw) is None or TRASH in raw.split(b"/"):
        return OUTSIDE
    if scene.is_reference(photo.path):
        return IN_REFERENCE
    own = disk.identity(photo.path)
    if own is None:
        return disk.GONE
    if own == (keeper.device, keeper.inode):
        return LINK_TO_KEEPER if os.path.islink(photo.path) else SAME_INODE
    if os.path.islink(photo.path):
        return f"a link; the file itself is {os.path.realpath(photo.path)}"
    if canonical(raw) != raw:
        return BENT
    if own in scene.kept:
        return KEPT_ELSEWHERE
    if scene.places.to is not None and relative(raw, scene.places.to) is not None:
        return "it is in that folder already"
    if photo.path in scene.links and scene.action not in LINKS:
        return f"a link leads to it: {scene.links[photo.path]}"
    return disk.rights_objection(raw, scene.places.target_of(raw))


def _is_same_shot(scene: Scene, path: str, keeper: str) -> bool:
    if os.path.dirname(path) != os.path.dirname(keeper):
        return False
    try:
        shot = scene.family(path).shot(os.path.basename(os.fsencode(path)))
    except OSError:
        return False
    return os.path.basename(os.fsencode(keeper)) in shot


def _same_size(one: str, other: str) -> bool:
    try:
        first, second = os.stat(one), os.stat(other)
    except OSError:
        return False
    same_file = (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
    return first.st_size == second.st_size and not same_file


def as_left(reasons: dict[str, str]) -> tuple[Left, ...]:
    """Records of what is left, by path."""
    return tuple(Left(path, reasons[path]) for path in sorted(reasons, key=os.fsencode))
