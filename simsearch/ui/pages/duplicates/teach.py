"""Asks whether pairs are copies, those of which an answer teaches a threshold most."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import streamlit as st

from simsearch.dedup.records import Doubt, DuplicatePhoto, Picture
from simsearch.dedup.verdicts import Verdicts
from simsearch.report.duplicates.words import counted, score_words
from simsearch.ui.jobs import running, showing
from simsearch.ui.jobs.job import DONE
from simsearch.ui.pages.duplicates.asking import usual
from simsearch.ui.pages.duplicates.deciding.facts import LABELS, shown
from simsearch.ui.pages.duplicates.deciding.laying import lay_of
from simsearch.ui.pages.duplicates.deciding.session import Session
from simsearch.ui.parts.sidebyside import acts_of, side_by_side
from simsearch.ui.shared import Library

WANTED = 10
_KEY = "duplicates.pair"


def show(lib: Library, session: Session) -> None:
    """Ask, one pair after the other; each answer is kept at once."""
    st.write(
        "Where copies begin depends on your pictures. Say of a few pairs whether they are copies, and the "
        "next search with the threshold “Worked out on these pictures” uses what you said. Answers are kept "
        "at once and change no photo."
    )
    job = running.current("pairs", lib.index.path)
    if job is not None and job.state().phase != DONE:
        showing.show(job, what="Looking for pairs to ask about")
    if job is None or job.state().phase != DONE:
        if job is None and st.button(f"Find {WANTED} pairs to ask about", type="primary"):
            running.start_pairs(lib.index.path, _asked(), wanted=WANTED)
            st.rerun()
        return
    doubts = running.doubts(job)
    if session.pairs != job.id:
        session.pairs = job.id
        session.taught.clear()
    _take_in(lib, session, doubts)
    number = next((number for number in range(len(doubts)) if number not in session.taught), None)
    if number is None:
        _over(session, doubts)
        if st.button("Find more pairs"):
            running.start_pairs(lib.index.path, _asked(), wanted=WANTED)
            st.rerun()
        return
    side_by_side(_data(lib, session, doubts, number), key=_KEY)


def _asked() -> Mapping[str, object]:
    """The options of the last search, but for what has no place here."""
    return {**asdict(usual()), "reach": "near", "threshold": None}


def _take_in(lib: Library, session: Session, doubts: Sequence[Doubt]) -> None:
    for act in acts_of(_KEY, after=session.heard):
        session.heard = act["n"]
        answer_pair(lib, session, doubts, act)


def answer_pair(lib: Library, session: Session, doubts: Sequence[Doubt], act: Mapping[str, Any]) -> None:
    """Keep what was said of the pair that the act is on. Raises IndexUnwritable."""
    what, key = act.get("what"), act.get("key")
    numbers = {f"{session.pairs}.{number}": number for number in range(len(doubts))}
    if what == "back" and session.taught:
        last, said = session.taught.popitem()
        if said != "skip":
            with Verdicts.open(lib.index.path) as verdicts:
                verdicts.drop_label(doubts[last].first.sha256, doubts[last].second.sha256)
        return
    number = numbers.get(str(key))
    if number is None or number in session.taught or what not in ("copies", "different", "skip"):
        return
    if what != "skip":
        doubt = doubts[number]
        with Verdicts.open(lib.index.path) as verdicts:
            verdicts.put_label(doubt.first.sha256, doubt.second.sha256, what == "copies")
    session.taught[number] = str(what)


def _over(session: Session, doubts: Sequence[Doubt]) -> None:
    said = sum(answer != "skip" for answer in session.taught.values())
    if not doubts:
        st.success("There is no pair to ask about: none is in doubt that has no answer yet.")
        return
    st.success(
        f"{counted(said, 'answer')} kept. Now look again with the threshold “Worked out on these pictures”: "
        "it uses them, as simsearch dedup --threshold auto does."
    )


def _data(lib: Library, session: Session, doubts: Sequence[Doubt], number: int) -> dict[str, object]:
    doubt, key = doubts[number], f"{session.pairs}.{number}"
    photos = [_photo(picture) for picture in (doubt.first, doubt.second)]
    if key not in session.lays:
        session.lays[key] = lay_of(lib.index, *photos)
    return {
        "key": key,
        "title": f"Pair {number + 1} of {len(doubts)}: are these copies of one picture?",
        "status": f"Edited or not counts as a copy; another shot of the same scene does not. "
        f"The score is {score_words(doubt.score)}.",
        "why": "",
        "decided": False,
        "deciding": False,
        "navigation": False,
        "buttons": [
            {"what": "copies", "words": "Copies", "key": "Y", "main": True},
            {"what": "different", "words": "Different", "key": "N", "main": True},
            {"what": "skip", "words": "Skip", "key": "J"},
            {
                "what": "back",
                "words": "Take the last answer back",
                "key": "U",
                "disabled": not session.taught,
            },
        ],
        "labels": LABELS,
        "members": [_member(lib, place, photo) for place, photo in enumerate(photos, 1)],
        "lays": {"2": session.lays[key]},
        "first": 0,
        "total": 2,
        "shown": 2,
        "ahead": [],
        "heard": session.heard,
    }


def _photo(picture: Picture) -> DuplicatePhoto:
    path = picture.paths[0]
    size = os.stat(path).st_size if os.path.exists(path) else picture.size or 0
    return DuplicatePhoto(path, 1.0, picture.width, picture.height, size, "near", picture.sha256.hex())


def _member(lib: Library, number: int, photo: DuplicatePhoto) -> dict[str, object]:
    found = shown(lib, photo)
    return {
        "number": number,
        "thumb": found.thumbnail,
        "picture": found.picture,
        "name": found.name,
        "facts": found.facts,
        "role": "kept" if number == 1 else "",
        "chip": "",
        "reason": "",
        "level": "",
        "other": False,
    }
