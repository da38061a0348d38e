"""Fidelity of super-resolved images and of estimated kernels: PSNR, SSIM, kernel PSNR.

Sec. IV-B names PSNR and SSIM without details; the conventions here are the released code's: RGB
in [0, 1] in floating point, no border crop, per image, zero padding in SSIM.
"""

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

WINDOW = 11
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2


def _check_images(x: Tensor, y: Tensor) -> None:
    if x.shape != y.shape:
        raise ValueError(f"images {tuple(x.shape)} and {tuple(y.shape)} differ in shape")
    if x.ndim != 4:
        raise ValueError(f"images have shape {tuple(x.shape)}; pass a batch (B, C, H, W)")


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each image in dB, (B, C, H, W) in [0, 1] -> (B,).

    The peak is 1; equal images give infinity. ValueError: shapes that differ or are not 4-D.
    """
    _check_images(x, y)
    mse = (x.double() - y.double()).square().mean((1, 2, 3))
    return -10 * torch.log10(mse)


def kernel_psnr(estimate: Tensor, kernel: Tensor) -> Tensor:
    """Return the PSNR of each estimated blur kernel in dB, (B, 1, k, k) -> (B,).

    Peak 1.0 although a kernel sums to 1, as in the released code: an all-zero estimate already
    scores about 42 dB, and the numbers of Table VI must be read on that scale.
    """
    return psnr(estimate, kernel)


def gaussian_window(size: int = WINDOW, sigma: float = SIGMA) -> NDArray[np.float64]:
    """Return the 1-D Gaussian window of SSIM, (size,), sum 1."""
    offsets = np.arange(size) - size // 2
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    return weights / weights.sum()


@njit(cache=True, nogil=True)
def _smooth_rows(maps, window):
    """Zero-padded smoothing along the rows of maps (4, H, W), in place; columns vectorise."""
    radius = window.size // 2
    _, height, width = maps.shape
    line = np.zeros(width + 2 * radius)
    for c in range(maps.shape[0]):
        for i in range(height):
            row = maps[c, i]
            for j in range(width):
                line[j + radius] = row[j]
                row[j] = 0
            for t in range(window.size):
                weight, source = window[t], line[t : t + width]
                for j in range(width):
                    row[j] += weight * source[j]


@njit(cache=True, nogil=True)
def _smooth_columns(maps, window):
    """The same along the columns; returns new maps."""
    radius = window.size // 2
    out = np.zeros_like(maps)
    for c in range(maps.shape[0]):
        for i in range(maps.shape[1]):
            row = out[c, i]
            for t in range(window.size):
                if 0 <= i + t - radius < maps.shape[1]:
                    weight, source = window[t], maps[c, i + t - radius]
                    for j in range(row.size):
                        row[j] += weight * source[j]
    return out


@njit(cache=True, nogil=True)
def _ssim_plane(x, y, window, c1, c2):
    """Mean SSIM of one plane (H, W) float64."""
    height, width = x.shape
    maps = np.empty((4, height, width))  # mu_x, mu_y, E[x^2 + y^2], E[xy] before smoothing
    for i in range(height):
        for j in range(width):
            a, b = np.float64(x[i, j]), np.float64(y[i, j])
            maps[0, i, j] = a
            maps[1, i, j] = b
            maps[2, i, j] = a * a + b * b
            maps[3, i, j] = a * b
    _smooth_rows(maps, window)
    smooth = _smooth_columns(maps, window)
    total = 0.0
    for i in range(height):
        for j in range(width):
            mu_x, mu_y = smooth[0, i, j], smooth[1, i, j]
            squares, product = mu_x * mu_x + mu_y * mu_y, mu_x * mu_y
            variance, covariance = smooth[2, i, j] - squares, smooth[3, i, j] - product
            total += ((2 * product + c1) * (2 * covariance + c2)) / (
                (squares + c1) * (variance + c2)
            )
    return total / (height * width)


def ssim_torch(x: Tensor, y: Tensor) -> Tensor:
    """The same in torch operations, for tensors on a GPU."""
    channels, radius = x.shape[1], WINDOW // 2
    window = torch.as_tensor(gaussian_window(), dtype=x.dtype, device=x.device)
    maps = torch.cat([x, y, x * x + y * y, x * y], 1)  # (B, 4C, H, W)
    groups = maps.shape[1]
    column = window.view(1, 1, -1, 1).expand(groups, 1, -1, 1)
    maps = F.conv2d(maps, column, padding=(radius, 0), groups=groups)
    maps = F.conv2d(maps, column.transpose(2, 3), padding=(0, radius), groups=groups)
    mu_x, mu_y, squares, product = maps.split(channels, 1)
    mean_squares, mean_product = mu_x * mu_x + mu_y * mu_y, mu_x * mu_y
    variance, covariance = squares - mean_squares, product - mean_product
    value = (2 * mean_product + C1) * (2 * covariance + C2)
    return (value / ((mean_squares + C1) * (variance + C2))).mean((1, 2, 3))


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return the structural similarity of each image in the released form, (B, C, H, W) -> (B,).

    An 11 x 11 Gaussian window (sigma 1.5), zero padding, constants 0.01^2 and 0.03^2 for a range of
    1, averaged over pixels and channels. The zero padding lifts the values at the border; the
    standard form is `ssim_standard`. float64 on x's device; no gradient flows through it on a CPU.
    ValueError: shapes that differ or are not 4-D.
    """
    _check_images(x, y)
    if x.device.type != "cpu":
        return ssim_torch(x.double(), y.double())
    window = gaussian_window()
    a, b = (t.detach().float().contiguous().numpy() for t in (x, y))
    planes = [
        np.mean([_ssim_plane(p, q, window, C1, C2) for p, q in zip(image, other)])
        for image, other in zip(a, b)
    ]
    return torch.tensor(planes, dtype=torch.float64)


def ssim_standard(x: Tensor, y: Tensor) -> Tensor:
    """Return torchmetrics' SSIM of each image (reflected border, cropped), (B, C, H, W) -> (B,).

    ImportError if torchmetrics, a dependency of the tests and of this function only, is missing.
    """
    _check_images(x, y)
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ImportError as error:
        raise ImportError("ssim_standard needs torchmetrics: pip install torchmetrics") from error
    return structural_similarity_index_measure(
        x, y, sigma=SIGMA, kernel_size=WINDOW, data_range=1.0, reduction="none"
    )
