"""The two streams of a command: the answer on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simsearch.errors import SimsearchError
from simsearch.report.names import visible

if TYPE_CHECKING:
    from simsearch.cli.options import Common
    from simsearch.report.table import Screen

_PAGE_STARTS = (b"<!doctype html", b"<html")


def form_of(form: str | None, common: Common, null: bool = False) -> str:
    """The format to answer in, of --format, --json and -0."""
    if common.json and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} contradict each other.")
    form = "json" if common.json else form or "table"
    if null and form != "paths":
        raise click.UsageError("-0 goes with --format paths.")
    return form


def answer(chunks: Iterable[bytes]) -> None:
    """Write the answer to stdout as it comes.

    Ends the command quietly when the reader has had enough (`| head`). Raises SimsearchError when stdout
    cannot be written for another reason.
    """
    for chunk in chunks:
        with _guarded():
            sys.stdout.buffer.write(chunk)
    with _guarded():
        sys.stdout.buffer.flush()


def answer_text(lines: Iterable[str]) -> None:
    """Like `answer`, for text to a person; what the terminal's encoding lacks is written as an escape."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    answer(line.encode(encoding, "backslashreplace") for line in lines)


def note(line: str) -> None:
    """Write a line for a person to stderr."""
    # Without a place to write to, a note is lost; the answer is not.
    with suppress(OSError, AttributeError):
        print(visible(line), file=sys.stderr, flush=True)


def check_page(html: str | None) -> None:
    """Raises SimsearchError where a page would take the place of a file that is none, or has no place."""
    if html is None:
        return
    check_folder("page", html)
    if not os.path.isfile(html):
        return
    try:
        with open(html, "rb") as file:
            start = file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    except OSError:
        # What cannot be read cannot be replaced either, mostly; writing it says why.
        return
    if start and not start.startswith(_PAGE_STARTS):
        raise SimsearchError(
            f"{html} is there already and is no HTML page, so it is not replaced. Name another file."
        )


def check_folder(what: str, file: str) -> None:
    """Raises SimsearchError, before any work is done, where the folder of a file to write is not there."""
    folder = os.path.dirname(file)
    if folder and not os.path.isdir(folder):
        raise SimsearchError(
            f"The {what} {file} cannot be written: there is no folder {folder}. Make it, or name another."
        )


def write_page(pieces: Iterable[str], html: str | None, browse: bool, name: str) -> None:
    """Write a page to the file `html`, or to one called `name` in a new folder, and open it if wanted.

    Raises SimsearchError when it cannot be written, or a file that is no page is there.
    """
    import tempfile

    check_page(html)
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


def screen() -> Screen:
    """How tables are drawn on stdout: to the terminal's width and in colour, or plain and whole."""
    from simsearch.report.table import PLAIN, Screen

    if not is_terminal(sys.stdout):
        return PLAIN
    colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Screen(os.get_terminal_size(sys.stdout.fileno()).columns or 80, colour)


def is_terminal(stream: object) -> bool:
    """Whether a standard stream is open and a terminal."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())


def reader_left() -> bool:
    """Whether the reader of stdout has gone, as `head` does; what is left to write is dropped then."""
    import select

    if sys.platform == "win32":
        return False
    watch = select.poll()
    watch.register(1, 0)
    gone = any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))
    if gone:
        _drop_stdout()
    return gone


@contextmanager
def _guarded() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        _drop_stdout()
        raise click.exceptions.Exit(0) from None
    except (OSError, AttributeError) as exc:
        _drop_stdout()
        reason = exc.strerror if isinstance(exc, OSError) else "it is closed"
        raise SimsearchError(f"The answer cannot be written to standard output: {reason}.") from exc


def _drop_stdout() -> None:
    # What is still buffered would fail once more when the interpreter ends, with a traceback.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
