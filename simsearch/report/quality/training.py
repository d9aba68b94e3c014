"""What a fine-tuning came to -> JSON, and text for a person."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from simsearch.report.machine import to_json
from simsearch.report.names import visible
from simsearch.report.table import PLAIN, Screen, new_table, render, shown_name

if TYPE_CHECKING:
    from rich.console import RenderableType

    from simsearch.training.records import FinetuneReport

SHOWN_CLASSES = 50


def finetune_json(report: FinetuneReport) -> bytes:
    """{out, sha256, model, …, classes, skipped, mAP: {held_out, validation}, helped, epochs}."""
    return to_json(
        {
            "out": report.out,
            "sha256": report.sha256,
            "model": report.model,
            "weights_sha256": report.weights_sha256,
            "device": report.device,
            "seed": report.seed,
            "classes": [
                {
                    "class": count.name,
                    "training": count.training,
                    "validation": count.validation,
                    "held_out": count.held_out,
                }
                for count in report.classes
            ],
            "left_out": list(report.left_out),
            "skipped": [asdict(item) for item in report.skipped],
            "held_out_mAP": {
                "before": report.before,
                "after": report.after,
                "difference_95": [report.low, report.high],
            },
            "helped": report.helped,
            "validation_mAP_before": report.validation_before,
            "epochs": [
                {"epoch": epoch.number, "loss": epoch.loss, "validation_mAP": epoch.validation}
                for epoch in report.epochs
            ],
            "best_epoch": report.best,
            "seconds": report.seconds,
        }
    )


def finetune_text(report: FinetuneReport, screen: Screen = PLAIN) -> str:
    """How many pictures of each class there were, what the training changed, and how to use the outcome."""
    table = new_table(
        ("training", "right"), ("validation", "right"), ("held out", "right"), ("class", "left")
    )
    for count in report.classes[:SHOWN_CLASSES]:
        cells = (f"{number:,}" for number in (count.training, count.validation, count.held_out))
        table.add_row(*cells, shown_name(count.name))
    parts: list[RenderableType] = [table]
    more = len(report.classes) - SHOWN_CLASSES
    if more > 0:
        parts.append(f"and {more:,} more; --json lists all")
    queries = sum(count.held_out for count in report.classes)
    parts += [
        "",
        f"mAP of the {queries:,} held-out pictures: {report.before:.4f} before, {report.after:.4f} after "
        f"(95 % interval of the difference: {report.low:+.4f} to {report.high:+.4f})",
        verdict(report),
        f"Wrote {visible(report.out)}, the weights of {report.model} after epoch {report.best} of "
        f"{len(report.epochs)}.",
    ]
    return render(screen, *parts)


def verdict(report: FinetuneReport) -> str:
    """Whether it helped, plainly."""
    if not report.helped:
        return (
            "It did not help: pictures that were not trained on find each other no better than before. "
            "The checkpoint was written all the same; better keep to the weights it began with."
        )
    if report.low <= 0:
        return "It helped a little, by no more than chance may bring with so few held-out pictures."
    return "It helped: pictures that were not trained on find each other better than before."
