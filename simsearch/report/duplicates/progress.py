"""Progress of work in stages -> a live line on a terminal, another one for each stage."""

from __future__ import annotations

from types import TracebackType
from typing import TextIO

from simsearch.report.names import visible
from simsearch.report.progress import CountProgress


class StageProgress:
    """Shows how much of the present stage is done while it is open; nothing before the first `update`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._stage: str | None = None
        self._shown: CountProgress | None = None

    def __enter__(self) -> StageProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._shown.__exit__(kind, value, trace)

    def update(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` of this stage are done."""
        if self._shown is None or stage != self._stage:
            self.__exit__(None, None, None)
            self._stage = stage
            self._shown = CountProgress(self._stream, stage[:1].upper() + stage[1:], "")
        self._shown.update(done, total)

    def note(self, line: str) -> None:
        """Print a line above the bar."""
        if self._shown is not None:
            self._shown.note(line)
        else:
            print(visible(line), file=self._stream, flush=True)
