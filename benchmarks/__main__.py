"""One entry to the measurements: python -m benchmarks CASE"""

from __future__ import annotations

import click

from benchmarks.backbones import backbones
from benchmarks.browser.case import browser
from benchmarks.browser.screens import screens
from benchmarks.categories import categories
from benchmarks.centring.case import centring
from benchmarks.dedup.case import dedup
from benchmarks.docs.page import docs
from benchmarks.finetune import learning
from benchmarks.indexing.case import indexing
from benchmarks.levers.case import levers
from benchmarks.milvus import milvus
from benchmarks.precision.case import precision
from benchmarks.ray import ray
from benchmarks.scale.case import scale
from benchmarks.search.command import search
from benchmarks.serve.case import serve
from benchmarks.startup.case import startup
from benchmarks.tiles.case import tiles


@click.group()
def main() -> None:
    """Measure simsearch on this machine; every case runs all that it compares in one call."""


main.add_command(indexing)
main.add_command(search)
main.add_command(milvus)
main.add_command(startup)
main.add_command(scale)
main.add_command(precision)
main.add_command(centring)
main.add_command(levers)
main.add_command(learning)
main.add_command(tiles)
main.add_command(ray)
main.add_command(backbones)
main.add_command(categories)
main.add_command(dedup)
main.add_command(browser)
main.add_command(screens)
main.add_command(serve)
main.add_command(docs)

if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
