"""Embeddings against torchvision's own network and transforms, and the runtimes against each other."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torchvision
from PIL import Image

from simsearch.errors import (
    DeviceUnavailable,
    FormatUnknown,
    ModelUnknown,
    PhotoUnreadable,
    SimsearchError,
    WeightsMissing,
    WeightsRefused,
)
from simsearch.framing import frame
from simsearch.models import choice as choice_module
from simsearch.models import embedder as embedder_module
from simsearch.models import runners
from simsearch.models.backbone import build_network
from simsearch.models.choice import ModelChoice, resolve
from simsearch.models.embedder import Embedder
from simsearch.models.labels.measuring import Runner
from simsearch.models.onnx_graph import graph_path, keep_graph, read_graph, store_graph
from simsearch.models.registry import get_backbone, list_backbones
from simsearch.models.runners import TorchRunner, available_threads, pick_device
from simsearch.models.weights.files import usual_place

TRANSFORMS = torchvision.models.ResNet50_Weights.IMAGENET1K_V2.transforms()
SIZES = [(300, 200), (200, 300), (640, 480), (97, 301), (224, 224)]


def painting(seed: int, size: tuple[int, int]) -> Image.Image:
    """Colour fields with fine grain: another picture for each seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
    grain = rng.integers(-20, 21, smooth.shape, dtype=np.int16)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


