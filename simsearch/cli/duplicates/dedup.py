"""simsearch dedup: find copies among the photos of an index, and act on them by a plan."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from simsearch.cli.duplicates.acts.apply import apply_named
from simsearch.cli.duplicates.acts.plan import Planning
from simsearch.cli.duplicates.labelling.ask import Labelling
from simsearch.cli.duplicates.showing import (
    check_threshold,
    tell_calibration,
    threshold_of,
    told,
)
from simsearch.cli.options import Common, common_options
from simsearch.cli.output import answer, answer_text, check_page, form_of, note, screen, write_page

if TYPE_CHECKING:
    from simsearch.dedup.options import DedupOptions
    from simsearch.dedup.records import DuplicateReport
    from simsearch.engine.index import Index

Names = tuple[str, ...]

_REACHES = {"exact": "--exact", "near": "--near", "similar": "--similar"}
_FOLDERS = {"across": "--across-folders", "same": "--same-folder"}


@click.command("dedup", short_help="Find copies, and act on them by a plan.")
@click.option(
    "--exact",
    "reach",
    flag_value="exact",
    multiple=True,
    help="Only the same bytes and the same pixels; no score, so no --threshold.",
)
@click.option(
    "--near",
    "reach",
    flag_value="near",
    multiple=True,
    help="Also edited copies: resized, cropped, turned … [default]",
)
@click.option(
    "--similar",
    "reach",
    flag_value="similar",
    multiple=True,
    help="Also list other shots of one scene, which are no copies.",
)
@click.option(
    "--threshold",
    metavar="auto|SCORE",
    callback=threshold_of,
    help="Scores from here on are copies; auto finds it on edited copies of your own pictures.",
)
@click.option(
    "--precision",
    type=click.FloatRange(0.5, 1, max_open=True),
    metavar="SHARE",
    help="With --threshold auto: the share of what is called a copy that has to be one. [default: 0.99]",
)
@click.option(
    "--label",
    type=click.IntRange(min=1),
    metavar="N",
    help="Ask about the N pairs of which an answer helps --threshold auto most, and find nothing else.",
)
@click.option("--within", metavar="PATH", multiple=True, help="Only photos below PATH; may be repeated.")
@click.option(
    "--across-folders",
    "folders",
    flag_value="across",
    multiple=True,
    help="Never two photos of one folder.",
)
@click.option("--same-folder", "folders", flag_value="same", multiple=True, help="Only photos of one folder.")
@click.option(
    "--reference",
    metavar="PATH",
    multiple=True,
    help="A folder that others are compared with and that is never touched; may be repeated.",
)
@click.option(
    "--prefer", metavar="PATH", multiple=True, help="Keep what lies below PATH; may be repeated, first first."
)
@click.option(
    "--keep",
    type=click.Choice(["resolution", "bytes", "oldest", "metadata"]),
    multiple=True,
    help="What to keep by: most pixels, largest file, oldest, most noted about it; may be repeated, "
    "first first. [default: resolution, metadata, bytes, oldest]",
)
@click.option(
    "--keep-path",
    metavar="GLOB",
    multiple=True,
    help="Keep what has a name like GLOB, or where GLOB holds a slash a path that ends like it; may be "
    "repeated.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv", "paths"]),
    help="What to write to stdout; paths are those of the copies that are not kept. [default: table]",
)
@click.option("-0", "--null", is_flag=True, help="With --format paths: a NUL after each path, for xargs -0.")
@click.option("--html", metavar="FILE", help="Also write a page with the pictures.")
@click.option("--open", "browse", is_flag=True, help="Open that page in the browser.")
@click.option(
    "--action",
    type=click.Choice(["set-aside", "move", "hardlink", "symlink"]),
    help="Plan what to do with the copies; nothing is touched before --apply.",
)
@click.option("--to", metavar="DIR", help="With --action move: where to.")
@click.option(
    "--merge-metadata",
    is_flag=True,
    help="With --action: also carry rating, tags, caption, place and date over to the keeper's XMP sidecar.",
)
@click.option(
    "--plan",
    metavar="FILE",
    help="With --action: also write the plan to FILE; of files that are there only a plan is replaced.",
)
@click.option("--apply", metavar="PLAN|RUN", help="Do what a plan says, or go on with it.")
@click.option("--yes", is_flag=True, help="With --apply: do not ask.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Decoding processes. [default: one a usable core]"
)
@common_options
def command(
    common: Common,
    reach: Names,
    threshold: float | str | None,
    precision: float | None,
    label: int | None,
    within: tuple[str, ...],
    folders: Names,
    reference: tuple[str, ...],
    prefer: tuple[str, ...],
    keep: tuple[str, ...],
    keep_path: tuple[str, ...],
    form: str | None,
    null: bool,
    html: str | None,
    browse: bool,
    action: str | None,
    to: str | None,
    merge_metadata: bool,
    plan: str | None,
    apply: str | None,
    yes: bool,
    workers: int | None,
) -> None:
    """Find copies among the indexed photos: the same bytes, the same pixels, or edited ones.

    Each group has a photo to keep, and says why that one. The score is the probability of being a copy of
    it. With --action a plan is made and shown; simsearch dedup --apply RUN does it, simsearch undo RUN takes
    it back. A file that has changed since the plan is left and told of on stderr; the exit code is 0 all the
    same. --label asks at the terminal, or reads the answers from standard input, one a line.
    """
    form = form_of(form, common, null)
    looked, between = _only(reach, _REACHES), _only(folders, _FOLDERS)
    labelling = Labelling(label, html, browse)
    labelling.check(looked, threshold, form)
    if apply is not None:
        apply_named(apply, common, form, yes)
        return
    if yes:
        raise click.UsageError("--yes goes with --apply: a plan is looked at before it is carried out.")
    check_threshold(looked, threshold, precision)
    check_page(html)
    planning = Planning(action, to, merge_metadata, plan, reference)
    planning.check(form)
    from simsearch.engine.index import Index

    scope, policy = (within, between or "any", reference), (keep, prefer, keep_path, reference)
    options = _options(looked, threshold, precision, scope, policy, workers)
    with Index.open(common.index) as index:
        if label is not None:
            labelling.ask(index, options, common)
            return
        report = _find(index, options, common)
        if html is not None or browse:
            _write_page(report, index, html, browse)
        if action is None:
            _print(report, form, null)
        else:
            planning.make(index, report, common)


def _only(given: Names, flags: dict[str, str]) -> str | None:
    """The one of several flags that was given, which exclude each other; None for none."""
    named = [flag for value, flag in flags.items() if value in given]
    if len(named) > 1:
        raise click.UsageError(f"{' and '.join(named)} contradict each other.")
    return given[0] if given else None


def _options(
    reach: str | None,
    threshold: float | str | None,
    precision: float | None,
    scope: tuple[Names, str, Names],
    policy: tuple[Names, Names, Names, Names],
    workers: int | None,
) -> DedupOptions:
    from simsearch.dedup.grouping.keeper import KeeperPolicy
    from simsearch.dedup.grouping.scope import Scope
    from simsearch.dedup.options import DedupOptions

    share = 0.99 if precision is None else precision
    return DedupOptions(reach or "near", threshold, share, Scope(*scope), KeeperPolicy(*policy), workers)


def _find(index: Index, options: DedupOptions, common: Common) -> DuplicateReport:
    from simsearch.dedup.candidates.collection import missing_roots
    from simsearch.dedup.find import find_duplicates
    from simsearch.report.lines import skipped_lines

    with told(common) as shown:
        report = find_duplicates(index, options, progress=shown.progress)
    for line in skipped_lines(report.failed, more="--json"):
        note(line)
    for root in missing_roots(index):
        note(
            f"{root}: missing or empty, so nothing is said of its photos. If a disk is not mounted, mount it "
            "and run again."
        )
    for folder in report.without:
        note(
            f"The index has no photo below {folder}, which had no part in this. "
            f"Index it with: simsearch index {shlex.quote(folder)}{common.index_flag}"
        )
    tell_calibration(report.calibration, common)
    return report


def _write_page(report: DuplicateReport, index: Index, html: str | None, browse: bool) -> None:
    from simsearch.engine.maintenance.thumbnails import Thumbnails
    from simsearch.report.duplicates.page import groups_page

    write_page(groups_page(report, Thumbnails.of(index)), html, browse, "copies.html")


def _print(report: DuplicateReport, form: str, null: bool) -> None:
    from simsearch.report.duplicates import machine
    from simsearch.report.duplicates.table import groups_table
    from simsearch.report.duplicates.words import unsure
    from simsearch.report.machine import to_json

    if form == "table":
        answer_text([groups_table(report, screen())])
    elif form == "json":
        answer([to_json(report)])
    elif form == "csv":
        answer(machine.groups_csv(report.groups))
    else:
        answer(machine.spare_paths(report.groups, end=b"\0" if null else b"\n"))
        if left := unsure(report.groups):
            note(f"Left out {left} that may be no copies; --format csv has them too.")
