"""The peers that find copies: what each needs, its script, and its answers to a task."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.dedup.scores import Answers
from benchmarks.indexing.checkpoint import write_checkpoint
from benchmarks.machine import Cost
from benchmarks.peers.asking import REPO, SECONDS, ask
from benchmarks.peers.children import ChildFailed, run_child
from benchmarks.peers.environments import PeerMissing, bench_folder, ensure, reason
from benchmarks.peers.photos import CHECKPOINT, FASTDUP, TORCH

HASHES = ("ImageHash==4.3.2", "pdqhash==0.2.8", "pillow==13.0.0")
IMMACULATE = ("immaculate[sscd]==0.3.0", "pillow==13.0.0")
ENSURE = (
    "import sys; from benchmarks.peers.environments import ensure; print(ensure(sys.argv[1], sys.argv[2:]))"
)

LONG = 7200.0
"""Seconds for a peer that runs a large network on one picture after the other."""

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CopyPeer:
    """A program that finds copies.

    Attributes:
        name: as the tables show it.
        environment, requirements: what it is installed into, and what is installed.
        script: below scripts/dedup.
        arguments: after the task and the place of the answers; CHECKPOINT stands for the ResNet-50 weights.
        least: the oldest Python that it runs with.
        seconds: until it is given up.
    """

    name: str
    environment: str
    requirements: tuple[str, ...]
    script: str
    arguments: tuple[str, ...] = ()
    least: Version = (3, 11)
    seconds: float = SECONDS

    def answer(
        self, originals: Sequence[Path], queries: Sequence[Path], weights: Path | None
    ) -> tuple[Answers, str, Cost]:
        """Its answers, what it did, and what the whole command cost. Raises PeerMissing.

        `weights` is a ResNet-50 checkpoint, for those that want one.
        """
        if CHECKPOINT in self.arguments and weights is None:
            raise PeerMissing("it wants a ResNet-50 checkpoint, see --weights")
        python = _environment(self.environment, self.requirements, self.least)
        bench_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=bench_folder()) as place:
            task, out = Path(place, "task.json"), Path(place, "answers.npz")
            paths = {"originals": originals, "queries": queries}
            told = {name: [str(path.resolve()) for path in files] for name, files in paths.items()}
            checkpoint = Path(place, "resnet50.pth")
            arguments = [str(checkpoint) if word == CHECKPOINT else word for word in self.arguments]
            if CHECKPOINT in self.arguments:
                write_checkpoint(weights, checkpoint)
            task.write_text(json.dumps(told), encoding="utf-8")
            given = ask(python, f"dedup/{self.script}", [task, out, *arguments], self.seconds)
            with np.load(out) as kept:
                answers = Answers(
                    kept["queries"].astype(np.int64),
                    kept["originals"].astype(np.int64),
                    kept["scores"].astype(np.float64),
                )
        return answers, str(given.told["did"]), given.cost


PEERS = (
    CopyPeer("imagehash pHash", "hashes", HASHES, "hashes_run.py", ("phash", "1")),
    CopyPeer("imagehash pHash, 8 forms", "hashes", HASHES, "hashes_run.py", ("phash", "8")),
    CopyPeer("imagehash dHash", "hashes", HASHES, "hashes_run.py", ("dhash", "1")),
    CopyPeer("pdqhash", "hashes", HASHES, "hashes_run.py", ("pdq", "1")),
    CopyPeer("pdqhash, 8 forms", "hashes", HASHES, "hashes_run.py", ("pdq", "8")),
    CopyPeer("imagededup DHash", "torch_peers", TORCH, "imagededup_run.py", ("dhash",)),
    CopyPeer("imagededup PHash", "torch_peers", TORCH, "imagededup_run.py", ("phash",)),
    CopyPeer("imagededup CNN as it comes", "torch_peers", TORCH, "imagededup_run.py", ("cnn",)),
    CopyPeer(
        *("imagededup CNN, ResNet-50", "torch_peers", TORCH, "imagededup_run.py", ("resnet50", CHECKPOINT)),
        seconds=LONG,
    ),
    CopyPeer("fastdup", "fastdup", FASTDUP, "fastdup_run.py"),
    CopyPeer("Immaculate, SSCD", "immaculate", IMMACULATE, "immaculate_run.py", ("sscd",), (3, 12)),
    CopyPeer(
        *("Immaculate, SSCD distilled", "immaculate", IMMACULATE, "immaculate_run.py", ("sscd_distilled",)),
        least=(3, 12),
    ),
)


def _environment(name: str, requirements: Sequence[str], least: Version) -> Path:
    """The Python of a peer's environment, made by this Python or by a newer one. Raises PeerMissing."""
    if sys.version_info >= least:
        return ensure(name, requirements)
    wanted, here = (".".join(map(str, version)) for version in (least, sys.version_info[:2]))
    for python in _other_pythons(least):
        try:
            # The newer one has to make the environment itself: a venv is of the Python that makes it.
            made = run_child([python, "-c", ENSURE, name, *requirements], environment={"PYTHONPATH": REPO})
        except ChildFailed as exc:
            raise PeerMissing(reason(str(exc))) from exc
        return Path(made.stdout.strip())
    raise PeerMissing(f"it needs Python {wanted}; this is {here}, and no other is at hand")


def _other_pythons(least: Version) -> Iterator[str]:
    """Newer Pythons that start: on the path, or beside this one, where pyenv and uv keep them."""
    names = [f"python{least[0]}.{minor}" for minor in range(least[1], least[1] + 3)]
    beside = Path(sys.base_prefix).parent
    found = [shutil.which(name) for name in names]
    found += [str(path) for name in names for path in sorted(beside.glob(f"*/bin/{name}"))]
    for python in filter(None, found):
        try:
            run_child([python, "-c", "import venv, pip"], seconds=60)
        except ChildFailed:
            continue
        yield python
