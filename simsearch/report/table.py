"""Records -> tables and lines for a person at a terminal; names are made visible and never cut."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simsearch.report.lines import human_bytes, part_of, rarity_words, tiles_line, view_line
from simsearch.report.names import visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from simsearch.engine.labels.facts import PhotoFacts
    from simsearch.records import IndexInfo, QueryResult, Skipped, VerifyReport


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a table goes: columns of the terminal (None: as wide as it needs) and whether in colour."""

    width: int | None = None
    colour: bool = False


PLAIN = Screen()
SHOWN_PROBLEMS = 50


def query_table(result: QueryResult, screen: Screen = PLAIN) -> str:
    """The hits of one query under its name, best first, with the files that hold the same bytes.

    Next to the score stands how rare it is among the pairs of the collection, where that is known. Where a
    part of a photo is what matched, a column tells which; where points were compared, one how many agree.
    """
    rare = [("pairs so alike", "right")] if any(hit.one_in is not None for hit in result.hits) else []
    parts = [("part", "right")] if any(hit.part for hit in result.hits) else []
    seen = [("points", "right")] if any(hit.points is not None for hit in result.hits) else []
    table = new_table(
        *(("#", "right"), ("score", "right"), *rare, *seen, ("id", "right"), ("size", "right"), *parts),
        ("path", "left"),
    )
    for rank, hit in enumerate(result.hits, start=1):
        size = f"{hit.width} x {hit.height}"
        rarity = [rarity_words(hit.one_in)] if rare else []
        rarity += ["" if hit.points is None else str(hit.points)] if seen else []
        part = [part_of(hit)] if parts else []
        table.add_row(str(rank), f"{hit.score:.4f}", *rarity, str(hit.id), size, *part, shown_name(hit.path))
        for copy in hit.copies:
            table.add_row(
                "", "", *[""] * len([*rare, *seen]), "", "copy", *[""] * len(parts), shown_name(copy)
            )
    title = shown_name(result.query, style="bold")
    if not result.hits:
        return render(screen, title, "  nothing matches")
    return render(screen, title, table)


def query_tables(results: Iterable[QueryResult], screen: Screen = PLAIN) -> Iterator[str]:
    """A table for each query, an empty line between two."""
    for number, result in enumerate(results):
        yield ("\n" if number else "") + query_table(result, screen)


def skipped_table(skipped: Sequence[Skipped], screen: Screen = PLAIN) -> str:
    """Every skipped file, why, and when it is tried again."""
    table = new_table(("path", "left"), ("reason", "left"), ("tried again", "left"))
    for item in skipped:
        again = "every run" if item.transient else "when it changes"
        table.add_row(shown_name(item.path), shown_name(item.reason), again)
    return render(screen, table)


def info_table(info: IndexInfo, screen: Screen = PLAIN) -> str:
    """What an index holds, how it was made and how it is searched."""
    rows = {
        "index": info.index,
        "photos": f"{info.photos} in {info.files} files",
        "skipped": f"{info.skipped} files" + (" (see --skipped)" if info.skipped else ""),
        "model": f"{info.model}, {info.dim} numbers a photo",
        "tiles": tiles_line(info),
        "fallback": info.fallback or "",
        "labels": f"none: {info.no_labels}" if info.no_labels else "the best 5 of ImageNet's 1,000 a photo",
        "search": view_line(info.view),
        "size on disk": human_bytes(info.bytes),
        "format": str(info.format),
        "spec": info.spec,
    }
    table = new_table(("", "left"), ("", "left"), header=False)
    for what, value in rows.items():
        if value:
            table.add_row(what, shown_name(value))
    for number, root in enumerate(info.roots):
        table.add_row("" if number else "roots", shown_name(root))
    return render(screen, table)


def photo_table(facts: PhotoFacts, screen: Screen = PLAIN) -> str:
    """What an index knows of one photo, with what it shows and how probable that is."""
    states = {"missing": " (the file is not there now)", "changed": " (the file was changed since)"}
    rows = {
        "path": facts.path + states.get(facts.state, ""),
        "size": f"{facts.width} x {facts.height} pixels, {human_bytes(facts.bytes)}, {facts.format}",
        "taken": facts.taken_at or "",
        "changed": facts.modified_at or "",
        "id": str(facts.id),
        "sha256": facts.sha256,
    }
    table = new_table(("", "left"), ("", "left"), header=False)
    for what, value in rows.items():
        if value:
            table.add_row(what, shown_name(value))
    for number, copy in enumerate(facts.copies):
        table.add_row("" if number else "copies", shown_name(copy))
    none = f"none: {facts.no_labels}" if facts.no_labels else "none"
    labels = [f"{label.probability:6.1%}  {label.name}" for label in facts.labels] or [none]
    for number, line in enumerate(labels):
        table.add_row("" if number else "labels", shown_name(line))
    return render(screen, table)


