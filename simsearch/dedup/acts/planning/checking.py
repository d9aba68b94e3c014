"""Whether a plan, which anybody may have edited, stays within the index and takes no copy's last file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from simsearch.dedup.acts.disk.places import TRASH, Places, are_named
from simsearch.dedup.acts.planning.companions import Family, belongs, is_raw, is_video
from simsearch.dedup.acts.planning.units import belongings
from simsearch.dedup.acts.records import (
    LINKS,
    Companion,
    FileFacts,
    Plan,
    PlannedFile,
    PlannedGroup,
    PlannedMerge,
)
from simsearch.dedup.records import COPIES
from simsearch.errors import ActRefused, RootMissing
from simsearch.media.formats import looks_like_picture
from simsearch.media.scan import root_state
from simsearch.paths import canonical, is_source, relative, text


def check_destination(to: bytes, index: Path, reference: Sequence[bytes]) -> None:
    """Raises ActRefused for a folder that nothing is moved to."""
    if is_source(to):
        raise ActRefused(
            f"Nothing is moved to {text(to)}: simsearch only reads there. Name a folder with --to"
        )
    if os.path.lexists(to) and not os.path.isdir(to):
        raise ActRefused(f"{text(to)} is no folder. Name another one with --to FOLDER")
    refused = [*reference, canonical(index)]
    inside = any(relative(to, place) is not None for place in refused)
    if os.path.dirname(to) == to or TRASH in to.split(b"/") or inside:
        raise ActRefused(
            f"Nothing is moved to {text(to)}: it is a whole disk, a trash, a reference folder or the index. "
            "Name another folder with --to FOLDER"
        )


def check_plan(plan: Plan, places: Places, index: Path) -> None:
    """Raises ActRefused for a plan that `make_plan` would not make for these roots and this index."""
    if places.to is not None:
        check_destination(places.to, index, ())
    going = [facts for group in plan.groups for file in group.files for facts in _facts(file)]
    kept = [keeper for group in plan.groups for keeper in _keepers(group)]
    paths, inodes = {facts.path for facts in going}, {(facts.device, facts.inode) for facts in going}
    if len(paths) != len(going):
        raise _refused("a file goes twice", "")
    for keeper in kept:
        if keeper.path in paths or (keeper.device, keeper.inode) in inodes:
            raise _refused("what is kept for one file goes as another", keeper.path)
        raw = os.fsencode(keeper.path)
        if places.root_of(raw) is None or TRASH in raw.split(b"/"):
            raise _refused("what is kept is not below a folder of the index", keeper.path)
    targets = [*_targets(plan)]
    if len(set(targets)) != len(targets):
        raise _refused("two files would go to one place", "")
    for group in plan.groups:
        for file in group.files:
            _check_file(plan.action, file, places)
        if group.merge is not None:
            _check_merge(group, group.merge, places)


def check_mounted(plan: Plan, places: Places, *, begun: bool) -> None:
    """Raises RootMissing where a folder of the index is not there: its files would be taken for gone.

    An empty one is what an unmounted disk leaves as well, or where this run took the last file out.
    """
    everything = [facts.path for group in plan.groups for file in group.files for facts in _facts(file)]
    everything += [keeper.path for group in plan.groups for keeper in _keepers(group)]
    for root in dict.fromkeys(places.folder_of(os.fsencode(path)) for path in everything):
        state = root_state(root)
        if state == "missing" or (state == "empty" and not begun):
            raise RootMissing(
                f"{text(root)}: {state}, though the plan has files of it. If a disk is not mounted, mount it "
                "and run again; nothing was touched. Else make a new plan with: simsearch dedup --action ..."
            )


def place_objection(plan_action: str, facts: FileFacts, target: str, places: Places) -> str | None:
    """Why a file may not go to its target now; None where it may."""
    aside = plan_action in LINKS
    return places.objection(os.fsencode(facts.path), os.fsencode(target), aside=aside)


def company_objection(file: PlannedFile, family_of: Callable[[bytes], Family]) -> str | None:
    """Why a unit is not whole any more: what belongs to its pictures now and is not planned, or to others."""
    planned = {os.path.basename(os.fsencode(facts.path)) for facts in _facts(file)}
    there = [facts for facts in _facts(file) if os.path.lexists(facts.path) and is_picture(facts)]
    for facts in there:
        own = os.path.basename(os.fsencode(facts.path))
        try:
            family = family_of(os.fsencode(facts.path))
        except OSError as exc:
            return f"its folder cannot be listed: {exc.strerror or exc}"
        strange = (set(family.shot(own)) | set(belongings(family, planned))) - planned
        shared = [n for n, owners in family.owners.items() if n in planned and not planned.issuperset(owners)]
        if strange or shared:
            return "what belongs to it has changed since the plan was made"
    return None


def is_picture(facts: FileFacts) -> bool:
    """Whether a file is a picture by its name."""
    return looks_like_picture(os.path.basename(os.fsencode(facts.path)))


def _check_file(action: str, file: PlannedFile, places: Places) -> None:
    path = file.facts.path
    whole = [(file.facts, file.target), *((item.facts, item.target) for item in file.companions)]
    for facts, target in whole:
        reason = place_objection(action, facts, target, places)
        if reason is not None:
            raise _refused(reason, facts.path)
    wanted = [places.target_of(os.fsencode(facts.path)) for facts, _ in whole]
    if not are_named([os.fsencode(target) for _, target in whole], wanted):
        raise _refused("it would go to another place than the one that its path gives it", path)
    if file.level not in COPIES:
        raise _refused("it is not sure to be a copy", path)
    if action in LINKS:
        if file.companions or file.facts.sha256 != file.keeper.sha256:
            raise _refused("a link takes the place of the same bytes, and of nothing beside them", path)
        return
    if is_raw(os.fsencode(path)) != is_raw(os.fsencode(file.keeper.path)):
        raise _refused("a RAW file and a developed picture do not stand in for each other", path)
    for companion in file.companions:
        _check_companion(file, companion)


def _check_companion(file: PlannedFile, companion: Companion) -> None:
    folder, name = os.path.split(os.fsencode(companion.facts.path))
    pictures = [os.path.basename(os.fsencode(facts.path)) for facts in _facts(file) if is_picture(facts)]
    same_folder = folder == os.path.dirname(os.fsencode(file.facts.path))
    picture = is_picture(companion.facts)
    stem = os.path.splitext(os.fsdecode(name))[0].lower()
    own_stem = os.path.splitext(os.path.basename(file.facts.path))[0].lower()
    related = stem == own_stem if picture else any(belongs(name, other) for other in pictures)
    if not (same_folder and related) or (companion.keeper is None and (picture or is_video(name))):
        raise _refused("it does not belong to the picture that it would go with", companion.facts.path)


def _check_merge(group: PlannedGroup, merge: PlannedMerge, places: Places) -> None:
    sidecar, keep = os.fsencode(merge.sidecar), os.fsencode(group.keep)
    xmp = sidecar.lower().endswith(b".xmp") and belongs(os.path.basename(sidecar), os.path.basename(keep))
    if os.path.dirname(sidecar) != os.path.dirname(keep) or not xmp:
        raise _refused("it is no sidecar of what is kept", merge.sidecar)
    reason = places.objection(sidecar, os.fsencode(merge.target), aside=True)
    if reason is None and merge.before is not None and merge.before.path != merge.sidecar:
        reason = "its facts are of another file"
    if reason is None and not are_named([os.fsencode(merge.target)], [places.aside_of(sidecar)]):
        reason = "it would go to another place than the one that its path gives it"
    if reason is not None:
        raise _refused(reason, merge.sidecar)


def _facts(file: PlannedFile) -> list[FileFacts]:
    return [file.facts, *(companion.facts for companion in file.companions)]


def _keepers(group: PlannedGroup) -> Iterator[FileFacts]:
    for file in group.files:
        yield file.keeper
        yield from (companion.keeper for companion in file.companions if companion.keeper is not None)


def _targets(plan: Plan) -> Iterator[str]:
    for group in plan.groups:
        for file in group.files:
            yield from (file.target, *(companion.target for companion in file.companions))


def _refused(reason: str, path: str) -> ActRefused:
    where = f" ({path})" if path else ""
    return ActRefused(
        f"This plan is not carried out: {reason}{where}. Nothing was touched; "
        "make a new plan with: simsearch dedup --action ..."
    )
