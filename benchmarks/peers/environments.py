"""A virtual environment per peer, made with pip once and kept between runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

INSTALL_SECONDS = 3000
SHOWN = 200
LEFT_OUT = "\N{HORIZONTAL ELLIPSIS}"
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.+@~-]+){2,}[\\/]?")
_ADDRESS = re.compile(r"\w+://\S+")


class PeerMissing(Exception):
    """A peer could not be installed or did not finish; says why in words without a path of this machine."""


def bench_folder() -> Path:
    """Where environments and made files are kept: $SIMSEARCH_BENCH, else below the user's cache."""
    named = os.environ.get("SIMSEARCH_BENCH")
    return Path(named) if named else Path.home() / ".cache" / "simsearch-bench"


def ensure(name: str, requirements: Sequence[str]) -> Path:
    """The Python of the environment `name` with the requirements in it, made at the first call.

    What pip said lies beside it in NAME.log. Raises PeerMissing with pip's own reason.
    """
    place = bench_folder() / "envs" / name
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    mark = place / "requirements.txt"
    wanted = "".join(f"{line}\n" for line in requirements)
    if python.exists() and mark.is_file() and mark.read_text(encoding="utf-8") == wanted:
        return python
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    log = place.with_name(f"{name}.log")
    print(f"Installing {', '.join(requirements)} for the peer {name}", file=sys.stderr)
    log.unlink(missing_ok=True)
    for command in (
        [sys.executable, "-m", "venv", "--without-pip", str(place)],
        # Without ensurepip, which Debian keeps in a package of its own; an old pip backtracks for minutes.
        [sys.executable, "-m", "pip", "--python", str(python), "install", "pip>=25.3", "setuptools", "wheel"],
        [str(python), "-m", "pip", "install", *requirements],
    ):
        _run(command, log)
    mark.write_text(wanted, encoding="utf-8")
    return python


def reason(text: str) -> str:
    """The telling line of an error, short, without paths and addresses."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|Exception|ERROR)\b", line)]
    line = (telling or lines or ["no reason was given"])[-1]
    line = _PATH.sub(LEFT_OUT, _ADDRESS.sub(LEFT_OUT, line))
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}{LEFT_OUT}"


def _run(command: list[str], log: Path) -> None:
    """Run a step of the installation; raises PeerMissing."""
    try:
        with log.open("ab") as stream:
            done = subprocess.run(
                command, stdout=stream, stderr=subprocess.STDOUT, timeout=INSTALL_SECONDS, check=False
            )
    except subprocess.TimeoutExpired as exc:
        raise PeerMissing(f"pip did not finish within {INSTALL_SECONDS} s") from exc
    except OSError as exc:
        raise PeerMissing(f"not installed: {exc.strerror or exc}") from exc
    if done.returncode:
        raise PeerMissing(f"not installed: {reason(log.read_text(encoding='utf-8', errors='replace'))}")
