"""The part `region`: the picture that is looked for, with a box drawn on it by mouse, finger or keyboard."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import streamlit as st

from simsearch.ui.parts.loading import part

Box = tuple[float, float, float, float]
"""Left, top, width and height of a part of an upright picture, as fractions of its width and height."""

LEAST = 0.02


def checked(values: object) -> Box | None:
    """A box that lies within the picture and has a size, or None."""
    if not isinstance(values, list | tuple) or len(values) != 4:
        return None
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        return None
    left, top = (min(max(float(value), 0.0), 1.0 - LEAST) for value in values[:2])
    width, height = (float(value) for value in values[2:])
    if width < LEAST / 2 or height < LEAST / 2:
        return None
    box = (left, top, min(max(width, LEAST), 1 - left), min(max(height, LEAST), 1 - top))
    return (round(box[0], 4), round(box[1], 4), round(box[2], 4), round(box[3], 4))


@dataclass(frozen=True, slots=True)
class Chip:
    """One of several examples: what names it, the address of its thumbnail, its name, and whether hits are to
    be like it or unlike."""

    token: str
    src: str
    name: str
    like: bool


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked for: address, name and size in pixels of the first example, its box, and where there are
    several all of them."""

    src: str
    name: str
    size: tuple[int, int]
    box: Box | None
    chips: tuple[Chip, ...]


def region(
    subject: Subject, *, key: str, drawn: Callable[[Box | None], None], removed: Callable[[str], None]
) -> None:
    """Show what is looked for; `drawn` is called with another box (None is the whole picture), `removed` with
    the token of an example that was taken away."""

    def heard_box() -> None:
        told = st.session_state[key].get("drawn")
        if told:
            drawn(checked(told.get("box")))

    def heard_removal() -> None:
        told = st.session_state[key].get("removed")
        if told:
            removed(str(told))

    part("search/region")(
        key=key, data=asdict(subject), on_drawn_change=heard_box, on_removed_change=heard_removal
    )
