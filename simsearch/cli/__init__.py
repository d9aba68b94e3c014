"""Floor 5, the command line: `main` runs it and turns every error into one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main() -> None:
    """Run the command line with the arguments of this process, and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0, 1 error, 2 usage, 3 found something, 130 Ctrl-C."""
    import click

    from simsearch.cli.app import app
    from simsearch.cli.options import Session
    from simsearch.cli.output import note, reader_left
    from simsearch.errors import SimsearchError

    session = Session()
    try:
        # Not app.main(): it would take an EOFError or a broken pipe of a worker for the user's wish to stop.
        with app.make_context("simsearch", list(arguments), obj=session) as context:
            app.invoke(context)
        return 0
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.ClickException as exc:
        # Not exc.show(), which prints the bytes of a name as they are.
        if isinstance(exc, click.UsageError) and exc.ctx is not None:
            note(exc.ctx.get_usage())
            note(f"Try '{exc.ctx.command_path} --help' for help.")
        note(f"Error: {exc.format_message()}")
        return exc.exit_code
    except (KeyboardInterrupt, click.Abort):
        note("Interrupted.")
        return 130
    except SimsearchError as exc:
        _print_traceback(session.debug)
        note(f"Error: {exc}")
        return 1
    except Exception as exc:
        if isinstance(exc, BrokenPipeError) and reader_left():
            return 0
        _print_traceback(session.debug)
        what = " ".join(f"{type(exc).__name__}: {exc}".split())
        hint = "" if session.debug else "; run again with --debug for the details"
        note(f"Error: {what} (this is a bug in simsearch{hint})")
        return 1


def _print_traceback(wanted: bool) -> None:
    if wanted:
        import traceback

        traceback.print_exc()
