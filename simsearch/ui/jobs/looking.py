"""A look at a folder before it is indexed: how many photos, how long they take, and by which model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile

from simsearch.engine.indexing.estimate import WorkList, estimate
from simsearch.engine.indexing.survey import Candidate
from simsearch.errors import RootMissing
from simsearch.media.pool import DecodePool
from simsearch.media.scan import ScannedFile
from simsearch.media.sources.walk import scan
from simsearch.models.choice import ALWAYS_HERE, ModelChoice, named_backbone, resolve
from simsearch.models.embedder import Embedder
from simsearch.models.registry import PREFERRED
from simsearch.models.runners import available_threads
from simsearch.models.weights.files import locate
from simsearch.paths import canonical
from simsearch.storage.catalog import Root

PATIENCE = 60.0
"""So many seconds are spent on counting; what is left then is not counted."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a folder seems to hold.

    Attributes:
        folder: its absolute path.
        photos: pictures by their names.
        files: all files that would be opened.
        whole: whether everything was counted.
        seconds: about how long indexing takes; 0 where there is nothing to read.
        model: the model that an index is made with unless another one is named.
        at_hand: whether its weights are on this machine; else they are fetched first, or another is used.
    """

    folder: str
    photos: int
    files: int
    whole: bool
    seconds: float
    model: str
    at_hand: bool


def look_at(
    folder: str, *, progress: Callable[[str, int, int | None], None], note: Callable[[str], None]
) -> Look:
    """Count the photos below `folder`, then read and embed a few of them to see how long it takes.

    Nothing is fetched and no index is made; where the weights of the usual model are not here, the model that
    comes with simsearch is measured. Raises RootMissing.
    """
    root = canonical(folder)
    if not os.path.exists(root):
        raise RootMissing(f"{folder} does not exist. Look for its right name.")
    until = time.monotonic() + PATIENCE
    work, whole = WorkList(), True

    def found() -> Iterator[Candidate]:
        nonlocal whole
        for item in takewhile(lambda _: time.monotonic() < until, scan(root)):
            if isinstance(item, ScannedFile):
                yield Candidate(Root(0, root), item.relpath, item.stat, None)
        whole = time.monotonic() < until

    work.gather(found(), lambda: progress("counting photos", work.photos, None))
    choice = ModelChoice.from_environment()
    name = PREFERRED if choice.model == "auto" else choice.model
    at_hand = choice.weights is not None or locate(named_backbone(name)) is not None
    seconds = _measured(work, choice if at_hand else ModelChoice(ALWAYS_HERE), progress, note)
    return Look(folder, work.photos, work.files, whole, seconds, name, at_hand)


def _measured(
    work: WorkList,
    choice: ModelChoice,
    progress: Callable[[str, int, int | None], None],
    note: Callable[[str], None],
) -> float:
    if not work.photos:
        return 0.0
    progress("reading a few of them, to see how long it takes", 0, None)
    resolved = resolve(choice, note=note)
    embedder = Embedder.for_spec(resolved.spec, resolved.weights_path, note=note, bulk=True)
    workers = available_threads()
    with DecodePool(workers, resolved.spec.framing) as pool:
        return estimate(work, pool, embedder, lambda digest: False, workers)
