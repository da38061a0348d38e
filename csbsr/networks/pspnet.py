"""PSPNet (Zhao et al. 2017) as CSBSR uses it: pooling pyramid, then three light up-blocks."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.networks.backbones import VGG16, resnet34_dilated
from csbsr.networks.blocks import SegmentationOutput, SharedPReLU, probability
from csbsr.networks.segmentation import apply_blur_skip, crop_to, pad_to_multiple, resize


class PyramidPooling(nn.Module):
    """See the features at several scales: pool to each bin size, resize back, concatenate, mix.

    Features (B, channels, h, w) -> (B, outputs, h, w).
    """

    def __init__(self, channels: int, outputs: int, bins: Sequence[int]) -> None:
        super().__init__()
        self.bins = tuple(bins)
        self.stages = nn.ModuleList(nn.Conv2d(channels, channels, 1, bias=False) for _ in bins)
        self.bottleneck = nn.Conv2d(channels * (len(bins) + 1), outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the mixed features of all scales."""
        size = features.shape[-2:]
        scales = [
            resize(stage(F.adaptive_avg_pool2d(features, bins)), size)
            for bins, stage in zip(self.bins, self.stages)
        ]
        return F.relu(self.bottleneck(torch.cat([*scales, features], dim=1)))


class UpBlock(nn.Module):
    """Double the resolution bilinearly, then 3x3 convolution, batch norm and PReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)
        self.act = SharedPReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, 2h, 2w)."""
        return self.act(self.norm(self.conv(resize(x, (2 * x.shape[-2], 2 * x.shape[-1])))))


class PSPNet(nn.Module):
    """Crack segmentation by pyramid pooling (Sec. III-A, Table II).

    `extractor` is "vgg16" as the paper says (pool 4 left out and block 5 dilated, so that its
    features lie at H/8) or the released code's dilated "resnet34". `width` (64) scales every layer.
    Images (B, 3, H, W) -> prob (B, 1, H, W) and aux (B, 1, H, W), the auxiliary head on the
    features before the last block, computed in testing too. `blur_skip` sees the `skip_channels`
    features at H x W just before the head. `pretrained` loads the extractor's ImageNet weights.
    Sides that are not multiples of 8 are padded and cropped back.
    ValueError for an unknown extractor, or ImageNet weights that cannot be loaded.
    """

    def __init__(
        self,
        extractor: Literal["vgg16", "resnet34"] = "vgg16",
        width: int = 64,
        bins: Sequence[int] = (1, 2, 3, 6),
        blur_skip: nn.Module | None = None,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        if extractor == "vgg16":
            self.backbone: nn.Module = VGG16(width, pools=3, pretrained=pretrained)
        elif extractor == "resnet34":
            self.backbone = resnet34_dilated(width, pretrained=pretrained)
        else:
            raise ValueError(f"extractor '{extractor}' is unknown; choose 'vgg16' or 'resnet34'")
        *_, middle, last = self.backbone.channels
        self.pyramid = PyramidPooling(last, 16 * width, bins)
        self.ups = nn.ModuleList(
            [UpBlock(16 * width, 4 * width), UpBlock(4 * width, width), UpBlock(width, width)]
        )
        self.blur_skip = blur_skip
        self.skip_channels = width
        self.head = nn.Conv2d(width, 1, 1)
        self.aux_head = nn.Sequential(
            nn.Conv2d(middle, middle, 3, padding=1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Dropout2d(0.1),
            nn.Conv2d(middle, 1, 1),
        )
        self.pyramid_dropout = nn.Dropout2d(0.3)
        self.up_dropout = nn.Dropout2d(0.15)

    def forward(self, x: Tensor, kernel: Tensor | None = None) -> SegmentationOutput:
        """Segment images; `kernel` (B, 441) is used by the blur skip only."""
        padded = pad_to_multiple(x, 8)
        *_, middle, last = self.backbone(padded)  # (B, 4|8 width, H/8, W/8), (B, 8 width, ...)
        features = self.pyramid_dropout(self.pyramid(last))  # (B, 16 width, H/8, W/8)
        for up in self.ups:
            features = self.up_dropout(up(features))  # finally (B, width, H, W)
        features = apply_blur_skip(self.blur_skip, features, kernel)
        prob = probability(self.head(features))
        # As released, the sigmoid comes before the resize and the corners are aligned.
        aux = resize(probability(self.aux_head(middle)), padded.shape[-2:], align_corners=True)
        return SegmentationOutput(crop_to(prob, x), crop_to(aux, x))
