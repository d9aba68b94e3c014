"""int8: its arithmetic against NumPy, its ranges, and indexes that are made and searched in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torchvision
from conftest import simsearch
from numpy.typing import NDArray

from simsearch.engine.calibration.sample import ENOUGH, sample_photos
from simsearch.engine.exchange.export import export
from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin
from simsearch.engine.index import Index
from simsearch.engine.indexing import IndexingConfig, index_folder
from simsearch.engine.search import Searcher
from simsearch.errors import DeviceUnavailable, FormatUnknown, IndexMismatch, SimsearchError
from simsearch.media.formats import MAX_PIXELS
from simsearch.media.scan import ScanRules
from simsearch.models.choice import ModelChoice
from simsearch.models.embedder import Embedder
from simsearch.models.onnx_graph import graph_path, read_graph
from simsearch.models.precision import calibrate, kinds, processor
from simsearch.models.precision.quantise import Watched, quantised
from simsearch.models.precision.ranges import Histogram, Ranges
from simsearch.models.runners import open_graph
from simsearch.paths import DATABASE
from simsearch.spec import EmbeddingSpec

LITE = "efficientnet_lite0"
needs_vnni = pytest.mark.skipif(
    not processor.multiplies_bytes(), reason="processor: int8 indexes are made with VNNI only"
)


def silent(_: str) -> None:
    pass


# Ranges


@pytest.mark.parametrize("percent", [100.0, 99.9, 99.0, 75.0])
def test_a_range_leaves_out_no_more_than_it_may(percent: float) -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(size=5000), rng.normal(size=10) * 40]).astype(np.float16)
    histogram = Histogram()
    for part in np.array_split(values.astype(np.float32), 7):
        histogram.add(part)
    low, high = histogram.range(percent)
    ordered = np.sort(values.astype(np.float64))
    left_out = int(len(ordered) * (100.0 - percent) / 100.0)
    assert (low, high) == (ordered[left_out], ordered[-1 - left_out])


def test_zero_lies_in_every_range() -> None:
    positive, silent_layer = Histogram(), Histogram()
    positive.add(np.asarray([3.0, 4.0, 5.0], dtype=np.float32))
    silent_layer.add(np.zeros(9, dtype=np.float32))
    assert positive.range(100.0) == (0.0, 5.0)
    assert silent_layer.range(100.0) == (0.0, 1.0)


def test_ranges_are_kept_to_the_last_bit_in_the_precision() -> None:
    ranges = Ranges(((-2.5, 3.25, 0.0, 6.0), (0.0, 0.0999755859375, -65504.0, 1.0)))
    assert ranges.precision == "int8:00c18042000000460000662efffb003c"
    assert Ranges.of_precision(ranges.precision) == ranges


@pytest.mark.parametrize(
    "precision",
    [
        "int8",
        "int8:",
        "int4:00c1804200000046",
        "int8:00c180420000004",
        "int8:00C1804200000046",
        "int8:00c1804200000046\n",
        "int8:00c180420000007c",  # infinite
        "int8:00c1804200000000",  # empty
        "int8:003c804200000046",  # without zero
        "int8:" + "00c1804200000046" * 10001,
    ],
)
def test_a_precision_that_is_none_is_refused(precision: str) -> None:
    spec = EmbeddingSpec.named("x", 4)
    with pytest.raises(FormatUnknown, match="unknown to this version") as caught:
        Embedder.for_spec(replace(spec, precision=precision), None)
    assert len(str(caught.value)) < 200


def test_the_id_of_a_float_spec_is_what_it_was() -> None:
    spec = EmbeddingSpec(
        *("resnet50", "ab" * 32, 2048, "avg", 232, 224, "bilinear"), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    )
    assert spec.id == "169a35c37f0974ffaaf9a2d092659182360b0c4875c72a45386892c3e89e7d4a"
    assert spec.arithmetic == "float32"
    fitted = replace(spec, precision="int8:00c1804200000046")
    assert fitted.arithmetic == "int8"
    assert (spec.title, fitted.title) == ("resnet50", "resnet50 in int8")
    assert fitted.id != spec.id
    assert EmbeddingSpec.from_json(fitted.to_json()) == fitted


# The graph


def small_network() -> bytes:
    """conv1 (3 -> 8 channels) - ReLU - conv2 (8 -> 4); y is the output of conv2."""
    rng = np.random.default_rng(2)
    values = {
        "conv1.weight": rng.normal(size=(8, 3, 1, 1)).astype(np.float32),
        "conv1.bias": rng.normal(size=8).astype(np.float32),
        "conv2.weight": rng.normal(size=(4, 8, 1, 1)).astype(np.float32),
        "conv2.bias": rng.normal(size=4).astype(np.float32),
    }
    make = onnx.helper.make_node
    nodes = [
        make("Conv", ["x", "conv1.weight", "conv1.bias"], ["a"]),
        make("Relu", ["a"], ["b"]),
        make("Conv", ["b", "conv2.weight", "conv2.bias"], ["c"]),
        make("Identity", ["c"], ["y"]),
    ]
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "small",
        [info("x", onnx.TensorProto.FLOAT, [1, 3, 5, 5])],
        [info("y", onnx.TensorProto.FLOAT, [1, 4, 5, 5])],
        [onnx.numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def in_steps(values: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """Rounded to 255 equal steps between low and high, zero being one of the edges."""
    step = np.float32((high - low) / 255)
    zero = round(-low / float(step))
    rounded: NDArray[Any] = (np.clip(np.rint(values / step) + zero, 0, 255) - zero) * step
    return rounded


def test_the_arithmetic_is_that_of_numpy() -> None:
    graph = small_network()
    values = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load_from_string(graph).graph.initializer}
    ranges = Ranges(((-2.0, 2.0, 0.0, 4.0), (0.0, 4.0, -8.0, 8.0)))
    x = np.random.default_rng(3).normal(size=(1, 3, 5, 5)).astype(np.float32)
    current = x.astype(np.float64)
    for name, (low, high, lowest, highest) in zip(("conv1", "conv2"), ranges.layers, strict=True):
        weights = values[f"{name}.weight"][:, :, 0, 0].astype(np.float64)
        scales = np.abs(weights).max(axis=1, keepdims=True) / 127
        weights = np.rint(weights / scales) * scales
        current = in_steps(current, low, high)
        current = np.einsum("oi,nihw->nohw", weights, current) + values[f"{name}.bias"][None, :, None, None]
        current = in_steps(np.maximum(current, 0) if name == "conv1" else current, lowest, highest)
    for as_written in (True, False):
        (found,) = open_graph(quantised(graph, ranges), 1, as_written=as_written).run(None, {"x": x})
        # A sum that lies between two steps may fall to either side.
        assert np.abs(found - current).max() <= 2 * 16 / 255
        assert np.abs(found - current).mean() <= 0.2 * 16 / 255


def test_what_is_watched_is_what_passes() -> None:
    graph = small_network()
    watched = Watched(graph)
    assert watched.tensors == ["x", "b", "c"]
    x = np.random.default_rng(4).normal(size=(1, 3, 5, 5)).astype(np.float32)
    values = open_graph(watched.graph, 1).run(watched.tensors, {"x": x})
    counted = {name: Histogram() for name in watched.tensors}
    for name, value in zip(watched.tensors, values, strict=True):
        counted[name].add(value)
    first, second = watched.ranges(counted, 100.0).layers
    assert first[:2] == (float(x.min().astype(np.float16)), float(x.max().astype(np.float16)))
    assert first[2:] == second[:2]
    assert first[2] == 0.0


def test_ranges_of_another_network_are_refused() -> None:
    with pytest.raises(SimsearchError, match="of 1 convolutions, and this network has 2"):
        quantised(small_network(), Ranges(((-2.0, 2.0, 0.0, 4.0),)))


def test_a_network_without_convolutions_is_refused() -> None:
    model = onnx.load_from_string(small_network())
    for node in model.graph.node[:3]:
        node.op_type = "Add"
    with pytest.raises(SimsearchError, match="no convolution"):
        Watched(bytes(model.SerializeToString()))


# The sample


def test_the_sample_is_even_and_the_same_each_time(photos: Path) -> None:
    spec = Embedder(LITE, device="cpu").spec
    paths = [os.fsencode(photos)]
    first, second = (sample_photos(paths, spec.framing, ScanRules(), MAX_PIXELS) for _ in range(2))
    assert first.shape == (ENOUGH, spec.crop, spec.crop, 3)
    assert np.array_equal(first, second)
    assert len(np.unique(first.reshape(ENOUGH, -1), axis=0)) == ENOUGH


# Indexes


@dataclass(frozen=True)
class Made:
    """An int8 index, the float32 one of the same photos, and the spec of each."""

    quick: Path
    plain: Path
    specs: tuple[EmbeddingSpec, EmbeddingSpec]
    photos: Path


@pytest.fixture(scope="module")
def made(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    if not processor.multiplies_bytes():
        pytest.skip("processor: int8 indexes are made with VNNI only")
    work = tmp_path_factory.mktemp("precision")
    specs = []
    for name, precision in (("quick", "int8"), ("plain", None)):
        config = IndexingConfig(choice=ModelChoice(LITE, device="cpu", precision=precision))
        index_folder(photos, work / name, config, note=silent)
        with Index.open(work / name) as index:
            specs.append(index.spec)
    return Made(work / "quick", work / "plain", (specs[0], specs[1]), photos)


def all_vectors(folder: Path) -> dict[str, Any]:
    with Index.open(folder) as index:
        return {photo.paths[0]: index.vectors([photo.id])[0] for photo in index.photos()}


def test_int8_vectors_are_near_those_of_float32(made: Made) -> None:
    quick, plain = all_vectors(made.quick), all_vectors(made.plain)
    assert quick.keys() == plain.keys()
    cosines = np.asarray([quick[path] @ plain[path] for path in plain])
    assert cosines.mean() >= 0.96
    assert cosines.min() >= 0.85
    assert cosines.max() < 0.9999


def test_a_copy_is_still_found(made: Made) -> None:
    originals = sorted((made.photos / "originals").iterdir())
    with Searcher(made.quick) as searcher:
        found = [Path(searcher.query_path(path).hits[0].path).stem == path.stem for path in originals]
    assert sum(found) >= 0.9 * len(found)


def test_the_ranges_are_the_same_each_time(made: Made) -> None:
    quick, plain = made.specs
    assert replace(quick, precision="float32") == plain
    assert quick.id != plain.id
    assert len(Ranges.of_precision(quick.precision).layers) == 49
    pixels = sample_photos([os.fsencode(made.photos)], plain.framing, ScanRules(), MAX_PIXELS)
    graph = read_graph(graph_path(plain), plain)
    assert graph is not None
    assert calibrate.calibrate(graph, pixels).precision == quick.precision


def test_in_floats_the_vectors_are_the_same(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, plain = made.specs
    pixels = sample_photos([os.fsencode(made.photos)], plain.framing, ScanRules(), MAX_PIXELS)[:8]
    native = Embedder.for_spec(quick, None).embed(pixels)
    monkeypatch.setattr("simsearch.models.embedder.multiplies_bytes", lambda: False)
    assert (Embedder.for_spec(quick, None).embed(pixels) * native).sum(axis=1).min() >= 0.995


def test_a_lost_or_damaged_cache_changes_no_vector(made: Made) -> None:
    quick, plain = made.specs
    pixels = np.random.default_rng(5).integers(0, 256, (3, plain.crop, plain.crop, 3), dtype=np.uint8)
    before = Embedder.for_spec(quick, None).embed(pixels)
    for spec in made.specs:
        graph_path(spec).unlink()
    assert np.array_equal(Embedder.for_spec(quick, None, note=silent).embed(pixels), before)
    graph = graph_path(quick)
    graph.write_bytes(graph.read_bytes()[:-7])
    notes: list[str] = []
    assert np.array_equal(Embedder.for_spec(quick, None, note=notes.append).embed(pixels), before)
    assert notes == [f"The prepared network {graph} is damaged; it is made again."]
    assert not list(graph.parent.glob("*.part"))


def test_kinds_are_never_mixed(made: Made) -> None:
    def again(folder: Path, precision: str | None, model: str = "auto") -> None:
        choice = ModelChoice(model, device="cpu", precision=precision)
        index_folder(made.photos, folder, IndexingConfig(choice=choice), note=silent)

    with pytest.raises(IndexMismatch, match="made in int8, not in float32"):
        again(made.quick, "float32")
    with pytest.raises(IndexMismatch, match="made in float32, not in int8"):
        again(made.plain, "int8")
    for same in (None, "int8"):
        again(made.quick, same, LITE)
    with pytest.raises(IndexMismatch), Searcher(made.quick, embedder=Embedder(LITE, device="cpu")):
        pass


def test_an_export_carries_the_arithmetic(made: Made, tmp_path: Path) -> None:
    export(tmp_path / "out", made.quick)
    report = import_embeddings(Origin(tmp_path / "out"), tmp_path / "again", note=silent)
    with Index.open(tmp_path / "again") as index:
        assert index.spec == made.specs[0]
    assert report.checked > 0
    quick, again = all_vectors(made.quick), all_vectors(tmp_path / "again")
    assert quick.keys() == again.keys()
    assert min(quick[path] @ again[path] for path in quick) > 0.99999


@needs_vnni
def test_too_few_photos_leave_no_index(photos: Path, tmp_path: Path) -> None:
    result = simsearch(
        *("index", photos / "originals", "-i", tmp_path / "few", "--model", LITE, "--precision", "int8")
    )
    assert result.returncode == 1
    assert result.stderr.decode().splitlines()[-1].startswith(f"Error: int8 fits its arithmetic to {ENOUGH} ")
    assert not (tmp_path / "few").exists()


@pytest.mark.parametrize(("device", "runtime"), [("cuda", "auto"), ("auto", "torch")])
def test_int8_runs_on_the_cpu_by_onnxruntime(device: str, runtime: str, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    config = IndexingConfig(choice=ModelChoice(LITE, device=device, runtime=runtime, precision="int8"))
    with pytest.raises(DeviceUnavailable, match="int8 runs on the CPU, by onnx; leave out --"):
        index_folder(tmp_path / "photos", tmp_path / "index", config)
    fitted = replace(Embedder(LITE, device="cpu").spec, precision="int8:00c1804200000046")
    with pytest.raises(DeviceUnavailable, match="int8 runs on the CPU"):
        Embedder.for_spec(fitted, None, device=device, runtime=runtime)


def test_where_nothing_is_gained_no_such_index_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\nflags\t\t: fpu sse2 avx2\n", encoding="utf-8")
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    assert not processor.multiplies_bytes()
    with pytest.raises(DeviceUnavailable, match="only on a processor with VNNI"):
        kinds.check_new("resnet50", "int8", "auto", "auto")
    with pytest.raises(DeviceUnavailable, match="only on a processor with AVX512_BF16 or AMX"):
        kinds.check_new("resnet50", "bfloat16", "auto", "auto")
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu sse2 avx512_bf16 avx512_vnni\n", encoding="utf-8")
    for kind in ("int8", "bfloat16"):
        kinds.check_new("resnet50", kind, "auto", "auto")
    with pytest.raises(DeviceUnavailable, match=f"bfloat16 makes {LITE} slower"):
        kinds.check_new(LITE, "bfloat16", "auto", "auto")


def test_a_network_that_int8_ruins_is_refused(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = made.specs[1]
    pixels = sample_photos([os.fsencode(made.photos)], plain.framing, ScanRules(), MAX_PIXELS)[:4]
    monkeypatch.setattr(calibrate, "PERCENT", 90.0)
    with pytest.raises(SimsearchError, match=rf"int8 does not suit {LITE}: .* mean cosine of 0\.\d+ "):
        calibrate.int8_spec(plain, "", pixels, silent)


@needs_vnni
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_kill_while_it_is_fitted_leaves_nothing_half(made: Made, tmp_path: Path) -> None:
    index, cache = tmp_path / "index", tmp_path / "cache"
    shutil.copytree(graph_path(made.specs[1]).parent, cache / "simsearch" / "graphs")
    command = [sys.executable, "-m", "simsearch", "index", made.photos, "-i", index, "--model", LITE]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen(
        [*map(str, command), "--precision", "int8"], stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stderr is not None
        assert any(line.startswith("Fitting int8 arithmetic to") for line in child.stderr)
        child.send_signal(signal.SIGKILL)
    assert not (index / DATABASE).exists()
    assert not list(cache.rglob("*.part"))


# The twin with the real checkpoint


@needs_vnni
def test_resnet50_keeps_its_vectors_in_int8(checkpoint: Path, photos: Path) -> None:
    plain = Embedder("resnet50", weights=str(checkpoint), device="cpu", note=silent)
    sample = sample_photos([os.fsencode(photos)], plain.spec.framing, ScanRules(), MAX_PIXELS)
    spec = calibrate.int8_spec(plain.spec, str(checkpoint), sample[:32], silent)
    quick = Embedder.for_spec(spec, str(checkpoint), note=silent).embed(sample[32:])
    cosines = (quick * plain.embed(sample[32:])).sum(axis=1)
    assert cosines.mean() >= 0.97
    assert cosines.min() >= 0.8


# bfloat16


def test_bfloat16_vectors_are_a_kind_of_their_own(photos: Path) -> None:
    plain = Embedder(LITE, device="cpu", runtime="torch")
    spec = replace(plain.spec, precision="bfloat16")
    short = Embedder.for_spec(spec, None)
    assert (short.device, short.runtime, spec.arithmetic) == ("cpu", "torch", "bfloat16")
    pixels = sample_photos([os.fsencode(photos)], spec.framing, ScanRules(), MAX_PIXELS)[:16]
    cosines = (short.embed(pixels) * plain.embed(pixels)).sum(axis=1)
    assert cosines.min() >= 0.98
    assert cosines.max() < 0.99999
    assert spec.id != plain.spec.id
    with pytest.raises(
        DeviceUnavailable, match="bfloat16 runs on the CPU, by torch; leave out --runtime onnx"
    ):
        Embedder.for_spec(spec, None, runtime="onnx")


@pytest.mark.skipif(not processor.multiplies_bfloats(), reason="processor: bfloat16 indexes need AVX512_BF16")
def test_an_index_in_bfloat16(photos: Path, tmp_path: Path) -> None:
    index, originals, weights = tmp_path / "index", photos / "originals", tmp_path / "random.pth"
    torch.manual_seed(7)
    torch.save(torchvision.models.resnet18().state_dict(), weights)
    flags = ("-i", index, "--model", "resnet18", "--weights", weights, "--precision", "bf16")
    assert simsearch("index", originals, *flags).returncode == 0
    with Index.open(index) as opened:
        assert opened.spec.precision == "bfloat16"
    result = simsearch(
        "query", photos / "recompressed" / "coffee.jpg", "-i", index, "-k", "1", "--format", "paths"
    )
    assert result.stdout.decode().strip().endswith("coffee.png")
    assert simsearch("index", photos / "cropped", "-i", index, "--precision", "int8").returncode == 1


def test_info_names_the_arithmetic(made: Made) -> None:
    with Index.open(made.quick) as index:
        assert index.info().model == f"{LITE} in int8"
