"""simsearch dedup --label: asks about the pairs that tell a threshold most, and keeps each answer at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from simsearch.cli.duplicates.showing import refuse_beside, told
from simsearch.cli.options import Common
from simsearch.cli.output import answer, answer_text, is_terminal, note, write_page
from simsearch.errors import SimsearchError

if TYPE_CHECKING:
    from simsearch.dedup.options import DedupOptions
    from simsearch.dedup.verdicts import Verdicts
    from simsearch.engine.index import Index
    from simsearch.report.duplicates.threshold.doubts import DoubtRow

_GO_WITH_LABEL = {
    *("label", "reach", "threshold", "within", "folders", "reference", "workers"),
    *("form", "html", "browse"),
}
_PROMPT = "c copies, d different, s skip, q quit [s]: "
_WORDS = {
    **{"c": "copies", "copies": "copies", "d": "different", "different": "different"},
    **{"": "skip", "s": "skip", "skip": "skip", "q": "quit", "quit": "quit"},
}


@dataclass(frozen=True, slots=True)
class Labelling:
    """How many pairs are asked about (None: nothing is asked), and where the page with them goes."""

    wanted: int | None
    html: str | None
    browse: bool

    def check(self, reach: str | None, threshold: float | str | None, form: str) -> None:
        """Refuse what does not go together with asking."""
        if self.wanted is None:
            return
        refuse_beside(_GO_WITH_LABEL, "does not go with --label, which asks about pairs and shows no groups.")
        if reach == "exact":
            raise click.UsageError("--exact does not go with --label: equal bytes and pixels need no answer.")
        if reach == "similar":
            raise click.UsageError("--similar does not go with --label: what is similar is never a copy.")
        if threshold == "auto":
            raise click.UsageError("--label comes first; --threshold auto then uses the answers.")
        if form not in ("table", "json"):
            raise click.UsageError(f"Pairs are asked about, or shown as JSON, but not as {form}.")

    def ask(self, index: Index, options: DedupOptions, common: Common) -> None:
        """Ask, at a terminal or one line of standard input a pair; with --json only tell the pairs."""
        from simsearch.dedup.find import pairs_to_label
        from simsearch.dedup.verdicts import Verdicts
        from simsearch.engine.maintenance.thumbnails import Thumbnails
        from simsearch.report.duplicates.page import doubts_page
        from simsearch.report.duplicates.threshold.doubts import doubt_rows
        from simsearch.report.machine import to_json

        with told(common) as shown:
            doubts = pairs_to_label(index, options, wanted=self.wanted or 0, progress=shown.progress)
        rows = doubt_rows(doubts, _bytes_of)
        if rows and (self.html is not None or self.browse):
            write_page(doubts_page(rows, Thumbnails.of(index)), self.html, self.browse, "pairs.html")
        if common.json:
            answer([to_json(rows)])
        elif not rows:
            note("There is no pair to ask about: none is in doubt that has no answer yet.")
        else:
            with Verdicts.open(index.path) as verdicts:
                _ask_all(rows, verdicts, common)


def _ask_all(rows: Sequence[DoubtRow], verdicts: Verdicts, common: Common) -> None:
    from simsearch.report.duplicates.threshold.doubts import doubt_table

    kept = 0
    try:
        for number, row in enumerate(rows, start=1):
            for line in doubt_table(row, f"Pair {number} of {len(rows)}").splitlines():
                note(line)
            said = _answer(number, kept, common)
            if said == "quit":
                break
            if said != "skip":
                first, second = (bytes.fromhex(photo.sha256) for photo in (row.first, row.second))
                verdicts.put_label(first, second, said == "copies")
                kept += 1
    except KeyboardInterrupt:
        note("")
        note(_kept_words(kept, common))
        raise
    answer_text([f"{_kept_words(kept, common)}\n"])


def _answer(number: int, kept: int, common: Common) -> str:
    """The answer to one question; the end of the input is "quit". Raises SimsearchError for a bad line."""
    while True:
        with suppress(OSError, AttributeError):
            sys.stderr.write(_PROMPT)
            sys.stderr.flush()
        line = sys.stdin.buffer.readline() if sys.stdin is not None else b""
        typed = line.decode("utf-8", "replace").strip()
        if not is_terminal(sys.stdin):
            # Nobody pressed a key that would have ended the line.
            note(typed)
        if not line:
            return "quit"
        said = _WORDS.get(typed.lower())
        if said is not None:
            return said
        if not is_terminal(sys.stdin):
            raise SimsearchError(
                f"Line {number} of the answers is {typed!r}. Give c, d, s or q, one a line. "
                f"{_kept_words(kept, common)}."
            )
        note("Answer c, d, s or q.")


def _kept_words(kept: int, common: Common) -> str:
    if not kept:
        return "No answer kept"
    uses = f"simsearch dedup --threshold auto{common.index_flag} uses"
    return f"1 answer kept; {uses} it" if kept == 1 else f"{kept} answers kept; {uses} them"


def _bytes_of(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None
