"""Figures of quality -> JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from simsearch.report.machine import to_json

if TYPE_CHECKING:
    from simsearch.quality.records import EvalReport, GroupFigures, WorstQuery


def eval_json(report: EvalReport) -> bytes:
    """One evaluation as {n, queries, classes, distractors, "P@1", "P@k", "recall@k", mAP, …, config}."""
    return to_json(_plain(report))


def grid_json(reports: Sequence[EvalReport]) -> bytes:
    """A list of such, in order."""
    return to_json([_plain(report) for report in reports])


def _plain(report: EvalReport) -> dict[str, Any]:
    return {
        "index": report.index,
        "n": report.n,
        "queries": report.queries,
        "classes": report.classes,
        "distractors": report.distractors,
        **_figures(report, report.config.k),
        "mAP_95": [report.low, report.high],
        "N-S": report.ns_score,
        "N-S_queries": report.ns_queries,
        "per_class": [_group(group, report.config.k) for group in report.groups],
        "worst": [_worst(query) for query in report.worst],
        "config": asdict(report.config),
    }


def _figures(of: EvalReport | GroupFigures, k: int) -> dict[str, float]:
    return {
        "P@1": of.precision_at_1,
        f"P@{k}": of.precision_at_k,
        f"recall@{k}": of.recall_at_k,
        "mAP": of.mean_average_precision,
    }


def _group(group: GroupFigures, k: int) -> dict[str, Any]:
    counts = {"class": group.name, "pictures": group.pictures, "queries": group.queries}
    return {**counts, **_figures(group, k)}


def _worst(query: WorstQuery) -> dict[str, Any]:
    return {
        "path": query.path,
        "classes": query.groups,
        "AP": query.average_precision,
        "answers": [asdict(answer) for answer in query.answers],
    }
