"""What jobs do, each by the function of the engine that the command line uses too; runs in the child."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from simsearch.ui.jobs.packing import packed

Task = dict[str, Any]


class Teller(Protocol):
    """Where progress and notes go."""

    def progress(self, stage: str, done: int, total: int | None, skipped: int = 0) -> None:
        """How far a stage is."""

    def note(self, text: str) -> None:
        """A line for a person."""


def _index(task: Task, teller: Teller) -> Any:
    from simsearch.engine.indexing import IndexingConfig, index_folder
    from simsearch.models.choice import ModelChoice
    from simsearch.records import Progress

    def shown(now: Progress) -> None:
        if now.total is None:
            teller.progress("counting files", now.scanned, None)
        else:
            teller.progress("indexing", now.finished, now.total, now.skipped)

    config = IndexingConfig(
        choice=ModelChoice(task["model"] or "auto"), retry_skipped=bool(task["retry_skipped"])
    )
    report = index_folder(task["folders"], task["index"], config, progress=shown, note=teller.note)
    return packed(report)


def _dedup(task: Task, teller: Teller) -> Any:
    from simsearch.dedup.find import find_duplicates

    return packed(find_duplicates(task["index"], _options(task["options"]), progress=teller.progress))


def _pairs(task: Task, teller: Teller) -> Any:
    from simsearch.dedup.find import pairs_to_label

    doubts = pairs_to_label(
        task["index"], _options(task["options"]), wanted=task["wanted"], progress=teller.progress
    )
    return packed(doubts)


def _options(given: dict[str, Any]) -> Any:
    """The options whose fields, or some of them, are given as `dataclasses.asdict` gives them."""
    from simsearch.dedup.grouping.keeper import KeeperPolicy
    from simsearch.dedup.grouping.scope import Scope
    from simsearch.dedup.options import DedupOptions

    def plain(fields: dict[str, Any]) -> dict[str, Any]:
        return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}

    nested = {
        "scope": Scope(**plain(given.get("scope", {}))),
        "policy": KeeperPolicy(**plain(given.get("policy", {}))),
    }
    return DedupOptions(**{**given, **nested})


def _verify(task: Task, teller: Teller) -> Any:
    from simsearch.engine.maintenance.verify import verify

    def shown(done: int, total: int) -> None:
        teller.progress("reading", done, total)

    teller.progress("checking", 0, None)
    return packed(verify(task["index"], deep=task["deep"], progress=shown))


def _rebuild(task: Task, teller: Teller) -> Any:
    from simsearch.engine.maintenance.view import rebuild

    teller.progress("building", 0, None)
    return packed(rebuild(task["index"], view=task["view"], robust=task["robust"], note=teller.note))


def _look(task: Task, teller: Teller) -> Any:
    from simsearch.ui.jobs.looking import look_at

    return packed(look_at(task["folder"], progress=teller.progress, note=teller.note))


TASKS: dict[str, Callable[[Task, Teller], Any]] = {
    "index": _index,
    "dedup": _dedup,
    "pairs": _pairs,
    "verify": _verify,
    "rebuild": _rebuild,
    "look": _look,
}
