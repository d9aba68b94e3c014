"""Goes on as another program of this package: servers and this command line do not know each other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click


def become(module: str, arguments: Sequence[str]) -> None:
    """Go on as `python -m module`; this process does not come back."""
    line = [sys.executable, "-P", "-m", module, *arguments]
    package = str(Path(__file__).resolve().parents[3])
    search = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), package]))
    environment = {**os.environ, "PYTHONPATH": search}
    if sys.platform == "win32":
        # There a process that goes on as another one is over for whoever waits for it.
        raise click.exceptions.Exit(subprocess.call(line, env=environment))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(line[0], line, environment)
