"""From each surface element of the target to the prediction's surface, at all thresholds at once.

A corner outside the mask {q > k} is nearest to the first corner, by distance, whose highest level
exceeds k; a corner inside it to the first whose lowest level is k or less. Both are staircases in
k, climbed in one walk outwards: first over a small disc in order of distance, then over blocks of
8 x 8 and 64 x 64 corners that could still improve a threshold. The staircase of the previous
corner, a neighbour as a rule, bounds the search.
"""

import numpy as np
from numba import njit

from csbsr.metrics.surface import pack

MARGIN = 4
"""Radius in pixels of the disc, and width of the frame of the maps that it walks over."""
_UNKNOWN = np.int32(2**30)
_AWAY = np.int32(20000)  # a site that no corner is near to; squares stay within int32


def disc_offsets() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row and column offsets of the disc without its centre, and squared distances."""
    steps = np.arange(-MARGIN, MARGIN + 1)
    di, dj = (a.ravel() for a in np.meshgrid(steps, steps, indexing="ij"))
    squared = di**2 + dj**2
    order = np.argsort(squared, kind="stable")
    order = order[(squared[order] > 0) & (squared[order] <= MARGIN**2)]
    return di[order].astype(np.int64), dj[order].astype(np.int64), squared[order].astype(np.int64)


def framed_shape(rows: int, columns: int) -> tuple[int, int]:
    """Return the size of a corner map with its frame, rounded up to whole 64 x 64 blocks."""
    height, width = (-(-(n + 2 * MARGIN) // 64) * 64 for n in (rows, columns))
    return height, width


@njit(cache=True, nogil=True)
def row_maxima(field):
    """Highest value in each run of 8 columns of a uint8 map."""
    rows, columns = field.shape[0], field.shape[1] // 8
    out = np.empty((rows, columns), np.uint8)
    for i in range(rows):
        row, line = field[i], out[i]
        for j in range(columns):
            e = row[8 * j : 8 * j + 8]
            left, right = max(max(e[0], e[1]), max(e[2], e[3])), max(e[4], e[5])
            line[j] = max(max(left, right), max(e[6], e[7]))
    return out


@njit(cache=True, nogil=True)
def column_maxima(field):
    """Highest value in each run of 8 rows of a uint8 map."""
    rows, columns = field.shape[0] // 8, field.shape[1]
    out = np.zeros((rows, columns), np.uint8)
    for i in range(8 * rows):
        row, line = field[i], out[i // 8]
        for j in range(columns):
            line[j] = max(line[j], row[j])
    return out


@njit(cache=True, nogil=True)
def _gap(position, start, size):
    """Distance along one axis from a position to the interval [start, start + size)."""
    return max(max(start - position, position - (start + size - 1)), 0)


@njit(cache=True, nogil=True)
def _known(gi, gj, top, goal, site_i, site_j, at, limit):
    """Squared distances at[f] to the sites of level f known from earlier corners, and bounds.

    limit[f] is the least at[f'] with f' >= f: only a nearer corner of level f is of use. It is 0
    for the levels up to top, which are settled.
    """
    for f in range(top + 1, goal + 1):
        di, dj = np.int32(site_i[f] - gi), np.int32(site_j[f] - gj)
        at[f] = np.int32(np.int32(di * di) + np.int32(dj * dj))
    limit[: top + 1] = 0
    _lower(top, goal, at, limit)


@njit(cache=True, nogil=True)
def _lower(top, goal, at, limit):
    bound = _UNKNOWN
    for f in range(goal, top, -1):
        bound = min(bound, at[f])
        limit[f] = bound


@njit(cache=True, nogil=True)
def _search(field, runs, blocks, supers, gi, gj, goal, limit, at, site_i, site_j):
    """Finish at[f], which is then exact wherever it is the least of the levels from f."""
    reach = np.int64(np.sqrt(np.float64(limit[goal]))) + 1
    rows, columns = supers.shape
    for si in range(max(gi - reach, 0) // 64, min((gi + reach) // 64 + 1, rows)):
        di = _gap(gi, si * 64, 64)
        for sj in range(max(gj - reach, 0) // 64, min((gj + reach) // 64 + 1, columns)):
            dj = _gap(gj, sj * 64, 64)
            if di * di + dj * dj >= limit[supers[si, sj]]:
                continue
            for bi in range(si * 8, si * 8 + 8):
                block_i = _gap(gi, bi * 8, 8)
                block_i *= block_i
                for bj in range(sj * 8, sj * 8 + 8):
                    block_j = _gap(gj, bj * 8, 8)
                    block_j *= block_j
                    if block_i + block_j >= limit[blocks[bi, bj]]:
                        continue
                    for i in range(bi * 8, bi * 8 + 8):
                        vertical = (i - gi) * (i - gi)
                        if vertical + block_j >= limit[runs[i, bj]]:
                            continue
                        line = field[i]
                        for j in range(bj * 8, bj * 8 + 8):
                            f = line[j]
                            squared = vertical + (j - gj) * (j - gj)
                            if squared < limit[f]:
                                limit[f] = squared
                                at[f] = squared
                                site_i[f], site_j[f] = i, j


@njit(cache=True, nogil=True)
def _append(elements, n, kind, squared, start, stop):
    """Append a run of thresholds [start, stop) at one distance; grows the array when full."""
    if n == elements.size:
        larger = np.empty(2 * n, np.int64)
        larger[:n] = elements
        elements = larger
    if kind == 0:
        elements[n] = pack(squared, 1, start, stop, stop, stop)
    else:
        elements[n] = pack(squared, kind - 1, start, start, stop, stop)
    return elements


@njit(cache=True, nogil=True)
def target_elements(where, kind, lowest, highest, levels, top_level, disc_i, disc_j, disc_squared):
    """Elements of the target's surface with distances to the prediction's, thresholds < top_level.

    where (N, 2) corners, kind (N,); lowest, highest: framed corner maps; levels = T thresholds.
    """
    inverted = np.empty_like(lowest)  # a corner inside the masks looks for low levels
    for i in range(lowest.shape[0]):
        row, source = inverted[i], lowest[i]
        for j in range(row.size):
            row[j] = np.uint8(0) if source[j] == 255 else np.uint8(np.uint8(levels) - source[j])
    runs_high, runs_low = row_maxima(highest), row_maxima(inverted)
    blocks_high, blocks_low = column_maxima(runs_high), column_maxima(runs_low)
    supers_high = row_maxima(column_maxima(blocks_high))
    supers_low = row_maxima(column_maxima(blocks_low))
    sites = np.full((2, 2, 256), -_AWAY, np.int32)
    limit, at = np.empty(256, np.int32), np.empty(256, np.int32)
    elements = np.empty(16 * where.shape[0] + 256, np.int64)
    count = 0
    stride = highest.shape[1]
    steps = disc_i * stride + disc_j
    for n in range(where.shape[0]):
        gi, gj = np.int64(where[n, 0]) + MARGIN, np.int64(where[n, 1]) + MARGIN
        low, high = np.int64(lowest[gi, gj]), np.int64(highest[gi, gj])
        if low < high:
            elements = _append(elements, count, kind[n], 0, low, high)
            count += 1
        for inside in range(2):
            field = inverted if inside else highest
            top = levels - low if inside else high
            goal = levels if inside else top_level
            site_i, site_j = sites[inside, 0], sites[inside, 1]
            flat = field.ravel()
            origin = gi * stride + gj
            for s in range(steps.size):
                if top >= goal:
                    break
                f = np.int64(flat[origin + steps[s]])
                if f > top:
                    site_i[f], site_j[f] = gi + disc_i[s], gj + disc_j[s]
                    start, stop = (levels - f, levels - top) if inside else (top, f)
                    elements = _append(elements, count, kind[n], disc_squared[s], start, stop)
                    count += 1
                    top = f
            if top >= goal:
                continue
            _known(gi, gj, top, goal, site_i, site_j, at, limit)
            if inside:
                _search(
                    inverted,
                    runs_low,
                    blocks_low,
                    supers_low,
                    gi,
                    gj,
                    goal,
                    limit,
                    at,
                    site_i,
                    site_j,
                )
            else:
                _search(
                    highest,
                    runs_high,
                    blocks_high,
                    supers_high,
                    gi,
                    gj,
                    goal,
                    limit,
                    at,
                    site_i,
                    site_j,
                )
            _lower(top, goal, at, limit)
            while top < goal:
                f = top + 1
                while f < goal and limit[f + 1] == limit[top + 1]:
                    f += 1
                start, stop = (levels - f, levels - top) if inside else (top, f)
                elements = _append(elements, count, kind[n], limit[top + 1], start, stop)
                count += 1
                top = f
    return elements[:count]
