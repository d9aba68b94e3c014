"""Pictures that are sent: good ones, hostile ones, too many and too slow; and that nothing of them stays."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from conftest import picture
from PIL import Image

from simsearch.framing import frame
from simsearch.http.decoding import Decoders
from simsearch.http.receiving import Bounds
from simsearch.ui.http import uploads
from simsearch.ui.http.uploads import Uploads, preview_address, upload, upload_address
from simsearch.ui.shared import Library, library
from ui.ground import Answer, ask, indexed, within


@pytest.fixture(scope="module")
def lib(tmp_path_factory: pytest.TempPathFactory) -> Library:
    home = tmp_path_factory.mktemp("uploads")
    (home / "photos").mkdir()
    picture(0).save(home / "photos" / "0.jpg", quality=92)
    return library(indexed(home / "photos", home / "index"))


@pytest.fixture(scope="module")
def port(lib: Library) -> Iterator[int]:
    with within() as number:
        yield number


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, of this test alone; nothing may be left in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(uploads, "UPLOADS", Uploads())
    return tmp_path


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


def send(
    port: int, lib: Library, body: bytes | Iterator[bytes], name: str = "x.png", **headers: str
) -> Answer:
    return ask(port, upload_address(lib), method="POST", body=body, X_Name=quote(name), **headers)


def told(answer: Answer) -> str:
    return str(json.loads(answer.body)["error"])


def saved(form: str, size: tuple[int, int] = (96, 72), **how: Any) -> bytes:
    out = io.BytesIO()
    picture(1, size).save(out, form, **how)
    return out.getvalue()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG that claims any size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND")


# What is taken in


def test_a_picture_is_taken_in_and_its_file_is_gone(port: int, lib: Library, temporary: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Secretcam"
    data = saved("JPEG", (400, 200), quality=95, exif=exif)
    answer = send(port, lib, data, "../Ferien <b> & Ü\n.jpg")
    assert answer.status == 200
    taken = upload(json.loads(answer.body)["upload"])
    assert taken is not None
    assert taken.name == "../Ferien <b> & Ü\n.jpg"
    assert taken.digest == hashlib.sha256(data).digest()
    # Turned upright by its tag.
    assert (taken.width, taken.height) == (200, 400)
    upright = Image.open(io.BytesIO(data)).convert("RGB").transpose(Image.Transpose.ROTATE_270)
    framing = lib.index.spec.framing
    assert taken.framed.shape == (framing.crop, framing.crop, 3)
    assert np.abs(taken.framed.astype(int) - frame(upright, framing)).mean() < 2
    assert Image.open(io.BytesIO(taken.preview)).size == (200, 400)
    assert b"Secretcam" not in taken.preview
    shown = ask(port, preview_address(taken.id))
    assert (shown.status, shown.headers["Content-Type"], shown.body) == (200, "image/jpeg", taken.preview)
    assert left(temporary) == []


def test_the_preview_is_no_larger_than_a_screen(port: int, lib: Library) -> None:
    taken = upload(json.loads(send(port, lib, saved("PNG", (2000, 1000), compress_level=1)).body)["upload"])
    assert taken is not None
    assert (taken.width, taken.height) == (2000, 1000)
    assert Image.open(io.BytesIO(taken.preview)).size == (1600, 800)


def test_it_is_never_written_under_its_own_name(
    port: int, lib: Library, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int, int]] = []
    read = Decoders.read

    def watched(self: Decoders, path: bytes, *rest: Any) -> Any:
        name = os.path.basename(os.fsdecode(path))
        modes = os.stat(path).st_mode & 0o777, os.stat(os.path.dirname(path)).st_mode & 0o777
        seen.append((name, *modes))
        return read(self, path, *rest)

    monkeypatch.setattr(Decoders, "read", watched)
    for name in ("../../holiday.TGA", "holiday.py", "holiday"):
        send(port, lib, saved("TGA") if "TGA" in name else saved("PNG"), name)
    names = {name for name, *_ in seen}
    assert len(names) == 3
    assert not any("holiday" in name for name in names)
    # A TGA is known by its suffix alone, which is all that is kept of a name, and of a picture's only.
    assert sorted(os.path.splitext(name)[1] for name in names) == ["", "", ".tga"]
    assert {modes for _, *modes in ((n, m) for n, *m in seen) for modes in map(tuple, modes)} == {
        (0o600, 0o700)
    }


def test_so_many_are_kept_and_the_oldest_forgotten(
    port: int, lib: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "UPLOADS", Uploads(Bounds(kept=2)))
    first, second, third = (json.loads(send(port, lib, saved("PNG")).body)["upload"] for _ in range(3))
    assert upload(first) is None
    assert ask(port, preview_address(first)).status == 404
    assert upload(second) is not None
    assert upload(third) is not None


def test_an_address_needs_the_secret_and_an_opened_index(port: int, lib: Library) -> None:
    address = upload_address(lib)
    _, _, secret, key, _ = address.split("/")
    for bad in (address.replace(secret, "x" * len(secret)), address.replace(key, "00000000")):
        answer = ask(port, bad, method="POST", body=saved("PNG"))
        assert (answer.status, told(answer)) == (404, "This page is out of date. Load it again.")
    assert ask(port, address).status == 405
    other = ask(port, address, method="POST", body=saved("PNG"), Origin="http://evil.example")
    assert other.status == 403
    taken = json.loads(send(port, lib, saved("PNG")).body)["upload"]
    assert ask(port, preview_address(taken).replace(secret, "x" * len(secret))).status == 404


# Hostile ones


@pytest.mark.parametrize(
    ("body", "name", "status", "words"),
    [
        (b"", "a.jpg", 422, "a.jpg is no picture that can be used: the file is empty."),
        (b"", "", 422, "This is no picture that can be used: the file is empty."),
        (b"hello " * 99, "a", 415, "a is no picture that can be used: its content is no picture."),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg", 415, "its content is no picture."),
        (b"PK\3\4" + bytes(200), "a.jpg", 422, "not a JPEG: its content is no picture."),
        (b"MZ" + bytes(200), "a\x1b[31m.exe", 415, r"a\x1b[31m.exe is no picture"),
        (saved("JPEG")[:-200], "cut.jpg", 422, "cut.jpg is no picture that can be used: "),
        (saved("PNG")[:-60], "cut.png", 422, "cut.png is no picture that can be used: "),
        (png(50000, 20000), "big.png", 422, "50000 x 20000 pixels are more than the limit of 178956970"),
        (png(2**31 - 1, 2**31 - 1), "big.png", 422, "pixels are more than the limit of 178956970"),
        (png(0, 5), "none.png", 422, "none.png is no picture that can be used: "),
    ],
    ids=["empty", "nameless", "text", "svg", "zip", "exe", "cut-jpeg", "cut-png", "1e9", "4e18", "no-pixels"],
)
def test_what_is_no_picture_is_told_so(
    port: int, lib: Library, temporary: Path, body: bytes, name: str, status: int, words: str
) -> None:
    answer = send(port, lib, body, name)
    assert answer.status == status
    assert words in told(answer)
    assert left(temporary) == []
    assert send(port, lib, saved("PNG")).status == 200


def test_a_bomb_that_unpacks_costs_itself_only(port: int, lib: Library, temporary: Path) -> None:
    # 6,000 x 6,000 pixels of black in 106 kB: below the limit of pixels, 108 MB unpacked.
    row = bytes(1 + 6000 * 3)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(6000)) + packer.flush()
    assert len(data) < 200_000
    before = memory()
    answer = send(port, lib, png(6000, 6000, data))
    assert answer.status == 200
    # The server itself gets 3200 x 3200 pixels of it, which are 31 MB.
    assert memory() - before < 90 << 20
    assert left(temporary) == []


def memory() -> int:
    """The bytes that this process, the server, has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("declared", [True, False])
