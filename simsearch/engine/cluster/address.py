"""Where a Ray cluster is: what an address may be, and whether anything is there at all."""

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
