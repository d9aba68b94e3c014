"""simsearch models: the models by name, and which of them are on this machine."""

from __future__ import annotations

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, screen


@click.command("models", short_help="List the models and which are on this machine.")
@common_options
def command(common: Common) -> None:
    """List the models: vector length, size, licence, source, and whether the weights are here already.

    With -i, the model of that index is marked.
    """
    from simsearch.models.registry import list_backbones
    from simsearch.models.weights import locate
    from simsearch.report.machine import to_json
    from simsearch.report.table import models_table

    used = _model_of(common.index) if common.index is not None else None
    models = [
        {
            "name": backbone.name,
            "dim": backbone.dim,
            "megabytes": backbone.megabytes,
            "licence": backbone.licence,
            "source": backbone.source,
            "at_hand": locate(backbone) is not None,
            "in_use": backbone.name == used,
        }
        for backbone in list_backbones()
    ]
    if common.json:
        answer([to_json(models)])
    else:
        answer_text([models_table(models, screen())])


def _model_of(index: str) -> str:
    from simsearch.engine.index import Index

    with Index.open(index) as opened:
        return opened.spec.backbone
