"""What the tests of the server stand on: indexes, servers of real processes, and clients."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin

REPO = Path(__file__).resolve().parents[2]
LITE0 = "efficientnet_lite0"
# A server that never says that it is ready is ended; it may serve as long as a test asks it.
LONGEST_S = 600


def made(photos: Path, index: Path, vectors: np.ndarray[Any, Any] | None = None) -> Path:
    """An index of the photos in a folder, of made vectors, for which no network has to be prepared."""
    paths = sorted(path for path in photos.rglob("*") if path.is_file())
    vectors = np.eye(len(paths), 8, dtype=np.float32) if vectors is None else vectors
    np.save(index.with_suffix(".npy"), vectors)
    index.with_suffix(".csv").write_text("\n".join(["path", *map(str, paths)]) + "\n")
    import_embeddings(Origin(index.with_suffix(".npy"), index.with_suffix(".csv"), name="made"), index)
    return index


@dataclass(frozen=True, slots=True)
class Server:
    """A server of a real process: where it is, and what it said when it was ready."""

    child: subprocess.Popen[str]
    address: str
    line: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=120, **options)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=120)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "simsearch", "serve", *map(str, arguments)]


@contextlib.contextmanager
def served(*arguments: str | Path, **environment: str) -> Iterator[Server]:
    """A server as a person starts it, at any free port."""
    env = {**os.environ, "PYTHONPATH": str(REPO), **environment}
    child = subprocess.Popen(
        command("--port", "0", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    late = threading.Timer(LONGEST_S, child.kill)
    late.start()
    try:
        assert child.stdout is not None
        line = child.stdout.readline().strip()
        late.cancel()
        assert line, child.communicate()[1]
        yield Server(child, line.split()[3], line)
    finally:
        late.cancel()
        child.kill()
        child.communicate()


def jpeg(picture: Image.Image, **how: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", **how)
    return out.getvalue()


def ids(results: Any) -> list[int]:
    """The ids of the hits of the one result of an answer."""
    [result] = results
    return [hit["id"] for hit in result["hits"]]


def scores(results: Any) -> list[float]:
    [result] = results
    return [hit["score"] for hit in result["hits"]]
