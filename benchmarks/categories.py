"""Makes the table of ImageNet's classes: the names that torchvision's weights carry."""

from __future__ import annotations

import csv
from pathlib import Path

import click

from simsearch.models.labels import names

TABLE = Path(names.__file__).with_name("imagenet.csv")


@click.command("categories")
def categories() -> None:
    """Write the table of ImageNet's classes anew.

    The names are `meta["categories"]` of torchvision's weights, which are the same for all of them.
    """
    from torchvision.models import ResNet50_Weights

    with TABLE.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["class", "name"])
        writer.writerows(enumerate(ResNet50_Weights.DEFAULT.meta["categories"]))
    click.echo(f"Wrote {TABLE}")
