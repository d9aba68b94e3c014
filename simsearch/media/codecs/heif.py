"""HEIC and HEIF by pillow-heif, and the check that an ISO file is all there."""

from __future__ import annotations

import struct
import threading

_ISO_BOXES = (b"ftyp", b"meta", b"mdat", b"moov", b"idat")
_lock = threading.Lock()
_ready = False


def register() -> None:
    """Make pillow-heif a plugin of Pillow, once; one thread each, since every worker is a core."""
    global _ready
    with _lock:
        if not _ready:
            import pillow_heif

            pillow_heif.options.DECODE_THREADS = 1
            pillow_heif.register_heif_opener()
            _ready = True


def is_cut(data: bytes) -> bool:
    """Whether a top-level box of an ISO file (HEIC, AVIF) reaches past its end.

    libheif fills what is missing with green and raises no error.
    """
    place = 0
    kind = b""
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        if size == 1 and place + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, place + 8)
        if size == 0:
            return False
        if size < 8:
            return place == 0
        place += size
    # Some cameras put bytes of their own behind the picture, which only look like a box.
    return place > len(data) and kind in _ISO_BOXES
