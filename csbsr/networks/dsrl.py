"""DSRL (Wang et al. 2020): segmentation and super-resolution of one LR image, side by side."""

from itertools import pairwise
from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.networks.backbones import resnet101_dilated
from csbsr.networks.blocks import enlarge, probability
from csbsr.networks.deeplab import ASPP, Decoder
from csbsr.networks.segmentation import (
    apply_blur_skip,
    pad_to_multiple,
    refuse_single_image,
    resize,
)


class DSRLOutput(NamedTuple):
    """What DSRL returns, all at `scale` times the LR sides.

    `seg` (B, 1, sH, sW) is the crack probability (float32), `sr` (B, 3, sH, sW) the image;
    `fea_seg` and `fea_sr` (B, 3, sH, sW) are what the feature-affinity loss compares.
    """

    seg: Tensor
    sr: Tensor
    fea_seg: Tensor
    fea_sr: Tensor


class UpResidual(nn.Module):
    """Twice the sides by a transposed 2x2 convolution, then an EDSR-like residual block."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.conv1 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(outputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, 2h, 2w)."""
        x = self.up(x)
        return self.conv2(F.relu(self.conv1(x))) + self.skip(x)


class DSRL(nn.Module):
    """Dual super-resolution learning on DeepLabV3+ with ResNet-101 (Sec. IV-B-1, Table II).

    LR images (B, 3, H, W), in [0, 1] and not normalised -> `DSRLOutput` at `scale` (2 or 4) times
    the sides. `width` (64) scales every layer and must be divisible by 4. `pretrained` loads the
    backbone's ImageNet weights. `blur_skip` sees the `skip_channels` = 4 width features before the
    segmentation head, at H/4 x W/4; DSRL estimates no kernel, so the caller has to know it. Sides
    that are not multiples of 4 are padded and cropped back. `output_stride` is the LR image's side
    over that of the deepest features: 16 as released; 4 keeps a map worth pooling where LR images
    are small. `residual` adds the bicubically enlarged LR image to `sr` (both ours).
    ValueError for another scale, a width that is not divisible by 4, ImageNet weights that cannot
    be loaded, or a single image in training mode.
    """

    def __init__(
        self,
        scale: Literal[2, 4] = 4,
        width: int = 64,
        blur_skip: nn.Module | None = None,
        pretrained: bool = False,
        *,
        output_stride: Literal[16, 4] = 16,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if scale not in (2, 4):
            raise ValueError(f"DSRL magnifies 2 or 4 times, not {scale}")
        if width % 4:
            raise ValueError(f"DSRL's width {width} must be divisible by 4")
        w = width
        self.scale = scale
        self.residual = residual
        self.backbone = resnet101_dilated(w, pretrained=pretrained, output_stride=output_stride)
        early, *_, deep = self.backbone.channels
        self.aspp = ASPP(deep, 4 * w)
        self.seg_decoder = Decoder(4 * w, early, 3 * w // 4, (4 * w, 4 * w))
        self.blur_skip = blur_skip
        self.skip_channels = 4 * w
        self.seg_head = nn.Conv2d(4 * w, 1, 1)
        self.sr_decoder = Decoder(4 * w, early, 3 * w // 4, (4 * w, 2 * w))
        self.sr_entry = nn.Conv2d(2 * w, w, 1)
        widths = (w, w, w // 2, w // 4) if scale == 2 else (w, w, w, w // 2, w // 4)
        self.sr_ups = nn.Sequential(*(UpResidual(a, b) for a, b in pairwise(widths)))
        self.sr_head = nn.Conv2d(w // 4, 3, 1)
        self.affinity = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.ReLU())

    def forward(self, x: Tensor, kernel: Tensor | None = None) -> DSRLOutput:
        """Segment and magnify LR images; `kernel` (B, 441) is used by the blur skip only."""
        refuse_single_image(self, x)
        height, width = (self.scale * side for side in x.shape[-2:])
        padded = pad_to_multiple(x, 4)
        early, *_, deep = self.backbone(padded)  # (B, 4w, H/4, W/4), (B, 32w, H/16, W/16)
        deep = self.aspp(deep)  # (B, 4w, H/16, W/16)
        features = self.seg_decoder(deep, early)  # (B, 4w, H/4, W/4)
        features = apply_blur_skip(self.blur_skip, features, kernel)
        # As released: the sigmoid first, then two resizes, to LR sides and to `scale` times them.
        seg = probability(self.seg_head(features))
        for size in (1, self.scale):
            sides = (size * padded.shape[-2], size * padded.shape[-1])
            seg = resize(seg, sides, align_corners=True)
        sr = self.sr_entry(self.sr_decoder(deep, early))  # (B, w, H/4, W/4)
        sr = self.sr_head(self.sr_ups(sr))  # (B, 3, sH, sW)
        seg, sr = seg[..., :height, :width], sr[..., :height, :width]
        if self.residual:
            sr = sr + enlarge(x, self.scale)
        return DSRLOutput(seg, sr, self.affinity(seg), sr)
