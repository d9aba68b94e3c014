"""Runs a peer's script in that peer's environment: without network, without telemetry, with a time limit."""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import Cost
from benchmarks.peers.children import ChildFailed, run_child
from benchmarks.peers.environments import PeerMissing, bench_folder, reason

SCRIPTS = Path(__file__).resolve().parent / "scripts"
REPO = str(SCRIPTS.parents[2])
SECONDS = 1800.0
QUIET = {
    "DO_NOT_TRACK": "1",
    "SENTRY_OPT_OUT": "1",
    "SENTRY_DSN": "",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "PYTHONWARNINGS": "ignore",
}
"""Each is read by a peer or by a package below one; offline they would wait for answers."""


_FETCHING = re.compile(r"URLError|ConnectionError|MaxRetryError|name resolution|Name or service not known")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer's script told in its one line of JSON, and what the whole command cost."""

    told: dict[str, object]
    cost: Cost


def ask(python: Path, script: str, arguments: Sequence[str | Path], seconds: float = SECONDS) -> Answer:
    """Run scripts/`script` with a peer's Python in an empty folder. Raises PeerMissing."""
    home = bench_folder()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as place:
        command = [*_offline(), str(python), str(SCRIPTS / script), *map(str, arguments)]
        try:
            # What a peer keeps at home, such as models, must not come from an earlier run.
            environment = {**QUIET, "HOME": place, "TORCH_HOME": place, "WORK": place, "PYTHONPATH": REPO}
            finished = run_child(command, environment=environment, seconds=seconds)
            return Answer(dict(finished.answer()), finished.cost)
        except ChildFailed as exc:
            raise PeerMissing(_why(str(exc))) from exc


def _why(said: str) -> str:
    """Why a peer failed: without network, what it fetches at its first use cannot come."""
    line = reason(said)
    return "its weights could not be downloaded here" if _FETCHING.search(line) else line


@functools.cache
def _offline() -> tuple[str, ...]:
    """What goes before a command so that it sees no network; nothing where the system does not allow it."""
    for start in (("unshare", "-n"), ("unshare", "-r", "-n")):
        try:
            subprocess.run([*start, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return start
    return ()
