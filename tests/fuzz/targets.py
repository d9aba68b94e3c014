"""What is fuzzed: each target takes bytes, and lets nothing through but the errors that are documented."""

from __future__ import annotations

import atexit
import contextlib
import io
import itertools
import os
import signal
import struct
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fuzz.ground import Ground, fresh, ground, place, put_setting
from simsearch.engine.index import Index
from simsearch.engine.indexing import index_folder
from simsearch.engine.maintenance.verify import verify
from simsearch.engine.viewing.record import ViewRecord, file_digest, load_view
from simsearch.errors import FormatUnknown, IndexDamaged, PhotoUnreadable, SimsearchError
from simsearch.framing import Framing, Tiling
from simsearch.media import formats, worker
from simsearch.media.codecs import heif, tiff
from simsearch.media.decode import DecodeLimits, decode
from simsearch.media.pool import DecodePool
from simsearch.records import Decoded, NotAnImage, Unreadable
from simsearch.storage.segments import HEADER, SegmentHeader, SegmentStore

SUFFIXES = (b"", *(b"." + name for name in (b"jpg", b"tga", b"ico", b"dng", b"jxl", b"tif", b"spi", b"im")))
FRAMING, LIMITS = Framing(16, 16), DecodeLimits(max_pixels=100_000, max_bytes=1 << 20)
TILING = Tiling(((500, 3),))
SETTINGS = ("spec", "view", "end", "rules:1", "max_pixels", "generation", "uuid", "fallback", "weights_path")
TABLES = ("vectors.npy", "photos.csv", "photos.parquet", "spec.json")
SMALL = SegmentHeader("0" * 32, "1" * 64, 4)
ROWS = 8


def name_of(data: bytes) -> tuple[bytes, bytes]:
    """A file name with the suffix that the first byte chooses, and the bytes of the file."""
    return b"photo" + SUFFIXES[data[0] % len(SUFFIXES)] if data else b"photo", data[1:]


@contextlib.contextmanager
def as_in_a_worker() -> Iterator[None]:
    """Pillow's own limit is off and its warnings go nowhere; the clock that a fuzzer set goes on after."""
    limit, clock = Image.MAX_IMAGE_PIXELS, signal.getitimer(signal.ITIMER_REAL)
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
        signal.setitimer(signal.ITIMER_REAL, *clock)


def fuzz_worker(data: bytes) -> None:
    """A picture's bytes through the decoder, then through the worker's frames as a file."""
    name, content = name_of(data)
    pixels = None
    with as_in_a_worker():
        with contextlib.suppress(PhotoUnreadable, MemoryError):
            _, pixels = decode(content, FRAMING, LIMITS, name=name)
            assert pixels.shape == (16, 16, 3)
            assert pixels.dtype == np.uint8
        path = place() / "worker"
        path.mkdir(exist_ok=True)
        file = path / os.fsdecode(name)
        file.write_bytes(content)
        sink = io.BytesIO()
        asked = io.BytesIO(struct.pack(">I", 1) + b"g")
        tiling = TILING if len(data) % 2 else None
        worker.serve(os.fsencode(file), (FRAMING, tiling), LIMITS, (asked, sink))
    replies = list(frames(sink.getvalue()))
    kinds = b"".join(reply[:1] for reply in replies)
    assert kinds in (b"N", b"U", b"HU", b"HP"), kinds
    assert (kinds == b"HP") <= (pixels is not None), "the same bytes were decoded once and not twice"
    if kinds == b"HP" and pixels is not None:
        told = replies[1][5 + int.from_bytes(replies[1][1:5], "big") :]
        assert told.startswith(pixels.tobytes()) or not is_steady(name, content), "other pixels were sent"
        assert len(told) == pixels.nbytes * (1 if tiling is None else 1 + len(tiling))


