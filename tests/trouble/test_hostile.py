"""Hostile bytes: pictures that blow up, checkpoints that bite, foreign graphs and foreign index folders."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pillow_heif
import pytest
import torch
from conftest import age, picture
from test_folders import MOST_MEMORY, vectors_of, watched

from simsearch import Embedder, index_folder
from simsearch.cli import run
from simsearch.engine.indexing import IndexingConfig
from simsearch.media.pool import MEMORY
from simsearch.models.choice import ModelChoice
from simsearch.models.onnx_graph import graph_path
from simsearch.models.runners import available_threads

Faults = Callable[..., None]
Bomb = tuple[Callable[[], bytes], str]
LITE0 = "efficientnet_lite0"
INDEXED, IGNORED = "indexed", "ignored"
TOO_MANY, NO_ROOM, LATE = "more than the limit of 178956970", "needs more memory", "took longer than 30 s"
NO_PICTURE = "its content is no picture"


# Makers. Each gives a few bytes that claim, or unpack to, far more.


def saved(form: str, size: tuple[int, int] = (64, 48), mode: str = "RGB", **how: Any) -> bytes:
    """A small good picture as bytes."""
    out = io.BytesIO()
    picture(1, size).convert(mode).save(out, form, **how)
    return out.getvalue()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zeros(count: int, wbits: int = 15) -> bytes:
    """So many zero bytes, deflated, without holding them at once."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & 0xFFFFF)), packer.flush()])


def png(
    width: int, height: int, *, kind: tuple[int, int] = (8, 2), extra: bytes = b"", data: bytes = b""
) -> bytes:
    """A PNG of any claimed size; `kind` is depth and colour type, `extra` chunks come before the pixels."""
    head = struct.pack(">IIBBBBB", width, height, *kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", data) + chunk(b"IEND")


def small_png(extra: bytes) -> bytes:
    return png(64, 48, extra=extra, data=zlib.compress(bytes(48 * (1 + 64 * 3))))


def patched(data: bytes, at: int, form: str, *values: int) -> bytes:
    """`data` with numbers written over it."""
    new = bytearray(data)
    struct.pack_into(form, new, at, *values)
    return bytes(new)


def tiff(entries: dict[int, tuple[int, int, int]], tail: bytes = b"", after: int = 0) -> bytes:
    """A little-endian TIFF of one directory: tag -> (type, count, value or offset), then `tail`."""
    rows = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(entries.items()))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + rows + struct.pack("<I", after) + tail


def grey_tiff(width: int, height: int, **more: tuple[int, int, int]) -> dict[int, tuple[int, int, int]]:
    plain = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
    return plain | {int(tag[1:]): entry for tag, entry in more.items()}


def tiff_deflated(width: int, height: int) -> bytes:
    """Four channels of 16 bits in one deflated strip."""
    packed = zeros(width * height * 8)
    ends = 10 + 12 * 11 + 4
    entries = grey_tiff(width, height, t258=(3, 4, ends), t259=(3, 1, 8), t262=(3, 1, 2), t277=(3, 1, 4))
    entries |= {278: (4, 1, height), 273: (4, 1, ends + 8), 279: (4, 1, len(packed)), 338: (3, 1, 2)}
    return tiff(entries | {284: (3, 1, 1)}, struct.pack("<4H", 16, 16, 16, 16) + packed)


def tiff_of_many(count: int) -> bytes:
    """A good picture, then a chain of directories that hold nothing."""
    good = saved("TIFF")
    start = len(good)
    chain = b"".join(struct.pack("<HHHIII", 1, 254, 4, 1, 1, start + 18 * (n + 1)) for n in range(count - 1))
    (first,) = struct.unpack_from("<I", good, 4)
    (entries,) = struct.unpack_from("<H", good, first)
    last = struct.pack("<HHHIII", 1, 254, 4, 1, 1, 0)
    return patched(good, first + 2 + 12 * entries, "<I", start) + chain + last


def tiff_loop() -> bytes:
    good = saved("TIFF")
    (first,) = struct.unpack_from("<I", good, 4)
    (entries,) = struct.unpack_from("<H", good, first)
    return patched(good, first + 2 + 12 * entries, "<I", first)