def test_one_that_is_too_large_is_never_in_memory(
    port: int, lib: Library, temporary: Path, declared: bool
) -> None:
    block, peak = bytes(1 << 20), 0
    before = memory()

    def blocks() -> Iterator[bytes]:
        nonlocal peak
        for _ in range(65):
            peak = max(peak, memory() - before)
            yield block

    answer = send(port, lib, blocks(), **({"Content_Length": str(65 << 20)} if declared else {}))
    assert answer.status == 413
    assert told(answer).startswith("The picture is larger than 64 MiB, which is the most that is taken in")
    assert peak < 32 << 20
    assert left(temporary) == []


def test_one_that_goes_on_for_ever_is_cut_off(
    port: int, lib: Library, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "UPLOADS", Uploads(Bounds(max_bytes=1 << 20)))
    sent = 0

    def blocks() -> Iterator[bytes]:
        nonlocal sent
        while sent < 2 << 30:
            sent += 1 << 22
            yield bytes(1 << 22)

    with pytest.raises(OSError, match=r"pipe|reset"):
        send(port, lib, blocks())
    assert sent < 1 << 30
    assert left(temporary) == []


def begun(port: int, lib: Library, size: int) -> socket.socket:
    """A connection on which a picture of so many bytes is begun and not gone on with."""
    head = f"POST {upload_address(lib)} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", port), timeout=120)
    connection.sendall(head.encode() + b"\x89PNG")
    return connection


