"""Groups of copies, leaks and comparisons -> tables for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simsearch.report.duplicates.words import (
    counted,
    group_words,
    level_words,
    score_words,
    spare,
    threshold_words,
    unsure,
)
from simsearch.report.lines import human_bytes
from simsearch.report.names import visible
from simsearch.report.table import PLAIN, Screen, new_table, render, shown_name

if TYPE_CHECKING:
    from rich.console import RenderableType

    from simsearch.dedup.records import Comparison, DuplicateGroup, DuplicateReport, LeakReport

SHOWN_GROUPS = 20
SHOWN_PHOTOS = 20
SHOWN_LEAKS = 20


def groups_table(report: DuplicateReport, screen: Screen = PLAIN) -> str:
    """The first groups, each with its keeper first and what differs from it, and a line of all in all.

    In a copy's row "=" stands where it does not differ from the keeper.
    """
    parts: list[RenderableType] = []
    for number, group in enumerate(report.groups[:SHOWN_GROUPS], start=1):
        parts += _group(number, group)
    more = len(report.groups) - SHOWN_GROUPS
    if more > 0:
        parts.append(f"and {more:,} more; --html or --json shows all\n")
    parts.append(summary(report))
    return render(screen, *parts)


def summary(report: DuplicateReport) -> str:
    """What was found, in one line."""
    copies = list(spare(report.groups))
    looked = f"{counted(report.photos, 'photo')}, {counted(report.compared, 'pair')} compared"
    parts = [f"{counted(len(copies), 'copy', 'copies')} of {human_bytes(sum(p.bytes for p in copies))}"]
    if doubtful := unsure(report.groups):
        parts.append(f"{doubtful:,} to look at")
    parts[0] += f" in {counted(len(report.groups), 'group')}"
    if not report.groups:
        parts = ["no copies found"]
    if report.silenced:
        parts.append(f"{counted(report.silenced, 'group')} not shown by an earlier verdict")
    if report.failed:
        parts.append(f"{counted(len(report.failed), 'photo')} could not be read")
    line = f"{visible(report.index)}: {', '.join(parts)}; {looked}"
    if not report.compared or report.threshold >= 1:
        # Equal bytes and pixels have no score that they could reach.
        return line
    return f"{line}, copies from a score of {threshold_words(report.threshold)} on"


def leaks_table(report: LeakReport, screen: Screen = PLAIN) -> str:
    """The first leaks and a line of all in all."""
    parts: list[RenderableType] = []
    if report.leaks:
        table = new_table(("level", "left"), ("score", "right"), ("test", "left"), ("train", "left"))
        for leak in report.leaks[:SHOWN_LEAKS]:
            words = level_words(leak.level)
            table.add_row(words, score_words(leak.score), shown_name(leak.test), shown_name(leak.train))
        parts.append(table)
    more = len(report.leaks) - SHOWN_LEAKS
    if more > 0:
        parts.append(f"and {more:,} more; --html, --json or --format csv shows all")
    parts.append(leaks_summary(report))
    return render(screen, *parts)


def leaks_summary(report: LeakReport) -> str:
    """How much of the test set the training set holds, in one line; a photo may lie in several files."""
    doubtful = len(report.leaks) - report.leaked
    line = (
        f"{counted(report.leaked, 'test file')} found among {counted(report.train_photos, 'training photo')}"
    )
    if doubtful:
        line += f", {doubtful:,} more to look at"
    if report.failed:
        line += f", {counted(len(report.failed), 'photo')} could not be read"
    return f"{line}; {counted(report.test_photos, 'test photo')} looked up"


def comparison_lines(comparison: Comparison) -> str:
    """What two files are to each other, and how the second has to be turned to look like the first."""
    lines = [
        f"{level_words(comparison.level)}: score {score_words(comparison.score)}, "
        f"copies from {threshold_words(comparison.threshold)} on",
        f"  {visible(comparison.first)}",
        f"  {visible(comparison.second)}{turn_words(comparison)}",
    ]
    return "".join(f"{line}\n" for line in lines)


def turn_words(comparison: Comparison) -> str:
    """How the second of two has to be turned, in brackets after a blank; empty where it has not."""
    turns = ["mirrored left to right"] * comparison.mirrored
    turns += [f"turned by {comparison.turned}° clockwise"] * bool(comparison.turned)
    return f" (has to be {', then '.join(turns)})" if turns else ""


def _group(number: int, group: DuplicateGroup) -> list[RenderableType]:
    keeper, *others = group.photos
    score = f", score from {score_words(group.min_score)} on" if group.min_score < 1 else ""
    title = f"Group {number}: {group_words(group.level)}{score}; {group.why}"
    table = new_table(("", "left"), ("score", "right"), ("size", "right"), ("bytes", "right"), ("", "left"))
    table.add_row(
        "keep",
        "",
        f"{keeper.width} x {keeper.height}",
        human_bytes(keeper.bytes),
        shown_name(keeper.path, "bold"),
    )
    for photo in others[: SHOWN_PHOTOS - 1]:
        same_size = (photo.width, photo.height) == (keeper.width, keeper.height)
        table.add_row(
            level_words(photo.level),
            score_words(photo.score),
            "=" if same_size else f"{photo.width} x {photo.height}",
            "=" if photo.bytes == keeper.bytes else human_bytes(photo.bytes),
            shown_name(photo.path),
        )
    left = len(group.photos) - SHOWN_PHOTOS
    rest = [f"and {left:,} more in this group"] if left > 0 else []
    return [shown_name(title), table, *rest, ""]
