"""The decoding process: paths in, digests and pixels out, until its standard input ends.

Frames are a 4-byte big-endian length and that many bytes. The first frame in is JSON with the framing and the
limits. An empty frame is answered by an empty one: the worker is alive. Then, for each file:

    in   the path
    out  "N"  no image                           | "U" + JSON {reason, transient, stat}
         | "H" + SHA-256 (32 bytes) + stat (4 int64), which is answered by
    in   "k"  these bytes are known, done        | "g" decode them
    out  "P" + length of JSON (4 bytes) + JSON {facts, shape, tiles} + uint8 pixels   | "U" + JSON

The pixels of the whole picture come first, then those of its `tiles`, each of the same shape.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import struct
import sys
import threading
import time
from dataclasses import asdict
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import PhotoUnreadable
from simsearch.framing import Fitting, Framing, Tiling, from_json
from simsearch.media.decode import DecodeLimits, decode, decode_parts
from simsearch.media.files import FileUnreadable, OpenFile
from simsearch.media.formats import recognise, too_large
from simsearch.records import Facts, FileStat

STAT = struct.Struct(">4q")
PING = b""


def main() -> None:
    """Serve files until standard input ends."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    # Decoders print to whatever is there; nothing of it may get among the frames or onto the terminal.
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    setup = json.loads(receive(source) or b"{}")
    framing, limits = from_json(setup["framing"]), DecodeLimits(**setup["limits"])
    tiling = Tiling(tuple(map(tuple, setup["tiling"]))) if setup["tiling"] else None
    seconds = float(setup["seconds"])
    _limit_memory(int(setup["memory"]))
    if sys.platform != "win32":
        # There the parent may be a launcher between; standard input ends as well when the parent dies.
        threading.Thread(target=_die_with, args=(int(setup["parent"]),), daemon=True).start()
    from PIL import Image

    # Our own limit is checked before decoding, and tells a JPEG that is decoded small from a bomb.
    Image.MAX_IMAGE_PIXELS = None
    while (path := receive(source)) is not None:
        if path == PING:
            send(sink, PING)
            continue
        _alarm(seconds + 5)
        serve(path, (framing, tiling), limits, (source, sink))
        _alarm(0)


def serve(
    path: bytes,
    wanted: tuple[Framing | Fitting, Tiling | None],
    limits: DecodeLimits,
    pipes: tuple[BinaryIO, BinaryIO],
) -> None:
    """Answer for one file."""
    source, sink = pipes
    stat: FileStat | None = None
    try:
        with OpenFile(path) as file:
            stat = file.stat
            if not recognise(file.head, os.path.basename(path)):
                send(sink, b"N")
                return
            data = file.read_all(limits.max_bytes)
        send(sink, b"H" + hashlib.sha256(data).digest() + STAT.pack(*astuple(stat)))
        # While the parent thinks, the clock stands still.
        left = _alarm(0)
        if receive(source) != b"g":
            return
        _alarm(left)
        facts, pixels, tiles = _pixels(data, wanted, limits, os.path.basename(path))
    except FileUnreadable as exc:
        _refuse(sink, str(exc), exc.transient, exc.stat or stat)
    except PhotoUnreadable as exc:
        _refuse(sink, str(exc), False, stat)
    except MemoryError:
        _refuse(sink, too_large(limits.max_pixels), False, stat)
    else:
        told = {"facts": asdict(facts), "shape": pixels.shape, "tiles": 0 if tiles is None else len(tiles)}
        head = json.dumps(told).encode()
        parts = pixels.tobytes() if tiles is None else pixels.tobytes() + tiles.tobytes()
        send(sink, b"P" + struct.pack(">I", len(head)) + head + parts)


def _pixels(
    data: bytes, wanted: tuple[Framing | Fitting, Tiling | None], limits: DecodeLimits, name: bytes
) -> tuple[Facts, NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Facts, and the pixels of the whole picture and of its tiles."""
    framing, tiling = wanted
    if isinstance(framing, Framing) and tiling is not None:
        return decode_parts(data, framing, tiling, limits, name=name)
    return *decode(data, framing, limits, name=name), None


def send(sink: BinaryIO, payload: bytes) -> None:
    """Write one frame."""
    sink.write(struct.pack(">I", len(payload)) + payload)
    sink.flush()


def receive(source: BinaryIO) -> bytes | None:
    """Read one frame, or None at the end of input."""
    head = source.read(4)
    if len(head) < 4:
        return None
    (size,) = struct.unpack(">I", head)
    payload = source.read(size)
    return payload if len(payload) == size else None


def astuple(stat: FileStat) -> tuple[int, int, int, int]:
    """The four numbers of a stat; an inode past 63 bits is folded, which keeps equal ones equal."""
    return stat.size, stat.mtime_ns, stat.inode & (2**63 - 1), stat.device & (2**63 - 1)


def _refuse(sink: BinaryIO, reason: str, transient: bool, stat: FileStat | None) -> None:
    told = {"reason": reason, "transient": transient, "stat": astuple(stat) if stat else None}
    send(sink, b"U" + json.dumps(told).encode())


def _alarm(seconds: float) -> float:
    """End this process after so many seconds (0: not at all); what was left of the earlier time.

    The default action of SIGALRM ends it even where a decoder does not come back. Windows has no such
    signal; there the parent's own deadline has to do.
    """
    if sys.platform == "win32":
        return 0.0
    return signal.setitimer(signal.ITIMER_REAL, seconds)[0]


def _limit_memory(size: int) -> None:
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        size = size if most == resource.RLIM_INFINITY else min(size, most)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _die_with(parent: int) -> None:
    """End when the parent has died in the middle of a decode, when nobody reads standard input."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main()