def big_tiff() -> bytes:
    """A BigTIFF whose strips are said to be 2**40 many."""
    rows = {256: (4, 1, 64), 257: (4, 1, 48), 258: (3, 1, 8), 262: (3, 1, 1), 273: (16, 1 << 40, 16)}
    packed = b"".join(struct.pack("<HHQQ", tag, *entry) for tag, entry in sorted(rows.items()))
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, len(rows)) + packed + bytes(8)


def ico(inner: bytes) -> bytes:
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(inner), 22) + inner


def icns(inner: bytes) -> bytes:
    body = b"ic10" + struct.pack(">I", len(inner) + 8) + inner
    return b"icns" + struct.pack(">I", len(body) + 8) + body


def many_frames(count: int) -> bytes:
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    head = b"GIF89a" + struct.pack("<2HBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + frame * count + b";"


def many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG in grey that says `scans` times that all its coefficients are nought."""
    blocks = (side // 8) ** 2

    def segment(mark: int, body: bytes) -> bytes:
        return b"\xff" + bytes([mark]) + struct.pack(">H", len(body) + 2) + body

    head = segment(0xDB, b"\0" + bytes([1] * 64)) + segment(
        0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0"
    )
    # One code each: for the mean no change (0), for the rest a run of ends (0xe0: 2**14 blocks and more).
    codes = segment(0xC4, b"\x00\1" + bytes(15) + b"\0") + segment(0xC4, b"\x10\1" + bytes(15) + b"\xe0")
    means = segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-blocks // 8))
    # The code (one bit, 0) and 14 bits of run: 16,384 blocks; what is left over ends with the last run.
    runs = "0" * 15 * -(-blocks // 16_384)
    bits = runs + "1" * (-len(runs) % 8)
    ends = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    rest = segment(0xDA, b"\1\1\0\1\x3f\0") + ends
    return b"\xff\xd8" + head + codes + means + rest * scans + b"\xff\xd9"


def tga_rle(side: int) -> bytes:
    packets = bytes([255, 90]) * -(-side * side // 128)
    return struct.pack("<BBBHHBHHHHBB", 0, 0, 11, 0, 0, 0, 0, 0, side, side, 8, 0) + packets


def bmp_rle(side: int) -> bytes:
    line = bytes([250, 1]) * (side // 250) + b"\0\0"
    pixels = line * side + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(pixels), 0, 0, 2, 0)
    return b"BM" + struct.pack("<IHHI", 62 + len(pixels), 0, 0, 62) + head + bytes(8) + pixels


def boxed(form: str, width: int, height: int) -> bytes:
    """A small HEIC or AVIF whose box `ispe` claims another size."""
    pillow_heif.register_heif_opener()
    data = saved(form)
    return patched(data, data.index(b"ispe") + 8, ">II", width, height)


def turned_into_itself() -> bytes:
    """A JPEG whose EXIF directory names itself as the one below."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + struct.pack("<I", 8)
    return saved("JPEG", exif=exif)


LAUGHS = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12))
XMP = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">' + LAUGHS + b"]><x:xmpmeta>&a11;</x:xmpmeta>"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n(/tmp/x) (w) file\nshowpage\n"


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(1 << 24))
    return out.getvalue()


