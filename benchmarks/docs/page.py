"""Writes docs/benchmarks.md: python -m benchmarks docs

The text stands beside this module in page.md. A line "<!-- results: CASE -->" there becomes the tables of
results/CASE.json, with the command, the day and the machine that they come from.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from benchmarks.report import RESULTS, load, markdown

TEXT = Path(__file__).with_name("page.md")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
SLOT = re.compile(r"^<!-- results: ([\w-]+) -->$", re.MULTILINE)
NOT_YET = "*Not measured yet.*"


@click.command("docs")
def docs() -> None:
    """Write docs/benchmarks.md from the results that are kept and the text beside them."""
    PAGE.write_text(page(), encoding="utf-8")


def page(text: Path = TEXT, results: Path = RESULTS) -> str:
    """The whole of docs/benchmarks.md. Raises ValueError for results that the text has no place for."""
    template = text.read_text(encoding="utf-8")
    slots = SLOT.findall(template)
    homeless = sorted({path.stem for path in results.glob("*.json")} - set(slots))
    if homeless:
        raise ValueError(f"{text.name} has no line for the results of {', '.join(homeless)}")
    return SLOT.sub(lambda slot: section(results / f"{slot[1]}.json"), template)


def section(path: Path) -> str:
    """The tables of one case, and below them where they come from."""
    if not path.exists():
        return NOT_YET
    whole, tables = load(path)
    machine = whole["machine"]
    place = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}"
    )
    versions = ", ".join(f"{name} {number}" for name, number in whole["versions"].items())
    source = f"`{whole['command']}`, {whole['date']}; {place}; {versions}."
    return "\n\n".join([*map(markdown, tables), source])
