"""Makes the plan of an act: what goes where, what stays for it, what is left and why. Nothing is touched."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence

from simsearch.dedup.acts.disk import facts as disk
from simsearch.dedup.acts.disk.places import Places, free_names
from simsearch.dedup.acts.planning.candidates import Candidate, Scene, as_left, candidates, look_at_keepers
from simsearch.dedup.acts.planning.checking import check_destination
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
from simsearch.engine.index import Index
from simsearch.errors import ActRefused, PhotoUnreadable
from simsearch.paths import canonical, text
from simsearch.storage import catalog

REFERENCE_METADATA = "its notes would go to the keeper's sidecar, which is in a reference folder"
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
    look_at_keepers(scene, groups)
    found, left = candidates(scene, groups)
    planned = _planned(scene, found, left)
    records = [
        _group(scene, group, planned[number], left[number], options) for number, group in enumerate(groups)
    ]
    to = None if scene.places.to is None else text(scene.places.to)
    return Plan(VERSION, run, str(index.path), options.action, to, tuple(records))


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


def _group(
    scene: Scene,
    group: DuplicateGroup,
    files: list[PlannedFile],
    left: dict[str, str],
    options: PlanOptions,
) -> PlannedGroup:
    merge, reason = None, None
    if options.merge_metadata and files:
        try:
            merge = _merge(scene, group, files)
        except PhotoUnreadable as exc:
            reason = f"{UNREADABLE_SIDECAR}: {exc}"
        if merge is not None and scene.is_reference(merge.sidecar):
            reason = REFERENCE_METADATA
    if reason is not None:
        left = left | {file.facts.path: reason for file in files}
        files, merge = [], None
    return PlannedGroup(group.keep, group.why, group.level, tuple(files), as_left(left), merge)


def _merge(scene: Scene, group: DuplicateGroup, files: Sequence[PlannedFile]) -> PlannedMerge | None:
    merge = merged_sidecar(group.keep, [file.facts.path for file in files])
    if merge is None:
        return None
    before = disk.read_facts(merge.sidecar) if os.path.lexists(merge.sidecar) else None
    [target] = free_names([scene.places.aside_of(os.fsencode(merge.sidecar))], ())
    return PlannedMerge(merge.sidecar, merge.xmp, merge.lines, before, text(target))
