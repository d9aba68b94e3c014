"""Bytes of a picture -> upright 8-bit RGB and facts, or a clear reason why not."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import struct
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from simsearch.errors import PhotoUnreadable
from simsearch.framing import Fitting, Framing, Tiling, fit, frame, frame_tiles
from simsearch.media.codecs import heif, raw
from simsearch.media.formats import HEAD, MAX_PIXELS, by_content, is_raw, refusal, too_large, too_many_pixels
from simsearch.records import Facts

ORIENTATION, EXIF_IFD, DATE_TAKEN, DATE = 0x0112, 0x8769, 36867, 306
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow keeps a pointer for each row: a file of 284 bytes that claims 80 million rows takes 800 MB by them.
LONGEST_SIDE = 1_000_000
# What Pillow's plugins raise on bytes that are not what they expected.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    NameError,
    BufferError,
    struct.error,
    zlib.error,
    ImageCms.PyCMSError,
    Image.DecompressionBombError,
)


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Bounds on one picture: pixels to be decoded (what Pillow too takes for a bomb), bytes of the file."""

    max_pixels: int = MAX_PIXELS
    max_bytes: int = 1 << 30


def decode(
    data: bytes, framing: Framing | Fitting, limits: DecodeLimits | None = None, *, name: bytes = b""
) -> tuple[Facts, NDArray[np.uint8]]:
    """Facts and uint8 pixels (H, W, 3) of a picture, framed.

    Raises PhotoUnreadable with the reason. A truncated picture is refused, never filled up.
    """
    limits = limits or DecodeLimits()
    facts, image = open_upright(data, limits, keep=framing.keep, name=name)
    try:
        return facts, fit(image, framing) if isinstance(framing, Fitting) else frame(image, framing)
    except MemoryError as exc:
        raise PhotoUnreadable(too_large(limits.max_pixels)) from exc


def decode_parts(
    data: bytes, framing: Framing, tiling: Tiling, limits: DecodeLimits | None = None, *, name: bytes = b""
) -> tuple[Facts, NDArray[np.uint8], NDArray[np.uint8]]:
    """What `decode` gives, to the pixel, and the frames of the picture's tiles, uint8 (tiles, crop, crop, 3).

    A JPEG that came too small for its tiles is decoded once more, larger, for them alone. One that is too
    large for that has its tiles cut out of the small one. Raises PhotoUnreadable with the reason.
    """
    limits = limits or DecodeLimits()
    facts, image = open_upright(data, limits, keep=framing.keep, name=name)
    try:
        pixels, keep = frame(image, framing), tiling.keep(framing)
        if image.size != (facts.width, facts.height) and framing.keep and min(image.size) < keep:
            with contextlib.suppress(PhotoUnreadable, MemoryError):
                _, image = open_upright(data, limits, keep=keep, name=name)
        return facts, pixels, frame_tiles(image, framing, tiling)
    except MemoryError as exc:
        raise PhotoUnreadable(too_large(limits.max_pixels)) from exc


def open_upright(
    data: bytes, limits: DecodeLimits, *, keep: int = 0, name: bytes = b""
) -> tuple[Facts, Image.Image]:
    """Facts and an upright RGB picture; a JPEG may come smaller, but no side shorter than `keep` pixels.

    JPEG's reduced decode is libjpeg's scaled inverse DCT
    (https://pillow.readthedocs.io/en/stable/reference/Image.html#PIL.Image.Image.draft).
    """
    reason = refusal(data[:HEAD], name)
    if reason is not None:
        raise PhotoUnreadable(reason)
    try:
        image, preview = _open(data, name)
        width, height = image.size
        if keep and image.format in ("JPEG", "MPO"):
            image.draft(image.mode, (keep, keep))
        if image.width * image.height > limits.max_pixels:
            raise PhotoUnreadable(too_many_pixels(width, height, limits.max_pixels))
        if image.width * image.height == 0:
            raise PhotoUnreadable("it has no pixels")
        if max(image.size) > LONGEST_SIDE:
            raise PhotoUnreadable(f"a side of more than {LONGEST_SIDE} pixels")
        image.load()
        turn = _orientation(image) or (preview.orientation if preview is not None else 1)
        taken_at = _taken_at(image)
        upright = _rgb(image)
        if turn in TURNS:
            upright = upright.transpose(TURNS[turn])
    except MemoryError as exc:
        raise PhotoUnreadable(too_large(limits.max_pixels)) from exc
    except DECODER_ERRORS as exc:
        raise PhotoUnreadable(_words(exc, limits.max_pixels)) from exc
    if preview is not None:
        return Facts(*preview.size, "RAW", taken_at), upright
    if turn in TURNS and turn >= 5:
        width, height = height, width
    return Facts(width, height, image.format or "", taken_at), upright


