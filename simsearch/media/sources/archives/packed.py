"""A tar file as an open file to be read anywhere; one that is packed as a whole is unpacked first."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from simsearch.media.sources.spool import spool

RATIO, SLACK = 100, 1 << 28
"""An archive that unpacks to more than so many times its size, and 256 MiB, is taken for a bomb."""

ROOM = 1 << 28
"""So many bytes of the disk stay free."""

_BLOCK = 1 << 20
_GZIP, _BZIP2 = (b".gz", b".tgz"), (b".bz2", b".tbz", b".tbz2")
_XZ = (b".xz", b".txz")


class TooMuch(Exception):
    """An archive that holds, or unpacks to, more than an archive may."""


def plain_tar(file: Path, name: bytes) -> IO[bytes]:
    """The file itself, or what it is unpacked to, which is gone when it is closed.

    Raises TooMuch for a bomb or a full disk, and what the unpacking library raises.
    """
    unpack = _unpacker(name.lower())
    if unpack is None:
        return file.open("rb")
    most = RATIO * file.stat().st_size + SLACK
    # It is closed by who reads it.
    plain: IO[bytes] = tempfile.TemporaryFile(dir=spool().folder)  # noqa: SIM115
    try:
        with unpack(file) as packed:
            while block := packed.read(_BLOCK):
                plain.write(block)
                if plain.tell() > most:
                    raise TooMuch(f"unpacks to more than {RATIO} times its size")
                if shutil.disk_usage(spool().folder).free < ROOM:
                    raise TooMuch(f"unpacks to more than fits into {spool().folder}; see $TMPDIR")
        return plain
    except BaseException:
        plain.close()
        raise


def _unpacker(name: bytes) -> Callable[[Path], Any] | None:
    if name.endswith(_GZIP):
        return gzip.open
    if name.endswith(_BZIP2):
        return bz2.open
    return lzma.open if name.endswith(_XZ) else None
