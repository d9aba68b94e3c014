"""Which addresses are this machine's own: those a server may listen at, and those a browser may ask for."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:/?#@\[\]\s]+)(?::([0-9]{1,5}))?")


def is_loopback(name: str) -> bool:
    """Whether a host, by name or by number and without a port, is this machine and no other can reach it."""
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_everywhere(address: str) -> bool:
    """Whether a server at this address listens at every one of this machine, as it does at ""."""
    try:
        return not address or ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


def host_of(header: str) -> str | None:
    """The host of a Host header, without its port; None where it is no such header."""
    found = _HOST.fullmatch(header)
    return found[1].strip("[]").lower() if found else None


def is_same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header names the page that the Host header is asked for by (RFC 6454).

    What a page without an origin of its own sends, "null", is the origin of none.
    """
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:
        return False
