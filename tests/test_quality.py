"""What the answers are worth: mAP and P@10 on Corel-1000, and vectors equal to torchvision's own path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from simsearch import Embedder, Index, find_similar, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.media.pool import decode_here
from simsearch.models.choice import ModelChoice

Matrix = NDArray[np.float64]


def leave_one_out(index: Path, group: dict[str, str]) -> tuple[float, float]:
    """(P@10, mAP) of every photo as a query, itself left out; relevant are those of the same group."""
    paths = sorted(group)
    precision, average = [], []
    results = find_similar(paths, index, k=len(paths))
    for path, result in zip(paths, results, strict=True):
        ranked = [p for hit in result.hits for p in (hit.path, *hit.copies) if p != path]
        assert len(ranked) == len(paths) - 1
        relevant = np.array([group[p] == group[path] for p in ranked])
        precision.append(relevant[:10].mean())
        places = np.flatnonzero(relevant) + 1
        average.append((np.arange(1, len(places) + 1) / places).mean())
    return float(np.mean(precision)), float(np.mean(average))


@pytest.mark.proof
@pytest.mark.parametrize(
    ("model", "precision", "average"),
    [("resnet50", 0.96, 0.895), ("efficientnet_lite0", 0.965, 0.90), ("efficientnet_lite2", 0.965, 0.91)],
)
def test_corel_1000(
    shared_data: Path,
    tmp_path: Path,
    model: str,
    precision: float,
    average: float,
    request: pytest.FixtureRequest,
) -> None:
    weights = str(request.getfixturevalue("checkpoint")) if model == "resnet50" else None
    photos = shared_data / "corel1k"
    config = IndexingConfig(choice=ModelChoice(model=model, weights=weights))
    report = index_folder(photos, tmp_path / "index", config)
    assert report.added == 1000
    group = {str(path): str(int(path.stem) // 100) for path in photos.resolve().glob("*.jpg")}
    p10, mean = leave_one_out(tmp_path / "index", group)
    print(f"corel1k {model}: P@10 {p10:.4f}, mAP {mean:.4f}")
    assert p10 >= precision
    assert mean >= average


def test_each_sample_finds_its_own_variants(photos: Path, tmp_path: Path) -> None:
    """The same measure on the photos of PyPI's packages: relevant is what was made from one original."""
    config = IndexingConfig(choice=ModelChoice(model="efficientnet_lite0"))
    index_folder(photos, tmp_path / "index", config)
    group = {str(path): path.stem for path in photos.resolve().rglob("*") if path.is_file()}
    _, mean = leave_one_out(tmp_path / "index", group)
    assert mean >= 0.85


def torchvision_vectors(paths: list[Path], weights: Path) -> Matrix:
    """torchvision's ResNet-50 without fc, its enum's own transforms, L2: nothing of simsearch."""
    import torch
    from torchvision.models import ResNet50_Weights, resnet50

    network = resnet50()
    network.fc = torch.nn.Identity()
    state = torch.load(weights, weights_only=True)
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    network.eval()
    transforms = ResNet50_Weights.IMAGENET1K_V2.transforms()
    pictures = [transforms(ImageOps.exif_transpose(Image.open(p)).convert("RGB")) for p in paths]
    with torch.inference_mode():
        vectors = torch.cat([network(picture[None]) for picture in pictures])
    found: Matrix = torch.nn.functional.normalize(vectors).double().numpy()
    return found


def cosines(paths: list[Path], weights: Path, index: Path) -> Matrix:
    """Cosine of each stored vector to torchvision's."""
    config = IndexingConfig(choice=ModelChoice(model="resnet50", weights=str(weights)))
    index_folder(list(paths), index, config)
    with Index.open(index) as opened:
        ids = [opened.vector_id_of(path=path) for path in paths]
        stored = opened.vectors([i for i in ids if i is not None])
    assert len(stored) == len(paths)
    found: Matrix = np.einsum("nd,nd->n", stored, torchvision_vectors(paths, weights))
    return found


def random_checkpoint(folder: Path) -> Path:
    """A ResNet-50 with random weights, for machines without a trained one."""
    import torch
    from torchvision.models import resnet50

    torch.manual_seed(0)
    path = folder / "random.pth"
    torch.save(resnet50().state_dict(), path)
    return path


def test_stored_vectors_equal_torchvisions_own_path_with_random_weights(photos: Path, tmp_path: Path) -> None:
    weights = random_checkpoint(tmp_path)
    import torch

    state = torch.load(weights, weights_only=True)
    torch.save({k: v for k, v in state.items() if not k.startswith("fc.")}, weights)
    originals = sorted(photos.glob("half-size/*"))[:6]
    assert cosines(originals, weights, tmp_path / "index").min() >= 0.9999


def test_stored_vectors_equal_torchvisions_own_path(
    shared_data: Path, checkpoint: Path, tmp_path: Path
) -> None:
    paths = sorted((shared_data / "corel1k").resolve().glob("*7.jpg"))[:20]
    assert cosines(paths, checkpoint, tmp_path / "index").min() >= 0.9999


def test_reduced_decoding_stays_near_on_ten_megapixels(
    shared_data: Path, checkpoint: Path, tmp_path: Path
) -> None:
    paths = sorted(p for p in (shared_data / "photos_10mp").resolve().iterdir() if p.suffix.lower() == ".jpg")
    found = cosines(paths, checkpoint, tmp_path / "index")
    assert len(found) == 8
    assert found.min() >= 0.99


def test_reduced_decoding_stays_near_on_enlarged_samples(photos: Path, tmp_path: Path) -> None:
    embedder = Embedder("efficientnet_lite0", device="cpu")
    framing = embedder.spec.framing
    for name in ("astronaut.png", "coffee.png", "china.jpg", "flower.jpg"):
        image = Image.open(photos / "originals" / name).convert("RGB")
        large = tmp_path / f"{name}.jpg"
        image.resize((image.width * 6, image.height * 6), Image.Resampling.LANCZOS).save(large, quality=92)
        pixels = [decode_here(large, f).pixels for f in (framing, replace(framing, reduced_decode=0))]
        assert not np.array_equal(pixels[0], pixels[1])
        reduced, full = embedder.embed(np.stack(pixels))
        assert float(reduced @ full) >= 0.99


def test_onnx_and_torch_give_the_same_vectors(photos: Path) -> None:
    paths = sorted(photos.glob("originals/*"))[:8]
    by = {r: Embedder("efficientnet_lite0", runtime=r, device="cpu") for r in ("onnx", "torch")}
    framing = by["onnx"].spec.framing
    pixels = np.stack([decode_here(path, framing).pixels for path in paths])
    first, second = by["onnx"].embed(pixels), by["torch"].embed(pixels)
    assert np.einsum("nd,nd->n", first, second).min() >= 0.9999