DAMAGED = "damaged: "
BOMBS: dict[str, Bomb] = {
    # Claims alone.
    "huge.png": (lambda: png(60_000, 60_000), TOO_MANY),
    "tall.png": (lambda: png(1, 80_000_000), "a side of more than 1000000 pixels"),
    "huge.gif": (lambda: patched(many_frames(1), 6, "<HH", 65_535, 65_535), TOO_MANY),
    "huge.tif": (lambda: tiff(grey_tiff(1 << 30, 1 << 30, t273=(4, 1, 8), t279=(4, 1, 8))), TOO_MANY),
    "huge.webp": (lambda: patched(saved("WEBP", lossless=True), 21, "<I", 0x0FFFFFFF), DAMAGED),
    "huge.bmp": (lambda: patched(saved("BMP"), 18, "<ii", 2**31 - 1, -(2**31)), TOO_MANY),
    "huge.dib": (lambda: patched(saved("DIB"), 4, "<ii", 2**31 - 1, 2**31 - 1), TOO_MANY),
    "huge.jp2": (lambda: patched_codestream(2**31 - 1), TOO_MANY),
    "huge.psd": (
        lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 300_000, 8, 3) + bytes(14),
        TOO_MANY,
    ),
    "huge.tga": (lambda: patched(saved("TGA"), 12, "<HH", 65_535, 65_535), TOO_MANY),
    "huge.pcx": (lambda: patched(saved("PCX"), 4, "<HHHH", 0, 0, 65_534, 65_534), TOO_MANY),
    "huge.sgi": (lambda: patched(saved("SGI"), 6, ">HH", 65_535, 65_535), TOO_MANY),
    "huge.ppm": (lambda: b"P6 999999999 999999999 255 ", TOO_MANY),
    "digits.ppm": (lambda: b"P6 " + b"9" * 4000 + b" 1 255 ", DAMAGED),
    "huge.fli": (
        lambda: struct.pack("<IHHHHHHI", 128, 0xAF12, 1, 65_535, 65_535, 8, 3, 1) + bytes(124),
        TOO_MANY,
    ),
    "huge.dds": (lambda: patched(saved("DDS"), 12, "<II", 2**31, 2**31), TOO_MANY),
    "huge.blp": (lambda: patched(saved("BLP", mode="P"), 12, "<II", 2**31 - 1, 2**31 - 1), TOO_MANY),
    "huge.qoi": (lambda: patched(saved("QOI"), 4, ">II", 2**32 - 1, 2**32 - 1), TOO_MANY),
    "huge.heic": (lambda: boxed("HEIF", 60_000, 60_000), "Security limit exceeded"),
    "larger.heic": (lambda: boxed("HEIF", 13_000, 13_000), DAMAGED),
    "huge.avif": (lambda: boxed("AVIF", 60_000, 60_000), DAMAGED),
    # It ends where a JPEG ends, so for every decoder it is whole: grey, but for a corner.
    "huge.jpg": (lambda: patched_frame(saved("JPEG"), 65_500), INDEXED),
    "cut.jpg": (lambda: patched_frame(saved("JPEG"), 65_500)[:-2], "truncated: "),
    # Counts and chains.
    "chunks.png": (lambda: small_png(chunk(b"prVt") * 100_000), INDEXED),
    "frames.png": (lambda: small_png(chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))), INDEXED),
    "frames.gif": (lambda: many_frames(50_000), INDEXED),
    "folders.tif": (lambda: tiff_of_many(50_000), INDEXED),
    "loop.tif": (tiff_loop, INDEXED),
    "strips.tif": (lambda: tiff(grey_tiff(64, 48, t273=(4, 1 << 28, 8), t279=(4, 1 << 28, 8))), DAMAGED),
    "big.tif": (big_tiff, DAMAGED),
    "exif-loop.jpg": (turned_into_itself, INDEXED),
    "scans.jpg": (lambda: many_scans(2048, 300), INDEXED),
    # Compressed nothing.
    "ztxt.png": (lambda: small_png(chunk(b"zTXt", b"k\0\0" + zeros(200 << 20))), DAMAGED),
    "itxt.png": (lambda: small_png(chunk(b"iTXt", b"k\0\1\0\0\0" + zeros(200 << 20))), DAMAGED),
    "iccp.png": (lambda: small_png(chunk(b"iCCP", b"k\0\0" + zeros(200 << 20))), DAMAGED),
    "texts.png": (lambda: small_png(chunk(b"zTXt", b"k\0\0" + zeros(1_000_000)) * 100), DAMAGED),
    "trailing.png": (lambda: png(64, 48, data=zeros(200 << 20)), INDEXED),
    "laughs.jpg": (lambda: saved("JPEG", xmp=XMP), INDEXED),
    "inside.ico": (lambda: ico(png(60_000, 60_000)), NO_ROOM),
    "inside.icns": (lambda: icns(png(60_000, 60_000)), NO_ROOM),
    # What is no picture, whatever it is called.
    "document.eps": (lambda: EPS, IGNORED),
    "document.ps": (lambda: EPS, IGNORED),
    "eps.jpg": (lambda: EPS, NO_PICTURE),
    "svg.jpg": (
        lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        NO_PICTURE,
    ),
    "pdf.jpg": (lambda: b"%PDF-1.7\n1 0 obj\n<</OpenAction 2 0 R>>\n", NO_PICTURE),
    "drawing.wmf": (lambda: b"\xd7\xcd\xc6\x9a" + bytes(60), IGNORED),
    "wmf.jpg": (lambda: b"\xd7\xcd\xc6\x9a" + bytes(60), NO_PICTURE),
    "zip.jpg": (zipped, NO_PICTURE),
    "tar.jpg": (lambda: gzip.compress(bytes(1 << 24)), DAMAGED),
    "7z.jpg": (lambda: b"7z\xbc\xaf\x27\x1c\0\4" + bytes(100), NO_PICTURE),
    "page.png": (lambda: b"<!doctype html><script src=//x.invalid></script>", NO_PICTURE),
    "elf.jpg": (lambda: b"\x7fELF\2\1\1" + bytes(200), NO_PICTURE),
    "polyglot.jpg": (lambda: saved("JPEG") + zipped(), INDEXED),
}
# Those that really unpack to gigabytes, or hold a decoder up.
HEAVY: dict[str, Bomb] = {
    "deep.png": (lambda: png(13_000, 13_000, kind=(16, 6), data=zeros(13_000 * (1 + 13_000 * 8))), NO_ROOM),
    "deflate.tif": (lambda: tiff_deflated(13_000, 13_000), NO_ROOM),
    "lzw.tif": (lambda: saved("TIFF", (12_000, 12_000), "L", compression="tiff_lzw"), INDEXED),
    "runs.tga": (lambda: tga_rle(12_032), INDEXED),
    "runs.bmp": (lambda: bmp_rle(9_000), INDEXED),
    "scans.jpg": (lambda: many_scans(12_000, 20_000), LATE),
}


