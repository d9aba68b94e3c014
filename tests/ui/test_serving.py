"""Who is answered: where the server listens, from both ways of starting, and what the guard turns away."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from children import free_port
from conftest import picture
from PIL import Image

from simsearch.http.program import address_of
from simsearch.media.thumbs import SIDE, kept_digests
from simsearch.ui import shared
from simsearch.ui.serving import SETTINGS
from simsearch.ui.shared import Library, library
from ui.ground import (
    REPO,
    STREAMLIT,
    UI,
    Answer,
    ask,
    indexed,
    listeners,
    port_in,
    started,
    within,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of three pictures: 0.jpg, 1.jpg with a camera's tags, 2.png with 2000 x 1000 pixels."""
    home = tmp_path_factory.mktemp("served")
    photos = home / "photos"
    photos.mkdir()
    picture(0).save(photos / "0.jpg", quality=92)
    exif = Image.Exif()
    exif[0x010F] = "Secretcam"
    picture(1).save(photos / "1.jpg", quality=92, exif=exif)
    picture(2, (2000, 1000)).save(photos / "2.png", compress_level=1)
    return indexed(photos, home / "index")


@pytest.fixture(scope="module")
def ui(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of `simsearch ui`, started in another folder."""
    command = [*UI, "-i", str(folder), "--port", "0"]
    with started(command, cwd=tmp_path_factory.mktemp("elsewhere")) as (_, line):
        yield port_in(line)


@pytest.fixture(scope="module")
def opened(folder: Path) -> Library:
    return library(folder)


@pytest.fixture(scope="module")
def port(opened: Library) -> Iterator[int]:
    """The port of the server within this process, whose secret the tests know."""
    with within() as number:
        yield number


def names(lib: Library) -> dict[str, int]:
    return {os.path.basename(photo.paths[0]): photo.id for photo in lib.index.photos()}


# Starting and ending


def test_simsearch_ui_listens_at_this_machine_only(ui: int) -> None:
    assert listeners(ui) == {"127.0.0.1"}
    assert ask(ui, "/_stcore/health").body == b"ok"


def test_streamlit_run_listens_at_this_machine_only_from_any_folder(folder: Path, tmp_path: Path) -> None:
    command = [*STREAMLIT, "--server.port", str(free_port())]
    with started(command, cwd=tmp_path, SIMSEARCH_INDEX=str(folder)) as (_, line):
        assert re.fullmatch(r"simsearch is at http://127\.0\.0\.1:\d+ \(Ctrl-C ends it\)", line)
        assert listeners(port_in(line)) == {"127.0.0.1"}
        assert ask(port_in(line), "/_stcore/health", host="evil.example").status == 403


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("0.0.0.0", "at 0.0.0.0, which other machines can reach"),
        ("", "at every address of this machine"),
    ],
)
def test_streamlit_run_at_another_address_is_refused_and_nobody_answered(
    address: str, where: str, tmp_path: Path
) -> None:
    port = free_port()
    command = [*STREAMLIT, "--server.port", str(port), "--server.address", address]
    child = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPO)}, stderr=subprocess.PIPE, text=True
    )
    answered = []
    # Streamlit opens its socket just before it reads app.py; whoever connects then must get no byte.
    while child.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                answered.append(connection.recv(1))
        except OSError:
            time.sleep(0.01)
    assert not any(answered)
    assert child.returncode == 1
    lines = (child.stderr or io.StringIO()).read().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"Error: simsearch would be served {where}, and it has no password: refused.")
    assert lines[0].endswith("streamlit run app.py -- --public")
    assert listeners(port) == set()


def test_public_is_wanted_told_and_answered(folder: Path, tmp_path: Path) -> None:
    command = [*UI, "-i", str(folder), "--port", "0", "--public"]
    with started(command, cwd=tmp_path) as (child, line):
        port = port_in(line)
        assert listeners(port) == {"0.0.0.0"}
        assert ask(port, "/_stcore/health", host=f"photos.example:{port}").status == 200
        child.send_signal(signal.SIGTERM)
        _, notes = child.communicate(timeout=120)
        assert child.returncode == 128 + signal.SIGTERM
    assert notes.startswith(f"Warning: there is no password. Whoever can reach port {port} of this machine")
    assert notes.count("\n") == 1


def test_ctrl_c_ends_it_at_once_with_130_and_no_traceback(folder: Path, tmp_path: Path) -> None:
    command = [*UI, "-i", str(folder), "--port", "0"]
    with started(command, cwd=tmp_path) as (child, line):
        # One who sends nothing more must not hold it up.
        with socket.create_connection(("127.0.0.1", port_in(line))) as half:
            half.sendall(
                b"POST /simsearch/x/y/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n"
            )
            began = time.monotonic()
            child.send_signal(signal.SIGINT)
            out, notes = child.communicate(timeout=120)
        # Whoever stops in the middle is given up after ten seconds by itself.
        assert time.monotonic() - began < 9
        assert (child.returncode, out, notes) == (130, "", "")


def test_a_taken_port_is_told_or_passed_over(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*UI, "--port", str(port)], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"Error: Port {port} of 127.0.0.1 is taken by another program. Name an")
    with socket.socket() as taken:
        # Taken by us or by somebody else already: either way it is not free.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8501))
            taken.listen()
        except OSError:
            pass
        with started([*UI, "--json"], cwd=tmp_path) as (child, line):
            port = port_in(line)
            assert line == f'{{"address": "http://127.0.0.1:{port}"}}'
            assert port > 8501
            child.send_signal(signal.SIGINT)
            notes = child.communicate(timeout=120)[1]
        assert notes == f"Port 8501 is taken; {port} is used instead.\n"


def test_the_browser_is_opened_once_it_can_ask(folder: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    browser = tmp_path / "browser.py"
    browser.write_text(
        f"#!{sys.executable}\nimport sys, urllib.request\n"
        f"open({str(asked)!r}, 'w').write(str(urllib.request.urlopen(sys.argv[1]).status))\n"
    )
    browser.chmod(0o755)
    command = [name for name in UI if name != "--no-open"] + ["--port", "0", "-i", str(folder)]
    with started(command, cwd=tmp_path, BROWSER=str(browser)):
        end = time.monotonic() + 120
        while not (asked.is_file() and asked.read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        assert asked.read_text() == "200"


def test_both_ways_of_starting_set_the_same() -> None:
    def flat(table: dict[str, Any], before: str = "") -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for name, value in table.items():
            rows |= flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
        return rows

    assert flat(tomllib.loads((REPO / ".streamlit" / "config.toml").read_text())) == SETTINGS


def test_addresses_to_type() -> None:
    assert address_of("0.0.0.0", 1) == address_of("::", 1) == address_of("", 1) == "http://127.0.0.1:1"
    assert address_of("::1", 80) == "http://[::1]:80"
    assert address_of("localhost", 80) == "http://localhost:80"


# The guard, before Streamlit and all else


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost", 200),
        ("LOCALHOST:{port}", 200),
        ("[::1]:{port}", 200),
        ("127.8.9.1", 200),
        ("evil.example", 403),
        ("evil.example:{port}", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("evil.example@localhost", 403),
        ("localhost:{port}:{port}", 403),
        ("192.168.1.2", 403),
        ("0.0.0.0", 403),
        ("", 403),
    ],
)
def test_a_host_header_of_another_is_refused(ui: int, host: str, status: int) -> None:
    assert ask(ui, "/_stcore/health", host=host.format(port=ui)).status == status


def shake_hands(port: int, *lines: str) -> int:
    """The status that a WebSocket of Streamlit's is answered with."""
    key = base64.b64encode(os.urandom(16)).decode()
    head = ["GET /_stcore/stream HTTP/1.1", *lines, "Upgrade: websocket", "Connection: Upgrade"]
    head += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall("\r\n".join(head).encode())
        return int(connection.recv(64).split()[1])


def test_the_websocket_is_guarded_as_well(ui: int) -> None:
    own = f"127.0.0.1:{ui}"
    assert shake_hands(ui, f"Host: {own}", f"Origin: http://{own}") == 101
    assert shake_hands(ui, "Host: evil.example", "Origin: http://evil.example") == 403
    assert shake_hands(ui, f"Host: {own}", "Origin: http://evil.example") == 403
    # Another server on this machine is another page, too; Streamlit alone would let it in.
    assert shake_hands(ui, f"Host: {own}", "Origin: http://localhost:3000") == 403
    assert shake_hands(ui, f"Host: {own}", "Origin: null") == 403


def test_every_answer_says_who_may_use_it(ui: int) -> None:
    for answer in (ask(ui, "/"), ask(ui, "/", host="evil.example"), ask(ui, "/no/such/thing.js")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy
        assert answer.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_is_sent_to_streamlit_but_by_its_socket(ui: int, method: str) -> None:
    answer = ask(ui, "/_stcore/upload_file/session/file", method=method, body=b"x")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_who_comes_from_outside_is_refused_however_it_was_started() -> None:
    # Nothing is sent: the kernel says from which address of this machine it would be.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("network: this machine has no address but its own")
        outside = str(probe.getsockname()[0])
    with within(at="0.0.0.0") as port:
        assert ask(port, "/simsearch/x", host="localhost", at=outside).status == 403
        assert ask(port, "/simsearch/x", host="localhost").status == 404
    with within(at="0.0.0.0", public=True) as port:
        assert ask(port, "/simsearch/x", at=outside).status == 404


# Pictures


def opened_as_jpeg(answer: Answer) -> Image.Image:
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    image = Image.open(io.BytesIO(answer.body))
    assert image.format == "JPEG"
    return image


def test_thumbnails_and_pictures_by_address(port: int, opened: Library) -> None:
    ids = names(opened)
    assert opened_as_jpeg(ask(port, opened.thumbnail(ids["2.png"]))).size == (256, 128)
    assert opened_as_jpeg(ask(port, opened.picture(ids["2.png"]))).size == (1600, 800)
    small = ask(port, opened.thumbnail(ids["1.jpg"]))
    assert opened_as_jpeg(small).size == (96, 72)
    assert b"Secretcam" not in small.body
    assert ask(port, opened.thumbnail(ids["1.jpg"]), method="HEAD").body == b""
    # Kept with the index: those that were looked at, and no large picture.
    shas = {os.path.basename(p.paths[0]): bytes.fromhex(p.sha256) for p in opened.index.photos()}
    assert kept_digests(opened.index.path / "thumbs.db") >= {shas["1.jpg"], shas["2.png"]}
    assert kept_digests(opened.index.path / "thumbs.db", side=1600) == set()


def test_a_picture_is_sent_once(port: int, opened: Library) -> None:
    address = opened.thumbnail(names(opened)["0.jpg"])
    first = ask(port, address)
    assert first.headers["Cache-Control"] == "private, max-age=86400, immutable"
    again = ask(port, address, If_None_Match=first.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    assert ask(port, address, If_None_Match='"another"').body == first.body


def test_only_the_addresses_of_opened_indexes_are_answered(port: int, opened: Library, folder: Path) -> None:
    good = opened.thumbnail(1)
    secret, key = good.split("/")[2:4]
    assert ask(port, good).status == 200
    for bad in (
        good.replace(secret, "x" * len(secret)),
        good.replace(secret, secret[:-1]),
        good.replace(secret, "%C3%A4%FF"),
        good.replace(key, "00000000"),
        good.replace("thumb", "original"),
        good.replace("/1", "/4"),
        good.replace("/1", "/0"),
        good.replace("/1", f"/{10**30}"),
        good.replace("/1", f"/{'9' * 5000}"),
        good.replace("/1", "/%C2%B9"),
        good.replace("/1", "/1.0"),
        good + "/../../../../../etc/passwd",
        f"/simsearch/{secret}/{key}/thumb/..%2f..%2f..%2fetc%2fpasswd",
        f"/simsearch/{secret}/{key}/thumb/{folder}/index.db",
    ):
        answer = ask(port, bad)
        assert answer.status == 404, bad
        assert b"root:" not in answer.body


def test_a_file_that_became_another_is_not_kept_as_what_was_indexed(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    picture(5, (300, 200)).save(photos / "a.png")
    picture(6).save(photos / "b.png")
    lib = library(indexed(photos, tmp_path / "index"))
    picture(7, (100, 50)).save(photos / "a.png")
    (photos / "b.png").unlink()
    with within() as port:
        ids = {os.path.basename(p.paths[0]): p.id for p in lib.index.photos()}
        changed = ask(port, lib.picture(ids["a.png"]))
        assert opened_as_jpeg(changed).size == (100, 50)
        assert changed.headers["Cache-Control"] == "no-store"
        gone = ask(port, lib.thumbnail(ids["b.png"]))
        assert (gone.status, gone.headers["Cache-Control"]) == (404, "no-store")
    assert kept_digests(tmp_path / "index" / "thumbs.db", side=SIDE) == set()


def test_a_kept_thumbnail_needs_no_file(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    picture(8).save(photos / "a.png")
    picture(9).save(photos / "b.png")
    lib = library(indexed(photos, tmp_path / "index"))
    first = {os.path.basename(p.paths[0]): p.id for p in lib.index.photos()}["a.png"]
    with within() as port:
        seen = ask(port, lib.thumbnail(first)).body
        # As if it were unplugged: what was looked at once can be looked at still.
        photos.rename(tmp_path / "away")
        assert ask(port, lib.thumbnail(first)).body == seen
        assert ask(port, lib.picture(first)).status == 404


def test_the_secret_is_long_and_of_this_process() -> None:
    assert len(base64.urlsafe_b64decode(shared.SECRET + "=" * (-len(shared.SECRET) % 4))) >= 12
    command = [sys.executable, "-c", "from simsearch.ui.shared import SECRET; print(SECRET)"]
    other = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout.strip()
    assert other != shared.SECRET
    assert hashlib.sha256(other.encode()).digest() != hashlib.sha256(shared.SECRET.encode()).digest()
