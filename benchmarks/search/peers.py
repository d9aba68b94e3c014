"""Other engines on the same collection, each in an environment of its own, by one script a peer."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.asking import ask
from benchmarks.peers.environments import PeerMissing, ensure
from benchmarks.search.data.collection import Collection

SECONDS = 3000


@dataclass(frozen=True, slots=True)
class Peer:
    """An engine: how its row is called, what pip installs, which script measures it, and for how long."""

    name: str
    requirements: tuple[str, ...]
    script: str
    seconds: int = SECONDS

    @property
    def environment(self) -> str:
        """The name of its environment."""
        return "search-" + "-".join(re.findall(r"\w+", self.name))


PEERS = (
    Peer("hnswlib", ("hnswlib", "numpy"), "search/hnswlib_run.py"),
    Peer("usearch f16", ("usearch", "numpy"), "search/usearch_run.py"),
    Peer("autofaiss", ("autofaiss",), "search/autofaiss_run.py", 900),
    Peer("autofaiss, mended", ("autofaiss", "pyarrow<22", "faiss-cpu<1.10"), "search/autofaiss_run.py", 900),
)
"""autofaiss as pip resolves it does not start; its second row has older packages beside it."""


def measure_peers(collection: Collection, recall: float) -> dict[str, dict[str, Any]]:
    """What each peer's script printed, or under "error" why there is nothing.

    They get the rows as a user has them: one .npy file of float32, the queries in another.
    """
    rows, out = (collection.folder.resolve() / name for name in ("flat.npy", "peer"))
    np.save(rows, np.concatenate(collection.maps()))
    files = [rows, rows.with_name("rows.npy"), rows.with_name("truth-rows.npy"), out]
    try:
        return {peer.name: _measure(peer, [*map(str, files), str(recall)], out) for peer in PEERS}
    finally:
        rows.unlink()


def _measure(peer: Peer, arguments: list[str], out: Path) -> dict[str, Any]:
    try:
        return ask(ensure(peer.environment, peer.requirements), peer.script, arguments, peer.seconds).told
    except PeerMissing as exc:
        return {"error": str(exc)}
    finally:
        shutil.rmtree(out, ignore_errors=True)
        out.unlink(missing_ok=True)
