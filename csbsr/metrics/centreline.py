"""Centreline IoU with a tolerance: are the crack's lines found, whatever their width?

Beyond the paper. Masks are thinned to lines one pixel wide; a predicted line pixel within the
tolerance of the target's line is a hit. Thinning deletes one *simple* pixel at a time, a pixel
whose removal changes neither the 8-connected pieces of the mask nor its holes, and keeps line ends.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from csbsr.metrics.checks import THRESHOLDS, check_mask, check_pair, check_thresholds
from csbsr.metrics.overlap import SMOOTHING, OverlapCounts, iou
from csbsr.metrics.surface import squared_distances

TOLERANCE = 4.0
"""Pixels by which two centrelines may differ; about the width of a thin crack."""


def _deletable() -> NDArray[np.bool_]:
    """Which of the 256 neighbourhoods, bits counter-clockwise from the east, allow deletion.

    Simple means that Yokoi's 8-connectivity number is 1; fewer than two neighbours is a line end.
    """
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1  # (256, 8)
    free = 1 - bits
    straight = range(0, 8, 2)
    number = sum(
        free[:, k] - free[:, k] * free[:, (k + 1) % 8] * free[:, (k + 2) % 8] for k in straight
    )
    return (number == 1) & (bits.sum(1) >= 2)


_DELETABLE = _deletable()


@njit(cache=True, nogil=True)
def _code(framed, i, j):
    """Neighbourhood of a pixel as 8 bits: east, north-east, north ... south-east."""
    return (
        framed[i, j + 1]
        | framed[i - 1, j + 1] << 1
        | framed[i - 1, j] << 2
        | framed[i - 1, j - 1] << 3
        | framed[i, j - 1] << 4
        | framed[i + 1, j - 1] << 5
        | framed[i + 1, j] << 6
        | framed[i + 1, j + 1] << 7
    )


@njit(cache=True, nogil=True)
def _thin(framed, stale, words, deletable):
    """Peel a framed mask (H + 2, W + 2) from four sides in turn until nothing is deletable.

    stale: bit s of a pixel says that side s has to look at it (again), because a neighbour went
    since it last did; words: the same memory, eight pixels at a time. Only the rim of what is left
    is ever visited, so that a wide mask costs no more than its pixels.
    """
    rows, columns = words.shape
    candidates = np.empty((np.count_nonzero(framed), 2), np.int32)
    idle = 0
    side = 0
    while idle < 4:
        di, dj = ((-1, 0), (1, 0), (0, 1), (0, -1))[side]
        bit = np.uint8(1 << side)
        eight = np.uint64(0x0101010101010101) << np.uint64(side)
        count = 0
        for i in range(1, rows - 1):
            for w in range(columns):
                if not words[i, w] & eight:
                    continue
                for j in range(8 * w, 8 * w + 8):
                    if not stale[i, j] & bit:
                        continue
                    stale[i, j] ^= bit
                    rim = framed[i, j] and not framed[i + di, j + dj]
                    if rim and deletable[_code(framed, i, j)]:
                        candidates[count, 0], candidates[count, 1] = i, j
                        count += 1
        deleted = 0
        for c in range(count):
            i, j = candidates[c]
            if deletable[_code(framed, i, j)]:  # still, after the deletions before it
                framed[i, j] = 0
                deleted += 1
                stale[i - 1 : i + 2, j - 1 : j + 2] = 15
        idle = 0 if deleted else idle + 1
        side = (side + 1) % 4


def skeleton(mask: ArrayLike) -> NDArray[np.bool_]:
    """Return the centrelines of a binary mask (H, W), one pixel wide, connected as the mask is.

    ValueError: see `csbsr.metrics.checks.check_mask`.
    """
    return _skeleton(check_mask(mask, "mask"))


def _skeleton(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    height, width = mask.shape
    framed = np.zeros((height + 2, -(-(width + 2) // 8) * 8), np.uint8)  # whole words
    framed[1 : height + 1, 1 : width + 1] = mask
    stale = framed * np.uint8(15)
    _thin(framed, stale, stale.view(np.uint64), _DELETABLE)
    return framed[1 : height + 1, 1 : width + 1].astype(bool)


def _near(lines: NDArray[np.bool_], tolerance: float) -> NDArray[np.bool_]:
    """Which pixels lie within the tolerance of a line."""
    if not lines.any():
        return np.zeros_like(lines)
    return squared_distances(lines.astype(np.uint8)) <= tolerance**2


class CentrelineCurve(NamedTuple):
    """Centreline overlap at each threshold: IoU (T,) float64 and the line pixels behind it."""

    iou: NDArray[np.float64]
    counts: OverlapCounts


def centreline_curve(
    prob: ArrayLike,
    target: ArrayLike,
    thresholds: ArrayLike = THRESHOLDS,
    tolerance: float = TOLERANCE,
) -> CentrelineCurve:
    """Return the IoU of the centrelines within a tolerance in pixels, at all thresholds.

    prob (H, W) in [0, 1], target (H, W) binary. True positives are predicted line pixels within
    the tolerance (Euclidean, inclusive) of the target's line, false positives the other predicted
    ones, false negatives the target's line pixels with no predicted line within the tolerance;
    IoU = TP / (TP + FP + FN) with the released smoothing, so that empty against empty is 1.
    ValueError: see `csbsr.metrics.checks`, or a negative tolerance.
    """
    p, g = check_pair(prob, target)
    if not tolerance >= 0:
        raise ValueError(f"tolerance is {tolerance}; it must be at least 0 pixels")
    truth = _skeleton(g)
    near_truth, wanted = _near(truth, tolerance), np.count_nonzero(truth)
    rows: list[tuple[int, int, int]] = []
    pixels = -1
    for t in check_thresholds(thresholds):
        mask = p > t
        if np.count_nonzero(mask) == pixels:  # masks are nested, so it is the one before
            rows.append(rows[-1])
            continue
        pixels = np.count_nonzero(mask)
        lines = _skeleton(mask)
        hits, total = np.count_nonzero(lines & near_truth), np.count_nonzero(lines)
        found = np.count_nonzero(truth & _near(lines, tolerance))
        rows.append((hits, total - hits, wanted - found))
    counts = OverlapCounts(*np.array(rows, np.int64).T)
    return CentrelineCurve(iou(counts, SMOOTHING), counts)
