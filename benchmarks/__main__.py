"""One entry to the measurements: python -m benchmarks speed FOLDER"""

from __future__ import annotations

import click

from benchmarks.backbones import backbones
from benchmarks.speed import speed


@click.group()
def main() -> None:
    """Measure simsearch on this machine; every case runs all that it compares in one call."""


main.add_command(speed)
main.add_command(backbones)

if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
