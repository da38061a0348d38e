"""From each surface element of the target to the prediction's surface, at all thresholds at once.

A corner outside the mask {q > k} is nearest to the first corner, by distance, whose highest level
exceeds k; a corner inside it to the first whose lowest level is k or less. Both are staircases in
k, climbed in one walk outwards: first over a small disc in order of distance, then over blocks of
8 x 8 and 64 x 64 corners that could still improve a threshold. The staircase of the previous
corner, a neighbour as a rule, bounds the search.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from csbsr.metrics.surface import pack

MARGIN = 4
"""Radius in pixels of the disc, and width of the frame of the maps that it walks over."""
_UNKNOWN = np.int32(2**30)
_AWAY = np.int32(20000)  # a site that no corner is near to; squares stay within int32


def _disc() -> NDArray[np.int64]:
    """Row offset, column offset and squared distance of the disc's corners, nearest first."""
    steps = np.arange(-MARGIN, MARGIN + 1)
    di, dj = (a.ravel() for a in np.meshgrid(steps, steps, indexing="ij"))
    squared = di**2 + dj**2
    order = np.argsort(squared, kind="stable")
    order = order[(squared[order] > 0) & (squared[order] <= MARGIN**2)]
    return np.stack([di[order], dj[order], squared[order]]).astype(np.int64)


_DISC = _disc()


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
                        for j in range(bj * 8, bj * 8 + 8):
                            f = field[i, j]
                            squared = vertical + (j - gj) * (j - gj)
                            if squared < limit[f]:
                                limit[f] = squared
                                at[f] = squared
                                site_i[f], site_j[f] = i, j


@njit(cache=True, nogil=True)
def _climb(maps, disc, gi, gj, top, goal, limit, at, site_i, site_j):
    """Fill limit[top + 1 : goal + 1] with the squared distance to the nearest corner of level >= f.

    maps: the field and its maxima over runs of 8, blocks of 8 x 8 and of 64 x 64.
    """
    field, runs, blocks, supers = maps
    first = top
    for s in range(disc.shape[1]):
        if top >= goal:
            return
        f = np.int64(field[gi + disc[0, s], gj + disc[1, s]])
        if f > top:
            site_i[f], site_j[f] = gi + disc[0, s], gj + disc[1, s]
            limit[top + 1 : f + 1] = disc[2, s]
            top = f
    if top >= goal:
        return
    settled = limit[first + 1 : top + 1].copy()
    _known(gi, gj, top, goal, site_i, site_j, at, limit)
    _search(field, runs, blocks, supers, gi, gj, goal, limit, at, site_i, site_j)
    _lower(top, goal, at, limit)
    limit[first + 1 : top + 1] = settled


@njit(cache=True, nogil=True)
def _maxima(field):
    runs = row_maxima(field)
    blocks = column_maxima(runs)
    return field, runs, blocks, row_maxima(column_maxima(blocks))


@njit(cache=True, nogil=True)
def _run(kind, squared, start, stop):
    """Element of one corner at the thresholds [start, stop)."""
    if kind == 0:
        return pack(squared, 1, start, stop, stop, stop)
    return pack(squared, kind - 1, start, start, stop, stop)


@njit(cache=True, nogil=True)
def _target_elements(where, kind, lowest, highest, levels, occupied, disc):
    inverted = np.empty_like(lowest)  # a corner inside the masks looks for low levels
    for i in range(lowest.shape[0]):
        row, source = inverted[i], lowest[i]
        for j in range(row.size):
            row[j] = np.uint8(0) if source[j] == 255 else np.uint8(np.uint8(levels) - source[j])
    outside, inside = _maxima(highest), _maxima(inverted)
    out_i, out_j = np.full(256, -_AWAY, np.int32), np.full(256, -_AWAY, np.int32)
    in_i, in_j = np.full(256, -_AWAY, np.int32), np.full(256, -_AWAY, np.int32)
    limit, at = np.empty(256, np.int32), np.empty(256, np.int32)
    elements = np.empty(16 * where.shape[0] + 512, np.int64)
    count = 0
    for n in range(where.shape[0]):
        if count + levels + 2 > elements.size:
            larger = np.empty(2 * elements.size, np.int64)
            larger[:count] = elements[:count]
            elements = larger
        gi, gj = np.int64(where[n, 0]) + MARGIN, np.int64(where[n, 1]) + MARGIN
        low, high = np.int64(lowest[gi, gj]), np.int64(highest[gi, gj])
        if low < high:
            elements[count] = _run(kind[n], 0, low, high)
            count += 1
        if high < occupied:
            _climb(outside, disc, gi, gj, high, occupied, limit, at, out_i, out_j)
            f = high + 1
            while f <= occupied:  # threshold k is settled by the corners of level > k
                start, squared = f - 1, limit[f]
                while f <= occupied and limit[f] == squared:
                    f += 1
                elements[count] = _run(kind[n], squared, start, f - 1)
                count += 1
        if low > 0:
            _climb(inside, disc, gi, gj, levels - low, levels, limit, at, in_i, in_j)
            f = levels - low + 1
            while f <= levels:
                start, squared = f - 1, limit[f]
                while f <= levels and limit[f] == squared:
                    f += 1
                elements[count] = _run(kind[n], squared, levels - f + 1, levels - start)
                count += 1
    return elements[:count]


def target_elements(
    where: NDArray[np.int32],
    kind: NDArray[np.uint8],
    lowest: NDArray[np.uint8],
    highest: NDArray[np.uint8],
    levels: int,
    occupied: int,
) -> NDArray[np.int64]:
    """Return the elements of the target's surface with distances to the prediction's.

    where (N, 2), kind (N,): as `target_surface` returns them; lowest, highest: `corner_ranges` of
    the prediction, in maps of `framed_shape`; levels: the number of thresholds, of which those
    from `occupied` on leave the prediction empty and get no elements.
    """
    return _target_elements(where, kind, lowest, highest, levels, occupied, _DISC)
