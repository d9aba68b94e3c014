"""What a picture's own file notes in EXIF, IPTC and XMP, read by Pillow without decoding a pixel."""

from __future__ import annotations

import importlib
import os
import struct
import warnings
from typing import IO, Any

from PIL import Image, ImageFile, IptcImagePlugin

from simsearch.dedup.metadata.facts import Metadata, caption_of, date_of, place_of, rating_of, union
from simsearch.dedup.metadata.properties import facts_of
from simsearch.dedup.metadata.xmp import MAX_BYTES, XmpRefused, parse, plain
from simsearch.errors import PhotoUnreadable
from simsearch.media.codecs import heif
from simsearch.media.decode import DATE, DATE_TAKEN, DECODER_ERRORS, EXIF_IFD
from simsearch.media.files import OpenFile
from simsearch.media.formats import by_content

# The formats that carry metadata; a camera's RAW file is read as the TIFF that most are.
_CARRIERS = {"JPEG", "PNG", "TIFF", "WEBP", "HEIF", "AVIF"}
_MAX_BYTES = 1 << 30
_PNG, _MAX_CHUNKS = b"\x89PNG\r\n\x1a\n", 20_000
_DESCRIPTION, _MAKE, _MODEL, _RATING, _XMP, _GPS_IFD = 0x010E, 0x010F, 0x0110, 0x4746, 0x02BC, 0x8825
_XP_TITLE, _XP_COMMENT, _XP_KEYWORDS = 0x9C9B, 0x9C9C, 0x9C9E
_IPTC_TITLE, _IPTC_KEYWORDS, _IPTC_DATE, _IPTC_CAPTION = (2, 5), (2, 25), (2, 55), (2, 120)


def embedded(path: bytes) -> Metadata:
    """What the file notes of itself; nothing where it cannot be read, is no picture or is made to harm.

    XMP goes before EXIF, EXIF before IPTC.
    """
    try:
        # Pillow warns of what it passes over in damaged files.
        with OpenFile(path) as file, file.stream() as stream, warnings.catch_warnings(action="ignore"):
            image = _image(file.head, stream) if file.stat.size <= _MAX_BYTES else None
            if image is None:
                return Metadata()
            return _xmp(image, stream).over(_exif(image)).over(_iptc(image))
    except (MemoryError, PhotoUnreadable, *DECODER_ERRORS):
        return Metadata()


def _image(head: bytes, file: IO[bytes]) -> ImageFile.ImageFile | None:
    for found in by_content(head):
        if found.name in _CARRIERS:
            if found.module:
                importlib.import_module(f"PIL.{found.module}")
            else:
                heif.register()
            # The plugin itself: Image.open refuses large pictures, and nothing is decoded here.
            return Image.OPEN[found.name][0](file, "")
    return None


def _xmp(image: Image.Image, file: IO[bytes]) -> Metadata:
    packet = image.info.get("xmp")
    if packet is None and image.format == "PNG":
        packet = _late_xmp(file)
    if packet is None and image.format == "TIFF":
        packet = image.getexif().get(_XMP)
    if isinstance(packet, str):
        packet = packet.encode("utf-8", "replace")
    if not isinstance(packet, bytes):
        return Metadata()
    try:
        return facts_of(parse(packet))
    except XmpRefused:
        return Metadata()


def _late_xmp(file: IO[bytes]) -> bytes | None:
    """The XMP of a PNG from behind its pixels, which ExifTool writes there and Pillow does not look at."""
    file.seek(len(_PNG))
    for _ in range(_MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        size, kind = struct.unpack(">I4s", head)
        if kind == b"iTXt" and size <= MAX_BYTES:
            keyword, _, text = file.read(size).partition(b"\0")
            # Two zeros: it is not compressed. Then come language and translated keyword, both empty.
            if keyword == b"XML:com.adobe.xmp" and text.startswith(b"\0\0\0\0"):
                return text[4:]
            size = 0
        file.seek(size + 4, os.SEEK_CUR)
    return None


def _exif(image: Image.Image) -> Metadata:
    try:
        exif = image.getexif()
        if not exif:
            return Metadata()
        gps = exif.get_ifd(_GPS_IFD)
        taken = exif.get_ifd(EXIF_IFD).get(DATE_TAKEN) or exif.get(DATE)
    except DECODER_ERRORS:
        return Metadata()
    keywords = (_wide(exif.get(_XP_KEYWORDS)) or "").split(";")
    return Metadata(
        rating=rating_of(exif.get(_RATING, "")),
        tags=union(tuple(word.strip() for word in keywords if word.strip())),
        caption=caption_of(_text(exif.get(_DESCRIPTION))) or _wide(exif.get(_XP_COMMENT)),
        title=_wide(exif.get(_XP_TITLE)),
        gps=place_of(_degrees(gps, 1, "S"), _degrees(gps, 3, "W")),
        taken_at=date_of(taken or ""),
        camera=bool(_text(exif.get(_MODEL)) or _text(exif.get(_MAKE))),
    )


def _degrees(gps: dict[int, Any], reference: int, minus: str) -> float | None:
    try:
        hours, minutes, seconds = (float(part) for part in gps[reference + 1])
        degrees = hours + minutes / 60 + seconds / 3600
        return -degrees if str(gps.get(reference, "")).strip("\0 ").upper() == minus else degrees
    except DECODER_ERRORS:
        return None


def _iptc(image: ImageFile.ImageFile) -> Metadata:
    if image.format not in ("JPEG", "MPO", "TIFF"):
        return Metadata()
    try:
        noted = IptcImagePlugin.getiptcinfo(image) or {}
    except DECODER_ERRORS:
        return Metadata()
    date = _first(noted.get(_IPTC_DATE)) or ""
    return Metadata(
        tags=union(_texts(noted.get(_IPTC_KEYWORDS))),
        caption=caption_of(_first(noted.get(_IPTC_CAPTION))),
        title=_first(noted.get(_IPTC_TITLE)),
        taken_at=date_of(f"{date[:4]}-{date[4:6]}-{date[6:8]}") if len(date) == 8 else None,
    )


def _texts(value: object) -> tuple[str, ...]:
    """IPTC's values of one name: none, one, or a list."""
    several = value if isinstance(value, list) else [value]
    return tuple(text for item in several if (text := _text(item)))


def _first(value: object) -> str | None:
    return next(iter(_texts(value)), None)


def _text(value: object) -> str | None:
    """Text in UTF-8, else in Latin-1; Pillow hands EXIF's over as Latin-1."""
    raw = value.encode("latin-1", "replace") if isinstance(value, str) else value
    if not isinstance(raw, bytes):
        return None
    try:
        said = raw.decode("utf-8")
    except UnicodeDecodeError:
        said = raw.decode("latin-1")
    return plain(said).strip() or None


def _wide(value: object) -> str | None:
    """Text as Windows writes it: UTF-16 in bytes, which Pillow hands over as bytes or numbers."""
    if isinstance(value, tuple):
        value = bytes(part for part in value if isinstance(part, int) and 0 <= part < 256)
    if not isinstance(value, bytes):
        return None
    return plain(value.decode("utf-16-le", "replace")).strip() or None
