"""What an actor does with a shard: read, decode, embed, and write down what came of each file."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

import numpy as np

from simsearch import __version__
from simsearch.engine.cluster.claims import OwnClaims
from simsearch.engine.cluster.shards.format import SUFFIX, Entry, Picture, Shard, write_shard
from simsearch.engine.indexing.pipeline import EmbedAhead, Embedded, Read, ReadAhead
from simsearch.engine.indexing.survey import Candidate
from simsearch.errors import IndexMismatch, IndexUnwritable
from simsearch.framing import Tiling
from simsearch.media.decode import DecodeLimits
from simsearch.media.pool import DecodePool
from simsearch.models.embedder import Embedder
from simsearch.models.labels.labeller import Labeller
from simsearch.records import Decoded, FileStat, Unreadable
from simsearch.spec import EmbeddingSpec
from simsearch.storage.catalog import Root

PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Orders:
    """What all shards of a run have in common; it travels as JSON, so that another version can be told.

    Attributes:
        key: see `simsearch.engine.cluster.shards.format.Shard`; `read_ns` too.
        folder: where shards are written.
        spec: JSON of the embedding spec, with `weights_path`, `device`, `runtime` and `batch_size`.
        labels: whether photos get labels.
        grids: of tiles; None without.
        threads: decoding processes of an actor, and passes of the network at once on a CPU.
        names_node: whether reasons that may pass say on which node they arose.
    """

    key: str
    read_ns: int
    folder: str
    spec: str
    weights_path: str | None
    device: str
    runtime: str
    batch_size: int | None
    labels: bool
    grids: tuple[tuple[int, int], ...] | None
    max_pixels: int
    threads: int
    names_node: bool
    version: str = __version__

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Orders:
        """The orders that `to_json` wrote. Raises IndexMismatch when another version wrote them."""
        told = json.loads(text)
        if told.get("version") != __version__:
            raise IndexMismatch(
                f"The node {socket.gethostname()} has simsearch {__version__}, and the run is of "
                f"{told.get('version')}; install the same version on every node."
            )
        grids = told.pop("grids")
        return cls(grids=None if grids is None else tuple((side, count) for side, count in grids), **told)


def files_to_json(files: Sequence[Candidate]) -> str:
    """The files of a shard as text: path and stat of each, as the driver's listing has them."""
    return json.dumps([[os.fsdecode(file.path), *astuple(file.stat)] for file in files])


def files_from_json(text: str) -> list[Candidate]:
    """The files that `files_to_json` wrote.

    What a listing said of an object is all that is known of it: nobody asks the store again.
    """
    told = json.loads(text)
    return [Candidate(Root(0, os.fsencode(path)), b"", FileStat(*stat), None) for path, *stat in told]


@dataclass(frozen=True, slots=True)
class Told:
    """What an actor says of a shard that is written: its number and file, and lines for a person."""

    number: int
    name: str
    notes: tuple[str, ...] = ()


class Crew:
    """Decoding processes and a network, kept from shard to shard."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._notes: list[str] = []
        spec = EmbeddingSpec.from_json(orders.spec)
        self._embedder = Embedder.for_spec(
            spec,
            orders.weights_path,
            device=orders.device,
            runtime=orders.runtime,
            note=self._notes.append,
            bulk=True,
        )
        self._labeller = Labeller(self._embedder, self._notes.append) if orders.labels else None
        tiling = Tiling(orders.grids) if orders.grids is not None else None
        limits = DecodeLimits(max_pixels=orders.max_pixels)
        self._pool = DecodePool(orders.threads, spec.framing, tiling=tiling, limits=limits)

    def do(self, number: int, files: Sequence[Candidate], claim: Callable[[bytes, int], bool]) -> Told:
        """Read and embed the files of a shard and write it; `claim` says whether a digest is its to embed.

        Raises IndexUnwritable, and what `Embedder.embed` raises.
        """
        own, orders = OwnClaims(), self._orders
        found: dict[bytes, Entry] = {}

        def mine(digest: bytes) -> bool:
            return own.is_first(digest) and claim(digest, number)

        def enter(done: Iterable[Embedded]) -> None:
            for embedded in done:
                found.update((entry.path, entry) for entry in _pictures(embedded))

        with (
            EmbedAhead(self._embedder, orders.batch_size, self._labeller, lanes=self._lanes()) as ahead,
            ReadAhead(files, self._pool, orders.threads, mine) as reading,
        ):
            for read in reading.results(PATIENCE):
                if read is None:
                    enter(ahead.done())
                elif isinstance(read.outcome, Decoded):
                    enter(ahead.put(read, read.outcome))
                else:
                    found[read.candidate.path] = self._entry(read)
            enter(ahead.rest())
        name = f"{orders.read_ns:x}-{number:06d}{SUFFIX}"
        entries = tuple(found[file.path] for file in files)
        self._write(name, Shard(orders.key, orders.read_ns, self._embedder.device, entries))
        notes, self._notes[:] = tuple(self._notes), []
        return Told(number, name, notes)

    def _lanes(self) -> int | None:
        """Passes at once: on a CPU one for each that the actor was given, not for each of the machine."""
        one_core_each = self._embedder.device == "cpu" and self._embedder.runtime == "onnx"
        return self._orders.threads if one_core_each else None

    def _entry(self, read: Read) -> Entry:
        outcome = read.outcome
        if isinstance(outcome, Decoded):
            raise TypeError("a decoded picture has to be embedded first")
        if isinstance(outcome, Unreadable) and outcome.transient and self._orders.names_node:
            outcome = replace(outcome, reason=f"{outcome.reason} (on the node {socket.gethostname()})")
        return Entry(read.candidate.path, outcome, read.claimed)

    def _write(self, name: str, shard: Shard) -> None:
        folder = Path(self._orders.folder)
        try:
            write_shard(folder, name, shard)
        except OSError as exc:
            raise IndexUnwritable(
                f"The node {socket.gethostname()} cannot write into {folder}: {exc.strerror or exc}. Name a "
                "folder that every node sees under the same path with --shard-dir."
            ) from exc


def said_here(exc: Exception, orders: str) -> str:
    """What went wrong, with the node's name where there are several and it does not tell already."""
    words, node = str(exc), socket.gethostname()
    if node in words or not json.loads(orders).get("names_node"):
        return words
    return f"On the node {node}: {words}"


def _pictures(embedded: Embedded) -> Iterator[Entry]:
    count = len(embedded.batch)
    labels = embedded.labels or [()] * count
    tiles = embedded.vectors[count:].reshape(count, -1, embedded.vectors.shape[1])
    for number, (read, decoded) in enumerate(embedded.batch):
        vectors = np.concatenate([embedded.vectors[number : number + 1], tiles[number]])
        facts = decoded.facts
        yield Entry(
            read.candidate.path, Picture(decoded.digest, decoded.stat, facts, vectors, labels[number])
        )
