"""The ResNets written out: torchvision's outputs, pictures of any size, eval mode; docs/resnet.md runs."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from conftest import REPO, picture
from numpy.typing import NDArray
from torch import Tensor, nn

from simsearch import Embedder
from simsearch.errors import ModelUnknown
from simsearch.models.architectures.resnet import PLANS, BasicBlock, Bottleneck, Plan, ResNet, resnet
from simsearch.models.backbone import EmbeddingNetwork, build_network
from simsearch.models.registry import build, get_backbone
from simsearch.models.runners import TorchRunner

PAGE = REPO / "docs" / "resnet.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:^```text( about)?\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
STAGES = ("layer1", "layer2", "layer3", "layer4")


def drawn(network: nn.Module, seed: int) -> dict[str, Tensor]:
    """Random values for everything a network holds, batch normalisation's statistics too.

    Convolutions have a variance of 2 / inputs, so that activations neither fade nor grow much.
    """
    numbers = torch.Generator().manual_seed(seed)
    state = {}
    for key, value in network.state_dict().items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(seed)
            continue
        state[key] = torch.rand(value.shape, generator=numbers)
        if value.dim() > 1:
            state[key].sub_(0.5).mul_((24 / value[0].numel()) ** 0.5)
        elif key.endswith("running_var"):
            state[key].add_(0.5)
        elif not key.endswith("weight"):
            state[key].sub_(0.5)
    return state


def hollow(name: str) -> tuple[ResNet, nn.Module]:
    """Ours and torchvision's, in eval mode and without values."""
    with torch.device("meta"):
        return resnet(name).eval(), torchvision.models.get_model(name, weights=None).eval()


def pair(name: str, seed: int = 1) -> tuple[ResNet, nn.Module]:
    """Ours and torchvision's with the same random values."""
    ours, theirs = hollow(name)
    state = drawn(theirs, seed)
    ours.load_state_dict(state, strict=True, assign=True)
    theirs.load_state_dict(state, strict=True, assign=True)
    return ours, theirs


def watched(network: nn.Module) -> dict[str, Tensor]:
    """What each child of the network gave in its last pass, once it has had one."""
    seen: dict[str, Tensor] = {}
    for name, child in network.named_children():
        child.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out.clone()}))
    return seen


# Equal to torchvision's


@pytest.mark.parametrize("name", PLANS)
def test_each_network_equals_torchvisions(name: str) -> None:
    ours, theirs = pair(name)
    weights: Any = torchvision.models.get_model_weights(name).DEFAULT
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [child for child, _ in ours.named_children()] == [child for child, _ in theirs.named_children()]
    assert sum(value.numel() for value in ours.parameters()) == weights.meta["num_params"]

    with torch.device("meta"):
        headless = resnet(name, classes=None).eval()
    state = {key: value for key, value in theirs.state_dict().items() if not key.startswith("fc.")}
    headless.load_state_dict(state, strict=True, assign=True)

    seen = watched(theirs)
    batch = torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        logits = theirs(batch)
        assert logits.std() > 0.01
        assert torch.equal(ours(batch), logits)
        assert torch.equal(headless(batch), seen["avgpool"].flatten(1))
        maps = headless.features(batch)
    assert tuple(maps) == STAGES
    assert all(torch.equal(maps[stage], seen[stage]) for stage in STAGES)
    assert headless.dim == maps["layer4"].shape[1] == theirs.fc.in_features


