"""What is struck: applying, undoing and purging, each in a fork of one warm process."""

from __future__ import annotations

from pathlib import Path

from crash.warm import serve

from simsearch.dedup.acts.apply import apply_plan
from simsearch.dedup.acts.purging.purge import purge
from simsearch.dedup.acts.reading import read_plan
from simsearch.dedup.acts.undo import undo
from simsearch.engine.index import Index


def act(action: list[str]) -> None:
    name, index, what = action
    with Index.open(Path(index)) as opened:
        if name == "apply":
            apply_plan(opened, read_plan(what), yes=True)
        elif name == "undo":
            undo(opened, what)
        elif name == "purge":
            purge(opened, what, permanently=True)
        else:
            raise AssertionError(name)


if __name__ == "__main__":
    serve(act)
