"""The blur skip (Sec. III-D): the estimated blur kernel modulates the segmentation features."""

from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.networks.blocks import SharedPReLU
from csbsr.networks.constant_maps import SFT, kernel_vector


class BlurSkip(nn.Module):
    """F' = F + G(F, K): `repeats` times [SFT by the kernel, 3x3 convolution, BN, ReLU].

    Goes before the last 1x1 convolution of any segmentation network; `channels` is the width of
    the features there. The `modified` SFT, the paper's, sees features and kernel; the original
    one sees the kernel alone. `kernel_size` below 21 shrinks the kernel first (7 in the authors'
    reduced variant). `plain` computes constant maps at full size, for comparison.
    """

    def __init__(
        self,
        channels: int = 64,
        *,
        modified: bool = True,
        kernel_size: int = 21,
        hidden: int | None = None,
        repeats: int = 2,
        plain: bool = False,
    ) -> None:
        super().__init__()
        self.side = kernel_size
        self.sft = nn.ModuleList(
            SFT(
                channels,
                kernel_size**2,
                activation=SharedPReLU,
                hidden=hidden,
                sees_features=modified,
                plain=plain,
            )
            for _ in range(repeats)
        )
        self.conv = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            )
            for _ in range(repeats)
        )

    def forward(self, features: Tensor, kernel: Tensor) -> Tensor:
        """features (B, C, H, W), kernel (B, 441) or any form of it -> features (B, C, H, W)."""
        vector = kernel_vector(kernel)
        if self.side != 21:
            square = vector.view(-1, 1, 21, 21)
            square = F.interpolate(
                square, size=(self.side, self.side), mode="bicubic", align_corners=True
            )
            vector = square.flatten(1)
        out = features
        for sft, conv in zip(self.sft, self.conv):
            out = conv(sft(out, vector))
        return features + out
