"""What the commands on copies share: progress in stages, thresholds, thumbnails, asking before an act."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import Common
from simsearch.cli.output import is_terminal, note

if TYPE_CHECKING:
    from simsearch.dedup.calibration.curve import Calibration

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


@contextmanager
def interruptible(go_on: str) -> Iterator[None]:
    """Says by which commands an act on files goes on that was interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        note(f"\nNothing is lost. Go on with: {go_on}")
        raise


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
        name = parameter.name or ""
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if isinstance(parameter, click.Option) and parameter.is_flag and parameter.multiple:
            # One of several flags for one value.
            given = parameter.flag_value in context.params[name]
        if given and name not in {*allowed, *_EVERYWHERE}:
            raise click.UsageError(f"{parameter.opts[0]} {why}")


def plain_thumbnail(path: str) -> bytes | None:
    """The thumbnail of any picture."""
    from simsearch.media.thumbs import thumbnail

    return thumbnail(Path(path))


def tell_calibration(calibration: Calibration | None, common: Common) -> None:
    """Say on stderr how a threshold was worked out, where one was; nothing with -q."""
    if calibration is None or common.quiet:
        return
    from simsearch.report.duplicates.threshold.curve import calibration_line, curve_table

    for line in (*curve_table(calibration).splitlines(), calibration_line(calibration)):
        note(line)


def check_threshold(reach: str | None, threshold: float | str | None, precision: float | None) -> None:
    """Refuse options of a threshold that do nothing."""
    if reach == "exact" and threshold is not None:
        raise click.UsageError("--exact asks for no score, so that --threshold does not go with it.")
    if precision is not None and threshold != "auto":
        raise click.UsageError("--precision goes with --threshold auto.")


def confirm(question: str, yes: bool) -> None:
    """Go on only with --yes, or when a person at the terminal says so; else nothing is touched."""
    if yes:
        return
    if not is_terminal(sys.stdin):
        raise click.UsageError("There is no terminal to ask at: add --yes to do it.")
    if not click.confirm(question, err=True):
        note("Nothing was touched.")
        raise click.exceptions.Exit(1)
