"""The parts of the server that a reader can compute: batches that gather, buckets that fill."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

import pytest

from server.ground import REPO
from simsearch.http.config import ServerConfig
from simsearch.server.answering.batching import Batcher
from simsearch.server.answering.turns import Turns
from simsearch.server.failures import CODES, Refusal
from simsearch.server.guard.rates import MOST, Rates


class Slow:
    """Work that waits until it is let go, and remembers what it was given at once."""

    def __init__(self) -> None:
        self.go, self.began = threading.Semaphore(0), threading.Semaphore(0)
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(items))
        self.began.release()
        assert self.go.acquire(timeout=120)
        return [ValueError(str(item)) if item < 0 else item * 10 for item in items]


def test_the_first_waits_for_nothing_and_what_comes_meanwhile_is_gathered() -> None:
    work, sizes = Slow(), list[int]()
    batcher = Batcher[int, int]("test", work, 3, sizes.append)
    first = batcher.submit(1)
    assert work.began.acquire(timeout=120)
    assert work.batches == [[1]]
    later: list[Future[int]] = [batcher.submit(number) for number in (2, -3, 4, 5)]
    assert batcher.waiting == 4
    # One who goes away while it waits is not asked for.
    assert later[2].cancel()
    work.go.release(9)
    assert first.result(120) == 10
    assert later[0].result(120) == 20
    with pytest.raises(ValueError, match="-3"):
        later[1].result(120)
    assert later[3].result(120) == 50
    batcher.close(120)
    assert work.batches == [[1], [2, -3, 5]]
    assert sizes == [1, 3]


def test_no_more_than_so_many_at_once_and_all_are_answered_at_the_end() -> None:
    work = Slow()
    batcher = Batcher[int, int]("test", work, 2, lambda _: None)
    futures = [batcher.submit(number) for number in range(1, 6)]
    work.go.release(9)
    batcher.close(120)
    assert [future.result(0) for future in futures] == [10, 20, 30, 40, 50]
    assert max(map(len, work.batches)) <= 2


def test_only_those_of_a_kind_are_answered_at_once_and_the_oldest_first() -> None:
    work, sizes = Slow(), list[int]()
    batcher = Batcher[int, int]("test", work, 3, sizes.append, lambda number: number % 10)
    first = batcher.submit(1)
    assert work.began.acquire(timeout=30)
    later = {number: batcher.submit(number) for number in (12, 23, 32, 41, 52, 62, 72, 13)}
    work.go.release()
    assert first.result(30) == 10
    assert work.began.acquire(timeout=30)
    # Those of the other kinds still wait while it works on 12, 32 and 52.
    assert batcher.waiting == 5
    assert later[41].cancel()
    work.go.release(9)
    batcher.close(30)
    assert [later[number].result(0) for number in (12, 23, 32, 52)] == [120, 230, 320, 520]
    assert work.batches == [[1], [12, 32, 52], [23, 13], [62, 72]]
    assert sizes == [1, 3, 2, 2]


def test_work_that_breaks_is_the_error_of_all_and_the_next_are_answered() -> None:
    def work(items: Sequence[int]) -> Sequence[int]:
        return [1 // item for item in items]

    batcher = Batcher[int, int]("test", work, 1, lambda _: None)
    with pytest.raises(ZeroDivisionError):
        batcher.submit(0).result(120)
    assert batcher.submit(1).result(120) == 1
    batcher.close(120)


def test_who_goes_away_leaves_no_work_behind() -> None:
    go, began, done = threading.Event(), threading.Event(), list[int]()

    def works(number: int) -> int:
        began.set()
        assert go.wait(30)
        done.append(number)
        return number

    async def asked() -> int:
        turns = Turns("test", 1, 60, threading.Event())
        first, second = (asyncio.create_task(turns.take(partial(works, number))) for number in (1, 2))
        assert await asyncio.to_thread(began.wait, 30)
        third = asyncio.create_task(turns.take(partial(works, 3)))
        await asyncio.sleep(0)
        for gone in (first, second):
            gone.cancel()
        # The first has its thread still, so that nobody else begins; the second is forgotten.
        await asyncio.wait([first, second])
        assert done == []
        go.set()
        found = await third
        turns.close()
        return found

    assert asyncio.run(asked()) == 3
    assert done == [1, 3]


def test_who_waited_too_long_for_a_turn_is_refused_and_the_next_is_answered() -> None:
    now, go, began = [0.0], threading.Event(), threading.Event()

    def waits() -> int:
        began.set()
        assert go.wait(30)
        return 0

    async def asked() -> list[int | BaseException]:
        turns = Turns("test", 1, 15, threading.Event(), lambda: now[0])
        tasks = [asyncio.create_task(turns.take(waits))]
        assert await asyncio.to_thread(began.wait, 30)
        for number in (1, 2, 3):
            tasks.append(asyncio.create_task(turns.take(lambda number=number: number)))
            await asyncio.sleep(0)
            now[0] += 6
        # The second one asked 18 seconds ago now, those after it 12 and 6.
        go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, late, *others = asyncio.run(asked())
    assert (first, others) == (0, [2, 3])
    assert isinstance(late, Refusal)
    assert late.status_code == 503


def test_a_bucket_holds_two_seconds_and_fills_as_time_goes() -> None:
    now = [100.0]
    rates = Rates(2, lambda: now[0])
    # Two a second, saved up for two seconds.
    assert [rates.wait("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert rates.wait("b") == 0
    now[0] += 0.25
    assert rates.wait("a") == 0.25
    now[0] += 0.25
    assert rates.wait("a") == 0
    now[0] += 1000
    assert [rates.wait("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert [Rates(0).wait("a") for _ in range(1000)] == [0.0] * 1000


def test_less_than_one_a_second_still_lets_one_through() -> None:
    now = [0.0]
    rates = Rates(0.1, lambda: now[0])
    assert [rates.wait("a"), rates.wait("a")] == [0, 10]
    now[0] = 10.0
    assert rates.wait("a") == 0


def test_no_number_of_addresses_takes_memory() -> None:
    rates = Rates(1, lambda: 0.0)
    for number in range(MOST + 100):
        rates.wait(str(number))
    assert len(rates._buckets) == MOST


def test_the_manual_names_every_refusal_and_every_bound() -> None:
    page = (REPO / "docs" / "server.md").read_text(encoding="utf-8")
    for status, code in CODES.items():
        assert (f"| {status} | `{code}` |" in page) is (status != 500)
    usual = ServerConfig()
    for words in (
        f"--pause` ({usual.pause:g} s)",
        f"--max-upload` ({usual.max_upload >> 20} MiB)",
        f"--max-request` ({usual.max_request >> 20} MiB)",
        f"--rate` ({usual.rate:g})",
        f"--concurrency` ({usual.concurrency})",
        f"--timeout` ({usual.timeout:g} s)",
        f"--batch` ({usual.batch})",
    ):
        assert words in page
