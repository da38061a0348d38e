"""Building blocks that several networks share: outputs, convolutions, back-projection units."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F


class SegmentationOutput(NamedTuple):
    """What every segmentation network returns.

    `prob` is the crack probability (B, 1, H, W), float32 after the sigmoid; `aux` holds the
    probabilities of auxiliary heads (B, n, H, W), or None where the network has none.
    """

    prob: Tensor
    aux: Tensor | None = None


def full_precision(x: Tensor) -> Tensor:
    """Return x in float32, or unchanged if it is already float64 (as in the equality tests)."""
    return x if x.dtype == torch.float64 else x.float()


def probability(logits: Tensor) -> Tensor:
    """Return sigmoid(logits) in float32, whatever precision autocast gave the logits."""
    return torch.sigmoid(full_precision(logits))


def enlarge(x: Tensor, scale: int) -> Tensor:
    """Enlarge images (B, C, h, w) bicubically (a = -0.75) to `scale` times the sides, float32."""
    return F.interpolate(full_precision(x), scale_factor=float(scale), mode="bicubic")


def without_autocast(x: Tensor) -> torch.autocast:
    """Context in which operations keep the precision of their inputs, on the device of x."""
    device = "cpu" if x.device.type == "meta" else x.device.type  # meta tensors have no autocast
    return torch.autocast(device, enabled=False)


def check_image(x: Tensor, network: str, minimum: int = 1) -> None:
    """Raise ValueError unless x is a batch of RGB images of at least `minimum` pixels a side."""
    if x.ndim != 4 or x.shape[1] != 3:
        raise ValueError(
            f"{network}: expected images of shape (B, 3, h, w), got {tuple(x.shape)}; "
            "stack RGB images along a first axis"
        )
    if min(x.shape[2:]) < minimum:
        raise ValueError(
            f"{network}: images of {x.shape[2]}x{x.shape[3]} pixels are too small; "
            f"give at least {minimum} pixels a side"
        )


class SharedPReLU(nn.PReLU):
    """PReLU with one slope for all channels; values and gradients are torch's.

    On a CPU torch computes its gradient value by value (a seventh of a whole training step of
    KBPN + PSPNet); the leaky ReLU of the same slope is vectorised.
    """

    def __init__(self, init: float = 0.25) -> None:
        super().__init__(init=init)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation to features of any shape."""
        alike = x.device.type == "cpu" and x.dtype == self.weight.dtype
        if alike and not torch.compiler.is_compiling():
            return _LeakyReLU.apply(x, self.weight)
        return super().forward(x)


class _LeakyReLU(torch.autograd.Function):
    """Leaky ReLU whose slope, a tensor of one value, is learnt."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return F.leaky_relu(x, slope.item())

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, slope = ctx.saved_tensors
        to_x = to_slope = None
        if ctx.needs_input_grad[0]:
            to_x = torch.ops.aten.leaky_relu_backward(gradient, x, slope.item(), False)
        if ctx.needs_input_grad[1]:
            to_slope = x.clamp_max(0).mul_(gradient).sum().view_as(slope)
        return to_x, to_slope


def conv_prelu(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int | None = None,
    bias: bool = False,
    slope: float = 0.01,
    transposed: bool = False,
) -> nn.Sequential:
    """Convolution (or transposed convolution) followed by a PReLU with one shared slope.

    Without `padding` the output keeps the size of the input (odd kernel, stride 1).
    """
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    pad = kernel // 2 if padding is None else padding
    layer = kind(in_channels, out_channels, kernel, stride, pad, bias=bias)
    return nn.Sequential(layer, SharedPReLU(init=slope))


def resampling(
    in_channels: int, out_channels: int, scale: int, *, up: bool, bias: bool, slope: float
) -> nn.Sequential:
    """Strided (transposed) convolution that changes the size by exactly `scale`, then PReLU.

    Kernel scale + 4 and padding 2: 8x8 with stride 4 for the paper's scale.
    """
    return conv_prelu(
        in_channels,
        out_channels,
        scale + 4,
        stride=scale,
        padding=2,
        bias=bias,
        slope=slope,
        transposed=up,
    )


class Projection(nn.Module):
    """Back-projection unit of DBPN: resample, go back, correct by the resampled residual.

    (B, in_channels, h, w) -> (B, channels, h*scale, w*scale) if `up`, else divided by the scale.
    With `reduce` a 1x1 convolution first brings the concatenated inputs to `channels`.
    """

    def __init__(
        self,
        channels: int,
        *,
        up: bool,
        in_channels: int | None = None,
        scale: int = 4,
        bias: bool = False,
        reduce_bias: bool = True,
        slope: float = 0.01,
    ) -> None:
        super().__init__()
        self.reduce = (
            nn.Identity()
            if in_channels is None
            else conv_prelu(in_channels, channels, 1, bias=reduce_bias, slope=slope)
        )

        def resample(direction: bool) -> nn.Sequential:
            return resampling(channels, channels, scale, up=direction, bias=bias, slope=slope)

        self.first = resample(up)
        self.back = resample(not up)
        self.second = resample(up)

    def forward(self, x: Tensor) -> Tensor:
        """Project x to the other resolution."""
        x = self.reduce(x)
        estimate = self.first(x)
        residual = self.back(estimate) - x
        return estimate + self.second(residual)


def initialise(module: nn.Module) -> None:
    """Kaiming-normal weights (fan-in, ReLU gain) and zero biases for every convolution inside."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def parameter_count(module: nn.Module) -> int:
    """Number of trainable and frozen parameters of a module (buffers do not count)."""
    return sum(p.numel() for p in module.parameters())


Activation = Callable[[], nn.Module]
"""Maker of an activation layer; each call must return a new one."""
