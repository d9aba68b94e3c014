"""Shards on disk: whole or not there, of this run or of none, taken over where nothing has changed."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from simsearch.engine.cluster.address import check_address
from simsearch.engine.cluster.claims import Claims, known_digests
from simsearch.engine.cluster.driver import shard_size
from simsearch.engine.cluster.shards.folder import ShardFolder, clear
from simsearch.engine.cluster.shards.format import (
    Entry,
    Picture,
    Shard,
    decode,
    encode,
    read_shard,
    write_shard,
)
from simsearch.engine.cluster.work import Orders
from simsearch.engine.indexing.survey import Candidate
from simsearch.errors import ClusterFailed, IndexMismatch, IndexUnwritable
from simsearch.records import Facts, FileStat, Known, NotAnImage, Unreadable
from simsearch.storage.catalog import Root

STAT = FileStat(10, 1_700_000_000_000_000_001, 3, 4)
DIGESTS = [sha256(bytes([number])).digest() for number in range(3)]


def shard(rows: int = 2, tiles: int = 2) -> Shard:
    vectors = np.arange(rows * (1 + tiles) * 4, dtype=np.float32).reshape(rows, 1 + tiles, 4) / 7
    pictures = [
        Entry(
            f"/p/{number}.jpg".encode(),
            Picture(DIGESTS[number], STAT, Facts(8, 6, "JPEG", "2020-01-02T03:04:05"), row, ((5, 900_000),)),
        )
        for number, row in enumerate(vectors)
    ]
    others = [
        Entry(b"/p/\xff\n.jpg", Known(DIGESTS[2], STAT)),
        Entry(b"/p/bad.jpg", Unreadable("cut off", False, STAT), DIGESTS[2]),
        Entry(b"/p/gone.jpg", Unreadable("cannot be read", True)),
        Entry(b"/p/a.txt", NotAnImage()),
    ]
    return Shard("key", 123, "cpu", (*pictures, *others))


def test_what_is_written_comes_back_to_the_bit(tmp_path: Path) -> None:
    made = shard()
    write_shard(tmp_path, "1.shard", made)
    assert [path.name for path in tmp_path.iterdir()] == ["1.shard"]
    found = read_shard(tmp_path / "1.shard", "key")
    assert found is not None
    assert (found.key, found.read_ns, found.device) == ("key", 123, "cpu")
    assert [entry.path for entry in found.entries] == [entry.path for entry in made.entries]
    for mine, theirs in zip(made.entries, found.entries, strict=True):
        assert mine.claimed == theirs.claimed
        if isinstance(mine.outcome, Picture):
            assert isinstance(theirs.outcome, Picture)
            assert np.array_equal(mine.outcome.vectors, theirs.outcome.vectors)
            assert theirs.outcome.facts == mine.outcome.facts
            assert (theirs.outcome.labels, theirs.outcome.stat) == (mine.outcome.labels, STAT)
        else:
            assert mine.outcome == theirs.outcome


def test_a_shard_without_a_picture_comes_back(tmp_path: Path) -> None:
    write_shard(tmp_path, "1.shard", replace(shard(), entries=shard().entries[2:]))
    found = read_shard(tmp_path / "1.shard", "key")
    assert found is not None
    assert len(found.entries) == 4


def test_a_torn_shard_is_none() -> None:
    data = encode(shard())
    assert decode(data, "key") is not None
    assert all(decode(data[:length], "key") is None for length in range(len(data)))
    assert decode(data + b"\0", "key") is None


def test_a_flipped_bit_makes_it_none() -> None:
    data = encode(shard())
    for place in range(len(data)):
        hurt = bytearray(data)
        hurt[place] ^= 1 << place % 8
        assert decode(bytes(hurt), "key") is None


def test_of_another_run_it_is_none() -> None:
    assert decode(encode(shard()), "another key") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.pop("files"),
        lambda told: told.update(shape=[1 << 40, 4]),
        lambda told: told.update(shape=[3]),
        lambda told: told["files"][0].update(digest="00"),
        lambda told: told["files"][0].update(kind="picture!"),
        lambda told: told["files"][0].update(stat=None),
        lambda told: told["files"][0]["facts"].update(colour=1),
        lambda told: told["files"].append(told["files"][0]),
        lambda told: told.update(files=3),
    ],
)
def test_json_that_nobody_wrote_is_none_even_when_it_is_sealed(change: object) -> None:
    data = encode(shard())
    size = int.from_bytes(data[8:16], "little")
    told = json.loads(data[16 : 16 + size])
    change(told)  # type: ignore[operator]
    head = json.dumps(told).encode()
    body = data[:8] + len(head).to_bytes(8, "little") + head + data[16 + size : -32]
    assert decode(body + sha256(body).digest(), "key") is None


def candidate(path: bytes, stat: FileStat = STAT) -> Candidate:
    return Candidate(Root(1, b"/p"), path.removeprefix(b"/p/"), stat, None)


def test_a_later_run_takes_over_what_has_not_changed(tmp_path: Path) -> None:
    write_shard(tmp_path, "1.shard", shard())
    folder = ShardFolder(tmp_path, "key")
    folder.prepare()
    found = folder.take(candidate(b"/p/1.jpg"))
    assert found is not None
    entry, read_ns = found
    assert isinstance(entry.outcome, Picture)
    assert entry.outcome.digest == DIGESTS[1]
    assert read_ns == 123
    # Another node may number inodes and devices in its own way.
    assert folder.take(candidate(b"/p/1.jpg", replace(STAT, inode=9, device=9))) is not None
    assert folder.take(candidate(b"/p/1.jpg", replace(STAT, size=11))) is None
    assert folder.take(candidate(b"/p/1.jpg", replace(STAT, mtime_ns=STAT.mtime_ns + 1))) is None
    assert folder.take(candidate(b"/p/new.jpg")) is None
    # What was skipped is read again.
    assert folder.take(candidate(b"/p/bad.jpg")) is None


def test_what_is_of_no_use_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    write_shard(tmp_path, "good.shard", shard())
    write_shard(tmp_path, "other.shard", replace(shard(), key="another key"))
    (tmp_path / "torn.shard").write_bytes(encode(shard())[:100])
    (tmp_path / "2.shard.0a1b.part").write_bytes(b"half")
    (tmp_path / "photo.jpg").write_bytes(b"somebody's")
    ShardFolder(tmp_path, "key").prepare()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.shard", "photo.jpg"]
    clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "shards").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IndexUnwritable, match="is a link"):
        ShardFolder(tmp_path / "shards", "key").prepare()
    write_shard(tmp_path / "elsewhere", "1.shard", shard())
    clear(tmp_path / "shards")
    assert (tmp_path / "elsewhere" / "1.shard").exists()


def test_each_picture_is_claimed_by_one_shard() -> None:
    claims = Claims(known_digests([DIGESTS[2], sha256(b"more").digest()]))
    assert claims.claim(DIGESTS[0], 7)
    assert not claims.claim(DIGESTS[0], 8)
    assert claims.claim(DIGESTS[0], 7), "a shard that is done anew has what it had"
    assert not claims.claim(DIGESTS[2], 7), "it is in the index"
    assert [claims.begin(7), claims.begin(8), claims.begin(7)] == [1, 1, 2]
    assert Claims(known_digests([])).claim(DIGESTS[0], 0)


@pytest.mark.parametrize(
    ("files", "actors", "most", "size"),
    [
        (10, 2, 1024, 64),
        (1000, 2, 1024, 125),
        (10_000, 2, 1024, 1024),
        (1000, 2, 16, 16),
        (10**6, 500, 1024, 500),
    ],
)
def test_the_size_of_a_shard(files: int, actors: int, most: int, size: int) -> None:
    assert shard_size(files, actors, most) == size


def test_another_version_is_refused_in_words() -> None:
    orders = Orders("key", 1, "/s", "{}", None, "cpu", "auto", None, True, ((500, 2),), 100, 1, False)
    assert Orders.from_json(orders.to_json()) == orders
    with pytest.raises(IndexMismatch, match=r"is of 0\.0\.9; install the same version on every node"):
        Orders.from_json(replace(orders, version="0.0.9").to_json())


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://head:10001", "with --ray-address auto"),
        ("head", "use local, auto or HOST:PORT"),
        ("head:port", "use local, auto or HOST:PORT"),
        ("127.0.0.1:1", "No Ray cluster answers at 127.0.0.1:1"),
    ],
)
def test_an_address_that_is_none(address: str, said: str) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    with pytest.raises(ClusterFailed, match=said):
        check_address(address)
