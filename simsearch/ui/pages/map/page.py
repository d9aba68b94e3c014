"""The page with the map: pictures that look alike lie near each other, and each can be searched by."""

from __future__ import annotations

import streamlit as st

from simsearch.ui import going
from simsearch.ui.pages.map.points import Chart, chart
from simsearch.ui.parts.scatter import scatter
from simsearch.ui.shared import Library


def show(lib: Library) -> None:
    """Show the map of the collection; a picture that is chosen on it is searched by."""
    st.title("Map", anchor=False)
    with st.spinner("Laying out the pictures"):
        made = chart(lib)
    if not made.points.ids:
        st.info("There is no picture to show yet. Add some on the page Index.", icon=":material/info:")
        return
    st.markdown(words(made))
    thumbs = lib.thumbnail(0).removesuffix("0")
    chosen = scatter(made.points, key="map", label="Map of the pictures", token=made.token, thumbs=thumbs)
    if chosen in made.points.ids:
        going.search_by(int(chosen or 0))


def words(made: Chart) -> str:
    """How to read the map, how many pictures are on it, and how much of the truth two axes can show."""
    shown = len(made.points.ids)
    pictures = "picture" if made.total == 1 else "pictures"
    # Rounded down: no figure here says more than is so.
    share = f"{int(made.share * 100)} %" if made.share >= 0.01 else "less than 1 %"
    sample = ", taken evenly" if shown < made.total else ""
    lost = ", so neighbours here may be less alike than they seem" if made.share < 0.99 else ""
    return (
        "Pictures that look alike lie near each other. "
        f"{shown:,} of {made.total:,} {pictures}{sample}; two axes show {share} of the variance{lost}."
    )
