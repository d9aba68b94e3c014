"""The figures of what finding copies costs as tables, with the bars that they are held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.dedup.parts.cost.children import Told
from benchmarks.dedup.parts.cost.made import FEWEST_FLIPPED, MOST_FLIPPED, REAL_HASHES
from benchmarks.dedup.parts.cost.pieces import Pieces
from benchmarks.report import Cell, Table
from simsearch.dedup.candidates.nearest import neighbours_for
from simsearch.dedup.candidates.pairs import HASHED, WORDED

MANY, MILLION = 100_000, 1_000_000
CORES = 2
DIFFERENT, FEATURES = "a pair of different photos", "features"
PAIR_MS, PHOTO_MS, MINUTES, TIMES, MEMORY_MIB = 4.0, 30.0, 90.0, 20.0, 2048.0
HELD = 8 * 32 + 2
"""Bytes of a picture's hashes, which are held while vectors and words are searched."""

WHAT = {
    "vectors": "nearest by whitened vectors",
    "hashes": "nearest by PDQ, 8 forms",
    "words": "shared words (scaled)",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was measured.

    Attributes:
        pictures: by folder of photos, what a picture costs.
        pairs: what a pair costs.
        candidates: by kind and rows, what a process of its own told.
        peer: by rows, what imagededup told.
        whole: by folder, what all of finding copies told.
    """

    pictures: Mapping[str, Pieces]
    pairs: Pieces
    candidates: Mapping[tuple[str, int], Told]
    peer: Mapping[int, Told]
    whole: Mapping[str, Told]

    def figures(self) -> dict[str, Any]:
        """The same, fit for JSON."""
        return {
            "pictures": dict(self.pictures),
            "pairs": self.pairs,
            "candidates": {f"{kind} {rows}": told for (kind, rows), told in self.candidates.items()},
            "imagededup": {f"{rows}": told for rows, told in self.peer.items()},
            "whole": dict(self.whole),
        }


def tables(measured: Measured) -> tuple[Table, ...]:
    """Bars first, then what they come from."""
    found = [_bars(measured), _pieces(measured), _candidates(measured)]
    if measured.peer:
        found.append(_beside(measured))
    return (*found, _whole(measured), _scaled(measured))


@dataclass(frozen=True, slots=True)
class Scaled:
    """Pairs that 100,000 pictures would have, and CPU seconds; candidates as measured, None where not."""

    pairs: float
    reading: float
    candidates: float | None
    comparing: float
    rest: float

    @property
    def whole(self) -> float | None:
        """All stages together; None where one is not known."""
        known = self.reading + self.comparing + self.rest
        return None if self.candidates is None else known + self.candidates


def scaled(told: Told, candidates: float | None) -> Scaled:
    """CPU seconds of 100,000 pictures by a search of fewer, stage by stage.

    A picture is read as before; a pair costs the same, and there are as many more a picture as there are
    more neighbours looked at in a larger collection. `candidates` are the seconds measured at 100,000.
    """
    photos = told["photos"]
    more = (HASHED + WORDED + neighbours_for(MANY)) / (HASHED + WORDED + neighbours_for(photos))
    pairs = told["pairs"] / photos * more * MANY
    reading, rest = (told[name] / photos * MANY for name in ("reading_s", "rest_s"))
    comparing = told["comparing_s"] / max(told["pairs"], 1) * pairs
    return Scaled(pairs, reading, candidates, comparing, rest)


def held_at(measured: Measured, rows: int) -> float | None:
    """MiB at most while candidates of so many pictures are searched, one kind after the other."""
    peaks: list[float] = []
    for kind in WHAT:
        told = measured.candidates.get((kind, rows), {})
        if "peak_mib" not in told:
            return None
        peaks.append(told["peak_mib"] + (0.0 if kind == "hashes" else HELD * rows / 2**20))
    return max(peaks)


def _at_many(measured: Measured) -> float | None:
    told = [measured.candidates.get((kind, MANY), {}) for kind in WHAT]
    return sum(float(one["cpu_s"]) for one in told) if all("cpu_s" in one for one in told) else None


def _bars(measured: Measured) -> Table:
    photos = next(iter(measured.pictures.values()))
    rows: list[tuple[str, float, float | None, bool]] = [
        ("CPU ms of a pair of different photos, at most", PAIR_MS, measured.pairs[DIFFERENT][1], True),
        ("CPU ms of a photo's features, at most", PHOTO_MS, photos[FEATURES][1], True),
    ]
    for name, told in measured.whole.items():
        every = scaled(told, _at_many(measured)).whole if "error" not in told else None
        minutes = every / 60 / CORES if every is not None else None
        rows.append(
            (f"minutes of {MANY:,} pictures on {CORES} cores, by {name}, at most", MINUTES, minutes, True)
        )
    for count, told in measured.peer.items():
        times = _times(told, measured.candidates.get(("vectors", count), {}))
        rows.append((f"times less CPU than imagededup at {count:,}, at least", TIMES, times, False))
    memory = held_at(measured, MILLION)
    rows.append((f"MiB for candidates of {MILLION:,}, less than", MEMORY_MIB, memory, True))
    note = "Minutes are scaled, see the last table. A bar without a figure was not measured in this run."
    judged = tuple((what, bar, value, _reached(bar, value, most)) for what, bar, value, most in rows)
    return Table("Cost by its bars", ("what", "bar", "measured", "reached"), judged, note)


def _reached(bar: float, value: float | None, most: bool) -> str:
    if value is None:
        return ""
    return "yes" if (value <= bar if most else value >= bar) else "no"


def _times(theirs: Told, ours: Told) -> float | None:
    if "cpu_s" not in theirs or "cpu_s" not in ours:
        return None
    return float(theirs["cpu_s"]) / float(ours["cpu_s"])


def _pieces(measured: Measured) -> Table:
    rows = [
        (f"{name}: {what}", count, mean)
        for name, pieces in measured.pictures.items()
        for what, (count, mean) in pieces.items()
    ]
    rows += [(what, count, mean) for what, (count, mean) in measured.pairs.items()]
    note = (
        "Means, one thread. A pair is judged from two pictures that were made ready before. Different photos "
        "are those that are candidates of each other; edited copies have gone through each edit but the "
        "extreme ones."
    )
    return Table("A picture and a pair", ("what", "n", "CPU ms"), tuple(rows), note)


def _candidates(measured: Measured) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for (kind, count), told in measured.candidates.items():
        if "error" in told:
            rows.append((f"{WHAT[kind]}: {told['error']}", count, *([None] * 4)))
            continue
        a_picture = told["cpu_s"] * 1e3 / count
        rows.append((WHAT[kind], count, told["cpu_s"], a_picture, told["wall_s"], told["peak_mib"]))
    columns = ("candidates", "pictures", "CPU s", "CPU ms a picture", "seconds", "peak MiB")
    note = (
        "Each in a process of its own; MiB are those over what it had after its imports. Vectors are those "
        f"of the search case, read through the index. Hashes are PDQ's of about {REAL_HASHES:,} crops of the "
        "photos; every further picture has the hash of a crop with "
        f"{FEWEST_FLIPPED * 100:.0f} to {MOST_FLIPPED * 100:.0f} % of its bits flipped. Of more than 100,000 "
        "pictures so many ask, and the seconds are scaled. Words: the vocabulary and the lists are of full "
        "size; looking up and asking were measured on 300 and 200 pictures and scaled to all."
    )
    return Table("Candidates", columns, tuple(rows), note)


def _beside(measured: Measured) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for count, told in measured.peer.items():
        ours = measured.candidates.get(("vectors", count), {})
        for name, one in (("simsearch", ours), ("imagededup CNN, find_duplicates", told)):
            if "cpu_s" not in one:
                rows.append((f"{name}: {one.get('error', 'not measured')}", count, *([None] * 5)))
                continue
            times = _times(one, ours) if one is told else None
            rows.append((name, count, one["cpu_s"], one["wall_s"], one["peak_mib"], one["below_mib"], times))
    columns = ("method", "vectors", "CPU s", "seconds", "peak MiB", "MiB of a child", "times the CPU")
    note = (
        "The same vectors. imagededup compares each with each, from similarity .9 on, with its own number of "
        "workers. simsearch whitens the vectors and finds the nearest of each."
    )
    return Table("Vectors beside imagededup", columns, tuple(rows), note)


def _whole(measured: Measured) -> Table:
    columns = (
        *("pictures", "n", "pairs", "groups", "reading", "candidates", "pairs compared", "rest", "CPU s"),
        *("CPU ms a picture", "seconds", "peak MiB", "MiB of a worker"),
    )
    rows: list[tuple[Cell, ...]] = []
    for name, told in measured.whole.items():
        if "error" in told:
            rows.append((f"{name}: {told['error']}", *([None] * (len(columns) - 1))))
            continue
        stages = (told[f"{stage}_s"] for stage in ("reading", "candidates", "comparing", "rest"))
        rows.append(
            (
                *(name, told["photos"], told["pairs"], told["groups"], *stages, told["cpu_s"]),
                *(told["cpu_s"] * 1e3 / told["photos"], told["wall_s"], told["peak_mib"], told["below_mib"]),
            )
        )
    note = (
        "CPU seconds of each stage, with the workers'; the index was there, features were not. The small "
        "photos are cut out of nineteen pictures, so that many show a part of each other."
    )
    return Table("The whole of finding copies", columns, tuple(rows), note)


def _scaled(measured: Measured) -> Table:
    rows = tuple(_scaled_rows(measured))
    note = (
        f"Arithmetic, not a run: reading and the rest by the picture; pairs with {neighbours_for(MANY)} "
        f"neighbours by vectors, as simsearch takes at {MANY:,}; candidates as measured above at {MANY:,}."
    )
    columns = (
        "by",
        "pairs",
        "reading",
        "candidates",
        "pairs compared",
        "rest",
        "CPU s",
        "minutes on 2 cores",
    )
    return Table(f"{MANY:,} pictures, scaled", columns, rows, note)


def _scaled_rows(measured: Measured) -> Iterator[tuple[Cell, ...]]:
    for name, told in measured.whole.items():
        if "error" in told:
            continue
        found = scaled(told, _at_many(measured))
        yield (
            *(name, round(found.pairs), found.reading, found.candidates, found.comparing, found.rest),
            *(found.whole, found.whole / 60 / CORES if found.whole is not None else None),
        )
