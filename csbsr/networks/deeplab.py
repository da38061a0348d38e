"""The parts of DeepLabV3+ (Chen et al. 2018) that DSRL builds on: ASPP and the decoder."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from csbsr.networks.segmentation import resize


def atrous(inputs: int, outputs: int, dilation: int | None) -> nn.Sequential:
    """Chain convolution, batch norm and ReLU; 1x1 without a dilation, else 3x3."""
    size, padding = (1, 0) if dilation is None else (3, dilation)
    conv = nn.Conv2d(inputs, outputs, size, padding=padding, dilation=dilation or 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: five fields of view side by side.

    Features (B, inputs, h, w) -> (B, outputs, h, w): a 1x1 convolution, one 3x3 convolution per
    dilation, and the image's mean, concatenated and mixed. In training mode the batch norm of the
    mean needs two images or more.
    """

    def __init__(self, inputs: int, outputs: int, dilations: Sequence[int] = (6, 12, 18)) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            atrous(inputs, outputs, dilation) for dilation in (None, *dilations)
        )
        self.mean = atrous(inputs, outputs, None)
        self.mix = atrous(outputs * (len(dilations) + 2), outputs, None)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixed fields of view."""
        views = [branch(x) for branch in self.branches]
        mean = self.mean(x.mean((2, 3), keepdim=True))  # (B, outputs, 1, 1)
        views.append(mean.expand_as(views[0]))
        return self.dropout(self.mix(torch.cat(views, dim=1)))


class Decoder(nn.Module):
    """Join deep and early features at a quarter of the resolution; two 3x3 convolutions.

    `middle` gives the channels of the two convolutions. Deep features (B, deep, h, w) and early
    ones (B, early, H/4, W/4) -> (B, middle[1], H/4, W/4). `early` features are first reduced to
    `reduced` channels, that they do not outweigh the deep ones.
    """

    def __init__(self, deep: int, early: int, reduced: int, middle: tuple[int, int]) -> None:
        super().__init__()
        self.reduce = atrous(early, reduced, None)
        self.conv1 = atrous(deep + reduced, middle[0], 1)
        self.dropout1 = nn.Dropout(0.5)
        self.conv2 = atrous(middle[0], middle[1], 1)
        self.dropout2 = nn.Dropout(0.1)

    def forward(self, deep: Tensor, early: Tensor) -> Tensor:
        """Return the joined features."""
        early = self.reduce(early)
        deep = resize(deep, early.shape[-2:], align_corners=True)
        joined = self.dropout1(self.conv1(torch.cat([deep, early], dim=1)))
        return self.dropout2(self.conv2(joined))