def test_a_pause_and_a_trickle_end(port: int, lib: Library, temporary: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(uploads, "UPLOADS", Uploads(Bounds(pause=0.4, seconds=1.2)))
    began = time.monotonic()
    with begun(port, lib, 1000) as connection:
        assert b" 408 " in connection.recv(100)
    assert time.monotonic() - began > 0.3
    with begun(port, lib, 1000) as connection:
        connection.settimeout(0.2)
        answer = b""
        for _ in range(40):
            try:
                answer = connection.recv(100)
                break
            except TimeoutError:
                connection.sendall(b"x")
        assert b" 408 " in answer
    assert left(temporary) == []


def test_only_so_many_at_once_and_one_that_leaves_makes_room(
    port: int, lib: Library, temporary: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(uploads, "UPLOADS", Uploads(Bounds(at_once=2, pause=300, seconds=600)))
    first, second = begun(port, lib, 1000), begun(port, lib, 1000)
    wait_until(lambda: send(port, lib, saved("PNG")).status == 503)
    answer = send(port, lib, saved("PNG"))
    assert told(answer) == "Too many pictures are being sent at once. Send it again in a moment."
    first.close()
    wait_until(lambda: send(port, lib, saved("PNG")).status == 200)
    second.close()
    wait_until(lambda: left(temporary) == [])


def wait_until(holds: Any) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_many_together_are_all_answered(port: int, lib: Library, temporary: Path) -> None:
    pictures = [saved("PNG", (100 + n, 80)) for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda data: send(port, lib, data), pictures))
    taken = [upload(json.loads(answer.body)["upload"]) for answer in answers]
    assert [item.width if item else 0 for item in taken] == [100 + n for n in range(8)]
    assert left(temporary) == []


def test_one_that_hangs_is_ended_and_the_others_pass(
    port: int, lib: Library, temporary: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(uploads, "UPLOADS", Uploads(decoders=Decoders(workers=2, seconds=5.0)))
    # A JPEG of 40,000 scans over 9 million pixels: each is gone through for a few bytes of file.
    slow = scans(3000, 3000, 40000)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(send(port, lib, slow, "slow.jpg")))
    thread.start()
    time.sleep(0.3)
    assert send(port, lib, saved("PNG")).status == 200
    assert answers == []
    thread.join(120)
    assert answers[0].status == 422
    assert told(answers[0]) == "slow.jpg is no picture that can be used: took longer than 5 s to decode."
    assert left(temporary) == []


def scans(width: int, height: int, count: int) -> bytes:
    """A progressive grey JPEG, of whose first scan for high frequencies there are many."""
    out = io.BytesIO()
    Image.new("L", (width, height)).save(out, "JPEG", progressive=True, quality=30)
    data = out.getvalue()
    places = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    return data[: places[1]] + data[places[1] : places[2]] * count + data[places[2] :]


def test_the_folder_goes_with_the_server(lib: Library, temporary: Path) -> None:
    with within() as port:
        assert send(port, lib, saved("PNG")).status == 200
        assert [path.name[:10] for path in temporary.iterdir()] == ["simsearch-"]
    assert list(temporary.iterdir()) == []


def test_files_that_broke_other_decoders(port: int, lib: Library, temporary: Path, shared_data: Path) -> None:
    files = sorted((shared_data / "hostile").iterdir())
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda path: send(port, lib, path.read_bytes(), path.name), files))
    statuses = {path.name: answer.status for path, answer in zip(files, answers, strict=True)}
    assert set(statuses.values()) == {200, 415, 422}
    assert statuses["hopper.jpg"] == statuses["hopper.webp"] == 200
    assert statuses["truncated_jpeg.jpg"] == statuses["decompression_bomb.gif"] == 422
    assert all(answer.status == 200 or told(answer) for answer in answers)
    assert left(temporary) == []
