"""Fixtures: real photos from installed packages, small made ones, and the command line as a child."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

REPO = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SIMSEARCH_SHARED", REPO.parent / "shared")).resolve()

# The same examples in each run, however slow the machine is; others by --hypothesis-profile=default.
settings.register_profile(
    "steady", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache and data folder of the tests' own, so that the user's are neither read nor filled."""
    home = tmp_path_factory.mktemp("home")
    names = {"XDG_CACHE_HOME": "cache", "XDG_DATA_HOME": "data"}
    before = {name: os.environ.get(name) for name in names}
    for name, folder in names.items():
        os.environ[name] = str(home / folder)
    for name in ("SIMSEARCH_INDEX", "SIMSEARCH_MODEL", "SIMSEARCH_WEIGHTS"):
        os.environ.pop(name, None)
    yield home
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session", autouse=True)
def heard_interrupts() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would every process that a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The named data sets; tests on them skip where they are not at hand."""
    if not (SHARED / "data").is_dir():
        pytest.skip("data: the named data sets are not beside this checkout")
    return SHARED / "data"


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    """A real ResNet-50 checkpoint in torchvision's layout."""
    path = SHARED / "weights" / "resnet50_folded_fp16.pth"
    if not path.is_file():
        pytest.skip("checkpoint: the ResNet-50 checkpoint is not beside this checkout")
    return path


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real photos from PyPI packages, with crops, re-encodings and resizes of them."""
    folder = tmp_path_factory.mktemp("samples") / "photos"
    subprocess.run([sys.executable, "-m", "benchmarks.samples", str(folder)], cwd=REPO, check=True)
    return folder


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Counts faults that were brought about, for the table of docs/reliability.md.

    `faults("index.db: a bit flipped", tried=20, told=14)`: `told` ended in an error that says what to do, the
    rest did no harm at all. A test that loses anything fails, so that what is counted was survived.
    """

    def count(what: str, *, tried: int, told: int = 0) -> None:
        command = f"pytest -m proof {request.node.nodeid}"
        line = {"what": what, "tried": tried, "told": told, "command": command}
        print(f"{what}: {tried} tried, {told} told, 0 lost")
        if "SIMSEARCH_FAULTS" in os.environ:
            with open(os.environ["SIMSEARCH_FAULTS"], "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    return count


def age(folder: Path, seconds: float = 100.0) -> None:
    """Make the files look older than the two seconds in which a file is not believed to be unchanged."""
    then = time.time() - seconds
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (then, then))


def picture(seed: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """A small picture of smooth colour fields, another one for each seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def small_pngs(folder: Path, numbers: range) -> Path:
    """Photos in a folder that are quick to read: another picture for each number, none of them young."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        picture(number, (48, 40)).save(folder / f"{number:05d}.png", compress_level=1)
    age(folder)
    return folder


@pytest.fixture
def small_photos(tmp_path: Path) -> Callable[[int], Path]:
    """Makes a folder of n small distinct JPEGs in two subfolders."""

    def make(n: int, name: str = "photos") -> Path:
        folder = tmp_path / name
        for i in range(n):
            place = folder / ("a" if i % 2 else "b")
            place.mkdir(parents=True, exist_ok=True)
            picture(i).save(place / f"{i:04d}.jpg", quality=92)
        age(folder)
        return folder

    return make


def simsearch(
    *args: str | os.PathLike[str], cwd: Path | None = None, input: bytes | None = None, **env: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line as a user would, in a process of its own."""
    command = [sys.executable, "-m", "simsearch", *map(os.fspath, args)]
    return subprocess.run(
        command,
        cwd=cwd,
        input=input,
        capture_output=True,
        env={**os.environ, **env},
        timeout=900,
        check=False,
    )
