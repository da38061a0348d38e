"""Which cracks are found? The length of a crack's centreline that is marked, by its local width.

Beyond the paper. The local width at a centreline pixel is 2 d - 1 pixels, d being the distance to
the nearest pixel that is no crack: exact for lines of odd width along an axis, one less for even.
What lies beyond the image counts as crack, so that a crack cut by the border is not a thin one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from csbsr.metrics.centreline import skeleton
from csbsr.metrics.checks import THRESHOLDS, check_mask, check_pair, check_thresholds
from csbsr.metrics.surface import squared_distances

WIDTH_EDGES = (3.0, 6.0, 12.0)
"""Upper ends in pixels (inclusive) of all classes of width but the last, which has none."""


class WidthCounts(NamedTuple):
    """Centreline pixels of one mask in W = 4 classes of width, and those marked at T thresholds."""

    length: NDArray[np.int64]  # (W,)
    found: NDArray[np.int64]  # (W, T)


def local_widths(mask: ArrayLike) -> NDArray[np.float64]:
    """Return the local width in pixels along the centreline of a mask (H, W), 0 elsewhere.

    A mask without background has infinite width. ValueError: see `csbsr.metrics.checks.check_mask`.
    """
    crack = check_mask(mask, "mask")
    lines = skeleton(crack)
    widths = np.zeros(crack.shape)
    if crack.all():
        widths[lines] = np.inf
    elif lines.any():
        background = (~crack).astype(np.uint8)
        widths[lines] = 2 * np.sqrt(squared_distances(background)[lines]) - 1
    return widths


def width_counts(
    prob: ArrayLike, target: ArrayLike, thresholds: ArrayLike = THRESHOLDS
) -> WidthCounts:
    """Return how much of the target's centreline lies in `prob > t`, by class of local width.

    prob (H, W) in [0, 1], target (H, W) binary, thresholds (T,) ascending; classes: `WIDTH_EDGES`.
    No tolerance: a centreline pixel is found where the prediction covers it. ValueError: see
    `csbsr.metrics.checks`.
    """
    p, g = check_pair(prob, target)
    limits = check_thresholds(thresholds)
    widths = local_widths(g)
    lines = widths > 0
    classes = np.searchsorted(WIDTH_EDGES, widths[lines], side="left")  # (K,)
    levels = np.searchsorted(limits, p[lines], side="left")  # (K,) thresholds below p
    counts = np.zeros((len(WIDTH_EDGES) + 1, len(limits) + 1), np.int64)
    np.add.at(counts, (classes, levels), 1)
    return WidthCounts(counts.sum(1), counts[:, ::-1].cumsum(1)[:, ::-1][:, 1:])