def verify_table(report: VerifyReport, screen: Screen = PLAIN) -> str:
    """The outcome of a check: a line when all is well, else each problem and what mends it."""
    if report.ok:
        return f"{visible(report.index)}: {report.checked} vectors checked, no problem found\n"
    table = new_table(("file", "left"), ("problem", "left"), ("what mends it", "left"))
    for problem in report.problems[:SHOWN_PROBLEMS]:
        table.add_row(shown_name(problem.file), shown_name(problem.what), shown_name(problem.mend))
    found = f"{report.checked} vectors checked, {len(report.problems)} problem"
    found += "s" * (len(report.problems) != 1)
    left = len(report.problems) - SHOWN_PROBLEMS
    more = [f"and {left} more; --json lists them all"] if left > 0 else []
    return render(screen, f"{visible(report.index)}: {found}", table, *more)


def models_table(models: Sequence[Mapping[str, object]], screen: Screen = PLAIN) -> str:
    """The backbones: name, vector length, download size, whether here already, runtime, licence, source."""
    table = new_table(
        ("model", "left"),
        ("numbers", "right"),
        ("MB", "right"),
        ("here", "left"),
        ("runs on", "left"),
        ("licence", "left"),
        ("source", "left"),
    )
    for model in models:
        table.add_row(
            f"{model['name']}{' *' if model['in_use'] else ''}",
            str(model["dim"]),
            str(model["megabytes"] or "?"),
            "yes" if model["at_hand"] else "no",
            str(model["runtime"]),
            str(model["licence"]),
            shown_name(str(model["source"])),
        )
    used = ["* made the vectors of this index"] if any(model["in_use"] for model in models) else []
    return render(screen, table, *used)


def weights_table(rows: Sequence[Mapping[str, object]], screen: Screen = PLAIN) -> str:
    """Weights files: the model's name, size, beginning of the SHA-256, origin and place."""
    table = new_table(
        ("name", "left"), ("model", "left"), ("MB", "right"), ("SHA-256", "left"), ("file", "left")
    )
    for row in rows:
        short = str(row["sha256"])[:8]
        place = f"{row['path']} ({row['origin']})"
        table.add_row(
            shown_name(str(row["name"])), str(row["model"]), str(row["megabytes"]), short, shown_name(place)
        )
    return render(screen, table)


def new_table(*columns: tuple[str, str], header: bool = True) -> Table:
    """A table without lines; each column is its title and "left" or "right". Long names at the left fold."""
    from rich.table import Table

    table = Table(box=None, show_header=header, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for title, side in columns:
        # Folding wraps a long name over several lines; anything else would cut it.
        wrap = side == "left"
        table.add_column(
            title, justify="right" if side == "right" else "left", overflow="fold", no_wrap=not wrap
        )
    return table


def shown_name(name: str, style: str = "") -> RenderableType:
    """A name for a cell or a line: made visible, and folded rather than cut."""
    from rich.text import Text

    return Text(visible(name), style=style, overflow="fold")


def render(screen: Screen, *parts: RenderableType) -> str:
    """The text of all parts, one below the other, without blanks at the ends of lines."""
    from rich.console import Console
    from rich.measure import Measurement

    def console(width: int) -> Console:
        return Console(
            file=io.StringIO(),
            width=width,
            force_terminal=screen.colour,
            color_system="standard" if screen.colour else None,
            markup=False,
            highlight=False,
            emoji=False,
            legacy_windows=False,
        )

    width = screen.width
    if width is None:
        wide = console(1_000_000)
        width = max(Measurement.get(wide, wide.options, part).maximum for part in parts) + 1
    target = console(width)
    for part in parts:
        target.print(part, soft_wrap=isinstance(part, str))
    text = target.file.getvalue()  # type: ignore[attr-defined]
    return "".join(line.rstrip() + "\n" for line in text.split("\n")[:-1])
