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
    far = height + width  # longer than any distance in the image
    column = _column_distance(mask, far)
    signed = np.empty((height, width), np.float64)
    sites = np.empty(width, np.int64)  # columns whose parabolas form the lower envelope
    starts = np.empty(width, np.int64)  # first pixel at which each of them is the lowest
    for y in range(height):
        row, g = mask[y], column[y]
        left = 0
        while left < width:
            inside = row[left]
            right = left + 1
            while right < width and row[right] == inside:
                right += 1
            # The run is left..right-1; the pixels beside it are of the other class (distance 0).
            first, last = max(left - 1, 0), min(right, width - 1)
            top = -1
            for x in range(first, last + 1):
                height_x = g[x] * g[x] if left <= x < right else 0
                if height_x >= far * far:
                    continue
                start = left
                while top >= 0:
                    u = sites[top]
                    height_u = g[u] * g[u] if left <= u < right else 0
                    start = 1 + (x * x - u * u + height_x - height_u) // (2 * (x - u))
                    if start > starts[top]:
                        break
                    top -= 1
                if top < 0:
                    start = left
                if start < right:
                    top += 1
                    sites[top], starts[top] = x, max(start, left)
            for x in range(right - 1, left - 1, -1):
                while starts[top] > x:
                    top -= 1
                u = sites[top]
                square = (x - u) * (x - u) + (g[u] * g[u] if left <= u < right else 0)
                if not inside:
                    signed[y, x] = np.sqrt(square)
                else:
                    signed[y, x] = -np.sqrt(square) if square > 1 else 0.0
            left = right
    return signed


@numba.njit(cache=True, nogil=True)
def _column_distance(mask: np.ndarray, far: int) -> np.ndarray:
    """Return each pixel's distance along its column to the nearest pixel of the other class."""
    height, width = mask.shape
    distance = np.empty((height, width), np.int64)
    for x in range(width):
        distance[0, x] = far
    for y in range(1, height):
        for x in range(width):
            same = mask[y, x] == mask[y - 1, x]
            distance[y, x] = min(distance[y - 1, x] + 1, far) if same else 1
    for y in range(height - 2, -1, -1):
        for x in range(width):
            below = distance[y + 1, x] + 1 if mask[y, x] == mask[y + 1, x] else 1
            distance[y, x] = min(distance[y, x], below)
    return distance
