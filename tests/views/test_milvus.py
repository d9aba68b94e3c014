"""A view on a Milvus server that is stale, gone, slow, foreign or half fed: the answers stay right."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from children import start
from conftest import simsearch
from life import Life
from lite import MISSING, LiteServer, SecuredServer
from made import ENOUGH, made_index
from oracle import read_index

from simsearch import Index
from simsearch.dedup.graph import knn_graph
from simsearch.engine.maintenance.verify import verify
from simsearch.engine.maintenance.view import TAIL_ROWS, rebuild
from simsearch.errors import ExtraMissing, ViewUnavailable

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("pymilvus", "milvus_lite")), reason=MISSING
    ),
]
BOUND_S = 240
"""Longer than a call's time-out and an exact search, and far shorter than waiting for ever."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiteServer]:
    started = LiteServer(tmp_path / "server")
    yield started
    started.kill()


@pytest.fixture
def folder(tmp_path: Path, server: LiteServer) -> Path:
    """An index whose view is on the server."""
    _, folder = made_index(tmp_path)
    assert rebuild(folder, view=server.address, recall=0.9).kind == "milvus"
    return folder


def client_of(server: LiteServer) -> Any:
    from pymilvus import MilvusClient

    return MilvusClient(uri=f"http://127.0.0.1:{server.port}", timeout=120, dedicated=True)


def record_of(folder: Path) -> dict[str, Any]:
    connection = sqlite3.connect(folder / "index.db")
    try:
        [value] = connection.execute("SELECT value FROM settings WHERE key = 'view'").fetchone()
    finally:
        connection.close()
    record: dict[str, Any] = json.loads(value)
    return record


def search_exactly(index: Index, folder: Path) -> None:
    """Every answer is that of brute force."""
    truth = read_index(folder)
    for query, hits in zip(truth.vectors[:20], index.search(truth.vectors[:20], k=7), strict=True):
        assert [hit.path for hit in hits] == [path for path, _ in truth.rank(query, 7)]


def query_exactly(folder: Path) -> str:
    """The same by the command line, in a process of its own; what it said on stderr."""
    truth = read_index(folder)
    started = time.monotonic()
    done = simsearch("query", "--id", str(truth.ids[3]), "-k", "7", "--include-self", "--json", "-i", folder)
    assert time.monotonic() - started < BOUND_S
    assert done.returncode == 0
    [answer] = json.loads(done.stdout)
    assert [hit["path"] for hit in answer["hits"]] == [p for p, _ in truth.rank(truth.vectors[3], 7)]
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert "Traceback" not in lines[0]
    return lines[0]


def test_many_processes_search_it_and_info_tells_where_it_is(folder: Path, server: LiteServer) -> None:
    truth = read_index(folder)
    command = ("query", "--id", str(truth.ids[0]), "-i", folder, "--json")
    started = [start(*command) for _ in range(3)]
    for process in started:
        out, err = process.communicate(timeout=900)
        assert (process.returncode, err) == (0, b"")
        assert len(json.loads(out)[0]["hits"]) == 10
    info = json.loads(simsearch("info", "--json", "-i", folder).stdout)
    assert (info["view"]["kind"], info["view"]["server"]) == ("milvus", server.address)
    assert info["view"]["trouble"] is None
    assert server.address in simsearch("info", "-i", folder).stdout.decode().replace("\n", "")
    assert verify(folder).ok


@pytest.mark.parametrize("harm", ["dropped", "half empty", "fed by another"])
def test_a_collection_that_is_not_as_it_was_fed_is_noticed(
    folder: Path, server: LiteServer, harm: str
) -> None:
    fed, client = record_of(folder)["remote"], client_of(server)
    if harm == "dropped":
        client.drop_collection(fed["name"])
    else:
        client.delete(fed["name"], filter=f"id > {fed['last_id'] - 20}")
    if harm == "fed by another":
        rows = [{"id": fed["last_id"] - 20 + n, "vector": [float(n)] * 16, "stamp": 5} for n in range(1, 21)]
        client.insert(fed["name"], rows)
    line = query_exactly(folder)
    said = {
        "dropped": "has no collection",
        "half empty": "1000 of the 1020",
        "fed by another": "another copy",
    }
    assert said[harm] in line
    assert f"simsearch rebuild --view {server.address} -i {folder}" in line
    info = json.loads(simsearch("info", "--json", "-i", folder).stdout)["view"]
    assert info["kind"] == "exact"
    assert said[harm] in info["trouble"]
    report = verify(folder)
    assert [problem.file for problem in report.problems] == [server.address]
    # A run of indexing feeds it anew.
    assert simsearch("index", "-i", folder).returncode == 0
    assert json.loads(simsearch("info", "--json", "-i", folder).stdout)["view"]["kind"] == "milvus"
    assert len(client.list_collections()) == 1


def test_a_server_that_dies_or_freezes_in_the_middle_costs_time_and_no_answer(
    folder: Path, server: LiteServer
) -> None:
    with Index.open(folder) as index:
        assert index.info().view.kind == "milvus"
        server.freeze()
        started = time.monotonic()
        search_exactly(index, folder)
        assert time.monotonic() - started < BOUND_S
        assert index.info().view.kind == "exact"
        assert "DEADLINE_EXCEEDED" in str(index.info().view.trouble)
    line = query_exactly(folder)
    assert "cannot be reached" in line
    server.kill()
    query_exactly(folder)
    # Indexing goes on without it, and leaves what it holds for when it is back.
    done = simsearch("index", "-i", folder)
    assert done.returncode == 0
    assert b"cannot be reached" in done.stderr
    assert b"Traceback" not in done.stderr
    server.start()
    info = json.loads(simsearch("info", "--json", "-i", folder).stdout)["view"]
    assert (info["kind"], info["trouble"]) == ("milvus", None)


def test_the_graph_of_neighbours_outlives_the_server(folder: Path, server: LiteServer) -> None:
    with Index.open(folder) as index:
        groups = knn_graph(index, 3)
        seen = [*next(groups).ids]
        server.kill()
        for group in groups:
            seen += [*group.ids]
    assert sorted(seen) == read_index(folder).ids
    with Index.open(folder) as index:
        assert sum(len(group.ids) for group in knn_graph(index, 3)) == ENOUGH


def test_a_feeding_that_is_killed_leaves_the_old_view_and_rows_that_the_next_one_drops(
    folder: Path, server: LiteServer, tmp_path: Path
) -> None:
    old, client = record_of(folder)["remote"]["name"], client_of(server)
    client.create_collection("of_somebody_else", dimension=4)
    process = start("rebuild", "--view", server.address, "-i", folder)
    deadline = time.monotonic() + 300
    while len(client.list_collections()) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert len(client.list_collections()) == 3
    assert record_of(folder)["remote"]["name"] == old
    with Index.open(folder) as index:
        assert index.info().view.kind == "milvus"
    rebuild(folder, view=server.address, recall=0.9)
    new = record_of(folder)["remote"]["name"]
    assert new != old
    assert sorted(client.list_collections()) == sorted([new, "of_somebody_else"])
    # And another kind of view leaves nothing behind.
    assert rebuild(folder, view="exact").kind == "exact"
    assert client.list_collections() == ["of_somebody_else"]


def test_rows_that_were_fed_and_never_written_down_are_no_hits(folder: Path, server: LiteServer) -> None:
    fed, client, truth = record_of(folder)["remote"], client_of(server), read_index(folder)

    def search(index: Index) -> None:
        """Each picture finds itself first, and nothing that is not in the index."""
        assert index.info().view.kind == "milvus"
        for number, hits in zip(truth.ids, index.search(truth.vectors[:20], k=7), strict=False):
            assert len({hit.id for hit in hits} & set(truth.ids)) == len(hits) == 7
            assert hits[0].id == number

    with Index.open(folder) as index:
        search(index)
        stray = [{"id": fed["last_id"] + n, "vector": [0.0] * 16, "stamp": 5} for n in range(1, 600)]
        client.insert(fed["name"], stray)
        search(index)
    with Index.open(folder) as index:
        search(index)


def test_a_feeding_of_the_tail_drops_what_a_crash_left_there(server: LiteServer, tmp_path: Path) -> None:
    life = Life(tmp_path, server.address)
    fed, client = record_of(life.folder)["remote"], client_of(server)
    # As a run leaves it that is killed between the server and the database: rows, and nobody who knows them.
    stray = [{"id": fed["last_id"] + n, "vector": [0.0] * 16, "stamp": 5} for n in range(1, 600)]
    client.insert(fed["name"], stray)
    life.more(TAIL_ROWS)
    grown = record_of(life.folder)["remote"]
    assert (grown["name"], grown["rows"]) == (fed["name"], ENOUGH + TAIL_ROWS)
    assert client.query(fed["name"], filter="stamp == 5", output_fields=["count(*)"])[0]["count(*)"] == 0
    life.check()


