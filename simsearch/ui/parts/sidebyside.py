"""Groups of copies as a list, one of them side by side, and a plan file by file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from simsearch.ui.parts.loading import part


def groups_list(rows: Sequence[Mapping[str, object]], *, key: str) -> str | None:
    """Groups to choose from; the key of the one that was chosen just now.

    Args:
        rows: "key", "title", "facts", "keep", "why", "thumbs" (addresses), "more" (how many), "status".
    """
    opened = part("copies/list")(key=key, data={"rows": list(rows)}, on_opened_change=lambda: None).opened
    return opened if isinstance(opened, str) else None


def side_by_side(data: Mapping[str, object], *, key: str) -> None:
    """One group: pictures side by side, flickering or as a difference, facts, and the keys to decide by.

    Args:
        data: see `simsearch.ui.pages.duplicates.deciding.desk.Desk.data`.
    """
    part("copies/sidebyside")(key=key, data=dict(data), on_acts_change=lambda: None)


def acts_of(key: str, *, after: int) -> list[dict[str, Any]]:
    """What was done in a part `side_by_side` since the act `after`, in order.

    Each has "n" (a number that grows), "key" of the group, "what", and for some the number of a "member".
    """
    state = st.session_state.get(key)
    acts = state.get("acts") if isinstance(state, Mapping) else None
    known = [act for act in acts or () if isinstance(act, dict) and isinstance(act.get("n"), int)]
    return sorted((act for act in known if act["n"] > after), key=lambda act: int(act["n"]))


def plan_list(groups: Sequence[Mapping[str, object]], *, key: str) -> None:
    """What happens to files: groups of "title" and "rows", each row "what", "path", "note" and "kind"."""
    part("copies/plan")(key=key, data={"groups": list(groups)})
