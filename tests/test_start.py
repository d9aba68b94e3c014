"""What a start loads: no torch for help, for an indexed picture, or for a new one with a prepared network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import age, picture, simsearch

HEAVY = {"torch", "torchvision", "faiss", "streamlit", "onnxruntime", "onnx", "cv2", "pdqhash", "send2trash"}

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
    assert not names & (HEAVY | {"sqlalchemy"})


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import simsearch, sys; print(*sorted(n for n in sys.modules if '.' not in n))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & (HEAVY | {"sqlalchemy", "numpy"})


@pytest.mark.parametrize("command", ["dedup", "leaks", "compare", "undo", "purge", "verdicts"])
def test_the_help_of_a_command_on_copies_loads_nothing_heavy(command: str) -> None:
    status, names = loaded(command, "--help")
    assert status == "0"
    assert not names & (HEAVY | {"sqlalchemy", "numpy"})


def test_copies_by_bytes_and_pixels_load_no_network_and_no_opencv(indexed: tuple[Path, Path]) -> None:
    status, names = loaded("dedup", "--exact", "-i", str(indexed[1]))
    assert status == "0"
    assert "faiss" in names
    assert not names & (HEAVY - {"faiss"})


def test_comparing_two_files_loads_no_network(indexed: tuple[Path, Path]) -> None:
    first, second = sorted(map(str, indexed[0].iterdir()))[:2]
    status, names = loaded("compare", first, second)
    assert status == "0"
    assert "cv2" in names
    assert not names & {"torch", "torchvision", "onnx", "onnxruntime", "streamlit", "send2trash"}


def test_a_query_by_an_indexed_path_loads_no_network(indexed: tuple[Path, Path]) -> None:
    photos, index = indexed
    status, names = loaded("query", str(min(photos.iterdir())), "-i", str(index))
    assert status == "0"
    assert "faiss" in names
    assert not names & {"torch", "torchvision", "onnx", "onnxruntime", "cv2", "pdqhash"}


def test_a_query_of_a_new_picture_with_a_prepared_network_loads_no_torch(
    indexed: tuple[Path, Path], tmp_path: Path
) -> None:
    _, index = indexed
    picture(77).save(tmp_path / "new.jpg")
    status, names = loaded("query", str(tmp_path / "new.jpg"), "-i", str(index))
    assert status == "0"
    assert "onnxruntime" in names
    assert not names & {"torch", "torchvision", "onnx", "streamlit"}
