"""Photos in archives and on web servers are asked for like all others, by what the index calls them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from conftest import age, simsearch

from server.ground import LITE0, served


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and pages of what is in it."""

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


def asked(client: httpx.Client, **wish: object) -> list[dict[str, list[dict[str, object]]]]:
    answer = client.post("/v1/query/indexed", json=wish)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, list[dict[str, object]]]] = answer.json()
    return found
