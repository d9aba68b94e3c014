"""Many files: a run over 100,000 that did not change, and peak memory at N and at 4N photos."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from benchmarks.peers.children import Finished, run_child, simsearch
from benchmarks.report import Table
from benchmarks.samples import make_small, originals

PER_FOLDER = 1000
PICTURES = 200
SIDE = 32
FILES_A_SECOND = 20_000
MODEL = ("--model", "efficientnet_lite0")


def unchanged(place: Path, files: int, pairs: int) -> tuple[Table, dict[str, Any]]:
    """Index so many files once, then visit them again and again when nothing has changed."""
    folder, index = place / "many", place / "index"
    fill(folder, files)
    first = run_child(simsearch("index", folder, "-i", index, *MODEL, "--json", "-q"), watch=True)
    again = simsearch("index", "-i", index, "--json", "-q")
    rounds: list[Finished] = []
    for _ in range(pairs):
        finished = run_child(again, watch=True)
        if finished.answer()["unchanged"] != files:
            raise RuntimeError(f"not all of {files} files were found unchanged")
        rounds.append(finished)
    own = [files / finished.answer()["seconds"] for finished in rounds]
    command = [files / finished.cost.wall for finished in rounds]
    cpu = [finished.cost.cpu for finished in rounds]
    columns = ("files/s", "median", "lowest", "highest", "CPU s", "peak MiB", "at least")
    rows = (
        ("first run, whole command", *[files / first.cost.wall] * 3, first.cost.cpu, first.peak, None),
        ("again, own seconds", median(own), min(own), max(own), None, None, FILES_A_SECOND),
        (
            *("again, whole command", median(command), min(command), max(command)),
            *(median(cpu), max(finished.peak for finished in rounds), None),
        ),
    )
    note = f"{PICTURES} different pictures of {SIDE} x {SIDE} and their copies, {PER_FOLDER} files a folder."
    table = Table(f"{files:,} files of which none changed; {pairs} runs", columns, rows, note)
    return table, {"files": files, "own": own, "command": command, "cpu_seconds": cpu}


def memory(place: Path, photos: int) -> tuple[Table, dict[str, Any]]:
    """Peak memory of a first run over so many small photos, and over four times as many."""
    rows, kept = [], {}
    for count in (photos, 4 * photos):
        folder = place / f"small-{count}"
        make_small(folder, count)
        finished = run_child(
            simsearch("index", folder, "-i", place / f"index-{count}", *MODEL, "--json", "-q"), watch=True
        )
        rows.append((count, finished.peak, finished.peak_below, finished.cost.wall))
        kept[str(count)] = {"peak_mib": finished.peak, "largest_worker_mib": finished.peak_below}
    columns = ("photos", "peak MiB", "peak MiB of the largest worker", "seconds")
    note = (
        "VmHWM of the command's own process and of its decoding processes; small photos, efficientnet_lite0."
    )
    return Table("Memory of a first run", columns, tuple(rows), note), kept


def fill(folder: Path, files: int) -> None:
    """So many files below a folder, copies of 200 pictures, a while old."""
    then, data = time.time() - 1000, _pictures()
    for start in range(0, files, PER_FOLDER):
        here = folder / f"{start // PER_FOLDER:04d}"
        here.mkdir(parents=True)
        for number in range(start, min(files, start + PER_FOLDER)):
            path = here / f"{number:06d}.jpg"
            path.write_bytes(data[number % PICTURES])
            os.utime(path, (then, then))


def _pictures() -> list[bytes]:
    with Image.open(originals()[0]) as image:
        photo = image.convert("RGB")
    made = []
    for number in range(PICTURES):
        stream = io.BytesIO()
        left, top = 2 * number % (photo.width - SIDE), 7 * number % (photo.height - SIDE)
        photo.crop((left, top, left + SIDE, top + SIDE)).save(stream, "JPEG", quality=90)
        # What follows the end of a JPEG is not read, and makes each a file of its own.
        made.append(stream.getvalue() + number.to_bytes(2))
    return made
