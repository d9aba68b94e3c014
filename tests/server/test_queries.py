"""What is found: by id, by path, by upload, by several of them, narrowed down; the same as by the command."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import simsearch
from PIL import Image

from server.ground import REPO, Server, ids, jpeg, scores
from simsearch import Index

Collection = tuple[Path, Path]


def by_command(*arguments: str | Path, index: Path) -> Any:
    done = simsearch("query", *arguments, "-i", index, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def indexed(client: httpx.Client, *plus: dict[str, Any], **wish: Any) -> Any:
    answer = client.post("/v1/query/indexed", json={"plus": plus, **wish})
    assert answer.status_code == 200, answer.text
    return answer.json()


def sent(client: httpx.Client, *pictures: bytes, unlike: tuple[bytes, ...] = (), **wish: Any) -> Any:
    files = [("image", (f"{n}.jpg", data)) for n, data in enumerate(pictures)]
    files += [("unlike", (f"-{n}.jpg", data)) for n, data in enumerate(unlike)]
    answer = client.post("/v1/query", files=files, data={"options": json.dumps(wish)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def turned(photo: Path) -> bytes:
    """A picture that is not indexed and looks like one that is."""
    return jpeg(Image.open(photo).convert("RGB").rotate(5).resize((320, 240)), quality=90)


def test_by_path_and_by_id_it_answers_as_the_command_does(
    client: httpx.Client, collection: Collection
) -> None:
    photos, index = collection
    photo = photos / "originals" / "coffee.png"
    assert indexed(client, {"path": str(photo)}) == by_command(photo, index=index)
    with Index.open(index) as opened:
        number = opened.vector_id_of(path=photo)
    assert indexed(client, {"id": number}, k=5) == by_command("--id", str(number), "-k", "5", index=index)


def test_a_new_picture_that_is_sent(client: httpx.Client, collection: Collection, tmp_path: Path) -> None:
    photos, index = collection
    data = turned(photos / "originals" / "coffee.png")
    (tmp_path / "new.jpg").write_bytes(data)
    [told], [found] = by_command(tmp_path / "new.jpg", index=index), sent(client, data)
    assert found["query"] == "0.jpg"
    assert ids([found]) == ids([told])
    assert scores([found]) == pytest.approx(scores([told]), abs=1e-5)
    assert "coffee" in found["hits"][0]["path"]


def test_options_may_come_as_a_file(client: httpx.Client, collection: Collection) -> None:
    data = (collection[0] / "originals" / "coffee.png").read_bytes()
    # What a browser makes of form.append("options", new Blob([...], {type: "application/json"})).
    files = {"image": data, "options": ("blob", b'{"k": 3}', "application/json")}
    answer = client.post("/v1/query", files=files)
    assert answer.status_code == 200, answer.text
    assert ids(answer.json()) == ids(sent(client, data, k=3))


def test_a_picture_that_is_indexed_finds_itself_when_it_is_sent(
    client: httpx.Client, collection: Collection
) -> None:
    photo = collection[0] / "originals" / "coffee.png"
    [found] = sent(client, photo.read_bytes(), k=3)
    assert found["hits"][0]["path"] == str(photo)
    assert found["hits"][0]["score"] == pytest.approx(1.0, abs=1e-6)
    assert ids(indexed(client, {"path": str(photo)}, k=3, include_self=True)) == ids([found])


def test_several_examples_are_weighed_as_rocchio_says(client: httpx.Client, collection: Collection) -> None:
    photos, index = collection
    names = ["coffee", "astronaut", "rocket"]
    with Index.open(index) as opened:
        found = [opened.vector_id_of(path=next(photos.glob(f"originals/{name}.*"))) for name in names]
        numbers = [number for number in found if number is not None]
        every = [photo.id for photo in opened.photos()]
        vectors, (like, also, unlike) = opened.vectors(every), opened.vectors(numbers).astype(float)
    moved = (2 * like + 1 * also) / 3 - 0.5 * unlike
    cosines = vectors @ (moved / np.linalg.norm(moved))
    best = [every[place] for place in np.argsort(-cosines) if every[place] not in numbers]
    wish = {
        "plus": [{"id": numbers[0], "weight": 2}, {"id": numbers[1]}],
        "minus": [{"id": numbers[2], "weight": 0.5}],
        "k": 8,
    }
    answer = client.post("/v1/query/indexed", json=wish)
    assert ids(answer.json()) == best[:8]
    # The same pictures as files; their own are hits then.
    data = [next(photos.glob(f"originals/{name}.*")).read_bytes() for name in names]
    together = sent(client, *data[:2], unlike=(data[2],), weights=[2, 1], minus_weights=[0.5], k=8)
    assert ids(together) == [every[place] for place in np.argsort(-cosines)][:8]
    # Mixed: one is sent, one is named.
    mixed = sent(client, data[0], weights=[2], plus=wish["plus"][1:], minus=wish["minus"], k=8)
    assert set(ids(mixed)) >= set(best[:7])


@pytest.mark.parametrize(
    ("wish", "flags"),
    [
        ({"where": "width > 500"}, ["--where", "width > 500"]),
        ({"type": ["png"], "k": 4}, ["--type", "png", "-k", "4"]),
        ({"min_score": 0.5, "max_score": 0.9}, ["--min-score", ".5", "--max-score", ".9"]),
        ({"include_self": True, "k": 1}, ["--include-self", "-k", "1"]),
        ({"diverse": 0.5, "k": 6}, ["--diverse", ".5", "-k", "6"]),
        ({"center": True}, ["--center"]),
        ({"since": "2000", "until": "2100"}, ["--since", "2000", "--until", "2100"]),
        ({"expand": 3}, ["--expand", "3"]),
        ({"one_in": 50}, ["--one-in", "50"]),
        ({"label": ["espresso"]}, ["--label", "espresso"]),
        ({"parts": "whole"}, ["--parts", "whole"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_narrows_a_query_down_is_what_the_command_says(
    wish: dict[str, Any], flags: list[str], client: httpx.Client, collection: Collection
) -> None:
    photos, index = collection
    photo = photos / "originals" / "coffee.png"
    assert indexed(client, {"path": str(photo)}, **wish) == by_command(photo, *flags, index=index)


def test_a_folder_and_the_next_page(client: httpx.Client, collection: Collection) -> None:
    photos, index = collection
    photo, folder = photos / "originals" / "coffee.png", photos / "cropped"
    within = indexed(client, {"path": str(photo)}, folder=[str(folder)])
    assert within == by_command(photo, "--folder", folder, index=index)
    whole = indexed(client, {"path": str(photo)}, k=8)[0]["hits"]
    assert indexed(client, {"path": str(photo)}, k=3, offset=5)[0]["hits"] == whole[5:]


def test_many_at_once_are_answered_as_one_by_one(client: httpx.Client, collection: Collection) -> None:
    photos, index = collection
    with Index.open(index) as opened:
        numbers = [photo.id for photo in opened.photos()][:32]
    pictures = [turned(path) for path in sorted((photos / "originals").iterdir())[:12]]
    alone = [indexed(client, {"id": number}) for number in numbers]
    alone += [sent(client, data) for data in pictures]
    with ThreadPoolExecutor(44) as threads:
        futures = [threads.submit(indexed, client, {"id": number}) for number in numbers]
        futures += [threads.submit(sent, client, data) for data in pictures]
        together = [future.result() for future in futures]
    for one, other in zip(alone, together, strict=True):
        assert ids(one) == ids(other)
        assert scores(one) == pytest.approx(scores(other), abs=1e-5)


# No path leads out


@pytest.fixture
def outside(collection: Collection, tmp_path: Path) -> Iterator[Path]:
    """A picture that is not indexed, in a folder that a link in the indexed one leads to."""
    place, link = tmp_path / "elsewhere" / "outside.jpg", collection[0] / "link"
    place.parent.mkdir()
    place.write_bytes(turned(collection[0] / "originals" / "coffee.png"))
    link.symlink_to(place.parent)
    yield place
    link.unlink()


def test_a_path_is_one_that_is_indexed_or_unknown(
    client: httpx.Client, collection: Collection, outside: Path
) -> None:
    photos, _ = collection
    link = photos / "link"
    tried = [
        str(outside),
        str(outside.parent / "not-there.jpg"),
        "/etc/passwd",
        f"{photos}/../{os.path.relpath(outside, photos.parent)}",
        f"{link}/outside.jpg",
        f"{link}/../link/./outside.jpg",
        "originals/coffee.png",
        "file:///etc/passwd",
        f"{photos}/originals/coffee.png\0.jpg",
        str(photos),
        "~/x.jpg",
    ]
    for path in tried:
        answer = client.post("/v1/query/indexed", json={"plus": [{"path": path}]})
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found"), path
    # A file that is there and one that is not are told apart by nothing but their own names.
    there, missing = (
        client.post("/v1/query/indexed", json={"plus": [{"path": path}]}).text.replace(path, "")
        for path in tried[:2]
    )
    assert there == missing
    inside = f"{photos}/cropped/.././originals/coffee.png"
    assert client.post("/v1/query/indexed", json={"plus": [{"path": inside}]}).status_code == 200


def test_a_folder_outside_is_no_folder_whatever_is_there(
    client: httpx.Client, collection: Collection, outside: Path
) -> None:
    photos, _ = collection
    link = photos / "link"
    for folder in ("/proc/self/cwd", "/etc", "/not-there", str(link), f"{photos}/../../etc", "relative"):
        wish = {"plus": [{"id": 1}], "folder": [folder]}
        answer = client.post("/v1/query/indexed", json=wish)
        assert answer.status_code == 422
        assert answer.json()["message"].startswith("No indexed photo lies below "), folder
        assert os.path.realpath(folder) == folder or os.path.realpath(folder) not in answer.text


# Photos and the index


def test_facts_of_a_photo_and_of_the_index_are_those_of_info(
    client: httpx.Client, collection: Collection
) -> None:
    photos, index = collection
    photo = photos / "originals" / "coffee.png"
    [told] = json.loads(simsearch("info", photo, "-i", index, "--json").stdout)
    assert client.get(f"/v1/photos/{told['id']}").json() == told
    whole = json.loads(simsearch("info", "-i", index, "--json").stdout)
    found = client.get("/v1/index").json()
    assert {**found, "bytes": 0} == {**whole, "bytes": 0}
    for number in (10**9, 2**63 - 1):
        assert client.get(f"/v1/photos/{number}").status_code == 404
    for number in ("0", "-1", "x", "1.5", str(2**63), "9" * 5000):
        assert client.get(f"/v1/photos/{number}").status_code in (404, 422)


def test_a_thumbnail_is_of_what_was_indexed_and_of_nothing_else(
    real: Server, client: httpx.Client, collection: Collection
) -> None:
    photos, index = collection
    photo = photos / "half-size" / "coffee.jpg"
    with Index.open(index) as opened:
        number = opened.vector_id_of(path=photo)
    answer = client.get(f"/v1/photos/{number}/thumbnail")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    shown = Image.open(io.BytesIO(answer.content))
    assert max(shown.size) <= 256
    assert not shown.getexif()
    kept = photo.read_bytes()
    try:
        # Another file took its place; what it shows is nobody's business.
        photo.unlink()
        photo.symlink_to(photos / "originals" / "rocket.jpg")
        answer = client.get(f"/v1/photos/{number}/thumbnail")
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    finally:
        photo.unlink()
        photo.write_bytes(kept)
    assert client.get("/v1/photos/1000000/thumbnail").status_code == 404


def test_it_only_reads(client: httpx.Client, collection: Collection) -> None:
    photos, index = collection
    before = {path: path.stat().st_mtime_ns for path in index.rglob("*") if path.suffix in (".db", ".seg")}
    sent(client, turned(photos / "originals" / "coffee.png"))
    client.get("/v1/photos/1/thumbnail")
    after = {path: path.stat().st_mtime_ns for path in index.rglob("*") if path.suffix in (".db", ".seg")}
    assert after == before
    for method in ("PUT", "DELETE", "PATCH"):
        assert client.request(method, "/v1/photos/1").status_code == 405


def test_the_example_of_the_manual_runs(real: Server, collection: Collection, tmp_path: Path) -> None:
    page = (REPO / "docs" / "server.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "new.jpg").write_bytes(turned(collection[0] / "originals" / "coffee.png"))
    line = [sys.executable, "-c", example, real.address, "new.jpg"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    *hits, more = done.stdout.splitlines()
    assert [bool(re.fullmatch(r"-?\d\.\d{3} /.*", line)) for line in hits] == [True] * 5
    assert "coffee" in hits[0]
    assert more == "5 more"
