"""Where a Ray cluster is, whether anything is there at all, and what is said when it cannot be used."""

from __future__ import annotations

import importlib.util
import socket

from simsearch.engine.cluster.config import HERE, LOCAL
from simsearch.errors import ClusterFailed, ExtraMissing

KNOCK_SECONDS = 10.0


def check_address(address: str) -> None:
    """Whether Ray is installed and something answers at `address`, without starting anything.

    Raises ExtraMissing, ClusterFailed.
    """
    if importlib.util.find_spec("ray") is None or importlib.util.find_spec("pyarrow") is None:
        raise ExtraMissing("--engine ray needs Ray. Install it with: pip install 'simsearch[ray]'")
    if address in (LOCAL, HERE):
        return
    if "://" in address:
        raise ClusterFailed(
            f"{address} is the address of Ray's client, through which Ray Data cannot work. Run this on a "
            "machine of the cluster, with --ray-address auto"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ClusterFailed(f"There is no Ray address {address!r}; use local, auto or HOST:PORT.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except OSError as exc:
        raise ClusterFailed(
            f"No Ray cluster answers at {address}: {exc.strerror or exc}. See which one there is: ray status"
        ) from exc


def failed_to_begin(address: str, exc: Exception) -> str:
    """Why no cluster can be used, and what to do."""
    if address == LOCAL:
        return f"Ray could not be started on this machine: {_first_line(exc)}. Index without --engine ray."
    return (
        f"The Ray cluster at {address} cannot be used: {_first_line(exc)}. It needs the same versions of "
        "Ray, Python and simsearch as this machine, which has to be one of its nodes; see: ray status"
    )


def failed_in_the_middle(exc: Exception) -> str:
    """Why a run ended early, and what to do."""
    return (
        f"The Ray cluster failed in the middle: {_first_line(exc)}. What was committed is safe, and "
        "shards that were finished are taken over; run the same command again."
    )


def _first_line(exc: BaseException) -> str:
    """The innermost cause in one line; of a trace that Ray puts into its message what the trace ends with."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    if not lines:
        return type(exc).__name__
    return f"{type(exc).__name__}: {lines[-1 if 'Traceback' in lines[0] else 0][:300].rstrip('.')}"
