"""What a warm process does: each line of its input is a command, done in a fork of its own.

A line is JSON: `environment` for the preloaded library, `action`, and where the errors of the child go.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable

from simsearch.errors import SimsearchError

Act = Callable[[list[str]], None]


def serve(act: Act) -> None:
    """Do what comes in: the status is 0 when it was done, 3 for an error in words, 1 for any other."""
    for line in sys.stdin:
        task = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.environ.update(task["environment"])
            errors = os.open(task["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(errors, 2)
            os._exit(_status(act, task["action"]))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _status(act: Act, action: list[str]) -> int:
    try:
        act(action)
    except SimsearchError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 3
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
