"""Who is let in, with how much, how often; how the server starts, ends, and follows its index."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from children import is_running, wait_for, workers_of
from conftest import age, picture, simsearch

from server.ground import LITE0, REPO, Server, command, ids, jpeg, made, served
from simsearch import index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.models.choice import ModelChoice

TOKEN = "a-token-of-enough-letters"
ASKED = {"plus": [{"id": 1}]}
HEAD = b"POST /v1/query HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"


@pytest.fixture(scope="module")
def server(small: Path) -> Iterator[Server]:
    with served("-i", small, "--rate", "0", "--max-request", "2", "--max-upload", "1") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """The words of a refusal, which has one form whatever it is."""
    assert (answer.status_code, sorted(answer.json())) == (status, ["error", "message"]), answer.text
    assert answer.json()["error"] == code
    return str(answer.json()["message"])


def answer_on(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the answer on a bare connection."""
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        with contextlib.suppress(ValueError):
            return int(head.split()[1]), json.loads(body)
    raise AssertionError(f"no answer: {data!r}")


# Who is let in


@pytest.fixture(scope="module")
def guarded(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a token, at every address of this machine."""
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(TOKEN + "\n")
    with served("-i", small, "--host", "0.0.0.0", "--token-file", file) as server:
        yield server


def test_with_a_token_nothing_is_answered_without_it(guarded: Server) -> None:
    with guarded.client() as client:
        for headers in (
            {},
            {"Authorization": "Bearer another-token-of-letters"},
            {"Authorization": TOKEN},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": f"Bearer {TOKEN}x"},
        ):
            for path in ("/v1/index", "/v1/photos/1", "/metrics", "/docs", "/openapi.json", "/nothing"):
                answer = client.get(path, headers=headers)
                assert "TOKEN" in refused(answer, 401, "token_wanted")
                assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        allowed = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get("/v1/index", headers=allowed).json()["photos"] == 4
        # By whatever name others reach it.
        assert client.get("/v1/index", headers={**allowed, "Host": "photos.example"}).status_code == 200
        described = client.get("/openapi.json", headers=allowed).json()
        assert described["components"]["securitySchemes"] == {
            "HTTPBearer": {"type": "http", "scheme": "bearer"}
        }


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "photos.example", ""])
def test_another_address_without_a_token_is_refused(host: str, small: Path) -> None:
    done = subprocess.run(
        command("-i", small, "--port", "0", "--host", host), capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "so a token is needed" in done.stderr


@pytest.mark.parametrize("told", ["short", "with a blank in it here", "", "ümläute-und-viele-zeichen"])
def test_a_token_that_is_none_is_refused(told: str, small: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(told)
    line = command("-i", small, "--port", "0", "--token-file", tmp_path / "token")
    done = subprocess.run(line, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("Error: The token in ")
    if told:
        assert told not in done.stderr


def test_a_token_of_the_environment(small: Path) -> None:
    with served("-i", small, SIMSEARCH_TOKEN=TOKEN) as server, server.client() as client:
        assert client.get("/v1/index").status_code == 401
        assert client.get("/v1/index", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        # It is in no list of processes.
        assert TOKEN.encode() not in Path(f"/proc/{server.child.pid}/cmdline").read_bytes()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_other_pages_of_a_browser_get_nothing(headers: dict[str, str], client: httpx.Client) -> None:
    refused(client.get("/v1/index", headers=headers), 403, "not_let_in")
    refused(client.post("/v1/query/indexed", json=ASKED, headers=headers), 403, "not_let_in")


def test_it_listens_where_it_says_and_says_so(server: Server, small: Path) -> None:
    assert server.line == f"simsearch is at http://127.0.0.1:{server.port} (Ctrl-C ends it)"
    done = subprocess.run(
        command("-i", small, "--port", server.port), capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "another program listens there" in done.stderr


# With how much


def test_what_is_too_large_is_refused_as_it_comes(client: httpx.Client) -> None:
    big = client.post("/v1/query", files=[("image", ("x.jpg", bytes(3 << 20)))])
    assert "2097152 bytes" in refused(big, 413, "too_large")

    def endless() -> Iterator[bytes]:
        yield part("image", b"")[:-2]
        for _ in range(100):
            yield bytes(1 << 16)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(client.post("/v1/query", content=endless(), headers=kind), 413, "too_large")
    one = client.post("/v1/query", files=[("image", ("x.jpg", bytes(3 << 19)))])
    assert "1048576 bytes" in refused(one, 413, "too_large")
    json_too = client.post("/v1/query/indexed", content=b" " * (2 << 20))
    refused(json_too, 413, "too_large")


def test_only_so_many_pictures_and_hits(client: httpx.Client) -> None:
    many = client.post("/v1/query/indexed", json={"plus": [{"id": 1}] * 17})
    assert "16 pictures" in refused(many, 422, "invalid")
    data = jpeg(picture(1))
    files = [("image", (f"{n}.jpg", data)) for n in range(17)]
    assert "16" in refused(client.post("/v1/query", files=files), 422, "invalid")
    assert "17" in refused(client.post("/v1/query", files=[*files, files[0]]), 400, "malformed")
    assert "1000" in refused(client.post("/v1/query/indexed", json={**ASKED, "k": 1001}), 422, "invalid")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b"[]", 422),
        (b"\xff\xfe", 400),
        (b'{"plus": []}', 422),
        (b'{"plus": [{}]}', 422),
        (b'{"plus": [{"id": 1, "path": "/x"}]}', 422),
        (b'{"plus": [{"id": "1"}]}', 422),
        (b'{"plus": [{"id": true}]}', 422),
        (b'{"plus": [{"id": 1e999}]}', 422),
        (b'{"plus": [{"id": 1}], "k": 0}', 422),
        (b'{"plus": [{"id": 1}], "k": NaN}', 422),
        (b'{"plus": [{"id": 1}], "min_score": NaN}', 422),
        (b'{"plus": [{"id": 1}], "where": "width >"}', 422),
        (b'{"plus": [{"id": 1}], "since": "May"}', 422),
        (b'{"plus": [{"id": 1}], "min_score": 0.5, "max_score": 0.4}', 422),
        (b'{"plus": [{"id": 1}], "nonesuch": 1}', 422),
        (b'{"plus": [{"id": 1, "weight": 0}]}', 422),
        (b'{"plus": [{"id": 1}], "minus": [{"id": 1, "weight": 1}]}', 422),
        (b'{"plus": [{"path": "\\ud800"}]}', 422),
        (b'{"plus": [{"id": 99}]}', 404),
    ],
)
def test_bad_json_is_told_in_words(body: bytes, status: int, client: httpx.Client) -> None:
    answer = client.post("/v1/query/indexed", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert sorted(answer.json()) == ["error", "message"]


def part(name: str, data: bytes = b"x", file: str | None = "x.jpg") -> bytes:
    shown = f'; filename="{file}"' if file is not None else ""
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{shown}\r\n\r\n'.encode() + data + b"\r\n"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "invalid"),
        (b"--x--\r\n", 422, "invalid"),
        (b"no form", 400, "malformed"),
        (b"--x\r\nContent-Disposition: nonsense\r\n\r\nx\r\n--x--\r\n", 400, "malformed"),
        (part("image", b"no picture", "x") + b"--x--\r\n", 415, "no_picture"),
        (part("image", b"") + b"--x--\r\n", 422, "invalid"),
        (part("image", jpeg(picture(9))[:900]) + b"--x--\r\n", 422, "invalid"),
        (part("other") + b"--x--\r\n", 400, "malformed"),
        (part("image", file=None) + b"--x--\r\n", 400, "malformed"),
        (part("options", b"{}") + b"--x--\r\n", 422, "invalid"),
        (part("options", b"{\xff") + b"--x--\r\n", 422, "invalid"),
        (part("options", b" " * ((1 << 20) + 1)) + b"--x--\r\n", 413, "too_large"),
        (part("options", b"{", None) + b"--x--\r\n", 422, "invalid"),
        (part("options", b'{"plus": [{"id": 99}]}', None) + b"--x--\r\n", 404, "not_found"),
        (part("options", b"{}", None) * 3 + b"--x--\r\n", 400, "malformed"),
        (part("options", b'{"plus": [{"id": 1}], "weights": [1]}', None) + b"--x--\r\n", 422, "invalid"),
    ],
)
def test_bad_forms_are_told_in_words(body: bytes, status: int, code: str, client: httpx.Client) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(client.post("/v1/query", content=body, headers=kind), status, code)


def test_a_body_of_another_kind(client: httpx.Client) -> None:
    for kind in ("application/json", "image/jpeg", "text/plain", "multipart/mixed; boundary=x"):
        answer = client.post("/v1/query", content=b"{}", headers={"Content-Type": kind})
        refused(answer, 415, "no_picture")
    answer = client.post("/v1/query", content=b"x", headers={"Content-Type": "multipart/form-data"})
    refused(answer, 400, "malformed")


def test_a_disk_without_room_is_507(small: Path, tmp_path: Path) -> None:
    # The folder of temporary files goes: nothing can be kept there any more.
    with served("-i", small, TMPDIR=str(tmp_path / "tmp")) as server, server.client() as client:
        (tmp_path / "tmp").mkdir()
        data = jpeg(picture(7))
        kept = client.post("/v1/query", files=[("image", ("x.jpg", data))])
        assert kept.status_code == 503  # made vectors have no network; the picture was taken in
        refused(kept, 503, "unavailable")
        for place in (tmp_path / "tmp").iterdir():
            assert not list(place.iterdir())
    with served("-i", small, "--max-upload", "8") as server, server.client() as client:
        limit = subprocess.run(
            ["prlimit", f"--pid={server.child.pid}", "--fsize=4096:4096"], capture_output=True, check=False
        )
        if limit.returncode:
            pytest.skip("data: prlimit is not at hand")
        answer = client.post("/v1/query", files=[("image", ("x.jpg", jpeg(picture(7, (400, 300)))))])
        refused(answer, 507, "no_room")


# How often, how many, how long


def test_who_asks_too_often_is_told_when_to_ask_again(small: Path) -> None:
    with served("-i", small, "--rate", "0.01") as server, server.client() as client:
        assert client.post("/v1/query/indexed", json=ASKED).status_code == 200
        answer = client.post("/v1/query/indexed", json=ASKED)
        refused(answer, 429, "too_often")
        assert 1 <= int(answer.headers["retry-after"]) <= 100
        assert {client.get("/healthz").status_code for _ in range(5)} == {200}


def test_a_full_server_says_so_at_once_and_goes_on(small: Path) -> None:
    with (
        served("-i", small, "--concurrency", "1", "--pause", "300", "--timeout", "300") as server,
        server.client() as client,
    ):
        with server.connect() as slow:
            slow.sendall(HEAD + b"Content-Length: 100\r\n\r\n")
            wait_for(lambda: client.post("/v1/query/indexed", json=ASKED).status_code == 503)
            answer = client.post("/v1/query/indexed", json=ASKED)
            refused(answer, 503, "unavailable")
            assert answer.headers["retry-after"] == "1"
            assert client.get("/readyz").status_code == 200
        wait_for(lambda: client.post("/v1/query/indexed", json=ASKED).status_code == 200)


def test_what_comes_too_slowly_is_cut(small: Path) -> None:
    with served("-i", small, "--pause", "1") as server:
        # Nothing at all, half a head, a second half of a head after an answer: the connection is closed.
        for first in (
            b"",
            b"GET /healthz HTTP/1.1\r\nHost: 127",
            b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET",
        ):
            with server.connect() as connection:
                connection.sendall(first)
                while connection.recv(65536):
                    pass
        # A body that stops.
        with server.connect() as connection:
            connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n--x")
            status, told = answer_on(connection)
            assert (status, told["error"]) == (408, "too_slow")
        wait_for(lambda: _is_ready(server))
    # A body that trickles: each byte in time, all of it not.
    with served("-i", small, "--pause", "300", "--timeout", "2") as server:
        with server.connect() as connection, contextlib.suppress(ConnectionError):
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + part("image", b"")[:-2])
            trickle = threading.Thread(target=_trickle, args=(connection,), daemon=True)
            trickle.start()
            status, told = answer_on(connection)
            assert (status, told["error"]) == (504, "out_of_time")
        assert _is_ready(server)


def _is_ready(server: Server) -> bool:
    """Whether it says so; on a busy machine this request itself may be too slow for a hasty server."""
    with contextlib.suppress(httpx.TransportError), server.client() as client:
        return client.get("/readyz").status_code == 200
    return False


def _trickle(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Fewer bytes than were announced, for longer than it is waited for.
        for _ in range(900):
            connection.sendall(b"x")
            time.sleep(0.1)


def test_every_status_is_documented(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    wanted = {"401", "403", "405", "408", "413", "429", "503", "504"}
    for methods in described["paths"].values():
        for route in methods.values():
            assert wanted <= route["responses"].keys()
    statuses = described["paths"]["/v1/query"]["post"]["responses"].keys()
    assert statuses == wanted | {"200", "400", "404", "415", "422", "507"}
    page = client.get("/docs").text
    assert all(path in page for path in described["paths"])
    assert "//" not in page


def test_figures_have_labels_of_the_server_alone(client: httpx.Client) -> None:
    for n in range(30):
        client.get(f"/nothing/{n}", headers={"X-Odd": f"{n}"})
        client.get(f"/v1/photos/{n + 1000}")
    client.post("/v1/query/indexed", json=ASKED)
    text = client.get("/metrics").text
    assert 'simsearch_requests_total{route="/v1/photos/{id}",status="404"}' in text
    assert "simsearch_index_photos 4.0" in text
    assert 'simsearch_batch_size_count{stage="search"}' in text
    assert "nothing/" not in text
    routes = {
        line.partition('route="')[2].partition('"')[0] for line in text.splitlines() if 'route="' in line
    }
    assert routes <= {
        *("/v1/query", "/v1/query/indexed", "/v1/photos/{id}", "/v1/photos/{id}/thumbnail", "/v1/index"),
        *("/healthz", "/readyz", "/metrics", "/docs", "none"),
    }


# Beginning and end


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_once_what_was_taken_in_is_answered(sign: signal.Signals, small: Path) -> None:
    body = part("image", (small.parent / "photos" / "1.jpg").read_bytes()) + b"--x--\r\n"
    # No pause of a slow machine may end what is held open here.
    patient = ("--pause", "300", "--timeout", "300")
    with served("-i", small, *patient) as server, server.connect() as idle:
        with server.client() as client:
            client.post(
                "/v1/query", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
            )
        workers = workers_of(server.child.pid)
        assert workers
        with server.connect() as connection:
            head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body[:500])
            with server.client() as client:
                # That one, and the one that asks.
                wait_for(lambda: "simsearch_running 2.0" in client.get("/metrics").text)
            server.child.send_signal(sign)
            wait_for(lambda: _refuses(server.port))
            connection.sendall(body[500:])
            status, [found] = answer_on(connection)
            assert (status, found["hits"][0]["score"]) == (200, 1.0)
        out, err = server.child.communicate(timeout=300)
        assert (server.child.returncode, out, err) == (0, "", "")
        wait_for(lambda: not any(is_running(pid) for pid in workers))
        assert idle.recv(1) == b""


def test_a_signal_that_comes_while_it_begins_is_not_lost(small: Path) -> None:
    # Sent by the process to itself after its own preparations and before uvicorn's.
    code = (
        "import signal, sys, uvicorn; from simsearch.http.config import ServerConfig; "
        "from simsearch.server.running import serve; begin = uvicorn.Server.run; "
        "uvicorn.Server.run = lambda *a, **k: (signal.raise_signal(signal.SIGTERM), begin(*a, **k)); "
        "sys.exit(serve(ServerConfig(index=sys.argv[1], port=0)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(small)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return True
    return False


def test_an_index_that_is_missing_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        command("-i", tmp_path / "none", "--port", "0"), capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"Error: There is no index at {tmp_path}/none.")


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("fastapi", "fastapi"),
        ("python_multipart", "python-multipart"),
        ("prometheus_client", "prometheus-client"),
    ],
)
def test_without_a_package_of_the_extra_one_line_says_what_to_install(
    module: str, package: str, small: Path
) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None; "
        "from simsearch.server.__main__ import main; sys.exit(main())"
    )
    config = json.dumps({"index": str(small), "port": 0})
    done = subprocess.run(
        [sys.executable, "-c", code, config],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    assert done.returncode == 1
    assert done.stderr == (
        f'Error: simsearch serve needs {package}. Install it with: pip install "simsearch[server]"\n'
    )


# The index meanwhile


def test_photos_that_are_indexed_meanwhile_are_found(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        picture(number).save(tmp_path / "photos" / f"{number}.jpg")
    index = made(tmp_path / "photos", tmp_path / "index", np.eye(8, dtype=np.float32)[:3])
    with served("-i", index) as server, server.client() as client:
        assert len(ids(client.post("/v1/query/indexed", json=ASKED).json())) == 2
        (tmp_path / "more").mkdir()
        picture(3).save(tmp_path / "more" / "3.jpg")
        near = np.array([[0.8, 0.6, 0, 0, 0, 0, 0, 0]], dtype=np.float32)
        np.save(tmp_path / "more.npy", near)
        (tmp_path / "more.csv").write_text(f"path\n{tmp_path / 'more' / '3.jpg'}\n")
        done = simsearch(
            "import", tmp_path / "more.npy", tmp_path / "more.csv", "--spec", "made", "-i", index, "-q"
        )
        assert done.returncode == 0, done.stderr
        [result] = client.post("/v1/query/indexed", json=ASKED).json()
        assert Path(result["hits"][0]["path"]).name == "3.jpg"
        assert result["hits"][0]["score"] == pytest.approx(0.8, abs=1e-6)
        # Forgotten, compacted, rebuilt.
        assert simsearch("remove", tmp_path / "more", "-i", index, "--yes", "-q").returncode == 0
        assert simsearch("compact", "-i", index, "-q").returncode == 0
        assert simsearch("rebuild", "-i", index, "-q").returncode == 0
        assert len(ids(client.post("/v1/query/indexed", json=ASKED).json())) == 2


def test_an_index_that_goes_is_503_and_another_in_its_place_is_opened(tmp_path: Path) -> None:
    for name, count in (("one", 3), ("two", 4)):
        (tmp_path / name).mkdir()
        for number in range(count):
            picture(number).save(tmp_path / name / f"{number}.jpg")
        made(tmp_path / name, tmp_path / f"index-{name}", np.eye(8, dtype=np.float32)[:count])
    place = tmp_path / "index"
    shutil.move(tmp_path / "index-one", place)
    with served("-i", place) as server, server.client() as client:
        assert client.get("/v1/index").json()["photos"] == 3
        shutil.move(place, tmp_path / "away")
        for answer in (
            client.get("/v1/index"),
            client.get("/readyz"),
            client.get("/v1/photos/1"),
            client.post("/v1/query/indexed", json=ASKED),
            client.post("/v1/query", files=[("image", ("x.jpg", jpeg(picture(1))))]),
        ):
            assert str(place) in refused(answer, 503, "unavailable")
        assert client.get("/healthz").status_code == client.get("/metrics").status_code == 200
        shutil.move(tmp_path / "index-two", place)
        assert client.get("/v1/index").json()["photos"] == 4
        [result] = client.post("/v1/query/indexed", json=ASKED).json()
        assert {Path(hit["path"]).parent.name for hit in result["hits"]} == {"two"}
        # A backup is copied over the files while they are open.
        shutil.rmtree(place)
        shutil.move(tmp_path / "away", place)
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/index").json()["photos"] == 3
        if sys.platform == "linux":
            # Nothing keeps the room of the one that was deleted.
            assert not any("index.db" in path and path.endswith(" (deleted)") for path in opened_by(server))
        server.child.send_signal(signal.SIGTERM)
        assert server.child.communicate(timeout=300)[1] == ""


def opened_by(server: Server) -> list[str]:
    """The files that a server has open."""
    found = []
    for link in Path(f"/proc/{server.child.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(link))
    return found


def test_an_index_of_another_network_in_its_place(small: Path, tmp_path: Path) -> None:
    place = tmp_path / "index"
    shutil.copytree(small, place)
    (tmp_path / "photos").mkdir()
    picture(1).save(tmp_path / "photos" / "1.jpg")
    age(tmp_path / "photos")
    with served("-i", place) as server, server.client() as client:
        new = [("image", ("x.jpg", jpeg(picture(5))))]
        assert "made" in refused(client.post("/v1/query", files=new), 503, "unavailable")
        shutil.rmtree(place)
        index_folder(tmp_path / "photos", place, IndexingConfig(choice=ModelChoice(LITE0)))
        [result] = client.post("/v1/query", files=new).json()
        assert [Path(hit["path"]).name for hit in result["hits"]] == ["1.jpg"]
