"""Level maps: every threshold at once.

The level of a pixel is the number of thresholds below its probability, q = #{k : t_k < p}. The
mask at threshold k is {q > k}; all masks are nested, and one map holds them all. The same map
gives every pixel corner the range of thresholds at which a contour passes through it.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

MAX_THRESHOLDS = 254
"""Thresholds that one level map holds (levels are uint8); longer lists are cut into pieces."""

_CELLS = 4096


class LevelMap(NamedTuple):
    """Levels of the pixels, framed by zeros, and how many pixels of each class have each level."""

    framed: NDArray[np.uint8]  # (H + 2, W + 2)
    histogram: NDArray[np.int64]  # (2, T + 1): background, foreground of the target


@njit(cache=True, nogil=True)
def _fill_levels(prob, target, thresholds, start, single, framed, histogram):
    """Level of each pixel: the first candidate of its cell, then compare; exact everywhere.

    histogram: flat, class << 10 | lane << 8 | level; four lanes, so that no count waits for the
    one before it.
    """
    height, width = prob.shape
    scale = np.float32(_CELLS)
    for i in range(height):
        values, row, classes = prob[i], framed[i + 1, 1 : width + 1], target[i]
        for j in range(width):
            k = np.uint64(start[np.uint32(values[j] * scale)])
            if single:  # at most one threshold in a cell: one comparison, no loop
                k += np.uint64(thresholds[k] < values[j])
            else:
                while thresholds[k] < values[j]:  # the last one is infinite
                    k += np.uint64(1)
            row[j] = np.uint8(k)
            lane = np.uint64(j & 3) << np.uint64(8)
            histogram[np.uint64(classes[j]) << np.uint64(10) | lane | k] += 1


@lru_cache(maxsize=16)
def _cell_table(thresholds: bytes) -> tuple[NDArray[np.float32], NDArray[np.uint8], bool]:
    """Thresholds ended by infinity, first candidate per cell, and whether one is enough."""
    limits = np.frombuffer(thresholds, np.float32)
    # Multiplying by a power of two is exact, so cell c holds probabilities in [c, c + 1) / 4096.
    cells = np.arange(_CELLS + 2, dtype=np.float32) / np.float32(_CELLS)
    start = np.searchsorted(limits, cells, side="left").astype(np.uint8)
    single = bool(np.all(np.diff(start) <= 1))
    return np.append(limits, np.float32(np.inf)).astype(np.float32), start, single


def level_map(
    prob: NDArray[np.float32], target: NDArray[np.bool_], thresholds: NDArray[np.float32]
) -> LevelMap:
    """Return the level map of prob (H, W) float32 in [0, 1] and ascending thresholds (T,) float32.

    Exact, also for probabilities on a threshold (strict >). ValueError above 254 thresholds.
    """
    count = len(thresholds)
    if count > MAX_THRESHOLDS:
        raise ValueError(f"{count} thresholds; one level map holds {MAX_THRESHOLDS}")
    limits, start, single = _cell_table(np.ascontiguousarray(thresholds).tobytes())
    framed = np.zeros((prob.shape[0] + 2, prob.shape[1] + 2), np.uint8)
    histogram = np.zeros(2 * 4 * 256, np.int64)
    _fill_levels(prob, target, limits, start, single, framed, histogram)
    return LevelMap(framed, histogram.reshape(2, 4, 256).sum(1)[:, : count + 1])


@njit(cache=True, nogil=True)
def corner_ranges(framed, margin, height, width):
    """Lowest and highest level around each corner, in maps of height x width with a margin.

    framed (H + 2, W + 2) uint8. Corner (i, j) is at [i + margin, j + margin]; outside the
    (H + 1) x (W + 1) corners the lowest level is 255 and the highest 0, so that no threshold has
    a contour there.
    """
    lowest = np.full((height, width), np.uint8(255))
    highest = np.zeros((height, width), np.uint8)
    rows, columns = framed.shape[0] - 1, framed.shape[1] - 1
    for i in range(rows):
        above, below = framed[i], framed[i + 1]
        low = lowest[i + margin, margin : margin + columns]
        high = highest[i + margin, margin : margin + columns]
        a, b = above[:columns], above[1 : columns + 1]
        c, d = below[:columns], below[1 : columns + 1]
        for j in range(columns):
            low[j] = min(min(a[j], b[j]), min(c[j], d[j]))
            high[j] = max(max(a[j], b[j]), max(c[j], d[j]))
    return lowest, highest
