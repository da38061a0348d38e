"""Degradation of Eq. (1): anisotropic Gaussian blur, then bicubic reduction by the scale.

The blur is a product in the Fourier domain: one batch of 21x21 kernels costs two real FFTs of the
images instead of 441 multiplications per pixel, with the same result to about 3e-7. The module
works on any device, is differentiable with respect to images and kernels, and never waits for it.
"""

import hashlib
from functools import cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from csbsr.protocol import Protocol

KERNEL_SIZE = 21
BLUR_RANGE = (0.2, 4.0)
"""Range of the blur along each axis (Sec. IV-A); `Protocol.blur_range` says of what."""


def gaussian_kernels(
    sigma1: Tensor, sigma2: Tensor, theta: Tensor, size: int = KERNEL_SIZE
) -> Tensor:
    """Return anisotropic Gaussian kernels (B, 1, size, size), float32, each of sum 1.

    `sigma1`, `sigma2` (B,) are the standard deviations in HR pixels along the two principal axes,
    `theta` (B,) the angle in radians of the first axis from x (columns) towards -y. The Gaussian is
    sampled on the integer grid; a standard deviation of 0.2 is a delta for practical purposes.
    Raises ValueError for an even size or a standard deviation that is not positive. Sec. IV-A.
    """
    _check_odd(size)
    s1, s2, t = (
        torch.as_tensor(v, dtype=torch.float64).reshape(-1, 1, 1) for v in (sigma1, sigma2, theta)
    )
    if s1.device.type == "cpu" and bool((torch.minimum(s1, s2) <= 0).any()):
        raise ValueError("standard deviation of a blur kernel must be above 0")
    axis = torch.arange(size, dtype=torch.float64, device=s1.device) - size // 2
    y, x = axis[:, None], axis[None, :]
    cos, sin = torch.cos(t), torch.sin(t)
    p1, p2 = 0.5 / s1**2, 0.5 / s2**2
    a = cos**2 * p1 + sin**2 * p2
    b = sin * cos * (p2 - p1)
    d = sin**2 * p1 + cos**2 * p2
    kernels = torch.exp(-(a * x**2 + 2 * b * x * y + d * y**2))  # (B, size, size)
    kernels = kernels / kernels.sum((1, 2), keepdim=True)
    return kernels[:, None].float()  # (B, 1, size, size)


def random_kernels(
    n: int, generator: np.random.Generator, protocol: Protocol, size: int = KERNEL_SIZE
) -> Tensor:
    """Draw `n` kernels (n, 1, size, size) as in training: both axes from [0.2, 4.0], any angle.

    The drawn quantity is the variance (paper) or the standard deviation (released code), see
    `Protocol.blur_range`. All randomness comes from `generator`. Sec. IV-A.
    """
    spread = generator.uniform(*BLUR_RANGE, size=(2, n))
    theta = generator.uniform(0.0, np.pi, size=n)
    if protocol.blur_range == "variance":
        spread = np.sqrt(spread)
    sigma1, sigma2 = torch.from_numpy(spread)
    return gaussian_kernels(sigma1, sigma2, torch.from_numpy(theta), size)


def kernel_for_image(seed: int, name: str, protocol: Protocol, size: int = KERNEL_SIZE) -> Tensor:
    """Return the test kernel (1, size, size) of one image: a function of seed and name alone.

    The pairing of image and kernel therefore depends neither on the order nor on the number of
    files (in the released test set it did).
    """
    return random_kernels(1, name_generator(seed, name), protocol, size)[0]


def name_generator(seed: int, name: str) -> np.random.Generator:
    """Return a random generator that is a function of a seed and an image's name."""
    digest = hashlib.sha256(name.encode()).digest()[:16]
    return np.random.default_rng([seed, int.from_bytes(digest, "little")])


@cache
def constant_kernel(protocol: Protocol, draws: int = 2000) -> Tensor:
    """Return the one kernel (1, 21, 21) of sum 1 that scores the highest mean kernel PSNR.

    What can be said about the blur without looking at the image: a kernel PSNR means something
    only above this. The maximum of mean(-10 log10 MSE) is a mean of the kernels weighted by
    1 / MSE, found by iteration over `draws` kernels of the protocol's range (fixed seed).
    """
    kernels = random_kernels(draws, np.random.default_rng(0), protocol).double()  # (n, 1, 21, 21)
    best = kernels.mean(0)
    for _ in range(200):
        weights = 1 / (kernels - best).square().mean((1, 2, 3)).clamp(min=1e-12)
        best = (weights[:, None, None, None] * kernels).sum(0) / weights.sum()
    return best.float()


