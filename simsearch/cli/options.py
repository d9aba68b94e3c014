"""The options that every command has, and what they say to the rest of the command line."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

Command = Callable[..., None]


@dataclass(slots=True)
class Session:
    """One run of the command line; `debug` is set while the arguments are read."""

    debug: bool = False


@dataclass(frozen=True, slots=True)
class Common:
    """The values of the options that every command has."""

    index: str | None
    json: bool
    quiet: bool

    @property
    def index_flag(self) -> str:
        """The -i of this run as one would type it again, with a blank before it; empty without one."""
        import shlex

        return f" -i {shlex.quote(self.index)}" if self.index is not None else ""


def home(path: Path) -> Path:
    """A path with a leading ~ or ~NAME resolved; a file that is really called so stays as it is."""
    return Path(os.path.expanduser(path))


def common_options(function: Command) -> Command:
    """Give a command -i, --json, -q and --debug; it gets them as its first argument, a `Common`."""

    @click.option(
        "-i",
        "--index",
        metavar="NAME|DIR",
        help="The index: a name, or a folder when it holds a slash. "
        'Otherwise $SIMSEARCH_INDEX, else "default" in the nearest indexes/ or in your data folder.',
    )
    @click.option("--json", "as_json", is_flag=True, help="Answer with one JSON value.")
    @click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
    @click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_debug,
        help="Show the traceback of an error.",
    )
    @functools.wraps(function)
    def with_common(index: str | None, as_json: bool, quiet: bool, **options: Any) -> None:
        if index == "":
            raise click.BadParameter("an index has a name or a folder", param_hint="-i")
        function(Common(index, as_json, quiet), **options)

    return with_common


def _set_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.ensure_object(Session).debug |= value
