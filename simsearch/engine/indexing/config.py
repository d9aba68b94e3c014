"""How to index: the options of one run, and the rules that each root keeps from run to run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from simsearch.engine.cluster.config import RayConfig
from simsearch.engine.index import Index
from simsearch.engine.indexing.survey import Scope
from simsearch.media.scan import ScanRules
from simsearch.models.choice import ModelChoice
from simsearch.paths import text
from simsearch.storage import catalog, writer
from simsearch.storage.database import Database

COMMIT_PHOTOS, COMMIT_SECONDS = 256, 5.0


@dataclass(frozen=True, slots=True)
class IndexingConfig:
    """How to index.

    Attributes:
        choice: the model of a new index; an existing one keeps its own.
        batch_size: pictures a forward pass; None is 8 on a CPU, where passes run side by side, else 64.
        workers: decoding processes; None is one a usable core. With `ray` those of an actor, which takes as
            many CPUs; None is up to 4.
        exclude, hidden: see `simsearch.media.scan.ScanRules`; None keeps what the folder was last given.
        max_pixels: pictures with more are skipped (a JPEG counts as it comes out of its reduced decode);
            None keeps what the index was last given.
        tiles: also make vectors of tiles; an index that has them gets them for new photos in any case.
        prune: forget files that were deleted; `yes` also when they are more than a tenth.
        retry_skipped: read again what was skipped for a permanent reason.
        repair: first mend what `verify` finds damaged, so that just those photos are read again.
        commit_photos, commit_seconds: a commit comes after so many pictures or seconds.
        ray: read and embed on a Ray cluster; None is this process and its workers.
    """

    choice: ModelChoice = field(default_factory=ModelChoice)
    batch_size: int | None = None
    workers: int | None = None
    exclude: tuple[str, ...] | None = None
    hidden: bool | None = None
    max_pixels: int | None = None
    tiles: bool = False
    prune: bool = False
    yes: bool = False
    retry_skipped: bool = False
    repair: bool = False
    commit_photos: int = COMMIT_PHOTOS
    commit_seconds: float = COMMIT_SECONDS
    ray: RayConfig | None = None


def with_rules(
    database: Database, scopes: Iterable[Scope], config: IndexingConfig, note: Callable[[str], None]
) -> list[Scope]:
    """The scopes with the rules of their roots, changed as `config` says.

    What is said of a whole root is kept for later runs; of a part of it, it holds for this run. Rules of
    an earlier run that hold are told to `note`.
    """
    with database.read() as connection:
        settings = catalog.read_settings(connection)
    ruled: list[Scope] = []
    for scope in scopes:
        key = writer.rules_key(scope.root.id)
        kept = rules = ScanRules(*catalog.rules_of(settings, key))
        if config.exclude is not None:
            rules = replace(rules, exclude=tuple(glob for glob in config.exclude if glob))
        if config.hidden is not None:
            rules = replace(rules, hidden=config.hidden)
        if not scope.below and rules != kept:
            told = {"exclude": list(rules.exclude), "hidden": rules.hidden}
            with database.write() as connection:
                writer.put_settings(connection, {key: json.dumps(told)})
        if key in settings and rules != ScanRules() and config.exclude is None and config.hidden is None:
            note(f"{text(scope.root.path)}: {_in_words(rules)}, as given before.")
        ruled.append(replace(scope, rules=rules))
    return ruled


def _in_words(rules: ScanRules) -> str:
    words = [f"passing over {', '.join(rules.exclude)}"] if rules.exclude else []
    return " and ".join([*words, *(["taking hidden files"] if rules.hidden else [])])


def settled_max_pixels(index: Index, config: IndexingConfig) -> int:
    """The limit of pixels of this run, kept with the index when it was given."""
    wanted = config.max_pixels or index.max_pixels
    if wanted != index.max_pixels:
        with index.database.write() as connection:
            writer.put_settings(connection, {"max_pixels": str(wanted)})
    return wanted
