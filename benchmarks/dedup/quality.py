"""The tables of quality: each method by its figures, by edits at its own threshold, and ours by the bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.dedup.data import Query, Task
from benchmarks.dedup.scores import Answers, Judged, Summary, judge, recall_by_edit, summary
from benchmarks.machine import Cost
from benchmarks.peers.environments import PeerMissing
from benchmarks.report import Cell, Table

EXTREME = "extreme"
HARDER = {"noise": 0.94, "hue": 0.94}
SINGLE, COMBO, COLLAGE = 0.98, 0.85, 0.75
BARS = (("micro-AP", 0.985), ("recall at precision .99", 0.98), ("recall at precision .999", 0.965))
WRONG_TOLD = 20

Method = Callable[[], tuple[Answers, str, Cost]]
"""Gives its answers, what it did and what that cost; raises PeerMissing."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A method's figures; recall by edit is that at its own threshold of precision .99, extreme ones last."""

    name: str
    did: str
    cost: Cost
    summary: Summary
    by_edit: dict[str, float]
    wrong: tuple[tuple[str, str, str, float], ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """A method that could not be run, and why."""

    name: str
    why: str


def compare(task: Task, methods: Mapping[str, Method]) -> tuple[tuple[Table, ...], dict[str, Any]]:
    """Run the methods, the first of which is ours, and make the tables and figures of them."""
    results = [_run(task, name, method) for name, method in methods.items()]
    scored = [result for result in results if isinstance(result, Scored)]
    tables = [_whole(task, results), _edits(task, scored)]
    ours = results[0]
    if isinstance(ours, Scored):
        tables.append(_bars(task, ours))
    figures = {
        "half": task.half,
        "originals": len(task.originals),
        "queries": len(task.queries),
        "unedited queries": len(task.unedited),
        "methods": {result.name: asdict(result) for result in results},
    }
    return tuple(tables), figures


def _run(task: Task, name: str, method: Method) -> Scored | Missing:
    try:
        answers, did, cost = method()
    except PeerMissing as exc:
        return Missing(name, str(exc))
    usual = judge(*_part(task.asked, answers, extreme=False))
    figures = summary(usual)
    extreme = judge(*_part(task.asked, answers, extreme=True))
    by_edit = {
        edit: recall
        for judged in (usual, extreme)
        for edit, recall in recall_by_edit(judged, figures.threshold_99).items()
    }
    return Scored(name, did, cost, figures, by_edit, _wrong(task, usual, figures.threshold_99))


def _part(asked: Sequence[Query], answers: Answers, *, extreme: bool) -> tuple[list[Query], Answers]:
    """The queries that are extreme edits, or the others, and the answers to them."""
    chosen = [n for n, query in enumerate(asked) if (query.kind == EXTREME) == extreme]
    place = np.full(len(asked), -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    queries = place[answers.queries]
    kept = queries >= 0
    part = Answers(queries[kept], answers.originals[kept], answers.scores[kept])
    return [asked[n] for n in chosen], part


def _wrong(task: Task, judged: Judged, threshold: float) -> tuple[tuple[str, str, str, float], ...]:
    """The surest wrong answers: edit, its original, what was taken for it, score."""
    answers = judged.answers
    places = np.flatnonzero(~judged.right & (answers.scores >= threshold))[:WRONG_TOLD]
    told = []
    for n in places.tolist():
        query = judged.asked[answers.queries[n]]
        taken = task.originals[answers.originals[n]]
        told.append((query.edit, task.originals[query.original].name, taken.name, float(answers.scores[n])))
    return tuple(told)


def _whole(task: Task, results: Sequence[Scored | Missing]) -> Table:
    columns = (
        *("method", "what it does", "micro-AP", "95 %", "R@P99", "95 %", "R@P999", "95 %", "R@1"),
        "CPU s",
    )
    usual = sum(query.kind != EXTREME for query in task.queries)
    note = (
        "R@P99: the largest recall whose precision is .99 or more. 95 %: by drawing originals. A row without "
        "figures says why. Extreme edits do not count here."
    )
    title = (
        f"{usual:,} edited photos and {len(task.unedited):,} unedited ones, searched in "
        f"{len(task.originals):,} originals"
    )
    return Table(title, columns, tuple(_row(result, len(columns)) for result in results), note)


def _row(result: Scored | Missing, columns: int) -> tuple[Cell, ...]:
    if isinstance(result, Missing):
        return result.name, result.why, *([None] * (columns - 2))
    figures = result.summary
    cells: list[Cell] = []
    for value, (low, high) in zip(
        (figures.micro_ap, figures.recall_99, figures.recall_999), figures.spread, strict=True
    ):
        cells += [f"{value:.3f}", f"{low:.3f}\N{EN DASH}{high:.3f}"]
    return result.name, result.did, *cells, f"{figures.recall_first:.3f}", result.cost.cpu


def _edits(task: Task, scored: Sequence[Scored]) -> Table:
    kinds = {query.edit: query.kind for query in task.queries}
    names = sorted(kinds, key=lambda edit: kinds[edit] == EXTREME)
    rows = tuple(
        (edit, kinds[edit], *(f"{result.by_edit.get(edit, 0.0):.3f}" for result in scored)) for edit in names
    )
    title = "Recall of each edit at each method's threshold of precision .99"
    thresholds = ", ".join(f"{result.name} {result.summary.threshold_99:.4g}" for result in scored)
    note = f"Thresholds in this run, each by the method's own score: {thresholds}."
    return Table(title, ("edit", "kind", *(result.name for result in scored)), rows, note)


def _bars(task: Task, ours: Scored) -> Table:
    """What was to be reached; of edits with one bar the lowest recall is shown, with its edit."""
    figures = ours.summary
    measured = (figures.micro_ap, figures.recall_99, figures.recall_999)
    rows = [(name, bar, value, "") for (name, bar), value in zip(BARS, measured, strict=True)]
    kinds = {query.edit: query.kind for query in task.queries}
    groups = [
        ("each single edit", SINGLE, [e for e, k in kinds.items() if k == "single" and e not in HARDER]),
        *((edit, bar, [edit]) for edit, bar in HARDER.items()),
        ("three edits at once", COMBO, [e for e, k in kinds.items() if k == "combo"]),
        ("2 x 2 collage", COLLAGE, [e for e, k in kinds.items() if k == "collage"]),
    ]
    for name, bar, edits in groups:
        if found := [edit for edit in edits if edit in ours.by_edit]:
            lowest = min(found, key=lambda edit: ours.by_edit[edit])
            rows.append((name, bar, ours.by_edit[lowest], lowest))
    told = tuple(
        (name, f"{bar:.3f}", f"{value:.3f}", lowest, "yes" if value >= bar else "no")
        for name, bar, value, lowest in rows
    )
    return Table("simsearch by its bars", ("what", "bar", "measured", "lowest edit", "reached"), told)
