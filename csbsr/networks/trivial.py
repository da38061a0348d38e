"""What a trained network has to beat: bicubic enlargement, and darkness as a sign of cracks."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.networks.blocks import SegmentationOutput, check_image, enlarge, full_precision
from csbsr.networks.segmentation import resize

FINE, COARSE = 1.5, 20.0
"""Standard deviations in HR pixels between which a crack is darker than its surroundings."""


class BicubicOutput(NamedTuple):
    """`sr`: enlarged image (B, 3, s*h, s*w), float32, not clamped."""

    sr: Tensor


class Bicubic(nn.Module):
    """Super-resolution without learning: LR image (B, 3, h, w) -> `BicubicOutput`."""

    def __init__(self, scale: int = 4) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> BicubicOutput:
        """Enlarge LR images."""
        check_image(x, "Bicubic")
        return BicubicOutput(enlarge(x, self.scale))


class Enlarged(nn.Module):
    """A segmentation network on LR images whose logits are enlarged to HR bilinearly.

    (B, 3, h, w) -> probabilities at (scale h, scale w): segmentation first, enlargement after.
    """

    def __init__(self, network: nn.Module, scale: int = 4) -> None:
        super().__init__()
        self.network, self.scale = network, scale

    def forward(self, image: Tensor, kernel: Tensor | None = None) -> SegmentationOutput:
        """Segment LR images; `kernel` as the network takes it."""
        size = (self.scale * image.shape[2], self.scale * image.shape[3])
        prob, aux = self.network(image, kernel)

        def enlarged(maps: Tensor) -> Tensor:
            return torch.sigmoid(resize(torch.logit(maps, eps=1e-6), size))

        return SegmentationOutput(enlarged(prob), None if aux is None else enlarged(aux))


class Darkness(nn.Module):
    """How much darker a pixel is than its surroundings: image (B, 3, H, W) -> probability.

    The grey image blurred by `COARSE` minus that blurred by `FINE`, in units of its own standard
    deviation per image, a fifth of it cut to [0, 1]. Nothing is learnt. With `otsu` the map is
    binarised at Otsu's threshold of each image instead.
    """

    def __init__(self, otsu: bool = False) -> None:
        super().__init__()
        self.otsu = otsu

    def forward(self, image: Tensor, kernel: Tensor | None = None) -> SegmentationOutput:
        """Segment images in any linear normalisation; `kernel` is not used."""
        check_image(image, "Darkness")
        grey = full_precision(image).mean(1, keepdim=True)  # (B, 1, H, W)
        dark = gaussian_blur(grey, COARSE) - gaussian_blur(grey, FINE)
        dark = dark / dark.std((1, 2, 3), keepdim=True).clamp(min=1e-6)
        prob = (dark / 5).clamp(0, 1)
        if self.otsu:
            prob = torch.stack([(p > otsu_threshold(p)).to(p.dtype) for p in prob])
        return SegmentationOutput(prob)


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur images (B, 1, H, W) by a Gaussian of `sigma` pixels, edges repeated, in two passes."""
    reach = min(int(3 * sigma + 0.5), *(side - 1 for side in images.shape[2:]))
    x = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    line = torch.exp(-0.5 * (x / sigma) ** 2)
    line = line / line.sum()
    padded = F.pad(images, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))


def otsu_threshold(values: Tensor, bins: int = 256) -> float:
    """The threshold in [0, 1] that parts values in [0, 1] with the largest variance between.

    Of several equally good ones the lowest; 1 where all values are equal (nothing stands out).
    """
    counts = torch.histc(values, bins, 0, 1).double()
    centres = (torch.arange(bins, dtype=torch.float64) + 0.5) / bins
    below = counts.cumsum(0)
    above = counts.sum() - below
    mass = (counts * centres).cumsum(0)
    mean_below = mass / below.clamp(min=1)
    mean_above = (mass[-1] - mass) / above.clamp(min=1)
    between = below * above * (mean_below - mean_above) ** 2
    if not bool((between > 0).any()):
        return 1.0
    return float((between.argmax() + 1) / bins)
