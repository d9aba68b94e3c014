"""What the tests of serving stand on: a server of real processes, one within this process, bare requests."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import uvicorn
from starlette.applications import Starlette

from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin
from simsearch.ui.serving import served

REPO = Path(__file__).resolve().parents[2]
WAIT_S = 300
UI = (sys.executable, "-m", "simsearch", "ui", "--no-open")
STREAMLIT = (sys.executable, "-m", "streamlit", "run", str(REPO / "app.py"))


def indexed(photos: Path, index: Path) -> Path:
    """An index of the photos in a folder, of made vectors, for which no network has to be prepared."""
    paths = sorted(photos.iterdir())
    np.save(index.with_suffix(".npy"), np.eye(len(paths), 8, dtype=np.float32))
    index.with_suffix(".csv").write_text("\n".join(["path", *map(str, paths)]) + "\n")
    import_embeddings(Origin(index.with_suffix(".npy"), index.with_suffix(".csv"), name="made"), index)
    return index


@contextlib.contextmanager
def started(
    command: Sequence[str], *, cwd: Path, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server as a person starts it, and the line in which it told its address."""
    child = subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPO), **environment},
    )
    late = threading.Timer(WAIT_S, child.kill)
    late.start()
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        late.cancel()
        assert line, child.communicate()[1]
        yield child, line.strip()
    finally:
        late.cancel()
        child.kill()
        child.communicate()


def port_in(line: str) -> int:
    return int(line.partition("http://")[2].split()[0].rstrip('"}').rpartition(":")[2])


def listeners(port: int) -> set[str]:
    """The addresses at which somebody listens at a port, as the kernel says."""
    found = set()
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        with contextlib.suppress(FileNotFoundError):
            for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                local, state = row.split()[1], row.split()[3]
                number, _, at = local.partition(":")
                if state == "0A" and int(at, 16) == port:
                    words = [bytes.fromhex(number[i : i + 8])[::-1] for i in range(0, len(number), 8)]
                    found.add(socket.inet_ntop(family, b"".join(words)))
    return found


class Answer:
    """Status, headers and body of one answer."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()


def ask(
    port: int,
    path: str = "/",
    *,
    method: str = "GET",
    host: str | None = None,
    at: str = "127.0.0.1",
    body: bytes | Iterator[bytes] | None = None,
    **headers: str,
) -> Answer:
    """One request, with any Host header; an underscore in the name of a header stands for a dash."""
    connection = http.client.HTTPConnection(at, port, timeout=120)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if host is not None:
        named["Host"] = host
    try:
        connection.request(method, path, body, named)
        return Answer(connection.getresponse())
    finally:
        connection.close()


@contextlib.contextmanager
def within(*, public: bool = False, at: str = "127.0.0.1") -> Iterator[int]:
    """What is served besides Streamlit's own, at a real socket, by this process; its port."""
    options = served(public=public, started=lambda: None)
    app = Starlette(routes=options["routes"], middleware=options["middleware"], lifespan=options["lifespan"])
    listening = socket.create_server((at, 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(120)
        listening.close()
