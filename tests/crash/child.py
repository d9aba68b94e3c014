"""What is struck: commands that write, each in a fork of one warm process."""

from __future__ import annotations

from pathlib import Path

from crash.warm import serve
from simsearch.engine.exchange import importing
from simsearch.engine.exchange.origin import Origin
from simsearch.engine.indexing import IndexingConfig, index_folder
from simsearch.engine.maintenance import view
from simsearch.engine.maintenance.compact import compact
from simsearch.engine.maintenance.remove import remove
from simsearch.models import embedder, runners  # noqa: F401  (loaded once, before any fork)
from simsearch.models.choice import ModelChoice

LITE0 = ModelChoice(model="efficientnet_lite0")


def act(action: list[str]) -> None:
    """One command, with commits after few photos so that there are many."""
    name, *arguments = action
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


if __name__ == "__main__":
    serve(act)
