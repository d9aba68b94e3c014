"""The whole commands of simsearch and of its peers over one folder, in turn; those that failed say why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.indexing.limits import Subject, whole_command
from benchmarks.indexing.ratios import Speed
from benchmarks.peers.environments import PeerMissing
from benchmarks.peers.photos import PhotoPeer
from benchmarks.report import Table

COLUMNS = (
    *("program", "what it does", "photos/s, whole command", "photos/s, own seconds", "CPU ms a photo"),
    *("simsearch is quicker by", "in CPU by"),
)


@dataclass(slots=True)
class _Contestant:
    """A program and what came of its rounds; `did` becomes the reason where it failed."""

    name: str
    run: Callable[[], tuple[Speed, str]]
    rival: str | None = None
    did: str = ""
    failed: bool = False
    speeds: list[Speed] = field(default_factory=list)

    def go(self) -> None:
        """One round; after a failure there is none."""
        if self.failed:
            return
        try:
            speed, self.did = self.run()
        except PeerMissing as exc:
            self.failed, self.did = True, str(exc)
        else:
            self.speeds.append(speed)


def against_peers(
    ours: dict[str, Subject], peers: Sequence[PhotoPeer], checkpoint: Path, pairs: int
) -> tuple[Table, dict[str, Any]]:
    """Rounds of all programs over the folder of `ours`, which names a subject for each rival model."""
    folder = next(iter(ours.values())).folder
    for subject in ours.values():
        # A network that is new here is exported once, which is no indexing.
        subject.embedder.load()
    contestants = [_own(model, subject) for model, subject in ours.items()]
    contestants += [_foreign(peer, folder, checkpoint) for peer in peers]
    for number in range(pairs):
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            contestant.go()
    of_rival = {model: contestants[place].speeds for place, model in enumerate(ours)}
    count = sum(1 for _ in folder.iterdir())
    table = Table(
        f"Whole commands over {count} photos; medians of {pairs} rounds",
        COLUMNS,
        tuple(_row(contestant, of_rival) for contestant in contestants),
        "A row without figures says why. Peers run without network, each in an environment of its own.",
    )
    kept = {
        contestant.name: {"did": contestant.did, "speeds": [asdict(speed) for speed in contestant.speeds]}
        for contestant in contestants
    }
    return table, {"photos": count, "rounds": pairs, "programs": kept}


def peer_speed(peer: PhotoPeer, folder: Path, checkpoint: Path) -> tuple[Speed, str]:
    """One run of a peer, and what it says it did. Raises PeerMissing."""
    answer = peer.run(folder, checkpoint)
    count = int(str(answer.told["photos"]))
    own = count / float(str(answer.told["seconds"]))
    return Speed(own, count / answer.cost.wall, answer.cost.cpu / count), str(answer.told["did"])


def _own(model: str, subject: Subject) -> _Contestant:
    did = f"{model}, vectors in an index that searches them"
    return _Contestant(f"simsearch index, {model}", lambda: (whole_command(subject), did))


def _foreign(peer: PhotoPeer, folder: Path, checkpoint: Path) -> _Contestant:
    return _Contestant(peer.name, lambda: peer_speed(peer, folder, checkpoint), peer.rival)


def _row(contestant: _Contestant, of_rival: dict[str, list[Speed]]) -> tuple[str | float | int | None, ...]:
    speeds = contestant.speeds
    if not speeds:
        return contestant.name, contestant.did, *([None] * (len(COLUMNS) - 2))
    rival = of_rival.get(contestant.rival or "", [])
    pairs = list(zip(rival, speeds, strict=False))
    return (
        contestant.name,
        contestant.did,
        median(speed.command for speed in speeds),
        median(speed.own for speed in speeds),
        1000 * median(speed.cpu for speed in speeds),
        median(our.command / their.command for our, their in pairs) if pairs else None,
        median(their.cpu / our.cpu for our, their in pairs) if pairs else None,
    )
