"""A bucket of Google's as a root, on a server that speaks the part of its JSON interface that gcsfs uses."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from conftest import simsearch

from sources.ground import MODEL, jpeg, patient, spools
from sources.test_archives import PHOTOS, rows


class Google:
    """https://cloud.google.com/storage/docs/json_api/v1/objects: list, get, and get with alt=media."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.fetched: list[str] = []
        google = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                google.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self, name: str) -> dict[str, Any]:
        data = self.objects[name]
        return {
            "kind": "storage#object",
            "bucket": "bucket",
            "name": name,
            "size": str(len(data)),
            "generation": str(int.from_bytes(hashlib.md5(data).digest()[:6])),
            "updated": "2026-01-02T03:04:05.678Z",
        }

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = urlsplit(handler.path)
        values = parse_qs(asked.query)
        _, _, key = asked.path.partition("/b/bucket/o")
        name, data = unquote(key.removeprefix("/")), b""
        if "/b/bucket" not in asked.path or (name and name not in self.objects):
            handler.send_error(404)
            return
        if name and values.get("alt") == ["media"]:
            self.fetched.append(name)
            data = self.objects[name]
        elif name:
            data = json.dumps(self.told(name)).encode()
        else:
            prefix = values.get("prefix", [""])[0]
            names = sorted(name for name in self.objects if name.startswith(prefix))
            data = json.dumps({"items": [self.told(name) for name in names]}).encode()
        handler.send_response(200)
        handler.send_header(
            "Content-Type", "application/octet-stream" if values.get("alt") else "application/json"
        )
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)


@pytest.fixture
def google() -> Iterator[Google]:
    pytest.importorskip("gcsfs", reason="gcsfs: it is not installed")
    server = Google()
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_a_bucket_of_google(google: Google, tmp_path: Path, temporary: Path) -> None:
    google.objects = {f"photos/{key}": data for key, data in PHOTOS.items()}
    google.objects["photos/x.json"] = b"{}"
    env = {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{google.server.server_port}",
        "FSSPEC_GS_TOKEN": "anon",
        "FSSPEC_GCS_TOKEN": "anon",
        **patient(60, temporary),
    }

    def index(*args: str) -> dict[str, Any]:
        run = simsearch("index", *args, "-i", tmp_path / "i", "--json", **env)
        assert run.returncode == 0, run.stderr.decode()
        assert spools(temporary) == []
        told: dict[str, Any] = json.loads(run.stdout)
        return told

    told = index("gcs://bucket/photos", "--model", MODEL)
    assert (told["added"], told["embedded"], told["ignored"]) == (4, 4, 1)
    assert sorted(google.fetched) == sorted(f"photos/{key}" for key in PHOTOS)
    told = index()
    assert (told["unchanged"], told["embedded"], len(google.fetched)) == (4, 0, 4)
    google.objects["photos/b.jpg"] = jpeg(40)
    told = index()
    assert (told["updated"], told["unchanged"], told["embedded"]) == (1, 3, 1)
    assert rows(tmp_path / "i").keys() == PHOTOS.keys()
    run = simsearch(
        "query",
        "gs://bucket/photos/b.jpg",
        "-i",
        tmp_path / "i",
        "-k",
        "1",
        "--include-self",
        "--json",
        **env,
    )
    assert json.loads(run.stdout)[0]["hits"][0]["path"] == "gs://bucket/photos/b.jpg", run.stderr
