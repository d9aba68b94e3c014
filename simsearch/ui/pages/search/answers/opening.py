"""Shows the folder of an indexed picture on the screen of the machine that the server runs on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from urllib.parse import urlsplit

from simsearch.errors import SimsearchError
from simsearch.http.addresses import is_loopback


def is_here(visitor: str | None, address: str | None) -> bool:
    """Whether a visitor sits at this machine, where a folder can be opened.

    `visitor` is the IP address that the connection comes from (None is this machine, as Streamlit tells it)
    and `address` that of the page; behind a proxy on this machine only the second tells.
    """
    host = urlsplit(address or "").hostname
    return (visitor is None or is_loopback(visitor)) and host is not None and is_loopback(host)


def opener() -> str | None:
    """The program that opens folders here, or None where there is none or no screen."""
    if sys.platform == "win32":
        return shutil.which("explorer")
    if sys.platform == "darwin":
        return shutil.which("open")
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return shutil.which("xdg-open") if screen else None


def open_folder(path: str) -> None:
    """Open the folder of a picture, with the picture selected where the system can.

    Raises SimsearchError when there is no program for it, the folder is gone or the program does not start.
    """
    program, folder = opener(), os.path.dirname(path)
    if program is None:
        raise SimsearchError(f"No program that opens folders was found here. The picture is in {folder}")
    if not os.path.isdir(folder):
        raise SimsearchError(f"The folder {folder} is not there (an unmounted disk?).")
    command: str | list[str] = [program, folder]
    if sys.platform == "win32":
        # Explorer takes its own quoting only.
        command = f'"{program}" /select,"{os.path.normpath(path)}"'
    elif sys.platform == "darwin":
        command = [program, "-R", path]
    quiet = subprocess.DEVNULL
    try:
        subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    except OSError as exc:
        raise SimsearchError(f"The folder {folder} cannot be opened: {exc.strerror or exc}.") from exc
