"""The runs of an index: where their records lie, what became of each, and how one that stopped goes on."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from simsearch.dedup.acts.disk.renaming import make_folder, missing_folders, write_whole
from simsearch.dedup.acts.journal import History, read_history
from simsearch.dedup.acts.reading import plan_text, read_plan
from simsearch.dedup.acts.records import RUN, ActReport, Left, Plan, Run
from simsearch.engine.index import Index
from simsearch.errors import ActRefused, ActStopped, IndexUnwritable, NotIndexed, SimsearchError

ACTS = b"acts"


def run_folder(index: Path, run: str) -> bytes:
    """`<index>/acts/<run>`. Raises NotIndexed for what is no name of a run, IndexUnwritable for a link."""
    if not RUN.fullmatch(run):
        raise NotIndexed(f"{run!r} is no run of {index}. See them with: simsearch undo")
    acts = os.path.join(os.fsencode(os.path.realpath(index)), ACTS)
    folder = os.path.join(acts, run.encode())
    for place in (acts, folder):
        if os.path.islink(place):
            raise IndexUnwritable(
                f"{os.fsdecode(place)} is a link, and nothing outside of an index is written. "
                "Put the folder itself there."
            )
    return folder


def plan_path(index: Path, run: str) -> bytes:
    """Where the plan of a run is kept."""
    return os.path.join(run_folder(index, run), b"plan.json")


def journal_path(index: Path, run: str) -> bytes:
    """Where the journal of a run is kept."""
    return os.path.join(run_folder(index, run), b"journal.jsonl")


def save_plan(index: Path, plan: Plan) -> Path:
    """Keep a plan with its index, from where it can be shown, applied and gone on with; its path.

    Raises ActRefused where the run has another plan already, ActStopped where the disk refuses.
    """
    path = plan_path(index, plan.run)
    place = Path(os.fsdecode(path))
    if place.exists():
        if read_plan(place) != plan:
            raise ActRefused(
                f"The run {plan.run} has another plan: {place}. Nothing was touched; apply that one."
            )
        return place
    try:
        for folder in missing_folders(os.path.dirname(path)):
            make_folder(folder)
        write_whole(path, plan_text(plan).encode())
    except OSError as exc:
        raise ActStopped(
            f"Cannot write {place}: {exc.strerror or exc}. Nothing was touched; make room or mend that, "
            "and run the same command again."
        ) from exc
    return place


def list_runs(index: Index) -> tuple[Run, ...]:
    """All runs, the newest first."""
    acts = os.path.join(os.fsencode(index.path), ACTS)
    names = sorted(os.listdir(acts), reverse=True) if os.path.isdir(acts) else []
    # A folder that a crash left before its plan was in it holds no run.
    runs = [os.fsdecode(name) for name in names if os.path.exists(os.path.join(acts, name, b"plan.json"))]
    return tuple(_run(index, run) for run in runs if RUN.fullmatch(run))


def report_of(history: History, left: Sequence[Left], *states: str) -> ActReport:
    """What became of the steps that were done and are in these states now, or done still."""
    found = history.in_state(*(states or ("done",)))
    steps = [step for step in found if step.what != "merge" and step.number in history.done]
    pictures = sum(step.picture for step in steps)
    return ActReport(
        history.run,
        history.action,
        history.state,
        pictures,
        len(steps) - pictures,
        sum(step.facts.size for step in steps if step.facts is not None),
        tuple(left),
        tuple(sorted(history.trash)),
    )


def command(words: str, named: str, index: Path | None) -> str:
    """What to type about a run or a folder of a trash: `simsearch WORDS NAMED -i INDEX`."""
    flag = "" if index is None else f" -i {shlex.quote(os.fspath(index))}"
    return f"simsearch {words} {shlex.quote(named)}{flag}"


def stopped(exc: OSError, how_far: str, *go_on: str) -> ActStopped:
    """The error for a disk that refuses in the middle: what, where, how far it came, and what to type then.

    Args:
        how_far: a sentence without its full stop.
        go_on: ends of "Mend that and ..." with a command each.
    """
    name = exc.filename
    where = f" ({os.fsdecode(name)})" if isinstance(name, str | bytes) else ""
    reason = exc.strerror or str(exc) or type(exc).__name__
    return ActStopped(f"Stopped: {reason}{where}. {how_far}. Mend that and {'; or '.join(go_on)}")


def over(index: Path, run: str, phase: str) -> ActRefused:
    """The error for applying a run that was undone or purged, or where that was interrupted."""
    unfinished = {"undoing": ("undo", "undone"), "purging": ("purge", "purged")}
    if phase not in unfinished:
        return ActRefused(
            f"The run {run} is {phase} already, and nothing was touched. "
            "Make a new plan with: simsearch dedup --action ..."
        )
    verb, state = unfinished[phase]
    return ActRefused(
        f"The run {run} is partly {state}, and nothing was touched. "
        f"Finish that with: {command(verb, run, index)}"
    )


def _run(index: Index, run: str) -> Run:
    when = f"{run[:4]}-{run[4:6]}-{run[6:8]}T{run[9:11]}:{run[11:13]}:{run[13:15]}Z"
    try:
        history = read_history(journal_path(index.path, run))
        plan = read_plan(os.fsdecode(plan_path(index.path, run)))
    except SimsearchError:
        return Run(run, when, "", 0, 0, "damaged")
    if history.state == "planned":
        return Run(run, when, plan.action, plan.files, plan.bytes, "planned")
    done = report_of(history, ())
    return Run(run, when, plan.action, done.files, done.bytes, done.state)
