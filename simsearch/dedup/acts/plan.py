"""Makes the plan of an act: what goes where, what stays for it, what is left and why. Nothing is touched."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Collection, Iterator, Sequence

from simsearch.dedup.acts.disk import facts as disk
from simsearch.dedup.acts.disk.places import Places, free_names
from simsearch.dedup.acts.planning.candidates import Candidate, Scene, as_left, candidates, look_at_keepers
from simsearch.dedup.acts.planning.checking import check_destination, is_picture
from simsearch.dedup.acts.planning.units import Unit, units
from simsearch.dedup.acts.records import (
    ACTIONS,
    LINKS,
    VERSION,
    Companion,
    Plan,
    PlannedFile,
    PlannedGroup,
    PlannedMerge,
    PlanOptions,
)
from simsearch.dedup.metadata.merge import merged_sidecar
from simsearch.dedup.records import DuplicateGroup
from simsearch.dedup.verdicts import Verdicts
from simsearch.engine.batch.hits import content_paths
from simsearch.engine.index import Index
from simsearch.errors import ActRefused, PhotoUnreadable
from simsearch.paths import canonical, text
from simsearch.storage import catalog

REFERENCE_METADATA = "its notes would go to the keeper's sidecar, which is in a reference folder"
UNWRITABLE_SIDECAR = "its notes would go to the keeper's sidecar"
UNREADABLE_SIDECAR = "its notes would go to the keeper's sidecar, which cannot be read"


def make_plan(index: Index, groups: Sequence[DuplicateGroup], options: PlanOptions) -> Plan:
    """What would be done with the copies of these groups.

    Every file is read again. "set-aside" renames into `<root>/.simsearch-trash/<run>/`, below the topmost
    folder of the file's own disk; "move" moves to `<to>/<path below the root>`; "hardlink" and "symlink" set
    the copy aside and put a link to the keeper in its place, and only for the same bytes.

    Raises ActRefused for an action that is unknown or a folder `to` that will not do.
    """
    with index.database.read() as connection:
        roots = [root.path for root in catalog.read_roots(connection)]
    reference = tuple(canonical(folder) for folder in options.reference)
    run = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
    scene = Scene(Places(roots, run, _destination(index, options, reference)), options.action, reference)
    scene.links.update(_links(index, groups))
    scene.stay = options.stay
    look_at_keepers(scene, groups)
    found, left = candidates(scene, groups)
    with Verdicts.open(index.path) as verdicts:
        scene.kept_all = verdicts.silences
        planned = _planned(scene, found, left)
    merges = _merges(scene, groups, planned, left) if options.merge_metadata else {}
    records = [
        PlannedGroup(
            group.keep,
            group.why,
            group.level,
            tuple(planned[number]),
            as_left(left[number]),
            # Other shots of one scene may have a group of the same keeper behind this one.
            merges.pop(group.keep, None),
        )
        for number, group in enumerate(groups)
    ]
    to = None if scene.places.to is None else text(scene.places.to)
    return Plan(VERSION, run, str(index.path), options.action, to, tuple(records))


def _links(index: Index, groups: Sequence[DuplicateGroup]) -> dict[str, str]:
    """By the files that they lead to, the symbolic links among the files of what the groups hold."""
    digests = dict.fromkeys(photo.sha256 for group in groups for photo in group.photos)
    with index.database.read() as connection:
        found = (catalog.content_by_digest(connection, bytes.fromhex(digest)) for digest in digests)
        known = content_paths(connection, [number for number in found if number is not None])
    links = sorted(path for paths in known.values() for path in paths if os.path.islink(path))
    return {os.path.realpath(text(link)): text(link) for link in reversed(links)}


def _destination(index: Index, options: PlanOptions, reference: Sequence[bytes]) -> bytes | None:
    if options.action not in ACTIONS:
        raise ActRefused(f"There is no action {options.action!r}. Choose one of: {', '.join(ACTIONS)}")
    if options.action != "move":
        if options.to is not None:
            raise ActRefused(f"A folder to move to was named, and {options.action} moves nothing. Use move.")
        return None
    if not options.to:
        raise ActRefused("No folder to move to was named. Name one with --to FOLDER")
    to = canonical(options.to)
    check_destination(to, index.path, reference)
    return to


def _planned(
    scene: Scene, found: dict[str, Candidate], left: list[dict[str, str]]
) -> list[list[PlannedFile]]:
    """The files that go, by number of their group; those that stay after all are added to `left`."""
    planned: list[list[PlannedFile]] = [[] for _ in left]
    reasons: dict[str, str] = {}
    taken: set[bytes] = set()
    if scene.action in LINKS:
        whole = [Unit((found[path],), ()) for path in sorted(found, key=os.fsencode)]
    else:
        whole = list(units(scene, found, reasons))
    for unit in whole:
        group = unit.pictures[0].group
        if group is not None:
            planned[group].append(_file(scene, unit, taken))
    for path, reason in reasons.items():
        group = found[path].group
        if group is not None:
            left[group][path] = reason
    gone = {facts.path for unit in whole for facts in (item.facts for item in unit.pictures)}
    for own in left:
        for path in gone & own.keys():
            del own[path]
    return planned


def _file(scene: Scene, unit: Unit, taken: set[bytes]) -> PlannedFile:
    first, *others = unit.pictures
    company = [(item.facts, item.keeper) for item in others] + list(unit.belongings)
    paths = [os.fsencode(facts.path) for facts in (first.facts, *(facts for facts, _ in company))]
    targets = free_names([scene.places.target_of(path) for path in paths], taken)
    taken.update(targets)
    companions = (
        Companion(facts, text(target), keeper)
        for (facts, keeper), target in zip(company, targets[1:], strict=True)
    )
    return PlannedFile(first.facts, first.level, text(targets[0]), first.keeper, tuple(companions))


def _merges(
    scene: Scene,
    groups: Sequence[DuplicateGroup],
    planned: list[list[PlannedFile]],
    left: list[dict[str, str]],
) -> dict[str, PlannedMerge]:
    """What the sidecars of the keepers become, by keeper; what goes for one that cannot, stays after all."""
    keeps = {group.keep for group in groups}
    sources: dict[str, list[str]] = {}
    for group, files in zip(groups, planned, strict=True):
        for file in files:
            for keep, path in _noted(group.keep, keeps, file):
                sources.setdefault(keep, []).append(path)
    found = {keep: _merge(scene, keep, others) for keep, others in sources.items()}
    refused = {keep: reason for keep, reason in found.items() if isinstance(reason, str)}
    for number, group in enumerate(groups):
        for file in tuple(planned[number]):
            keepers = dict.fromkeys(keep for keep, _ in _noted(group.keep, keeps, file))
            reason = next((refused[keep] for keep in keepers if keep in refused), None)
            if reason is not None:
                planned[number].remove(file)
                left[number][file.facts.path] = reason
    if refused:
        # Of those that stay nothing is carried over, to whichever keeper it was.
        return _merges(scene, groups, planned, left)
    return {keep: merge for keep, merge in found.items() if isinstance(merge, PlannedMerge)}


def _noted(keep: str, keeps: Collection[str], file: PlannedFile) -> Iterator[tuple[str, str]]:
    """Each picture of a unit behind the keeper whose sidecar gets its notes.

    That is the keeper of the picture's own group; of half a shot that is in none, that of the other half.
    """
    yield keep, file.facts.path
    for companion in file.companions:
        if companion.keeper is not None and is_picture(companion.facts):
            own = companion.keeper.path
            yield own if own in keeps else keep, companion.facts.path


def _merge(scene: Scene, keep: str, others: Sequence[str]) -> PlannedMerge | str | None:
    """The merge of a keeper's sidecar; None where it says all already, and in words why it cannot be made."""
    try:
        merge = merged_sidecar(keep, others)
        if merge is None:
            return None
        before = disk.read_facts(merge.sidecar) if os.path.lexists(merge.sidecar) else None
    except PhotoUnreadable as exc:
        return f"{UNREADABLE_SIDECAR}: {exc}"
    if scene.is_reference(merge.sidecar):
        return REFERENCE_METADATA
    sidecar = os.fsencode(merge.sidecar)
    [target] = free_names([scene.places.aside_of(sidecar)], ())
    reason = disk.rights_objection(sidecar, target)
    if reason is not None:
        return f"{UNWRITABLE_SIDECAR}: {reason}"
    return PlannedMerge(merge.sidecar, merge.xmp, merge.lines, before, text(target))
