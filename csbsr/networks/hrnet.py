"""HRNet (Wang et al. 2020): four resolutions side by side that exchange features all the time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck

from csbsr.networks.backbones import initialise, residual_layer
from csbsr.networks.segmentation import resize


def conv_norm(inputs: int, outputs: int, size: int, stride: int = 1) -> list[nn.Module]:
    """Return a convolution (1x1 or 3x3, no bias) and its batch norm."""
    conv = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


def conv_norm_relu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Chain 3x3 convolution, batch norm and ReLU."""
    return nn.Sequential(*conv_norm(inputs, outputs, 3, stride), nn.ReLU())


def fuse_path(source: int, target: int, widths: Sequence[int]) -> nn.Module:
    """Bring the features of branch `source` to the channels of branch `target`.

    Downwards by strided 3x3 convolutions, upwards by a 1x1 convolution (the caller resizes).
    """
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(*conv_norm(widths[source], widths[target], 1))
    halvings = [
        conv_norm_relu(widths[source], widths[source], 2) for _ in range(target - source - 1)
    ]
    last = nn.Sequential(*conv_norm(widths[source], widths[target], 3, 2))
    return nn.Sequential(*halvings, last)


class Exchange(nn.Module):
    """One HRNet module: residual blocks in every branch, then every branch sums up all others."""

    def __init__(self, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            residual_layer(BasicBlock, width, width, 1, [1] * blocks) for width in widths
        )
        n = len(widths)
        self.fuse = nn.ModuleList(
            nn.ModuleList(fuse_path(source, target, widths) for source in range(n))
            for target in range(n)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Map the branches' features (B, C_i, h / 2^i, w / 2^i) to new ones of the same shapes."""
        features = [branch(x) for branch, x in zip(self.branches, features)]
        fused = []
        for target, paths in enumerate(self.fuse):
            size = features[target].shape[-2:]
            parts = []
            for source, path in enumerate(paths):
                part = path(features[source])
                parts.append(resize(part, size, align_corners=True) if source > target else part)
            fused.append(F.relu(sum(parts)))
        return fused


class HRNet(nn.Module):
    """HRNetV2 of any width; returns all four resolutions, concatenated at a quarter of the input.

    `width` is the number of channels of the finest branch (48 in HRNet-W48), doubled from branch
    to branch; the stem has 4/3 of it (64). `modules` counts the exchanges of stages 2 to 4.
    Images (B, 3, H, W) with sides divisible by 32 -> (B, 15 width, H/4, W/4).
    """

    def __init__(
        self, width: int = 48, modules: Sequence[int] = (1, 4, 3), blocks: int = 4
    ) -> None:
        super().__init__()
        stem = 4 * width // 3
        widths = [width * 2**i for i in range(4)]
        self.channels = sum(widths)
        self.stem = nn.Sequential(conv_norm_relu(3, stem, 2), conv_norm_relu(stem, stem, 2))
        self.layer1 = residual_layer(Bottleneck, stem, stem, 1, [1] * blocks)
        deep = stem * Bottleneck.expansion
        # The first transition also narrows the finest branch; each adds one coarser branch.
        self.transitions = nn.ModuleList(
            [
                nn.ModuleList([conv_norm_relu(deep, width), conv_norm_relu(deep, widths[1], 2)]),
                nn.ModuleList([conv_norm_relu(widths[1], widths[2], 2)]),
                nn.ModuleList([conv_norm_relu(widths[2], widths[3], 2)]),
            ]
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(Exchange(widths[:branches], blocks) for _ in range(count)))
            for branches, count in zip((2, 3, 4), modules)
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the concatenated features (B, 15 width, H/4, W/4)."""
        x = self.layer1(self.stem(x))  # (B, 4 stem, H/4, W/4)
        features = [x]
        for i, (transition, stage) in enumerate(zip(self.transitions, self.stages)):
            added = [layer(features[-1]) for layer in transition]
            features = stage(added if i == 0 else features + added)
        size = features[0].shape[-2:]
        return torch.cat([resize(f, size, align_corners=True) for f in features], dim=1)
