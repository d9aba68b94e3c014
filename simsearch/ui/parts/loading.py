"""Makes a part of a page known to Streamlit from its script and its style sheet."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

ASSETS = Path(__file__).with_name("assets")


@cache
def part(name: str, *, script: str = "", style: str = "") -> ComponentRenderer:
    """The part `name`, mounted by calling it with `key`, `data` and `on_..._change`.

    `script` and `style` are what it makes use of besides its own.
    """
    script += "".join((ASSETS / f"{each}.js").read_text(encoding="utf-8") for each in ("element", name))
    style += (ASSETS / f"{name}.css").read_text(encoding="utf-8")
    place = '<div class="part"></div>'
    return st.components.v2.component(f"simsearch.{name}", html=place, css=style, js=script)
