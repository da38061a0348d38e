"""The definitions behind `threshold_curves` and `ssim`, written to be read and tested against.

A mask of H x W pixels has (H + 1) x (W + 1) pixel corners. A corner is a *surface element* if its
four pixels are neither all inside nor all outside (pixels beyond the image are outside). Its
length is that of the contour through it: 1 where two neighbouring pixels are inside, half the
diagonal of a pixel for one or three pixels, the whole diagonal where two opposite ones are inside.
Hausdorff percentiles are percentiles of *length*, not of a count of points. These are the
conventions of DeepMind's surface-distance [54] with a spacing of one pixel.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from csbsr.metrics.checks import EmptyPenalty, check_mask, check_percentile, one_sided_penalty

HALF_DIAGONAL = 0.5 * math.sqrt(2.0)


class SurfaceDistance(NamedTuple):
    """Distances of one pair of masks, in pixels."""

    hausdorff: float
    mean: float


def surface_lengths(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the length of the surface element at every pixel corner.

    mask (H, W) bool -> (H + 1, W + 1) float64 in pixels; 0 where there is no surface.
    """
    padded = np.pad(np.asarray(mask, bool), 1)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    count = a.astype(np.int8) + b + c + d  # (H + 1, W + 1)
    lengths = np.zeros(count.shape)
    lengths[(count == 1) | (count == 3)] = HALF_DIAGONAL
    lengths[count == 2] = 1.0
    lengths[(count == 2) & (a == d)] = 2 * HALF_DIAGONAL  # two opposite pixels
    return lengths


def weighted_percentile(
    distances: NDArray[np.float64], lengths: NDArray[np.float64], percentile: float
) -> float:
    """Return the first distance at which the accumulated length reaches the percentile.

    distances, lengths (N,), N >= 1. Sorted by (distance, length) and summed in that order, as in
    surface-distance, because a tie at the percentile is decided by the rounding of that sum.
    """
    order = np.lexsort((lengths, distances))
    share = np.cumsum(lengths[order]) / np.sum(lengths[order])
    return float(distances[order][min(np.searchsorted(share, percentile / 100.0), len(order) - 1)])


def surface_distance(
    mask: NDArray[np.bool_],
    target: NDArray[np.bool_],
    percentile: float = 95.0,
    empty_penalty: EmptyPenalty = "width",
) -> SurfaceDistance:
    """Return the Hausdorff percentile and the mean surface distance of two masks (Sec. IV-B).

    mask, target: (H, W) binary. Both results are symmetric: the Hausdorff percentile is the larger
    of the two directions, the mean is the average of the two directions' mean distances. Both
    masks empty: 0. Exactly one empty: `empty_penalty`. ValueError: see `csbsr.metrics.checks`.
    """
    first, second = check_mask(mask, "mask"), check_mask(target)
    if first.shape != second.shape:
        raise ValueError(f"mask {first.shape} and target {second.shape} differ in shape")
    check_percentile(percentile)
    penalty = one_sided_penalty(empty_penalty, *first.shape)
    if not first.any() or not second.any():
        value = penalty if first.any() != second.any() else 0.0
        return SurfaceDistance(value, value)
    lengths = surface_lengths(first), surface_lengths(second)
    hausdorff, means = 0.0, []
    for here, there in (lengths, lengths[::-1]):
        distances = ndimage.distance_transform_edt(there == 0)[here > 0]  # to the other surface
        weights = here[here > 0]
        hausdorff = max(hausdorff, weighted_percentile(distances, weights, percentile))
        means.append(float(np.sum(distances * weights) / np.sum(weights)))
    return SurfaceDistance(hausdorff, sum(means) / 2)


def plain_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return the released SSIM (B, C, H, W) -> (B,): one 11 x 11 window, zero padding."""
    offsets = torch.arange(-5, 6, dtype=x.dtype)
    line = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = torch.outer(line, line) / line.sum() ** 2
    channels = x.shape[1]

    def smooth(t: Tensor) -> Tensor:
        return F.conv2d(t, window.expand(channels, 1, 11, 11), padding=5, groups=channels)

    mu_x, mu_y = smooth(x), smooth(y)
    var_x, var_y = smooth(x * x) - mu_x**2, smooth(y * y) - mu_y**2
    covariance = smooth(x * y) - mu_x * mu_y
    value = (2 * mu_x * mu_y + 1e-4) * (2 * covariance + 9e-4)
    return (value / ((mu_x**2 + mu_y**2 + 1e-4) * (var_x + var_y + 9e-4))).mean((1, 2, 3))
