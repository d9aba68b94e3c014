"""What is struck: applying, undoing and purging, each in a fork of one warm process."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

from simsearch.dedup.acts.apply import apply_plan
from simsearch.dedup.acts.purging.purge import purge
from simsearch.dedup.acts.reading import read_plan
from simsearch.dedup.acts.undo import undo
from simsearch.engine.index import Index
from simsearch.errors import SimsearchError


def act(name: str, index: Path, what: str) -> None:
    with Index.open(index) as opened:
        if name == "apply":
            apply_plan(opened, read_plan(what), yes=True)
        elif name == "undo":
            undo(opened, what)
        elif name == "purge":
            purge(opened, what, permanently=True)
        else:
            raise AssertionError(name)


def run(action: list[str]) -> int:
    """0 when it was done, 3 for an error in words, 1 for any other."""
    try:
        act(action[0], Path(action[1]), action[2])
    except SimsearchError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 3
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    for line in sys.stdin:
        task = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.environ.update(task["environment"])
            errors = os.open(task["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(errors, 2)
            os._exit(run(task["action"]))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
