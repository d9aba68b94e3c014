"""What a start loads: no torch for help, for an indexed picture, or for a new one with a prepared network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import age, picture, simsearch

WRAPPER = """
import sys
from simsearch.cli import main
sys.argv = ["simsearch", *sys.argv[1:]]
try:
    code = main()
except SystemExit as end:
    code = end.code
print(code or 0, *sorted(n for n in sys.modules if "." not in n), file=sys.stderr)
"""


def loaded(*args: str) -> tuple[str, set[str]]:
    """Exit status of a command, and the top-level modules that it loaded."""
    done = subprocess.run([sys.executable, "-c", WRAPPER, *args], capture_output=True, text=True, check=False)
    status, *names = done.stderr.splitlines()[-1].split()
    return status, set(names)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("start")
    shutil.copytree(photos / "half-size", folder / "photos")
    age(folder / "photos")
    done = simsearch(
        "index", folder / "photos", "-i", folder / "index", "--model", "efficientnet_lite0", "-q"
    )
    assert done.returncode == 0, done.stderr
    return folder / "photos", folder / "index"


def test_help_loads_nothing_heavy() -> None:
    status, names = loaded("--help")
    assert status == "0"
    assert not names & {"torch", "torchvision", "faiss", "streamlit", "onnxruntime", "sqlalchemy"}


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import simsearch, sys; print(*sorted(n for n in sys.modules if '.' not in n))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "torchvision", "faiss", "streamlit", "onnxruntime", "sqlalchemy", "numpy"}
    assert not set(done.stdout.split()) & heavy


def test_a_query_by_an_indexed_path_loads_no_network(indexed: tuple[Path, Path]) -> None:
    photos, index = indexed
    status, names = loaded("query", str(min(photos.iterdir())), "-i", str(index))
    assert status == "0"
    assert "faiss" in names
    assert not names & {"torch", "torchvision", "onnx", "onnxruntime"}


def test_a_query_of_a_new_picture_with_a_prepared_network_loads_no_torch(
    indexed: tuple[Path, Path], tmp_path: Path
) -> None:
    _, index = indexed
    picture(77).save(tmp_path / "new.jpg")
    status, names = loaded("query", str(tmp_path / "new.jpg"), "-i", str(index))
    assert status == "0"
    assert "onnxruntime" in names
    assert not names & {"torch", "torchvision", "onnx", "streamlit"}
