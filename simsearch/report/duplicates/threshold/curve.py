"""A threshold that was worked out -> the curve behind it as a table, and the chosen points as a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simsearch.report.duplicates.words import counted, score_words, threshold_words
from simsearch.report.table import PLAIN, Screen, new_table, render

if TYPE_CHECKING:
    from simsearch.dedup.calibration.curve import Calibration


def curve_table(calibration: Calibration, screen: Screen = PLAIN) -> str:
    """Which share of pairs is true, and which share of the true ones is found, from some scores on.

    Shares are rounded down, so that 1.0000 is all of them and nothing else; scores up.
    """
    table = new_table(("score from", "right"), ("precision", "right"), ("recall", "right"))
    for point in calibration.curve:
        shares = (score_words(share) for share in (point.precision, point.recall))
        table.add_row(threshold_words(point.score), *shares)
    return render(screen, table)


def calibration_line(calibration: Calibration) -> str:
    """Where copies begin, where probable ones do, and on what that rests."""
    rests = (
        f"{counted(calibration.edited, 'copy', 'copies')} of {calibration.originals:,} of your pictures "
        f"against {counted(calibration.different, 'pair')} of different ones"
    )
    if calibration.near < 1:
        quality = f"precision {score_words(calibration.precision)}, recall {score_words(calibration.recall)}"
        line = f"copies from {threshold_words(calibration.near)} on: {quality} on {rests}"
    else:
        line = f"no score is high enough to tell a copy, on {rests}"
    if calibration.probable < calibration.near:
        line += f"; probably from {threshold_words(calibration.probable)} on"
    if calibration.labels:
        were = "was" if calibration.labels == 1 else "were"
        line += f"; {counted(calibration.labels, 'answer')} of yours {were} used"
    if calibration.near >= 1:
        # Mostly a copy that was not found stands among the different ones, which a person sees at once.
        more = " more" if calibration.labels else ""
        line += f"; answer{more} with simsearch dedup --label 10"
    return line