def patched_codestream(side: int) -> bytes:
    """A JPEG 2000 codestream that claims a square of this side."""
    data = saved("JPEG2000", no_jp2=True)
    return patched(data, data.index(b"\xff\x51") + 6, ">II", side, side)


def patched_frame(data: bytes, side: int) -> bytes:
    """A JPEG whose header claims a square of this side."""
    return patched(data, data.index(b"\xff\xc0") + 5, ">HH", side, side)


# Whole folders


@pytest.fixture(scope="module")
def prepared() -> Embedder:
    """The small network, whose graph lies in the cache from here on."""
    embedder = Embedder(LITE0, device="cpu", note=lambda line: None)
    embedder.load()
    return embedder


def digests(folder: Path) -> dict[str, str]:
    """Every file below a folder with its SHA-256, every link with where it leads."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if not path.is_dir()
    }


def bearing(mark: str) -> list[int]:
    """The processes whose environment holds a mark."""
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"HOSTILE={mark}".encode() in place.read_bytes().split(b"\0"):
                found.append(int(place.parent.name))
    return found


def survive(bombs: dict[str, Bomb], home: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> int:
    """Index bombs beside good photos in at most so many bytes of memory, and compare each with its outcome.

    Returns how many were told with a reason.
    """
    folder, empty = home / "photos", [home / name for name in ("here", "user", "tmp", "bin")]
    for place in (folder, *empty):
        place.mkdir()
    for seed in range(3):
        picture(seed).save(folder / f"good{seed}.jpg")
    for name, (make, _) in bombs.items():
        (folder / name).write_bytes(make())
    age(folder)
    # Pillow draws EPS by running the first gs of the path.
    (home / "bin" / "gs").write_text(f"#!/bin/sh\ntouch {home}/here/gs-was-run\n")
    (home / "bin" / "gs").chmod(0o755)
    before = digests(folder)
    monkeypatch.chdir(home / "here")
    path = f"{home}/bin:{os.environ['PATH']}"
    places = {"HOME": str(home / "user"), "TMPDIR": str(home / "tmp"), "PATH": path, "HOSTILE": str(home)}
    index, report, peak = watched(folder, home / "index", **places)
    assert bearing(str(home)) == []
    assert digests(folder) == before
    assert {place.name: os.listdir(place) for place in empty} == {
        "here": [],
        "user": [],
        "tmp": [],
        "bin": ["gs"],
    }
    assert 0 < peak < most
    reasons = {Path(item["path"]).name: item["reason"] for item in report["skipped"]}
    indexed = {path.name for path in vectors_of(index)}
    assert indexed >= {"good0.jpg", "good1.jpg", "good2.jpg"}
    ends = {name: INDEXED if name in indexed else reasons.get(name, IGNORED) for name in bombs}
    assert {name: end for name, end in ends.items() if bombs[name][1] not in end} == {}
    counts = [report[key] for key in ("added", "updated", "moved", "unchanged", "ignored")]
    assert report["scanned"] == len(bombs) + 3 == sum(counts) + len(report["skipped"])
    return len(reasons)


def test_bombs_of_every_format_cost_themselves_only(
    prepared: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survive(BOMBS, tmp_path, monkeypatch, MOST_MEMORY)


@pytest.mark.proof
def test_bombs_that_unpack_to_gigabytes_cost_themselves_only(
    prepared: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: Faults
) -> None:
    # Each worker has a limit of its own, and here all of them come near it at once.
    most = available_threads() * MEMORY + (1 << 30)
    told = survive(HEAVY, tmp_path, monkeypatch, most)
    faults("a decompression bomb or a picture that takes for ever", tried=len(HEAVY), told=told)


# Checkpoints


class Call:
    """Unpickling it calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.parts = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.parts