def test_copies_of_an_index_do_not_take_each_others_rows_for_their_own(
    folder: Path, server: LiteServer, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    rebuild(tmp_path / "copy", view=server.address, recall=0.9)
    # The copy's build dropped the rows of the first, which sees that they are gone.
    assert "has no collection" in query_exactly(folder)


def test_an_encrypted_server_wants_the_token_and_its_authority(tmp_path: Path) -> None:
    _, folder = made_index(tmp_path)
    server = SecuredServer(tmp_path / "secured", "root:Hush-a-bye")
    trusted = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(server.certificate)}
    told = {"SIMSEARCH_MILVUS_TOKEN": f"{server.token}@localhost"}
    # That of another server is not given away.
    other = {**trusted, "SIMSEARCH_MILVUS_TOKEN": f"{server.token}@db.local"}
    bare = {**trusted, "SIMSEARCH_MILVUS_TOKEN": server.token}
    command = ("rebuild", "--view", server.address, "--recall", "0.9", "-i", folder)
    try:
        refused = "auth check failure"
        for environment, why in (
            (told, "UNAVAILABLE"),
            (trusted, refused),
            (other, refused),
            (bare, "@HOST"),
        ):
            done = simsearch(*command, **environment)
            assert done.returncode == 1
            [*_, line] = done.stderr.decode().splitlines()
            assert line.startswith("Error: ")
            assert why in line
            assert "Hush" not in line
        done = simsearch(*command, **trusted, **told)
        assert (done.returncode, done.stdout[:10]) == (0, b"milvus at ")
        info = json.loads(simsearch("info", "--json", "-i", folder, **trusted, **told).stdout)
        assert (info["view"]["kind"], info["view"]["server"]) == ("milvus", server.address)
        assert simsearch("info", "--json", "-i", folder, **trusted).returncode == 0
    finally:
        server.kill()
    assert not [path for path in folder.rglob("*") if path.is_file() and b"Hush-a-bye" in path.read_bytes()]


def test_a_server_that_is_not_there_is_one_line_and_the_view_stays(folder: Path, tmp_path: Path) -> None:
    before = record_of(folder)
    done = simsearch("rebuild", "--view", "milvus://127.0.0.1:1/photos", "-i", folder)
    assert done.returncode == 1
    [*_, line] = done.stderr.decode().splitlines()
    assert line.startswith("Error: milvus://127.0.0.1:1/photos cannot be reached")
    assert record_of(folder) == before


def test_a_file_that_another_process_has_open_is_one_line(tmp_path: Path) -> None:
    _, folder = made_index(tmp_path)
    address = f"milvus://{tmp_path}/rows.db/photos"
    done = simsearch("rebuild", "--view", address, "--recall", "0.9", "-i", folder)
    assert done.returncode == 0
    holder = LiteServer(tmp_path / "rows.db")
    try:
        assert "one process at a time" in query_exactly(folder)
    finally:
        holder.kill()
    assert json.loads(simsearch("info", "--json", "-i", folder).stdout)["view"]["kind"] == "milvus"
    shutil.rmtree(tmp_path / "rows.db")
    assert "is not there any more" in query_exactly(folder)
    assert not (tmp_path / "rows.db").exists()


def test_without_the_package_there_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(ExtraMissing, match=r"pip install \"simsearch\[milvus\]\""):
        rebuild(folder, view="milvus://127.0.0.1:1/photos")
    with Index.open(folder) as index:
        assert "simsearch[milvus]" in str(index.info().view.trouble)
        search_exactly(index, folder)


def test_a_build_that_fails_takes_its_rows_back(
    folder: Path, server: LiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Milvus Lite builds no DiskANN: the refusal is that of a server that cannot.
    with pytest.raises(ViewUnavailable, match="does not build an index of the kind DISKANN"):
        rebuild(folder, view=f"{server.address}?index=diskann", recall=0.9)
    assert client_of(server).list_collections() == [record_of(folder)["remote"]["name"]]
    with Index.open(folder) as index:
        assert index.info().view.kind == "milvus"
