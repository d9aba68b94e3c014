"""Every backbone by its name: built with random weights, indexed, asked, equal to its own library's path."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from oracle import read_index
from PIL import Image
from torch import nn

from benchmarks.backbones import settle
from benchmarks.samples import originals
from simsearch import Index, find_similar, index_folder, list_backbones
from simsearch.engine.indexing import IndexingConfig
from simsearch.errors import ExtraMissing, ModelUnknown
from simsearch.models.backbone import recognise
from simsearch.models.choice import ModelChoice
from simsearch.models.registry import get_backbone
from simsearch.models.weights.checkpoint import read_checkpoint

ALL = {record.name: record for record in list_backbones() if record.architecture.startswith("torchvision:")}
# One of most families, the smallest there is.
QUICK = ("resnet18", "googlenet", "mobilenet_v3_small", "efficientnet_b0")
# One of every other family. All 78 are exported and compared by python -m benchmarks backbones, in an hour.
FAMILIES = (
    *("alexnet", "vgg11", "vgg16_bn", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "densenet121"),
    *("inception_v3", "mobilenet_v2", "mobilenet_v3_large", "mnasnet0_5", "shufflenet_v2_x0_5"),
    *("regnet_x_400mf", "regnet_y_400mf", "efficientnet_b3", "efficientnet_v2_s", "convnext_tiny"),
    *("vit_b_16", "swin_t", "swin_v2_t", "maxvit_t"),
)
PHOTOS = 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A few real photos, small enough that no JPEG is decoded at reduced scale; none of them is a JPEG."""
    place = tmp_path / "photos"
    place.mkdir()
    chosen = [
        path for path in originals() if path.stem in ("astronaut", "coffee", "chelsea", "flower", "rocket")
    ]
    assert len(chosen) == PHOTOS
    for path in chosen:
        with Image.open(path) as image:
            image.convert("RGB").save(place / f"{path.stem}.png")
    return place


@pytest.fixture
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs of gigabytes go with the test that made them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def torchvisions_own(name: str) -> tuple[nn.Module, Any]:
    """The network as torchvision builds it for its best weights, and their transforms."""
    best: Any = torchvision.models.get_model_weights(name).DEFAULT
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        options = {"aux_logits": True, "transform_input": True, "init_weights": False}
    if name.startswith("vit_"):
        options = {"image_size": best.meta["min_size"][0]}
    torch.manual_seed(7)
    return torchvision.models.get_model(name, weights=None, **options), best.transforms()


def headless(network: nn.Module) -> nn.Module:
    """Without its last linear layer, in the way the documents of torchvision show it: by the layer's name."""
    for name in ("fc", "classifier", "heads", "head"):
        last = getattr(network, name, None)
        if isinstance(last, nn.Linear):
            setattr(network, name, nn.Identity())
            return network
        if isinstance(last, nn.Sequential):
            last[-1] = nn.Identity()
            return network
    raise AssertionError("a head of another name")


def check(name: str, folder: Path, tmp_path: Path) -> None:
    """Index photos with random weights of `name`, compare with torchvision, ask with the same pixels."""
    network, transforms = torchvisions_own(name)
    paths = sorted(folder.iterdir())
    with torch.inference_mode():
        pictures = torch.stack([transforms(Image.open(path).convert("RGB")) for path in paths])
        settle(network, pictures)
        weights = tmp_path / "random.pth"
        torch.save(network.state_dict(), weights)
        expected = nn.functional.normalize(headless(network.eval())(pictures).float(), dim=1).numpy()
    found = recognise(read_checkpoint(weights))
    assert found is not None
    assert found.name == name
    del network

    notes: list[str] = []
    config = IndexingConfig(choice=ModelChoice(name, str(weights)), batch_size=4)
    report = index_folder(folder, tmp_path / "index", config, note=notes.append)
    assert (report.added, report.model) == (len(paths), name)
    assert notes == ([f"Preparing {name} for this machine (once)"] if ALL[name].runtime == "onnx" else [])
    truth = read_index(tmp_path / "index")
    assert truth.vectors.shape == (len(paths), ALL[name].dim)
    own = dict(zip((entry[0] for entry in truth.paths), truth.vectors, strict=True))
    for path, vector in zip(paths, expected, strict=True):
        assert float(own[str(path)] @ vector) >= 0.9999

    # Other bytes of the same pixels: random weights say nothing of what looks alike, only what is equal.
    with Image.open(paths[0]) as image:
        image.save(tmp_path / "again.png", compress_level=1)
    assert (tmp_path / "again.png").read_bytes() != paths[0].read_bytes()
    [result] = find_similar(tmp_path / "again.png", tmp_path / "index", k=1)
    assert (result.hits[0].path, result.hits[0].score) == (str(paths[0]), pytest.approx(1, abs=1e-4))
    shutil.rmtree(tmp_path)


