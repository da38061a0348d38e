"""SrcNet's super-resolution network (comparison method of Table II): residual channel attention."""

from typing import NamedTuple

from torch import Tensor, nn

from csbsr.networks.blocks import check_image, enlarge, full_precision


class SrcNetSROutput(NamedTuple):
    """`sr`: super-resolved image (B, 3, s*h, s*w), float32, not clamped."""

    sr: Tensor


class AttentionBlock(nn.Module):
    """conv-ReLU-conv, weighted per channel by global attention; no skip inside, as released."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, width // 2, 1),
            nn.Sigmoid(),
            nn.Conv2d(width // 2, width, 1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        body = self.body(x)
        return body * self.attention(body)


class ResidualGroup(nn.Module):
    """Layers followed by a 3x3 convolution, with a skip around both."""

    def __init__(self, width: int, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return x + self.conv(self.layers(x))


class SrcNetSR(nn.Module):
    """SR network of SrcNet: LR image (B, 3, h, w) in [0, 1], any size -> `SrcNetSROutput`.

    Residual in residual: `groups` groups of `blocks` attention blocks, `width` channels, then one
    transposed convolution to 4 * width channels at the high resolution. `residual` adds the
    bicubically enlarged image, which the released network does not (ours, for short trainings).
    """

    def __init__(
        self,
        width: int = 64,
        groups: int = 10,
        blocks: int = 20,
        *,
        scale: int = 4,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if width < 2 or groups < 1 or blocks < 1:
            raise ValueError(
                f"SrcNetSR: width {width}, groups {groups}, blocks {blocks}; "
                "give a width of at least 2 and at least one group and block"
            )
        self.scale, self.residual = scale, residual
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.body = ResidualGroup(
            width,
            [
                ResidualGroup(width, [AttentionBlock(width) for _ in range(blocks)])
                for _ in range(groups)
            ],
        )
        self.up = nn.ConvTranspose2d(width, 4 * width, scale + 4, scale, 2)
        self.output = nn.Conv2d(4 * width, 3, 3, padding=1)

    def forward(self, x: Tensor) -> SrcNetSROutput:
        """Super-resolve LR images."""
        check_image(x, "SrcNetSR")
        high = self.up(self.body(self.head(x)))  # (B, 4C, H, W)
        sr = full_precision(self.output(high))
        return SrcNetSROutput(sr + enlarge(x, self.scale) if self.residual else sr)