def _open(data: bytes, name: bytes) -> tuple[Image.Image, raw.Preview | None]:
    """The picture, not decoded yet, and the preview that it is, for a camera's RAW file."""
    if is_raw(data[:HEAD], name):
        preview = raw.open_preview(data)
        return preview.image, preview
    return _open_by_content(data), None


def _open_by_content(data: bytes) -> Image.Image:
    candidates = by_content(data[:HEAD])
    error: Exception | None = None
    for found in candidates:
        if found.name in ("HEIF", "AVIF") and heif.is_cut(data):
            raise PhotoUnreadable("truncated: the file ends before its picture does")
        try:
            if found.module:
                importlib.import_module(f"PIL.{found.module}")
            else:
                heif.register()
            # The plugin itself, not Image.open: that one holds its own limit, process-wide, against pictures
            # before a reduced decode makes them small.
            return Image.OPEN[found.name][0](io.BytesIO(data), "")
        except DECODER_ERRORS as exc:
            error = error or exc
    sure = next((f"it cannot be opened as {f.name}" for f in candidates if f.sure), "it cannot be opened")
    raise PhotoUnreadable(f"damaged: {sure}") from error


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, or 0 where the picture does not say."""
    if image.format == "HEIF":
        # pillow-heif has turned the pixels; Pillow's AVIF tells the container's turn as an EXIF one.
        return 1
    try:
        return int(image.getexif().get(ORIENTATION, 0))
    except DECODER_ERRORS:
        return 0


def _taken_at(image: Image.Image) -> str | None:
    """EXIF's time of the photo as "YYYY-MM-DDTHH:MM:SS", or None."""
    try:
        exif = image.getexif()
        value = str(exif.get_ifd(EXIF_IFD).get(DATE_TAKEN) or exif.get(DATE) or "")
    except DECODER_ERRORS:
        return None
    found = re.match(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)", value)
    # LibRaw writes 1970 into the preview of a RAW file without a date.
    if found is None or found[0] == "1970:01:01 00:00:00":
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        return datetime(year, month, day, hour, minute, second).isoformat()
    except ValueError:
        # A clock that was never set says 0000 or a month 00, which no period of a filter holds.
        return None


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB; what is transparent lies on white."""
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_to_8_bit(np.asarray(image))).convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        return converted or image
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey of more than 8 bits: 0..65535 by 257; floats of 0..1 by 255; anything else by its own range."""
    floats = values.dtype.kind == "f"
    # 24 bits are enough to round whole numbers to 8, and half the memory.
    scaled: NDArray[np.floating[Any]] = values.astype(np.float64 if floats else np.float32)
    if floats and not np.isfinite(scaled).all():
        finite = scaled[np.isfinite(scaled)]
        least, most = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
        np.nan_to_num(scaled, copy=False, nan=least, posinf=most, neginf=least)
    low, high = float(scaled.min()), float(scaled.max())
    if low < 0 or high > (255 if floats else 65535):
        scaled -= low
        scaled *= 255 / (high - low) if high > low else 0
    elif not floats:
        scaled /= 257
    elif high <= 1:
        scaled *= 255
    rounded: NDArray[np.uint8] = np.rint(scaled, out=scaled).astype(np.uint8)
    return rounded


def _words(exc: BaseException, max_pixels: int) -> str:
    """A decoder's error as a reason that a person can read, in one line."""
    if isinstance(exc, Image.DecompressionBombError):
        return "more pixels than the limit"
    said = " ".join(str(exc).split())[:120]
    if "decoder error -9" in said:
        # Pillow's word for "no memory": https://github.com/python-pillow/Pillow/blob/main/src/PIL/ImageFile.py
        return too_large(max_pixels)
    if "truncated" in said.lower():
        return f"truncated: {said}"
    return f"damaged: {said or type(exc).__name__}"
