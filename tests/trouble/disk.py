"""A small disk of its own that fills up in the middle of commands: `python -m trouble.disk PHOTOS PLACE`.

Prints JSON. It runs where it may mount: as root, or in a user and mount namespace of its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIZES_KB = (64, 112, 160, 208, 256, 320, 384, 512)
ROOM_KB = (0, 16, 96)


def main(photos: Path, place: Path) -> list[dict[str, Any]]:
    """What came of every command on every size of disk."""
    outcomes = []
    for size in SIZES_KB:
        with mounted(place, f"size={size}k"):
            outcomes.append(full_then_larger(f"index on {size} kB", photos, place, ("index", str(photos))))
    with mounted(place, "size=64m,nr_inodes=7"):
        outcomes.append(full_then_larger("index without inodes", photos, place, ("index", str(photos))))
    for command in (
        ("compact",),
        ("index", "--prune", "--yes"),
        ("rebuild", "--thumbnails"),
        ("export", "OUT"),
    ):
        for room in ROOM_KB:
            with mounted(place, "size=8m"):
                prepare(photos, place)
                fill(place, room)
                outcomes.append(full_then_larger(f"{command[0]}, {room} kB left", photos, place, command))
    return outcomes


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    """A tmpfs of so many bytes or inodes at `place`."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def prepare(photos: Path, place: Path) -> None:
    """An index of all photos, of which two were taken away meanwhile and pruned."""
    away = sorted(photos.iterdir())[:2]
    simsearch("index", str(photos), "-i", str(place / "index"), "--model", "efficientnet_lite0")
    for path in away:
        path.rename(photos.parent / path.name)
    simsearch("index", "-i", str(place / "index"), "--prune", "--yes")
    for path in away:
        (photos.parent / path.name).rename(path)


def fill(place: Path, room: int) -> None:
    """Leave only `room` kB."""
    free = shutil.disk_usage(place).free
    with (place / "filler").open("wb") as file:
        file.write(bytes(max(0, free - room * 1024)))


def full_then_larger(name: str, photos: Path, place: Path, command: Sequence[str]) -> dict[str, Any]:
    """Run a command on a full disk, look at what is left, make room, and run it again."""
    index = place / "index"
    words = [str(place / "out") if word == "OUT" else word for word in command]
    first = simsearch(*words, "-i", str(index), *model(index, command))
    looked = simsearch("verify", "-i", str(index), "--json") if (index / "index.db").exists() else None
    subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=1k", str(place)], check=True)
    (place / "filler").unlink(missing_ok=True)
    again = simsearch(*words, "-i", str(index), *model(index, command))
    simsearch("index", str(photos), "-i", str(index))
    return {
        "name": name,
        "first": [first.returncode, first.stderr],
        "verify": looked and [looked.returncode, looked.stdout, looked.stderr],
        "again": [again.returncode, again.stderr],
        "info": json.loads(simsearch("info", "-i", str(index), "--json").stdout),
        "whole": simsearch("verify", "-i", str(index)).returncode,
    }


def model(index: Path, command: Sequence[str]) -> Sequence[str]:
    """A new index is told its model."""
    return () if (index / "index.db").exists() or command[0] != "index" else ("--model", "efficientnet_lite0")


def simsearch(*words: str) -> subprocess.CompletedProcess[str]:
    """The command line."""
    command = [sys.executable, "-m", "simsearch", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
