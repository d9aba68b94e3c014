"""What every HTML page of a report shares: one file, pictures inside, no network, no script but its own."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator
from html import escape
from urllib.parse import quote

from simsearch.paths import archive_of, is_source
from simsearch.report.names import visible

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2327; --soft: #5a646c; --paper: #f6f7f8; --card: #fff;
  --line: #dde1e4; --accent: #0b6b5d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9eb; --soft: #a3adb5; --paper: #14181b;
  --card: #1d2326; --line: #343c41; --accent: #6fd0bd; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 3rem; background: var(--paper);
  color: var(--ink); font: 16px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0; }
.sub, .folder, .facts, figcaption { color: var(--soft); font-size: .85rem; }
section { margin-top: 1.75rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
h2 { font-size: 1rem; margin: 0 0 .75rem; }
bdi { overflow-wrap: anywhere; }
figcaption { margin-top: .4rem; }
ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); }
li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem; }
.frame { position: relative; display: grid; place-items: center; aspect-ratio: 1; border-radius: .35rem;
  overflow: hidden; background: var(--paper); color: var(--soft); font-size: .85rem; }
.frame img { width: 100%; height: 100%; object-fit: contain; }
.score { display: flex; justify-content: space-between; margin-top: .5rem; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.score span { color: var(--soft); font-weight: 400; }
meter { display: block; width: 100%; height: .5rem; }
.name { font-weight: 500; }
details { font-size: .85rem; margin-top: .25rem; }
details ul { margin: .25rem 0 0; padding-left: 1rem; }
details li { background: none; border: 0; padding: 0; list-style: disc; }
a { color: inherit; text-decoration-color: var(--soft); }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 40rem) { ol { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .6rem; } }
@media print { body { max-width: none; } li { break-inside: avoid; } }
"""

# No network, and no script but the page's very own: even a file name that slipped through could load nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def document(
    sections: Iterable[str], *, title: str, subtitle: str = "", style: str = "", script: str = ""
) -> Iterator[str]:
    """A whole page in pieces.

    `title` and `subtitle` are plain text, `sections` and `style` are markup; `script` runs at the end.
    """
    policy = _POLICY
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
        policy += f"; script-src 'sha256-{digest}'"
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escaped(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        f'<header><h1>{escaped(title)}</h1><div class="sub">{escaped(subtitle)}</div></header>\n<main>\n'
    )
    yield from sections
    yield "</main>\n"
    if script:
        yield f"<script>{script}</script>\n"
    yield "</body>\n</html>\n"


def picture(thumbnail: bytes | None, alt: str, inside: str = "") -> str:
    """A frame with a JPEG inside the page, or the words "no preview"; `inside` is markup that lies on it."""
    if thumbnail is None:
        return '<div class="frame">no preview</div>'
    data = base64.b64encode(thumbnail).decode("ascii")
    return f'<div class="frame"><img alt="{escaped(alt)}" src="data:image/jpeg;base64,{data}">{inside}</div>'


def link(path: str, name: str) -> str:
    """A link to the very bytes of an absolute path, shown as `name`; no browser opens stores and archives."""
    raw = os.fsencode(path)
    if is_source(raw):
        web = raw.startswith(b"http") and archive_of(raw) is None
        return f'<a href="{escaped(path)}">{broken(name)}</a>' if web else broken(name)
    return f'<a href="file://{quote(os.fsencode(path))}">{broken(name)}</a>'


def broken(path: str) -> str:
    """A path that may go on in a new line after a slash or an underscore rather than within a word."""
    return escaped(path).replace("/", "/<wbr>").replace("_", "_<wbr>")


def escaped(text: str) -> str:
    """Any text as markup that shows it and does nothing else."""
    return escape(visible(text), quote=True)
