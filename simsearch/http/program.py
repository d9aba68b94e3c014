"""What every program that serves does alike: its socket, the line that says where, its errors in words."""

from __future__ import annotations

import json
import socket
import sys
import traceback
from collections.abc import Callable

from simsearch.errors import SimsearchError
from simsearch.http.addresses import is_everywhere

WAITING = 128
"""So many who ask wait while the server begins, and are not turned away."""


def bound(address: str, port: int) -> socket.socket:
    """A socket that listens at an address of this machine ("": all) and a port (0: any). Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # Named, since asyncio sets TCP_NODELAY only then: without it answers wait 40 ms for an acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":
            # There it would take a port that another program listens at.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(WAITING)
    except BaseException:
        listening.close()
        raise
    return listening


def address_of(host: str, port: int) -> str:
    """What to type into a browser on this machine for a server that listens at `host`."""
    if is_everywhere(host):
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def announce(where: str, *, as_json: bool, quiet: bool) -> None:
    """Say on stdout where the server is."""
    if as_json:
        print(json.dumps({"address": where}), flush=True)
    else:
        print(f"simsearch is at {where}" + ("" if quiet else " (Ctrl-C ends it)"), flush=True)


def in_words(serve: Callable[[], int], note: Callable[[str], None], *, debug: bool) -> int:
    """What `serve` returns, or 1 after an error, of which `note` is told; the traceback only with `debug`."""
    try:
        return serve()
    except Exception as exc:
        if debug:
            traceback.print_exc()
        if isinstance(exc, SimsearchError):
            note(f"Error: {exc}")
        else:
            hint = "" if debug else "; run again with --debug for the details"
            note(f"Error: {type(exc).__name__}: {exc} (this is a bug in simsearch{hint})")
    return 1
