"""What one run remembers for the next, and what it says and refuses before it begins."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from conftest import age, picture, simsearch
from numpy.typing import NDArray
from PIL import Image
from raws import dng

from simsearch import index_folder
from simsearch.engine.indexing import IndexingConfig, estimate, ledger
from simsearch.engine.indexing.survey import Candidate
from simsearch.errors import IndexUnwritable
from simsearch.framing import Framing
from simsearch.media.pool import DecodePool
from simsearch.models.choice import ModelChoice
from simsearch.models.embedder import Embedder
from simsearch.records import FileStat, IndexReport
from simsearch.storage.catalog import Root

Maker = Callable[[int], Path]
LITE0 = ModelChoice(model="efficientnet_lite0")


def run(
    folder: Path | list[Path] | tuple[()], index: Path, notes: list[str] | None = None, **options: object
) -> IndexReport:
    config = IndexingConfig(choice=LITE0, **options)  # type: ignore[arg-type]
    return index_folder(folder, index, config, note=(notes if notes is not None else []).append)


# Rules


def test_a_folder_keeps_what_it_passes_over(small_photos: Maker, tmp_path: Path) -> None:
    folder, index, notes = small_photos(8), tmp_path / "index", list[str]()
    (folder / ".hidden").mkdir()
    picture(50).save(folder / ".hidden" / "h.png")
    first = run(folder, index, exclude=("0001*", "0003*"), hidden=True)
    assert (first.added, first.passed_over) == (7, 2)
    for again in ((), folder):
        report = run(again, index, notes)
        assert (report.scanned, report.unchanged, report.gone) == (7, 7, 0)
    said = f"{folder}: passing over 0001*, 0003* and taking hidden files, as given before."
    assert [note for note in notes if "as given before" in note] == [said, said]
    assert run((), index, exclude=("0001*",)).added == 1
    assert run((), index).scanned == 8
    # An empty pattern ends it, and hidden files are passed over again by name alone.
    cleared = run(folder, index, exclude=("",), hidden=False)
    assert (cleared.added, cleared.passed_over) == (1, 1)
    assert run((), index).scanned == 8


def test_each_folder_has_its_own_rules(tmp_path: Path) -> None:
    index = tmp_path / "index"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for n in range(3):
            picture(n + 10 * len(name) * (name == "two")).save(tmp_path / name / f"{n}.png")
    run(tmp_path / "one", index, exclude=("0*",))
    run(tmp_path / "two", index, exclude=("1*",))
    report = run((), index)
    assert (report.scanned, report.unchanged) == (4, 4)
    # What is said of a part of a folder holds for that run.
    (tmp_path / "one" / "sub").mkdir()
    picture(70).save(tmp_path / "one" / "sub" / "2.png")
    assert run(tmp_path / "one" / "sub", index, exclude=("2*",)).scanned == 0
    assert run((), index).added == 1


def test_rules_by_the_command_line(small_photos: Maker, tmp_path: Path) -> None:
    folder, index = small_photos(6), tmp_path / "index"
    model = ("--model", "efficientnet_lite0", "-i", index, "--json")
    first = simsearch("index", folder, "--exclude", "*/a", "--exclude", "a", *model)
    assert json.loads(first.stdout)["scanned"] == 3
    again = simsearch("index", "-i", index, "--json")
    assert json.loads(again.stdout)["scanned"] == 3
    assert b"passing over */a, a, as given before." in again.stderr
    cleared = simsearch("index", "-i", index, "--exclude", "", "--json")
    assert json.loads(cleared.stdout)["added"] == 3


# The limit of pixels


def test_the_limit_of_pixels_names_its_option_and_is_kept(tmp_path: Path) -> None:
    folder, index = tmp_path / "photos", tmp_path / "index"
    folder.mkdir()
    Image.new("RGB", (300, 200), "red").save(folder / "large.png")
    picture(1).save(folder / "small.png")
    age(folder)
    report = run(folder, index, max_pixels=50_000)
    assert (report.added, len(report.skipped)) == (1, 1)
    assert report.skipped[0].reason == "300 x 200 pixels are more than the limit of 50000 (--max-pixels)"
    # The next run keeps to it and does not read the file again; a larger limit does.
    report = run((), index)
    assert (report.unchanged, len(report.skipped)) == (1, 1)
    done = simsearch("index", "-i", index, "--max-pixels", "60000", "--json")
    assert json.loads(done.stdout)["updated"] == 1
    assert run((), index).unchanged == 2


def test_a_package_that_was_missing_is_noticed_when_it_is_there(
    tmp_path: Path,
) -> None:
    folder, index = tmp_path / "photos", tmp_path / "index"
    folder.mkdir()
    photo = picture(1, (1024, 768))
    (folder / "a.dng").write_bytes(dng(photo, photo))
    picture(2).save(folder / "b.png")
    age(folder)
    # As on a machine without rawpy: the decoding processes look for modules here first.
    hidden = tmp_path / "no-rawpy"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['rawpy'] = None\n")
    done = simsearch(
        "index", folder, "-i", index, "--model", "efficientnet_lite0", "--json", PYTHONPATH=str(hidden)
    )
    [skipped] = json.loads(done.stdout)["skipped"]
    assert skipped["reason"] == 'RAW file: its preview needs rawpy (pip install "simsearch[raw]")'
    assert run((), index).updated == 1


def test_bytes_that_are_known_are_never_embedded_again_however_many_are_new(
    small_photos: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past some digests a run reads those of the whole index once, and asks of those alone."""
    monkeypatch.setattr(ledger, "ASKED", 3)
    folder, index = small_photos(10), tmp_path / "index"
    for n in range(4):
        shutil.copy(folder / "b" / "0000.jpg", folder / f"copy{n}.jpg")
    first = run(folder, index, commit_photos=2)
    assert (first.added, first.embedded) == (14, 10)
    # All are read again: ten as they were, and six more, of which two have bytes of their own.
    age(folder, 500.0)
    for n in range(4):
        shutil.copy(folder / "a" / "0001.jpg", folder / f"later{n}.jpg")
    for n in (70, 71):
        picture(n).save(folder / f"{n}.jpg")
    second = run(folder, index, commit_photos=2)
    assert (second.added, second.unchanged, second.embedded) == (6, 14, 2)


