"""Fidelity of super-resolved images and of estimated kernels: PSNR, SSIM, kernel PSNR.

Sec. IV-B names PSNR and SSIM without details; the conventions here are the released code's: RGB
in [0, 1] in floating point, no border crop, per image, zero padding in SSIM.
"""

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

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
def _smooth_row(line, window, out):
    """Smoothing of a line padded by 5 on each side; symmetric taps are added first."""
    width = out.size
    a, b, c = line[0:width], line[1 : width + 1], line[2 : width + 2]
    d, e, f = line[3 : width + 3], line[4 : width + 4], line[5 : width + 5]
    g, h, i = line[6 : width + 6], line[7 : width + 7], line[8 : width + 8]
    k, l = line[9 : width + 9], line[10 : width + 10]
    w0, w1, w2, w3, w4, w5 = window[0], window[1], window[2], window[3], window[4], window[5]
    for j in range(width):
        near = w5 * f[j] + w4 * (e[j] + g[j]) + w3 * (d[j] + h[j])
        out[j] = near + w2 * (c[j] + i[j]) + w1 * (b[j] + k[j]) + w0 * (a[j] + l[j])


@njit(cache=True, nogil=True)
def _add_pair(above, below, weight, out):
    for j in range(out.size):
        out[j] += weight * (above[j] + below[j])


@njit(cache=True, nogil=True)
def _ssim_plane(x, y, window, c1, c2):
    """Mean SSIM of one plane (H, W), row by row through a ring of 11 smoothed rows.

    The four maps are x, y, x^2 + y^2 and xy: SSIM needs only the sum of the two variances.
    """
    height, width = x.shape
    taps, radius = WINDOW, WINDOW // 2
    ring = np.zeros((4, taps, width))
    line = np.zeros((4, width + 2 * radius))
    row = np.empty((4, width))
    total = 0.0
    for i in range(height + radius):
        slot = i % taps
        if i < height:
            for j in range(width):
                a, b = np.float64(x[i, j]), np.float64(y[i, j])
                line[0, j + radius] = a
                line[1, j + radius] = b
                line[2, j + radius] = a * a + b * b
                line[3, j + radius] = a * b
            for c in range(4):
                _smooth_row(line[c], window, ring[c, slot])
        else:
            ring[:, slot] = 0  # below the image
        centre = i - radius
        if centre < 0:
            continue
        for c in range(4):
            row[c] = window[radius] * ring[c, centre % taps]
            for t in range(radius):
                above, below = (centre + taps + t - radius) % taps, (centre + radius - t) % taps
                _add_pair(ring[c, above], ring[c, below], window[t], row[c])
        for j in range(width):
            mu_x, mu_y = row[0, j], row[1, j]
            squares, product = mu_x * mu_x + mu_y * mu_y, mu_x * mu_y
            variance, covariance = row[2, j] - squares, row[3, j] - product
            value = (2 * product + c1) * (2 * covariance + c2)
            row[0, j] = value / ((squares + c1) * (variance + c2))
        for j in range(width):  # apart, because the order of a sum is fixed and cannot vectorise
            total += row[0, j]
    return total / (height * width)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return the structural similarity of each image in the released form, (B, C, H, W) -> (B,).

    An 11 x 11 Gaussian window (sigma 1.5), zero padding, constants 0.01^2 and 0.03^2 for a range of
    1, averaged over pixels and channels. The zero padding lifts the values at the border; the
    standard form is `ssim_standard`. Computed on the CPU (10 ms an image of 448 x 448) in float64,
    without a gradient. ValueError: shapes that differ or are not 4-D.
    """
    _check_images(x, y)
    window = gaussian_window()
    a, b = (t.detach().cpu().float().contiguous().numpy() for t in (x, y))
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
