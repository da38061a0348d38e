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


def disc_offsets() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row and column offsets of the disc without its centre, and squared distances."""
    steps = np.arange(-MARGIN, MARGIN + 1)
    di, dj = (a.ravel() for a in np.meshgrid(steps, steps, indexing="ij"))
    squared = di**2 + dj**2
    order = np.argsort(squared, kind="stable")
    order = order[(squared[order] > 0) & (squared[order] <= MARGIN**2)]
    return di[order].astype(np.int64), dj[order].astype(np.int64), squared[order].astype(np.int64)


@njit(cache=True, nogil=True)
def block_maxima(field, size):
    """Highest value in each size x size block of a uint8 map."""
    rows, columns = (field.shape[0] + size - 1) // size, (field.shape[1] + size - 1) // size
    out = np.zeros((rows, columns), np.uint8)
    line = np.empty(field.shape[1], np.uint8)
    for bi in range(rows):
        line[:] = 0
        for i in range(bi * size, min((bi + 1) * size, field.shape[0])):
            row = field[i]
            for j in range(line.size):
                line[j] = max(line[j], row[j])
        for j in range(line.size):
            out[bi, j // size] = max(out[bi, j // size], line[j])
    return out


@njit(cache=True, nogil=True)
def _gap(position, start, size):
    """Distance along one axis from a position to the interval [start, start + size)."""
    if position < start:
        return start - position
    return max(position - (start + size - 1), 0)


@njit(cache=True, nogil=True)
def _search(field, blocks, supers, gi, gj, top, goal, best, site_i, site_j):
    """Finish best[top:goal] and its sites: exact squared distances to the sets {field > k}."""
    bound = _UNKNOWN
    for k in range(goal - 1, top - 1, -1):  # the previous corner's sites are still valid sites
        if site_i[k] >= 0:
            di, dj = site_i[k] - gi, site_j[k] - gj
            squared = np.int32(di * di + dj * dj)
            if squared <= bound:
                bound = squared
            else:
                site_i[k], site_j[k] = site_i[k + 1], site_j[k + 1]
        best[k] = bound
    reach = np.int64(np.sqrt(np.float64(best[goal - 1]))) + 1
    rows, columns = field.shape
    for si in range(max(gi - reach, 0) // 64, min(gi + reach, rows - 1) // 64 + 1):
        for sj in range(max(gj - reach, 0) // 64, min(gj + reach, columns - 1) // 64 + 1):
            f = np.int64(supers[si, sj])
            if f <= top:
                continue
            di, dj = _gap(gi, si * 64, 64), _gap(gj, sj * 64, 64)
            if di * di + dj * dj >= best[f - 1]:
                continue
            for bi in range(si * 8, min(si * 8 + 8, blocks.shape[0])):
                di = _gap(gi, bi * 8, 8)
                if di > reach:
                    continue
                for bj in range(sj * 8, min(sj * 8 + 8, blocks.shape[1])):
                    f = np.int64(blocks[bi, bj])
                    if f <= top:
                        continue
                    dj = _gap(gj, bj * 8, 8)
                    if di * di + dj * dj >= best[f - 1]:
                        continue
                    for i in range(bi * 8, min(bi * 8 + 8, rows)):
                        line = field[i]
                        vertical = (i - gi) * (i - gi)
                        for j in range(bj * 8, min(bj * 8 + 8, columns)):
                            f = np.int64(line[j])
                            if f <= top:
                                continue
                            squared = np.int32(vertical + (j - gj) * (j - gj))
                            k = f - 1
                            while k >= top and best[k] > squared:
                                best[k] = squared
                                site_i[k], site_j[k] = i, j
                                k -= 1


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
    blocks_high, blocks_low = block_maxima(highest, 8), block_maxima(inverted, 8)
    supers_high, supers_low = block_maxima(blocks_high, 8), block_maxima(blocks_low, 8)
    sites = np.full((2, 2, 256), -1)
    best = np.empty(256, np.int32)
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
                    for k in range(top, f):
                        site_i[k], site_j[k] = gi + disc_i[s], gj + disc_j[s]
                    start, stop = (levels - f, levels - top) if inside else (top, f)
                    elements = _append(elements, count, kind[n], disc_squared[s], start, stop)
                    count += 1
                    top = f
            if top >= goal:
                continue
            if inside:
                _search(inverted, blocks_low, supers_low, gi, gj, top, goal, best, site_i, site_j)
            else:
                _search(highest, blocks_high, supers_high, gi, gj, top, goal, best, site_i, site_j)
            while top < goal:
                f = top + 1
                while f < goal and best[f] == best[top]:
                    f += 1
                start, stop = (levels - f, levels - top) if inside else (top, f)
                elements = _append(elements, count, kind[n], best[top], start, stop)
                count += 1
                top = f
    return elements[:count]
