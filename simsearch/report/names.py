"""Names of files made safe to show to a person: nothing in them can move a cursor or hide."""

from __future__ import annotations

import unicodedata

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Joins the parts of one emoji or ligature and is harmless; all other format characters are not.
_JOINER = "\u200d"
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def visible(name: str) -> str:
    """`name` with control, direction and format characters and undecodable bytes written as escapes.

    A terminal escape becomes `\\x1b`, a byte that is no UTF-8 (a surrogate here) its `\\xNN`.
    """
    if name.isascii() and name.isprintable():
        return name
    return "".join(_escape(char) for char in name)


def _escape(char: str) -> str:
    if char == _JOINER or unicodedata.category(char) not in _UNSEEN:
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    if char in _NAMED:
        return _NAMED[char]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
