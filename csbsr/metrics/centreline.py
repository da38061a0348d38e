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
def _thin(framed, rows, columns, deletable):
    """Peel a framed mask (H + 2, W + 2) from four sides in turn until nothing is deletable."""
    left = rows.size
    candidates = np.empty(left, np.int64)
    idle = 0
    side = 0
    while idle < 4:
        di, dj = ((-1, 0), (1, 0), (0, 1), (0, -1))[side]
        count = 0
        for n in range(left):
            i, j = rows[n], columns[n]
            if not framed[i + di, j + dj] and deletable[_code(framed, i, j)]:
                candidates[count] = n
                count += 1
        deleted = 0
        for c in range(count):
            i, j = rows[candidates[c]], columns[candidates[c]]
            if deletable[_code(framed, i, j)]:  # still, after the deletions before it
                framed[i, j] = 0
                deleted += 1
        if deleted:
            idle = 0
            kept = 0
            for n in range(left):
                if framed[rows[n], columns[n]]:
                    rows[kept], columns[kept] = rows[n], columns[n]
                    kept += 1
            left = kept
        else:
            idle += 1
        side = (side + 1) % 4


def skeleton(mask: ArrayLike) -> NDArray[np.bool_]:
    """Return the centrelines of a binary mask (H, W), one pixel wide, connected as the mask is.

    ValueError: see `csbsr.metrics.checks.check_mask`.
    """
    framed = np.pad(check_mask(mask, "mask").astype(np.uint8), 1)
    rows, columns = np.nonzero(framed)
    _thin(framed, rows, columns, _DELETABLE)
    return framed[1:-1, 1:-1].astype(bool)


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
    truth = skeleton(g)
    near_truth, wanted = _near(truth, tolerance), np.count_nonzero(truth)
    rows = []
    for t in check_thresholds(thresholds):
        lines = skeleton(p > t)
        hits, total = np.count_nonzero(lines & near_truth), np.count_nonzero(lines)
        found = np.count_nonzero(truth & _near(lines, tolerance))
        rows.append((hits, total - hits, wanted - found))
    counts = OverlapCounts(*np.array(rows, np.int64).T)
    return CentrelineCurve(iou(counts, SMOOTHING), counts)
