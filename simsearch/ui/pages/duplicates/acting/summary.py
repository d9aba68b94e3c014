"""What would happen, file by file, and the one button that does it."""

from __future__ import annotations

import math

import streamlit as st

from simsearch.dedup.acts.records import ACTIONS, LINKS, PlannedGroup, PlanOptions
from simsearch.report.duplicates.words import counted
from simsearch.report.names import visible
from simsearch.ui import look
from simsearch.ui.folders import may_choose
from simsearch.ui.pages.duplicates.acting import working
from simsearch.ui.pages.duplicates.acting.carrying import Decided, Done, Draft, carry_out, draft
from simsearch.ui.pages.duplicates.acting.outcome import tell
from simsearch.ui.pages.duplicates.deciding import decisions as deciding
from simsearch.ui.pages.duplicates.deciding.session import GROUPS, Session
from simsearch.ui.pages.duplicates.finding import Found
from simsearch.ui.parts.sidebyside import plan_list
from simsearch.ui.shared import Library

ON_A_PAGE = 20
WAYS = {
    "set-aside": "Set aside, below the folder where it lies",
    "move": "Move to a folder",
    "hardlink": "Put a hard link in its place (same bytes only)",
    "symlink": "Put a symbolic link in its place (same bytes only)",
}
_WORDS = {
    "set-aside": "set aside, and can be put back at any time",
    "move": "moved to {to}, and can be put back at any time",
    "hardlink": "replaced by hard links to what is kept; the old files are set aside",
    "symlink": "replaced by symbolic links to what is kept; the old files are set aside",
}
_GOES = {"set-aside": "Set aside", "move": "Move", "hardlink": "Hard link", "symlink": "Symbolic link"}


def show(lib: Library, found: Found, session: Session) -> None:
    """Plan what was decided, show it, and do it when that is said."""
    decided = session.decided(found)
    if not decided:
        tell(lib, found, session)
        st.write("Nothing is decided, so nothing would happen. Decide about some groups first.")
        st.button("To the groups", on_click=session.show, args=(GROUPS,))
        return
    options = _options(found)
    if options is None:
        return
    drafted = _drafted(lib, found, decided, options)
    if drafted is None:
        return
    _totals(drafted)
    with st.container(horizontal=True):
        nothing = not (drafted.plan.files or drafted.answers.different or drafted.answers.keep_all)
        if st.button("Do it", type="primary", icon=":material/check:", disabled=nothing):
            _do(lib, found, session, drafted)
        st.button("Back to the groups", on_click=session.show, args=(GROUPS,))
    _files(drafted)


def _options(found: Found) -> PlanOptions | None:
    """How copies go; None where that is not said in full."""
    with st.expander("How copies go"):
        # Who does not sit at this machine names no folder of it.
        ways = [way for way in ACTIONS if way != "move" or may_choose()]
        action = st.selectbox("What happens to a copy", ways, format_func=WAYS.__getitem__)
        to = st.text_input("Folder to move to", placeholder="/folder/for/copies") if action == "move" else ""
        merge = st.checkbox(
            "Carry rating, tags, caption, place and date over to the XMP file of what is kept",
            help="What is added stands below. The XMP file as it was is set aside too.",
        )
    if action == "move" and not to.strip():
        st.info("Name the folder that copies are moved to.")
        return None
    return PlanOptions(action, to.strip() or None, merge, found.options.scope.reference)


def _drafted(lib: Library, found: Found, decided: Decided, options: PlanOptions) -> Draft | None:
    """The plan of what is decided now; made anew when something else was decided."""
    name = (found.job, tuple((key, said) for key, (_, said) in decided.items()), options)
    known = st.session_state.get("duplicates.draft")
    if known is None or known[0] != name:
        work = working.Work("Reading the files", lambda told: draft(lib.index, found, decided, options, told))
        work.start()
        st.session_state["duplicates.draft"] = known = (name, work)
    work = known[1]
    if not work.is_over:
        working.show(work)
        return None
    if work.error is not None:
        look.problem(work.error)
        st.button("Try again", on_click=st.session_state.pop, args=("duplicates.draft",))
        return None
    return work.result if isinstance(work.result, Draft) else None