def torch_bytes(value: Any) -> bytes:
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def safetensors(header: dict[str, Any] | bytes, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def floats(shape: list[int], *offsets: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": offsets}


def archive(pickled: bytes, method: int) -> bytes:
    """A checkpoint in torch's zip layout around a pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/version", "3\n")
    return out.getvalue()


def lying_archive(size: int) -> bytes:
    """One whose pickle is said to be of another size."""
    data = archive(pickle.dumps({}, 2), zipfile.ZIP_STORED)
    return patched(data, data.index(b"PK\1\2") + 20, "<II", size, size)


CODE = "more than plain tensors: loading it could run Python code"
TENSORS = "not a whole safetensors file"
Maker = Callable[[Path], bytes]
CHECKPOINTS: dict[str, tuple[Maker, str]] = {
    "a shell": (lambda mark: torch_bytes({"a": Call(os.system, f"touch {mark}")}), CODE),
    "a file": (lambda mark: pickle.dumps({"a": Call(open, str(mark), "w")}, 2), CODE),
    "source": (lambda mark: pickle.dumps({"a": Call(exec, f"open({str(mark)!r}, 'w')")}, 2), CODE),
    # This one of torch's own functions unpickles whatever is in the bytes that it is given.
    "a pickle inside": (
        lambda mark: torch_bytes(
            {"a": Call(torch.storage._load_from_bytes, torch_bytes({"a": Call(os.system, f"touch {mark}")}))}
        ),
        CODE,
    ),
    # Four terabytes of one number.
    "expanded": (
        lambda mark: torch_bytes({"conv1.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}),
        "not a checkpoint of resnet50",
    ),
    "nested a million deep": (lambda mark: b"\x80\x02" + b"]" * 1_000_000 + b".", "not a whole PyTorch"),
    "a text of two gigabytes": (lambda mark: b"\x80\x02X\xff\xff\xff\x7fa.", "not a whole PyTorch"),
    "lying sizes": (lambda mark: lying_archive(0xFFFFFFF0), "not a whole PyTorch"),
    "header of 2**63": (lambda mark: struct.pack("<Q", 2**63) + b'{"a":1}', TENSORS),
    "past the end": (lambda mark: safetensors({"a": floats([1 << 20], 0, 1 << 22)}), TENSORS),
    "overlapping": (
        lambda mark: safetensors({"a": floats([4], 0, 16), "b": floats([4], 8, 24)}, bytes(24)),
        TENSORS,
    ),
    "backwards": (lambda mark: safetensors({"a": floats([4], 16, 0)}, bytes(16)), TENSORS),
    "a shape of 2**64": (lambda mark: safetensors({"a": floats([2**32, 2**32], 0, 0)}), TENSORS),
    "a deep header": (lambda mark: safetensors(b'{"a":' + b"[" * 100_000), TENSORS),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_hostile_checkpoint_is_one_line_and_runs_nothing(
    kind: str, small_photos: Callable[[int], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make, reason = CHECKPOINTS[kind]
    weights, mark = tmp_path / "hostile.pth", tmp_path / "mark"
    weights.write_bytes(make(mark))
    command = ["index", str(small_photos(1)), "-i", str(tmp_path / "index"), "--model", "resnet50"]
    assert run([*command, "--weights", str(weights)]) == 1
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith(f"Error: {weights} ")
    assert reason in line
    assert not mark.exists()


def test_a_checkpoint_that_is_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "bomb.pth").write_bytes(archive(bytes(1 << 29), zipfile.ZIP_DEFLATED))
    # torch is there before the first look, so that only what the file takes is counted.
    code = (
        "import resource, sys, torchvision\nfrom simsearch import Embedder, SimsearchError\n"
        "most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10\n"
        "embedder = Embedder('resnet50', weights=sys.argv[1], device='cpu', runtime='torch')\n"
        "torchvision.models.resnet50(weights=None)\nbefore = most()\n"
        "try:\n    embedder.load()\nexcept SimsearchError:\n    print(most() - before)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "bomb.pth")]
    grown = int(subprocess.run(command, capture_output=True, check=True, timeout=600).stdout)
    assert grown < 1 << 29


# The cached graph


def sealed(graph: bytes) -> bytes:
    """A graph with the seal that anybody can compute."""
    digest = hashlib.sha256(graph).hexdigest().encode()
    return graph + b"\x72\x4a\x0a\x06sha256\x12\x40" + digest


def constant_graph(dim: int, location: str | None) -> bytes:
    """A graph that answers with one vector whatever the picture, from a file elsewhere or from itself."""
    vector = onnx.numpy_helper.from_array(np.eye(1, dim, dtype=np.float32), "vector")
    if location is not None:
        vector.ClearField("raw_data")
        vector.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", str(dim * 4))):
            vector.external_data.add(key=key, value=value)
    one = onnx.numpy_helper.from_array(np.array([1], np.int64), "one")
    nodes = [
        onnx.helper.make_node("Shape", ["pixels"], ["count"], start=0, end=1),
        onnx.helper.make_node("Concat", ["count", "one"], ["shape"], axis=0),
        onnx.helper.make_node("Expand", ["vector", "shape"], ["vectors"]),
    ]
    pixels = onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, ["N", 224, 224, 3])
    vectors = onnx.helper.make_tensor_value_info("vectors", onnx.TensorProto.FLOAT, ["N", dim])
    graph = onnx.helper.make_graph(nodes, "constant", [pixels], [vectors], [vector, one])
    opsets = [onnx.helper.make_opsetid("", 17)]
    return sealed(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


@pytest.fixture
def graph(prepared: Embedder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The cached graph's place; what lay there lies there again afterwards, and is what an export gives."""
    path = graph_path(prepared.spec)
    whole = path.read_bytes()
    monkeypatch.setattr("simsearch.models.embedder.export", lambda network, spec: whole)
    yield path
    path.write_bytes(whole)


def answers_right(embedder: Embedder) -> bool:
    """Whether a new embedder of the same spec gives the vectors that the first one gives."""
    pixels = np.random.default_rng(3).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    again = Embedder.for_spec(embedder.spec, embedder.weights_path, device="cpu", note=lambda line: None)
    return bool((again.embed(pixels) * embedder.embed(pixels)).sum(1).min() >= 0.9999)


@pytest.mark.parametrize("location", ["absolute", "climbing", "beside the user", "beside the graph"])
def test_a_graph_that_points_at_another_file_is_made_again(
    location: str, prepared: Embedder, graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    places = {
        "absolute": tmp_path / "secret",
        "climbing": tmp_path / "secret",
        "beside the user": tmp_path / "below" / "secret",
        "beside the graph": graph.parent / "secret",
    }
    written = {"absolute": str(tmp_path / "secret"), "climbing": "../secret"}.get(location, "secret")
    # A vector of length 1, so that whatever is read of it would pass for an answer.
    places[location].write_bytes(np.eye(1, 1280, dtype=np.float32).tobytes())
    graph.write_bytes(constant_graph(1280, written))
    assert answers_right(prepared)
    places[location].unlink()


def test_a_graph_of_another_length_is_made_again(prepared: Embedder, graph: Path) -> None:
    graph.write_bytes(constant_graph(8, None))
    assert answers_right(prepared)


@pytest.mark.proof
def test_the_graph_of_another_spec_is_made_again(prepared: Embedder, faults: Faults) -> None:
    other = Embedder(LITE0, pooling="max", device="cpu", note=lambda line: None)
    other.load()
    path = graph_path(prepared.spec)
    whole = path.read_bytes()
    # Whole and sealed, of the same network and as many numbers, with another pooling.
    path.write_bytes(graph_path(other.spec).read_bytes())
    try:
        assert answers_right(prepared)
    finally:
        path.write_bytes(whole)
    faults("the prepared network: another one in its place", tried=1)


# Folders of an index


@pytest.fixture(scope="module")
def good_index(prepared: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of three photos in the folder `photos` beside it."""
    home = tmp_path_factory.mktemp("good")
    (home / "photos").mkdir()
    for seed in range(3):
        picture(seed).save(home / "photos" / f"{seed}.jpg")
    age(home)
    index_folder([home / "photos"], home / "index", IndexingConfig(choice=ModelChoice(LITE0)))
    return home / "index"


# What leads out, where to below a folder of the user's, and whether an index is yet to be made there.
LINKS = {
    "LOCK to a file": ("LOCK", "notes.txt", False),
    "LOCK to nothing": ("LOCK", "new", False),
    "index.db to nothing": ("index.db", "new", True),
    "index.db to an empty file": ("index.db", "empty", True),
    "segments": ("segments", "", False),
    "segments of a new index": ("segments", "", True),
    "a segment to a file": ("segments/000001.seg", "notes.txt", True),
    "a segment to nothing": ("segments/000001.seg", "new", True),
    "views": ("views", "", False),
    "a view to a file": ("views/1.faiss", "notes.txt", False),
    "thumbs.db to a database": ("thumbs.db", "places.sqlite", False),
    "thumbs.db to nothing": ("thumbs.db", "new", False),
}


@pytest.mark.parametrize("kind", LINKS)
def test_links_in_an_index_lead_no_write_out_of_it(
    kind: str, good_index: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name, target, new = LINKS[kind]
    index, outside, photos = tmp_path / "index", tmp_path / "outside", good_index.parent / "photos"
    outside.mkdir()
    for own in ("notes.txt", "000042.seg", "7.faiss"):
        (outside / own).write_text("mine")
    (outside / "empty").touch()
    with contextlib.closing(sqlite3.connect(outside / "places.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE places (url)")
    if new:
        index.mkdir()
    else:
        shutil.copytree(good_index, index)
    link = index / name
    shutil.rmtree(link) if link.is_dir() else link.unlink(missing_ok=True)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside / target)
    before = digests(outside)
    page = str(tmp_path / "page.html")
    run(["index", str(photos), "-i", str(index), "--model", LITE0])
    run(["query", str(photos / "0.jpg"), "-i", str(index), "--html", page])
    for command in (["rebuild"], ["rebuild", "--thumbnails"], ["compact"], ["verify"]):
        run([*command, "-i", str(index)])
    assert "this is a bug" not in capfd.readouterr().err
    assert digests(outside) == before


FOREIGN = """CREATE TABLE files (a); CREATE VIEW settings AS SELECT 1 AS one;
CREATE TRIGGER t AFTER INSERT ON files BEGIN DELETE FROM files; END; INSERT INTO files VALUES (1);"""
OURS = "PRAGMA application_id=1374022268; PRAGMA user_version=1;"


@pytest.mark.parametrize("marked", ["", OURS], ids=["foreign", "marked as ours"])
def test_a_foreign_database_is_left_as_it_is(
    marked: str, good_index: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (index := tmp_path / "index").mkdir()
    with contextlib.closing(sqlite3.connect(index / "index.db")) as connection:
        connection.executescript(FOREIGN + marked)
    before = (index / "index.db").read_bytes()
    photos = str(good_index.parent / "photos")
    commands = [["index", photos, "--model", LITE0], ["info"], ["query", f"{photos}/0.jpg"], ["rebuild"]]
    for command in [*commands, ["compact"], ["remove", photos], ["export", str(tmp_path / "out")]]:
        assert run([*command, "-i", str(index)]) == 1, command
    assert run(["verify", "-i", str(index)]) == 3
    said = capfd.readouterr().err.splitlines()
    assert [line for line in said if not line.startswith(f"Error: {index}/index.db is ")] == []
    assert (index / "index.db").read_bytes() == before


def test_a_thumbnail_that_is_a_page_is_given_out_as_a_picture(good_index: Path, tmp_path: Path) -> None:
    index, page = tmp_path / "index", tmp_path / "page.html"
    shutil.copytree(good_index, index)
    query = good_index.parent / "photos" / "0.jpg"
    ask = ["query", str(query), "-i", str(index), "--html", str(page)]
    assert run(ask) == 0
    with contextlib.closing(sqlite3.connect(index / "thumbs.db")) as connection, connection:
        changed = connection.execute("UPDATE thumbs SET jpeg = ?", (b'"><script>alert(1)</script>',))
        assert changed.rowcount == 3
    assert run(ask) == 0
    text = page.read_text(encoding="utf-8")
    assert "script>" not in text
    # The query and its two hits, given out as JPEGs and as nothing else.
    assert re.findall(r'src="(.{23})[A-Za-z0-9+/=]+"', text) == ["data:image/jpeg;base64,"] * 3
