"""What is called a copy among photos as they are: groups by file name, and a page to look at them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.dedup.data import COPIES
from benchmarks.dedup.parts.settings import Settings, workplace
from benchmarks.machine import Cost, timed
from benchmarks.peers.environments import bench_folder
from benchmarks.report import Report, Table
from simsearch.dedup.find import find_duplicates
from simsearch.dedup.options import AUTO, DedupOptions
from simsearch.dedup.records import DuplicateGroup, DuplicateReport
from simsearch.engine.indexing import index_folder
from simsearch.engine.indexing.config import IndexingConfig
from simsearch.errors import SimsearchError
from simsearch.media.thumbs import thumbnail
from simsearch.report.duplicates.page import groups_page

ARGUABLE, TRUE = COPIES[:1], COPIES[1:]
SEARCHES = {
    "exact": DedupOptions(reach="exact"),
    "near": DedupOptions(),
    "near, auto": DedupOptions(threshold=AUTO),
}
SHOTS = "near, shots of one scene"

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found and spent; without a report, why."""

    search: str
    report: DuplicateReport | None
    cost: Cost
    why: str = ""


def groups(settings: Settings) -> Report:
    """All photos as they are: exact copies, edited ones, and edited ones by a threshold of their own."""
    with workplace() as place:
        found = _searched(settings.photos, place / "photos", settings, SEARCHES)
        if settings.shots is not None:
            found += _searched(settings.shots, place / "shots", settings, {SHOTS: SEARCHES["near"]})
    for one in found:
        _show(one)
    return Report("dedup-groups", settings.command("groups"), tables(found), figures(found))


def kind_of(names: Sequence[str]) -> str:
    """Whether files of these names are "true copies", "arguable" or "wrong", by all pairs of them."""
    worst = "true copies"
    for pair in combinations([Path(name).stem for name in names], 2):
        stems = set(pair)
        if any(stems == {f"{a}", f"{b}"} for a, b in TRUE):
            continue
        if not any(stems == {f"{a}", f"{b}"} for a, b in ARGUABLE):
            return "wrong"
        worst = "arguable"
    return worst


def tables(found: Sequence[Found]) -> tuple[Table, ...]:
    """A row for each search, and one for each group and each known pair that was not found."""
    columns = (
        *("search", "threshold", "photos", "pairs compared", "groups", "true copies", "arguable", "wrong"),
        *("not read", "CPU s"),
    )
    note = (
        "CPU seconds: the searches ran one after the other on one index, and the first that looks for edited "
        "copies read all photos. A search without figures says why."
    )
    whole = Table("Groups among photos as they are", columns, tuple(map(_row, found)), note)
    each = Table(
        "The groups",
        ("search", "level", "files", "score", "what it is"),
        tuple(row for one in found for row in _groups(one)),
        "The score is the least in the group.",
    )
    return whole, each


def figures(found: Sequence[Found]) -> dict[str, Any]:
    """The groups of each search by file name, with level, least score and what they are."""
    return {
        one.search: [
            {"files": _names(group), "level": group.level, "score": group.min_score, "kind": _kind(group)}
            for group in one.report.groups
        ]
        for one in found
        if one.report is not None
    }


def _searched(
    folder: Path, index: Path, settings: Settings, searches: dict[str, DedupOptions]
) -> list[Found]:
    index_folder([folder], index, IndexingConfig(choice=settings.choice))
    return [_search(index, name, options) for name, options in searches.items()]


def _search(index: Path, name: str, options: DedupOptions) -> Found:
    try:
        report, cost = timed(lambda: find_duplicates(index, options))
    except SimsearchError as exc:
        return Found(name, None, Cost(0.0, 0.0), str(exc))
    return Found(name, report, cost)


def _row(found: Found) -> tuple[str | int | float | None, ...]:
    report = found.report
    if report is None:
        return found.search, found.why, *([None] * 8)
    kinds = [_kind(group) for group in report.groups]
    return (
        *(found.search, f"{report.threshold:.5f}", report.photos, report.compared, len(kinds)),
        *(kinds.count(kind) for kind in ("true copies", "arguable", "wrong")),
        *(len(report.failed), found.cost.cpu),
    )


def _groups(found: Found) -> Iterator[tuple[str, str, str, str, str]]:
    if found.report is None:
        return
    together: list[set[str]] = []
    for group in found.report.groups:
        names = _names(group)
        together.append({Path(name).stem for name in names})
        score = f"{group.min_score:.6f}"
        yield found.search, group.level, ", ".join(names), score, _kind(group)
    for one, other in TRUE if found.search in ("near", "near, auto") else ():
        if not any({f"{one}", f"{other}"} <= stems for stems in together):
            yield found.search, "", f"{one}, {other}", "", "true copies, not found"


def _names(group: DuplicateGroup) -> Names:
    return tuple(sorted(Path(photo.path).name for photo in group.photos))


def _kind(group: DuplicateGroup) -> str:
    return kind_of(_names(group))


def _show(found: Found) -> None:
    """Write the page of a search beside the bench's other files: the photos are in it."""
    if found.report is None:
        return
    page = bench_folder() / "dedup" / f"groups {found.search}.html".replace(", ", " ").replace(" ", "-")
    page.parent.mkdir(parents=True, exist_ok=True)
    pieces = groups_page(found.report, lambda path: thumbnail(Path(path)))
    page.write_text("".join(pieces), encoding="utf-8")
    print(f"Wrote {page}", file=sys.stderr)
