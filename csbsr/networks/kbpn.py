"""KBPN, the blind super-resolution S of CSBSR (Sec. III-A): back-projection with a blur kernel.

Every stage compares the LR image with its own SR image blurred by the estimated kernel, projects
the difference back up, and refines the kernel. The kernel is one vector per sample throughout;
where a convolution wants it as a constant map, `constant_maps` gives the same numbers for less.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.degradation import blur, downsample
from csbsr.networks.blocks import (
    Projection,
    check_image,
    enlarge,
    full_precision,
    initialise,
    resampling,
    without_autocast,
)
from csbsr.networks.constant_maps import SFT, constant_map, kernel_vector
from csbsr.networks.kernel_heads import (
    SIDE,
    ConvHead,
    KernelUpdater,
    LogEnergyHead,
    normalise_kernel,
)


class KBPNOutput(NamedTuple):
    """`sr` (B, 3, s*h, s*w), float32, not clamped; `kernel_map` (B, 441, h, w).

    The kernel map is the estimate K^P, sum 1, shown at every pixel (a view, not a copy).
    """

    sr: Tensor
    kernel_map: Tensor


def blur_and_decimate(images: Tensor, kernel: Tensor, scale: int) -> Tensor:
    """Blur each image by its kernel and keep every scale-th pixel, as one grouped convolution.

    images (B, C, H, W), kernel (B, 441) -> (B, C, H/scale, W/scale), in full precision.
    """
    batch, channels, height, width = images.shape
    weight = kernel.view(batch, 1, 1, SIDE, SIDE).expand(-1, channels, -1, -1, -1)
    with without_autocast(images):
        low = F.conv2d(
            full_precision(images).reshape(1, batch * channels, height, width),
            weight.reshape(batch * channels, 1, SIDE, SIDE),
            stride=scale,
            padding=SIDE // 2,
            groups=batch * channels,
        )
    return low.view(batch, channels, *low.shape[2:])


class Feedback(NamedTuple):
    """How KBPN reduces its own SR image before it compares it with the LR image.

    "released": every scale-th pixel of the blurred image, with zeros around it. "aligned": as the
    data are made, Eq. (1), with their padding and their bicubic reduction; then the true image
    and the true kernel leave no error, which with "released" they do (the grids are 1.5 pixels
    apart).
    """

    grid: Literal["released", "aligned"] = "released"
    padding: Literal["zeros", "reflect"] = "zeros"
    antialias: bool = True

    def reduce(self, images: Tensor, kernel: Tensor, scale: int) -> Tensor:
        """images (B, C, H, W), kernel (B, 441) -> (B, C, H/scale, W/scale), full precision."""
        if self.grid == "released":
            return blur_and_decimate(images, kernel, scale)
        square = kernel.view(-1, 1, SIDE, SIDE)
        return downsample(blur(images, square, self.padding), scale, self.antialias)


AS_RELEASED = Feedback()


class Stage(nn.Module):
    """Stage t: up-projection, SR image, kernel update, error correction, and the way back down.

    The last stage has no way down: its `down` and `sft` are None.
    """

    def __init__(
        self,
        stage: int,
        width: int,
        *,
        scale: int,
        last: bool,
        estimated_kernel: int,
        update_kernel: bool,
        updater_width: int,
        sft: bool,
        sft_hidden: int | None,
        plain: bool,
        feedback: Feedback,
    ) -> None:
        super().__init__()
        self.scale, self.feedback = scale, feedback
        low = max(stage - 1, 1) * width
        self.up = Projection(width, up=True, in_channels=low, scale=scale)
        self.sr_head = nn.Conv2d(stage * width, 3, 3, padding=1, bias=False)
        self.updater = (
            KernelUpdater(estimated_kernel, updater_width, plain=plain) if update_kernel else None
        )
        self.error_up = resampling(3, width, scale, up=True, bias=False, slope=0.01)
        self.down = self.sft = None
        if last:
            return
        self.down = Projection(width, up=False, in_channels=stage * width, scale=scale)
        if sft:
            self.sft = SFT(
                stage * width,
                SIDE * SIDE,
                activation=lambda: nn.LeakyReLU(0.1),
                hidden=sft_hidden,
                plain=plain,
            )

    def rise(
        self, low: Tensor, high: Tensor | None, x: Tensor, kernel: Tensor, update: bool
    ) -> tuple[Tensor, Tensor]:
        """Return all high-resolution maps (B, C*t, H, W) and the kernel (B, 441) of this stage."""
        new = self.up(low)  # (B, C, H, W)
        sr = self.sr_head(new if high is None else torch.cat((high, new), 1))  # (B, 3, H, W)
        if update and self.updater is not None:
            kernel = kernel + self.updater(sr, kernel)
        kernel = normalise_kernel(kernel)
        error = self.feedback.reduce(sr, kernel, self.scale) - x  # (B, 3, h, w)
        new = new + self.error_up(error)
        return (new if high is None else torch.cat((high, new), 1)), kernel

    def fall(self, high: Tensor, low: Tensor | None) -> Tensor:
        """Return all low-resolution maps (B, C*t, h, w), oldest first."""
        new = self.down(high)
        return new if low is None else torch.cat((low, new), 1)


class KBPN(nn.Module):
    """KBPN; LR image (B, 3, h, w) in [0, 1], any size -> `KBPNOutput`.

    `estimated_kernel` is the side at which the kernel is estimated before it is resized to 21
    (paper: 21, released: 7). `kernel_head` is "released" (features, global mean) or "log_energy"
    (from the image itself, see `LogEnergyHead`), which learns the kernel in a short training and
    by default has no updates after it. `sft` and `update_kernel` switch those parts; `sft_hidden`
    and `updater_width` narrow them. `feedback` says how it looks back (see `Feedback`). `plain`
    computes every constant map at full size: the same parameters and numbers, only slower.
    ValueError for sizes that make no network.
    """

    def __init__(
        self,
        width: int = 128,
        stages: int = 4,
        *,
        estimated_kernel: int = 21,
        kernel_head: Literal["released", "log_energy"] = "released",
        scale: int = 4,
        sft: bool = True,
        sft_hidden: int | None = None,
        update_kernel: bool | None = None,
        updater_width: int = 32,
        residual: bool = True,
        plain: bool = False,
        feedback: Feedback = AS_RELEASED,
    ) -> None:
        super().__init__()
        _check_options(width, stages, estimated_kernel, kernel_head)
        self.scale, self.residual = scale, residual
        channels = (3, width // 2, width // 2, width, width)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        from_image = kernel_head == "log_energy"
        updates = not from_image if update_kernel is None else update_kernel
        self.kernel_head = LogEnergyHead() if from_image else ConvHead(width, estimated_kernel)
        self.stages = nn.ModuleList(
            Stage(
                t,
                width,
                scale=scale,
                last=t == stages,
                estimated_kernel=estimated_kernel,
                update_kernel=updates,
                updater_width=updater_width,
                sft=sft,
                sft_hidden=sft_hidden,
                plain=plain,
                feedback=feedback,
            )
            for t in range(1, stages + 1)
        )
        self.output = nn.Conv2d(stages * width, 3, 3, padding=1, bias=False)
        initialise(self)
        if from_image:  # a good first estimate must not be drowned by untrained updates
            self.kernel_head.reset()
            for stage in self.stages:
                if stage.updater is not None:
                    stage.updater.damp(1e-3)

    def forward(self, x: Tensor, kernel: Tensor | None = None) -> KBPNOutput:
        """Super-resolve x; a given kernel (B, 1, 21, 21) replaces every estimate (SR-only phase).

        ValueError if x is not a batch of RGB images or the kernel's shape is not understood.
        """
        check_image(x, "KBPN")
        features = self.features(x)  # (B, C, h, w)
        if kernel is None:
            vector = self.kernel_head(x, features)  # (B, 441)
        else:
            vector = full_precision(kernel_vector(kernel))
        low, lows, high = features, None, None
        for stage in self.stages:
            high, vector = stage.rise(low, high, x, vector, update=kernel is None)
            if stage.down is not None:
                lows = stage.fall(high, lows)  # stays unmodulated for the next concatenation
                low = lows if stage.sft is None else stage.sft(lows, vector)
        sr = full_precision(self.output(high))
        if self.residual:
            sr = sr + enlarge(x, self.scale)
        return KBPNOutput(sr, constant_map(vector, *x.shape[2:]))

    def estimate_kernel(self, x: Tensor) -> Tensor:
        """The kernel (B, 1, 21, 21) of LR images x, without super-resolving where nothing needs it.

        Equal to the kernel of `forward`.
        """
        if any(stage.updater is not None for stage in self.stages):
            return self(x).kernel_map[:, :, 0, 0].unflatten(1, (1, SIDE, SIDE))
        check_image(x, "KBPN")
        looks_at_features = isinstance(self.kernel_head, ConvHead)
        vector = self.kernel_head(x, self.features(x) if looks_at_features else x)
        return normalise_kernel(vector).unflatten(1, (1, SIDE, SIDE))

    def kernel_modules(self) -> nn.ModuleList:
        """The modules that estimate the kernel: all that learns in the kernel stage."""
        updaters = [stage.updater for stage in self.stages if stage.updater is not None]
        return nn.ModuleList([self.kernel_head, *updaters])

    def kernel_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that estimate the kernel: all that trains in the kernel-only phase."""
        yield from self.kernel_modules().parameters()


def _check_options(width: int, stages: int, estimated_kernel: int, kernel_head: str) -> None:
    if width < 2 or width % 2 or stages < 1:
        raise ValueError(f"KBPN: width {width}, stages {stages}; give an even width, stages >= 1")
    if not 1 <= estimated_kernel <= SIDE:
        raise ValueError(
            f"KBPN: estimated_kernel {estimated_kernel} is outside 1..{SIDE}; try 21 or 7"
        )
    if kernel_head not in ("released", "log_energy"):
        raise ValueError(f"KBPN: kernel_head '{kernel_head}' is not 'released' or 'log_energy'")
