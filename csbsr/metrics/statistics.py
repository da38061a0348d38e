"""How sure are we? Bootstrap intervals over images and a paired test between two experiments.

Beyond the paper, which prints one number per cell. The test images are the sample: intervals say
how the number would move with other images, not with another training seed. Images that were cut
from one photograph are no independent sample: with `groups`, whole photographs are drawn.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from csbsr.metrics.checks import THRESHOLDS

RESAMPLES = 2000


class Interval(NamedTuple):
    """An estimate and the bounds of its percentile bootstrap interval."""

    estimate: float
    low: float
    high: float


class SummaryIntervals(NamedTuple):
    """Intervals of the four segmentation numbers of Tables II-VI."""

    iou_max: Interval
    aiu: Interval
    hd95_min: Interval
    ahd95: Interval


class PairedTest(NamedTuple):
    """Mean difference (first - second) over the same images, its interval, and a p-value."""

    difference: Interval
    p_value: float
    images: int


def _check_sample(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.ndim not in (1, 2) or array.shape[0] == 0:
        raise ValueError(f"{name} has shape {array.shape}; pass one row per image, at least one")
    if np.isnan(array).any():
        raise ValueError(f"{name} contains NaN; leave out images without a value")
    return array


def _check_settings(level: float, resamples: int) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1, such as 0.95")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; it must be at least 1")


def _numbered(groups: Sequence[str] | None, images: int) -> NDArray[np.intp]:
    """Number of each image's group (N,); every image is one without groups."""
    if groups is None:
        return np.arange(images)
    if len(groups) != images:
        raise ValueError(f"{len(groups)} groups for {images} images; pass one group per image")
    return np.unique(np.asarray(groups), return_inverse=True)[1]


def _resampled_means(
    values: NDArray, resamples: int, seed: int, groups: Sequence[str] | None = None
) -> NDArray[np.float64]:
    """Means of resamples of the rows' groups, (N,) or (N, T) -> (R,) or (R, T)."""
    number = _numbered(groups, len(values))
    n = int(number.max()) + 1
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, *values.shape[1:]))
    for start in range(0, resamples, 256):  # bounded memory for thousands of images
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=min(256, resamples - start))
        drawn = drawn[:, number]  # (R, N): how often each image is in a resample
        images = drawn.sum(1).reshape(-1, *[1] * (values.ndim - 1))
        means[start : start + len(drawn)] = drawn @ values / images
    return means


def _interval(estimate: float, sample: NDArray[np.float64], level: float) -> Interval:
    low, high = np.quantile(sample, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate), float(low), float(high))


def bootstrap_mean(
    values: ArrayLike,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: Sequence[str] | None = None,
) -> Interval:
    """Return the mean of per-image values (N,) and its bootstrap interval.

    groups (N,): the photograph of each image, drawn as a whole. The same seed gives the same
    interval. ValueError: no images, NaN, a level outside (0, 1), not one group per image.
    """
    sample = _check_sample(values, "values")
    _check_settings(level, resamples)
    if sample.ndim != 1:
        raise ValueError(f"values have shape {sample.shape}; pass one value per image (N,)")
    return _interval(sample.mean(), _resampled_means(sample, resamples, seed, groups), level)


def bootstrap_summary(
    iou: ArrayLike,
    hausdorff: ArrayLike,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: Sequence[str] | None = None,
) -> SummaryIntervals:
    """Return IoU_max, AIU, HD95_min and AHD95 of curves (N, T) with bootstrap intervals.

    Each resample of images chooses its own best threshold, as Sec. IV-B does, so the intervals
    include the choice. The same images are drawn for all four. groups and ValueError: as
    `bootstrap_mean`, or shapes that differ.
    """
    overlap, distance = _check_sample(iou, "iou"), _check_sample(hausdorff, "hausdorff")
    _check_settings(level, resamples)
    if overlap.shape != distance.shape or overlap.ndim != 2:
        raise ValueError(f"iou {overlap.shape} and hausdorff {distance.shape} must both be (N, T)")
    overlaps = _resampled_means(overlap, resamples, seed, groups)  # (R, T)
    distances = _resampled_means(distance, resamples, seed, groups)
    mean_overlap, mean_distance = overlap.mean(0), distance.mean(0)
    return SummaryIntervals(
        _interval(mean_overlap.max(), overlaps.max(1), level),
        _interval(mean_overlap.mean(), overlaps.mean(1), level),
        _interval(mean_distance.min(), distances.min(1), level),
        _interval(mean_distance.mean(), distances.mean(1), level),
    )


