"""Words of the command line -> what they mean to a query."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from simsearch.engine.queries.examples import Example
    from simsearch.engine.queries.region import Box

USUAL = 0.7
"""What relevance counts with --diverse alone; `simsearch.engine.queries.diversity.BALANCE`."""


class QueryCommand(click.Command):
    """A command whose --diverse takes the word after it only where that is a number, and else an IMAGE."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments."""
        end = args.index("--") if "--" in args else len(args)
        for place in range(end):
            following = args[place + 1] if place + 1 < len(args) else ""
            if args[place] == "--diverse" and number(following) is None:
                args[place] = f"--diverse={USUAL}"
        return super().parse_args(ctx, args)


def number(word: str) -> float | None:
    """The number that a word is, if it is one."""
    try:
        return float(word)
    except ValueError:
        return None


def score(_: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """A cosine, or a usage error."""
    if value is not None and not -1 <= value <= 1:
        raise click.BadParameter(f"{value} is not a cosine, which lies from -1 to 1.", param=parameter)
    return value


def bounds(least: float | None, most: float | None) -> tuple[float | None, float | None]:
    """Both, or a usage error where no score can lie between them."""
    if least is not None and most is not None and least > most:
        raise click.UsageError("--min-score is above --max-score, so that nothing can match.")
    return least, most


@contextmanager
def wrong_usage() -> Iterator[None]:
    """Makes a query that cannot be meant a usage error."""
    from simsearch.errors import QueryInvalid

    try:
        yield
    except QueryInvalid as exc:
        raise click.UsageError(str(exc)) from exc


def box(crop: str | None) -> Box | None:
    """The region that --crop names."""
    from simsearch.engine.queries.region import Box

    return Box.parse(crop) if crop is not None else None


def examples(items: tuple[str, ...]) -> tuple[Example, ...]:
    """The example of each IMAGE[=WEIGHT]; a file that is really called so is an IMAGE."""
    from simsearch.engine.queries.examples import Example

    found = []
    for item in items:
        path, _, weight = item.rpartition("=")
        weighs = number(weight)
        weighted = path and weighs is not None and not os.path.lexists(item)
        found.append(Example(path, weighs) if weighted else Example(item))
    return tuple(found)
