"""Chooses a folder of this machine: by its path, among the usual ones, or by going through them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import streamlit as st

from simsearch.errors import SimsearchError
from simsearch.http.addresses import is_loopback
from simsearch.media.formats import looks_like_picture
from simsearch.report.names import visible
from simsearch.ui import look, shared

SHOWN = 60
"""So many folders are listed at a time."""

COUNTED, SECONDS = 1000, 0.5
"""So many entries of a folder are counted, and for all folders together so long."""


@dataclass(frozen=True, slots=True)
class Subfolder:
    """A folder below another one; `photos` lie in it directly, None where that was not counted."""

    path: Path
    photos: int | None


def may_choose() -> bool:
    """Whether whoever sees the page may name folders of this machine: only who sits at it."""
    # A proxy on this machine brings others to an address that they could not reach by themselves.
    return is_loopback(st.get_option("server.address") or "") and not shared.is_public()


def choose(key: str) -> Path | None:
    """A text field and buttons; returns the folder once one is named that is there."""
    field = _field(key)
    typed = st.text_input("Folder with photos", key=field, placeholder=str(Path.home() / "Pictures"))
    usual = list(usual_folders())
    if usual:
        with st.container(horizontal=True):
            for number, folder in enumerate(usual):
                st.button(
                    look.plain(folder.name),
                    key=f"{key}.usual.{number}",
                    icon=":material/folder:",
                    help=look.plain(str(folder)),
                    on_click=_take,
                    args=(field, folder),
                )
    return checked(typed)


def checked(typed: str) -> Path | None:
    """The folder that was typed, absolute; None for nothing. Raises SimsearchError for what is no folder."""
    if not typed.strip():
        return None
    # As a shell or a file manager gives it: within quotes, or with a blank at its end.
    plain = typed if os.path.isdir(typed) else typed.strip().strip("\"'")
    folder = Path(os.path.abspath(os.path.expanduser(plain)))
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "is not there"
        raise SimsearchError(f"{folder} {what}. Look for its right name, or choose a folder below.")
    return folder


def usual_folders() -> Iterator[Path]:
    """Where photos often lie in this user's home, as far as these folders are there."""
    import platformdirs

    home = Path.home()
    named = (
        platformdirs.user_pictures_path(),
        *(home / name for name in ("Pictures", "Photos", "DCIM")),
        platformdirs.user_desktop_path(),
        platformdirs.user_downloads_path(),
    )
    for folder in dict.fromkeys(named):
        if folder != home and folder.is_dir():
            yield folder


def subfolders(folder: Path) -> list[Subfolder]:
    """The folders in `folder` by name, without hidden ones. Raises SimsearchError where it cannot be read."""
    until = time.monotonic() + SECONDS
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()
            )
    except OSError as exc:
        raise SimsearchError(
            f"{folder} cannot be read: {exc.strerror or exc}. Choose another folder."
        ) from exc
    return [
        Subfolder(folder / name, photos_in(folder / name) if time.monotonic() < until else None)
        for name in names
    ]


def photos_in(folder: Path) -> int | None:
    """How many pictures lie directly in a folder, by their names, of its first 1,000 entries."""
    try:
        with os.scandir(os.fsencode(folder)) as entries:
            return sum(looks_like_picture(entry.name) for entry in islice(entries, COUNTED))
    except OSError:
        return None


def browse(key: str) -> None:
    """Goes through the folders of this machine; the one that is taken is put into the text field of `key`."""
    with st.expander("Look through the folders of this machine"):
        _browse(key, _field(key), f"{key}.place")


def _field(key: str) -> str:
    return f"{key}.folder"


def _browse(key: str, field: str, place: str) -> None:
    here = Path(st.session_state.get(place) or Path.home())
    st.text(visible(str(here)))
    try:
        found = subfolders(here)
    except SimsearchError as exc:
        look.problem(str(exc))
        found = []
    with st.container(horizontal=True):
        st.button("Take this folder", key=f"{key}.this", on_click=_take, args=(field, here), type="primary")
        st.button(
            "Up",
            key=f"{key}.up",
            icon=":material/arrow_upward:",
            on_click=_go,
            args=(place, here.parent),
            disabled=here == here.parent,
        )
    with st.container(gap=None):
        for number, item in enumerate(found[:SHOWN]):
            st.button(
                look.plain(label(item)),
                key=f"{key}.sub.{number}",
                icon=":material/folder:",
                type="tertiary",
                on_click=_go,
                args=(place, item.path),
                disabled=not can_be_typed(item.path),
            )
    if len(found) > SHOWN:
        st.caption(f"and {len(found) - SHOWN:,} more folders: type the path above")
    elif not found:
        st.caption("There are no folders in this one.")


def label(item: Subfolder) -> str:
    """What a folder in the list is called: "Holidays, 34 photos"."""
    if not item.photos:
        return item.path.name
    more = " or more" if item.photos == COUNTED else ""
    return f"{item.path.name}, {item.photos:,}{more} photo{'s' * (item.photos != 1)}"


def can_be_typed(folder: Path) -> bool:
    """Whether a path is text; one with other bytes can only be named at a terminal."""
    try:
        return bool(str(folder).encode("utf-8"))
    except UnicodeEncodeError:
        return False


def _take(field: str, folder: Path) -> None:
    st.session_state[field] = str(folder)


def _go(place: str, folder: Path) -> None:
    st.session_state[place] = str(folder)