def bootstrap_difference(
    first: ArrayLike,
    second: ArrayLike,
    groups: Sequence[str] | None = None,
    over_thresholds: Literal["max", "min", "mean"] = "mean",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return first - second of two experiments on the same images, with its bootstrap interval.

    first, second (S, N, T): runs of S training seeds, N images, T thresholds (1 for a metric that
    has none). In every resample each run chooses its own best threshold (`max`, `min`) or averages
    them; runs are averaged afterwards, so that the noise of training is not in the interval.
    groups (N,) and ValueError: as `bootstrap_mean`, or shapes that do not fit.
    """
    arms = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if arms[0].ndim != 3 or arms[0].shape[1:] != arms[1].shape[1:] or 0 in arms[0].shape:
        raise ValueError(f"{arms[0].shape} and {arms[1].shape} must both be (S, N, T)")
    _check_settings(level, resamples)
    choose = {"max": np.max, "min": np.min, "mean": np.mean}[over_thresholds]
    estimate, sample = 0.0, np.zeros(resamples)
    for arm, weight in zip(arms, (1, -1)):
        for run in arm:
            values = _check_sample(run, "values")
            means = _resampled_means(values, resamples, seed, groups)
            sample += weight * choose(means, axis=1) / len(arm)
            estimate += weight * float(choose(values.mean(0))) / len(arm)
    return _interval(estimate, sample, level)


def paired_test(
    first: ArrayLike,
    second: ArrayLike,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: Sequence[str] | None = None,
) -> PairedTest:
    """Compare two experiments on the same images by a two-sided sign-flip test of the mean.

    first, second (N,): per-image values in the same order, for instance the IoU at the threshold
    each experiment chose. If there is no difference, every sign of every per-image difference is
    as likely as the other; the p-value is the share of sign patterns at least as extreme: all 2^N
    if they are no more than `resamples`, else that many random ones and the observed one.
    groups (N,): photographs, whose images change sign together. ValueError: as `bootstrap_mean`,
    or samples of different length.
    """
    a, b = _check_sample(first, "first"), _check_sample(second, "second")
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"samples {a.shape} and {b.shape} must both be (N,), the same images")
    difference = a - b
    interval = bootstrap_mean(difference, level, resamples, seed, groups)
    images = len(difference)
    difference = np.bincount(_numbered(groups, images), weights=difference)  # sum per group
    n, observed = len(difference), abs(difference.sum())
    tolerance = 1e-12 * np.abs(difference).sum()  # equal patterns may round differently
    if 2**n <= resamples:
        patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        extreme = np.abs((1 - 2 * patterns) @ difference) >= observed - tolerance
        return PairedTest(interval, float(extreme.mean()), images)
    rng = np.random.default_rng(seed)
    count = 0
    for start in range(0, resamples, 256):
        signs = rng.integers(0, 2, (min(256, resamples - start), n)) * 2 - 1
        count += int((np.abs(signs @ difference) >= observed - tolerance).sum())
    return PairedTest(interval, (count + 1) / (resamples + 1), images)


def values_at(
    curve: ArrayLike, threshold: float, thresholds: ArrayLike = THRESHOLDS
) -> NDArray[np.float64]:
    """Return the per-image values (N,) of curves (N, T) at the threshold nearest to the one given.

    ValueError: curves that do not fit the thresholds, or no threshold within 1e-6.
    """
    values, limits = np.atleast_2d(np.asarray(curve, np.float64)), np.asarray(thresholds)
    if values.shape[1:] != limits.shape:
        raise ValueError(f"curves {values.shape} do not fit {limits.shape} thresholds")
    nearest = int(np.abs(limits - threshold).argmin())
    if abs(limits[nearest] - threshold) > 1e-6:
        raise ValueError(
            f"threshold {threshold} was not evaluated; the nearest is {limits[nearest]}"
        )
    return values[:, nearest]