def is_steady(name: bytes, content: bytes) -> bool:
    """Whether the decoder gives the same pixels each time.

    Of some damaged JPEGs within a TIFF, libjpeg shows what lay in memory before.
    """
    with as_in_a_worker():
        seen = {decode(content, FRAMING, LIMITS, name=name)[1].tobytes() for _ in range(50)}
    return len(seen) == 1


def frames(stream: bytes) -> Iterator[bytes]:
    """The frames of a stream, up to one that is not whole."""
    source = io.BytesIO(stream)
    while (frame := worker.receive(source)) is not None:
        yield frame


def fuzz_frames(data: bytes) -> None:
    """What comes in by the pipe is a frame or the end, and comes out as it went in."""
    whole = list(frames(data))
    sink = io.BytesIO()
    for frame in whole:
        worker.send(sink, frame)
    assert data.startswith(sink.getvalue())


@lru_cache(maxsize=1)
def pool() -> DecodePool:
    """One worker process, ended with this one."""
    opened = DecodePool(1, FRAMING, limits=LIMITS, seconds=20.0)
    atexit.register(opened.close)
    return opened


def fuzz_worker_process(data: bytes) -> None:
    """A file for a real worker: one of three outcomes, and a good photo is decoded right after it."""
    name, content = name_of(data)
    folder = place() / "files"
    folder.mkdir(exist_ok=True)
    file = folder / os.fsdecode(name)
    file.write_bytes(content)
    outcome = pool().read(os.fsencode(file))
    assert isinstance(outcome, (Decoded, Unreadable, NotAnImage))
    if isinstance(outcome, Decoded):
        assert outcome.pixels.shape == (16, 16, 3)
    good = pool().read(os.fsencode(ground().folder.parent / "photos" / "0.png"))
    assert isinstance(good, Decoded), f"a good photo after {outcome}"
    assert good.facts.format == "PNG"


def fuzz_segment(data: bytes) -> None:
    """A segment of any bytes: rows of floats, or IndexDamaged or FormatUnknown."""
    folder = place() / "segments"
    folder.mkdir(exist_ok=True)
    (folder / "000001.seg").write_bytes(data)
    store = SegmentStore(folder, SMALL)
    whole = max(0, len(data) - HEADER) // 16
    try:
        with contextlib.suppress(IndexDamaged, FormatUnknown):
            store.open([1])
        for wanted in (ROWS - 1, whole, whole - 1):
            with contextlib.suppress(IndexDamaged, FormatUnknown):
                row = store.read([(1, max(0, wanted))])
                assert row.tobytes() == data[HEADER + 16 * wanted : HEADER + 16 * wanted + 16]
        with contextlib.suppress(IndexDamaged, FormatUnknown):
            blocks = [block.tobytes() for block in store.blocks(1, np.arange(ROWS))]
            assert b"".join(blocks) == data[HEADER : HEADER + 16 * ROWS]
    finally:
        store.close()


def ask(folder: Path, known: Ground) -> bool:
    """Whether an index answers as it did; only a SimsearchError may come out of it.

    Where an answer is another one, `verify` has to find what is wrong.
    """
    try:
        with Index.open(folder) as index:
            hits = index.search(known.query)
            photos = list(index.photos())
            info, _ = index.info(), index.skipped()
            assert index.max_pixels is not None
            assert info.dim == index.spec.dim
    except SimsearchError:
        return False
    return bool(hits == known.hits and photos == known.photos)


def fuzz_settings(data: bytes) -> None:
    """A value of the table settings under its right seal, in front of search, verify and a run of index."""
    known = ground()
    key = SETTINGS[data[0] % len(SETTINGS)] if data else SETTINGS[0]
    value = data[1:].decode("utf-8", "replace") if len(data) > 1 else None
    folder = fresh(known.database)
    put_setting(folder, key, value)
    ask(folder, known)
    with contextlib.suppress(SimsearchError):
        verify(folder)
    with contextlib.suppress(SimsearchError):
        index_folder((), folder)


