"""Append-only files of float32 vectors: the truth that every view is made from."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import FormatUnknown, IndexDamaged, IndexUnwritable
from simsearch.storage.disk.durable import BINARY, sync_folder, synced, write_at
from simsearch.storage.disk.handle import Handle

MAGIC = b"SIMSEG\r\n"
HEADER = 4096
SEGMENT_BYTES = 1 << 30
BLOCK_BYTES = 4 << 20
PASSING = 16
MEND = "Run: simsearch verify"
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What a segment says of itself: format, the index it belongs to, the spec and dim of its rows."""

    index_uuid: str
    spec_id: str
    dim: int

    def encode(self) -> bytes:
        """4096 bytes: magic, length and CRC-32 of the JSON, the JSON, zeros."""
        body = json.dumps(
            {
                "format": 1,
                "index": self.index_uuid,
                "spec": self.spec_id,
                "dim": self.dim,
                "dtype": "float32",
                "byteorder": "little",
            },
            sort_keys=True,
        ).encode()
        head = MAGIC + struct.pack("<II", len(body), zlib.crc32(body)) + body
        return head.ljust(HEADER, b"\0")


class SegmentStore:
    """Reads and appends the rows of one index.

    Rows are little-endian float32, (dim,), back to back after a 4096-byte header. How many of them count
    is said by the database: bytes past that were left by a crash and are overwritten by the next append.
    """

    def __init__(self, folder: Path, header: SegmentHeader, *, check_headers: bool = True) -> None:
        self._folder, self.header = folder, header
        self._check_headers = check_headers
        self._row_bytes = header.dim * 4
        self._handles: dict[int, Handle] = {}

    @property
    def rows_per_segment(self) -> int:
        """How many rows fill a segment (1 GiB)."""
        return (SEGMENT_BYTES - HEADER) // self._row_bytes

    def path(self, number: int) -> Path:
        """The file of segment `number`."""
        return self._folder / f"{number:06d}.seg"

    def append(self, number: int, start: int, rows: Vectors) -> None:
        """Write `rows` (n, dim) at row `start` of segment `number` and wait until the disk has them.

        Raises IndexUnwritable when the disk is full or refuses.
        """
        path = self.path(number)
        try:
            with synced(path, os.O_RDWR | _NO_LINK | (os.O_CREAT if start == 0 else 0)) as fd:
                if start == 0:
                    write_at(fd, self.header.encode(), 0)
                data = np.ascontiguousarray(rows, dtype="<f4").tobytes()
                write_at(fd, data, HEADER + start * self._row_bytes)
            if start == 0:
                # Whoever made the file may have been stopped before its name was on the disk.
                sync_folder(self._folder)
        except FileNotFoundError as exc:
            raise IndexDamaged(f"{path} is missing. {MEND}") from exc
        except OSError as exc:
            raise IndexUnwritable(
                f"Cannot write {path}: {exc.strerror or exc}. What was committed before is safe; "
                "make room or mend the permissions, and run the same command again."
            ) from exc

    def open(self, numbers: Sequence[int]) -> None:
        """Open segments ahead of use, so that a later deletion does not take them from this reader."""
        for number in numbers:
            self._handle(number)

    def read(self, places: Sequence[tuple[int, int]]) -> Vectors:
        """Rows at `places` [(segment, row)], float32 (len(places), dim), by planned reads."""
        out = np.empty((len(places), self.header.dim), dtype="<f4")
        for start, rows in self.passing(places):
            out[start : start + len(rows)] = rows
        return out

    def passing(self, places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, Vectors]]:
        """(start, rows) of the rows at `places`, 16 at a time in one buffer: copy what you keep.

        The buffer stays in the processor's cache, where fresh memory for 400 rows costs more than to read
        them. What the kernel holds is taken as it is; from the first row that it does not hold it is told
        of all that are left before one is waited for: cold rows cost a tenth of what page faults cost.
        """
        size = self._row_bytes
        buffer = np.empty((min(PASSING, len(places)), self.header.dim), dtype="<f4")
        bytes_of = buffer.reshape(-1).view(np.uint8).data
        parts = [bytes_of[start : start + size] for start in range(0, len(bytes_of), size)]
        # Held until the end: another thread may let go of a segment meanwhile.
        handles = {number: self._handle(number) for number in {number for number, _ in places}}
        told = False
        for start in range(0, len(places), PASSING):
            wanted = places[start : start + PASSING]
            cold = [
                i
                for i, (number, row) in enumerate(wanted)
                if not handles[number].read_cached(parts[i], HEADER + row * size)
            ]
            if cold and not told:
                for number, row in places[start:]:
                    handles[number].expect(HEADER + row * size, size)
                told = True
            for i in cold:
                number, row = wanted[i]
                self._read_rows(handles[number], number, row, buffer[i : i + 1])
            yield start, buffer[: len(wanted)]

    def blocks(self, number: int, rows: NDArray[np.int64]) -> Iterator[Vectors]:
        """The given ascending `rows` of a segment, in blocks of about 4 MiB, for a pass through all.

        They are read, not mapped: a disk that fails under a map ends the process by SIGBUS.
        """
        step = max(1, BLOCK_BYTES // self._row_bytes)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            first, span = int(part[0]), int(part[-1]) - int(part[0]) + 1
            if span > 2 * len(part):
                yield self.read([(number, row) for row in part.tolist()])
                continue
            block = np.empty((span, self.header.dim), dtype="<f4")
            self._read_rows(self._handle(number), number, first, block)
            yield block if span == len(part) else block[part - first]

    def rows_on_disk(self, number: int) -> int:
        """How many whole rows the file of a segment holds, 0 when it is missing."""
        try:
            size = self.path(number).stat().st_size
        except OSError:
            return 0
        return max(0, size - HEADER) // self._row_bytes

    def numbers_on_disk(self) -> list[int]:
        """The numbers of all segment files, ascending."""
        return sorted(int(path.stem) for path in self._folder.glob("*.seg") if path.stem.isdecimal())

    def has_header(self, number: int) -> bool:
        """Whether the file of a segment begins as it has to."""
        try:
            with self.path(number).open("rb") as file:
                return file.read(HEADER) == self.header.encode()
        except OSError:
            return False

    def restore_header(self, number: int) -> bool:
        """Write the header of a segment anew when it is not what it has to be; whether it was not.

        Raises IndexUnwritable.
        """
        if self.has_header(number):
            return False
        path = self.path(number)
        try:
            with synced(path, os.O_RDWR | _NO_LINK) as fd:
                write_at(fd, self.header.encode(), 0)
        except OSError as exc:
            raise IndexUnwritable(
                f"Cannot mend {path}: {exc.strerror or exc}. Check its permissions and the free space."
            ) from exc
        return True

    def close(self) -> None:
        """Close the open files."""
        self._handles.clear()

    def keep_only(self, numbers: set[int]) -> None:
        """Let go of all other segments; a read that goes on in another thread keeps what it reads."""
        for number in [number for number in list(self._handles) if number not in numbers]:
            self._handles.pop(number, None)

    def delete(self, numbers: set[int]) -> None:
        """Delete the files of segments; one that is in use may stay until the next time."""
        for number in numbers:
            self._handles.pop(number, None)
            with contextlib.suppress(OSError):
                self.path(number).unlink(missing_ok=True)

    def _read_rows(self, handle: Handle, number: int, first: int, out: Vectors) -> None:
        try:
            found = handle.read_into(out.data.cast("B"), HEADER + first * self._row_bytes)
        except OSError as exc:
            raise IndexDamaged(f"Cannot read {self.path(number)}: {exc.strerror or exc}. {MEND}") from exc
        if found != out.nbytes:
            row = first + found // self._row_bytes
            raise IndexDamaged(f"{self.path(number)} ends before row {row}. {MEND}")

    def _handle(self, number: int) -> Handle:
        handle = self._handles.get(number)
        if handle is None:
            path = self.path(number)
            try:
                handle = Handle(os.open(path, os.O_RDONLY | BINARY))
                head = handle.read(HEADER, 0)
            except OSError as exc:
                raise IndexDamaged(f"Cannot open {path}: {exc.strerror or exc}. {MEND}") from exc
            if self._check_headers and head != self.header.encode():
                raise FormatUnknown(f"{path} is not a segment of this index. {MEND}")
            self._handles[number] = handle
        return handle
