"""What Streamlit runs for every session and at every click: which page is shown, of which index."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from simsearch.errors import SimsearchError
from simsearch.paths import DATABASE, list_indexes, resolve_index
from simsearch.storage import catalog
from simsearch.ui import going, look
from simsearch.ui.jobs.running import running
from simsearch.ui.shared import library, settle

CHOSEN = "simsearch.index"
ICON = Path(__file__).with_name("icon.svg")

# The address, the title and the icon of each page, in their order.
PAGES = {
    "search": ("Search", ":material/search:"),
    "duplicates": ("Duplicates", ":material/content_copy:"),
    "map": ("Map", ":material/scatter_plot:"),
    "collection": ("Index", ":material/photo_library:"),
}


def main() -> None:
    """Show the page that was asked for; without an index, the one that makes the first."""
    st.set_page_config("simsearch", str(ICON), layout="wide")
    look.dress()
    # A row of links of our own: on a narrow screen Streamlit's lie in a drawer over the page.
    links = st.container(horizontal=True, vertical_alignment="center", gap="small", key=look.LINKS)
    folder = _folder(links)
    if folder is None or _waits_for_its_first_photo(folder):
        st.navigation(
            [st.Page(_page("welcome", None), title="Welcome", url_path="welcome")], position="hidden"
        ).run()
        return
    pages = {
        name: st.Page(_page(name, folder), title=title, icon=icon, url_path=name, default=name == "search")
        for name, (title, icon) in PAGES.items()
    }
    going.know(pages)
    chosen = st.navigation(list(pages.values()), position="hidden")
    for page in pages.values():
        links.page_link(page, query_params=going.everywhere())
    chosen.run()
    settle()


def _folder(links: DeltaGenerator) -> Path | None:
    """The index that this session looks at: of several, the one chosen."""
    named = resolve_index()
    if os.environ.get("SIMSEARCH_INDEX") and not (named / DATABASE).exists():
        # No other one is shown in the stead of what was asked for.
        return None
    known = list(dict.fromkeys([named, *list_indexes()]))
    there = [folder for folder in known if (folder / DATABASE).exists()]
    if len(there) < 2:
        return there[0] if there else None
    told = st.query_params.get(going.INDEX)
    named_so = [folder for folder in there if folder.name == told]
    # Whoever loads a page again, or is sent its address, sees the same index.
    if named_so and CHOSEN not in st.session_state:
        st.session_state[CHOSEN] = named_so[0]

    def chosen() -> None:
        st.query_params.from_dict({going.INDEX: st.session_state[CHOSEN].name})

    return links.selectbox(
        "Index",
        there,
        format_func=lambda folder: folder.name,
        key=CHOSEN,
        on_change=chosen,
        label_visibility="collapsed",
        width=200,
    )


def _waits_for_its_first_photo(folder: Path) -> bool:
    """Whether an index is being made that holds nothing yet, so that there is nothing to look at."""
    if running("index", folder) is None:
        return False
    try:
        with library(folder).index.database.read() as connection:
            return not catalog.holds_a_photo(connection)
    except SimsearchError:
        return True


def _page(name: str, folder: Path | None) -> Callable[[], None]:
    """What shows a page; its module is imported when it is first shown."""

    def show() -> None:
        module = importlib.import_module(f"simsearch.ui.pages.{name}.page")
        try:
            if folder is None:
                module.show()
            else:
                module.show(library(folder))
        except SimsearchError as exc:
            look.problem(str(exc))
        except Exception:
            logging.getLogger(__name__).exception("The page %s failed", name)
            look.problem(
                "Something went wrong that simsearch knows nothing of; nothing was changed by it. "
                "What it was is in the terminal that simsearch runs in. Load the page again."
            )

    return show


main()