def test_digests_say_no_only_where_that_is_certain() -> None:
    digests = ledger.Digests()
    digests.add(b"\x00" * 32)
    digests.add(b"\xff" * 32)
    assert b"\x00" * 32 in digests
    assert b"\xff" * 32 in digests
    # The first 27 bits are looked at.
    assert b"\xff" * 4 + b"\x00" * 28 in digests
    assert b"\xff\xff\xff\xdf" + b"\xff" * 28 not in digests
    assert b"\x80" + b"\x00" * 31 not in digests


# Before a long run


class Card:
    """An embedder on a card whose first pass takes three seconds, and later ones nothing."""

    device, lanes = "cuda:0", 2

    def __init__(self) -> None:
        self.sizes = list[int]()

    def embed(self, pixels: NDArray[np.uint8]) -> None:
        if not self.sizes:
            time.sleep(3)
        self.sizes.append(len(pixels))


def test_the_first_pass_on_a_card_is_no_measure(small_photos: Maker) -> None:
    folder = small_photos(4)
    root, work, card = Root(1, os.fsencode(folder)), estimate.WorkList(), Card()
    found = [
        Candidate(root, os.fsencode(path.relative_to(folder)), FileStat(1, 1, 1, 1), None)
        for path in folder.rglob("*.jpg")
    ]
    work.gather(iter(found), lambda: None)
    with DecodePool(2, Framing(256, 224)) as pool:
        seconds = estimate.estimate(work, pool, cast(Embedder, card), lambda _: False, 2)
    assert 0 < seconds < 3
    # Both passes have the size that the run will use, for which the card's plans are then made.
    assert card.sizes == [64, 64]


def test_a_long_run_is_estimated_from_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, index, notes = tmp_path / "photos", tmp_path / "index", list[str]()
    folder.mkdir()
    for n in range(60):
        picture(n, (32, 24)).save(folder / f"{n:03d}.png")
    (folder / "notes.txt").write_text("no picture")
    age(folder)
    monkeypatch.setattr(estimate, "LONG_RUN", 40)
    report = run(folder, index, notes)
    assert (report.scanned, report.added, report.ignored) == (61, 60, 1)
    [line] = [note for note in notes if "to read" in note]
    assert re.fullmatch(
        r"60 photos to read and 1 other files to look into: about \d+ seconds, up to 1 MB of disk\.", line
    )
    # With little to do there is nothing to say.
    notes.clear()
    picture(99).save(folder / "new.png")
    assert run((), index, notes).added == 1
    assert notes == []


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "about 3 seconds"), (600, "about 10 minutes"), (9000, "about 2.5 hours")]
)
def test_the_estimate_in_words(seconds: float, words: str) -> None:
    work = estimate.WorkList(files=12_345, photos=12_000)
    told = estimate.forecast(work, seconds, 2_500_000_000)
    assert told == f"12,000 photos to read and 345 other files to look into: {words}, up to 2.5 GB of disk."


def test_the_sample_is_spread_over_the_whole_list(tmp_path: Path) -> None:
    stat = FileStat(1, 1, 1, 1)
    found = [Candidate(Root(1, b"/r"), b"%05d.jpg" % n, stat, None) for n in range(30_000)]
    work = estimate.WorkList()
    work.gather(iter(found), lambda: None)
    places = [int(candidate.relpath[:5]) for candidate in work.sample]
    assert estimate.SAMPLE <= len(places) < 2 * estimate.SAMPLE
    assert (work.files, work.photos, work.candidates) == (30_000, 30_000, [])
    gaps = {later - earlier for earlier, later in itertools.pairwise(places)}
    assert gaps == {1024}


def test_a_disk_that_cannot_hold_the_index_is_refused_before_anything_is_read(
    small_photos: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, index = small_photos(20), tmp_path / "index"
    run(folder / "a", index)
    nearly_full = shutil.disk_usage(tmp_path)._replace(free=30_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: nearly_full)
    with pytest.raises(IndexUnwritable, match=r"10 photos need up to 1 MB in .*, where 1 MB are free"):
        run(folder, index)
    monkeypatch.undo()
    report = run(folder, index)
    assert (report.added, report.unchanged) == (10, 10)
