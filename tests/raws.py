"""Writes small camera RAW files (DNG), so that tests know what a right answer is."""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BYTE, ASCII, SHORT, LONG, RATIONAL, SRATIONAL = 1, 2, 3, 4, 5, 10
SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, SRATIONAL: 8}

Tag = tuple[int, int, bytes]


def dng(photo: Image.Image, preview: Image.Image | None, *, orientation: int = 1) -> bytes:
    """A DNG of `photo` as a 16-bit RGGB mosaic, with `preview` as a JPEG in it.

    As cameras lay it out: directories first, then the preview, the sensor's data last. See Adobe's Digital
    Negative Specification 1.4 and TIFF 6.0.
    """
    room = 1024
    mosaic = _mosaic(np.asarray(photo.convert("RGB")))
    height, width = mosaic.shape
    jpeg = io.BytesIO()
    if preview is not None:
        preview.save(jpeg, "JPEG", quality=95)
    start = 8 + room
    pixels_at = start + len(jpeg.getvalue())
    raw = [
        _tag(254, LONG, 0),
        *_plane(width, height, 1, pixels_at, mosaic.nbytes),
        _tag(258, SHORT, 16),
        _tag(259, SHORT, 1),
        _tag(262, SHORT, 32803),
        _tag(33421, SHORT, 2, 2),
        _tag(33422, BYTE, 0, 1, 1, 2),
        _tag(50717, LONG, 65535),
    ]
    camera = [
        _tag(271, ASCII, *b"Made\0"),
        _tag(272, ASCII, *b"Up\0"),
        _tag(274, SHORT, orientation),
        _tag(50706, BYTE, 1, 4, 0, 0),
        _tag(50708, ASCII, *b"Made Up\0"),
        (50721, SRATIONAL, struct.pack("<18i", *(n for v in (1, 0, 0, 0, 1, 0, 0, 0, 1) for n in (v, 1)))),
        (50728, RATIONAL, struct.pack("<6I", 1, 1, 1, 1, 1, 1)),
    ]
    body = jpeg.getvalue() + mosaic.astype("<u2").tobytes()
    at = 8
    if preview is None:
        folders = _folder([*camera, *raw], at)
        return struct.pack("<2sHI", b"II", 42, at) + folders.ljust(room, b"\0") + body
    shown = [
        _tag(254, LONG, 1),
        *_plane(preview.width, preview.height, 3, start, len(jpeg.getvalue())),
        _tag(258, SHORT, 8, 8, 8),
        _tag(259, SHORT, 7),
        _tag(262, SHORT, 6),
    ]
    inner = _folder(raw, at)
    main = _folder([*camera, *shown, _tag(330, LONG, at)], at + len(inner))
    return struct.pack("<2sHI", b"II", 42, at + len(inner)) + (inner + main).ljust(room, b"\0") + body


def _mosaic(rgb: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """One colour a pixel: red and green in even rows, green and blue in odd ones."""
    scaled = rgb.astype(np.uint16) * 257
    mosaic = scaled[:, :, 1].copy()
    mosaic[0::2, 0::2] = scaled[0::2, 0::2, 0]
    mosaic[1::2, 1::2] = scaled[1::2, 1::2, 2]
    return mosaic


def _plane(width: int, height: int, samples: int, offset: int, size: int) -> list[Tag]:
    numbers = {256: width, 257: height, 273: offset, 277: samples, 278: height, 279: size}
    return [_tag(tag, LONG, value) for tag, value in numbers.items()]


def _tag(tag: int, kind: int, *values: int) -> Tag:
    letter = {BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I"}[kind]
    return tag, kind, struct.pack(f"<{len(values)}{letter}", *values)


def _folder(tags: list[Tag], at: int) -> bytes:
    """An image file directory that will stand at `at`, followed by the values that do not fit into it."""
    tags = sorted(tags)
    extra_at = at + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for tag, kind, value in tags:
        count = len(value) // SIZES[kind]
        if len(value) <= 4:
            entries += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
        else:
            entries += struct.pack("<HHII", tag, kind, count, extra_at + len(extra))
            extra += value + b"\0" * (len(value) % 2)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0) + extra
