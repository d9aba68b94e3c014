"""Photos in archives and on web servers are asked for like all others, by what the index calls them."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from conftest import age, simsearch

from server.ground import LITE0, served


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and pages of what is in it; while it `hangs` it answers nobody."""

    hangs = threading.Event()
    freed = threading.Event()
    asked = threading.Semaphore(0)

    def do_HEAD(self) -> None:
        if self.hangs.is_set():
            self.asked.release()
            self.freed.wait(600)
        super().do_HEAD()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def shots(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere") / "shots"
    folder.mkdir()
    for name in ("coffee", "astronaut", "chelsea"):
        shutil.copy(photos / "originals" / f"{name}.png", folder)
    return folder


@pytest.fixture(scope="module")
def web(shots: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=shots.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/shots"
        server.shutdown()


@pytest.mark.parametrize("kind", ["archive", "web server"])
def test_a_photo_elsewhere_is_asked_for_by_its_path(kind: str, shots: Path, web: str, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "shots"), "zip", shots))
    age(tmp_path)
    root = str(archive) if kind == "archive" else web
    done = simsearch("index", root, "-i", tmp_path / "index", "--model", LITE0, "-q")
    assert done.returncode == 0, done.stderr
    with served("-i", tmp_path / "index") as server, server.client() as client:
        [found] = asked(client, plus=[{"path": f"{root}/coffee.png"}], k=5)
        assert sorted(hit["path"] for hit in found["hits"]) == [
            f"{root}/astronaut.png",
            f"{root}/chelsea.png",
        ]
        [below] = asked(client, plus=[{"path": f"{root}/coffee.png"}], folder=[root])
        assert below == found
        photo = found["hits"][0]
        facts = client.get(f"/v1/photos/{photo['id']}").json()
        assert (facts["path"], facts["state"]) == (photo["path"], "unseen")
        small = client.get(f"/v1/photos/{photo['id']}/thumbnail")
        assert (small.status_code, small.content[:2]) == (200, b"\xff\xd8")
        for path in (f"{root}/none.png", f"{root}/../shots/none.png", "http://me:secret@127.0.0.1/a.png"):
            refused = client.post("/v1/query/indexed", json={"plus": [{"path": path}]})
            assert (refused.status_code, refused.json()["error"]) == (404, "not_found")


@pytest.fixture
def hanging(web: str, tmp_path: Path) -> Iterator[Path]:
    """An index of the web server, which hangs from now on."""
    done = simsearch("index", web, "-i", tmp_path / "index", "--model", LITE0, "-q")
    assert done.returncode == 0, done.stderr
    Quiet.freed.clear()
    Quiet.hangs.set()
    yield tmp_path / "index"
    Quiet.hangs.clear()
    Quiet.freed.set()


def test_thumbnails_from_a_store_that_hangs_hold_up_no_query(hanging: Path, shots: Path) -> None:
    with (
        served("-i", hanging, "--workers", "1", SIMSEARCH_SOURCE_TIMEOUT="600") as server,
        server.client() as client,
        ThreadPoolExecutor(1) as threads,
    ):
        small = threads.submit(client.get, "/v1/photos/1/thumbnail")
        assert Quiet.asked.acquire(timeout=60)
        sent = client.post("/v1/query", files={"image": (shots / "coffee.png").read_bytes()})
        assert (sent.status_code, small.done()) == (200, False)
        Quiet.freed.set()
        assert small.result().status_code == 200


def test_a_fetch_that_nobody_waits_for_does_not_keep_it_from_ending(hanging: Path) -> None:
    with served("-i", hanging, "--timeout", "1", SIMSEARCH_SOURCE_TIMEOUT="600") as server:
        with server.client() as client:
            late = client.get("/v1/photos/1/thumbnail")
            assert (late.status_code, late.json()["error"]) == (504, "out_of_time")
        server.child.send_signal(signal.SIGTERM)
        # Well before the fetch would be given up.
        assert server.child.communicate(timeout=120) == ("", "")
        assert server.child.returncode == 0


def asked(client: httpx.Client, **wish: object) -> list[dict[str, list[dict[str, object]]]]:
    answer = client.post("/v1/query/indexed", json=wish)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, list[dict[str, object]]]] = answer.json()
    return found
