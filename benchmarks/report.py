"""One form for what every case measured: tables on stdout, and JSON with machine, versions and date."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import Cost, machine, timed, versions

__all__ = ["RESULTS", "Cost", "Report", "Table", "cell", "emit", "load", "markdown", "plain", "timed"]

RESULTS = Path(__file__).resolve().parent / "results"

NOTHING = "\N{EN DASH}"

Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of figures under a title; a note says what the columns leave open."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a case measured; `command` is the one that made it, with no path of a machine in it."""

    case: str
    command: str
    tables: tuple[Table, ...]
    figures: dict[str, Any]


def emit(report: Report, target: Path | None) -> None:
    """Print machine, versions and tables, and write all of it to `target` or to results/CASE.json."""
    whole: dict[str, Any] = {
        "case": report.case,
        "command": report.command,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "versions": versions(),
        "tables": [asdict(table) for table in report.tables],
        "figures": report.figures,
    }
    print(f"{report.command}\n{_facts(whole['machine'])}\n{_facts(whole['versions'])}")
    for table in report.tables:
        print(f"\n{plain(table)}")
    target = target or RESULTS / f"{report.case}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path) -> tuple[dict[str, Any], tuple[Table, ...]]:
    """A written report: all of it as JSON, and its tables."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    tables = tuple(
        Table(kept["title"], tuple(kept["columns"]), tuple(map(tuple, kept["rows"])), kept["note"])
        for kept in whole["tables"]
    )
    return whole, tables


def plain(table: Table) -> str:
    """A table as text with columns below each other."""
    lines = [table.columns, *(tuple(map(cell, row)) for row in table.rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(table.columns))]
    numbers = _number_columns(table)
    text = [table.title]
    for line in lines:
        cells = (
            value.rjust(width) if number else value.ljust(width)
            for value, width, number in zip(line, widths, numbers, strict=True)
        )
        text.append("  ".join(cells).rstrip())
    return "\n".join([*text, table.note] if table.note else text)


def markdown(table: Table) -> str:
    """A table for a document, its title in bold above and its note below."""
    marks = ["--:" if number else "---" for number in _number_columns(table)]
    lines = [table.columns, marks, *(map(cell, row) for row in table.rows)]
    rows = ["| " + " | ".join(value.replace("|", "\\|") for value in line) + " |" for line in lines]
    return "\n".join([f"**{table.title}**", "", *rows, *(["", table.note] if table.note else [])])


def cell(value: Cell) -> str:
    """A value as a table shows it; numbers with about three digits that count."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def _number_columns(table: Table) -> list[bool]:
    """Which columns hold no words, so that they stand to the right."""
    return [not any(isinstance(row[n], str) for row in table.rows) for n in range(len(table.columns))]


def _facts(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())