def delta_kernels(n: int, size: int = KERNEL_SIZE) -> Tensor:
    """Return `n` centred delta kernels (n, 1, size, size): no blur."""
    _check_odd(size)
    kernels = torch.zeros(n, 1, size, size)
    kernels[:, :, size // 2, size // 2] = 1
    return kernels


def blur(images: Tensor, kernels: Tensor, padding: Literal["zeros", "reflect"] = "zeros") -> Tensor:
    """Correlate each image (B, C, H, W) with its own kernel (B, 1, k, k); same size, k odd.

    Zero padding (the released code's) darkens a frame of k // 2 pixels, reflection does not.
    Computed in float32 (float64 for float64 images). Raises ValueError for an even k, another
    number of kernels than images, or an image too small to be reflected. Eq. (1).
    """
    b, _, h, w = images.shape
    k = kernels.shape[-1]
    if kernels.shape != (b, 1, k, k):
        raise ValueError(f"{b} images need kernels ({b}, 1, k, k), got {tuple(kernels.shape)}")
    _check_odd(k)
    r = k // 2
    dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
    with torch.autocast(images.device.type, enabled=False):
        x, kernels = images.to(dtype), kernels.to(dtype)
        if padding == "reflect":
            if min(h, w) <= r:
                raise ValueError(f"image of {h}x{w} is too small to reflect {r} pixels")
            x = F.pad(x, (r, r, r, r), mode="reflect")
            size = (_fast_length(h + 2 * r), _fast_length(w + 2 * r))
        else:  # the border of zeros is the end of the period, shared by both sides
            size = (_fast_length(h + r), _fast_length(w + r))
            kernels = torch.roll(F.pad(kernels, (0, size[1] - k, 0, size[0] - k)), (-r, -r), (2, 3))
        if x.is_cpu:  # image by image: the spectra of a batch would not fit in the cache
            return torch.cat(
                [_correlate(x[i : i + 1], kernels[i : i + 1], size, (h, w)) for i in range(b)]
            )
        return _correlate(x, kernels, size, (h, w))


def downsample(images: Tensor, scale: int = 4, antialias: bool = True) -> Tensor:
    """Reduce (B, C, H, W) to (B, C, H / scale, W / scale) with bicubic weights.

    With `antialias` the kernel is widened by the scale (a = -0.5, as PIL and MATLAB's imresize),
    without it four taps are used (a = -0.75, as torchvision before 0.17 did for tensors). Raises
    ValueError when a side is no multiple of the scale.
    """
    h, w = images.shape[-2:]
    if h % scale or w % scale:
        raise ValueError(f"image of {h}x{w} does not divide by {scale}; crop it to a multiple")
    with torch.autocast(images.device.type, enabled=False):
        x = images if images.dtype == torch.float64 else images.float()
        size = (h // scale, w // scale)
        return F.interpolate(x, size=size, mode="bicubic", antialias=antialias)


def degrade(
    hr: Tensor, kernels: Tensor, protocol: Protocol, scale: int = 4, test: bool = False
) -> Tensor:
    """Return LR images (B, C, H / scale, W / scale) of HR images (B, C, H, W) in [0, 1]. Eq. (1).

    Training LR images are neither clamped nor quantised. With `test`, `Protocol.quantise_test`
    applies: the released test set was stored as 8-bit files.
    """
    lr = downsample(blur(hr, kernels, protocol.blur_padding), scale, protocol.antialias)
    return quantise(lr) if test and protocol.quantise_test else lr


def quantise(images: Tensor) -> Tensor:
    """Clamp to [0, 1] and truncate to 8 bits, as the released test set was written."""
    return torch.floor(images.clamp(0, 1) * 255) / 255


def _correlate(x: Tensor, kernels: Tensor, size: tuple[int, int], out: tuple[int, int]) -> Tensor:
    """Circular correlation of period `size`, of which the first `out` values are kept."""
    spectrum = torch.fft.rfft2(x, s=size) * torch.fft.rfft2(kernels, s=size).conj()
    return torch.fft.irfft2(spectrum, s=size)[..., : out[0], : out[1]]


def _check_odd(size: int) -> None:
    if size % 2 == 0:
        raise ValueError(f"blur kernel must have an odd side, got {size}")


def _fast_length(n: int) -> int:
    """Smallest even length >= n without a prime factor above 7, which FFTs do fast."""
    while True:
        rest = n
        for p in (2, 3, 5, 7):
            while rest % p == 0:
                rest //= p
        if rest == 1 and n % 2 == 0:
            return n
        n += 1
