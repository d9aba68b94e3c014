"""The border to pymilvus: what is asked of a Milvus server, with a time-out on every call."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import ExtraMissing, ViewStale, ViewUnavailable
from simsearch.views.base import Ids, Vectors
from simsearch.views.remote.address import TOKEN, MilvusAddress

CONNECT_S, CALL_S, OPEN_S, BUILD_S = 4, 15, 30, 600
"""How long a server may take to be reached, to answer, to load a collection, and to go on with building."""

MOST = 16_384
"""So many rows Milvus gives at most in one answer: https://milvus.io/docs/limitations.md"""

TOGETHER = 64
"""So many queries go in one call, which has one time-out."""

KEY, VECTOR, STAMP = "id", "vector", "stamp"
_FIELDS = {KEY, VECTOR, STAMP}
_POLL_S = 0.2
_METRIC = "L2"
_NO_SUCH_COLLECTION = 100


@dataclass(frozen=True, slots=True)
class Found:
    """What one query found, best first: ids int64 (n,) and squared distances float32 (n,)."""

    ids: Ids
    distances: NDArray[np.float32]


class MilvusServer:
    """A connection to a server, or to a file of Milvus Lite that this process opens.

    See https://milvus.io/api-reference/pymilvus/v2.6.x/About.md
    """

    def __init__(self, address: MilvusAddress) -> None:
        """Raises ExtraMissing without pymilvus, ViewUnavailable when nobody answers."""
        self.address = address
        self._api = _pymilvus()
        if address.file is not None:
            _need_lite()
        token = _token(address)
        one = "cannot be opened (one process at a time can)"
        with self._errors("cannot be reached" if address.file is None else one):
            # Each has a connection of its own: one that broke is thrown away with its view.
            self._client = self._api.MilvusClient(
                uri=address.uri, token=token, db_name=address.database, timeout=CONNECT_S, dedicated=True
            )

    def create(self, name: str, dim: int, about: str) -> None:
        """An empty collection of rows with an id, a float32 vector (dim,) and a stamp."""
        kinds = self._api.DataType
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False, description=about)
        schema.add_field(KEY, kinds.INT64, is_primary=True)
        schema.add_field(VECTOR, kinds.FLOAT_VECTOR, dim=dim)
        schema.add_field(STAMP, kinds.INT64)
        with self._errors("refuses a new collection"):
            # Rows count as fed once a read that waits for all of them has seen them; searches then need not.
            self._client.create_collection(name, schema=schema, consistency_level="Bounded", timeout=CALL_S)

    def insert(self, name: str, ids: Ids, rows: Vectors, stamp: int) -> None:
        """Add rows."""
        made = zip(ids.tolist(), rows, strict=True)
        data = [{KEY: number, VECTOR: row, STAMP: stamp} for number, row in made]
        with self._errors("does not take rows"):
            self._client.insert(name, data, timeout=BUILD_S)

    def delete_past(self, name: str, last_id: int) -> None:
        """Drop the rows with greater ids."""
        with self._errors("does not drop rows"):
            self._client.delete(name, filter=f"{KEY} > {last_id}", timeout=CALL_S)

    def flush(self, name: str) -> None:
        """Wait until the server's disk has the rows."""
        with self._errors("does not keep rows"):
            self._client.flush(name, timeout=BUILD_S)

    def build_index(self, name: str, kind: str, parameters: Mapping[str, int]) -> None:
        """Have the index made, and wait while the server gets on with it."""
        wanted = self._client.prepare_index_params()
        # As JSON under one key, which every server reads; Milvus Lite passes over keys of their own.
        nested = {"params": dict(parameters)} if parameters else {}
        wanted.add_index(VECTOR, index_type=kind, metric_type=_METRIC, params=nested)
        with self._errors(f"does not build an index of the kind {kind}"):
            self._client.create_index(name, wanted, sync=False, timeout=BUILD_S)
            pending, since = -1, time.monotonic()
            while (state := self._client.describe_index(name, VECTOR, timeout=CALL_S))["state"] != "Finished":
                if state["state"] == "Failed" or time.monotonic() - since > BUILD_S:
                    raise ViewUnavailable(f"{self.address} did not finish the index of {name}.")
                if state["pending_index_rows"] != pending:
                    pending, since = state["pending_index_rows"], time.monotonic()
                time.sleep(_POLL_S)

    def load(self, name: str, seconds: float) -> None:
        """Have the collection ready to be searched."""
        with self._errors(f"has not made {name} ready", name):
            state = self._client.get_load_state(name, timeout=CALL_S)["state"]
            if state == self._api.client.types.LoadState.NotExist:
                raise ViewStale(f"{self.address} has no collection {name} any more.")
            if state != self._api.client.types.LoadState.Loaded:
                self._client.load_collection(name, timeout=seconds)

    def count(self, name: str, last_id: int) -> int:
        """How many rows have an id up to `last_id`, those included that were written a moment ago."""
        with self._errors("cannot be asked", name):
            told = self._client.query(
                name,
                filter=f"{KEY} <= {last_id}",
                output_fields=["count(*)"],
                consistency_level="Strong",
                timeout=CALL_S,
            )
            return int(told[0]["count(*)"])

    def stamp(self, name: str, row: int) -> int | None:
        """The stamp of a row; None where there is no such row."""
        with self._errors("cannot be asked", name):
            told = self._client.query(
                name,
                filter=f"{KEY} == {row}",
                output_fields=[STAMP],
                consistency_level="Strong",
                timeout=CALL_S,
            )
            return int(told[0][STAMP]) if told else None

    def ids(self, name: str, after: int, last: int) -> Ids:
        """The ids with after < id <= last, ascending; there are at most MOST."""
        with self._errors("cannot be asked", name):
            told = self._client.query(
                name,
                filter=f"{KEY} > {after} and {KEY} <= {last}",
                output_fields=[KEY],
                limit=MOST,
                timeout=CALL_S,
            )
            return np.sort(np.array([row[KEY] for row in told], dtype=np.int64))

    def search(
        self, name: str, queries: Vectors, most: int, parameters: Mapping[str, int], where: str = ""
    ) -> list[Found]:
        """The best `most` rows of each query (m, dim), among those of which `where` is true."""
        found: list[Found] = []
        with self._errors("cannot be searched", name):
            for start in range(0, len(queries), TOGETHER):
                answers = self._client.search(
                    name,
                    list(queries[start : start + TOGETHER]),
                    filter=where,
                    limit=min(most, MOST),
                    # Without a field named, some servers give all, the vectors too.
                    output_fields=[KEY],
                    search_params={"metric_type": _METRIC, "params": dict(parameters)},
                    anns_field=VECTOR,
                    timeout=CALL_S,
                )
                found += map(_found, answers)
        return found

    def collections(self) -> list[str]:
        """The names of all collections."""
        with self._errors("cannot be asked"):
            return [str(name) for name in self._client.list_collections(timeout=CALL_S)]

    def is_ours(self, name: str) -> bool:
        """Whether a collection has the fields of those that `create` makes, and no others."""
        with self._errors("cannot be asked"):
            fields = self._client.describe_collection(name, timeout=CALL_S)["fields"]
            return {field["name"] for field in fields} == _FIELDS

    def drop(self, name: str) -> None:
        """Drop a collection."""
        with self._errors("does not drop a collection"):
            self._client.drop_collection(name, timeout=CALL_S)

    @contextmanager
    def _errors(self, what: str, name: str = "") -> Iterator[None]:
        from grpc import RpcError

        # pymilvus asks the closed channel of a lost connection, which is a ValueError, and parses some
        # answers without looking: a KeyError or an IndexError.
        try:
            yield
        except self._api.MilvusException as exc:
            if name and exc.code == _NO_SUCH_COLLECTION:
                raise ViewStale(f"{self.address} has no collection {name} any more.") from exc
            # A connection that was refused is said to have failed, and why is in what lies behind.
            behind = exc.__cause__ if isinstance(exc.__cause__, RpcError) else None
            reason = exc.message if behind is None else _told(behind)
            raise ViewUnavailable(f"{self.address} {what}: {_words(reason)}.") from exc
        except RpcError as exc:
            raise ViewUnavailable(f"{self.address} {what}: {_words(_told(exc))}.") from exc
        except (OSError, ValueError, KeyError, IndexError) as exc:
            raise ViewUnavailable(f"{self.address} {what}: {_words(exc)}.") from exc


