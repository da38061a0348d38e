"""SegNet on VGG-16 with batch norm (Badrinarayanan et al. 2017): SrcNet's segmentation network."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.networks.blocks import SegmentationOutput, probability
from csbsr.networks.segmentation import apply_blur_skip, crop_to, pad_to_multiple


class ConvNorm(nn.Module):
    """3x3 convolution and batch norm, without the activation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, h, w)."""
        return self.norm(self.conv(x))


def conv_block(channels: Sequence[int]) -> nn.Sequential:
    """Chain one `ConvNorm` with ReLU per step from channels[0] to channels[-1]."""
    steps = pairwise(channels)
    return nn.Sequential(*(nn.Sequential(ConvNorm(a, b), nn.ReLU()) for a, b in steps))


class SegNet(nn.Module):
    """Crack segmentation by SegNet, as in SrcNet (Sec. IV-B-1).

    Thirteen convolutions down and thirteen up; the decoder puts each value back where max pooling
    took it from and has no other connection to the encoder. Not pre-trained. `width` (64) scales
    every layer. Images (B, 3, H, W) -> prob (B, 1, H, W), aux None. `blur_skip` sees the last
    `skip_channels` = width features at H x W. Sides that are not multiples of 32 are padded and
    cropped back.
    """

    def __init__(self, width: int = 64, blur_skip: nn.Module | None = None) -> None:
        super().__init__()
        w = width
        self.encoder = nn.ModuleList(
            conv_block(channels)
            for channels in (
                (3, w, w),
                (w, 2 * w, 2 * w),
                (2 * w, 4 * w, 4 * w, 4 * w),
                (4 * w, 8 * w, 8 * w, 8 * w),
                (8 * w, 8 * w, 8 * w, 8 * w),
            )
        )
        self.decoder = nn.ModuleList(
            conv_block(channels)
            for channels in (
                (8 * w, 8 * w, 8 * w, 8 * w),
                (8 * w, 8 * w, 8 * w, 4 * w),
                (4 * w, 4 * w, 4 * w, 2 * w),
                (2 * w, 2 * w, w),
                (w, w),
            )
        )
        self.blur_skip = blur_skip
        self.skip_channels = w
        self.head = nn.Conv2d(w, 1, 3, padding=1)
        self.head_norm = nn.BatchNorm2d(1)  # released but never applied: its weights stay unused

    def forward(self, x: Tensor, kernel: Tensor | None = None) -> SegmentationOutput:
        """Segment images; `kernel` (B, 441) is used by the blur skip only."""
        features = pad_to_multiple(x, 32)
        places: list[Tensor] = []
        for block in self.encoder:
            features, place = F.max_pool2d(block(features), 2, return_indices=True)
            places.append(place)  # (B, C, h/2, w/2), of int64
        for block in self.decoder:
            features = block(F.max_unpool2d(features, places.pop(), 2))  # (B, C', h, w)
        features = apply_blur_skip(self.blur_skip, features, kernel)
        return SegmentationOutput(crop_to(probability(self.head(features)), x))