def _totals(drafted: Draft) -> None:
    plan = drafted.plan
    beside = sum(len(file.companions) for group in plan.groups for file in group.files)
    lines = []
    if plan.files:
        with_them = f" and {counted(beside, 'file')} that belong to them" if beside else ""
        lines.append(
            f"**{counted(plan.files, 'copy', 'copies')}**{with_them} of **{look.size_of(plan.bytes)}** are "
            f"{look.plain(_WORDS[plan.action].format(to=plan.to))}."
        )
    for count, one, many in (
        (
            len(drafted.answers.different),
            "is remembered as different pictures",
            "are remembered as different pictures",
        ),
        (
            len(drafted.answers.keep_all),
            "stays as it is and is not asked about again",
            "stay as they are and are not asked about again",
        ),
    ):
        if count:
            lines.append(f"**{counted(count, 'set', 'sets')} of files** {one if count == 1 else many}.")
    left = sum(len(group.left) for group in plan.groups) + sum(map(len, drafted.stays.values()))
    if left:
        lines.append(
            f"{counted(left, 'file')} of these groups {'stays' if left == 1 else 'stay'}; why stands below."
        )
    st.markdown("\n".join(f"- {line}" for line in lines or ["Nothing would happen."]))
    st.markdown(
        "Nothing has happened yet. No file is deleted: what is set aside lies in a hidden folder "
        "\\.simsearch\\-trash on its own disk and takes its room until it is purged. "
        "Answers are written at the same moment, and can be taken back too."
    )


def _files(drafted: Draft) -> None:
    rows = [_planned(drafted, group) for group in drafted.plan.groups]
    known = {group.keep for group in drafted.plan.groups}
    for group, said in drafted.decided.values():
        if said.keep not in known or said.kind != deciding.SET_ASIDE:
            rows.append(
                _unplanned(drafted, group.photos[0].path, [photo.path for photo in group.photos], said)
            )
    pages = math.ceil(len(rows) / ON_A_PAGE)
    page = 1
    if pages > 1:
        page = st.number_input(f"Page, of {pages}", 1, pages, 1)
    st.header("File by file", anchor=False)
    plan_list(rows[(page - 1) * ON_A_PAGE : page * ON_A_PAGE], key="duplicates.plan")


def _planned(drafted: Draft, group: PlannedGroup) -> dict[str, object]:
    action = drafted.plan.action
    rows = [_row("Keep", group.keep, visible(group.why), "keep")]
    if group.merge is not None:
        rows += [_row("Note", group.merge.sidecar, visible(line), "keep") for line in group.merge.lines]
    for file in group.files:
        place = visible(file.target)
        note = f"a link takes its place; the file lies at {place}" if action in LINKS else f"to {place}"
        rows.append(_row(_GOES[action], file.facts.path, note, "goes"))
        rows += [
            _row("With it", beside.facts.path, f"to {visible(beside.target)}", "goes")
            for beside in file.companions
        ]
    for item in (*drafted.stays.get(group.keep, ()), *group.left):
        rows.append(_row("Stays", item.path, visible(item.reason), "stays"))
    size = sum(file.facts.size for file in group.files)
    title = f"{counted(len(group.files), 'copy', 'copies')} of {look.size_of(size)}"
    return {"title": title if group.files else "Nothing goes", "rows": rows}


def _unplanned(drafted: Draft, first: str, paths: list[str], said: deciding.Decision) -> dict[str, object]:
    if said.kind == deciding.DIFFERENT:
        return {"title": "Different pictures", "rows": [_row("Stays", path, "", "stays") for path in paths]}
    if said.kind == deciding.KEEP_ALL:
        return {"title": "All stay", "rows": [_row("Stays", path, "", "stays") for path in paths]}
    rows = [_row("Keep", said.keep, "", "keep")]
    rows += [
        _row("Stays", item.path, visible(item.reason), "stays") for item in drafted.stays.get(said.keep, ())
    ]
    return {"title": "Nothing goes", "rows": rows}


def _row(what: str, path: str, note: str, kind: str) -> dict[str, object]:
    return {"what": what, "path": visible(path), "note": note, "kind": kind}


def _do(lib: Library, found: Found, session: Session, drafted: Draft) -> None:
    def act(progress: working.Progress) -> Done:
        return carry_out(lib.index, found, drafted, progress)

    session.work = working.begin(lib.index.path, "Setting copies aside", act)
    session.show(GROUPS)
    session.open_group(None)
    st.rerun()