def _found(answer: Sequence[Mapping[str, Any]]) -> Found:
    ids = np.array([hit[KEY] for hit in answer], dtype=np.int64)
    return Found(ids, np.array([hit["distance"] for hit in answer], dtype=np.float32))


def _token(address: MilvusAddress) -> str:
    """The token for this server, if any: an index that somebody else made may name any server."""
    given = os.environ.get(TOKEN, "")
    token, at, host = given.rpartition("@")
    if given and not at:
        raise ViewUnavailable(f"${TOKEN} has to end in @HOST, the one server that it is for.")
    return token if host.lower() == address.host else ""


def _told(error: Any) -> str:
    """What gRPC tells of a call that failed."""
    if not hasattr(error, "code") or error.code() is None:
        return str(error)
    return f"{error.code().name}, {error.details()}"


def _words(reason: object) -> str:
    """A server's words in one line that no terminal takes for a command."""
    line = " ".join(str(reason).split()).rstrip(".")
    return "".join(sign if sign.isprintable() else "?" for sign in line)[:300]


def _pymilvus() -> Any:
    try:
        import pymilvus
        import pymilvus.client.types
    except ImportError as exc:
        raise ExtraMissing('A view on Milvus needs pymilvus: pip install "simsearch[milvus]"') from exc
    # It prints each error with a traceback before it raises it.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return pymilvus


def _need_lite() -> None:
    try:
        import milvus_lite
    except ImportError as exc:
        raise ExtraMissing("A view in a file needs Milvus Lite: pip install milvus-lite") from exc
    logging.getLogger(milvus_lite.__name__).setLevel(logging.CRITICAL)
