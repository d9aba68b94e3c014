"""What docs/scale.md says of shards and replicas: its own code, run on indexes that are written meanwhile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPO

from simsearch import Index, index_folder
from simsearch.engine.indexing.config import IndexingConfig
from simsearch.engine.maintenance.verify import verify
from simsearch.engine.search import QueryOptions, Searcher
from simsearch.errors import IndexMismatch
from simsearch.models.choice import ModelChoice

LITE = IndexingConfig(choice=ModelChoice("efficientnet_lite0"))

WRITER = """
import hashlib, sys
import numpy as np
from pathlib import Path
from simsearch.engine.append import NewContent
from simsearch.engine.create import create_index, prepare_folder
from simsearch.records import Facts, FileStat
from simsearch.spec import EmbeddingSpec
from simsearch.storage import writer
from simsearch.storage.lock import WriterLock
from simsearch.storage.writer import FileChange

folder = Path(sys.argv[1])
prepare_folder(folder)
spec = EmbeddingSpec.named("made", 16)
with WriterLock(folder), create_index(folder, spec, weights_path="", fallback=None, note=print) as index:
    with index.database.write() as connection:
        root = writer.put_root(connection, b"/photos").id
    print("ready", flush=True)
    for number in range(10**9):
        row = np.eye(16, dtype=np.float32)[number % 16]
        digest = hashlib.sha256(b"%d" % number).digest()
        change = FileChange(root, b"%d.jpg" % number, FileStat(1, 1, number + 1, 1), 2, digest=digest)
        index.commit([NewContent(digest, Facts(3, 2, "JPEG"), row)], [change])
"""


def block(name: str) -> Callable[..., Any]:
    """A function of the page."""
    text = (REPO / "docs" / "scale.md").read_text(encoding="utf-8")
    [source] = [one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if f"def {name}(" in one]
    names: dict[str, Any] = {}
    exec(compile(source, "docs/scale.md", "exec"), names)
    found: Callable[..., Any] = names[name]
    return found


def test_shards_answer_as_one_index_of_all(photos: Path, tmp_path: Path) -> None:
    pictures = sorted((photos / "half-size").iterdir())[:8]
    for name, own in (("a", pictures[::2]), ("b", pictures[1::2])):
        (tmp_path / name).mkdir()
        for picture in own:
            shutil.copy(picture, tmp_path / name)
        index_folder(tmp_path / name, tmp_path / f"index-{name}", LITE)
    index_folder([tmp_path / "a", tmp_path / "b"], tmp_path / "whole", LITE)
    query = str(tmp_path / "a" / pictures[0].name)
    with Searcher(tmp_path / "whole") as whole:
        expected = whole.query_path(query, QueryOptions(k=5, center=False)).hits
    with Searcher(tmp_path / "index-a") as first, Searcher(tmp_path / "index-b") as second:
        found = block("search_shards")(query, [first, second], k=5)
    assert [hit.path for hit in found] == [hit.path for hit in expected]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-4)
    assert {Path(hit.path).parent.name for hit in found} == {"a", "b"}


def test_a_replica_follows_while_it_is_read(photos: Path, tmp_path: Path) -> None:
    index, replica, shelf = tmp_path / "index", tmp_path / "replica", tmp_path / "photos"
    refresh = block("refresh")
    pictures = sorted((photos / "half-size").iterdir())[:6]
    shelf.mkdir()
    for picture in pictures[:3]:
        shutil.copy(picture, shelf)
    index_folder(shelf, index, LITE)
    # What a crash leaves behind the rows that count, and the next run overwrites.
    with (index / "segments" / "000001.seg").open("ab") as segment:
        segment.write(os.urandom(10_000))
    refresh(index, replica)
    assert (replica / "segments" / "000001.seg").stat().st_size == 4096 + 3 * 4 * 1280
    with Index.open(replica) as reader:
        assert len(reader) == 3
        for picture in pictures[3:]:
            shutil.copy(picture, shelf)
        index_folder(shelf, index, LITE)
        assert len(reader) == 3
        refresh(index, replica)
        assert len(reader) == 6
        with Index.open(index) as original:
            ids = list(range(1, 7))
            np.testing.assert_array_equal(reader.vectors(ids), original.vectors(ids))
            query = original.vectors([6])
            assert reader.search(query, k=6) == original.search(query, k=6)
    assert verify(replica).ok


def test_every_copy_of_an_index_that_is_being_written_is_whole(tmp_path: Path) -> None:
    index, replica, refresh = tmp_path / "index", tmp_path / "replica", block("refresh")
    writing = subprocess.Popen([sys.executable, "-c", WRITER, str(index)], stdout=subprocess.PIPE, text=True)
    try:
        assert writing.stdout is not None
        assert writing.stdout.readline() == "ready\n"
        counts = []
        while len(set(counts)) < 8:
            assert writing.poll() is None
            refresh(index, replica)
            told = verify(replica)
            assert told.ok, told.problems
            with Index.open(replica) as reader:
                counts.append(len(reader))
                if counts[-1]:
                    ids = np.arange(1, counts[-1] + 1)
                    rows = reader.vectors(ids.tolist())
                    np.testing.assert_array_equal(rows, np.eye(16, dtype=np.float32)[(ids - 1) % 16])
        assert counts == sorted(counts)
    finally:
        writing.kill()
        writing.wait()
        if writing.stdout is not None:
            writing.stdout.close()


def test_another_index_is_not_taken_for_a_newer_commit(photos: Path, tmp_path: Path) -> None:
    """Who puts a made-anew index in a replica's place has to start its readers again, and is told so."""
    shelf, refresh = tmp_path / "photos", block("refresh")
    shelf.mkdir()
    shutil.copy(photos / "originals" / "rocket.jpg", shelf)
    index_folder(shelf, tmp_path / "one", LITE)
    index_folder(shelf, tmp_path / "two", LITE)
    refresh(tmp_path / "one", tmp_path / "replica")
    with Index.open(tmp_path / "replica") as reader:
        query = reader.vectors([1])
        (tmp_path / "replica" / "segments" / "000001.seg").unlink()
        refresh(tmp_path / "two", tmp_path / "replica")
        with pytest.raises(IndexMismatch, match="another index"):
            reader.search(query)
