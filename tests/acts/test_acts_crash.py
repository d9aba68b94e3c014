"""Acts on files struck at every call that changes the disk: all is gone on with or undone, nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from crash.harness import build_shim
from trouble.disk import mounted

from acts.stage import BROKEN, FULL, REFUSED, UNKNOWN, Act, Place, enter, points, root_of, strike
from simsearch.dedup.acts.records import LINKS

Faults = Callable[..., None]
Do = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
ACTIONS = ("set-aside", "move", "carry", "hardlink", "symlink")
PROCESSES = 2


@pytest.fixture(scope="module")
def work(memory: Path) -> Path:
    """A folder for each process that strikes, and the library that it strikes with."""
    build_shim(memory, Path(__file__).with_name("shim.c"))
    for number in range(PROCESSES):
        for name in ("notes", root_of("carry"), root_of("move")):
            (memory / str(number) / name).mkdir(parents=True)
    return memory


@pytest.fixture
def alone(work: Path) -> Iterator[Do]:
    """Does one after the other, in this process."""
    enter(work, work / "shim.so", get_context("spawn").Value("i", 0))
    yield map
    Place.here.striker.close()


@pytest.fixture(scope="module")
def pool(work: Path) -> Iterator[Do]:
    """Does several at once, in processes of their own."""
    context = get_context("spawn")
    given = (work, work / "shim.so", context.Value("i", 0))
    with ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=enter, initargs=given) as processes:
        yield processes.map


@pytest.fixture(params=ACTIONS)
def action(request: pytest.FixtureRequest, work: Path) -> Iterator[str]:
    """Each action; another disk is there for the one that needs it."""
    with ExitStack() as disks:
        if request.param == "carry":
            for number in range(PROCESSES):
                disks.enter_context(mounted(work / str(number) / root_of("carry") / "other", "size=8m"))
        yield request.param


def strike_all(do: Do, act: Act, then: Sequence[str], chosen: slice = slice(None)) -> tuple[int, int]:
    """Strike at the chosen points, and go on with `then`; how often it was struck, how often told."""
    [found] = do(points, [act])
    words = list(do(strike, [(act, at, then) for at in found[chosen]]))
    return sum(map(bool, words)), words.count("told")


def some(action: str, step: int) -> slice:
    """Every so manieth point, others for each action."""
    return slice(ACTIONS.index(action) % step, None, step)


def test_some_points_of_applying_and_undoing(alone: Do) -> None:
    def struck(action: str, command: str, then: Sequence[str], step: int) -> int:
        return strike_all(alone, Act(action, command, "kill"), then, slice(None, None, step))[0]

    assert struck("set-aside", "apply", ("apply", "undo"), 19) > 3
    assert struck("hardlink", "apply", ("undo",), 15) > 3
    assert struck("set-aside", "undo", ("undo",), 17) > 3
    assert struck("set-aside", "purge", ("purge",), 13) > 2
    assert strike_all(alone, Act("move", "apply", FULL), ("undo",), slice(None, None, 19))[1] > 2
    assert strike_all(alone, Act("hardlink", "apply", UNKNOWN), ("undo",), slice(2, None, 15))[0] > 3


@pytest.mark.proof
def test_every_point_of_applying(pool: Do, action: str, faults: Faults) -> None:
    thens = [("apply", "undo"), ("undo",)] + [("trash",), ("folder",)] * (action == "set-aside")
    for then in thens:
        tried, _ = strike_all(pool, Act(action, "apply", "kill"), then)
        named = {"trash": "undo from the trash alone", "folder": "undo by the folder of the trash"}
        words = " and ".join(named.get(what, what) for what in then)
        faults(f"{action}: kill -9 in apply, then {words}", tried=tried)
        assert tried > 50
    for name, kind in (("the disk is full from there on", FULL), ("one I/O error", BROKEN)):
        chosen = some(action, 1 if action == "set-aside" else 4)
        tried, told = strike_all(pool, Act(action, "apply", kind), ("apply", "undo"), chosen)
        faults(f"{action}: {name} in apply, then apply and undo", tried=tried, told=told)
        assert told
    if action in LINKS:
        tried, told = strike_all(pool, Act(action, "apply", UNKNOWN), ("undo",), some(action, 2))
        faults(f"{action}: one call that the disk does not know in apply, then undo", tried=tried, told=told)


@pytest.mark.proof
def test_every_point_of_undoing(pool: Do, action: str, faults: Faults) -> None:
    for name, kind in (("kill -9", "kill"), ("one permission refused", REFUSED), ("a full disk", FULL)):
        chosen = some(action, 1 if kind == "kill" or action == "set-aside" else 2)
        tried, told = strike_all(pool, Act(action, "undo", kind), ("undo",), chosen)
        faults(f"{action}: {name} in undo, then undo", tried=tried, told=told)
        assert tried > 10


@pytest.mark.proof
@pytest.mark.parametrize("action", ["set-aside", "hardlink", "symlink"])
def test_every_point_of_purging(pool: Do, action: str, faults: Faults) -> None:
    for then in (("purge",), ("undo",)):
        tried, _ = strike_all(pool, Act(action, "purge", "kill"), then)
        faults(f"{action}: kill -9 in purge, then {then[0]}", tried=tried)
        assert tried > 20
    tried, told = strike_all(pool, Act(action, "purge", BROKEN), ("purge",))
    faults(f"{action}: one I/O error in purge, then purge", tried=tried, told=told)
