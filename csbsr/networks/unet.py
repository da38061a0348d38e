"""U-Net on VGG-16: the encoder of an ImageNet classifier, a decoder that doubles five scales."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.networks.backbones import VGG16
from csbsr.networks.blocks import SegmentationOutput, probability
from csbsr.networks.segmentation import apply_blur_skip, crop_to, pad_to_multiple

Upsampling = Literal["pixel_shuffle", "deconv"]


class DecoderBlock(nn.Module):
    """3x3 convolution and ReLU, then twice the resolution.

    By "pixel_shuffle" four channels become one of twice the sides, without further weights; by
    "deconv" a transposed 4x4 convolution of stride 2 follows, with ReLU.
    """

    def __init__(self, inputs: int, middle: int, outputs: int, upsampling: Upsampling) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, middle, 3, padding=1)
        if upsampling == "pixel_shuffle":
            self.up: nn.Module = nn.PixelShuffle(2)
        else:
            self.up = nn.ConvTranspose2d(middle, outputs, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, 2h, 2w)."""
        return F.relu(self.up(F.relu(self.conv(x))))


class UNet16(nn.Module):
    """Crack segmentation by a U-Net whose encoder is VGG-16 (Sec. IV-B-1, Table II).

    The centre block takes the fifth VGG block's features directly, without a pooling of its own.
    `width` (64) scales every layer and must be even; `upsampling` is "pixel_shuffle" (the paper's
    configuration) or "deconv". Images (B, 3, H, W) -> prob (B, 1, H, W), aux None. `blur_skip` sees
    the last `skip_channels` = width / 2 features at H x W. `pretrained` loads the encoder's
    ImageNet weights. Sides that are not multiples of 16 are padded and cropped back.
    ValueError for an unknown upsampling, an odd width, or ImageNet weights that cannot be loaded.
    """

    def __init__(
        self,
        upsampling: Upsampling = "pixel_shuffle",
        width: int = 64,
        blur_skip: nn.Module | None = None,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        if upsampling not in ("pixel_shuffle", "deconv"):
            raise ValueError(
                f"upsampling '{upsampling}' is unknown; choose 'pixel_shuffle' or 'deconv'"
            )
        if width % 2:
            raise ValueError(f"width {width} is odd; the last decoder layer has width / 2 channels")
        self.backbone = VGG16(width, pools=4, pretrained=pretrained)
        w = width
        self.center = DecoderBlock(8 * w, 16 * w, 4 * w, upsampling)
        self.decoder = nn.ModuleList(
            [
                DecoderBlock(4 * w + 8 * w, 16 * w, 4 * w, upsampling),
                DecoderBlock(4 * w + 4 * w, 8 * w, 2 * w, upsampling),
                DecoderBlock(2 * w + 2 * w, 4 * w, w, upsampling),
            ]
        )
        self.last = nn.Conv2d(w + w, w // 2, 3, padding=1)
        self.blur_skip = blur_skip
        self.skip_channels = w // 2
        self.head = nn.Conv2d(w // 2, 1, 1)

    def forward(self, x: Tensor, kernel: Tensor | None = None) -> SegmentationOutput:
        """Segment images; `kernel` (B, 441) is used by the blur skip only."""
        *encoded, deepest = self.backbone(pad_to_multiple(x, 16))
        features = self.center(deepest)  # (B, 4 width, H/8, W/8)
        for block in self.decoder:
            features = block(torch.cat([features, encoded.pop()], dim=1))
        features = torch.cat([features, encoded.pop()], dim=1)  # (B, 2 width, H, W)
        features = F.relu(self.last(features))
        features = apply_blur_skip(self.blur_skip, features, kernel)
        return SegmentationOutput(crop_to(probability(self.head(features)), x))
