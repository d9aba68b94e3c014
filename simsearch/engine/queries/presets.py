"""Bundles of what raises the quality of answers, by what is looked for; docs/quality.md has the figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """How a kind of query is asked.

    Attributes:
        expand: so many of the best answers join the query and ask again with it.
        geometry: so many of the best answers are looked at point by point.
        harms: what it makes worse, in words; empty where nothing measured got worse.
    """

    expand: int = 0
    geometry: int = 0
    harms: str = ""


PRESETS = {
    "category": Preset(expand=5, harms="photos of one object or scene come later than without it"),
    "instance": Preset(geometry=20),
    "copy": Preset(geometry=20),
}
