"""Convolutions of spatially constant maps, exactly, at a fraction of the work.

A blur kernel conditions a network as a map whose pixels are all the same vector. Zero padding is
all that makes its convolution vary: after d layers of 3x3 convolutions only the d outermost rows
and columns differ from the inside. So the layers run on a *canvas*, the smallest image that has
every border class, (2d + 1) x (2d + 1), and the middle row and column of the result are repeated.
Outputs and gradients equal those of the full-size maps up to rounding.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.networks.blocks import Activation, full_precision, without_autocast


def kernel_vector(kernel: Tensor, side: int = 21) -> Tensor:
    """Return a blur kernel, in any of its forms, as one vector per sample (B, side * side).

    Accepts (B, side**2), (B, 1, side, side) and spatially constant maps (B, side**2, h, w);
    other shapes raise ValueError.
    """
    if kernel.ndim == 2 and kernel.shape[1] == side * side:
        return kernel
    if kernel.ndim == 4 and kernel.shape[1:] == (1, side, side):
        return kernel.flatten(1)
    if kernel.ndim == 4 and kernel.shape[1] == side * side:
        return kernel.mean((2, 3))
    raise ValueError(
        f"blur kernel: shape {tuple(kernel.shape)} is not understood; give (B, 1, {side}, {side}), "
        f"(B, {side * side}) or a constant map (B, {side * side}, h, w)"
    )


def constant_map(vector: Tensor, height: int, width: int) -> Tensor:
    """Show a vector per sample (B, K) as a constant map (B, K, height, width), without a copy."""
    return vector[:, :, None, None].expand(-1, -1, height, width)


def canvas_of(vector: Tensor, height: int, width: int, depth: int) -> Tensor:
    """Constant map (B, K, n, m), just large enough for `depth` layers of 3x3 convolutions."""
    side = 2 * depth + 1
    return constant_map(vector, min(height, side), min(width, side))


def expand_canvas(canvas: Tensor, height: int, width: int) -> Tensor:
    """Repeat the middle row and column of a canvas (B, C, n, m) until it is height x width."""
    return _repeat_middle(_repeat_middle(canvas, height, 2), width, 3)


def _repeat_middle(x: Tensor, size: int, dim: int) -> Tensor:
    have = x.shape[dim]
    if have == size:
        return x
    middle = have // 2
    shape = list(x.shape)
    shape[dim] = size - have + 1
    return torch.cat(
        (
            x.narrow(dim, 0, middle),
            x.narrow(dim, middle, 1).expand(shape),
            x.narrow(dim, middle + 1, have - middle - 1),
        ),
        dim,
    )


def conv_with_constant(features: Tensor, vector: Tensor, conv: nn.Conv2d) -> Tensor:
    """3x3 convolution of cat(features, constant map of `vector`), zero-padded.

    features (B, C, H, W), vector (B, K), conv with C + K inputs -> (B, O, H, W). The constant
    part runs on a 3x3 canvas.
    """
    height, width = features.shape[2:]
    ours, theirs = conv.weight.split((features.shape[1], vector.shape[1]), 1)
    canvas = F.conv2d(canvas_of(vector, height, width, 1), theirs, conv.bias, padding=1)
    return F.conv2d(features, ours, padding=1) + expand_canvas(canvas, height, width)


def mean_of_conv(x: Tensor, weight: Tensor) -> Tensor:
    """Spatial mean of a zero-padded 3x3 convolution, from nine window sums instead of the map.

    x (B, C, H, W), weight (O, C, 3, 3) -> (B, O), float32 also under autocast.
    """
    height, width = x.shape[2:]
    with without_autocast(x):
        windows = _window_sums(_window_sums(full_precision(x), 2), 3)  # (B, C, 3, 3)
        return F.linear(windows.flatten(1), weight.flatten(1)) / (height * width)


def _window_sums(x: Tensor, dim: int) -> Tensor:
    """Sums along `dim` of what the three taps of a zero-padded convolution see."""
    total, last = x.sum(dim), x.shape[dim] - 1
    return torch.stack((total - x.select(dim, last), total, total - x.select(dim, 0)), dim)


class SFTBranch(nn.Module):
    """Two 3x3 convolutions that turn features and a constant condition into one modulation map."""

    def __init__(
        self,
        channels: int,
        condition: int,
        hidden: int,
        activation: Activation,
        *,
        sees_features: bool,
        plain: bool,
    ) -> None:
        super().__init__()
        inputs = channels + condition if sees_features else condition
        self.first = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.act = activation()
        self.second = nn.Conv2d(hidden, channels, 3, padding=1)
        self.sees_features, self.plain = sees_features, plain

    def forward(self, features: Tensor, vector: Tensor) -> Tensor:
        """features (B, C, H, W), vector (B, K) -> (B, C, H, W)."""
        height, width = features.shape[2:]
        if self.plain:
            condition = constant_map(vector, height, width)
            if self.sees_features:
                condition = torch.cat((features, condition), 1)
            return self.second(self.act(self.first(condition)))
        if self.sees_features:
            return self.second(self.act(conv_with_constant(features, vector, self.first)))
        canvas = canvas_of(vector, height, width, 2)  # (B, K, 5, 5)
        return expand_canvas(self.second(self.act(self.first(canvas))), height, width)


class SFT(nn.Module):
    """Spatial feature transform by a spatially constant condition: F * sigmoid(scale) + shift.

    The modified SFT of the paper (Sec. III-D) sees the features beside the condition; the
    original one sees the condition alone. `plain` computes the full-size constant maps, for
    comparison. Hidden layers are as wide as the input unless `hidden` says otherwise.
    """

    def __init__(
        self,
        channels: int,
        condition: int,
        *,
        activation: Activation,
        hidden: int | None = None,
        sees_features: bool = True,
        plain: bool = False,
    ) -> None:
        super().__init__()
        inner = hidden or (channels + condition if sees_features else condition)

        def branch() -> SFTBranch:
            return SFTBranch(
                channels, condition, inner, activation, sees_features=sees_features, plain=plain
            )

        self.scale = branch()
        self.shift = branch()

    def forward(self, features: Tensor, vector: Tensor) -> Tensor:
        """features (B, C, H, W), vector (B, K) -> modulated features (B, C, H, W)."""
        scale = torch.sigmoid(self.scale(features, vector))
        return features * scale + self.shift(features, vector)
