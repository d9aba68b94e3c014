"""An S3 bucket as a root, on a real server."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import simsearch

from simsearch import Index
from simsearch.errors import SourceUnreachable
from simsearch.media.sources.stores.remote import Store
from sources.ground import MODEL, S3, jpeg, patient, spools
from sources.test_archives import PHOTOS, put_tar, put_zip, rows


class Bucket:
    """A bucket of one test, and the command line with its credentials."""

    def __init__(self, s3: S3, name: str, index: Path, temporary: Path) -> None:
        self.s3, self.name, self.index, self.temporary = s3, name, index, temporary
        self.client = s3.client()
        self.client.create_bucket(Bucket=name)

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def run(self, *args: str | Path, **env: str) -> subprocess.CompletedProcess[bytes]:
        more = {**self.s3.env, **patient(60, self.temporary), **env}
        return simsearch(*args, "-i", self.index, **more)

    def index_(self, *args: str, **env: str) -> dict[str, Any]:
        new = [] if self.index.exists() else ["--model", MODEL]
        run = self.run("index", *args, *new, "--json", **env)
        assert run.returncode == 0, run.stderr.decode()
        told: dict[str, Any] = json.loads(run.stdout)
        return told


@pytest.fixture
def bucket(s3: S3, request: pytest.FixtureRequest, tmp_path: Path, temporary: Path) -> Iterator[Bucket]:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:40].strip("-")
    yield Bucket(s3, f"t-{name}", tmp_path / "index", temporary)
    assert spools(temporary) == []


def counts(told: dict[str, Any], *names: str) -> tuple[int, ...]:
    return tuple(told[name] for name in names)


def test_a_bucket_from_run_to_run(bucket: Bucket, tmp_path: Path) -> None:
    for key, data in PHOTOS.items():
        bucket.put(f"photos/{key}", data)
    bucket.put("photos/notes.json", b"{}")
    bucket.put("photos/unnamed", jpeg(7))
    bucket.put("photos/thing.dat", b"no picture")
    bucket.put("photos/folder/", b"")
    bucket.put("photos-of-others/x.jpg", jpeg(8))
    root = f"s3://{bucket.name}/photos"
    told = bucket.index_(f"S3://{bucket.name}/photos/")
    assert counts(told, "scanned", "added", "embedded", "ignored") == (7, 5, 5, 2)
    before = bucket.s3.asked("GET", f"/{bucket.name}/photos/a/one.jpg")
    told = bucket.index_()
    assert counts(told, "added", "unchanged", "embedded", "gone") == (0, 5, 0, 0)
    # What did not change by its ETag is not even fetched; what is a picture by its bytes alone is looked at.
    assert bucket.s3.asked("GET", f"/{bucket.name}/photos/a/one.jpg") == before == 1
    assert bucket.s3.asked("GET", f"/{bucket.name}/photos/notes.json") == 0

    bucket.put("photos/b.jpg", jpeg(30))
    bucket.put("photos/again.jpg", PHOTOS["a/two.jpg"])
    bucket.client.delete_object(Bucket=bucket.name, Key="photos/a/one.jpg")
    told = bucket.index_()
    assert counts(told, "added", "updated", "unchanged", "gone", "removed", "embedded") == (1, 1, 3, 1, 0, 1)
    assert "a/one.jpg" in rows(bucket.index)
    told = bucket.index_("--prune", "--yes")
    assert counts(told, "gone", "removed", "unchanged", "embedded") == (1, 1, 5, 0)
    assert "a/one.jpg" not in rows(bucket.index)

    hits = json.loads(bucket.run("query", f"{root}/again.jpg", "-k", "1", "--json").stdout)[0]["hits"]
    assert (hits[0]["path"], round(hits[0]["score"], 4)) == (f"{root}/a/two.jpg", 1.0)
    found = json.loads(bucket.run("query", f"s3://{bucket.name}/photos-of-others/x.jpg", "--json").stdout)
    assert found[0]["query"] == f"s3://{bucket.name}/photos-of-others/x.jpg"
    assert len(found[0]["hits"]) == 4
    assert json.loads(bucket.run("info", "--json").stdout)["roots"] == [root]
    assert bucket.run("verify", "--deep").returncode == 0
    removed = json.loads(bucket.run("remove", root, "--yes", "--json").stdout)
    assert (removed["files"], removed["roots"]) == (5, [root])


def test_a_bucket_gives_what_a_folder_and_a_shard_give(bucket: Bucket, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for key, data in PHOTOS.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
        bucket.put(key, data)
    shards = {"x-0.tar": dict(list(PHOTOS.items())[:2]), "x-1.tar": dict(list(PHOTOS.items())[2:])}
    for name, members in shards.items():
        bucket.put(f"shards/{name}", put_tar(tmp_path / name, {**members, "n.json": b"{}"}).read_bytes())
    bucket.put("shards/p.zip", put_zip(tmp_path / "p.zip", PHOTOS).read_bytes())
    run = simsearch("index", folder, "-i", tmp_path / "local", "--model", MODEL)
    assert run.returncode == 0, run.stderr
    told = bucket.index_(f"s3://{bucket.name}/shards/x-{{0..1}}.tar")
    assert counts(told, "added", "embedded", "ignored") == (4, 4, 2)
    assert rows(bucket.index) == rows(tmp_path / "local")
    with Index.open(tmp_path / "local") as one, Index.open(bucket.index) as two:
        ids = {photo.sha256: photo.id for photo in one.photos()}
        photos = list(two.photos())
        first = one.vectors([ids[photo.sha256] for photo in photos])
        np.testing.assert_allclose(first, two.vectors([photo.id for photo in photos]), atol=1e-6)
    # Each picture is embedded once, wherever else it turns up.
    told = bucket.index_(f"s3://{bucket.name}", f"s3://{bucket.name}/shards/*.zip")
    assert counts(told, "added", "embedded") == (8, 0)
    # A shard that did not change is not fetched again.
    before = bucket.s3.asked("GET", f"/{bucket.name}/shards/x-0.tar")
    told = bucket.index_()
    assert counts(told, "unchanged", "embedded", "gone") == (12, 0, 0)
    assert bucket.s3.asked("GET", f"/{bucket.name}/shards/x-0.tar") == before
    bucket.put("shards/x-0.tar", put_tar(tmp_path / "x-0.tar", {"a/new.jpg": jpeg(50)}).read_bytes())
    told = bucket.index_()
    assert counts(told, "added", "unchanged", "embedded", "gone") == (1, 10, 1, 2)


def test_many_objects_are_listed_in_pages(bucket: Bucket) -> None:
    bucket.put("x.jpg", jpeg(1))
    for number in range(1100):
        bucket.put(f"{number:04d}.txt", b"x")
    told = bucket.index_(f"s3://{bucket.name}")
    assert counts(told, "scanned", "added", "ignored") == (1101, 1, 1100)


def test_a_page_that_says_there_is_more_and_not_where(monkeypatch: pytest.MonkeyPatch) -> None:
    async def page(*_: object, **__: object) -> dict[str, Any]:
        return {"IsTruncated": True, "Contents": [{"Key": "p/a.jpg", "Size": 3, "ETag": '"x"'}]}

    store = Store("s3")
    monkeypatch.setattr(store._fs, "_call_s3", page)
    listing = store.listing(b"s3://bucket/p")
    assert next(listing).relpath == b"a.jpg"
    with pytest.raises(SourceUnreachable, match="cannot be listed: its listing stops in the middle"):
        next(listing)


def test_what_is_not_there_is_an_error(bucket: Bucket) -> None:
    run = bucket.run("index", "s3://no-such-bucket", "--model", MODEL)
    assert (run.returncode, run.stdout) == (1, b"")
    assert run.stderr.decode() == (
        "Error: s3://no-such-bucket is missing or empty. Check the address, and that you may read it.\n"
    )
    assert not bucket.index.exists()
    bucket.put("x.jpg", jpeg(1))
    bucket.index_(f"s3://{bucket.name}")
    bucket.client.delete_object(Bucket=bucket.name, Key="x.jpg")
    for _ in range(2):
        run = bucket.run("index", "--prune", "--yes")
        assert run.returncode == 1
        assert b"is missing or empty, though photos of it are indexed" in run.stderr
        assert rows(bucket.index).keys() == {"x.jpg"}
        bucket.client.delete_bucket(Bucket=bucket.name) if _ == 0 else None
    run = bucket.run("index", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert b"cannot be listed: no connection can be made" in run.stderr
    assert rows(bucket.index).keys() == {"x.jpg"}


def test_secrets_are_refused_and_not_told(bucket: Bucket) -> None:
    for url in (
        "s3://AKIA123:s3cr3t@bucket/x",
        "https://u:s3cr3t@h/x.jpg",
        "https://h/x.jpg?X-Amz-Signature=s3cr3t",
    ):
        for run in (bucket.run("index", url), bucket.run("query", url)):
            assert run.returncode == 1
            assert b"s3cr3t" not in run.stdout + run.stderr
            assert b"AKIA" not in run.stderr


def test_permanent_reasons_are_kept(bucket: Bucket) -> None:
    bucket.put("good.jpg", jpeg(1))
    bucket.put("cut.jpg", jpeg(2)[:700])
    bucket.put("text.jpg", b"no picture")
    told = bucket.index_(f"s3://{bucket.name}")
    assert [(s["path"].rpartition("/")[2], s["transient"]) for s in told["skipped"]] == [
        ("cut.jpg", False),
        ("text.jpg", False),
    ]
    before = bucket.s3.asked("GET", f"/{bucket.name}/cut.jpg")
    assert len(bucket.index_()["skipped"]) == 2
    assert bucket.s3.asked("GET", f"/{bucket.name}/cut.jpg") == before


def begin(bucket: Bucket, *args: str, seconds: float = 60) -> subprocess.Popen[bytes]:
    env = {**os.environ, **bucket.s3.env, **patient(seconds, bucket.temporary)}
    command = [sys.executable, "-m", "simsearch", "index", *args, "-i", os.fspath(bucket.index), "--json"]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def until_fetched(bucket: Bucket, number: int, process: subprocess.Popen[bytes]) -> None:
    while bucket.s3.asked("GET", f"/{bucket.name}/0") < number and process.poll() is None:
        time.sleep(0.005)


@pytest.mark.proof
def test_a_killed_run_loses_nothing(bucket: Bucket) -> None:
    for number in range(120):
        bucket.put(f"{number:04d}.jpg", jpeg(number))
    process = begin(bucket, f"s3://{bucket.name}", "--model", MODEL)
    until_fetched(bucket, 60, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    left = list(bucket.temporary.rglob("LOCK"))
    assert len(left) == 1
    with sqlite3.connect(bucket.index / "index.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    told = bucket.index_(f"s3://{bucket.name}")
    assert counts(told, "added", "unchanged", "gone") == (120 - told["unchanged"], told["unchanged"], 0)
    assert len(rows(bucket.index)) == 120
    assert not left[0].exists()
    assert bucket.run("verify", "--deep").returncode == 0


@pytest.mark.proof
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_stops_in_the_middle(how: signal.Signals, tmp_path: Path, temporary: Path) -> None:
    pytest.importorskip("moto", reason="moto: the S3 server of the tests is not installed")
    s3 = S3(tmp_path / "requests.log")
    s3.serve()
    try:
        bucket = Bucket(s3, "middle", tmp_path / "index", temporary)
        for number in range(150):
            bucket.put(f"{number:04d}.jpg", jpeg(number))
        process = begin(bucket, "s3://middle", "--model", MODEL, seconds=5)
        until_fetched(bucket, 40, process)
        assert s3._process is not None
        s3._process.send_signal(how)
        out, err = process.communicate(timeout=900)
        assert b"Traceback" not in err
        if how is signal.SIGKILL:
            s3._process.wait()
        s3.stop()
        s3.serve()
        bucket = Bucket(s3, "middle", tmp_path / "index", temporary)
        for number in range(150):
            bucket.put(f"{number:04d}.jpg", jpeg(number))
        told = bucket.index_("s3://middle", "--prune")
        assert counts(told, "gone", "removed") == (0, 0)
        assert told["added"] + told["updated"] + told["unchanged"] == 150
        if out:
            first = json.loads(out)
            assert first["added"] + len(first["skipped"]) == 150
            assert all(skipped["transient"] for skipped in first["skipped"])
            assert first["added"] + told["embedded"] == 150
    finally:
        s3.stop()
