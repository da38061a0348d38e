"""Weighted percentiles and means of packed surface elements, at all thresholds in one pass.

Lengths are counted in integers (units and half diagonals), so the share of the length beyond a
distance is exact; where it meets the percentile to within 1e-10, surface-distance's answer depends
on the rounding of its sum, and the threshold is reported as tied.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from csbsr.metrics.levels import LevelMap, corner_ranges
from csbsr.metrics.nearest import MARGIN, framed_shape, target_elements
from csbsr.metrics.plain import HALF_DIAGONAL, weighted_percentile
from csbsr.metrics.surface import prediction_elements, squared_distances, target_surface

_UNIT = np.int64(1) << 32  # units in the upper half of a length, half diagonals in the lower
_TIE = 1e-10

MAX_SIDE = 10_000
"""Longest side of an image in pixels; squared distances are 32-bit integers."""


@njit(cache=True, nogil=True)
def _length(packed):
    """Length in pixels of a packed sum of units and half diagonals."""
    return np.float64(packed >> 32) + np.float64(packed & (_UNIT - 1)) * HALF_DIAGONAL


@njit(cache=True, nogil=True)
def _add_lengths(elements, start, stop, change):
    """Add the lengths of some elements to a difference array over thresholds."""
    for n in range(start, stop):
        e = elements[n]
        middle = np.int64(1) if e >> 32 & 1 else _UNIT - 1
        change[e & 255] += 1
        change[e >> 8 & 255] += middle
        change[e >> 16 & 255] -= middle
        change[e >> 24 & 255] -= 1


@njit(cache=True, nogil=True)
def _beyond(tail, change, levels, out):
    """out[k] = tail[k] + the accumulated changes; clears the difference array."""
    total = np.int64(0)
    for k in range(levels):
        total += change[k]
        out[k] = tail[k] + total
    change[:] = 0


@njit(cache=True, nogil=True)
def _sort_ring(elements, start, stop, radius, scratch):
    """Sort the elements of one ring, radius <= distance < radius + 1, by descending distance."""
    if stop - start < 2:
        return
    base = radius * radius
    counts = np.zeros(2 * radius + 2, np.int64)
    for n in range(start, stop):
        counts[2 * radius + 1 - ((elements[n] >> 33) - base)] += 1
    for b in range(1, counts.size):
        counts[b] += counts[b - 1]
    for n in range(start, stop):
        b = 2 * radius - ((elements[n] >> 33) - base)
        scratch[counts[b]] = elements[n]
        counts[b] += 1
    elements[start:stop] = scratch[: stop - start]


@njit(cache=True, nogil=True)
def _first_pass(elements, unit_scale, change, moment, rings):
    """Total lengths, sums of length x distance in fixed point, and elements per ring."""
    half_scale = unit_scale * HALF_DIAGONAL
    for n in range(elements.size):
        e = elements[n]
        distance = np.sqrt(np.float64(e >> 33))
        rings[np.int64(distance) + 1] += 1
        half = np.int64(distance * half_scale + 0.5)
        middle, length = half, np.int64(1)
        if not e >> 32 & 1:
            middle, length = np.int64(distance * unit_scale + 0.5) - half, _UNIT - 1
        v1, v2, v3, v4 = e & 255, e >> 8 & 255, e >> 16 & 255, e >> 24 & 255
        outer = np.int64(1)
        if v1 == v2 and v3 == v4:  # one length throughout
            half, outer = half + middle, outer + length
        elif v2 != v3:
            change[v2] += length
            change[v3] -= length
            moment[v2] += middle
            moment[v3] -= middle
        change[v1] += outer
        moment[v1] += half
        change[v4] -= outer
        moment[v4] -= half


@njit(cache=True, nogil=True)
def directed(elements, levels, percentiles, reach):
    """Percentiles (squared, int64), mean distance and tie flags of each threshold < levels.

    elements: packed, of one direction; reach: an upper bound of the distance. percentiles (P,) in
    [0, 100] -> (P, levels), (levels,), (P, levels). Thresholds without a surface get 0.
    """
    wanted = percentiles.size
    squared = np.zeros((wanted, levels), np.int64)
    mean = np.zeros(levels)
    tied = np.zeros((wanted, levels), np.bool_)
    bits = 61 - np.int64(np.ceil(np.log2((elements.size + 1.0) * (reach + 1.0) * 1.5)))
    unit_scale = 2.0 ** min(bits, 44)
    change, moment = np.zeros(256, np.int64), np.zeros(256, np.int64)
    rings = np.zeros(np.int64(reach) + 3, np.int64)
    _first_pass(elements, unit_scale, change, moment, rings)
    total, tail = np.zeros(levels, np.int64), np.zeros(levels, np.int64)
    after = np.zeros(levels, np.int64)
    _beyond(tail, change, levels, total)
    limit, margin = np.full((wanted, levels), np.inf), np.empty((wanted, levels))
    running = np.int64(0)
    still_open = 0
    for k in range(levels):
        running += moment[k]
        if total[k] == 0:
            continue
        length = _length(total[k])
        mean[k] = running / unit_scale / length
        for p in range(wanted):
            limit[p, k] = length * (1.0 - percentiles[p] / 100.0)
            margin[p, k] = length * _TIE if percentiles[p] < 100 else 0.0
            still_open += 1
    for r in range(1, rings.size):
        rings[r] += rings[r - 1]
    ordered = np.empty_like(elements)
    place = rings.copy()
    for n in range(elements.size):
        r = np.int64(np.sqrt(np.float64(elements[n] >> 33)))
        ordered[place[r]] = elements[n]
        place[r] += 1
    scratch = np.empty_like(elements)
    for r in range(rings.size - 2, -1, -1):
        start, stop = rings[r], rings[r + 1]
        if still_open == 0:
            break
        if start == stop:
            continue
        _add_lengths(ordered, start, stop, change)
        _beyond(tail, change, levels, after)
        if not _touched(after, limit, margin):
            tail[:] = after
            continue
        _sort_ring(ordered, start, stop, r, scratch)
        while start < stop:  # groups of equal distance
            value = ordered[start] >> 33
            end = start + 1
            while end < stop and ordered[end] >> 33 == value:
                end += 1
            _add_lengths(ordered, start, end, change)
            _beyond(tail, change, levels, tail)
            for p in range(wanted):
                for k in range(levels):
                    if tail[k] == 0 or limit[p, k] == np.inf:
                        continue
                    length = _length(tail[k])
                    if length > limit[p, k] + margin[p, k] or tail[k] == total[k]:
                        squared[p, k] = value
                    elif length >= limit[p, k] - margin[p, k]:
                        tied[p, k] = True
                    else:
                        continue
                    limit[p, k] = np.inf
                    still_open -= 1
            start = end
    return squared, mean, tied


@njit(cache=True, nogil=True)
def _touched(after, limit, margin):
    """Whether a limit that is still open is reached with the lengths that a ring leads to."""
    for p in range(limit.shape[0]):
        for k in range(after.size):
            is_open = after[k] > 0 and limit[p, k] < np.inf
            if is_open and _length(after[k]) >= limit[p, k] - margin[p, k]:
                return True
    return False


@njit(cache=True, nogil=True)
def at_threshold(elements, k):
    """Squared distances (px^2) and lengths (px) of the surface elements at one threshold."""
    squared, lengths = np.empty(elements.size), np.empty(elements.size)
    count = 0
    for n in range(elements.size):
        e = elements[n]
        if e & 255 <= k and k < e >> 24 & 255:
            length = HALF_DIAGONAL
            if e >> 8 & 255 <= k and k < e >> 16 & 255:
                length = 2 * HALF_DIAGONAL if e >> 32 & 1 else 1.0
            squared[count], lengths[count] = np.float64(e >> 33), length
            count += 1
    return squared[:count], lengths[:count]


class SurfaceCurves(NamedTuple):
    """Distances in pixels at each threshold; NaN where a mask is empty."""

    hausdorff: NDArray[np.float64]  # (P, T)
    mean: NDArray[np.float64]  # (T,)


def surface_curves(
    levels: LevelMap, target: NDArray[np.bool_], percentiles: NDArray[np.float64]
) -> SurfaceCurves:
    """Return Hausdorff percentiles and mean surface distance at all thresholds of a level map.

    levels: of a prediction (H, W); target (H, W) bool; percentiles (P,) in [0, 100]. ValueError for
    more than 10,000 pixels a side, beyond which squared distances could overflow.
    """
    if max(target.shape) > MAX_SIDE:
        raise ValueError(f"target {target.shape} exceeds {MAX_SIDE} pixels a side; cut it in tiles")
    thresholds = levels.histogram.shape[1] - 1
    hausdorff, mean = np.zeros((len(percentiles), thresholds)), np.zeros(thresholds)
    occupied = int(levels.framed.max())  # from this threshold on the prediction is empty
    if occupied == 0 or not target.any():
        return SurfaceCurves(np.full_like(hausdorff, np.nan), np.full_like(mean, np.nan))
    framed = np.zeros_like(levels.framed)
    framed[1:-1, 1:-1] = target
    surface, where, kind = target_surface(framed)
    lowest, highest = corner_ranges(levels.framed, MARGIN, *framed_shape(*surface.shape))
    squared = squared_distances(surface)
    forth = prediction_elements(levels.framed, lowest, highest, MARGIN, squared)
    back = target_elements(where, kind, lowest, highest, thresholds, occupied)
    for elements in (forth, back):
        far, average, tied = directed(elements, thresholds, percentiles, np.hypot(*surface.shape))
        distance = np.sqrt(far)
        for p, k in np.argwhere(tied[:, :occupied]):  # the rounding of the reference's sum decides
            squares, lengths = at_threshold(elements, k)
            distance[p, k] = weighted_percentile(np.sqrt(squares), lengths, percentiles[p])
        hausdorff = np.maximum(hausdorff, distance)
        mean += average / 2
    hausdorff[:, occupied:], mean[occupied:] = np.nan, np.nan
    return SurfaceCurves(hausdorff, mean)
