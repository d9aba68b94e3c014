"""simsearch weights: the weights on this machine, downloads, and checkpoints of one's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import Common, common_options, home
from simsearch.cli.output import answer, answer_text, is_terminal, note, screen

if TYPE_CHECKING:
    from simsearch.models.record import Triple
    from simsearch.models.weights.files import WeightsFile


@click.group("weights", short_help="List, fetch and import weights.")
def command() -> None:
    """List the weights on this machine, fetch those of a model, or import a checkpoint of your own."""


@click.command("list", short_help="List the weights on this machine.")
@common_options
def list_weights(common: Common) -> None:
    """List the weights on this machine and where they lie."""
    from simsearch.models.registry import list_backbones
    from simsearch.models.weights.files import locate
    from simsearch.models.weights.library import list_imported
    from simsearch.report.machine import to_json
    from simsearch.report.table import weights_table

    rows = [
        {
            "name": imported.name,
            "model": imported.model,
            "origin": f"imported from {imported.origin}",
            "sha256": imported.sha256,
            "path": str(imported.path),
            "megabytes": _megabytes(imported.path),
        }
        for imported in list_imported()
    ]
    for backbone in list_backbones():
        found = locate(backbone)
        if found is not None:
            rows.append(
                {
                    "name": backbone.name,
                    "model": backbone.name,
                    "origin": backbone.source,
                    "sha256": found.sha256,
                    "path": str(found.path),
                    "megabytes": _megabytes(found.path),
                }
            )
    if common.json:
        answer([to_json(rows)])
    else:
        answer_text([weights_table(rows, screen())])


@click.command("fetch", short_help="Fetch the weights of models.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the network at a time.",
)
@common_options
def fetch_weights(common: Common, models: tuple[str, ...], timeout: float) -> None:
    """Fetch the weights of each MODEL (of resnet50 when none is named), unless they are here.

    A download that was cut goes on where it ended (those of timm begin again). A proxy is taken from
    $https_proxy.
    """
    from simsearch.models.registry import PREFERRED
    from simsearch.report.machine import to_json
    from simsearch.report.names import visible

    rows = []
    for name in models or (PREFERRED,):
        found = _fetched(name, timeout, common)
        rows.append({"name": name, "sha256": found.sha256, "path": str(found.path)})
    if common.json:
        answer([to_json(rows)])
    else:
        answer_text(f"{row['name']}: {visible(row['path'])}\n" for row in rows)


def _fetched(name: str, timeout: float, common: Common) -> WeightsFile:
    from simsearch.models.choice import named_backbone
    from simsearch.models.weights.fetch import locate_or_fetch

    backbone = named_backbone(name)
    if common.quiet or not is_terminal(sys.stderr):
        return locate_or_fetch(backbone, (lambda _: None) if common.quiet else note, seconds=timeout)
    from simsearch.report.progress import DownloadProgress

    with DownloadProgress(sys.stderr, backbone.name) as progress:
        return locate_or_fetch(backbone, progress.note, seconds=timeout, progress=progress.update)


def _triple(_: click.Context, parameter: click.Parameter, value: str | None) -> Triple | None:
    if value is None:
        return None
    try:
        red, green, blue = (float(part) for part in value.split(","))
    except ValueError as exc:
        raise click.BadParameter(f"{value!r} is not three numbers, as 0.5,0.5,0.5", param=parameter) from exc
    return red, green, blue


@click.command("import", short_help="Import a checkpoint of your own.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", metavar="NAME", help="The model that it belongs to. [default: recognised]")
@click.option("--name", metavar="NAME", help="What to call it from now on. [default: as the model]")
@click.option("--mean", metavar="R,G,B", callback=_triple, help="Mean of the channels, on 0..1.")
@click.option("--std", metavar="R,G,B", callback=_triple, help="Standard deviation of the channels, on 0..1.")
@click.option("--resize", type=click.IntRange(min=1), help="Pixels of the shorter side.")
@click.option("--crop", type=click.IntRange(min=1), help="Pixels of the square that is cut out.")
@click.option("--interpolation", type=click.Choice(["bilinear", "bicubic"]), help="How pictures are resized.")
@common_options
def import_checkpoint(
    common: Common,
    file: Path,
    model: str | None,
    name: str | None,
    mean: Triple | None,
    std: Triple | None,
    resize: int | None,
    crop: int | None,
    interpolation: str | None,
) -> None:
    """Copy a checkpoint (.pth or .safetensors), so that --model finds it by name; says what it is.

    Code in a pickle is never run. Without --mean, --std, --resize, --crop and --interpolation pictures are
    prepared as the model's own weights want them.
    """
    from simsearch.models.weights.importing import Preparation, import_weights
    from simsearch.report.lines import weights_lines
    from simsearch.report.machine import to_json

    preparation = Preparation(mean, std, resize, crop, interpolation)
    report = import_weights(home(file), model=model, name=name, preparation=preparation)
    if common.json:
        answer([to_json(report)])
    else:
        answer_text(weights_lines(report))


def _megabytes(path: Path) -> float:
    return round(path.stat().st_size / 1e6, 1) if path.is_file() else 0.0


for subcommand in (list_weights, fetch_weights, import_checkpoint):
    command.add_command(subcommand)
