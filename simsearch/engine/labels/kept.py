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


def settle(index: Index, labeller: Labeller | None, note: Callable[[str], None]) -> None:
    """Once a run is over: let the index say why it keeps no labels, where they turned out not to be had."""
    if labeller is None or labeller.reason is None:
        return
    with index.database.write() as connection:
        writer.put_settings(connection, {catalog.SETTING: labeller.reason})
    note(f"The photos get no labels: {labeller.reason}.")


def names_kept(index: Index) -> tuple[str, ...]:
    """The names of all labels that a photo of the index has, sorted."""
    with index.database.read() as connection:
        numbers = catalog.classes_kept(connection)
    return tuple(sorted(name_of(number) for number in numbers))
