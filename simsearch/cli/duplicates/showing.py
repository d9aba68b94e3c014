"""What the commands on copies share: progress in stages, pages with pictures, and asking before an act."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import Common
from simsearch.cli.output import is_terminal, note
from simsearch.errors import SimsearchError

if TYPE_CHECKING:
    from simsearch.engine.index import Index

_EVERYWHERE = ("index", "as_json", "quiet", "debug")


@dataclass(frozen=True, slots=True)
class Told:
    """Where work tells how far it is: `progress` gets stage, done and total; None for no progress."""

    progress: Callable[[str, int, int], None] | None
    note: Callable[[str], None]

    def counted(self, stage: str) -> Callable[[int, int], None] | None:
        """The same for work of one stage, which tells done and total only."""
        return None if self.progress is None else partial(self.progress, stage)


@contextmanager
def told(common: Common) -> Iterator[Told]:
    """A live line on a terminal for as long as this is open; without one, or with -q, only the notes."""
    if common.quiet or not is_terminal(sys.stderr):
        yield Told(None, note)
        return
    from simsearch.report.duplicates.progress import StageProgress

    with StageProgress(sys.stderr) as shown:
        yield Told(shown.update, shown.note)


def threshold_of(_: click.Context, parameter: click.Parameter, value: str | None) -> float | str | None:
    """The value of --threshold: None, "auto", or a probability."""
    if value is None or value == "auto":
        return value
    try:
        score = float(value)
    except ValueError:
        score = -1.0
    if not 0 < score <= 1:
        raise click.BadParameter(
            f"{value} is neither auto nor a number above 0 and up to 1.", param=parameter
        )
    return score


def refuse_beside(allowed: Collection[str], why: str) -> None:
    """Refuse every option that was given beside those `allowed`, which are named as in Python.

    The error is the option and `why`; the options that every command has are always allowed.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
        if given and parameter.name not in {*allowed, *_EVERYWHERE}:
            raise click.UsageError(f"{parameter.opts[0]} {why}")


def form_of(form: str | None, common: Common) -> str:
    """The format to answer in, of --format and --json."""
    if common.json and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} contradict each other.")
    return "json" if common.json else form or "table"


def thumbnails_of(index: Index) -> Callable[[str], bytes | None]:
    """Gives the thumbnails of an index's photos by path; those that are made are kept with the index."""
    from simsearch.media.decode import DecodeLimits
    from simsearch.media.thumbs import thumbnail

    store, limits = index.path / "thumbs.db", DecodeLimits(max_pixels=index.max_pixels)
    return lambda path: thumbnail(Path(path), store=store, limits=limits)


def plain_thumbnail(path: str) -> bytes | None:
    """The thumbnail of any picture."""
    from simsearch.media.thumbs import thumbnail

    return thumbnail(Path(path))


def write_page(pieces: Iterable[str], html: str | None, browse: bool, name: str) -> None:
    """Write a page to the file `html`, or to one called `name` in a new folder, and open it if wanted.

    Raises SimsearchError when it cannot be written.
    """
    import tempfile

    try:
        if html is None:
            html = str(Path(tempfile.mkdtemp(prefix="simsearch-")) / name)
        with open(html, "w", encoding="utf-8") as file:
            file.writelines(pieces)
    except OSError as exc:
        raise SimsearchError(f"The page {html} cannot be written: {exc.strerror or exc}.") from exc
    note(f"Wrote {html}")
    if browse:
        import webbrowser

        if not webbrowser.open(Path(html).absolute().as_uri()):
            note(f"No browser could be started; open {html} yourself.")


def confirm(question: str, yes: bool) -> None:
    """Go on only with --yes, or when a person at the terminal says so; else nothing is touched."""
    if yes:
        return
    if not is_terminal(sys.stdin):
        raise click.UsageError("There is no terminal to ask at: add --yes to do it.")
    if not click.confirm(question, err=True):
        note("Nothing was touched.")
        raise click.exceptions.Exit(1)
