"""The part `ask`: a field that takes a picture dropped, pasted or chosen, and sends it to the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import streamlit as st

from simsearch.ui.parts.loading import part


@dataclass(frozen=True, slots=True)
class Field:
    """How the field is.

    Attributes:
        address: where the bytes of a picture are posted, see `simsearch.ui.http.uploads`.
        most: a file of more bytes is refused before it is sent.
        accept: the kinds of files that the browser offers, as in HTML.
        slim: the field stands at the top of hits and is to take little room.
        beside: names what it stands beside; when that changes, what went wrong before is no longer told.
    """

    address: str
    most: int
    accept: str
    slim: bool = False
    beside: str = ""


def ask(field: Field, *, key: str, given: Callable[[list[str]], None]) -> None:
    """Show the field; `given` is called with the ids of the uploads before the next run of the page."""

    def heard() -> None:
        uploads = st.session_state[key].get("given")
        if uploads:
            given([str(upload) for upload in uploads])

    part("search/ask")(key=key, data=asdict(field), on_given_change=heard)
