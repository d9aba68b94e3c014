"""A server that failed is left alone for a while, however often somebody commits."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from made import made_index
from oracle import read_index

from simsearch import Index
from simsearch.engine import snapshot
from simsearch.engine.maintenance.remove import remove
from simsearch.engine.maintenance.view import rebuild
from simsearch.engine.viewing import newest
from simsearch.errors import ViewUnavailable


def test_commits_do_not_have_it_asked_again_and_a_new_view_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, folder = made_index(tmp_path)
    rebuild(folder, view="ivf", recall=0.9)
    asked: list[object] = []
    load = snapshot.load_view

    def fails(*named: object) -> None:
        asked.append(named)
        raise ViewUnavailable("It does not answer.")

    def ask(index: Index) -> str:
        truth = read_index(folder)
        [hits] = index.search(truth.vectors[:1], k=5)
        kind, best = index.info().view.kind, [path for path, _ in truth.rank(truth.vectors[0], 5)]
        # An approximate view may miss one of them, never the picture itself.
        assert [hit.path for hit in hits][: 5 if kind == "exact" else 1] == best[
            : 5 if kind == "exact" else 1
        ]
        return kind

    monkeypatch.setattr(snapshot, "load_view", fails)
    with Index.open(folder) as index:
        assert ask(index) == "exact"
        for number in range(3):
            remove([photos / f"{number + 10:05d}.png"], folder, yes=True)
            asked.clear()
            assert ask(index) == "exact"
            assert asked == []
        monkeypatch.setattr(newest, "AGAIN_S", 0)
        assert ask(index) == "exact"
        assert asked
        monkeypatch.setattr(newest, "AGAIN_S", 60)
        monkeypatch.setattr(snapshot, "load_view", load)
        rebuild(folder, view="ivf", recall=0.9)
        assert ask(index) == "ivf"


def test_one_alone_waits_for_a_server_that_hangs_when_it_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = made_index(tmp_path)
    rebuild(folder, view="ivf", recall=0.9)
    load, asked, freed = snapshot.load_view, threading.Event(), threading.Event()

    def fails(*_: object) -> None:
        raise ViewUnavailable("It does not answer.")

    def hangs(*named: Any) -> object:
        monkeypatch.setattr(newest, "AGAIN_S", 60)
        asked.set()
        assert freed.wait(60)
        return load(*named)

    monkeypatch.setattr(snapshot, "load_view", fails)
    with Index.open(folder) as index, ThreadPoolExecutor(1) as threads:
        assert index.info().view.kind == "exact"
        monkeypatch.setattr(snapshot, "load_view", hangs)
        monkeypatch.setattr(newest, "AGAIN_S", 0)
        first = threads.submit(index.info)
        assert asked.wait(60)
        assert index.info().view.kind == "exact"
        assert not first.done()
        freed.set()
        assert first.result().view.kind == index.info().view.kind == "ivf"
