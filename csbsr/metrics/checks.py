"""What the metrics accept: one probability map, one binary mask, sorted thresholds."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

EmptyPenalty = Literal["width", "diagonal", "infinite"]

THRESHOLDS: NDArray[np.float64] = np.arange(1, 100) / 100
"""The 99 thresholds 0.01, 0.02 ... 0.99 of the released code and of Fig. 6 and 7."""
THRESHOLDS.setflags(write=False)


def check_mask(mask: ArrayLike, name: str = "target") -> NDArray[np.bool_]:
    """Return a 2-D binary mask as bool; ValueError if not 2-D or not made of 0 and 1."""
    array = np.asarray(mask)
    if array.ndim != 2:
        raise ValueError(f"{name} has shape {array.shape}; pass one (H, W) mask at a time")
    if array.size == 0:
        raise ValueError(f"{name} has no pixels (shape {array.shape}); pass at least 1 x 1")
    if array.dtype == bool:
        return np.ascontiguousarray(array)
    binary = array == 1
    if not np.all(binary | (array == 0)):
        raise ValueError(f"{name} is not binary; it must hold only 0 and 1 (use mask > 0.5)")
    return np.ascontiguousarray(binary)


def check_probability(prob: ArrayLike, name: str = "prob") -> NDArray[np.float32]:
    """Return a 2-D map as float32; ValueError for another shape, NaN, or outside [0, 1]."""
    array = np.asarray(prob)
    if array.ndim != 2:
        raise ValueError(f"{name} has shape {array.shape}; pass one (H, W) map at a time")
    array = np.ascontiguousarray(array, dtype=np.float32)
    if array.size == 0:
        raise ValueError(f"{name} has no pixels (shape {array.shape}); pass at least 1 x 1")
    low, high = array.min(), array.max()
    if np.isnan(low) or np.isnan(high):
        raise ValueError(f"{name} contains NaN; check the network's output before measuring it")
    if low < 0 or high > 1:
        raise ValueError(
            f"{name} lies in [{low:.3g}, {high:.3g}], outside [0, 1]; apply the sigmoid first"
        )
    return array


def check_thresholds(thresholds: ArrayLike) -> NDArray[np.float32]:
    """Return thresholds as float32 (T,); ValueError if empty, not finite or not sorted."""
    array = np.atleast_1d(np.asarray(thresholds, dtype=np.float32))
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"thresholds have shape {array.shape}; pass a list of at least one number")
    if not np.all(np.isfinite(array)):
        raise ValueError("thresholds contain NaN or infinity; pass finite numbers")
    if np.any(np.diff(array) < 0):
        raise ValueError("thresholds are not sorted; pass them in ascending order")
    return array


def check_pair(prob: ArrayLike, target: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a checked probability map and mask of the same shape (H, W); ValueError otherwise."""
    p, g = check_probability(prob), check_mask(target)
    if p.shape != g.shape:
        raise ValueError(f"prob {p.shape} and target {g.shape} differ in shape; resize one of them")
    return p, g


def check_percentile(percentile: float) -> float:
    """Return a percentile as float; ValueError outside [0, 100]."""
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile is {percentile}; it must lie in [0, 100] (the paper uses 95)")
    return float(percentile)


def one_sided_penalty(rule: EmptyPenalty, height: int, width: int) -> float:
    """Return the distance in pixels that an image is charged when exactly one mask is empty.

    Released code: the image width. Paper: silent. ValueError for an unknown rule.
    """
    if rule == "width":
        return float(width)
    if rule == "diagonal":
        return float(np.hypot(height, width))
    if rule == "infinite":
        return float("inf")
    raise ValueError(f"empty_penalty '{rule}' is unknown; choose 'width', 'diagonal' or 'infinite'")