def fuzz_opener(data: bytes) -> None:
    """A damaged database (see `patched`): its answers are the right ones, or verify finds what is wrong."""
    known = ground()
    folder = fresh(patched(data, known.database))
    right = ask(folder, known)
    try:
        sound = verify(folder).ok
    except SimsearchError:
        sound = False
    assert right or not sound, "other answers, and nothing was found"


def patched(data: bytes, whole: bytes) -> bytes:
    """`whole` with changes: one byte of kind, then 4 bytes a change, a place and a byte; or `data` itself."""
    if data[:1] == b"\0":
        return data[1:]
    out = bytearray(whole)
    for (change,) in struct.iter_unpack(">I", data[1 : 1 + len(data[1:]) // 4 * 4]):
        out[(change >> 8) % len(out)] = change & 255
    return bytes(out[: len(out) - 512 * (data[0] - 1)]) if data else bytes(out)


def fuzz_tables(data: bytes) -> None:
    """One of the files that import reads is fuzzed, the others are right."""
    from fuzz.seeds import export_files
    from simsearch.engine.exchange.origin import Origin, check_lengths, open_origin

    fuzzed = TABLES[data[0] % len(TABLES)] if data else TABLES[0]
    folder = place() / "tables"
    folder.mkdir(exist_ok=True)
    for name, content in export_files().items():
        (folder / name).write_bytes(content)
    (folder / fuzzed).write_bytes(data[1:])
    table = folder / ("photos.parquet" if fuzzed == "photos.parquet" else "photos.csv")
    for name in (None, "mine"):
        with contextlib.suppress(SimsearchError):
            vectors, rows, spec, _ = open_origin(Origin(folder, table, name=name), lambda _: None)
            check_lengths(vectors)
            assert spec[0].dim == vectors.shape[1]
            assert all(row.path.startswith(b"/") and row.place < len(vectors) for row in rows)


def fuzz_checkpoint(data: bytes) -> None:
    """A file of weights: named tensors, or a SimsearchError."""
    from simsearch.models.weights.checkpoint import read_checkpoint

    path = place() / "weights.pth"
    path.write_bytes(data)
    with contextlib.suppress(SimsearchError):
        for tensor in read_checkpoint(path).values():
            tensor.sum()


def fuzz_view(data: bytes) -> None:
    """A damaged view is none; the one that was written is read."""
    known = ground()
    record = ViewRecord.from_settings(known.settings)
    assert record is not None
    path = known.folder / "views" / record.file
    whole = view_bytes()
    path.write_bytes(content := patched(data, whole))
    try:
        assert (load_view(known.folder, record) is not None) == (content == whole)
        assert file_digest(path) == record.sha256 or content != whole
    finally:
        path.write_bytes(whole)


@lru_cache(maxsize=1)
def view_bytes() -> bytes:
    """The view of the small index."""
    return (ground().folder / "views" / "1.faiss").read_bytes()


def fuzz_sniffers(data: bytes) -> None:
    """What tells a format by its bytes never raises."""
    name, content = name_of(data)
    head = content[: formats.HEAD]
    told = [formats.recognise(head, name), formats.is_raw(head, name), formats.looks_like_picture(name)]
    assert set(map(type, told)) == {bool}
    reason = formats.refusal(head, name)
    assert reason is None or (reason and "\n" not in reason)
    assert isinstance(formats.by_content(head), list)
    assert heif.is_cut(content) in (True, False)
    assert tiff.reaches_past_end(content) in (True, False)
    assert tiff.is_raw(head) in (True, False)
    for folder in itertools.islice(tiff.folders(content), 40):
        assert all(isinstance(value, int) for values in folder.values() for value in values)


TARGETS: dict[str, Callable[[bytes], Any]] = {
    "worker": fuzz_worker,
    "frames": fuzz_frames,
    "worker-process": fuzz_worker_process,
    "segment": fuzz_segment,
    "settings": fuzz_settings,
    "opener": fuzz_opener,
    "tables": fuzz_tables,
    "checkpoint": fuzz_checkpoint,
    "view": fuzz_view,
    "sniffers": fuzz_sniffers,
}
