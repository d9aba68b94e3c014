"""Tells pictures from other files by their first bytes and their names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from simsearch.media.codecs import raw
from simsearch.media.codecs import tiff as tiff_files

MAX_PIXELS = 178_956_970
"""How many pixels are decoded at most unless a person says otherwise: Pillow's own limit against bombs."""

TOO_LARGE = "needs more memory than a picture may take"

HEAD = 4096
"""How many of a file's first bytes are enough to tell its format."""


@dataclass(frozen=True, slots=True)
class Format:
    """A picture format.

    `name` is Pillow's, `module` Pillow's plugin. A `signature` that is `sure` tells the format whatever the
    file is called; another one counts only together with a suffix of `suffixes` or `hints`. A suffix of
    `suffixes` says picture by itself, one of `hints` (which other kinds of file use too) does not.
    """

    name: str
    module: str
    signature: re.Pattern[bytes]
    suffixes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    sure: bool = True


def _format(
    name: str, module: str, signature: bytes, suffixes: str = "", hints: str = "", sure: bool = True
) -> Format:
    pattern = re.compile(signature, re.DOTALL)
    return Format(name, module, pattern, tuple(suffixes.split()), tuple(hints.split()), sure)


_GAP = rb"\s+(?:#[^\n]*\n\s*)*"

