"""Progress of indexing and of downloads -> a live line on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Display
from rich.text import Text

from simsearch.report.names import visible

if TYPE_CHECKING:
    from simsearch.records import Progress


class IndexProgress:
    """Shows photos done, rate, time left (once the scan has counted) and skipped files while it is open.

    Nothing is drawn before the first `update`, so that a run that fails at once leaves no bar behind.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, markup=False, highlight=False, emoji=False)
        self._display = Display(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            _Figures(),
            console=self._console,
            refresh_per_second=4,
            transient=True,
        )
        self._task = self._display.add_task("Indexing", total=None, skipped=0)
        self._started = False

    def __enter__(self) -> IndexProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started:
            self._display.stop()

    def update(self, progress: Progress) -> None:
        """Show the state of the run; any thread may call."""
        if not self._started:
            self._started = True
            self._display.start()
        self._display.update(
            self._task, completed=progress.finished, total=progress.total, skipped=progress.skipped
        )

    def note(self, line: str) -> None:
        """Print a line above the bar."""
        self._console.print(visible(line), soft_wrap=True)


class DownloadProgress:
    """Shows a download's bytes, rate and time left while it is open."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._console = Console(file=stream, markup=False, highlight=False, emoji=False)
        self._display = Display(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            refresh_per_second=4,
            transient=True,
        )
        self._task = self._display.add_task(visible(name), total=None)

    def __enter__(self) -> DownloadProgress:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def update(self, done: int, total: int | None) -> None:
        """Show how many bytes have come, of how many."""
        self._display.update(self._task, completed=done, total=total)

    def note(self, line: str) -> None:
        """Print a line above the bar."""
        self._console.print(visible(line), soft_wrap=True)


class CountProgress:
    """Shows how many of a known number are done while it is open."""

    def __init__(self, stream: TextIO, verb: str, things: str) -> None:
        self._console = Console(file=stream, markup=False, highlight=False, emoji=False)
        self._display = Display(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn(f"{{task.completed:.0f}}/{{task.total:.0f}} {things}"),
            TimeRemainingColumn(),
            console=self._console,
            refresh_per_second=4,
            transient=True,
        )
        self._verb = verb
        self._task: TaskID | None = None

    def __enter__(self) -> CountProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._display.stop()

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total`, which may grow, are done; nothing is drawn before the first call."""
        if self._task is None:
            self._task = self._display.add_task(self._verb, total=total)
            self._display.start()
        self._display.update(self._task, completed=done, total=total)

    def note(self, line: str) -> None:
        """Print a line above the bar."""
        self._console.print(visible(line), soft_wrap=True)


class _Figures(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(figures(task))


def figures(task: Task) -> str:
    """The numbers beside the bar, e.g. "120/400 photos  8.1/s  0:35 left  2 skipped"."""
    of = "" if task.total is None else f"/{task.total:.0f}"
    parts = [f"{task.completed:.0f}{of} photos"]
    if task.speed:
        parts.append(f"{task.speed:.1f}/s")
    if task.total is not None and task.time_remaining is not None:
        minutes, seconds = divmod(int(task.time_remaining), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(
            f"{hours}:{minutes:02d}:{seconds:02d} left" if hours else f"{minutes}:{seconds:02d} left"
        )
    if task.fields.get("skipped"):
        parts.append(f"{task.fields['skipped']} skipped")
    return "  ".join(parts)
