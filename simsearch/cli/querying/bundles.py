"""Options of a query that belong together, each bundle as one argument: how it is ranked, how it is shown."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

Command = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Levers:
    """What raises the quality of answers: see `simsearch.engine.queries.presets.Preset`."""

    expand: int
    geometry: int


@dataclass(frozen=True, slots=True)
class Output:
    """What is written, and where."""

    form: str | None
    null: bool
    html: str | None
    browse: bool


def lever_options(function: Command) -> Command:
    """Give a command --preset, --expand and --geometry; it gets them as `levers`."""

    @click.option(
        "--preset",
        type=click.Choice(["category", "instance", "copy"]),
        help="What is looked for: things of one kind (--expand 5), one object or scene, or copies (both "
        "--geometry 20); docs/quality.md says what each is worth and what it harms.",
    )
    @click.option(
        "--expand",
        type=click.IntRange(min=0),
        metavar="N",
        help="Ask again together with the N best answers; scores are then likeness to all of these.",
    )
    @click.option(
        "--geometry",
        type=click.IntRange(min=0),
        metavar="N",
        help="Look at the N best hits point by point; those that show the same come first, by their points.",
    )
    @functools.wraps(function)
    def with_levers(
        *arguments: Any, preset: str | None, expand: int | None, geometry: int | None, **options: Any
    ) -> None:
        from simsearch.cli.output import note
        from simsearch.engine.queries.presets import PRESETS, Preset

        chosen = PRESETS[preset] if preset is not None else Preset()
        levers = Levers(
            chosen.expand if expand is None else expand, chosen.geometry if geometry is None else geometry
        )
        if chosen.harms and not options["quiet"]:
            note(f"--preset {preset}: {chosen.harms}.")
        function(*arguments, levers=levers, **options)

    return with_levers


def output_options(function: Command) -> Command:
    """Give a command --format, -0, --html and --open; it gets them as `output`."""

    @click.option(
        "--format",
        "form",
        type=click.Choice(["table", "json", "jsonl", "csv", "paths"]),
        help="What to write to stdout. [default: table]",
    )
    @click.option(
        "-0", "--null", is_flag=True, help="With --format paths: a NUL after each path, for xargs -0."
    )
    @click.option("--html", metavar="FILE", help="Also write a page with the pictures.")
    @click.option("--open", "browse", is_flag=True, help="Open that page in the browser.")
    @functools.wraps(function)
    def with_output(
        *arguments: Any, form: str | None, null: bool, html: str | None, browse: bool, **options: Any
    ) -> None:
        function(*arguments, output=Output(form, null, html, browse), **options)

    return with_output
