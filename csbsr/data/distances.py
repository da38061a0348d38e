"""Exact signed distance to the cracks, computed once per sample in the data loader.

Both phases, the distance of the background to the crack and of the crack to the background, come
from one pass of an exact integer Euclidean distance transform (Meijster et al., 2000). One pass
suffices because a pixel only asks for the nearest pixel of the *other* class: within one row, a
run of equal pixels ends at pixels of the other class, and nothing behind them can be nearer.
"""

import numba
import numpy as np
import torch
from torch import Tensor

NONE = 2**30
"""Stands for a distance that does not exist; longer than any image."""


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Return the signed Euclidean distance to the cracks of one mask, in pixels.

    Outside a crack: the distance to the nearest crack pixel, > 0. Inside: minus the distance to
    the nearest background pixel, and 0 on the inner boundary (the crack pixels with a background
    4-neighbour), as the released code sets it. So `clip(min=0)` is D_p of Eq. (9). A mask without
    cracks has no boundary to measure from and returns zeros, as the released code does; a mask
    without background does too (there the released code returns NaN).

    mask: (H, W) bool. Returns (H, W) float64, equal to scipy's exact transform bit by bit.
    Source: phi_G of Eq. (4), (5). ValueError for other dtypes or shapes.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_ or mask.size == 0:
        raise ValueError(
            f"signed_distance got {mask.dtype} {mask.shape}; give a bool mask (H, W), for example "
            "mask >= 0.5"
        )
    if mask.all() or not mask.any():
        return np.zeros(mask.shape)
    return _signed_distance(np.ascontiguousarray(mask))


def signed_distances(masks: Tensor) -> Tensor:
    """Return `signed_distance` of each mask of a batch, on the CPU.

    masks: (B, 1, H, W), bool, or float in [0, 1] with a pixel being crack at >= 0.5. Returns
    (B, 1, H, W) float32, pixels. ValueError for other shapes.
    """
    if masks.ndim != 4 or masks.shape[1] != 1:
        raise ValueError(f"signed_distances got shape {tuple(masks.shape)}; give (B, 1, H, W)")
    binary = masks if masks.dtype == torch.bool else masks >= 0.5
    maps = [signed_distance(mask) for mask in binary[:, 0].cpu().numpy()]
    return torch.from_numpy(np.stack(maps)).float().unsqueeze(1)  # (B, 1, H, W)


@numba.njit(cache=True, nogil=True)
def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Return the signed distance of a mask that holds both classes."""
    height, width = mask.shape
    column = _column_distance(mask)
    signed = np.empty((height, width), np.float64)
    square = np.empty(width, np.int64)  # squared distances of one row
    envelope = np.empty((3, width + 2), np.int64)
    for y in range(height):
        left = 0
        while left < width:
            right = left + 1
            while right < width and mask[y, right] == mask[y, left]:
                right += 1
            _run_distance(column[y], left, right, envelope, square)
            left = right
        for x in range(width):  # on its own, so that the compiler vectorises the roots
            root = np.sqrt(np.float64(square[x]))
            inside = -root if square[x] > 1 else 0.0
            signed[y, x] = inside if mask[y, x] else root
    return signed


@numba.njit(cache=True, nogil=True)
def _run_distance(
    column: np.ndarray, left: int, right: int, envelope: np.ndarray, square: np.ndarray
) -> None:
    """Fill square[left:right], a run of equal pixels between two pixels of the other class.

    The squared distance at x is the least of (x - u)^2 + column[u]^2 over the columns u of the
    run and its two neighbours: the lower envelope of parabolas. `envelope` holds, from left to
    right, the apex of each parabola of the envelope, its height, and where it begins.
    """
    width = len(column)
    apex, level, begin = envelope
    top = -1
    if left > 0:
        top = 0
        apex[0], level[0], begin[0] = left - 1, 0, left
    for x in range(left, min(right + 1, width)):
        here = np.int64(column[x]) ** 2 if x < right else 0
        if column[x] == NONE and x < right:
            continue
        start = left
        while top >= 0:
            u = apex[top]
            # From the pixel after the crossing on, the parabola of x is below that of u. Both
            # numbers are far below 2^53, so the floor of the quotient is exact.
            crossing = np.float64(x * x - u * u + here - level[top]) / np.float64(2 * (x - u))
            start = 1 + np.int64(np.floor(crossing))
            if start > begin[top]:
                break
            top -= 1
        if top < 0:
            start = left
        if start < right:
            top += 1
            apex[top], level[top], begin[top] = x, here, start
    end = right
    for i in range(top, -1, -1):
        for x in range(begin[i], end):
            square[x] = (x - apex[i]) ** 2 + level[i]
        end = begin[i]


@numba.njit(cache=True, nogil=True)
def _column_distance(mask: np.ndarray) -> np.ndarray:
    """Return each pixel's distance along its column to the nearest pixel of the other class.

    NONE where the column has no such pixel.
    """
    height, width = mask.shape
    distance = np.empty((height, width), np.int32)
    for x in range(width):
        distance[0, x] = NONE
    for y in range(1, height):
        for x in range(width):
            same = mask[y, x] == mask[y - 1, x]
            distance[y, x] = min(distance[y - 1, x] + 1, NONE) if same else 1
    for y in range(height - 2, -1, -1):
        for x in range(width):
            below = distance[y + 1, x] + 1 if mask[y, x] == mask[y + 1, x] else 1
            distance[y, x] = min(distance[y, x], below)
    return distance
