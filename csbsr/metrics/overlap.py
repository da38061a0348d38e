"""Overlap of a thresholded probability map with a mask: IoU, precision, recall and F1.

The mask at threshold t is `prob > t`, strict, in float32 as in the released code (`p - t > 0`):
a probability that equals the threshold is background.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from csbsr.metrics.checks import THRESHOLDS, check_pair, check_thresholds
from csbsr.metrics.levels import MAX_THRESHOLDS, level_map

SMOOTHING = 1e-5
"""Added to intersection and union in the released code, so that empty against empty is 1."""


class OverlapCounts(NamedTuple):
    """Pixels at each threshold, int64, of any leading shape."""

    true_positive: NDArray[np.int64]
    false_positive: NDArray[np.int64]
    false_negative: NDArray[np.int64]


class DetectionScores(NamedTuple):
    """Precision, recall and F1 at each threshold, in [0, 1]."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def counts_from_levels(histogram: NDArray[np.int64]) -> OverlapCounts:
    """Return the counts at T thresholds from a (2, T + 1) histogram of levels by target class."""
    above = np.cumsum(histogram[:, ::-1], axis=1)[:, ::-1]  # (2, T + 1): pixels with level >= k
    true_positive = above[1, 1:]
    return OverlapCounts(true_positive, above[0, 1:], above[1, 0] - true_positive)


def overlap_counts(
    prob: ArrayLike, target: ArrayLike, thresholds: ArrayLike = THRESHOLDS
) -> OverlapCounts:
    """Return true positives, false positives and false negatives at all thresholds in one pass.

    prob (H, W) in [0, 1], target (H, W) binary, thresholds (T,) ascending -> three (T,) int64.
    ValueError: see `csbsr.metrics.checks`.
    """
    p, g = check_pair(prob, target)
    limits = check_thresholds(thresholds)
    pieces = [
        counts_from_levels(level_map(p, g, limits[start : start + MAX_THRESHOLDS]).histogram)
        for start in range(0, len(limits), MAX_THRESHOLDS)
    ]
    return OverlapCounts(*(np.concatenate(column) for column in zip(*pieces)))


def iou(counts: OverlapCounts, smoothing: float = SMOOTHING) -> NDArray[np.float64]:
    """Return intersection over union with the released smoothing; empty against empty is 1."""
    union = counts.true_positive + counts.false_positive + counts.false_negative
    return (counts.true_positive + smoothing) / (union + smoothing)


def iou_curve(
    prob: ArrayLike, target: ArrayLike, thresholds: ArrayLike = THRESHOLDS
) -> NDArray[np.float64]:
    """Return the IoU (T,) of one probability map (H, W) at all thresholds (Sec. IV-B)."""
    return iou(overlap_counts(prob, target, thresholds))


def detection_scores(counts: OverlapCounts) -> DetectionScores:
    """Return precision, recall and F1 of any array of counts.

    Summed over images first, the counts give the data-set score whose best threshold the crack
    literature calls ODS; taken per image, the mean of the best values is OIS. A ratio 0/0 is 1 if
    prediction and target are both empty and 0 otherwise.
    """
    tp, fp, fn = (np.asarray(c, np.float64) for c in counts)
    both_empty = (tp + fp + fn == 0).astype(np.float64)

    def ratio(numerator: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(total > 0, numerator / np.maximum(total, 1.0), both_empty)

    return DetectionScores(ratio(tp, tp + fp), ratio(tp, tp + fn), ratio(2 * tp, 2 * tp + fp + fn))
