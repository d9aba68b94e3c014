"""What fuzzing begins with: a small right input of each kind, and cheap changes of it."""

from __future__ import annotations

import contextlib
import io
import json
import random
import struct
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
from conftest import picture
from PIL import Image
from raws import dng

from fuzz.ground import ground
from fuzz.targets import ROWS, SETTINGS, SMALL, TABLES
from simsearch.engine.exchange.tables import PhotoRow, write_csv, write_parquet
from simsearch.spec import EmbeddingSpec

FORMATS = (
    *("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO", "ICNS", "SGI", "PCX", "DDS"),
    *("JPEG2000", "AVIF", "QOI", "IM", "SPIDER", "MSP", "XBM", "DIB", "MPO", "BLP"),
)
ODD = (None, -1, 0, 1 << 70, "a\0b", "\ud800", [], [[]])
MODES = ("RGB", "RGBA", "P", "L", "1", "F")


@lru_cache(maxsize=1)
def pictures() -> tuple[bytes, ...]:
    """A tiny picture in each format that Pillow writes here, and HEIC, compressed TIFF and DNG."""
    found = [_saved(name) for name in FORMATS]
    found += [_saved("TIFF", compression=how) for how in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits")]
    found += [_saved("JPEG", progressive=True, exif=_exif()), _saved("PNG", mode="I;16")]
    with contextlib.suppress(ImportError):
        import pillow_heif

        out = io.BytesIO()
        pillow_heif.from_pillow(picture(3, (32, 24))).save(out, format="HEIF")
        found.append(out.getvalue())
    found += [dng(picture(1, (32, 24)), None), dng(picture(1, (32, 24)), picture(2, (16, 12)))]
    return tuple(data for data in found if 0 < len(data) < 1 << 16)


def _saved(name: str, mode: str = "", **options: object) -> bytes:
    image = picture(5, (24, 16))
    for kind in [mode] if mode else MODES:
        out = io.BytesIO()
        with contextlib.suppress(OSError, ValueError, KeyError):
            image.convert(kind if kind != "I;16" else "I").save(out, name, **options)
            return out.getvalue()
    return b""


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[274], exif[306] = 6, "2020:01:02 03:04:05"
    return exif


@lru_cache(maxsize=1)
def export_files() -> dict[str, bytes]:
    """The files of an export of three photos, CSV and Parquet."""
    spec = EmbeddingSpec.named("seed", 4)
    rows = [
        PhotoRow(i, i + 1, f"/photos/{i}.jpg", "0" * 64, 4, 3, "JPEG", None, ("/c.jpg",)) for i in range(3)
    ]
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        np.save(folder / TABLES[0], np.eye(3, 4, dtype=np.float32))
        write_csv(folder / TABLES[1], rows)
        write_parquet(folder / TABLES[2], rows)
        told = {"simsearch": 1, "spec": asdict(spec), "roots": ["/photos"]}
        (folder / TABLES[3]).write_text(json.dumps(told))
        return {name: (folder / name).read_bytes() for name in TABLES}


def checkpoints() -> list[bytes]:
    """Named tensors as safetensors, and as PyTorch writes and wrote them."""
    import torch
    from safetensors.torch import save

    tensors = {"fc.weight": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3), "h": torch.ones(2).half()}
    found = [save(tensors)]
    for values, zipped in (({"state_dict": tensors}, True), (tensors, False)):
        out = io.BytesIO()
        torch.save(values, out, _use_new_zipfile_serialization=zipped)
        found.append(out.getvalue())
    return found


def segment() -> bytes:
    """A segment with a few rows of four numbers."""
    rows = np.arange(ROWS * SMALL.dim, dtype="<f4")
    return SMALL.encode() + rows.tobytes()


def patches(count: int, size: int) -> list[bytes]:
    """Changes for `targets.patched`: a few bytes anywhere, cuts, and other bytes altogether."""
    rng = random.Random(1)
    found = [b"\1", b"\2", b"\0", b"\0SQLite format 3\0", struct.pack(">BI", 1, 2815 << 8 | 0xFF)]
    for _ in range(count):
        changes = [rng.randrange(size) << 8 | rng.randrange(256) for _ in range(rng.choice((1, 1, 2, 8)))]
        found.append(b"\1" + struct.pack(f">{len(changes)}I", *changes))
    return found


def settings() -> list[bytes]:
    """Each setting as it is, missing, not what it should be, and with another kind of value in each field."""
    right = {"generation": "3", **ground().settings}
    found = []
    for place, key in enumerate(SETTINGS):
        values = [right[key], "", "x", "-1", "[]", "{}", "null", "9" * 30, "[" * 100_000]
        if right[key].startswith("{"):
            told = json.loads(right[key])
            values += [json.dumps({**told, name: odd}) for name in told for odd in ODD]
        if key == "end":
            values += [json.dumps([odd, odd]) for odd in ODD]
        found += [bytes([place]) + value.encode() for value in values]
    return found


def seeds(target: str) -> list[bytes]:
    """The inputs that a target begins with."""
    if target in ("worker", "worker-process", "sniffers"):
        named = [b"\4" + data for data in pictures() if data[:2] == b"II"]
        return [b"\0" + data for data in pictures()] + named
    if target == "frames":
        return [struct.pack(">I", 3) + b"/a/" + struct.pack(">I", 0), b"\0\0", struct.pack(">I", 9) + b"cut"]
    if target == "segment":
        return [segment(), SMALL.encode(), segment()[:HEADER_CUT], b""]
    if target == "settings":
        return settings()
    if target in ("opener", "view"):
        return patches(20, len(ground().database))
    if target == "tables":
        return [bytes([place]) + export_files()[name] for place, name in enumerate(TABLES)]
    return checkpoints()


HEADER_CUT = 100


def mutations(begin: Sequence[bytes], count: int) -> Iterator[bytes]:
    """`count` changed inputs, the same ones each time."""
    rng = random.Random(0)
    for _ in range(count):
        data = bytearray(rng.choice(begin))
        for _ in range(rng.choice((1, 1, 2, 4))):
            _change(data, begin, rng)
        yield bytes(data)


def _change(data: bytearray, begin: Sequence[bytes], rng: random.Random) -> None:
    if not data:
        data.append(rng.randrange(256))
    # Headers are where most is decided.
    at = rng.randrange(min(len(data), rng.choice((16, 64, 1024, 1 << 30))))
    match rng.randrange(8):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            data[at] = rng.choice((0, 1, 127, 128, 255, 0x22, 0x2C, 0x5B, 0x7B))
        case 2:
            del data[at:]
        case 3:
            del data[at : at + rng.randrange(1, 9)]
        case 4:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        case 5:
            data[at : at + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
        case 6:
            other = rng.choice(begin)
            data[at:] = other[at : at + 4096]
        case _:
            data[at : at + 1] = rng.choice((b"null", b"-1", b"1e999", b"[" * 9, b'"\\ud800"', b"true", b"{}"))
