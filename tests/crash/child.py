"""What is struck: commands that write, each in a fork of one warm process that reads them from its input.

A line is JSON: `environment` for the preloaded library, `action`, and where the errors of the child go.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

from simsearch.engine.exchange import importing
from simsearch.engine.exchange.origin import Origin
from simsearch.engine.indexing import IndexingConfig, index_folder
from simsearch.engine.maintenance import view
from simsearch.engine.maintenance.compact import compact
from simsearch.engine.maintenance.remove import remove
from simsearch.errors import SimsearchError
from simsearch.models import embedder, runners  # noqa: F401  (loaded once, before any fork)
from simsearch.models.choice import ModelChoice

LITE0 = ModelChoice(model="efficientnet_lite0")


def act(name: str, arguments: list[str]) -> None:
    """One command, with commits after few photos so that there are many."""
    index = arguments[0]
    if name == "index":
        index_folder(arguments[1], index, IndexingConfig(choice=LITE0, batch_size=4, commit_photos=4))
    elif name == "again":
        flags = dict.fromkeys(arguments[1:], True)
        index_folder((), index, IndexingConfig(batch_size=4, commit_photos=4, **flags))  # type: ignore[arg-type]
    elif name == "compact":
        compact(index)
    elif name == "remove":
        remove([arguments[1]], index, yes=True)
    elif name == "rebuild":
        view.rebuild(index, view=arguments[1])
    elif name == "import":
        importing.COMMIT_PHOTOS = 4
        importing.import_embeddings(Origin(Path(arguments[1])), index)
    elif name == "migrate":
        from crash import format0

        format0.open_old(Path(index))
    else:
        raise AssertionError(name)


def run(action: list[str]) -> int:
    """0 when it was done, 3 for an error in words, 1 for any other."""
    try:
        act(action[0], action[1:])
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
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(status, flush=True)


if __name__ == "__main__":
    main()
