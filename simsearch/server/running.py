"""Serves until a signal ends it: the token, the socket, uvicorn, and a graceful stop."""

from __future__ import annotations

import copy
import errno
import math
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from simsearch.errors import SimsearchError
from simsearch.http.addresses import is_loopback
from simsearch.http.config import ServerConfig
from simsearch.http.program import address_of, announce, bound
from simsearch.paths import existing_index
from simsearch.report.names import visible
from simsearch.server.metrics import missing

if TYPE_CHECKING:
    from simsearch.server.guard.door import Standing

TOKEN = "SIMSEARCH_TOKEN"
HEAD_BYTES = 32 << 10
IDLE_S = 5
SHORTEST = 16
"""A token of fewer characters can be guessed."""


def serve(config: ServerConfig) -> int:
    """Serve an index until SIGTERM or Ctrl-C; 0 once every request that was taken in is answered.

    Raises SimsearchError: an address that others can reach without a token, a port that is taken, an index
    that is missing or damaged. ExtraMissing without this extra's packages.
    """
    _check_packages()
    token = token_of(config)
    if not token and not (config.host and is_loopback(config.host)):
        raise SimsearchError(
            f"Other machines can reach {config.host or 'every address of this machine'}, so a token is "
            f"needed: put one into a file and name it with --token-file, or into ${TOKEN}. Without one, "
            "listen at --host 127.0.0.1."
        )
    from simsearch.server.answering.service import Service
    from simsearch.server.app import application

    folder = existing_index(config.index).absolute()
    with _listening(config.host, config.port) as listening:
        port = int(listening.getsockname()[1])
        service = Service(config, folder, note)
        try:
            service.library.current()
        except BaseException:
            service.close()
            raise
        where = address_of(config.host, port)
        app = application(service, token, lambda: announce(where, as_json=config.json, quiet=config.quiet))
        return _run(listening, app, config, service.standing)


def token_of(config: ServerConfig) -> str | None:
    """The token that requests have to carry. Raises SimsearchError for one that is none."""
    token, where = os.environ.get(TOKEN), f"${TOKEN}"
    if config.token_file is not None:
        where = config.token_file
        try:
            token = Path(config.token_file).expanduser().read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is no plain text"
            raise SimsearchError(f"The token in {config.token_file} cannot be read: {reason}.") from exc
    if token is None:
        return None
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise SimsearchError(
            f"The token in {where} is none: it has to have {SHORTEST} letters and digits or more, and no "
            "blank. Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token


def note(line: str) -> None:
    """Write a line for a person to stderr."""
    print(visible(line), file=sys.stderr, flush=True)


def _check_packages() -> None:
    for module, package in (
        ("fastapi", "fastapi"),
        ("python_multipart", "python-multipart"),
        ("prometheus_client", "prometheus-client"),
    ):
        try:
            __import__(module)
        except ImportError as exc:
            raise missing(package) from exc


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises SimsearchError where none can."""
    try:
        return bound(host, port)
    except OSError as exc:
        taken = exc.errno == errno.EADDRINUSE
        reason = "another program listens there" if taken else exc.strerror or str(exc)
        raise SimsearchError(
            f"Nothing can be served at {host or 'this machine'}, port {port}: {reason}. Name another port "
            "with --port (0 takes any that is free), or another address of this machine with --host."
        ) from exc


def _logging() -> dict[str, Any]:
    """uvicorn's own log, all of it on stderr: stdout holds the address and nothing else."""
    from uvicorn.config import LOGGING_CONFIG

    wanted = copy.deepcopy(LOGGING_CONFIG)
    wanted["handlers"]["access"]["stream"] = "ext://sys.stderr"
    # It has a line to say about every form that is none; whoever sent it is told.
    wanted["loggers"]["python_multipart"] = {"level": "CRITICAL", "propagate": False}
    return wanted


def _run(
    listening: socket.socket,
    app: Callable[..., object],
    config: ServerConfig,
    standing: Standing,
) -> int:
    import uvicorn

    from simsearch.server.guard.connections import patient

    class Server(uvicorn.Server):
        """Says to whoever asks that it is about to end."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            standing.stopping = True
            super().handle_exit(sig, frame)

    options = uvicorn.Config(
        app,
        http=patient(config.pause),
        ws="none",
        lifespan="on",
        log_level="debug" if config.debug else "error",
        log_config=_logging(),
        access_log=config.debug,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=math.ceil(config.timeout),
    )
    server = Server(options)
    # Those that come before it listens to them itself, and the one that ended it, which uvicorn hands on:
    # that would end this process with another status.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    server.run(sockets=[listening])
    if not server.started:
        raise SimsearchError("The server did not start; the lines above say why.")
    return 0
