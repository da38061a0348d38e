"""Object-contextual representations (Yuan et al. 2020) on HRNet-W48, with one class: the crack."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from csbsr.networks.blocks import SegmentationOutput, probability
from csbsr.networks.hrnet import HRNet
from csbsr.networks.segmentation import (
    apply_blur_skip,
    crop_to,
    pad_to_multiple,
    refuse_single_image,
    resize,
)


def pointwise(inputs: int, outputs: int) -> nn.Sequential:
    """Chain 1x1 convolution, batch norm and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs), nn.ReLU())


class ObjectContext(nn.Module):
    """Add to every pixel the context of the objects it resembles.

    Features (B, C, h, w) and class logits (B, K, h, w) -> features (B, C, h, w). An object's
    representation is the mean of the features, weighted by the softmax of its logits over the
    pixels; a pixel attends to the K objects by a softmax over K. With the single class of crack
    segmentation that softmax is identically 1: every pixel receives the same vector, and the
    queries and keys (`pixel`, `object`) have no influence and no gradient. They are computed
    and kept, because this is the released network.
    """

    def __init__(self, channels: int, key_channels: int, dropout: float = 0.05) -> None:
        super().__init__()
        self.pixel = nn.Sequential(
            pointwise(channels, key_channels), pointwise(key_channels, key_channels)
        )
        self.object = nn.Sequential(
            pointwise(channels, key_channels), pointwise(key_channels, key_channels)
        )
        self.down = pointwise(channels, key_channels)
        self.up = pointwise(key_channels, channels)
        self.mix = pointwise(2 * channels, channels)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """Return the features with their object context mixed in."""
        share = logits.flatten(2).softmax(dim=2)  # (B, K, hw), sums to 1 over the pixels
        objects = share @ features.flatten(2).transpose(1, 2)  # (B, K, C)
        objects = objects.transpose(1, 2).unsqueeze(3)  # (B, C, K, 1)
        query = self.pixel(features).flatten(2).transpose(1, 2)  # (B, hw, key)
        key = self.object(objects).flatten(2)  # (B, key, K)
        value = self.down(objects).flatten(2).transpose(1, 2)  # (B, K, key)
        attention = (query @ key * key.shape[1] ** -0.5).softmax(dim=2)  # (B, hw, K)
        context = (attention @ value).transpose(1, 2)  # (B, key, hw)
        context = self.up(context.unflatten(2, features.shape[-2:]))  # (B, C, h, w)
        return self.dropout(self.mix(torch.cat([context, features], dim=1)))


class HRNetOCR(nn.Module):
    """Crack segmentation by HRNet-W48 + OCR (Sec. IV-B-1, Table II).

    `width` (48) scales every layer: 15 width channels leave HRNet, 32/3 width enter the context.
    Images (B, 3, H, W) -> prob (B, 1, H, W) and aux (B, 1, H, W), the coarse prediction that OCR
    starts from; both are resized as logits with aligned corners. `blur_skip` sees the last
    `skip_channels` = 32/3 width features, which lie at H/4 x W/4: at H x W it would cost sixteen
    times as much. torchvision publishes no HRNet, so there are no ImageNet weights to load.
    Sides that are not multiples of 32 are padded and cropped back.
    ValueError for a single image in training mode.
    """

    def __init__(
        self,
        width: int = 48,
        modules: Sequence[int] = (1, 4, 3),
        blocks: int = 4,
        blur_skip: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.backbone = HRNet(width, modules, blocks)
        channels, middle = self.backbone.channels, 32 * width // 3
        self.aux_head = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 1, 1),
        )
        self.reduce = nn.Sequential(
            nn.Conv2d(channels, middle, 3, padding=1), nn.BatchNorm2d(middle), nn.ReLU()
        )
        self.context = ObjectContext(middle, middle // 2)
        self.blur_skip = blur_skip
        self.skip_channels = middle
        self.head = nn.Conv2d(middle, 1, 1)

    def forward(self, x: Tensor, kernel: Tensor | None = None) -> SegmentationOutput:
        """Segment images; `kernel` (B, 441) is used by the blur skip only."""
        refuse_single_image(self, x)
        padded = pad_to_multiple(x, 32)
        features = self.backbone(padded)  # (B, 15 width, H/4, W/4)
        coarse = self.aux_head(features)  # (B, 1, H/4, W/4)
        features = self.context(self.reduce(features), coarse)  # (B, 32/3 width, H/4, W/4)
        features = apply_blur_skip(self.blur_skip, features, kernel)
        logits, coarse = (
            resize(maps, padded.shape[-2:], align_corners=True)
            for maps in (self.head(features), coarse)
        )
        return SegmentationOutput(crop_to(probability(logits), x), crop_to(probability(coarse), x))
