"""Rounds of speeds -> a table of medians, a table of ratios, and the raw figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.report import Table

NEAR_LIMIT = 0.92


@dataclass(frozen=True, slots=True)
class Speed:
    """Photos a second by the program's own clock and by the whole command's, and CPU seconds a photo."""

    own: float
    command: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Rounds:
    """What was measured in turn, a speed a round: decoding, the network, simsearch index, the usual loop.

    The network is run as the indexer does, a pass on each core, and `together`, one pass on all cores.
    """

    photos: int
    decode: list[Speed]
    forward: list[Speed]
    together: list[Speed]
    command: list[Speed]
    loop: list[Speed]

    @property
    def limits(self) -> list[float]:
        """Photos a second of each round if decoding and the quicker network did nothing but take turns."""
        quicker = [max(f.own, t.own) for f, t in zip(self.forward, self.together, strict=True)]
        return [1 / (1 / d.own + 1 / f) for d, f in zip(self.decode, quicker, strict=True)]

    @property
    def parts_cpu(self) -> list[float]:
        """CPU seconds a photo of decoding and network together, a figure a round."""
        return [d.cpu + f.cpu for d, f in zip(self.decode, self.forward, strict=True)]


def tables(rounds: Rounds, title: str, bar: float) -> tuple[Table, ...]:
    """Speeds and ratios; `bar` is by how much the usual loop has to be slower."""
    names = ("median", "lowest", "highest")
    count = f"{len(rounds.command)} rounds"
    return (
        Table(f"{title}; {count}", ("photos/s", *names, "CPU ms a photo"), _speed_rows(rounds)),
        Table(f"{title}: ratios", ("ratio", *names, "at least"), _ratio_rows(rounds, bar)),
    )


def figures(rounds: Rounds) -> dict[str, Any]:
    """Every speed of every round, and the ratios."""
    ratios = {name: values for name, values, _ in _ratios(rounds, 0)}
    return {**asdict(rounds), "limits": rounds.limits, "ratios": ratios}


def _speed_rows(rounds: Rounds) -> tuple[tuple[str | float | None, ...], ...]:
    def row(what: str, values: Sequence[float], cpu: Sequence[Speed] = ()) -> tuple[str | float | None, ...]:
        return what, *_spread(values), 1000 * median(speed.cpu for speed in cpu) if cpu else None

    return (
        row("decoding alone (D)", [speed.own for speed in rounds.decode], rounds.decode),
        row("network alone, a pass a core (F)", [speed.own for speed in rounds.forward], rounds.forward),
        row("network alone, a pass on all cores", [s.own for s in rounds.together], rounds.together),
        row("limit 1/(1/F + 1/D)", rounds.limits),
        row("simsearch index, its own seconds", [speed.own for speed in rounds.command]),
        row("simsearch index, whole command", [speed.command for speed in rounds.command], rounds.command),
        row("DataLoader loop, its own seconds", [speed.own for speed in rounds.loop]),
        row("DataLoader loop, whole command", [speed.command for speed in rounds.loop], rounds.loop),
    )


def _ratio_rows(rounds: Rounds, bar: float) -> tuple[tuple[str | float | None, ...], ...]:
    return tuple((name, *_spread(values), least) for name, values, least in _ratios(rounds, bar))


def _ratios(rounds: Rounds, bar: float) -> list[tuple[str, list[float], float | None]]:
    """Name, a value a round, and what is asked of the median."""
    own, command = ([getattr(s, clock) for s in rounds.command] for clock in ("own", "command"))
    loop_own, loop_command = ([getattr(s, clock) for s in rounds.loop] for clock in ("own", "command"))
    our_cpu, loop_cpu = [s.cpu for s in rounds.command], [s.cpu for s in rounds.loop]
    return [
        ("simsearch's own seconds against the limit", _over(own, rounds.limits), NEAR_LIMIT),
        ("whole command against the limit", _over(command, rounds.limits), None),
        ("CPU of D and F against the command's", _over(rounds.parts_cpu, our_cpu), None),
        ("whole command against the DataLoader loop's", _over(command, loop_command), bar),
        ("own seconds against the DataLoader loop's", _over(own, loop_own), None),
        ("CPU of the DataLoader loop against the command's", _over(loop_cpu, our_cpu), None),
    ]


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return median(values), min(values), max(values)


def _over(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]
