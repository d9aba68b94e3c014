"""Indexing speed of a folder: decoding alone, the network alone, and both overlapped end to end."""

from __future__ import annotations

import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import click
import numpy as np

from simsearch.engine.indexing import IndexingConfig, index_folder
from simsearch.media.pool import DecodePool
from simsearch.models.choice import ModelChoice
from simsearch.models.embedder import Embedder
from simsearch.models.runners import available_threads
from simsearch.records import Decoded

T = TypeVar("T")

PACKAGES = ("onnxruntime", "torch", "faiss-cpu", "pillow", "numpy")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", default="auto", show_default=True)
@click.option("--weights", type=click.Path(exists=True, dir_okay=False))
@click.option("--photos", default=500, show_default=True, help="At most so many photos.")
@click.option(
    "--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures to a file."
)
def speed(folder: Path, model: str, weights: str | None, photos: int, target: Path | None) -> None:
    """Photos a second of FOLDER: decoding alone (D), the network alone (F), end to end."""
    embedder = Embedder(model, weights=weights)
    embedder.load()
    paths = sorted(os.fsencode(p) for p in folder.rglob("*") if p.is_file())[:photos]
    workers = available_threads()
    with DecodePool(workers, embedder.spec.framing) as pool, ThreadPoolExecutor(workers) as threads:
        list(threads.map(pool.read, paths[:workers]))
        outcomes, decoding = timed(lambda: list(threads.map(pool.read, paths)))
    pixels = [outcome.pixels for outcome in outcomes if isinstance(outcome, Decoded)]
    if not pixels:
        raise click.ClickException(f"No photo in {folder} could be read. Name a folder with photos.")
    batches = [np.stack(pixels[i : i + 32]) for i in range(0, len(pixels), 32)]
    embedder.embed(batches[0])
    _, forward = timed(lambda: [embedder.embed(batch) for batch in batches])
    with tempfile.TemporaryDirectory() as place:
        config = IndexingConfig(choice=ModelChoice(model=model, weights=weights))
        wanted = [os.fsdecode(path) for path in paths]
        report, whole = timed(lambda: index_folder(wanted, Path(place) / "index", config))
    rates = {
        "decode only": len(pixels) / decoding[0],
        "forward only": len(pixels) / forward[0],
        "end to end": report.embedded / whole[0],
    }
    cpu = {"decode only": decoding[1], "forward only": forward[1], "end to end": whole[1]}
    bound = 1 / (1 / rates["decode only"] + 1 / rates["forward only"])
    figures = {
        "machine": f"{processor()}, {workers} threads",
        "versions": {name: version(name) for name in PACKAGES},
        "model": embedder.spec.backbone,
        "photos": len(pixels),
        "photos_per_second": rates,
        "cpu_seconds": cpu,
        "end to end / (1/(1/F + 1/D))": rates["end to end"] / bound,
    }
    click.echo(f"{figures['machine']}; {embedder.spec.backbone}, {len(pixels)} photos")
    click.echo(", ".join(f"{name} {version(name)}" for name in PACKAGES))
    for name, rate in rates.items():
        click.echo(f"{name:14} {rate:8.1f} photos/s {cpu[name]:8.2f} CPU s")
    click.echo(f"end to end is {rates['end to end'] / bound:.2f} of 1/(1/F + 1/D) = {bound:.1f} photos/s")
    if target is not None:
        target.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def timed(work: Callable[[], T]) -> tuple[T, tuple[float, float]]:
    """A result, and the wall and CPU seconds (children's too) that it took."""
    wall, before = time.perf_counter(), cpu_seconds()
    result = work()
    return result, (time.perf_counter() - wall, cpu_seconds() - before)


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children, those that have ended and those that live."""
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both) + living_children()


def living_children() -> float:
    """CPU seconds so far of the children that live, such as decoding workers; 0 without Linux's /proc."""
    own, ticks = str(os.getpid()), 0
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may hold spaces; state, parent and the rest come after it.
            fields = place.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == own:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