FORMATS: tuple[Format, ...] = (
    _format("JPEG", "JpegImagePlugin", rb"\xff\xd8\xff", "jpg jpeg jpe jfif mpo"),
    _format("PNG", "PngImagePlugin", rb"\x89PNG\r\n\x1a\n", "png apng"),
    _format("AVIF", "AvifImagePlugin", rb".{4}ftyp(?:avi[fs]|m[is]f1.{4}(?:.{4})*?avi[fs])", "avif avifs"),
    _format("HEIF", "", rb".{4}ftyp(?:hei[cxms]|hev[cxms]|m[is]f[12]|miaf)", "heic heif hif heics heifs"),
    _format("WEBP", "WebPImagePlugin", rb"RIFF.{4}WEBP", "webp"),
    _format("GIF", "GifImagePlugin", rb"GIF8[79]a", "gif"),
    _format("TIFF", "TiffImagePlugin", rb"II\*\0|MM\0\*|II\0\*|MM\*\0|II\+\0|MM\0\+", "tif tiff"),
    _format("BMP", "BmpImagePlugin", rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", "bmp"),
    _format(
        "JPEG2000",
        "Jpeg2KImagePlugin",
        rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
        "jp2 j2k j2c jpc jpf jpx",
    ),
    _format("PPM", "PpmImagePlugin", rb"P[1-6fF]" + _GAP + rb"\d+" + _GAP + rb"\d+\s", "ppm pgm pbm pnm pfm"),
    _format("PSD", "PsdImagePlugin", rb"8BPS\0\x01", "psd"),
    _format("QOI", "QoiImagePlugin", rb"qoif", "qoi"),
    _format("DDS", "DdsImagePlugin", rb"DDS \x7c\0\0\0", "dds"),
    _format("ICNS", "IcnsImagePlugin", rb"icns", "icns"),
    _format("SGI", "SgiImagePlugin", rb"\x01\xda[\0\x01][\x01\x02]\0[\x01-\x03]", "sgi", "rgb rgba bw"),
    _format("SUN", "SunImagePlugin", rb"\x59\xa6\x6a\x95", "", "ras"),
    _format("DCX", "DcxImagePlugin", rb"\xb1\x68\xde\x3a", "dcx"),
    _format("FLI", "FliImagePlugin", rb".{4}[\x11\x12]\xaf.{8}[\0\x03]\0", "", "fli flc"),
    _format("FITS", "FitsImagePlugin", rb"SIMPLE *=", "", "fits fit"),
    _format("XPM", "XpmImagePlugin", rb"/\* XPM \*/", "xpm"),
    _format(
        "XBM", "XbmImagePlugin", rb"\s*#define[ \t]+\S*width[ \t]+\d+\s+#define[ \t]+\S*height[ \t]+\d", "xbm"
    ),
    _format("XVTHUMB", "XVThumbImagePlugin", rb"P7 332", "", "p7"),
    _format("PIXAR", "PixarImagePlugin", rb"\x80\xe8\0\0", "", "pxr"),
    _format("BLP", "BlpImagePlugin", rb"BLP[12]", "blp"),
    _format("FTEX", "FtexImagePlugin", rb"FTEX", "", "ftc ftu"),
    _format("MSP", "MspImagePlugin", rb"DanM|LinS", "", "msp"),
    _format("PCD", "PcdImagePlugin", rb".{2048}PCD_", "", "pcd"),
    _format("ICO", "IcoImagePlugin", rb"\0\0\x01\0[^\0]", "ico", sure=False),
    _format("CUR", "CurImagePlugin", rb"\0\0\x02\0[^\0]", "", "cur", sure=False),
    _format("PCX", "PcxImagePlugin", rb"\n[\0\x02\x03\x05]\x01[\x01\x02\x04\x08]", "pcx", sure=False),
    _format("IM", "ImImagePlugin", rb"[A-Za-z ()*-]{4,20}: ?[^\n]*\n", "", "im", sure=False),
    _format("GBR", "GbrImagePlugin", rb"\0{3}.\0{3}[\x01\x02]", "", "gbr", sure=False),
    _format("DIB", "BmpImagePlugin", rb"[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", "", "dib", sure=False),
    _format(
        "TGA", "TgaImagePlugin", rb".[\0\x01][\x01-\x03\x09-\x0b]", "tga", hints="icb vda vst", sure=False
    ),
    _format("SPIDER", "SpiderImagePlugin", rb".{0,3}\0", "", "spi spider", sure=False),
)
"""In the order in which a decoder is tried. Documents and drawings (PDF, EPS, SVG, WMF) are no photos."""

RAW_SUFFIXES = frozenset(
    [
        "3fr",
        "arw",
        "cr2",
        "cr3",
        "crw",
        "dcr",
        "dng",
        "erf",
        "iiq",
        "kdc",
        "mef",
        "mrw",
        "nef",
        "nrw",
        "orf",
        "pef",
        "raf",
        "rw2",
        "rwl",
        "sr2",
        "srf",
        "srw",
        "x3f",
    ]
)
"""Suffixes of cameras' RAW files, in lower case, without their dots."""

_RAW_SIGNATURE = re.compile(
    rb"II\*\0.{4}CR\x02|II\x1a\0.{4}HEAPCCDR|.{4}ftypcrx |FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\0|\0MRM|FOVb",
    re.DOTALL,
)
_JXL_SIGNATURE = re.compile(rb"\0\0\0\x0cJXL \r\n\x87\n")

JXL_REASON = "JPEG XL is not read by this version"


def recognise(head: bytes, name: bytes) -> bool:
    """Whether a file is a picture: its first bytes (up to `HEAD`) decide, then its name's suffix."""
    suffix = _suffix(name)
    if _RAW_SIGNATURE.match(head) or _JXL_SIGNATURE.match(head) or any(f.sure for f in by_content(head)):
        return True
    if looks_like_picture(name):
        return True
    return any(suffix in f.hints for f in by_content(head))


def refusal(head: bytes, name: bytes = b"") -> str | None:
    """Why a recognised picture is not decoded, or None when it is to be tried."""
    suffix = _suffix(name)
    if not head:
        return "the file is empty"
    found = by_content(head)
    sure = [f for f in found if f.sure]
    if is_raw(head, name):
        return None if raw.is_here() else raw.MISSING
    if _JXL_SIGNATURE.match(head) or (suffix == "jxl" and not sure):
        return JXL_REASON
    if not found:
        claimed = _claimed(suffix)
        return f"not a {claimed.name}: its content is no picture" if claimed else "its content is no picture"
    return None


def is_raw(head: bytes, name: bytes) -> bool:
    """Whether a file is a camera's RAW file; many are TIFF files by their signature."""
    sure = [f.name for f in by_content(head) if f.sure]
    tiff = not sure or sure[0] == "TIFF"
    named = _suffix(name) in RAW_SUFFIXES and tiff and bool(head)
    return named or bool(_RAW_SIGNATURE.match(head)) or tiff_files.is_raw(head)


def looks_like_picture(name: bytes) -> bool:
    """Whether a file is a picture by its name, before it is opened."""
    suffix = _suffix(name)
    return suffix in RAW_SUFFIXES or suffix == "jxl" or _claimed(suffix) is not None


def too_many_pixels(width: int, height: int, limit: int) -> str:
    """Why a picture of this size is not decoded."""
    return f"{width} x {height} pixels are more than the limit of {limit} (--max-pixels)"


def too_large(limit: int) -> str:
    """Why a picture is not decoded that needs more memory than a worker with this limit of pixels has."""
    return TOO_LARGE if limit == MAX_PIXELS else f"{TOO_LARGE}, at --max-pixels {limit}"


def is_outdated(reason: str, max_pixels: int) -> bool:
    """Whether a picture was refused for a limit or a missing package that is another now."""
    if reason == raw.MISSING:
        return raw.is_here()
    if reason.startswith(TOO_LARGE):
        return reason != too_large(max_pixels)
    return "(--max-pixels)" in reason and f"limit of {max_pixels} " not in reason


def by_content(head: bytes) -> list[Format]:
    """The formats whose signature fits, in the order in which to try them."""
    return [f for f in FORMATS if f.signature.match(head)]


def _claimed(suffix: str) -> Format | None:
    return next((f for f in FORMATS if suffix in f.suffixes), None)


def _suffix(name: bytes) -> str:
    return os.path.splitext(os.fsdecode(name))[1][1:].lower()