@pytest.mark.usefixtures("own_caches")
@pytest.mark.parametrize("name", QUICK)
def test_the_smallest_of_a_family(name: str, folder: Path, tmp_path: Path) -> None:
    check(name, folder, tmp_path)


@pytest.mark.proof
@pytest.mark.usefixtures("own_caches")
@pytest.mark.parametrize("name", FAMILIES)
def test_one_of_every_family_of_torchvision(name: str, folder: Path, tmp_path: Path) -> None:
    check(name, folder, tmp_path)


def test_the_table_is_torchvisions_own() -> None:
    usable = set(torchvision.models.list_models(module=torchvision.models)) - {
        "squeezenet1_0",
        "squeezenet1_1",
    }
    assert set(ALL) == usable
    for name, record in ALL.items():
        best: Any = torchvision.models.get_model_weights(name).DEFAULT
        transforms = best.transforms()
        assert record.url == best.url
        assert record.source == f"torchvision, {best}"
        assert (record.resize, record.crop) == (transforms.resize_size[0], transforms.crop_size[0])
        assert record.interpolation == transforms.interpolation.value
        assert (record.mean, record.std) == (tuple(transforms.mean), tuple(transforms.std))
        assert record.megabytes == pytest.approx(best.meta["_file_size"] * 2**20 / 1e6, abs=0.06)
        assert ("NC" in record.licence) == ("SWAG" in best.name)


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "convnext_tiny", "swin_v2_t", "vit_b_16", "maxvit_t"])
def test_the_dimension_is_the_last_linear_layers(name: str) -> None:
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None)
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert ALL[name].dim == linears[-1].in_features


# timm


def timms_own(name: str, pictures: list[Image.Image]) -> tuple[nn.Module, NDArray[np.float32]]:
    import timm
    from timm.data import create_transform, resolve_data_config

    torch.manual_seed(3)
    network = timm.create_model(name, pretrained=False).eval()
    transform = create_transform(**resolve_data_config({}, model=network), is_training=False)
    batch = torch.stack([transform(picture) for picture in pictures])  # type: ignore[operator]
    settle(network, batch)
    with torch.inference_mode():
        logits_in = network.forward_head(network.forward_features(batch), pre_logits=True)  # type: ignore[operator]
        return network, nn.functional.normalize(logits_in.float(), dim=1).numpy()


@pytest.mark.usefixtures("own_caches")
@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "mobilenetv3_small_100"])
def test_a_network_of_timm(name: str, folder: Path, tmp_path: Path) -> None:
    paths = sorted(folder.iterdir())
    network, expected = timms_own(name, [Image.open(path).convert("RGB") for path in paths])
    torch.save(network.state_dict(), tmp_path / "random.pth")
    choice = ModelChoice(f"timm/{name}", str(tmp_path / "random.pth"))
    report = index_folder(folder, tmp_path / "index", IndexingConfig(choice=choice))
    assert (report.model, report.added) == (f"timm/{name}", PHOTOS)
    with Index.open(tmp_path / "index") as index:
        for photo in index.photos():
            row = [str(path) for path in paths].index(photo.paths[0])
            assert float(index.vectors([photo.id])[0] @ expected[row]) >= 0.9999


def test_names_that_timm_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnknown, match=r"timm has no model called 'resnet9x'\. Did you mean timm/"):
        get_backbone("timm/resnet9x")
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ExtraMissing, match=r'pip install "simsearch\[timm\]"'):
        get_backbone("timm/resnet18")


def test_a_network_with_two_heads_is_refused(folder: Path, tmp_path: Path) -> None:
    import timm

    name = "deit_tiny_distilled_patch16_224"
    torch.save(timm.create_model(name, pretrained=False).state_dict(), tmp_path / "two.pth")
    choice = ModelChoice(f"timm/{name}", str(tmp_path / "two.pth"))
    with pytest.raises(ModelUnknown, match="does not end in one linear classifier"):
        index_folder(folder, tmp_path / "index", IndexingConfig(choice=choice))
    assert not (tmp_path / "index").exists()


def test_an_export_that_fails_leaves_the_network_on_torch(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_caches: None
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no such operator")

    network, _ = torchvisions_own("resnet18")
    torch.save(network.state_dict(), tmp_path / "random.pth")
    monkeypatch.setattr("torch.onnx.export", refuse)
    config = IndexingConfig(choice=ModelChoice("resnet18", str(tmp_path / "random.pth")))
    notes: list[str] = []
    assert index_folder(folder, tmp_path / "index", config, note=notes.append).added == PHOTOS
    assert any("no such operator" in note and "It runs on torch here." in note for note in notes)
    # It is not tried again each time.
    notes.clear()
    assert find_similar(sorted(folder.iterdir())[0], tmp_path / "index", k=1)[0].hits
    (folder / "new.png").write_bytes(sorted(folder.iterdir())[0].read_bytes() + b"\0")
    assert index_folder((), tmp_path / "index", note=notes.append).embedded == 1
    assert notes == []
