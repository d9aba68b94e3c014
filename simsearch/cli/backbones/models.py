"""simsearch models: the models by name, and which of them are on this machine."""

from __future__ import annotations

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, screen


@click.command("models", short_help="List the models and which are on this machine.")
@click.argument("pattern", required=False)
@common_options
def command(common: Common, pattern: str | None) -> None:
    """List the models, all or those whose name holds PATTERN.

    For each: the length of its vectors, size and licence of its weights, whether they are here already, and
    what runs it on a CPU (onnx is quicker; torch where a network cannot be exported). With -i, the model of
    that index is marked. Any network of timm works as timm/NAME, with the extra timm.
    """
    from dataclasses import replace

    from simsearch.models.choice import named_backbone
    from simsearch.models.registry import list_backbones
    from simsearch.models.weights.files import locate
    from simsearch.models.weights.library import list_imported
    from simsearch.report.machine import to_json
    from simsearch.report.table import models_table

    imported = {item.name: replace(named_backbone(item.name), name=item.name) for item in list_imported()}
    known = [imported.pop(backbone.name, backbone) for backbone in list_backbones()]
    backbones = [backbone for backbone in (*imported.values(), *known) if (pattern or "") in backbone.name]
    used = _model_of(common.index) if common.index is not None else None
    models = [
        {
            "name": backbone.name,
            "dim": backbone.dim,
            "megabytes": backbone.megabytes,
            "licence": backbone.licence,
            "runtime": backbone.runtime,
            "source": backbone.source,
            "at_hand": locate(backbone) is not None,
            "in_use": backbone.name == used,
        }
        for backbone in backbones
    ]
    if common.json:
        answer([to_json(models)])
    else:
        answer_text([models_table(models, screen())])


def _model_of(index: str) -> str:
    from simsearch.engine.index import Index

    with Index.open(index) as opened:
        return opened.spec.backbone
