"""The process of one job: a task in by a line of JSON, progress and the outcome out by lines of JSON.

In: {"kind": …, …} and then nothing; when standard input closes, the job is cancelled. Out, one a line:
{"event": "progress", "stage", "done", "total", "skipped"}, {"event": "note", "text"}, and at last one of
{"event": "done", "result"}, {"event": "failed", "error"}, {"event": "cancelled"}.
"""

from __future__ import annotations

import _thread
import contextlib
import faulthandler
import json
import os
import signal
import sys
import threading
import time
import traceback

from simsearch.errors import SimsearchError

_OFTEN = 0.1
_PATIENCE = 20.0


class Teller:
    """Tells the server about the work; any thread may call."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._last = ("", 0.0)

    def progress(self, stage: str, done: int, total: int | None, skipped: int = 0) -> None:
        """How far a stage is; passed on ten times a second, and at its beginning and end."""
        now = time.monotonic()
        with self._lock:
            told, then = self._last
            if stage == told and now - then < _OFTEN and done != total:
                return
            self._last = (stage, now)
        self.tell("progress", stage=stage, done=done, total=total, skipped=skipped)

    def note(self, text: str) -> None:
        """A line for a person."""
        self.tell("note", text=text)

    def tell(self, event: str, **facts: object) -> None:
        """Write one line."""
        line = json.dumps({"event": event, **facts}).encode("ascii") + b"\n"
        # A server that is gone is noticed by standard input, which ends the work in good order.
        with self._lock, contextlib.suppress(OSError):
            while line:
                line = line[os.write(self._pipe, line) :]


class _Ending:
    """Interrupts the work once, when standard input closes, unless it has ended by then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = False

    def watch(self) -> None:
        """Wait for the end of standard input."""
        # Not sys.stdin, which a thread that reads keeps locked while the interpreter ends.
        while os.read(0, 4096):
            pass
        with self._lock:
            if self._over:
                return
            self._over = True
            # A process that hears nothing more is ended without any of its threads.
            nowhere = open(os.devnull, "w")  # noqa: SIM115
            faulthandler.dump_traceback_later(_PATIENCE, exit=True, file=nowhere)
            _interrupt()

    def come(self) -> None:
        """The work is over: no interrupt any more."""
        with self._lock:
            self._over = True


def _interrupt() -> None:
    """Ctrl-C for the main thread, also where it waits for something."""
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def main() -> None:
    """Do the task that comes by standard input."""
    # What is started in the background by a shell ignores Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    teller = Teller(os.dup(1))
    # Whatever a library prints must not come between the lines.
    os.dup2(2, 1)
    ending = _Ending()
    try:
        task = json.loads(_first_line())
        threading.Thread(target=ending.watch, daemon=True).start()
        from simsearch.ui.jobs.tasks import TASKS

        result = TASKS[task["kind"]](task, teller)
        ending.come()
        teller.tell("done", result=result)
    except KeyboardInterrupt:
        teller.tell("cancelled")
    except SimsearchError as exc:
        teller.tell("failed", error=str(exc))
    except Exception as exc:
        traceback.print_exc()
        what = " ".join(f"{type(exc).__name__}: {exc}".split())
        teller.tell("failed", error=f"{what} (this is a bug in simsearch; its terminal has the details)")


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        # One by one: what follows is for the thread that waits for the end.
        byte = os.read(0, 1)
        if not byte:
            raise KeyboardInterrupt
        line += byte
    return line


if __name__ == "__main__":
    main()