PAINTINGS = [painting(seed, size) for seed, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def eager() -> torch.nn.Module:
    """torchvision's ResNet-50 with its fc replaced; random, with BatchNorms that are not trivial."""
    torch.manual_seed(7)
    network = torchvision.models.resnet50(weights=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0.0, 0.1)
    network.fc = torch.nn.Identity()
    return network.eval()


@pytest.fixture(scope="module")
def weights(eager: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(eager.state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def reference(eager: torch.nn.Module) -> Any:
    """What torchvision's transforms and network make of PAINTINGS, divided by the length."""
    with torch.inference_mode():
        vectors = eager(torch.stack([TRANSFORMS(image) for image in PAINTINGS])).numpy()
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def by_onnx(weights: str) -> Embedder:
    """The one export of ResNet-50 of this module."""
    return Embedder("resnet50", weights=weights, device="cpu", note=lambda line: None)


@pytest.fixture(scope="module")
def by_torch(weights: str) -> Embedder:
    return Embedder("resnet50", weights=weights, device="cpu", runtime="torch")


def python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=600, check=False
    )


EMBED_IN_A_CHILD = """
import sys
import numpy as np
from simsearch.models.embedder import Embedder
embedder = Embedder("efficientnet_lite0", device="cpu")
vectors = embedder.embed(np.full((1, 224, 224, 3), 90, dtype=np.uint8))
heavy = {"torch", "torchvision", "onnx", "onnxscript", "efficientnet_lite_pytorch"}
print(vectors.shape, sorted(heavy & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def lite_export() -> subprocess.CompletedProcess[str]:
    """An export of EfficientNet-Lite0 by a child, whatever other tests have left in their common cache."""
    for graph in Path(os.environ["XDG_CACHE_HOME"], "simsearch", "graphs").glob("*.onnx"):
        graph.unlink()
    return python(EMBED_IN_A_CHILD)


@pytest.fixture(scope="module")
def lite(lite_export: subprocess.CompletedProcess[str]) -> Embedder:
    return Embedder("efficientnet_lite0", device="cpu")


def test_resnet50s_record_is_torchvisions() -> None:
    record = get_backbone("resnet50")
    enum = torchvision.models.ResNet50_Weights.IMAGENET1K_V2
    assert [record.resize] == TRANSFORMS.resize_size
    assert [record.crop] == TRANSFORMS.crop_size
    assert record.interpolation == TRANSFORMS.interpolation.value
    assert list(record.mean) == TRANSFORMS.mean
    assert list(record.std) == TRANSFORMS.std
    assert record.url == enum.url
    assert record.file == enum.url.rpartition("/")[2]
    assert record.file == f"resnet50-{record.sha256}.pth"
    assert record.megabytes == pytest.approx(enum.meta["_file_size"] * 1.048576, rel=0.01)


def test_the_small_models_have_the_crop_of_their_package() -> None:
    from efficientnet_lite_pytorch import EfficientNet

    for number in (0, 2):
        record = get_backbone(f"efficientnet_lite{number}")
        assert record.crop == EfficientNet.get_image_size(f"efficientnet-lite{number}")
        assert (record.mean, record.std) == ((0.5,) * 3, (0.5,) * 3)


def test_models_are_known_by_their_own_names() -> None:
    names = [record.name for record in list_backbones()]
    assert names[:3] == ["resnet50", "efficientnet_lite0", "efficientnet_lite2"]
    assert len(names) == len(set(names)) == 80
    with pytest.raises(ModelUnknown, match=r"'ResNet-50'\. Did you mean resnet50\? .*simsearch models"):
        get_backbone("ResNet-50")
    with pytest.raises(ModelUnknown, match="squeezenet1_0 has no linear classifier"):
        get_backbone("squeezenet1_0")


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_pictures_become_torchvisions_vectors(runtime: str, reference: Any, request: Any) -> None:
    embedder: Embedder = request.getfixturevalue(f"by_{runtime}")
    vectors = embedder.embed(PAINTINGS)
    assert (embedder.runtime, embedder.device) == (runtime, "cpu")
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(PAINTINGS), 2048)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (vectors * reference).sum(1).min() >= 0.9999
    # Vectors of a random network lie close together; without their mean a wrong one would show.
    centred = [rows - reference.mean(0) for rows in (vectors, reference)]
    lengths = [np.linalg.norm(rows, axis=1) for rows in centred]
    assert ((centred[0] * centred[1]).sum(1) / (lengths[0] * lengths[1])).min() >= 0.9999


def test_onnx_and_torch_agree(by_onnx: Embedder, by_torch: Embedder) -> None:
    assert (by_onnx.embed(PAINTINGS) * by_torch.embed(PAINTINGS)).sum(1).min() >= 0.9999
    assert by_onnx.spec == by_torch.spec


def test_framed_pixels_arrays_and_pictures_are_one(by_onnx: Embedder) -> None:
    framed = np.stack([frame(image, by_onnx.spec.framing) for image in PAINTINGS])
    expected = by_onnx.embed(framed)
    assert np.array_equal(by_onnx.embed(PAINTINGS), expected)
    assert np.array_equal(by_onnx.embed([np.asarray(image) for image in PAINTINGS]), expected)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_pixels_that_are_read_only_or_strided_are_taken(runtime: str, request: Any) -> None:
    embedder: Embedder = request.getfixturevalue(f"by_{runtime}")
    pixels = np.stack([frame(image, embedder.spec.framing) for image in PAINTINGS[:3]])
    expected = embedder.embed(pixels[::2])
    pixels.flags.writeable = False
    assert (embedder.embed(pixels)[[0, 2]] * expected).sum(1).min() >= 0.99999


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_the_size_of_a_batch_does_not_matter(runtime: str, request: Any) -> None:
    embedder: Embedder = request.getfixturevalue(f"by_{runtime}")
    whole = embedder.embed(PAINTINGS)
    for size in (1, 2, 3):
        parts = [embedder.embed(PAINTINGS[i : i + size]) for i in range(0, len(PAINTINGS), size)]
        assert (np.concatenate(parts) * whole).sum(1).min() >= 0.99999


def test_many_pictures_keep_their_order(lite: Embedder) -> None:
    shades = [Image.new("RGB", (8, 8), (value, 255 - value, 40)) for value in range(0, 140, 2)]
    vectors = lite.embed(shades)
    assert len(vectors) == 70
    alone = np.concatenate([lite.embed([shades[i]]) for i in (0, 63, 64, 69)])
    assert (vectors[[0, 63, 64, 69]] * alone).sum(1).min() >= 0.99999


@pytest.mark.parametrize("pooling", ["max", "gem"])
def test_other_poolings_of_the_last_feature_map(pooling: str, eager: torch.nn.Module, weights: str) -> None:
    pixels = torch.stack([TRANSFORMS(image) for image in PAINTINGS[:2]])
    maps = torch.nn.Sequential(*list(eager.children())[:-2])
    with torch.inference_mode():
        flat = maps(pixels).flatten(2).double()
    # GeM is the mean of third powers, then the cube root.
    pooled = flat.amax(2) if pooling == "max" else (flat**3).mean(2) ** (1 / 3)
    expected = torch.nn.functional.normalize(pooled, dim=1).numpy()
    embedder = Embedder("resnet50", weights=weights, pooling=pooling, device="cpu", runtime="torch")
    assert embedder.spec.pooling == pooling
    assert (embedder.embed(PAINTINGS[:2]) * expected).sum(1).min() >= 0.9999


@pytest.mark.parametrize("number", [0, 2])
def test_the_small_models_are_their_packages_networks(number: int) -> None:
    from efficientnet_lite_pytorch import EfficientNet

    record = get_backbone(f"efficientnet_lite{number}")
    own = EfficientNet.from_name(f"efficientnet-lite{number}").eval()
    own.load_state_dict(torch.load(str(usual_place(record)), weights_only=True))
    embedder = Embedder(record.name, device="cpu", runtime="torch")
    pixels = np.stack([frame(image, embedder.spec.framing) for image in PAINTINGS[:2]])
    scaled = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(own.extract_features(scaled).mean((2, 3)), dim=1).numpy()
    assert (embedder.embed(pixels) * expected).sum(1).min() >= 0.9999


def test_the_small_model_by_onnx_equals_torch(lite: Embedder) -> None:
    by_torch = Embedder("efficientnet_lite0", device="cpu", runtime="torch")
    assert (lite.embed(PAINTINGS) * by_torch.embed(PAINTINGS)).sum(1).min() >= 0.9999


def test_an_export_says_one_line_and_prints_nothing(lite_export: subprocess.CompletedProcess[str]) -> None:
    assert lite_export.returncode == 0
    assert lite_export.stderr == "Preparing efficientnet_lite0 for this machine (once)\n"
    assert lite_export.stdout.startswith("(1, 1280) ")
    assert lite_export.stdout.count("\n") == 1


def test_a_cached_graph_needs_neither_torch_nor_onnx(lite: Embedder) -> None:
    again = python(EMBED_IN_A_CHILD)
    assert (again.returncode, again.stdout, again.stderr) == (0, "(1, 1280) []\n", "")
    graph_only = python(
        "import sys\n"
        "import numpy as np\n"
        "from simsearch.models.embedder import Embedder\n"
        "from simsearch.spec import EmbeddingSpec\n"
        "embedder = Embedder.for_spec(EmbeddingSpec.from_json(sys.argv[1]), None, device='cpu')\n"
        "print(embedder.embed(np.zeros((3, 224, 224, 3), dtype=np.uint8)).shape, 'torch' in sys.modules)",
        lite.spec.to_json(),
    )
    assert (graph_only.stdout, graph_only.stderr) == ("(3, 1280) False\n", "")


def test_onnxruntime_reports_nothing_to_its_maker(lite: Embedder, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from simsearch.models.runners import OnnxRunner\n"
        "OnnxRunner(Path(sys.argv[1]).read_bytes(), 1, 1280)\n"
    )
    # A device id in the user's cache is the first thing that its reporting leaves behind.
    quiet = ("CI", "ORT_DISABLE_TELEMETRY")
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run(
        [sys.executable, "-c", code, str(graph_path(lite.spec))], env=environment, timeout=600, check=True
    )
    assert list(tmp_path.rglob("*")) == []


def test_a_sealed_graph_is_still_plain_onnx(lite: Embedder) -> None:
    graph = graph_path(lite.spec).read_bytes()
    model = onnx.load_from_string(graph)
    onnx.checker.check_model(model)
    assert [entry.key for entry in model.metadata_props][-1] == "sha256"


def test_a_damaged_graph_is_noticed_and_made_again(lite: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = graph_path(lite.spec)
    whole = path.read_bytes()
    monkeypatch.setattr(embedder_module, "export", lambda network, spec: whole)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (whole[: len(whole) // 2], whole[:-1], bytes(flipped), b""):
        path.write_bytes(damaged)
        notes: list[str] = []
        again = Embedder.for_spec(lite.spec, lite.weights_path, device="cpu", note=notes.append)
        assert (again.embed(PAINTINGS) * lite.embed(PAINTINGS)).sum(1).min() >= 0.9999
        assert "is damaged; it is made again" in notes[0]
        assert path.read_bytes() == whole


def test_a_damaged_graph_without_weights_is_an_error(lite: Embedder, tmp_path: Path) -> None:
    unknown = replace(lite.spec, weights_sha256="ab" * 32)
    path = graph_path(unknown)
    path.write_bytes(b"half a graph")
    embedder = Embedder.for_spec(unknown, str(tmp_path / "moved.pth"), device="cpu", note=lambda line: None)
    with pytest.raises(WeightsMissing, match=rf"(?s){'ab' * 32}.*moved\.pth.*--weights FILE"):
        embedder.embed(PAINTINGS)
    path.unlink()


def test_a_graph_that_onnxruntime_refuses_is_made_again(
    lite: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = graph_path(lite.spec)
    whole = path.read_bytes()
    model = onnx.load_from_string(whole)
    model.ir_version = 999
    monkeypatch.setattr(embedder_module, "read_graph", lambda path, spec: model.SerializeToString())
    monkeypatch.setattr(embedder_module, "export", lambda network, spec: whole)
    again = Embedder.for_spec(lite.spec, lite.weights_path, device="cpu", note=lambda line: None)
    assert again.embed(PAINTINGS).shape == (len(PAINTINGS), 1280)


def test_processes_that_store_one_graph_at_once_end_well(lite: Embedder, tmp_path: Path) -> None:
    source, target = graph_path(lite.spec), tmp_path / "graphs" / "shared.onnx"
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from simsearch.models.onnx_graph import read_graph, store_graph\n"
        "from simsearch.spec import EmbeddingSpec\n"
        "spec = EmbeddingSpec.from_json(sys.argv[3])\n"
        "graph, target = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])\n"
        "for _ in range(10):\n"
        "    store_graph(graph, target)\n"
        "    assert read_graph(target, spec) == graph\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(source), str(target), lite.spec.to_json()],
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for child in children:
        _, errors = child.communicate(timeout=600)
        assert (child.returncode, errors) == (0, b"")
    assert os.listdir(target.parent) == ["shared.onnx"]
    assert read_graph(target, lite.spec) == source.read_bytes()


def test_a_cache_that_cannot_be_written_is_only_a_note(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    place = tmp_path / "file" / "graphs" / "a.onnx"
    with pytest.raises(OSError, match="Not a directory"):
        store_graph(b"graph", place)
    notes: list[str] = []
    keep_graph(b"graph", place, notes.append)
    assert len(notes) == 1
    assert "cannot be kept" in notes[0]


def test_what_cannot_be_embedded_is_refused(lite: Embedder, tmp_path: Path) -> None:
    refused: list[tuple[Any, str]] = [
        ([], "no picture"),
        (np.zeros((0, 224, 224, 3), dtype=np.uint8), "no picture"),
        (np.zeros((1, 224, 224, 3), dtype=np.float32), "float32"),
        (np.zeros((1, 224, 224, 4), dtype=np.uint8), "uint8 arrays"),
        (np.zeros((224, 224, 3), dtype=np.uint8), "into a list"),
        (PAINTINGS[0], "into a list"),
        (np.array(5), "into a list"),
        ("photo.jpg", "into a list"),
        (["photo.jpg"], "Picture 0 is str"),
        ([PAINTINGS[0], np.zeros((5, 5), dtype=np.uint8)], "Picture 1 is uint8"),
        ([np.zeros((0, 5, 3), dtype=np.uint8)], "Picture 0 is uint8"),
        ([Image.new("I;16", (9, 9))], "more than 8 bits"),
    ]
    for images, words in refused:
        with pytest.raises(SimsearchError, match=words):
            lite.embed(images)
    PAINTINGS[0].save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:3000])
    with Image.open(tmp_path / "cut.jpg") as cut, pytest.raises(PhotoUnreadable, match="Picture 1"):
        lite.embed([PAINTINGS[0], cut])
    with pytest.raises(PhotoUnreadable, match="no pixels"):
        lite.embed([Image.new("RGB", (0, 5))])


def test_pictures_are_turned_and_put_on_white(lite: Embedder, tmp_path: Path) -> None:
    image = PAINTINGS[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        assert np.array_equal(lite.embed([turned]), lite.embed([image.transpose(Image.Transpose.ROTATE_270)]))
    see_through = image.copy()
    see_through.putalpha(Image.new("L", image.size, 0))
    assert np.array_equal(lite.embed([see_through]), lite.embed([Image.new("RGB", image.size, "white")]))
    grey = image.convert("L")
    assert np.array_equal(lite.embed([grey]), lite.embed([Image.merge("RGB", [grey] * 3)]))


def test_a_vector_that_is_no_number_is_an_error(lite: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Runner):
        def _rows(self, pixels: Any) -> Any:
            vectors = np.eye(len(pixels), 1280, dtype=np.float32)
            vectors[1, 0] = math.nan
            return vectors

    monkeypatch.setattr(lite, "load", Broken)
    with pytest.raises(SimsearchError, match="vector of picture 1"):
        lite.embed(PAINTINGS)


class Narrow(torch.nn.Module):
    """A network whose device holds `room` pictures; a picture's vector is its first pixel."""

    def __init__(self, room: int, error: Callable[[], Exception]) -> None:
        super().__init__()
        self.room, self.error, self.sizes = room, error, list[int]()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(pixels))
        if len(pixels) > self.room:
            raise self.error()
        return pixels[:, 0, 0, :].float()


OUT_OF_MEMORY = [
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    lambda: RuntimeError("MPS backend out of memory"),
    lambda: RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    lambda: RuntimeError("GET was unable to find an engine to execute this computation"),
    lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_a_batch_that_does_not_fit_is_halved(error: Callable[[], Exception]) -> None:
    network = Narrow(3, error)
    runner = TorchRunner(network, "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (11, 4, 4, 3), dtype=np.uint8)
    assert np.array_equal(runner.run(pixels), pixels[:, 0, 0, :].astype(np.float32))
    assert network.sizes == [11, 5, 2, 2, 2, 2, 2, 1]
    network.sizes.clear()
    runner.run(pixels[:4])
    assert network.sizes == [2, 2]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_a_picture_that_does_not_fit_alone_is_an_error(error: Callable[[], Exception]) -> None:
    with pytest.raises(DeviceUnavailable, match="single picture does not fit"):
        TorchRunner(Narrow(0, error), "cpu").run(np.zeros((5, 4, 4, 3), dtype=np.uint8))


def test_a_picture_alone_is_tried_twice() -> None:
    """What a larger batch has left behind may be all that was in its way."""

    class Crowded(Narrow):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            self.room = max(self.room, int(self.sizes[-2:] == [2, 1]))
            return super().forward(pixels)

    network = Crowded(0, OUT_OF_MEMORY[0])
    pixels = np.full((1, 4, 4, 3), 7, dtype=np.uint8)
    runner = TorchRunner(network, "cpu")
    with pytest.raises(DeviceUnavailable, match="single picture does not fit"):
        runner.run(pixels)
    assert network.sizes == [1, 1]
    runner.limit = 2
    assert np.array_equal(runner.run(np.repeat(pixels, 2, axis=0)), [[7, 7, 7]] * 2)
    assert network.sizes[2:] == [2, 1, 1, 1]


def test_all_passes_of_a_runner_are_made_by_one_thread() -> None:
    """Torch keeps cuDNN's plans for each thread: a new one would make them again."""

    class Witness(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.threads = set[int]()

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            self.threads.add(threading.get_ident())
            return pixels[:, 0, 0, :].float()

    network = Witness()
    runner = TorchRunner(network, "cpu")
    for _ in range(3):
        with ThreadPoolExecutor(2) as callers:
            list(callers.map(runner.run, [np.zeros((2, 4, 4, 3), dtype=np.uint8)] * 4))
    assert len(network.threads) == 1


@pytest.mark.parametrize(
    ("count", "made", "limit", "size"),
    [
        (1, (), sys.maxsize, 1),
        (2, (), sys.maxsize, 8),
        (64, (), sys.maxsize, 64),
        (65, (), sys.maxsize, 65),
        (100, (64,), sys.maxsize, 100),
        # The last batch of a run goes as the others did, one picture does not go as a hundred.
        (13, (100,), sys.maxsize, 100),
        (12, (100,), sys.maxsize, 64),
        (1, (64,), sys.maxsize, 1),
        # Nothing is filled up past what fits into the memory.
        (33, (64,), 48, 33),
        (7, (64, 8), 32, 8),
    ],
)
def test_batches_on_a_card_are_filled_up(count: int, made: tuple[int, ...], limit: int, size: int) -> None:
    assert runners.filled_up(count, made, limit) == size


def test_numbers_past_float16_are_run_in_float32_on_a_card() -> None:
    if not torch.cuda.is_available():
        pytest.skip("GPU: there is no graphics card here")

    class Large(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3)
            with torch.no_grad():
                self.conv.weight.abs_()

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.conv(pixels.permute(0, 3, 1, 2).float() * 1e5).mean((2, 3)).float()

    network = Large()
    pixels = np.random.default_rng(0).integers(1, 256, (8, 16, 16, 3), dtype=np.uint8)
    expected = TorchRunner(network, "cpu").run(pixels)
    assert expected.min() > 65504
    np.testing.assert_allclose(TorchRunner(network, "cuda:0").run(pixels), expected, rtol=5e-6)


def test_a_card_makes_its_plans_once(weights: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("GPU: there is no graphics card here")
    card = Embedder("efficientnet_lite0", device="cuda", runtime="torch")
    pixels = np.zeros((64, 224, 224, 3), dtype=np.uint8)
    card.embed(pixels)

    def seconds(count: int) -> float:
        started = time.monotonic()
        with ThreadPoolExecutor(1) as caller:
            caller.submit(card.embed, pixels[:count]).result()
        return time.monotonic() - started

    # Plans took 1.4 s on an H100, a pass of 64 pictures 10 ms.
    assert max(seconds(64), seconds(37), seconds(9)) < 0.4


def test_another_failure_of_a_device_is_said() -> None:
    network = Narrow(0, lambda: RuntimeError("CUDA error: no kernel image is available"))
    with pytest.raises(DeviceUnavailable, match=r"no kernel image is available\. Try --device cpu"):
        TorchRunner(network, "cpu").run(np.zeros((2, 4, 4, 3), dtype=np.uint8))


def test_a_real_card_agrees_with_the_cpu(by_torch: Embedder, weights: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("GPU: there is no graphics card here")
    card = Embedder("resnet50", weights=weights, device="cuda", runtime="torch")
    assert card.device == "cuda:0"
    vectors = card.embed(PAINTINGS)
    assert (vectors * by_torch.embed(PAINTINGS)).sum(1).min() >= 0.999
    runner = card.load()
    assert isinstance(runner, TorchRunner)
    torch.cuda.set_per_process_memory_fraction(0.02)
    try:
        pixels = np.zeros((4096, 224, 224, 3), dtype=np.uint8)
        assert runner.run(pixels).shape == (4096, 2048)
        assert runner.limit < 4096
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def silent(line: str) -> None:
    pytest.fail(f"nothing should be said: {line}")


def test_the_device_without_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "_cards", lambda: 0)
    monkeypatch.setattr(sys, "platform", "linux")
    assert pick_device("auto", silent) == "cpu"
    assert pick_device("cpu", silent) == "cpu"
    for wanted in ("cuda", "cuda:1"):
        with pytest.raises(DeviceUnavailable, match=rf"device {wanted} was asked for.* 0 graphics cards"):
            pick_device(wanted, silent)
    for wanted in ("gpu", "cuda:x", "mps:1", ""):
        with pytest.raises(DeviceUnavailable, match="use auto, cpu, cuda, cuda:N or mps"):
            pick_device(wanted, silent)


def test_the_device_with_two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "_cards", lambda: 2)
    monkeypatch.setattr(runners, "_torch_reason", lambda kind, index: None)
    monkeypatch.setattr(sys, "platform", "linux")
    assert pick_device("auto", silent) == "cuda:0"
    assert pick_device("cuda", silent) == "cuda:0"
    assert pick_device("cuda:1", silent) == "cuda:1"
    with pytest.raises(DeviceUnavailable, match="cuda:2"):
        pick_device("cuda:2", silent)


def test_a_card_that_torch_cannot_use_is_never_passed_over_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runners, "_cards", lambda: 1)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(sys, "platform", "linux")
    notes: list[str] = []
    assert pick_device("auto", notes.append) == "cpu"
    assert len(notes) == 1
    assert "built without CUDA" in notes[0]
    with pytest.raises(DeviceUnavailable, match="built without CUDA"):
        pick_device("cuda", silent)


def test_looking_for_a_card_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from simsearch.models import runners\n"
        "runners._cards()\n"
        "runners.pick_device('cpu', print)\n"
        "runners.available_threads()\n"
        "print('torch' in sys.modules, 'onnxruntime' in sys.modules)"
    )
    assert python(code).stdout == "False False\n"


def test_unknown_runtimes_and_poolings() -> None:
    with pytest.raises(DeviceUnavailable, match="auto, onnx, torch"):
        Embedder("efficientnet_lite0", runtime="tensorrt")
    with pytest.raises(DeviceUnavailable, match="onnx runs on the CPU, not on cuda"):
        Embedder("efficientnet_lite0", runtime="onnx", device="cuda")
    with pytest.raises(ModelUnknown, match="avg, max, gem"):
        Embedder("efficientnet_lite0", pooling="median")


def test_threads_are_those_of_the_affinity_and_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    monkeypatch.setattr(runners, "_cgroup_quota", lambda root: math.inf)
    assert available_threads() == 16
    for quota, threads in ((2.0, 2), (2.5, 3), (0.1, 1), (99.0, 16)):
        monkeypatch.setattr(runners, "_cgroup_quota", lambda root, quota=quota: quota)
        assert available_threads() == threads


def test_the_quota_of_a_control_group(tmp_path: Path) -> None:
    assert runners._cgroup_quota(tmp_path) == math.inf
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert runners._cgroup_quota(tmp_path) == math.inf
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    assert runners._cgroup_quota(tmp_path) == 2.5
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("150000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert runners._cgroup_quota(tmp_path) == 1.5
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert runners._cgroup_quota(tmp_path) == 2.5


def test_gaps_are_filled_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = ModelChoice.from_environment
    assert choice(device="cpu") == ModelChoice(device="cpu")
    monkeypatch.setenv("SIMSEARCH_WEIGHTS", "/w.pth")
    assert choice() == ModelChoice("auto", "/w.pth")
    assert choice("efficientnet_lite0") == ModelChoice("efficientnet_lite0")
    monkeypatch.setenv("SIMSEARCH_MODEL", "efficientnet_lite2")
    assert choice() == ModelChoice("efficientnet_lite2", "/w.pth")
    assert choice(weights="/mine.pth").weights == "/mine.pth"
    assert choice("resnet50") == ModelChoice("resnet50")


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights in the cache, and a server that is not there."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    gone = replace(get_backbone("resnet50"), url="http://127.0.0.1:9/resnet50-11ad3fa6.pth")
    monkeypatch.setattr(
        choice_module, "get_backbone", lambda name: gone if name == "resnet50" else get_backbone(name)
    )


@pytest.mark.usefixtures("offline")
def test_auto_falls_back_with_one_plain_line() -> None:
    notes: list[str] = []
    resolved = resolve(ModelChoice(), note=notes.append)
    assert resolved.spec.backbone == "efficientnet_lite2"
    assert resolved.fallback == notes[-1]
    assert "\n" not in notes[-1]
    for words in ("resnet50", "refused", "efficientnet_lite2 is used instead", "--weights FILE"):
        assert words in notes[-1]


@pytest.mark.usefixtures("offline")
def test_a_model_by_name_is_never_replaced() -> None:
    with pytest.raises(WeightsMissing, match=r"--weights FILE .*, or use --model efficientnet_lite2"):
        resolve(ModelChoice("resnet50"), note=lambda line: None)


@pytest.mark.usefixtures("offline")
def test_weights_that_are_given_are_resnet50s(weights: str) -> None:
    resolved = resolve(ModelChoice(weights=weights), note=silent)
    assert (resolved.spec.backbone, resolved.weights_path, resolved.fallback) == ("resnet50", weights, None)
    with pytest.raises(WeightsMissing, match=r"no weights file .*absent\.pth"):
        resolve(ModelChoice(weights="absent.pth"), note=silent)


def test_weights_are_checked_without_preparing_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    embedder = Embedder("efficientnet_lite0", note=silent)
    embedder.check_weights()
    assert not graph_path(embedder.spec).exists()
    with pytest.raises(WeightsRefused):
        Embedder.for_spec(replace(embedder.spec, backbone="resnet50"), embedder.weights_path).check_weights()


def test_vectors_of_another_arithmetic_are_refused(lite: Embedder) -> None:
    with pytest.raises(FormatUnknown, match="int8"):
        Embedder.for_spec(replace(lite.spec, precision="int8"), None)


def test_the_network_that_is_built_carries_its_preprocessing(weights: str, reference: Any) -> None:
    spec = get_backbone("resnet50").spec("0" * 64)
    network = build_network(spec, Path(weights))
    pixels = torch.from_numpy(np.stack([frame(image, spec.framing) for image in PAINTINGS]))
    with torch.inference_mode():
        assert (network(pixels).numpy() * reference).sum(1).min() >= 0.9999
    assert not network.training
