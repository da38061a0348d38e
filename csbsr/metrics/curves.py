"""Curves over thresholds for one image and for many, and the paper's four numbers from them."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from csbsr.metrics.checks import (
    THRESHOLDS,
    EmptyPenalty,
    check_pair,
    check_percentile,
    check_thresholds,
    one_sided_penalty,
)
from csbsr.metrics.hausdorff import surface_curves
from csbsr.metrics.levels import MAX_THRESHOLDS, level_map
from csbsr.metrics.overlap import OverlapCounts, counts_from_levels, iou


class ThresholdCurves(NamedTuple):
    """Metrics over thresholds, float64: (T,) for one image, (N, T) for N images."""

    iou: NDArray[np.float64]
    hausdorff: NDArray[np.float64]
    mean_surface_distance: NDArray[np.float64]


class Summary(NamedTuple):
    """The four segmentation numbers of Tables II-VI, with the thresholds that were chosen."""

    iou_max: float
    iou_max_threshold: float
    aiu: float
    hd95_min: float
    hd95_min_threshold: float
    ahd95: float


class MapCurves(NamedTuple):
    """All that one level map says about one image: T thresholds, P Hausdorff percentiles."""

    counts: OverlapCounts  # (T,) each
    hausdorff: NDArray[np.float64]  # (P, T)
    mean_surface_distance: NDArray[np.float64]  # (T,)


def map_curves(
    prob: ArrayLike,
    target: ArrayLike,
    thresholds: ArrayLike = THRESHOLDS,
    percentiles: Sequence[float] = (95.0,),
    empty_penalty: EmptyPenalty = "width",
) -> MapCurves:
    """Return overlap counts, Hausdorff percentiles and mean surface distance in one pass.

    Values, conventions and errors are those of `threshold_curves`, which takes one percentile.
    """
    p, g = check_pair(prob, target)
    limits = check_thresholds(thresholds)
    wanted = np.array([check_percentile(percentile) for percentile in percentiles])
    penalty = one_sided_penalty(empty_penalty, *p.shape)
    pieces = [
        _piece(p, g, limits[start : start + MAX_THRESHOLDS], wanted, penalty)
        for start in range(0, len(limits), MAX_THRESHOLDS)
    ]
    counts, hausdorff, means = zip(*pieces)
    joined = OverlapCounts(*(np.concatenate(column) for column in zip(*counts)))
    return MapCurves(joined, np.concatenate(hausdorff, axis=1), np.concatenate(means))


def threshold_curves(
    prob: ArrayLike,
    target: ArrayLike,
    thresholds: ArrayLike = THRESHOLDS,
    percentile: float = 95.0,
    empty_penalty: EmptyPenalty = "width",
) -> ThresholdCurves:
    """Return IoU, Hausdorff percentile and mean surface distance at all thresholds (Sec. IV-B).

    prob (H, W) in [0, 1] and target (H, W) binary -> three (T,) float64, distances in pixels. The
    mask at threshold t is `prob > t` in float32, strict, as in the released code. Hausdorff values
    equal surface-distance's; the mean surface distance is the average of the two directions. Both
    masks empty: 0. Exactly one empty: `empty_penalty`, "width" (released code), "diagonal" or
    "infinite". ValueError: shapes that differ, probabilities outside [0, 1] or NaN, a target that
    is not binary, thresholds not sorted, percentile outside [0, 100].
    """
    counts, hausdorff, mean = map_curves(prob, target, thresholds, (percentile,), empty_penalty)
    return ThresholdCurves(iou(counts), hausdorff[0], mean)


def _piece(
    prob: NDArray[np.float32],
    target: NDArray[np.bool_],
    limits: NDArray[np.float32],
    percentiles: NDArray[np.float64],
    penalty: float,
) -> MapCurves:
    """The curves at as many thresholds as one level map holds."""
    levels = level_map(prob, target, limits)
    counts = counts_from_levels(levels.histogram)
    hausdorff, mean = surface_curves(levels, target, percentiles)
    one_sided = penalty if target.any() else 0.0
    empty = counts.true_positive + counts.false_positive == 0
    for values in (*hausdorff, mean):
        values[empty] = one_sided
        if not target.any():
            values[~empty] = penalty
    return MapCurves(counts, hausdorff, mean)


def evaluate_batch(
    probs: Sequence[ArrayLike] | NDArray,
    targets: Sequence[ArrayLike] | NDArray,
    thresholds: ArrayLike = THRESHOLDS,
    percentile: float = 95.0,
    empty_penalty: EmptyPenalty = "width",
    threads: int | None = None,
) -> ThresholdCurves:
    """Return the curves of N images, (N, T) each, in the order given, on all cores by threads.

    probs, targets: N maps (H, W) or (1, H, W), sizes may differ between images; arrays (N, H, W)
    and (N, 1, H, W) do as well. The result does not depend on `threads` (default: every core).
    ValueError: as `threshold_curves`, naming the image, or lists of different length.
    """
    if len(probs) != len(targets):
        raise ValueError(f"{len(probs)} probability maps for {len(targets)} targets; pass pairs")
    if len(probs) == 0:
        raise ValueError("no images to evaluate; pass at least one probability map")

    def one(index: int) -> ThresholdCurves:
        pair = (np.asarray(probs[index]), np.asarray(targets[index]))
        p, g = (a[0] if a.ndim == 3 and a.shape[0] == 1 else a for a in pair)
        try:
            return threshold_curves(p, g, thresholds, percentile, empty_penalty)
        except ValueError as error:
            raise ValueError(f"image {index}: {error}") from error

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        curves = list(pool.map(one, range(len(probs))))
    return ThresholdCurves(*(np.stack(column) for column in zip(*curves)))


def summarise(iou: ArrayLike, hausdorff: ArrayLike, thresholds: ArrayLike = THRESHOLDS) -> Summary:
    """Return IoU_max, AIU, HD95_min and AHD95 of per-image curves (Sec. IV-B).

    iou, hausdorff (N, T). The threshold is chosen on the mean over images (the lowest one if
    several are equally good); AIU and AHD95 average over images and thresholds. The Hausdorff
    numbers keep their names whatever percentile the curves hold. ValueError: shapes that differ
    or do not fit the thresholds.
    """
    overlap = np.atleast_2d(np.asarray(iou, np.float64))
    distance = np.atleast_2d(np.asarray(hausdorff, np.float64))
    limits = np.atleast_1d(np.asarray(thresholds, np.float64))
    if overlap.shape != distance.shape or overlap.shape[1:] != limits.shape or not overlap.size:
        raise ValueError(
            f"iou {overlap.shape}, hausdorff {distance.shape} and thresholds {limits.shape} do not "
            "fit; pass (N, T), (N, T) and (T,)"
        )
    mean_iou, mean_distance = overlap.mean(0), distance.mean(0)  # (T,)
    best, nearest = int(mean_iou.argmax()), int(mean_distance.argmin())
    return Summary(
        float(mean_iou[best]),
        float(limits[best]),
        float(mean_iou.mean()),
        float(mean_distance[nearest]),
        float(limits[nearest]),
        float(mean_distance.mean()),
    )
