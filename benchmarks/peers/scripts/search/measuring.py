"""What the scripts of all search engines share: the files they are given, recall, CPU time, memory."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

Search = Callable[[Any], Any]


class Bench:
    """The collection from the command line; rows are counted from 0."""

    def __init__(self) -> None:
        parser = argparse.ArgumentParser()
        for name in ("rows", "queries", "truth", "out"):
            parser.add_argument(name, type=Path)
        parser.add_argument("wanted", type=float)
        given = parser.parse_args()
        self.out: Path = given.out
        self.rows_file: Path = given.rows
        self.queries = np.load(given.queries)
        self._truth = np.load(given.truth)[:, :10] - 1
        self._wanted = given.wanted
        self._told: dict[str, Any] = {}

    def rows(self) -> Any:
        """All rows, mapped."""
        return np.load(self.rows_file, mmap_mode="r")

    def built(self, build: Callable[[], None]) -> None:
        """Run `build`, which leaves its index at `out`; its CPU time and its peak memory are noted.

        It runs in a process of its own, so that what it frees does not hide what reading takes.
        """
        process = multiprocessing.get_context("fork").Process(target=build)
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(process.exitcode)
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = spent.ru_utime + spent.ru_stime
        self._told |= {"build_cpu_s": cpu, "peak_mb": spent.ru_maxrss * 1024 / 1e6}

    def loaded(self, load: Callable[[], Any]) -> Any:
        """What `load` reads from `out`, with the memory that it takes and the size of the files."""
        before = memory()
        made = load()
        files = [self.out, *self.out.rglob("*")] if self.out.is_dir() else [self.out]
        size = sum(path.stat().st_size for path in files if path.is_file())
        count = len(self.rows())
        self._told |= {"bytes": (memory() - before) * 1e6 / count, "file_bytes": size / count}
        return made

    def tell(self, package: str, settings: Iterable[tuple[str, Search]]) -> None:
        """Print figures of the first setting, from cheap to dear, that reaches the wanted recall.

        A search takes one query (dim,) and gives its 10 ids; where none reaches the recall, the last counts.
        """
        for name, search in settings:
            found, spent = [], []
            for query in self.queries:
                cpu = time.process_time()
                found.append(search(query))
                spent.append(time.process_time() - cpu)
            shares = [np.isin(true, own).mean() for true, own in zip(self._truth, found, strict=True)]
            self._told |= {"setting": name, "recall": float(np.mean(shares))}
            self._told |= {"cpu_ms": float(np.median(spent)) * 1e3, "version": version(package)}
            if self._told["recall"] >= self._wanted:
                break
        print(json.dumps(self._told))


def memory() -> float:
    """Memory of this process in MB that is no page of a file, as Linux tells it."""
    with open("/proc/self/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) * 1024 / 1e6
