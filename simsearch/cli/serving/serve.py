"""simsearch serve: the same search for programs, over HTTP."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.serving.becoming import become
from simsearch.http.config import ServerConfig

USUAL = ServerConfig()
MIB = 1 << 20


@click.command("serve")
@click.option("--host", default=USUAL.host, show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(min=0, max=65535),
    default=USUAL.port,
    show_default=True,
    help="0 takes any that is free.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    help="A file with the token that every request has to carry. [default: $SIMSEARCH_TOKEN, else none]",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1, max=256),
    default=USUAL.batch,
    show_default=True,
    help="So many queries at most are answered together; 1 is one by one.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1, max=64),
    default=USUAL.workers,
    show_default=True,
    help="Processes that decode pictures.",
)
@click.option("--warm", is_flag=True, help="Load the network at the start, not at the first new picture.")
@click.option(
    "--max-upload",
    type=click.IntRange(min=1),
    default=USUAL.max_upload // MIB,
    show_default=True,
    metavar="MIB",
    help="The most that a picture may have.",
)
@click.option(
    "--max-request",
    type=click.IntRange(min=1),
    default=USUAL.max_request // MIB,
    show_default=True,
    metavar="MIB",
    help="The most that a request may have, with all its pictures.",
)
@click.option(
    "--max-examples",
    type=click.IntRange(min=1),
    default=USUAL.max_examples,
    show_default=True,
    help="Pictures of one query at most.",
)
@click.option(
    "--max-hits",
    type=click.IntRange(min=1),
    default=USUAL.max_hits,
    show_default=True,
    help="Hits of one query at most.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=USUAL.rate,
    show_default=True,
    help="Requests a second of one address; 0 is no bound.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=USUAL.concurrency,
    show_default=True,
    help="Requests that are answered or wait at once; further ones are turned away.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1, max=3600),
    default=USUAL.timeout,
    show_default=True,
    metavar="SECONDS",
    help="The most that a request may take.",
)
@click.option(
    "--pause",
    type=click.FloatRange(min=0.1, max=3600),
    default=USUAL.pause,
    show_default=True,
    metavar="SECONDS",
    help="So long a client may send nothing of a request, or read nothing of its answer.",
)
@common_options
def command(common: Common, max_upload: int, max_request: int, **options: Any) -> None:
    """Answer queries over HTTP, until Ctrl-C or SIGTERM.

    For this machine only, unless there is a token. /docs lists what can be asked; docs/server.md explains it.
    The index is only read, and what is indexed meanwhile is found.
    """
    config = replace(
        USUAL,
        **options,
        index=common.index,
        max_upload=max_upload * MIB,
        max_request=max_request * MIB,
        json=common.json,
        quiet=common.quiet,
        debug=click.get_current_context().obj.debug,
    )
    become("simsearch.server", [json.dumps(asdict(config))])
