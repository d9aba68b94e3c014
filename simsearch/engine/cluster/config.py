"""How to index by Ray: which cluster, and how the files are cut into shards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LOCAL, HERE = "local", "auto"
SHARD_SIZE = 1024


@dataclass(frozen=True, slots=True)
class RayConfig:
    """How to index by Ray.

    Attributes:
        address: "local" starts a cluster on this machine for the run, "auto" takes the one that runs here,
            "HOST:PORT" the one with that head node. This machine has to be a node of it. Where this process
            has begun Ray already, that cluster is used.
        shard_size: at most so many files a shard; fewer where each actor would not get some.
        shard_dir: a folder that all nodes and this machine see, for shards until they are committed; None is
            `shards` in the folder of the index.
    """

    address: str = LOCAL
    shard_size: int = SHARD_SIZE
    shard_dir: Path | None = None
