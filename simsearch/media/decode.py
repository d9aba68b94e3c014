"""Bytes of a picture -> upright 8-bit RGB and facts, or a clear reason why not."""

from __future__ import annotations

import importlib
import io
import re
import struct
import threading
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from simsearch.errors import PhotoUnreadable
from simsearch.framing import Framing, frame
from simsearch.media.formats import HEAD, by_content, refusal
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
ISO_BOXES = (b"ftyp", b"meta", b"mdat", b"moov", b"idat")
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
    """Bounds on one picture: pixels to be decoded, bytes of the file."""

    max_pixels: int = 178_956_970
    max_bytes: int = 1 << 30


def decode(
    data: bytes, framing: Framing | None, limits: DecodeLimits | None = None, *, name: bytes = b""
) -> tuple[Facts, NDArray[np.uint8]]:
    """Facts and uint8 pixels (H, W, 3) of a picture, framed, or whole where `framing` is None.

    Raises PhotoUnreadable with the reason. A truncated picture is refused, never filled up.
    """
    keep = framing.resize * framing.reduced_decode if framing is not None else 0
    facts, image = open_upright(data, limits or DecodeLimits(), keep=keep, name=name)
    try:
        return facts, frame(image, framing) if framing is not None else np.asarray(image)
    except MemoryError as exc:
        raise PhotoUnreadable("needs more memory than a picture may take") from exc


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
        image = _open(data)
        width, height = image.size
        if keep and image.format in ("JPEG", "MPO"):
            image.draft(image.mode, (keep, keep))
        if image.width * image.height > limits.max_pixels:
            raise PhotoUnreadable(
                f"{width} x {height} pixels are more than the limit, {limits.max_pixels // 1_000_000} million"
            )
        if image.width * image.height == 0:
            raise PhotoUnreadable("it has no pixels")
        if image.format in ("HEIF", "AVIF") and _is_cut(data):
            raise PhotoUnreadable("truncated: the file ends before its picture does")
        image.load()
        turn = _orientation(image)
        taken_at = _taken_at(image)
        upright = _rgb(image)
        if turn in TURNS:
            upright = upright.transpose(TURNS[turn])
    except MemoryError as exc:
        raise PhotoUnreadable("needs more memory than a picture may take") from exc
    except DECODER_ERRORS as exc:
        raise PhotoUnreadable(_words(exc)) from exc
    if turn in TURNS and turn >= 5:
        width, height = height, width
    return Facts(width, height, image.format or "", taken_at), upright


def _open(data: bytes) -> Image.Image:
    candidates = by_content(data[:HEAD])
    error: Exception | None = None
    for found in candidates:
        try:
            if found.module:
                importlib.import_module(f"PIL.{found.module}")
            else:
                _register_heif()
            # The plugin itself, not Image.open: that one holds its own limit, process-wide, against pictures
            # before a reduced decode makes them small.
            return Image.OPEN[found.name][0](io.BytesIO(data), "")
        except DECODER_ERRORS as exc:
            error = error or exc
    sure = next((f"it cannot be opened as {f.name}" for f in candidates if f.sure), "it cannot be opened")
    raise PhotoUnreadable(f"damaged: {sure}") from error


_heif_lock = threading.Lock()
_heif_ready = False


def _register_heif() -> None:
    """pillow-heif as a plugin of Pillow, once; one thread each, since every worker is a core."""
    global _heif_ready
    with _heif_lock:
        if not _heif_ready:
            import pillow_heif

            pillow_heif.options.DECODE_THREADS = 1
            pillow_heif.register_heif_opener()
            _heif_ready = True


def _is_cut(data: bytes) -> bool:
    """Whether a top-level box of an ISO file reaches past its end, which libheif fills with green."""
    place = 0
    kind = b""
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        if size == 1 and place + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, place + 8)
        if size == 0:
            return False
        if size < 8:
            # Padding after the last box is harmless; a first box like that is no box.
            return place == 0
        place += size
    # Some cameras put bytes of their own behind the picture, which only look like a box.
    return place > len(data) and kind in ISO_BOXES


def _orientation(image: Image.Image) -> int:
    if image.format == "HEIF":
        # pillow-heif has turned the pixels; Pillow's AVIF tells the container's turn as an EXIF one.
        return 1
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except DECODER_ERRORS:
        return 1


def _taken_at(image: Image.Image) -> str | None:
    """EXIF's time of the photo as "YYYY-MM-DDTHH:MM:SS", or None."""
    try:
        exif = image.getexif()
        value = str(exif.get_ifd(EXIF_IFD).get(DATE_TAKEN) or exif.get(DATE) or "")
    except DECODER_ERRORS:
        return None
    found = re.match(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)", value)
    return f"{found[1]}-{found[2]}-{found[3]}T{found[4]}" if found and found[1] != "0000" else None


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


def _words(exc: BaseException) -> str:
    """A decoder's error as a reason that a person can read, in one line."""
    if isinstance(exc, Image.DecompressionBombError):
        return "more pixels than the limit"
    said = " ".join(str(exc).split())[:120]
    if "truncated" in said.lower():
        return f"truncated: {said}"
    return f"damaged: {said or type(exc).__name__}"
