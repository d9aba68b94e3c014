"""Cameras' RAW files by rawpy (LibRaw): the preview that the camera put in, never the tiny thumbnail."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

from simsearch.errors import PhotoUnreadable
from simsearch.media.codecs import heif, tiff

LEAST_PREVIEW = 512
"""A preview with a longer side of fewer pixels is a thumbnail; the sensor's data are developed instead."""

# LibRaw's `flip` as an EXIF orientation.
_ORIENTATIONS = {3: 3, 5: 8, 6: 6}

MISSING = 'RAW file: its preview needs rawpy (pip install "simsearch[raw]")'


@dataclass(frozen=True, slots=True)
class Preview:
    """A RAW file's preview as stored, its EXIF orientation, and the upright width and height of the photo."""

    image: Image.Image
    orientation: int
    size: tuple[int, int]


def is_here() -> bool:
    """Whether rawpy is installed; it is not imported for that."""
    import importlib.util

    return importlib.util.find_spec("rawpy") is not None


def open_preview(data: bytes) -> Preview:
    """The preview of a RAW file; a JPEG in it is not decoded yet.

    Where the file holds no preview of some size the sensor's data are developed at half size, by LibRaw's
    own defaults. Raises PhotoUnreadable. See https://letmaik.github.io/rawpy/api/
    """
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            sizes = raw.sizes
            turned = sizes.flip in (5, 6)
            size = (sizes.height, sizes.width) if turned else (sizes.width, sizes.height)
            if heif.is_cut(data) if data[4:8] == b"ftyp" else tiff.reaches_past_end(data):
                # Some cameras' directories claim too much; the sensor's data themselves tell.
                _ = raw.raw_image
            image = _embedded(raw, rawpy)
            if image is None:
                return Preview(Image.fromarray(raw.postprocess(half_size=True, use_camera_wb=True)), 1, size)
            return Preview(image, _ORIENTATIONS.get(sizes.flip, 1), size)
    except rawpy.LibRawUnsufficientMemoryError as exc:
        raise MemoryError from exc
    except rawpy.LibRawIOError as exc:
        raise PhotoUnreadable("truncated: the file ends before its sensor's data do") from exc
    except (rawpy.LibRawError, rawpy.NotSupportedError) as exc:
        raise PhotoUnreadable(f"damaged RAW file: {_words(exc)}") from exc


def _embedded(raw: Any, rawpy: Any) -> Image.Image | None:
    try:
        thumb = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    try:
        if thumb.format == rawpy.ThumbFormat.JPEG:
            image: Image.Image = Image.open(io.BytesIO(thumb.data), formats=["JPEG"])
        else:
            image = Image.fromarray(thumb.data)
    except (OSError, SyntaxError, ValueError):
        return None
    return image if max(image.size) >= LEAST_PREVIEW else None


def _words(exc: Exception) -> str:
    first = exc.args[0] if exc.args else ""
    text = first.decode(errors="replace") if isinstance(first, bytes) else str(first)
    return " ".join(text.split())[:120] or type(exc).__name__
