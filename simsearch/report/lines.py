"""Records -> single lines for a person; names are made visible and never cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from simsearch.report.names import visible

if TYPE_CHECKING:
    from simsearch.models.weights.importing import WeightsReport
    from simsearch.records import (
        CompactReport,
        ExportReport,
        Hit,
        ImportReport,
        IndexInfo,
        IndexReport,
        RemoveReport,
        Skipped,
        ThumbnailsReport,
        ViewInfo,
    )

SHOWN_SKIPPED = 10


def index_line(report: IndexReport) -> str:
    """What a run of indexing did, in one line."""
    counts = {
        "added": report.added,
        "updated": report.updated,
        "moved": report.moved,
        "unchanged": report.unchanged,
        "gone": report.gone,
        "removed": report.removed,
        "skipped": len(report.skipped),
        "ignored": report.ignored,
        "passed over": report.passed_over,
    }
    done = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "no file found"
    effort = f"{report.embedded} embedded in {report.seconds:.1f} s"
    if report.embedded:
        effort += f" ({report.images_per_second:.1f} photos/s, {report.model} on {report.device})"
    return f"{visible(report.index)}: {done}; {effort}"


def skipped_lines(skipped: Sequence[Skipped], *, more: str, limit: int = SHOWN_SKIPPED) -> Iterator[str]:
    """Each skipped file with its reason, up to `limit`, then how many more and the command `more`."""
    for item in skipped[:limit]:
        yield f"Skipped {visible(item.path)}: {visible(item.reason)}"
    if len(skipped) > limit:
        yield f"… and {len(skipped) - limit} more: see {more}"


def view_line(view: ViewInfo) -> str:
    """How an index is searched, with the measured recall."""
    centred = ", centred" if view.center else ""
    if view.kind == "exact":
        trouble = f"; {visible(view.trouble)}" if view.trouble else ""
        return f"exact, every photo is compared{centred}{trouble}"
    robust = f"robust, recall@10 {view.robust_recall:.4f} (without --robust {view.recall:.4f})"
    usual = f"recall@10 {view.recall:.4f} (with --robust {view.robust_recall:.4f})"
    kind = f"{view.kind} at {visible(view.server)}" if view.server else view.kind
    line = f"{kind}, {robust if view.robust else usual}{centred}"
    return f"{line}, {view.tail} vectors beside it" if view.tail else line


def part_of(hit: Hit) -> str:
    """The part of a photo that matched as `query --crop` takes it, x,y,w,h in pixels; empty for the whole."""
    return ",".join(map(str, hit.part)) if hit.part is not None else ""


def tiles_line(info: IndexInfo) -> str:
    """Which tiles an index has, and how many photos are still to get them; empty without any."""
    if info.tiles is None:
        return ""
    grids = " and ".join(
        f"{count} x {count} of {side / 10:g} % of each side" for side, count in info.tiles.grids
    )
    left = info.photos - info.tiles.photos
    more = f"; {left} photos get theirs when their folder is indexed again" if left else ""
    return f"{info.tiles.each} a photo ({grids}){more}"


def compact_line(report: CompactReport) -> str:
    """What compacting dropped, and the room that it gave back."""
    if not report.dropped:
        return f"{visible(report.index)}: nothing to drop, {report.kept} vectors kept\n"
    room = max(0, report.bytes_before - report.bytes_after)
    return (
        f"{visible(report.index)}: {report.dropped} vectors dropped, {report.kept} kept; "
        f"{human_bytes(room)} given back, {human_bytes(report.bytes_after)} left\n"
    )


def remove_lines(report: RemoveReport) -> Iterator[str]:
    """What was forgotten, or would be."""
    did = "would forget" if report.dry_run else "forgot"
    counts = f"{report.files} files, {report.photos} photos"
    yield f"{visible(report.index)}: {did} {counts}; no file was touched\n"
    for root in report.roots:
        yield f"  {did} the folder {visible(root)} whole\n"


def export_line(report: ExportReport) -> str:
    """What was written where."""
    return (
        f"{visible(report.folder)}: {report.rows} rows of {report.dim} numbers in {', '.join(report.files)}\n"
    )


def import_line(report: ImportReport) -> str:
    """What was taken in."""
    checked = f", {report.checked} of them compared with {report.model}" if report.checked else ""
    return (
        f"{visible(report.index)}: {report.added} photos added{checked}, "
        f"{report.known} files of known photos, {len(report.skipped)} left out\n"
    )


def weights_lines(report: WeightsReport) -> Iterator[str]:
    """What an imported checkpoint was recognised as, where it is kept, and how to use it."""
    imported = report.imported
    yield f"{visible(imported.origin)} is a checkpoint of {imported.model}:\n"
    yield f"  {report.tensors} tensors, {report.layout}; {report.dim} numbers a photo\n"
    yield (
        f"  pictures: {imported.resize} pixels, cropped to {imported.crop}, {imported.interpolation}, "
        f"mean {_numbers(imported.mean)}, std {_numbers(imported.std)}\n"
    )
    own = ", as the model's own download would" if report.official else ""
    yield f"  kept as {visible(report.path)}{own}\n"
    yield f"Use it with: simsearch index FOLDER --model {imported.name}\n"


def _numbers(values: Iterable[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def thumbnails_line(report: ThumbnailsReport) -> str:
    """How many thumbnails there are now."""
    failed = f", {report.failed} photos could not be read" if report.failed else ""
    return f"{visible(report.index)}: {report.made} thumbnails made, {report.there} were there{failed}\n"


def rarity_words(one_in: int | None) -> str:
    """How rare a score is, e.g. "1 in 120,000", to two digits; empty where that is not known."""
    if one_in is None:
        return ""
    digits = len(str(one_in)) - 2
    return f"1 in {round(one_in, -digits) if digits > 0 else one_in:,}"


def human_bytes(count: int) -> str:
    """A size for a person: 999 B, 1.5 kB, 94.2 MB."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
