"""simsearch models: the models by name, and which of them are on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, screen

if TYPE_CHECKING:
    from simsearch.models.record import Backbone
    from simsearch.models.weights.library import Imported
    from simsearch.spec import EmbeddingSpec


@click.command("models", short_help="List the models and which are on this machine.")
@click.argument("pattern", required=False)
@common_options
def command(common: Common, pattern: str | None) -> None:
    """List the models, all or those whose name holds PATTERN.

    For each: the length of its vectors, size and licence of its weights, whether they are here already, and
    what runs it on a CPU (onnx is quicker; torch where a network cannot be exported). With -i, the model of
    that index is marked. Networks of timm that end in one linear classifier work as timm/NAME, with the
    extra timm.
    """
    from simsearch.models.registry import list_backbones
    from simsearch.models.weights.files import locate
    from simsearch.models.weights.library import list_imported
    from simsearch.report.machine import to_json
    from simsearch.report.table import models_table

    imported = {item.name: _of_import(item) for item in list_imported()}
    known = [imported.pop(backbone.name, backbone) for backbone in list_backbones()]
    backbones = [backbone for backbone in (*imported.values(), *known) if (pattern or "") in backbone.name]
    used = _spec_of(common.index) if common.index is not None else None
    models = [
        {
            "name": backbone.name,
            "dim": backbone.dim,
            "megabytes": backbone.megabytes,
            "licence": backbone.licence,
            "runtime": backbone.runtime,
            "source": backbone.source,
            "at_hand": locate(backbone) is not None,
            "in_use": _is_used(backbone, used),
        }
        for backbone in backbones
    ]
    if common.json:
        answer([to_json(models)])
    else:
        answer_text([models_table(models, screen())])


def _of_import(item: Imported) -> Backbone:
    """What is known of an imported checkpoint, also where its network needs a package that is not here."""
    from dataclasses import replace

    from simsearch.errors import SimsearchError
    from simsearch.models.record import Backbone
    from simsearch.models.registry import get_backbone

    try:
        base = get_backbone(item.model)
    except SimsearchError:
        base = Backbone(
            *(item.model, 0, item.resize, item.crop, item.interpolation, item.mean, item.std),
            *(item.model, "", "", 0.0, item.file, item.sha256),
        )
    return replace(item.backbone(base), name=item.name)


def _is_used(backbone: Backbone, used: EmbeddingSpec | None) -> bool:
    if used is None:
        return False
    if backbone.place is not None:
        return backbone.sha256 == used.weights_sha256
    return backbone.name == used.backbone and used.weights_sha256.startswith(backbone.sha256)


def _spec_of(index: str) -> EmbeddingSpec:
    from simsearch.engine.index import Index

    with Index.open(index) as opened:
        return opened.spec
