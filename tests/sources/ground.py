"""Stores for the tests: a real S3 server in its own process, and a web server that misbehaves as told."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from conftest import picture

MODEL = "efficientnet_lite0"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


def jpeg(seed: int) -> bytes:
    out = io.BytesIO()
    picture(seed).save(out, "JPEG", quality=92)
    return out.getvalue()


class S3:
    """moto's server: https://docs.getmoto.org/en/latest/docs/server_mode.html; `serve` starts it again."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def serve(self) -> None:
        code = (
            "import sys, time; from moto.server import ThreadedMotoServer; "
            "s = ThreadedMotoServer('127.0.0.1', int(sys.argv[1])); s.start(); "
            "print(s.get_host_and_port()[1], flush=True); time.sleep(3600)"
        )
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, str(self.port)], stdout=subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        # It has a line of its own to say first.
        while not (line := self._process.stdout.readline()).strip().isdigit():
            assert line, "the S3 server does not start"
        self.port = int(line)
        until = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(self.url, timeout=60).close()
                return
            except OSError:
                assert time.monotonic() < until, "the S3 server does not start"
                time.sleep(0.1)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    @property
    def env(self) -> dict[str, str]:
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": "us-east-1"}

    def asked(self, method: str, key: str) -> int:
        """How many requests for an object were answered so far."""
        return self.log.read_text(errors="replace").count(f'"{method} {key}')


class Web:
    """A web server with files and HTML listings of its folders, and things to do wrong, by path."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.pages: dict[str, str] = {}
        self.wrong: dict[str, list[str]] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.stop = threading.Event()
        self._lock = threading.Lock()
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                web.answer(self, body=False)

            def do_GET(self) -> None:
                web.answer(self, body=True)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def listing(self, path: str) -> str | None:
        """As a web server makes it, with the links that sort it and the one to the folder above."""
        inside = path.rstrip("/") + "/"
        names = sorted({rest.split("/")[0] + ("/" if "/" in rest else "") for rest in self._below(inside)})
        links = "".join(f'<li><a href="{name}">{name}</a></li>' for name in ["../", "?C=M;O=A", *names])
        return f"<html><body><ul>{links}</ul></body></html>" if names else None

    def _below(self, inside: str) -> Iterator[str]:
        return (name[len(inside) :] for name in self.files if name.startswith(inside))

    def answer(self, handler: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = handler.path
        with self._lock:
            self.asked[handler.command, path] += 1
            todo = self.wrong.get(path, [])
            wrong = (todo.pop(0) if len(todo) > 1 else todo[0]) if body and todo else ""
        if wrong.isdigit():
            handler.send_response(int(wrong))
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        data, kind = self.files.get(path), "application/octet-stream"
        if data is None:
            page = self.pages.get(path) or self.listing(path)
            if page is None:
                handler.send_error(404)
                return
            data, kind = page.encode(), "text/html; charset=utf-8"
        length = len(data) + {"announces more": 1000, "announces less": -200}.get(wrong, 0)
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        if wrong != "never ends":
            handler.send_header("Content-Length", str(length))
        if kind.startswith("application"):
            handler.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
        if wrong:
            handler.send_header("Connection", "close")
            handler.close_connection = True
        handler.end_headers()
        if body:
            self._send(handler, data, wrong)

    def _send(self, handler: BaseHTTPRequestHandler, data: bytes, wrong: str) -> None:
        try:
            handler.wfile.write(data[: len(data) // 2] if wrong in ("cuts", "stalls") else data)
            handler.wfile.flush()
            if wrong == "stalls":
                self.stop.wait(600)
            while wrong == "never ends" and not self.stop.is_set():
                handler.wfile.write(bytes(1 << 20))
        except OSError:
            handler.close_connection = True


@contextmanager
def serving() -> Iterator[Web]:
    web = Web()
    try:
        yield web
    finally:
        web.stop.set()
        web.server.shutdown()
        web.server.server_close()


def spools(temporary: Path) -> list[Path]:
    """Every file that fetching has left in a folder for temporary files."""
    return [path for path in temporary.rglob("*") if path.is_file() and path.name != "LOCK"]


def patient(seconds: float, temporary: Path) -> dict[str, str]:
    """The environment of a command that gives up after so many seconds without a byte."""
    return {"SIMSEARCH_SOURCE_TIMEOUT": str(seconds), "TMPDIR": os.fspath(temporary)}
