"""simsearch ui: the same search by eye, in the browser."""

from __future__ import annotations

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.serving.becoming import become


@click.command("ui")
@click.option(
    "--port",
    type=click.IntRange(min=0, max=65535),
    help="Where to serve; 0 takes any that is free. [default: the first free one from 8501 on]",
)
@click.option(
    "--public",
    metavar="[ADDRESS]",
    is_flag=False,
    flag_value="",
    help="Let other machines in, at this address of yours or at all of them. There is no password.",
)
@click.option("--no-open", is_flag=True, help="Do not open the browser.")
@common_options
def command(common: Common, port: int | None, public: str | None, no_open: bool) -> None:
    """Search and look through copies in the browser.

    The pages are served to this machine only, until Ctrl-C. Without an index they offer to make one.
    """
    options = {"--index": common.index, "--port": port, "--public": public}
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    context = click.get_current_context()
    flags = {
        "--no-open": no_open,
        "--json": common.json,
        "--quiet": common.quiet,
        "--debug": context.obj.debug,
    }
    given += [name for name, wanted in flags.items() if wanted]
    become("simsearch.ui", given)
