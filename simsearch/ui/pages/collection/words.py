"""What the page about the index says, as text."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

from simsearch.records import IndexInfo, IndexReport, VerifyReport, ViewInfo
from simsearch.report.duplicates.words import counted
from simsearch.report.lines import tiles_line
from simsearch.report.names import visible
from simsearch.ui.look import size_of

STATES = {
    "remote": "read over the network when it is indexed; not looked at now",
    "ok": "there",
    "missing": "missing: its photos are kept in the index. A disk that is not mounted?",
    "empty": "empty: its photos are kept in the index. A disk that is not mounted?",
}


def searched(view: ViewInfo, what: str = "photo") -> str:
    """How the index is searched and how well that finds, in words; `what` is compared, in the singular."""
    if view.kind == "exact":
        words = "exact: every photo is compared, so nothing is missed"
        if view.trouble:
            words += f". {visible(view.trouble)}"
    else:
        recall = view.robust_recall if view.robust else view.recall
        words = f"{view.kind}: finds {100 * recall:.1f} % of the ten most alike, measured on its own photos"
        if view.tail:
            words += f"; {counted(view.tail, f'newer {what}')} compared one by one beside it"
    return words + ("; scores are centred on the collection" if view.center else "")


def facts(info: IndexInfo) -> list[tuple[str, str]]:
    """The rows of the table of facts."""
    return [
        ("Model", f"{info.model}, {info.dim:,} numbers a photo"),
        ("Why this model", info.fallback or ""),
        ("Tiles", tiles_line(info)),
        ("Search", searched(info.view, "photo" if info.tiles is None else "vector")),
        ("Folder of the index", info.index),
        ("Size on disk", size_of(info.bytes)),
        ("Format", str(info.format)),
    ]


def indexed(report: IndexReport) -> str:
    """What a run of indexing did, in one sentence."""
    counts = (
        (report.added, "new"),
        (report.updated, "changed"),
        (report.moved, "moved"),
        (report.unchanged, "as before"),
        (report.gone, "gone from the disk"),
        (len(report.skipped), "skipped"),
    )
    done = ", ".join(f"{count:,} {what}" for count, what in counts if count) or "no photo was found"
    return f"Indexing is done: {done}."


def checked(report: VerifyReport) -> str:
    """The outcome of a check, in one sentence."""
    found = counted(len(report.problems), "problem") if report.problems else "no problem"
    return f"{counted(report.checked, 'photo')} of the index checked: {found} found."


def quoted(path: str | os.PathLike[str]) -> str:
    """A path as it is typed at a terminal."""
    return shlex.quote(visible(os.fspath(path)))


def commands(index: str) -> Iterator[tuple[str, str]]:
    """What is done at the terminal and not here, and its command."""
    flag = f" -i {quoted(index)}"
    yield "Forget photos whose files are gone", f"simsearch index --prune{flag}"
    yield "Forget a folder; its files stay", f"simsearch remove FOLDER{flag}"
    yield "Mend what a check found damaged", f"simsearch index --repair{flag}"
    yield "Give back the room of photos that were forgotten", f"simsearch compact{flag}"