def test_a_fresh_network_is_drawn_as_torchvisions() -> None:
    torch.manual_seed(5)
    ours = resnet("resnet18").state_dict()
    torch.manual_seed(5)
    theirs = torchvision.models.resnet18(weights=None).state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_pictures_of_any_size(name: str) -> None:
    ours, theirs = pair(name)
    # A 32nd in each direction, rounded up.
    sizes = {(224, 224): (7, 7), (160, 320): (5, 10), (33, 47): (2, 2), (32, 32): (1, 1)}
    for size, left in sizes.items():
        batch = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(3))
        with torch.inference_mode():
            assert torch.equal(ours(batch), theirs(batch)), size
            maps = ours.features(batch)
        assert tuple(maps["layer4"].shape[2:]) == left
        assert tuple(maps["layer1"].shape[2:]) == tuple(-(-side // 4) for side in size)


def test_a_real_checkpoint_gives_the_vector_that_simsearch_gives(checkpoint: Path) -> None:
    state = {key: value.float() for key, value in torch.load(checkpoint, weights_only=True).items()}
    with torch.device("meta"):
        ours = resnet("resnet50", classes=None).eval()
        theirs = torchvision.models.resnet50(weights=None).eval()
        theirs.fc = nn.Identity()
    ours.load_state_dict(state, strict=True, assign=True)
    theirs.load_state_dict(state, strict=True, assign=True)
    photo = picture(4, (400, 300))
    batch = torchvision.models.ResNet50_Weights.IMAGENET1K_V2.transforms()(photo).unsqueeze(0)
    with torch.inference_mode():
        [vector] = ours(batch)
        assert torch.equal(vector, theirs(batch)[0])
    [own] = Embedder("resnet50", weights=str(checkpoint), runtime="torch", device="cpu").embed([photo])
    assert own @ nn.functional.normalize(vector, dim=0).numpy() == pytest.approx(1, abs=1e-5)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ModelUnknown, match=r"no ResNet called 'resnet51'; use one of resnet18, resnet34"):
        resnet("resnet51")


# The blocks, by hand


@pytest.mark.parametrize(("block", "last"), [(BasicBlock, "bn2"), (Bottleneck, "bn3")])
def test_a_block_that_has_learned_nothing_passes_its_input_on(block: Any, last: str) -> None:
    made = block(8 * block.expansion, 8, 1, Plan(block, (1, 1, 1, 1))).eval()
    nn.init.zeros_(made.get_submodule(last).weight)
    x = torch.linspace(-1, 1, 8 * block.expansion * 9).reshape(1, -1, 3, 3).requires_grad_()
    out = made(x)
    assert torch.equal(out, x.clamp_min(0))
    out.sum().backward()
    # Nothing of the gradient is lost on the way round the block.
    assert x.grad is not None
    assert torch.equal(x.grad, (x > 0).float())


def test_only_a_change_of_shape_needs_a_projection() -> None:
    plan = Plan(Bottleneck, (1, 1, 1, 1))
    assert Bottleneck(256, 64, 1, plan).downsample is None
    for channels, planes, stride in ((64, 64, 1), (256, 128, 2), (256, 64, 2)):
        projection = Bottleneck(channels, planes, stride, plan).downsample
        assert projection is not None
        convolution = projection[0]
        assert isinstance(convolution, nn.Conv2d)
        assert convolution.weight.shape == (4 * planes, channels, 1, 1)
        assert convolution.stride == (stride, stride)


def test_the_stride_is_in_the_three_by_three() -> None:
    with torch.device("meta"):
        first = resnet("resnet50").get_submodule("layer2.0")
    strides = [first.get_submodule(name).stride for name in ("conv1", "conv2", "conv3")]
    assert strides == [(1, 1), (2, 2), (1, 1)]


# Eval mode


def photos(n: int, side: int) -> NDArray[np.uint8]:
    return np.stack([np.asarray(picture(seed, (side, side))) for seed in range(n)])


def network_of(name: str, folder: Path) -> EmbeddingNetwork:
    """The network that simsearch embeds with, from a checkpoint of random values."""
    backbone = get_backbone(name)
    torch.manual_seed(9)
    torch.save(build(backbone).state_dict(), folder / "random.pth")
    return build_network(backbone.spec("0" * 64), folder / "random.pth")


def depends_on_mates(network: nn.Module, pixels: NDArray[np.uint8]) -> float:
    """How far the first picture's vector moves when the others of its batch are other pictures.

    Of a vector of length 1; 0 in eval mode but for rounding.
    """
    runner = TorchRunner(network, "cpu")
    alone = runner.run(pixels[:1])[0]
    vectors = [runner.run(pixels[[0, *mates]])[0] for mates in ((1, 2), (3, 4))]
    return max(float(np.linalg.norm(vector - alone)) for vector in vectors)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_simsearch_embeds_in_eval_mode(name: str, tmp_path: Path) -> None:
    network = network_of(name, tmp_path)
    assert [path for path, module in network.named_modules() if module.training] == []
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert depends_on_mates(network, photos(5, get_backbone(name).crop)) < 1e-5
    after = network.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert [path for path, module in network.named_modules() if module.training] == []


def test_the_embedder_gives_one_vector_whatever_else_is_in_the_batch(tmp_path: Path) -> None:
    network_of("resnet18", tmp_path)
    pixels = photos(5, 224)
    for runtime in ("torch", "onnx"):
        embedder = Embedder(
            "resnet18",
            weights=str(tmp_path / "random.pth"),
            device="cpu",
            runtime=runtime,
            note=lambda _: None,
        )
        alone = embedder.embed(pixels[:1])
        assert embedder.embed(pixels)[:1] == pytest.approx(alone, abs=1e-5), runtime


def test_train_mode_would_be_seen(tmp_path: Path) -> None:
    network = network_of("resnet18", tmp_path)
    mean = network.get_buffer("features.bn1.running_mean").clone()
    for module in network.modules():
        module.training = True
    assert depends_on_mates(network, photos(5, 224)) > 1e-2
    assert not torch.equal(network.get_buffer("features.bn1.running_mean"), mean)


# The page


def compared(printed: str, told: str, about: bool) -> None:
    """Equal; or, with `about`, the same words, and each number no more than a quarter off."""
    if not about:
        assert printed == told
        return
    number = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
    assert number.sub("N", printed) == number.sub("N", told)
    found, expected = (
        [float(word.replace(",", "")) for word in number.findall(text)] for text in (printed, told)
    )
    assert found == pytest.approx(expected, rel=0.25), printed


def test_every_block_of_the_page_runs_and_prints_what_is_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("```python")
    assert sum(bool(told) for _, _, told in blocks) == text.count("```text")
    names: dict[str, Any] = {"__name__": "page"}
    for code, about, told in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, str(PAGE), "exec"), names)
        compared(printed.getvalue(), told, bool(about))


def test_the_page_and_the_table_name_the_same_networks() -> None:
    counted = re.findall(r"^(\w+) +[\d,]+ +[\d.]+ \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert counted == list(PLANS)
    assert set(PLANS) == {
        name
        for name in torchvision.models.list_models(module=torchvision.models)
        if name.startswith(("resnet", "resnext", "wide_resnet"))
    }
