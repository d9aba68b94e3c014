"""Whether a threshold that was worked out on some originals holds on others: `--threshold auto` in draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.dedup.data import UNEDITED, Task
from benchmarks.dedup.ours import MANY_PIXELS, Sides, answers, sides
from benchmarks.dedup.parts.settings import Settings, workplace
from benchmarks.dedup.quality import EXTREME
from benchmarks.dedup.scores import Judged, judge
from benchmarks.report import Cell, Report, Table
from simsearch.dedup.calibration.calibrate import CalibrationOptions, calibrate
from simsearch.dedup.candidates.pairs import Side, within
from simsearch.dedup.features.hashes import HashTable
from simsearch.dedup.options import AUTO
from simsearch.dedup.stages.judging import PairJudge, cuts_of
from simsearch.dedup.verify.classifier import shipped

PRECISION = 0.99
SHARE = 0.95
"""19 of 20 draws are to reach the precision."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """What is judged in a draw: the answers that count, and how many edited copies there were to find."""

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    queries: Ints
    copies: int

    def at(self, near: float) -> Draw:
        """What a threshold comes to here; where nothing is called a copy, nothing is called so falsely."""
        called = self.scores >= near
        count, wrong = int(called.sum()), int((called & ~self.right).sum())
        found = len(np.unique(self.queries[called & self.right]))
        return Draw(
            near, (count - wrong) / count if count else 1.0, found / max(self.copies, 1), count, wrong
        )


@dataclass(frozen=True, slots=True)
class Draw:
    """A threshold, precision and recall from it on, pairs called copies, and those that are none."""

    near: float
    precision: float
    recall: float
    called: int
    wrong: int


def auto(settings: Settings) -> Report:
    """Draws of a half of the originals to work the threshold out on; it is applied to the other half."""
    task = settings.task()
    fixed = shipped().threshold
    worked_out, usual = [], []
    with workplace() as place:
        with sides(task.originals, [q.path for q in task.asked], place, settings.weights) as found:
            judged = judge(task.asked, answers(found))
            for number in range(settings.draws):
                seen, unseen = _drawn(len(found.base.collection), number)
                near = _threshold(found, seen)
                part = part_of(task, judged, [n for place in unseen for n in found.numbers[0][place]])
                worked_out.append(part.at(near))
                usual.append(part.at(fixed))
    figures = {
        "half": task.half,
        "originals": len(task.originals),
        "queries": len(task.asked),
        "auto": [asdict(draw) for draw in worked_out],
        "as it comes": [asdict(draw) for draw in usual],
    }
    return Report(
        "dedup-auto", settings.command("auto"), tables(worked_out, usual, len(task.originals)), figures
    )


def part_of(task: Task, judged: Judged, originals: Sequence[int]) -> Part:
    """The answers by and to some originals alone, without the extreme edits."""
    asked = judged.asked
    inside = np.zeros(len(task.originals), dtype=bool)
    inside[list(originals)] = True
    counts = np.array([inside[query.original] and query.kind != EXTREME for query in asked], dtype=bool)
    copies = sum(counts[n] and query.edit != UNEDITED for n, query in enumerate(asked))
    kept = counts[judged.answers.queries] & inside[judged.answers.originals]
    return Part(judged.answers.scores[kept], judged.right[kept], judged.answers.queries[kept], int(copies))


def tables(worked_out: Sequence[Draw], usual: Sequence[Draw], originals: int) -> tuple[Table, ...]:
    """The draws one by one, and what they come to beside the threshold that simsearch comes with."""
    columns = (
        "draw",
        "near",
        "precision",
        "recall",
        "called copies",
        "wrong",
        "as it comes: precision",
        "recall",
    )
    rows: list[tuple[Cell, ...]] = []
    for number, (own, other) in enumerate(zip(worked_out, usual, strict=True), start=1):
        figures = (f"{value:.4f}" for value in (own.precision, own.recall))
        beside = (f"{value:.4f}" for value in (other.precision, other.recall))
        rows.append((number, f"{own.near:.5f}", *figures, own.called, own.wrong, *beside))
    note = (
        "Each draw splits the originals in two at random. The threshold is worked out on one of "
        "them, and applied to queries made of the other one against its originals: edited copies, and the "
        "originals as they are, of which nothing is to be found. Extreme edits do not count."
    )
    draws = Table(
        f"--threshold auto on {originals:,} originals, {len(worked_out)} draws", columns, tuple(rows), note
    )
    kinds = (("auto", worked_out), (f"as it comes ({usual[0].near:.5f})", usual))
    wanted = int(np.ceil(SHARE * len(worked_out)))
    summary = Table(
        "All draws together",
        (
            "threshold",
            "draws of precision .99",
            "wanted",
            "mean precision",
            "least",
            "mean recall",
            "least recall",
        ),
        tuple(
            (name, sum(draw.precision >= PRECISION for draw in own), wanted, *_spread(own))
            for name, own in kinds
        ),
    )
    return summary, draws


def _spread(draws: Sequence[Draw]) -> tuple[str, ...]:
    values = [[draw.precision for draw in draws], [draw.recall for draw in draws]]
    return tuple(f"{figure:.4f}" for column in values for figure in (np.mean(column), min(column)))


def _drawn(count: int, number: int) -> tuple[list[int], list[int]]:
    """Two parts of so many places, both ascending; another split for each number."""
    order = np.random.default_rng(number).permutation(count)
    first, second = np.array_split(order, 2)
    return sorted(first.tolist()), sorted(second.tolist())


def _threshold(found: Sides, places: Sequence[int]) -> float:
    """What the product works out for a collection of the originals at some places."""
    collector, classifier = found.sources[0], shipped()
    collection = found.base.collection.kept(lambda pictures: [pictures[place] for place in places])
    kept, pictures = np.asarray(places), collection.pictures
    whole = found.base.hashes
    hashes = HashTable(whole.forms[kept], whole.quality[kept], whole.known[kept])
    side = Side(collection, hashes, lambda place: collector.features(pictures[place]))
    judged = PairJudge(pictures, found.sources, classifier, cuts_of(classifier, AUTO)).judged(within(side))
    options = CalibrationOptions((), PRECISION, MANY_PIXELS)
    return calibrate(pictures, list(judged), (collector, classifier), options).near
