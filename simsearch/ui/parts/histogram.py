"""The part `histogram`: how the scores of the hits lie, with a slider for the least that is shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import streamlit as st

from simsearch.ui.parts.loading import part


def histogram(
    scores: Sequence[float], cut: float | None, *, key: str, moved: Callable[[float | None], None]
) -> None:
    """Show the distribution of `scores` (best first); `moved` is called with another cut, None for all."""

    def heard() -> None:
        told = st.session_state[key].get("moved")
        if told:
            value = told.get("cut")
            good = isinstance(value, int | float) and math.isfinite(value)
            moved(float(value) if good else None)

    data = {"scores": [round(score, 4) for score in scores], "cut": cut}
    part("search/histogram")(key=key, data=data, on_moved_change=heard)
