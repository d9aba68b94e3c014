"""simsearch index: make an index of folders of photos, or bring it up to date."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import Common, common_options, home
from simsearch.cli.output import answer, answer_text, is_terminal, note

if TYPE_CHECKING:
    from simsearch.engine.cluster.config import RayConfig
    from simsearch.engine.indexing import IndexingConfig
    from simsearch.records import IndexReport


PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}


@click.command("index")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--model", metavar="NAME", help="Model of a new index; see simsearch models. [default: auto]")
@click.option("--weights", metavar="FILE", help="Checkpoint to use (.pth or .safetensors).")
@click.option(
    "--pooling",
    type=click.Choice(["avg", "max", "gem"]),
    default="avg",
    show_default=True,
    help="How the last feature map becomes a vector.",
)
@click.option(
    "--device",
    metavar="auto|cpu|cuda|cuda:N|mps",
    default="auto",
    show_default=True,
    help="Where to compute.",
)
@click.option(
    "--runtime",
    type=click.Choice(["auto", "onnx", "torch"]),
    default="auto",
    show_default=True,
    help="What runs the network; auto is onnx on a CPU, torch elsewhere.",
)
@click.option(
    "--precision",
    type=click.Choice(list(PRECISIONS)),
    help="Arithmetic of a new index on a CPU: int8 and bf16 are quicker, and other kinds of vectors. "
    "[default: fp32]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Photos a forward pass. [default: 8 on a CPU, where passes run side by side, else 64]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Decoding processes; by Ray those of an actor, which takes as many CPUs. "
    "[default: one a usable core; by Ray up to 4]",
)
@click.option(
    "--exclude",
    metavar="GLOB",
    multiple=True,
    help="Pass over names that match, or paths below the folder when it holds a slash; may be repeated. "
    "Remembered for the folder until it is given again; --exclude '' ends it. "
    "Always passed over: ._*, @eaDir, .git, node_modules, thumbnails and trash folders.",
)
@click.option(
    "--hidden/--no-hidden",
    default=None,
    help="Also take files and folders whose names begin with a dot; remembered like --exclude.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(1, 10**12),
    metavar="N",
    help="Skip pictures with more pixels, and remember that for the index. [default: 178956970]",
)
@click.option(
    "--tiles",
    is_flag=True,
    help="Also look at overlapping parts of each photo, so that a crop finds its whole; remembered for the "
    "index. Takes ten times as long and as much room.",
)
@click.option("--prune", is_flag=True, help="Forget photos whose files are gone.")
@click.option("--yes", is_flag=True, help="With --prune: also when more than a tenth is gone.")
@click.option("--strict", is_flag=True, help="Exit with 3 when a file was skipped.")
@click.option("--retry-skipped", is_flag=True, help="Try again what was skipped before, changed or not.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="What reads and embeds: this machine, or a Ray cluster.",
)
@click.option(
    "--ray-address",
    metavar="local|auto|HOST:PORT",
    help="With --engine ray: start a cluster on this machine, or use the one that it is a node of. "
    "[default: local]",
)
@click.option(
    "--shard-size",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="With --engine ray: at most so many files a shard. [default: 1024]",
)
@click.option(
    "--shard-dir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --engine ray: a folder that all nodes see, for shards that are not committed yet. "
    "[default: shards in the index]",
)
@click.option("--repair", is_flag=True, help="First mend what verify found damaged; read again only that.")
@common_options
def command(
    common: Common,
    paths: tuple[str, ...],
    model: str | None,
    weights: str | None,
    pooling: str,
    device: str,
    runtime: str,
    precision: str | None,
    batch_size: int | None,
    workers: int | None,
    exclude: tuple[str, ...],
    hidden: bool | None,
    max_pixels: int | None,
    tiles: bool,
    prune: bool,
    yes: bool,
    strict: bool,
    retry_skipped: bool,
    engine: str,
    ray_address: str | None,
    shard_size: int | None,
    shard_dir: Path | None,
    repair: bool,
) -> None:
    """Index photos below PATHs, or bring the index up to date.

    A PATH is a folder or a photo, a zip or tar file, or a URL of a bucket, a web server or a shard (s3://,
    gs://, https://; see docs/sources.md). Without one the folders of the index are visited again. Only what
    is new or changed is read.
    """
    from simsearch.engine.indexing import IndexingConfig
    from simsearch.models.choice import ModelChoice

    config = IndexingConfig(
        choice=ModelChoice(
            model or "auto", weights, pooling, device, runtime, PRECISIONS[precision] if precision else None
        ),
        batch_size=batch_size,
        workers=workers,
        exclude=exclude or None,
        hidden=hidden,
        max_pixels=max_pixels,
        tiles=tiles,
        prune=prune,
        yes=yes,
        retry_skipped=retry_skipped,
        repair=repair,
        ray=_ray(engine, ray_address, shard_size, shard_dir),
    )
    report = _run(paths, common, config)
    _show(report, common)
    if report.skipped and not report.added + report.updated + report.moved + report.unchanged:
        note(f"Error: none of {len(report.skipped)} images could be indexed; the reasons are above.")
        raise click.exceptions.Exit(1)
    if strict and report.skipped:
        raise click.exceptions.Exit(3)


def _ray(
    engine: str, address: str | None, shard_size: int | None, shard_dir: Path | None
) -> RayConfig | None:
    from simsearch.engine.cluster.config import LOCAL, SHARD_SIZE, RayConfig

    if engine == "ray":
        return RayConfig(address or LOCAL, shard_size or SHARD_SIZE, home(shard_dir) if shard_dir else None)
    for flag, value in (("--ray-address", address), ("--shard-size", shard_size), ("--shard-dir", shard_dir)):
        if value is not None:
            raise click.UsageError(f"{flag} goes with --engine ray.")
    return None


def _run(paths: tuple[str, ...], common: Common, config: IndexingConfig) -> IndexReport:
    from simsearch.engine.indexing import index_folder

    if common.quiet or not is_terminal(sys.stderr):
        return index_folder(paths, common.index, config, note=note)
    from simsearch.report.progress import IndexProgress

    with IndexProgress(sys.stderr) as progress:
        return index_folder(paths, common.index, config, progress=progress.update, note=progress.note)


def _show(report: IndexReport, common: Common) -> None:
    from simsearch.report.lines import index_line, skipped_lines
    from simsearch.report.machine import to_json

    nothing = not report.added + report.updated + report.moved + report.unchanged
    if not common.quiet or nothing:
        for line in skipped_lines(report.skipped, more=f"simsearch info --skipped{common.index_flag}"):
            note(line)
    if common.json:
        answer([to_json(report)])
    else:
        answer_text([index_line(report) + "\n"])
