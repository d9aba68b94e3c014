"""Ray, which is nowhere else: a cluster found or started, shards given out, its errors in our words.

See https://docs.ray.io/en/latest/data/api/doc/ray.data.Dataset.map_batches.html
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch import errors
from simsearch.engine.cluster.address import check_address, failed_in_the_middle, failed_to_begin
from simsearch.engine.cluster.claims import Claims
from simsearch.engine.cluster.config import LOCAL
from simsearch.engine.cluster.work import Crew, Orders, Told, files_from_json, files_to_json, said_here
from simsearch.engine.indexing.survey import Candidate
from simsearch.errors import ClusterFailed, DeviceUnavailable, SimsearchError
from simsearch.models.runners import available_threads
from simsearch.paths import text

STORE_BYTES = 256 << 20
"""Object store of a cluster of our own: only names and counts travel through it."""

START_SECONDS = 900
"""So long may the first actors take to start, on a busy machine or until a busy cluster finds room."""

ATTEMPTS = 4
"""So often a shard is begun; Ray by itself would never stop."""

CPUS = 4
"""CPUs of an actor where nothing else is said, on nodes that have so many."""

# Ray reports to its makers, warns of an environment that is not ours, and writes past Python to the terminal.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
}


@dataclass(frozen=True, slots=True)
class Posting:
    """How many actors there is room for, of how many CPUs each and whether with a card, in how many nodes."""

    actors: int
    nodes: int
    cpus: int
    card: bool


class Fleet:
    """A Ray cluster while it is used; one that was started for it ends with it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._own = False
        self._quiet = contextlib.ExitStack()

    def __enter__(self) -> Fleet:
        check_address(self._address)
        with _environment(), _silence():
            import ray

            if ray.is_initialized():
                return self
            # Where others share the cluster nothing of it is ours to bound.
            bounds: dict[str, Any] = {}
            if self._address == LOCAL:
                bounds = {"num_cpus": available_threads(), "object_store_memory": STORE_BYTES}
            try:
                ray.init(
                    address=self._address,
                    include_dashboard=False if bounds else None,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    **bounds,
                )
            except Exception as exc:  # Ray's errors of connecting have no common base
                raise ClusterFailed(failed_to_begin(self._address, exc)) from exc
        self._own = True
        self._quiet.enter_context(_no_errors_on_stdout())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._quiet:
            if self._own:
                import ray

                ray.shutdown()

    def post(self, cpus: int | None, device: str) -> Posting:
        """The actors that the cluster has room for, of so many CPUs each; None leaves that to their number.

        With a device "auto" each gets a graphics card where there are any, with "cuda" it has to.

        Raises ClusterFailed when no node has so many CPUs, DeviceUnavailable without cards.
        """
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        with_cards = [node for node in nodes if node.get("GPU", 0) >= 1 and node.get("CPU", 0) >= 1]
        card = bool(with_cards) and not device.startswith("cpu")
        if device.startswith("cuda") and not card:
            raise DeviceUnavailable(
                "No node of the Ray cluster has a graphics card; use --device cpu or auto."
            )
        if card:
            each = cpus or max(1, min(int(node["CPU"] // node["GPU"]) for node in with_cards))
            room = [min(int(node["GPU"]), int(node["CPU"] // each)) for node in with_cards]
        else:
            each = cpus or max(1, min(CPUS, max((int(node.get("CPU", 0)) for node in nodes), default=1)))
            room = [int(node.get("CPU", 0) // each) for node in nodes]
        if not sum(room):
            raise ClusterFailed(
                f"No node of the Ray cluster has {each} CPUs for an actor; give it fewer with --workers."
            )
        return Posting(sum(room), len(nodes), each, card)

    def work(
        self,
        orders: Orders,
        shards: Sequence[Sequence[Candidate]],
        posting: Posting,
        known: NDArray[np.uint64],
    ) -> Generator[Told, None, None]:
        """Have the shards done; what is told of each, as they are done.

        `known` are digests of pictures that need no embedding: see `Claims`.

        Raises ClusterFailed, and what an actor ran into: see `Crew.do`.
        """
        import ray
        import ray.data

        with _context(ray.data.DataContext):
            claims = ray.remote(num_cpus=0, max_restarts=ATTEMPTS)(Claims).remote(known)
            items = [{"number": number, "files": files_to_json(files)} for number, files in enumerate(shards)]
            actors = min(posting.actors, len(shards))
            pool = ray.data.ActorPoolStrategy(
                min_size=1,
                max_size=actors,
                initial_size=actors if posting.nodes == 1 else 1,
                max_tasks_in_flight_per_actor=1,
            )
            done = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
                Actor,
                fn_constructor_args=(orders.to_json(), claims),
                compute=pool,
                batch_size=1,
                num_cpus=posting.cpus,
                num_gpus=1 if posting.card else None,
            )
            try:
                for batch in done.iter_batches(batch_size=None, prefetch_batches=0):
                    yield from map(_told, batch["told"])
            except SimsearchError:
                raise
            except Exception as exc:  # Ray raises errors of its own, of its tasks and plain ones
                raise ClusterFailed(failed_in_the_middle(exc)) from exc
            finally:
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.kill(claims)


class Actor:
    """One process of the pool: makes its crew with the first shard, and says in words what goes wrong."""

    def __init__(self, orders: str, claims: Any) -> None:
        self._orders, self._claims = orders, claims
        self._crew: Crew | None = None

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, list[str]]:
        """A shard done: {number, files} -> {told}, each an array of one."""
        number, files = int(batch["number"][0]), files_from_json(batch["files"][0])
        try:
            if self._asked(self._claims.begin, 1, number) > ATTEMPTS:
                raise ClusterFailed(
                    f"The actors that read {text(files[0].path)} and {len(files) - 1} files after it died "
                    f"{ATTEMPTS} times (too little memory?). Try fewer CPUs an actor with --workers, or a "
                    "smaller --shard-size; what was committed is safe."
                )
            if self._crew is None:
                self._crew = Crew(Orders.from_json(self._orders))
            told = asdict(self._crew.do(number, files, self._claim))
        except SimsearchError as exc:
            told = {"error": type(exc).__name__, "words": said_here(exc, self._orders)}
        return {"told": [json.dumps(told)]}

    def _claim(self, digest: bytes, shard: int) -> bool:
        return bool(self._asked(self._claims.claim, True, digest, shard))

    def _asked(self, method: Any, otherwise: int, *values: bytes | int) -> int:
        import ray

        try:
            return int(ray.get(method.remote(*values)))
        except ray.exceptions.RayError:
            # Nobody keeps count any more: at worst a picture is embedded twice, and entered once.
            return otherwise


def _told(line: str) -> Told:
    told = json.loads(line)
    if "error" in told:
        kind = getattr(errors, told["error"], SimsearchError)
        raise kind(told["words"])
    return Told(told["number"], told["name"], tuple(told["notes"]))


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """What Ray is begun in: quiet, with this very package for its processes to import, SIGTERM as it was.

    The working folder, which Ray puts in front of what they import, is the package's: ours may hold a PIL.py.
    """
    package = str(Path(__file__).resolve().parents[3])
    search = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), package]
    wanted = {**_QUIET, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, search))}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    ended_by = signal.getsignal(signal.SIGTERM)
    try:
        with contextlib.chdir(package):
            yield
    finally:
        if ended_by is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ended_by)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing on the terminal: with its first line Ray's C++ part says that it will say nothing more."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


@contextlib.contextmanager
def _no_errors_on_stdout() -> Iterator[None]:
    """A thread of Ray prints to stdout, among our answer, that a worker died; no setting ends that."""
    from ray._private import worker

    printing = getattr(worker, "print_to_stdstream", None)
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = printing


@contextlib.contextmanager
def _context(kind: Any) -> Iterator[Any]:
    """Ray Data's settings while it is silent; as they were afterwards."""
    context = kind.get_current()
    logger = logging.getLogger("ray.data")
    wanted: dict[str, Any] = {
        "enable_progress_bars": False,
        "enable_operator_progress_bars": False,
        "print_on_execution_start": False,
        "wait_for_min_actors_s": START_SECONDS,
    }
    before = {name: getattr(context, name) for name in wanted}
    level = logger.level
    for name, value in wanted.items():
        setattr(context, name, value)
    logger.setLevel(logging.CRITICAL)
    try:
        yield context
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            setattr(context, name, value)
