"""A Milvus server for tests: Milvus Lite in a process of its own, which listens on a port as any server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from children import free_port

MISSING = "pymilvus and milvus-lite are not installed: pip install 'simsearch[milvus]' milvus-lite"


class LiteServer:
    """Start, stop, kill and freeze it; its rows stay in `folder`, its port is its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def address(self) -> str:
        """That of a collection."""
        return f"milvus://127.0.0.1:{self.port}/photos"

    def command(self) -> list[str]:
        """What is started."""
        command = [sys.executable, "-m", "milvus_lite", "server", "--host", "127.0.0.1"]
        return [*command, "--port", str(self.port), "--data-dir", os.fspath(self.folder)]

    def start(self) -> None:
        """Returns when it listens."""
        command = self.command()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("Milvus Lite does not listen")

    def freeze(self) -> None:
        """It keeps its connections and says nothing any more."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """As kill -9 does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


class SecuredServer(LiteServer):
    """The same by TLS, for those who bring the token."""

    def __init__(self, folder: Path, token: str) -> None:
        self.token = token
        self.key, self.certificate = folder.with_suffix(".key"), folder.with_suffix(".crt")
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        files = ["-keyout", os.fspath(self.key), "-out", os.fspath(self.certificate)]
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        subprocess.run([*made, *names, *files], check=True, capture_output=True)
        super().__init__(folder)

    @property
    def address(self) -> str:
        return f"milvus+tls://localhost:{self.port}/photos"

    def command(self) -> list[str]:
        script = os.fspath(Path(__file__).with_name("secured.py"))
        pair = [os.fspath(self.key), os.fspath(self.certificate)]
        return [sys.executable, script, os.fspath(self.folder), str(self.port), *pair, self.token]
