"""Level maps: every threshold at once.

The level of a pixel is the number of thresholds below its probability, q = #{k : t_k < p}. The
mask at threshold k is {q > k}; all masks are nested, and one map holds them all.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

MAX_THRESHOLDS = 254
"""Thresholds that one level map holds (levels are uint8); longer lists are cut into pieces."""

_CELLS = 4096


@njit(cache=True, nogil=True)
def _fill_levels(prob, thresholds, start, levels):
    """Level of each pixel: the cell's first candidate, then compare; exact for any thresholds."""
    count = thresholds.size
    for i in range(prob.size):
        p = prob[i]
        k = np.int64(start[np.int64(p * np.float32(_CELLS))])
        while k < count and thresholds[k] < p:
            k += 1
        levels[i] = np.uint8(k)


@njit(cache=True, nogil=True)
def _histogram(levels, target, histogram):
    for i in range(levels.size):
        histogram[np.int64(target[i]), np.int64(levels[i])] += 1


def level_map(prob: NDArray[np.float32], thresholds: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return q (H, W) uint8 of prob (H, W) float32 in [0, 1] and ascending thresholds (T,) float32.

    Exact, also for probabilities on a threshold (strict >). At most 254 thresholds.
    """
    if len(thresholds) > MAX_THRESHOLDS:
        raise ValueError(f"{len(thresholds)} thresholds; one level map holds {MAX_THRESHOLDS}")
    # Multiplying by a power of two is exact, so cell c holds probabilities in [c, c + 1) / 4096.
    cells = np.arange(_CELLS + 1, dtype=np.float32) / np.float32(_CELLS)
    start = np.searchsorted(thresholds, cells, side="left").astype(np.uint8)
    levels = np.empty(prob.shape, np.uint8)
    _fill_levels(prob.ravel(), thresholds, start, levels.ravel())
    return levels


def count_levels(
    levels: NDArray[np.uint8], target: NDArray[np.bool_], thresholds: int
) -> NDArray[np.int64]:
    """Return how many pixels of each target class have each level, (2, T + 1) int64."""
    histogram = np.zeros((2, thresholds + 1), np.int64)
    _histogram(levels.ravel(), target.ravel(), histogram)
    return histogram
