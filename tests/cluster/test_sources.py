"""What a store or an archive holds, by the driver without Ray: it is told by its tag, and not by a time."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from sources.ground import jpeg, serving

from cluster.ground import assert_same, pictures_in, shards_in
from cluster.test_driver import Here, run, sound
from cluster.test_driver import here as here  # a fixture

COUNT = 17
"""Of shards of 8: the last one has one picture."""
LENGTH = 1 << 16
LAST = f"{COUNT - 1:02d}.jpg"


def padded(seed: int) -> bytes:
    """A photo of a length that all have; what follows a JPEG's end is not looked at."""
    return jpeg(seed).ljust(LENGTH, b"\0")


def put_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Each member has the same time and, stored, the same length whatever its bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)


Put = Callable[[Mapping[str, bytes]], None]


@pytest.fixture(params=["web", "zip"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Put]]:
    """A root, and what puts files there: a web server that tells ETags and no times, and an archive."""
    if request.param == "zip":
        yield str(tmp_path / "photos.zip"), lambda files: put_zip(tmp_path / "photos.zip", files)
        return
    pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    with serving() as web:

        def put(files: Mapping[str, bytes]) -> None:
            web.files = {f"/photos/{name}": data for name, data in files.items()}

        yield f"{web.url}/photos", put


def photos() -> dict[str, bytes]:
    return {f"{number:02d}.jpg": padded(number) for number in range(COUNT)}


def test_a_source_is_the_same_by_ray_and_as_it_was_for_the_next_run(
    here: type[Here], tmp_path: Path, source: tuple[str, Put]
) -> None:
    root, put = source
    put(photos())
    report = run(root, tmp_path / "ray")
    assert (report.added, report.embedded, report.skipped) == (COUNT, COUNT, ())
    run(root, tmp_path / "local", ray=False)
    assert_same(tmp_path / "ray", tmp_path / "local")
    for ray in (True, False):
        again = run(root, tmp_path / "ray", ray=ray)
        assert (again.unchanged, again.updated, again.embedded) == (COUNT, 0, 0)
    sound(tmp_path / "ray")


def test_what_changed_and_kept_its_size_is_not_taken_from_a_shard(
    here: type[Here], tmp_path: Path, source: tuple[str, Put]
) -> None:
    root, put = source
    files, index = photos(), tmp_path / "index"
    put(files)

    def stop(numbers: list[int]) -> Iterator[int]:
        yield from numbers[1:]
        raise KeyboardInterrupt

    here.order = staticmethod(stop)
    with pytest.raises(KeyboardInterrupt):
        run(root, index)
    kept = {path for shard in shards_in(index) for path in pictures_in(shard)}
    assert f"{root}/{LAST}" in kept
    files[LAST] = padded(100)
    put(files)
    here.order, here.read = staticmethod(list), []
    report = run(root, index)
    # The first shard was not done; of the others all but what changed is taken over.
    assert f"{root}/{LAST}".encode() in here.read
    assert {path.decode() for path in here.read}.isdisjoint(kept - {f"{root}/{LAST}"})
    assert report.embedded == COUNT - len(kept) + 1
    run(root, tmp_path / "local", ray=False)
    assert_same(index, tmp_path / "local")
    sound(index)
