"""A real S3 server for a session of tests, an unruly web server for each test, and a folder for spools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sources.ground import S3, Web, serving


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    pytest.importorskip("moto", reason="moto: the S3 server of the tests is not installed")
    server = S3(tmp_path_factory.mktemp("s3") / "requests.log")
    server.serve()
    yield server
    server.stop()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as server:
        yield server


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder
