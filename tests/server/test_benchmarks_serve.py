"""The benchmark of the server: clients that are counted, and a table that a reader can compute."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.serve.case import ALONE, CLIENTS, KINDS, TOGETHER, Load, report
from server.ground import REPO, served


def test_the_table_is_of_the_medians_of_rates_and_of_all_times() -> None:
    together = [Load(30.0, np.array([1.0, 2.0, 3.0]), 4.0), Load(50.0, np.array([5.0]), 6.0)]
    alone = [Load(20.0, np.array([10.0, 30.0]), 1.0)]
    loads = {
        (kind, clients, batch): together if batch == TOGETHER else alone
        for kind in KINDS
        for clients in CLIENTS
        for batch in (TOGETHER, ALONE)
    }
    made = report("python -m benchmarks serve", loads)
    assert [table.title for table in made.tables] == ["Stored vectors, by id", "New pictures, sent"]
    first, second = made.tables[0].rows[:2]
    assert first[:4] == ("in batches", 1, 40.0, 2.5)
    assert first[5:] == (5.0, 2.0)
    assert second[:4] == ("one by one", 1, 20.0, 20.0)
    assert second[6] == 1.0
    assert made.figures["stored: batching at 32 clients"] == 2.0


def test_clients_ask_until_their_time_is_over(small: Path) -> None:
    with served("-i", small, "--rate", "0") as server:
        line = [sys.executable, "-m", "benchmarks.serve.clients", server.address, "stored", "3", "2", "4"]
        done = subprocess.run(line, cwd=REPO, capture_output=True, text=True, timeout=300, check=True)
        told = json.loads(done.stdout)
        with server.client() as client:
            figures = client.get("/metrics").text
    assert told["failed"] == 0
    assert len(told["times"]) >= 3
    assert told["seconds"] >= 2
    count = f'simsearch_requests_total{{route="/v1/query/indexed",status="200"}} {len(told["times"])}.0'
    assert count in figures
