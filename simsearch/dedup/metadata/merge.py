"""The notes of copies carried over to the sidecar of the picture that is kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from simsearch.dedup.metadata.facts import Metadata, union
from simsearch.dedup.metadata.properties import write
from simsearch.dedup.metadata.read import read
from simsearch.dedup.metadata.sidecars import sidecar_for
from simsearch.dedup.metadata.xmp import MAX_BYTES, Packet, XmpRefused, empty_packet, parse
from simsearch.errors import PhotoUnreadable
from simsearch.media.files import read_file

_SHOWN = 60

Noted = tuple[str, Metadata]


@dataclass(frozen=True, slots=True)
class Merge:
    """A sidecar to write.

    Attributes:
        sidecar: its path.
        xmp: all of its bytes.
        lines: what it says that was not said of the keeper before, and from which file.
    """

    sidecar: str
    xmp: bytes
    lines: tuple[str, ...]


def merged_sidecar(keeper: str, others: Sequence[str]) -> Merge | None:
    """The sidecar of `keeper` with what is noted about `others`; None where that adds nothing.

    The highest rating of one to five stars, the tags of all, and a caption, title, place and date where the
    keeper has none. What the sidecar says already stays, whatever it is. Nothing is written here.

    Raises PhotoUnreadable, the reason alone, when the keeper's sidecar is there and cannot be read: a new
    one would lose it.
    """
    own = read(keeper)
    copies = [(os.path.basename(other), read(other)) for other in others]
    change, lines = _change(own, copies)
    if not lines:
        return None
    sidecar = sidecar_for(os.fsencode(keeper))
    packet = _packet(sidecar)
    write(packet, change)
    return Merge(os.fsdecode(sidecar), packet.to_bytes(), tuple(lines))


def _packet(sidecar: bytes) -> Packet:
    if not os.path.lexists(sidecar):
        return empty_packet()
    try:
        return parse(read_file(sidecar, MAX_BYTES)[0])
    except (XmpRefused, PhotoUnreadable) as exc:
        raise PhotoUnreadable(f"{os.fsdecode(sidecar)}: {exc}") from exc


def _change(own: Metadata, copies: Sequence[Noted]) -> tuple[Metadata, list[str]]:
    """What the sidecar has to say in addition, and the same in words."""
    change, lines = Metadata(), list[str]()
    for gather in (_rating, _tags, _caption, _title, _place, _date):
        found, said = gather(own, copies)
        change = change.over(found)
        lines += said
    return change, lines


def _rating(own: Metadata, copies: Sequence[Noted]) -> tuple[Metadata, list[str]]:
    most = max((noted.rating or 0 for _, noted in copies), default=0)
    if most <= max(own.rating or 0, 0):
        return Metadata(), []
    givers = [name for name, noted in copies if noted.rating == most]
    return Metadata(rating=most), [f"rating {most}, from {givers[0]}"]


def _tags(own: Metadata, copies: Sequence[Noted]) -> tuple[Metadata, list[str]]:
    tags = [tag for tag in union(*(noted.tags for _, noted in copies)) if tag not in own.tags]
    paths = [path for path in union(*(noted.hierarchy for _, noted in copies)) if path not in own.hierarchy]
    if not tags and not paths:
        return Metadata(), []
    shown = tags or paths
    givers = [name for name, noted in copies if not {*noted.tags, *noted.hierarchy}.isdisjoint(shown)]
    change = Metadata(
        tags=union(own.tags, tuple(tags)) if tags else (),
        hierarchy=union(own.hierarchy, tuple(paths)) if paths else (),
    )
    return change, [f"tags {', '.join(shown)}, from {' and '.join(givers)}"]


def _caption(own: Metadata, copies: Sequence[Noted]) -> tuple[Metadata, list[str]]:
    for name, noted in copies:
        if noted.caption and not own.caption:
            return Metadata(caption=noted.caption), [f"caption “{_cut(noted.caption)}”, from {name}"]
    return Metadata(), []


def _title(own: Metadata, copies: Sequence[Noted]) -> tuple[Metadata, list[str]]:
    for name, noted in copies:
        if noted.title and not own.title:
            return Metadata(title=noted.title), [f"title “{_cut(noted.title)}”, from {name}"]
    return Metadata(), []


def _place(own: Metadata, copies: Sequence[Noted]) -> tuple[Metadata, list[str]]:
    for name, noted in copies:
        if noted.gps and not own.gps:
            return Metadata(gps=noted.gps), [f"place {noted.gps[0]:.5f}, {noted.gps[1]:.5f}, from {name}"]
    return Metadata(), []


def _date(own: Metadata, copies: Sequence[Noted]) -> tuple[Metadata, list[str]]:
    for name, noted in copies:
        if noted.taken_at and not own.taken_at:
            return Metadata(taken_at=noted.taken_at), [f"date {noted.taken_at}, from {name}"]
    return Metadata(), []


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
