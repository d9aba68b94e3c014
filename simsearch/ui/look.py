"""What all pages look like: one sheet of styles, and text that shows names as they are."""

from __future__ import annotations

import re

import streamlit as st

from simsearch.report.names import visible

LINKS = "simsearch-links"
"""The key of the row of links to the pages."""

_STYLE = """<style>
[data-testid=stHeader] { background: none; pointer-events: none; }
[data-testid=stStatusWidget] { pointer-events: auto; }
.st-key-simsearch-links { border-bottom: 1px solid var(--st-border-color, #8884); padding-bottom: .35rem; }
.st-key-simsearch-links [data-testid=stPageLink-NavLink][aria-current=page] { font-weight: 600; }
.stMainBlockContainer { padding-top: 1rem; padding-bottom: 3rem; max-width: 82rem; }
.stMainBlockContainer h1 { font-size: 1.6rem; padding: 0 0 .25rem; }
.stMainBlockContainer h2 { font-size: 1.2rem; padding: .25rem 0; }
.stMainBlockContainer h3 { font-size: 1rem; padding: .25rem 0; }
.st-key-simsearch-links a:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
[data-testid=stCaptionContainer], [data-testid=stCaptionContainer] * {
  color: inherit !important; opacity: 1; }
.stButtonGroup button[aria-checked=true] { color: inherit !important; font-weight: 600; }
@media (max-width: 40rem) {
  .stMainBlockContainer { padding-left: .9rem; padding-right: .9rem; }
  .st-key-simsearch-links { gap: .1rem; }
  .st-key-simsearch-links a > :has([data-testid=stIconMaterial]):not(:has(p)) { display: none; }
}
</style>"""

_ICON = re.compile(r"\\:(?=\w)")
_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def dress() -> None:
    """Put the styles on the page."""
    st.html(_STYLE)


def plain(words: str) -> str:
    """Any text, such as a name, for where Streamlit reads Markdown: it is shown and does nothing else."""
    # A backslash does not keep Streamlit from making an icon of :name:, which a joiner within does.
    return _ICON.sub("\\:\u2060", _MARKS.sub(r"\\\1", visible(words)))


def problem(words: str) -> None:
    """Say what went wrong."""
    st.error(plain(words), icon=":material/error:")


def size_of(size: int) -> str:
    """A number of bytes in words, by powers of 1,000: "2.4 MB"."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
