"""The simulation of large collections against closed forms, and its bytes against what a reader adds up."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from test_layout import made as made_layout

from benchmarks.__main__ import main
from benchmarks.report import RESULTS, Table
from benchmarks.scale.case import DIM, command, report
from benchmarks.scale.model import Model, line, list_count
from benchmarks.scale.plan import Asked, Plan
from benchmarks.scale.queueing import (
    Station,
    all_answer,
    arrivals,
    fan_out,
    mean_wait,
    share_for_all,
    waits,
)
from benchmarks.scale.units import SIZES, read

MODEL = Model(read(), DIM)


@pytest.fixture(scope="module")
def usual() -> dict[str, Table]:
    return {one.title: one for one in report(Asked()).tables}


def seen(station: Station, rate: float, count: int = 100_000) -> float:
    chance = np.random.default_rng(7)
    waited, _ = waits(station, arrivals(rate, count, chance), chance)
    return float(waited.mean())


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_waits_of_one_server_are_those_of_pollaczek_and_khinchine(load: float) -> None:
    # M/D/1 waits load / (1 - load) / 2 times, M/M/1 load / (1 - load) times its mean service of 10 ms.
    fixed, memoryless = Station(0.01), Station(0.01, spread=1.0)
    assert mean_wait(fixed, 100 * load) == pytest.approx(0.01 * load / (1 - load) / 2)
    assert mean_wait(memoryless, 100 * load) == pytest.approx(0.01 * load / (1 - load))
    assert seen(fixed, 100 * load) == pytest.approx(mean_wait(fixed, 100 * load), rel=0.05)
    assert seen(memoryless, 100 * load) == pytest.approx(mean_wait(memoryless, 100 * load), rel=0.08)


def test_waits_of_several_servers_are_those_of_erlang() -> None:
    # Erlang's C of two servers that are busy for a share of rho is 2 rho^2 / (1 + rho).
    station = Station(0.01, spread=1.0, processes=2)
    rho = 0.7
    waiting = 2 * rho**2 / (1 + rho)
    assert mean_wait(station, 140) == pytest.approx(waiting * 0.01 / (2 - 2 * rho))
    assert seen(station, 140) == pytest.approx(mean_wait(station, 140), rel=0.05)


def test_replicas_share_the_queries_by_lot() -> None:
    # A Poisson process that is dealt out by lot is two of half the rate: each replica is an M/D/1 of its own.
    assert mean_wait(Station(0.01, replicas=2), 120) == pytest.approx(mean_wait(Station(0.01), 60))
    assert seen(Station(0.01, replicas=2), 120) == pytest.approx(0.01 * 0.6 / 0.4 / 2, rel=0.05)


def test_more_than_a_shard_can_do_waits_for_ever() -> None:
    assert mean_wait(Station(0.01), 100) == math.inf
    assert Station(0.01, replicas=2, processes=3).busy(300) == pytest.approx(0.5)


def test_queries_by_hand() -> None:
    chance = np.random.default_rng(0)
    times = np.array([0.0, 1.0, 2.0, 20.0])
    # One process, 4 s each: begun at 0, 4, 8, 20.
    waited, answered = waits(Station(4.0), times, chance)
    assert waited.tolist() == [0, 3, 6, 0]
    assert answered.tolist() == [4, 7, 10, 4]
    # In batches: at 4 s the two that wait are taken together, 1 s for the batch and 3 s for each.
    waited, answered = waits(Station(3.0, fixed=1.0, batch=8), times, chance)
    assert waited.tolist() == [0, 3, 2, 0]
    assert answered.tolist() == [4, 10, 9, 4]


def test_the_slowest_of_independent_shards() -> None:
    # Of exponential times with mean 1 the 99th percentile of the slowest of 10 is -ln(1 - .99^(1/10)) = 6.9.
    chance = np.random.default_rng(3)
    expected = -math.log(1 - 0.99**0.1)
    assert expected == pytest.approx(6.90, abs=0.01)
    # So rare that no query waits for another.
    times = arrivals(1e-6, 200_000, chance)
    one, slowest = fan_out(Station(1.0, spread=1.0), 10, times, chance)
    assert np.quantile(slowest, 0.99) == pytest.approx(expected, rel=0.03)
    assert np.quantile(one, share_for_all(0.99, 10)) == pytest.approx(expected, rel=0.1)
    assert share_for_all(0.99, 1) == 0.99


def test_replicas_that_are_up() -> None:
    assert all_answer(0.99, 1, 100) == pytest.approx(0.366, abs=0.001)
    assert all_answer(0.99, 2, 100) == pytest.approx(0.9999**100)
    assert all_answer(0.5, 2, 1) == 0.75


def test_bytes_of_segments_are_those_of_rows_and_headers() -> None:
    # 131,071 rows of 8,192 bytes and a header of 4,096 fill 2^30 bytes but for 4,096.
    assert MODEL.rows_a_segment == 131_071
    assert MODEL.segments(1_000_000) == 8
    assert MODEL.segment_bytes(1_000_000) == 1_000_000 * 4 * 2048 + 8 * 4096
    assert Model(MODEL.units, 1280).segment_bytes(10) == 10 * 4 * 1280 + 4096


def test_bytes_of_a_segment_are_those_on_disk(tmp_path: Path) -> None:
    index = made_layout(tmp_path, 30, dim=24)
    [segment] = (index / "segments").glob("*.seg")
    assert segment.stat().st_size == Model(MODEL.units, 24).segment_bytes(30)


def test_bytes_of_views_are_those_that_were_measured() -> None:
    for n, measured in zip(SIZES[1:], MODEL.units.curves["file_bytes"][1:], strict=True):
        assert MODEL.view_bytes(n) / n == pytest.approx(measured, rel=0.005)
    # 64 bytes of code and 8 of id a row; all else fades as the collection grows.
    assert 72 < MODEL.view_bytes(10**9) / 10**9 < 72.2
    assert MODEL.view_bytes(20_000) == 0


def test_lists_are_the_power_of_two_nearest_to_twice_the_root() -> None:
    assert [list_count(n) for n in (100_000, 1_000_000, 10**8)] == [512, 2048, 16_384]
    assert list_count(1000) == 25


def test_times_meet_what_was_measured() -> None:
    curves = MODEL.units.curves
    for place in (1, 2):
        assert MODEL.build_seconds(SIZES[place]) == pytest.approx(curves["build_s"][place], rel=1e-6)
        assert MODEL.query_seconds(SIZES[place]) * 1000 == pytest.approx(curves["query_ms"][place], rel=0.05)
        assert MODEL.open_seconds(SIZES[place]) == pytest.approx(curves["open_s"][place], rel=0.15)
        assert MODEL.graph_seconds(SIZES[place]) == pytest.approx(curves["graph_s"][place], rel=1e-6)
    assert line([1, 2, 4], [3, 5, 9]) == pytest.approx((1, 2))


def test_a_plan_has_room_for_a_lost_replica() -> None:
    plan = Plan(MODEL, Asked(rate=100), 10**9)
    assert (plan.shards, plan.rows) == (100, 10**7)
    fewer = replace(plan.station, replicas=1)
    assert plan.station.busy(100) <= 0.4
    assert fewer.busy(100) <= 0.8 < replace(fewer, processes=fewer.processes - 1).busy(100)
    assert plan.processes == 100 * 2 * plan.station.processes
    # A year's money doubles with its price.
    dear = Plan(MODEL, Asked(rate=100, core_hour=0.10), 10**9)
    assert dear.serving_month == pytest.approx(2 * plan.serving_month)
    assert plan.disk_month == pytest.approx(plan.disk_gb * 3 * 0.10)


def test_hours_are_photos_by_photos_a_second(usual: dict[str, Table]) -> None:
    hours = usual["Hours of embedding"]
    first = hours.rows[2]
    assert first[:2] == ("ResNet-50, small photos", "10^6")
    assert first[2] == pytest.approx(10**6 * MODEL.units.resnet.value / 2 / 3600)
    assert first[5] == pytest.approx(10**6 / 1200 / 3600)
    assert first[6] == pytest.approx(10**6 * MODEL.units.resnet.value / 3600 * 0.05)


def test_limits_are_where_they_can_be_reckoned(usual: dict[str, Table]) -> None:
    limits = {what: n for what, n, _ in usual["Where each limit bites"].rows}
    # 1,024 files of 131,071 rows; 17.6 TB by bytes a photo.
    assert limits["files that a process may have open (1,024)"] == "130 million"
    assert limits["every vector is compared"] == "20,000"
    largest = 4096 * (2**32 - 2) / MODEL.units.database.value / 1e9
    assert (
        limits["SQLite's largest database with pages of 4 kB, 17.6 TB"]
        == f"{float(f'{largest:.2g}'):g} billion"
    )


def test_the_kept_tables_are_those_of_the_kept_units() -> None:
    anew = "run: python -m benchmarks scale, then python -m benchmarks docs"
    kept = json.loads((RESULTS / "scale.json").read_text(encoding="utf-8"))
    again = report(Asked(**kept["figures"]["asked"]))
    assert again.command == kept["command"]
    assert [one.title for one in again.tables] == [one["title"] for one in kept["tables"]]
    for one, other in zip(again.tables, kept["tables"], strict=True):
        assert (list(one.columns), one.note) == (other["columns"], other["note"]), anew
        for row, kept_row in zip(one.rows, other["rows"], strict=True):
            close = [pytest.approx(c, rel=1e-6) if isinstance(c, float) else c for c in kept_row]
            assert list(row) == close, anew


def test_the_command_by_which_it_was_asked(tmp_path: Path) -> None:
    target = tmp_path / "scale.json"
    words = ["scale", "--replicas", "3", "--price-core-hour", "0.2", "--json", str(target)]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0
    told = json.loads(target.read_text())
    assert told["command"] == "python -m benchmarks scale --replicas 3 --price-core-hour 0.2"
    assert told["figures"]["asked"]["replicas"] == 3
    assert command(Asked()) == "python -m benchmarks scale"
    assert CliRunner().invoke(main, ["scale", "--replicas", "0"]).exit_code == 2


def test_units_are_measured_on_an_index(tmp_path: Path) -> None:
    target = tmp_path / "units.json"
    words = ["scale", "--part", "units", "--rows", "2048", "--json", str(target)]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0
    told = json.loads(target.read_text())["figures"]
    # The columns of a photo: a path of 48 bytes, a digest twice (row and index), five labels.
    assert 48 + 2 * 32 + 5 * 12 < told["bytes_a_photo"] < 2000
    assert min(told["commit_rate"], told["digest_mb_s"], told["kmeans_gflops"]) > 0
