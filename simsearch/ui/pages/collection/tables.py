"""Small tables on a page, as HTML that shows names as they are and is read aloud well."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import streamlit as st

from simsearch.report.names import visible

_STYLE = """<style>
.simsearch-table { width: 100%; border-collapse: collapse; font-size: .9rem; margin: 0; }
.simsearch-table th, .simsearch-table td { text-align: left; vertical-align: top;
  padding: .4rem .75rem .4rem 0; overflow-wrap: anywhere;
  border: 0; border-bottom: 1px solid rgba(128, 128, 128, .25); }
.simsearch-table th { font-weight: 600; white-space: nowrap; }
@media (max-width: 40rem) {
  .simsearch-table thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%); }
  .simsearch-table tr { display: block; border-bottom: 1px solid rgba(128, 128, 128, .25); padding: .4rem 0; }
  .simsearch-table th, .simsearch-table td { display: block; border: 0; padding: 0; }
  .simsearch-table td[data-of]::before { content: attr(data-of) ": "; font-weight: 600; }
}
</style>"""


def facts(rows: Iterable[tuple[str, str]]) -> None:
    """A table of names and values, without those that are empty."""
    lines = (
        f'<tr><th scope="row">{_safe(name)}</th><td>{_safe(value)}</td></tr>' for name, value in rows if value
    )
    _write(f"<tbody>{''.join(lines)}</tbody>")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table with a heading for each column."""
    heads = "".join(f'<th scope="col">{_safe(name)}</th>' for name in columns)
    # On a narrow screen the cells of a row stand one below the other, each after its heading.
    lines = (
        "<tr>"
        + "".join(
            f'<td data-of="{_safe(name)}">{_safe(cell)}</td>' for name, cell in zip(columns, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    _write(f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody>")


def _write(inside: str) -> None:
    st.html(f'{_STYLE}<table class="simsearch-table">{inside}</table>')


def _safe(words: str) -> str:
    return html.escape(visible(words))
