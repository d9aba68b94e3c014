"""Servers that several tests ask."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import age, picture, simsearch

from server.ground import LITE0, Server, made, served


@pytest.fixture(scope="session")
def collection(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Real photos, and their index by a real network."""
    home = tmp_path_factory.mktemp("served")
    folder, index = home / "photos", home / "index"
    shutil.copytree(photos, folder)
    # What changed within two seconds of its scan is not believed to be unchanged.
    age(folder)
    done = simsearch("index", folder, "-i", index, "--model", LITE0, "-q")
    assert done.returncode == 0, done.stderr
    return folder, index


@pytest.fixture(scope="session")
def real(collection: tuple[Path, Path]) -> Iterator[Server]:
    """A server of those."""
    with served("-i", collection[1], "--rate", "0") as server:
        yield server


@pytest.fixture(scope="session")
def client(real: Server) -> Iterator[httpx.Client]:
    with real.client() as client:
        yield client


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of four pictures with made vectors: 0.jpg to 3.jpg in photos/ beside it."""
    home = tmp_path_factory.mktemp("small")
    (home / "photos").mkdir()
    for number in range(4):
        picture(number).save(home / "photos" / f"{number}.jpg", quality=92)
    return made(home / "photos", home / "index")
