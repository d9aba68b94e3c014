"""The links of an HTML page that lead to what lies below it."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value.strip() for name, value in attrs if name == "href" and value]


def links_below(page: bytes, html: bytes) -> list[bytes]:
    """The addresses below `page` that it links to, sorted; those of folders end with a slash.

    What leads to another host, to a folder above, or has a query string, as the links that sort a listing
    do, is left out.
    """
    parser = _Links()
    parser.feed(html.decode(errors="replace"))
    parser.close()
    base = os.fsdecode(page).rstrip("/") + "/"
    found = set()
    for link in parser.found:
        try:
            address = urldefrag(urljoin(base, link)).url
        except ValueError:
            continue
        name = address.removeprefix(base)
        climbs = ".." in unquote(name).split("/")
        if name and name != address and "?" not in name and not climbs:
            found.add(os.fsencode(address))
    return sorted(found)
