"""Figures of quality -> tables for a person at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simsearch.report.names import visible
from simsearch.report.table import PLAIN, Screen, new_table, render, shown_name

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from simsearch.quality.records import EvalConfig, EvalReport, GroupFigures

SHOWN_GROUPS = 20


def eval_table(report: EvalReport, screen: Screen = PLAIN) -> str:
    """The figures, then those of each class and the worst queries, the lowest first."""
    k = report.config.k
    figures = new_table(*((title, "right") for title in figure_titles(k)))
    figures.add_row(*figure_cells(report))
    parts: list[RenderableType] = [summary(report), figures, "", _groups(report)]
    more = len(report.groups) - SHOWN_GROUPS
    if more > 0:
        parts.append(f"and {more:,} more; --json lists all")
    if report.worst:
        table = new_table(("AP", "right"), (f"right of {k}", "right"), ("worst queries", "left"))
        for query in report.worst:
            right = sum(answer.right for answer in query.answers)
            table.add_row(_figure(query.average_precision), str(right), shown_name(query.path))
        parts += ["", table]
    return render(screen, *parts)


def grid_table(reports: Sequence[EvalReport], screen: Screen = PLAIN) -> str:
    """One row for each configuration; the best mean average precision is marked."""
    first = reports[0]
    table = new_table(
        ("", "left"),
        ("model", "left"),
        ("pooling", "left"),
        ("center", "left"),
        *((title, "right") for title in figure_titles(first.config.k)),
    )
    best = max(report.mean_average_precision for report in reports)
    for report in reports:
        config = report.config
        mark = "*" if report.mean_average_precision == best else ""
        table.add_row(
            mark, config.model, config.pooling, "on" if config.center else "off", *figure_cells(report)
        )
    return render(screen, counts(first), table)


def summary(report: EvalReport) -> str:
    """What was measured, in one line."""
    return f"{visible(report.index)}: {counts(report)}; {config_words(report.config)}"


def counts(report: EvalReport) -> str:
    """How many pictures, classes and queries there were."""
    half = f" of the half to {report.config.half}" if report.config.half else ""
    alone = f" and {report.distractors:,} distractors" if report.distractors else ""
    return f"{report.n:,} pictures in {report.classes:,} classes{half}{alone}, {report.queries:,} queries"


def config_words(config: EvalConfig) -> str:
    """How vectors were made and compared."""
    pooling = f", pooling {config.pooling}" if config.pooling else ""
    centred = "centred" if config.center else "not centred"
    return f"{visible(config.model)}{pooling}, {centred}, every picture compared"


def figure_titles(k: int) -> tuple[str, ...]:
    """The titles of `figure_cells`."""
    return "P@1", f"P@{k}", f"recall@{k}", "mAP", "95 % interval", "N-S"


def figure_cells(report: EvalReport) -> tuple[str, ...]:
    """The figures of an evaluation, as they are shown."""
    return (
        _figure(report.precision_at_1),
        _figure(report.precision_at_k),
        _figure(report.recall_at_k),
        _figure(report.mean_average_precision),
        f"{_figure(report.low)} to {_figure(report.high)}",
        f"{report.ns_score:.3f}" if report.ns_score is not None else "",
    )


def group_titles(k: int) -> tuple[str, ...]:
    """The titles of `group_cells`."""
    return "pictures", "P@1", f"P@{k}", f"recall@{k}", "mAP"


def group_cells(group: GroupFigures) -> tuple[str, ...]:
    """The figures of a class but for its name, as they are shown."""
    figures = (
        group.precision_at_1,
        group.precision_at_k,
        group.recall_at_k,
        group.mean_average_precision,
    )
    return (f"{group.pictures:,}", *map(_figure, figures))


def _groups(report: EvalReport) -> Table:
    table = new_table(*((title, "right") for title in group_titles(report.config.k)), ("class", "left"))
    for group in report.groups[:SHOWN_GROUPS]:
        table.add_row(*group_cells(group), shown_name(group.name))
    return table


def _figure(value: float) -> str:
    return f"{value:.4f}"
