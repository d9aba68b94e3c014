"""Whether an index keeps labels: settled before its first photo, and for good."""

from __future__ import annotations

from collections.abc import Callable

from simsearch.engine.index import Index
from simsearch.models.embedder import Embedder
from simsearch.models.labels.classifier import why_none
from simsearch.models.labels.labeller import Labeller
from simsearch.models.labels.names import name_of
from simsearch.storage import catalog, writer


def labeller_for(index: Index, embedder: Embedder, note: Callable[[str], None]) -> Labeller | None:
    """What labels new photos of an index; None where it keeps no labels.

    An index keeps them from its first photo on or never, so that one label finds all that show it.
    """
    with index.database.read() as connection:
        settings = catalog.read_settings(connection)
        begun = catalog.count(connection, "vectors") > 0
    if catalog.SETTING not in settings and not begun:
        settings[catalog.SETTING] = why_none(index.spec) or catalog.KEPT
        with index.database.write() as connection:
            writer.put_settings(connection, {catalog.SETTING: settings[catalog.SETTING]})
    return Labeller(embedder, note) if catalog.why_no_labels(settings) is None else None


def settle(index: Index, labeller: Labeller | None, note: Callable[[str], None], *, embedded: bool) -> None:
    """Once a run is over: let the index say why it keeps no labels, and tell it once.

    That is where they turned out not to be had, and where an index of before labels got its first new photo.
    """
    with index.database.read() as connection:
        settings = catalog.read_settings(connection)
    reason = labeller.reason if labeller is not None else None
    if embedded and catalog.SETTING not in settings:
        reason = catalog.why_no_labels(settings)
    if reason is None:
        return
    with index.database.write() as connection:
        writer.put_settings(connection, {catalog.SETTING: reason})
    note(f"The photos get no labels: {reason}.")


def names_kept(index: Index) -> tuple[str, ...]:
    """The names of all labels that a photo of the index has, sorted."""
    with index.database.read() as connection:
        numbers = catalog.classes_kept(connection)
    return tuple(sorted(name_of(number) for number in numbers))
