"""`python -m simsearch.ui`, which `simsearch ui` becomes: serves the pages until Ctrl-C."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from simsearch.errors import SimsearchError
from simsearch.http.program import address_of, announce, bound, in_words
from simsearch.report.names import visible
from simsearch.ui.serving import PUBLIC, SETTINGS, check_address, served, warning

PORT, PORTS = 8501, 100
# Seconds that answers on their way get when it is ended, and after which nothing is waited for.
GRACE, HARD = 1, 3


@dataclass(frozen=True, slots=True)
class Wish:
    """How to serve: `port` None is the first free one from 8501 on, 0 any free one.

    `public` is the address at which others are let in, "" for all of this machine, None for none.
    """

    index: str | None
    port: int | None
    public: str | None
    browse: bool
    json: bool
    quiet: bool
    debug: bool


def main() -> int:
    """Serve as the arguments of this process say; 0, 1 after an error, 128 and the signal that ended it."""
    wish = _wish()
    try:
        return in_words(lambda: _serve(wish), _note, debug=wish.debug)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _wish() -> Wish:
    parser = argparse.ArgumentParser("python -m simsearch.ui", description=__doc__)
    parser.add_argument("--index")
    parser.add_argument("--port", type=int)
    parser.add_argument(PUBLIC, nargs="?", const="")
    parser.add_argument("--no-open", dest="browse", action="store_false")
    for name in ("json", "quiet", "debug"):
        parser.add_argument(f"--{name}", action="store_true")
    return Wish(**vars(parser.parse_args()))


def _serve(wish: Wish) -> int:
    address = SETTINGS["server.address"] if wish.public is None else wish.public
    check_address(address, public=wish.public is not None)
    if wish.index is not None:
        # What the pages open that name no index, and the processes that they start.
        os.environ["SIMSEARCH_INDEX"] = wish.index
    with _listening(address, wish.port) as listening:
        port = int(listening.getsockname()[1])
        if wish.port is None and port != PORT and not wish.quiet:
            _note(f"Port {PORT} is taken; {port} is used instead.")
        return _run(
            listening, {"server.address": address, "server.port": port}, wish, _telling(address, port, wish)
        )


def _telling(address: str, port: int, wish: Wish) -> Callable[[], None]:
    where = address_of(address, port)

    def tell() -> None:
        if wish.public is not None:
            _note(warning(wish.public, port))
        announce(where, as_json=wish.json, quiet=wish.quiet)
        if wish.browse:
            threading.Thread(target=_open, args=(where,), daemon=True).start()

    return tell


def _open(where: str) -> None:
    # Without a screen Python would look for a browser of text, which takes the terminal.
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    blind = sys.platform.startswith("linux") and not any(os.environ.get(name) for name in screens)
    if blind or not webbrowser.open(where):
        _note(f"No browser could be started; open {where} yourself.")


def _listening(address: str, port: int | None) -> socket.socket:
    """A socket that listens at `address`. Raises SimsearchError where none can."""
    named = address or "this machine"
    ports = range(PORT, PORT + PORTS) if port is None else (port,)
    for number in ports:
        try:
            return bound(address, number)
        except OSError as exc:
            taken = exc.errno in (errno.EADDRINUSE, errno.EACCES)
            if taken and number != ports[-1]:
                continue
            if exc.errno == errno.EADDRINUSE:
                raise SimsearchError(
                    f"Port {number} of {named} is taken by another program. Name another one with --port, "
                    f"or leave --port out to take the first free one from {PORT} on."
                ) from exc
            raise SimsearchError(
                f"Nothing can be served at {named}, port {number}: {exc.strerror or exc}. "
                "Name another port with --port, or another address of this machine."
            ) from exc
    raise SimsearchError(f"No port of {named} is free. Name one with --port.")


def _run(listening: socket.socket, settings: dict[str, Any], wish: Wish, started: Callable[[], None]) -> int:
    """Serve until a signal ends it; 128 and the number of that signal."""
    import uvicorn
    from streamlit import config
    from streamlit.starlette import App

    # As flags: before the files of Streamlit's that are in this folder or the user's own.
    config.get_config_options(force_reparse=True, options_from_flags=SETTINGS | settings)
    ended: list[int] = []

    class Server(uvicorn.Server):
        """Ends soon, whatever still goes on."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            ended.append(sig)
            # What is cut short now is meant to be.
            logging.disable(logging.CRITICAL)
            hard = threading.Timer(HARD, os._exit, (128 + sig,))
            hard.daemon = True
            hard.start()
            super().handle_exit(sig, frame)

    app = App(**served(public=wish.public is not None, started=started))
    options = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="websockets-sansio",
        timeout_graceful_shutdown=GRACE,
    )
    # It hands the signal that ended it on, and SIGTERM would end this process before its time.
    signal.signal(signal.SIGTERM, lambda *_: None)
    server = Server(options)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        if not ended:
            raise
    if not server.started:
        raise SimsearchError("The server did not start; the lines above say why.")
    return 128 + ended[0] if ended else 0


def _note(line: str) -> None:
    print(visible(line), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
