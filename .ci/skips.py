"""Fails when a test did not run for another reason than hardware or data that is not at hand.

python .ci/skips.py REPORT.xml...    pytest's reports of --junitxml
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from xml.etree import ElementTree

ALLOWED = ("GPU:", "checkpoint:", "data:")


def skips(report: str) -> Iterator[tuple[str, str]]:
    """The test and the reason of every skip in a report; an expected failure counts as one."""
    for case in ElementTree.parse(report).iter("testcase"):
        for skipped in case.iter("skipped"):
            name = f"{case.get('classname') or ''}::{case.get('name') or ''}"
            yield name, (skipped.get("message") or "no reason given").strip()


def ran(report: str) -> int:
    """How many tests a report speaks of."""
    return sum(1 for _ in ElementTree.parse(report).iter("testcase"))


def main(reports: list[str]) -> int:
    """Print every skip; return 1 when one is not allowed or a report is empty, else 0."""
    failed = not reports
    for report in reports:
        if not ran(report):
            print(f"{report}: no test ran", file=sys.stderr)
            failed = True
        for name, reason in skips(report):
            allowed = reason.startswith(ALLOWED)
            failed |= not allowed
            print(f"{'skipped' if allowed else 'NOT ALLOWED'}: {name}: {reason}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
