"""DBPN, the non-blind super-resolution of CSSR (Sec. IV-B): dense deep back-projection."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from csbsr.networks.blocks import (
    Projection,
    check_image,
    conv_prelu,
    enlarge,
    full_precision,
    initialise,
)


class DBPNOutput(NamedTuple):
    """`sr`: super-resolved image (B, 3, s*h, s*w), float32, not clamped."""

    sr: Tensor


class DBPN(nn.Module):
    """Dense DBPN with `stages` up- and stages - 1 down-projections.

    LR image (B, 3, h, w) in [0, 1], any size -> `DBPNOutput`. The released network has 4 stages,
    64 channels and no bicubic residual; `residual` adds one, for short trainings.
    """

    def __init__(
        self,
        width: int = 64,
        stages: int = 4,
        *,
        feature_width: int | None = None,
        scale: int = 4,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if stages < 1:
            raise ValueError(f"DBPN: stages is {stages}; give at least 1")
        wide = 4 * width if feature_width is None else feature_width
        self.scale, self.residual = scale, residual
        self.features = nn.Sequential(
            conv_prelu(3, wide, 3, bias=True, slope=0.25),
            conv_prelu(wide, width, 1, bias=True, slope=0.25),
        )

        def projection(inputs: int, up: bool) -> Projection:
            # the first units take one map as it is, later ones the concatenation of all
            return Projection(
                width,
                up=up,
                in_channels=inputs * width if inputs > 1 else None,
                scale=scale,
                bias=True,
                slope=0.25,
            )

        self.up = nn.ModuleDict({str(t): projection(t - 1, True) for t in range(1, stages + 1)})
        self.down = nn.ModuleDict({str(t): projection(t, False) for t in range(1, stages)})
        self.output = nn.Conv2d(stages * width, 3, 3, padding=1)
        initialise(self)

    def forward(self, x: Tensor) -> DBPNOutput:
        """Super-resolve LR images."""
        check_image(x, "DBPN")
        low = self.features(x)  # (B, C, h, w), then all low-resolution maps, newest first
        high = self.up["1"](low)  # (B, C, H, W), then all high-resolution maps, newest first
        for t, down in self.down.items():
            new = down(high)
            low = new if t == "1" else torch.cat((new, low), 1)
            high = torch.cat((self.up[str(int(t) + 1)](low), high), 1)
        sr = full_precision(self.output(high))
        if self.residual:
            sr = sr + enlarge(x, self.scale)
        return DBPNOutput(sr)
