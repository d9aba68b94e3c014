"""simsearch finetune: teach a model the classes of one's own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from simsearch.cli.duplicates.showing import told
from simsearch.cli.options import Common, common_options, home
from simsearch.cli.output import answer, answer_text, note, screen

if TYPE_CHECKING:
    from simsearch.training.records import FinetuneConfig, FinetuneReport


@click.command("finetune", short_help="Teach a model the classes of your own pictures.")
@click.argument("folder", metavar="FOLDER")
@click.option("--out", required=True, metavar="FILE", help="The .safetensors file to write.")
@click.option("--model", metavar="NAME", help="Model to begin with; see simsearch models. [default: auto]")
@click.option("--weights", metavar="FILE", help="Checkpoint to begin with (.pth or .safetensors).")
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="At most so many passes over the pictures; it ends early when three in a row bring nothing.",
)
@click.option(
    "--batch-size", type=click.IntRange(min=2), default=16, show_default=True, help="Pictures a step."
)
@click.option(
    "--label-smoothing",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Share of each label that is spread over all classes.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Decides everything that is drawn at random.",
)
@click.option(
    "--device",
    metavar="auto|cpu|cuda|cuda:N|mps",
    default="auto",
    show_default=True,
    help="Where to compute.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Decoding processes. [default: one a usable core]"
)
@click.option("--resume", is_flag=True, help="Go on with the same training, which was stopped.")
@common_options
def command(
    common: Common,
    folder: str,
    out: str,
    model: str | None,
    weights: str | None,
    epochs: int,
    batch_size: int,
    label_smoothing: float,
    seed: int,
    device: str,
    workers: int | None,
    resume: bool,
) -> None:
    """Teach a model to tell the subfolders of FOLDER apart, so that pictures of one kind find each other.

    \b
    simsearch finetune flowers/ --model efficientnet_lite0 --out flowers.safetensors
    simsearch index Pictures/ -i flowers --weights flowers.safetensors

    Each subfolder is a class, with at least four pictures. A fifth of them is held out: by these pictures,
    which are never trained on, it is told what the training changed. Exit code 3 says that it did not help;
    FILE is written all the same. See docs/finetune.md.
    """
    from simsearch.models.choice import ModelChoice
    from simsearch.training.records import FinetuneConfig

    choice = ModelChoice.from_environment(model, weights)
    config = FinetuneConfig(
        choice.model,
        choice.weights,
        epochs=epochs,
        batch=batch_size,
        label_smoothing=label_smoothing,
        seed=seed,
        device=device,
        workers=workers,
        resume=resume,
    )
    report = _train(common, home(Path(folder)), home(Path(out)), config)
    _show(report, common)
    if not report.helped:
        raise click.exceptions.Exit(3)


def _train(common: Common, folder: Path, out: Path, config: FinetuneConfig) -> FinetuneReport:
    from simsearch.training.finetune import finetune

    with told(common) as shown:
        return finetune(folder, out, config, progress=shown.progress, note=shown.note)


def _show(report: FinetuneReport, common: Common) -> None:
    from simsearch.report.lines import skipped_lines
    from simsearch.report.quality.training import finetune_json, finetune_text, verdict

    for line in skipped_lines(report.skipped, more="--json"):
        note(line)
    if common.json:
        answer([finetune_json(report)])
        if not report.helped:
            note(verdict(report))
    else:
        answer_text([finetune_text(report, screen())])
