"""Writes docs/benchmarks.md, docs/quality.md and docs/scale.md: python -m benchmarks docs

Their texts stand beside this module in page.md, quality.md and scale.md. A line "<!-- results: CASE -->"
there becomes the tables of results/CASE.json, with the command, the day and the machine that they come from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import click

from benchmarks.report import RESULTS, load, markdown

HERE, DOCS = Path(__file__).parent, Path(__file__).resolve().parents[2] / "docs"
PAGES = {
    HERE / "page.md": DOCS / "benchmarks.md",
    HERE / "quality.md": DOCS / "quality.md",
    HERE / "scale.md": DOCS / "scale.md",
}
SLOT = re.compile(r"^<!-- results: ([\w-]+) -->$", re.MULTILINE)
NOT_YET = "*Not measured yet.*"


@click.command("docs")
def docs() -> None:
    """Write docs/benchmarks.md, docs/quality.md and docs/scale.md from the kept results and the texts."""
    for target, whole in pages().items():
        target.write_text(whole, encoding="utf-8")


def pages(texts: Mapping[Path, Path] = PAGES, results: Path = RESULTS) -> dict[Path, str]:
    """The whole of each page, by its place. Raises ValueError for results that no text has a place for."""
    templates = {target: text.read_text(encoding="utf-8") for text, target in texts.items()}
    slots = {slot for template in templates.values() for slot in SLOT.findall(template)}
    homeless = sorted({path.stem for path in results.glob("*.json")} - slots)
    if homeless:
        raise ValueError(f"No text has a line for the results of {', '.join(homeless)}")
    return {
        target: SLOT.sub(lambda slot: section(results / f"{slot[1]}.json"), template)
        for target, template in templates.items()
    }


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
