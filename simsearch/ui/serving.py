"""How the pages are served: the addresses allowed, the settings of Streamlit, and what is served besides."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simsearch.errors import SimsearchError
from simsearch.http.addresses import is_everywhere, is_loopback
from simsearch.http.program import address_of

if TYPE_CHECKING:
    from streamlit.starlette import App

SCRIPT = Path(__file__).parent / "session" / "script.py"
PUBLIC = "--public"
SETTINGS: dict[str, Any] = {
    "server.address": "127.0.0.1",
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.runOnSave": False,
    "server.maxUploadSize": 64,
    "server.baseUrlPath": "",
    "server.enableCORS": True,
    "server.enableXsrfProtection": True,
    "server.enableStaticServing": False,
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": True,
    "theme.primaryColor": "#0b6b5d",
    "theme.backgroundColor": "#ffffff",
    "theme.secondaryBackgroundColor": "#f3f5f6",
    "theme.textColor": "#1d2327",
    "theme.linkColor": "#0b6b5d",
    "theme.borderColor": "#d5dade",
    "theme.baseRadius": "0.5rem",
    "theme.showWidgetBorder": True,
    "theme.dark.primaryColor": "#178071",
    "theme.dark.backgroundColor": "#14181b",
    "theme.dark.secondaryBackgroundColor": "#1d2326",
    "theme.dark.textColor": "#e6e9eb",
    "theme.dark.linkColor": "#6fd0bd",
    "theme.dark.borderColor": "#343c41",
}
"""Streamlit's options, https://docs.streamlit.io/develop/api-reference/configuration/config.toml; what
`simsearch ui` sets, whatever files of Streamlit's are about. .streamlit/config.toml says the same to
`streamlit run app.py`.
"""


def check_address(address: str | None, *, public: bool) -> None:
    """Refuse to be served to others, unless that is wanted.

    Args:
        address: where the server listens; None and "" are every address of this machine to Streamlit.
        public: whether others may come.

    Raises SimsearchError.
    """
    if public or (address and is_loopback(address)):
        return
    where = f"at {address}, which other machines can reach" if address else "at every address of this machine"
    raise SimsearchError(
        f"simsearch would be served {where}, and it has no password: refused. Start it with "
        "--server.address 127.0.0.1, or with `simsearch ui`; to let others in all the same: "
        f"streamlit run app.py -- {PUBLIC}"
    )


def app_options() -> dict[str, Any]:
    """What `streamlit.starlette.App` is made of, for `streamlit run app.py [-- --public]`.

    Ends the process with one line on stderr where the address is refused.
    """
    from streamlit import config

    public = PUBLIC in sys.argv[1:]
    address = config.get_option("server.address")
    try:
        check_address(address, public=public)
    except SimsearchError as exc:
        sys.exit(f"Error: {exc}")

    def tell() -> None:
        where, port = address or "", int(config.get_option("server.port"))
        if public:
            print(warning(where, port), file=sys.stderr, flush=True)
        print(f"simsearch is at {address_of(where, port)} (Ctrl-C ends it)", flush=True)

    return served(public=public, started=tell)


def served(*, public: bool, started: Callable[[], None]) -> dict[str, Any]:
    """What `streamlit.starlette.App` is made of.

    Args:
        public: whether others than this machine are answered.
        started: called once, when it can be asked.
    """
    from starlette.middleware import Middleware

    from simsearch.http.decoding import DECODERS
    from simsearch.ui import shared
    from simsearch.ui.http import pictures, uploads
    from simsearch.ui.http.guard import Guard
    from simsearch.ui.http.why import asking, route

    @asynccontextmanager
    async def lifespan(_: App) -> AsyncIterator[dict[str, Any] | None]:
        shared.let_in(public=public)
        started()
        try:
            yield None
        finally:
            shared.let_in(public=False)
            DECODERS.close()
            uploads.UPLOADS.close()
            asking.EXPLAINER.close()

    life: Callable[[App], AbstractAsyncContextManager[dict[str, Any] | None]] = lifespan
    return {
        "script_path": SCRIPT,
        "routes": [*pictures.routes(), *uploads.routes(), *route.routes()],
        "middleware": [Middleware(Guard, public=public)],
        "lifespan": life,
    }


def warning(host: str, port: int) -> str:
    """What to know before others are let in."""
    where = f"port {port} of this machine" if is_everywhere(host) else address_of(host, port)
    return (
        f"Warning: there is no password. Whoever can reach {where} can look at the photos of every index "
        "here and read their paths, search, index folders and set copies aside."
    )
