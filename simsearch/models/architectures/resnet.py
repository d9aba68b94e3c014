"""ResNet, ResNeXt and Wide ResNet written out: two blocks and one table, with torchvision's parameter names.

Papers: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, https://arxiv.org/abs/1512.03385;
He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016, https://arxiv.org/abs/1603.05027;
Xie et al., "Aggregated Residual Transformations for Deep Neural Networks" (ResNeXt), CVPR 2017,
https://arxiv.org/abs/1611.05431; Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016,
https://arxiv.org/abs/1605.07146.

docs/resnet.md explains it, block by block.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from simsearch.errors import ModelUnknown

_STEM = 64


def _conv3x3(channels: int, out: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, stride=stride, padding=1, groups=groups, bias=False)


def _conv1x1(channels: int, out: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 1, stride=stride, bias=False)


def _shortcut(channels: int, out: int, stride: int) -> nn.Sequential | None:
    """The way round a block: None where the input can be added as it is, else a projection (1x1, BN).

    An untouched input is what lets the gradient pass unscaled (arXiv 1603.05027, equation 5), so that a
    projection stands only where the shape changes ("option B" of CVPR 2016).
    """
    if stride == 1 and channels == out:
        return None
    return nn.Sequential(_conv1x1(channels, out, stride=stride), nn.BatchNorm2d(out))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, and the input added: the block of ResNet-18 and 34.

    float (n, channels, H, W) -> (n, planes, ceil(H / stride), ceil(W / stride)).
    """

    expansion = 1

    def __init__(self, channels: int, planes: int, stride: int, plan: Plan) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels, planes, stride=stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(channels, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        """relu(F(x) + x), where F is what the block learns."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        summed: Tensor = self.relu(out + (x if self.downsample is None else self.downsample(x)))
        return summed


class Bottleneck(nn.Module):
    """1x1 to fewer channels, 3x3 there, 1x1 to four times `planes`, and the input added: ResNet-50 and up.

    The stride lies in the 3x3 convolution, as in torchvision ("v1.5"); the paper has it in the first 1x1,
    which then skips three of four positions. ResNeXt splits the 3x3 into `plan.groups` groups, Wide ResNet
    makes it wider.

    float (n, channels, H, W) -> (n, 4 * planes, ceil(H / stride), ceil(W / stride)).
    """

    expansion = 4

    def __init__(self, channels: int, planes: int, stride: int, plan: Plan) -> None:
        super().__init__()
        width = planes * plan.group_width // 64 * plan.groups
        self.conv1 = _conv1x1(channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride=stride, groups=plan.groups)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv1x1(width, planes * self.expansion)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(channels, planes * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """relu(F(x) + x), where F is what the block learns."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        summed: Tensor = self.relu(out + (x if self.downsample is None else self.downsample(x)))
        return summed


@dataclass(frozen=True, slots=True)
class Plan:
    """What tells one network of the family from another.

    Attributes:
        block: the kind of all its blocks.
        depths: how many blocks each of the four stages has.
        groups: into how many groups a bottleneck's 3x3 convolution is split (ResNeXt's cardinality).
        group_width: channels of one group in the first stage; they double from stage to stage.
    """

    block: type[BasicBlock] | type[Bottleneck]
    depths: tuple[int, int, int, int]
    groups: int = 1
    group_width: int = 64


PLANS = {
    "resnet18": Plan(BasicBlock, (2, 2, 2, 2)),
    "resnet34": Plan(BasicBlock, (3, 4, 6, 3)),
    "resnet50": Plan(Bottleneck, (3, 4, 6, 3)),
    "resnet101": Plan(Bottleneck, (3, 4, 23, 3)),
    "resnet152": Plan(Bottleneck, (3, 8, 36, 3)),
    "resnext50_32x4d": Plan(Bottleneck, (3, 4, 6, 3), groups=32, group_width=4),
    "resnext101_32x8d": Plan(Bottleneck, (3, 4, 23, 3), groups=32, group_width=8),
    "resnext101_64x4d": Plan(Bottleneck, (3, 4, 23, 3), groups=64, group_width=4),
    "wide_resnet50_2": Plan(Bottleneck, (3, 4, 6, 3), group_width=128),
    "wide_resnet101_2": Plan(Bottleneck, (3, 4, 23, 3), group_width=128),
}


class ResNet(nn.Module):
    """Stem, four stages, global average pool, classifier: float (n, 3, H, W) -> logits (n, classes).

    H and W are free, because the pool takes the mean over whatever is left of them: 1/32 in each direction,
    rounded up. From 32 x 32 on, every position of the last stage has seen a part of the picture of its own.
    Without `classes` there is no classifier, and what comes out is the vector (n, dim).
    Starts with random weights (He et al., ICCV 2015, https://arxiv.org/abs/1502.01852, as torchvision
    draws them), in train mode; call `eval()` before anything but training.
    """

    def __init__(self, plan: Plan, classes: int | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, _STEM, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        wide = plan.block.expansion
        self.layer1 = _stage(_STEM, 64, 1, plan.depths[0], plan)
        self.layer2 = _stage(64 * wide, 128, 2, plan.depths[1], plan)
        self.layer3 = _stage(128 * wide, 256, 2, plan.depths[2], plan)
        self.layer4 = _stage(256 * wide, 512, 2, plan.depths[3], plan)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dim = 512 * wide
        self.fc: nn.Module = nn.Identity() if classes is None else nn.Linear(self.dim, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """The maps of the four stages, float (n, channels, H / s, W / s) for s = 4, 8, 16, 32, rounded up.

        Channels are 64, 128, 256, 512, times 4 with bottlenecks. Keys: "layer1" to "layer4".
        """
        maps: dict[str, Tensor] = {}
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = maps[name] = self.get_submodule(name)(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """float (n, 3, H, W) -> (n, classes), or (n, dim) without a classifier."""
        vectors = torch.flatten(self.avgpool(self.features(x)["layer4"]), 1)
        answer: Tensor = self.fc(vectors)
        return answer


def _stage(channels: int, planes: int, stride: int, depth: int, plan: Plan) -> nn.Sequential:
    """A row of `depth` blocks, of which the first changes the shape."""
    out = planes * plan.block.expansion
    first = plan.block(channels, planes, stride, plan)
    return nn.Sequential(first, *(plan.block(out, planes, 1, plan) for _ in range(1, depth)))


def resnet(name: str, *, classes: int | None = 1000) -> ResNet:
    """The network called `name`, with random weights and a classifier of `classes`, or without one (None).

    Its `state_dict` has torchvision's keys and shapes, so that torchvision's weights load as they are; into
    one without a classifier they load after their two "fc." entries were taken out. See
    https://docs.pytorch.org/vision/stable/models/resnet.html. Raises ModelUnknown.
    """
    if name not in PLANS:
        raise ModelUnknown(f"There is no ResNet called {name!r}; use one of {', '.join(PLANS)}.")
    return ResNet(PLANS[name], classes)
