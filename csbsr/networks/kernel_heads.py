"""How KBPN estimates a blur kernel: two initial estimators and the update of each stage."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.networks.blocks import check_image, conv_prelu, full_precision, without_autocast
from csbsr.networks.constant_maps import canvas_of, constant_map, expand_canvas, mean_of_conv

SIDE = 21
"""Side of the blur kernel K."""


def normalise_kernel(kernel: Tensor) -> Tensor:
    """Divide kernels (B, K) by their sums, in full precision; values may stay negative."""
    kernel = full_precision(kernel)
    return kernel / kernel.sum(1, keepdim=True)


def resize_kernel(kernel: Tensor, side: int, *, to: int = SIDE) -> Tensor:
    """Resize kernels (B, side**2) to (B, to**2) by bicubic interpolation; sums change."""
    if side == to:
        return kernel
    square = full_precision(kernel).view(-1, 1, side, side)
    return F.interpolate(square, size=(to, to), mode="bicubic").flatten(1)


class ConvHead(nn.Module):
    """Initial kernel as released: three convolutions on the features and a global mean.

    features (B, C, h, w) -> kernel (B, 441), sum 1, signed. The image itself is not looked at.
    """

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__()
        self.side = kernel_size
        self.layers = nn.Sequential(
            conv_prelu(width, width, 3),
            conv_prelu(width, width, 3),
            conv_prelu(width, kernel_size**2, 3),
        )

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """Estimate the kernels of the images whose features are given."""
        vector = full_precision(self.layers(features)).mean((2, 3))  # (B, side**2)
        return normalise_kernel(resize_kernel(vector, self.side))


class LogEnergyHead(nn.Module):
    """Initial kernel from the spectrum of the image: instance norm, filters, log energy, MLP.

    image (B, 3, h, w) -> kernel (B, 441), positive, sum 1. A blur scales the energy in each
    frequency band, so the logarithm of a filter's mean square is nearly linear in the kernel,
    while a mean of rectified features says little about it (not in the paper; for short
    trainings). The softmax starts at a mean Gaussian kernel.
    """

    def __init__(self, width: int = 32, hidden: int = 128) -> None:
        super().__init__()
        self.filters = nn.Sequential(
            nn.Conv2d(3, width, 5, padding=2),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.LeakyReLU(0.1), nn.Linear(hidden, SIDE**2)
        )
        self.reset()

    def reset(self) -> None:
        """Set the last layer such that every image starts near the mean kernel."""
        nn.init.normal_(self.mlp[-1].weight, std=1e-2)
        with torch.no_grad():
            self.mlp[-1].bias.copy_(_mean_gaussian().log())

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """Estimate the kernels of images x; ValueError where a side is below 2 pixels."""
        check_image(x, "LogEnergyHead", minimum=2)
        maps = self.filters(F.instance_norm(full_precision(x)))  # (B, width, h, w)
        with without_autocast(x):
            energy = full_precision(maps).square().mean((2, 3))
            return self.mlp((energy + 1e-6).log()).softmax(1)  # (B, 441)


def _mean_gaussian(smallest: float = 0.2, largest: float = 4.0, steps: int = 39) -> Tensor:
    """Mean of isotropic Gaussian kernels (441,) over standard deviations in the paper's range."""
    grid = torch.arange(SIDE) - SIDE // 2
    squares = (grid[:, None] ** 2 + grid**2).flatten()  # (441,)
    sigma = torch.linspace(smallest, largest, steps)[:, None]
    kernels = torch.exp(-squares / (2 * sigma**2))  # (steps, 441)
    return (kernels / kernels.sum(1, keepdim=True)).mean(0) + 1e-6


class KernelUpdater(nn.Module):
    """Correction of the kernel from the SR image of a stage and the kernel so far.

    sr (B, 3, H, W), kernel (B, 441) -> correction (B, 441), float32. The kernel's branch is
    constant but for its border, so it runs on a 5x5 canvas; the last convolution is followed by
    a global mean, so it needs only window sums. With `plain` both run at full size.
    """

    def __init__(self, kernel_size: int = 21, width: int = 32, *, plain: bool = False) -> None:
        super().__init__()
        values = kernel_size**2
        self.side, self.plain = kernel_size, plain
        self.image = _convs((3, values, width, width, width, values), (3, 1, 3, 3, 3))
        self.kernel = _convs((SIDE**2, values, values), (3, 3))
        self.joint = _convs((2 * values, width, width, values), (1, 3, 3))

    def damp(self, factor: float) -> None:
        """Multiply the last layer's weights by `factor`, so that early corrections are small."""
        with torch.no_grad():
            self.joint[-1].weight.mul_(factor)

    def forward(self, sr: Tensor, kernel: Tensor) -> Tensor:
        """Return the correction to be added to the kernel."""
        height, width = sr.shape[2:]
        image = F.relu(self.image[0](sr))
        for conv in self.image[1:]:
            image = F.leaky_relu(conv(image))  # (B, k*k, H, W) after the last
        if self.plain:
            condition = self._condition(constant_map(kernel, height, width))
            joint = self.joint[0](torch.cat((image, condition), 1))
        else:
            condition = self._condition(canvas_of(kernel, height, width, depth=2))
            ours, theirs = self.joint[0].weight.chunk(2, 1)
            canvas = F.conv2d(condition, theirs)
            joint = F.conv2d(image, ours) + expand_canvas(canvas, height, width)
        joint = F.leaky_relu(self.joint[1](F.leaky_relu(joint)))  # (B, width, H, W)
        last = self.joint[2]
        mean = last(joint).mean((2, 3)) if self.plain else mean_of_conv(joint, last.weight)
        return resize_kernel(full_precision(mean), self.side)

    def _condition(self, constant: Tensor) -> Tensor:
        for conv in self.kernel:
            constant = F.leaky_relu(conv(constant))
        return constant


def _convs(channels: tuple[int, ...], kernels: tuple[int, ...]) -> nn.ModuleList:
    """Size-preserving convolutions without bias, one per entry of `kernels`."""
    return nn.ModuleList(
        nn.Conv2d(a, b, k, padding=k // 2, bias=False)
        for a, b, k in zip(channels, channels[1:], kernels)
    )
