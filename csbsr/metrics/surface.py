"""Surface elements at all thresholds, and their distances to the surface of the target.

A corner of four pixels with sorted levels v1 <= v2 <= v3 <= v4 carries a surface element at the
thresholds v1 <= k < v4: half a diagonal on [v1, v2) and [v3, v4), where three or one of its pixels
are inside, and on [v2, v3) a unit, or a diagonal if the two pixels inside are opposite ones.

An *element* packs this with a squared distance into one int64:
squared distance << 33 | opposite << 32 | v4 << 24 | v3 << 16 | v2 << 8 | v1.
"""

import numpy as np
from numba import njit

_TILE = 16


@njit(cache=True, nogil=True)
def pack(squared, opposite, v1, v2, v3, v4):
    """One element from its squared distance (px^2), kind and four levels."""
    levels = np.int64(v1) | np.int64(v2) << 8 | np.int64(v3) << 16 | np.int64(v4) << 24
    return np.int64(squared) << 33 | np.int64(opposite) << 32 | levels


@njit(cache=True, nogil=True)
def corner_element(squared, a, b, c, d):
    """Element of the corner with the pixel levels a b / c d."""
    low_ad, high_ad = min(a, d), max(a, d)
    low_bc, high_bc = min(b, c), max(b, c)
    if low_ad >= high_bc:  # the two highest are opposite
        return pack(squared, 1, low_bc, high_bc, low_ad, high_ad)
    if low_bc >= high_ad:
        return pack(squared, 1, low_ad, high_ad, low_bc, high_bc)
    v1, v2 = min(low_ad, low_bc), max(low_ad, low_bc)
    return pack(squared, 0, v1, v2, min(high_ad, high_bc), max(high_ad, high_bc))


@njit(cache=True, nogil=True)
def target_surface(framed):
    """Surface of a framed mask (H + 2, W + 2) uint8: map (H + 1, W + 1), positions, kinds.

    Kind 0: half a diagonal, 1: a unit, 2: a diagonal.
    """
    rows, columns = framed.shape[0] - 1, framed.shape[1] - 1
    surface = np.empty((rows, columns), np.uint8)
    count = 0
    for i in range(rows):
        line = surface[i]
        a, b = framed[i, :columns], framed[i, 1 : columns + 1]
        c, d = framed[i + 1, :columns], framed[i + 1, 1 : columns + 1]
        for j in range(columns):
            line[j] = (a[j] | b[j] | c[j] | d[j]) & np.uint8(
                np.uint8(1) - (a[j] & b[j] & c[j] & d[j])
            )
        for j in range(columns):
            count += line[j]
    where = np.empty((count, 2), np.int32)
    kind = np.empty(count, np.uint8)
    n = 0
    for ti in range(0, rows, _TILE):  # tile by tile, so that successive corners are neighbours
        for tj in range(0, columns, _TILE):
            for i in range(ti, min(ti + _TILE, rows)):
                for j in range(tj, min(tj + _TILE, columns)):
                    if surface[i, j]:
                        above = framed[i, j] + framed[i, j + 1]
                        inside = above + framed[i + 1, j] + framed[i + 1, j + 1]
                        where[n, 0], where[n, 1] = i, j
                        kind[n] = 0
                        if inside == 2:
                            kind[n] = 2 if framed[i, j] == framed[i + 1, j + 1] else 1
                        n += 1
    return surface, where, kind


@njit(cache=True, nogil=True)
def squared_distances(surface):
    """Exact squared distance (px^2, int32) from each corner to the nearest surface corner.

    Distances along columns by two sweeps, then along each row the lower envelope of the parabolas
    (x - j)^2 + v_j^2, in integers. Needs at least one surface corner.
    """
    rows, columns = surface.shape
    far = np.int32(rows + columns)  # its square exceeds every true squared distance
    out = np.empty((rows, columns), np.int32)
    for j in range(columns):
        out[0, j] = 0 if surface[0, j] else far
    for i in range(1, rows):
        line, before, here = out[i], out[i - 1], surface[i]
        for j in range(columns):
            line[j] = np.int32(0) if here[j] else min(np.int32(before[j] + np.int32(1)), far)
    for i in range(rows - 2, -1, -1):
        line, after = out[i], out[i + 1]
        for j in range(columns):
            line[j] = min(line[j], np.int32(after[j] + np.int32(1)))
    apex = np.empty(columns, np.int64)
    height = np.empty(columns, np.int64)  # v_j^2 + j^2
    for i in range(rows):
        line = out[i]
        top = -1
        for j in range(columns):
            v = np.int64(line[j])
            if v >= far:
                continue
            h = v * v + j * j
            while top > 0 and (height[top] - height[top - 1]) * (j - apex[top]) >= (
                h - height[top]
            ) * (apex[top] - apex[top - 1]):
                top -= 1  # this parabola lies above its neighbours everywhere
            top += 1
            apex[top], height[top] = j, h
        x = np.int64(0)
        for s in range(top + 1):
            a = apex[s]
            stop = np.int64(columns)
            if s < top:
                cross = (height[s + 1] - height[s]) / (2.0 * (apex[s + 1] - a))
                stop = min(stop, np.int64(np.floor(cross)) + 1)
            base = np.int32(height[s] - a * a)
            offset = np.int32(x - a)
            piece = line[x : max(x, stop)]
            for n in range(piece.size):
                step = np.int32(offset + np.int32(n))
                piece[n] = np.int32(np.int32(step * step) + base)
            x = max(x, stop)
    return out


@njit(cache=True, nogil=True)
def prediction_elements(framed, lowest, highest, margin, squared):
    """Elements of all corners with a contour at some threshold, with distances to the target."""
    rows, columns = squared.shape
    count = 0
    for i in range(rows):
        low = lowest[i + margin, margin : margin + columns]
        high = highest[i + margin, margin : margin + columns]
        for j in range(columns):
            count += np.int64(low[j] != high[j])
    elements = np.empty(count, np.int64)
    n = 0
    for i in range(rows):
        low = lowest[i + margin, margin : margin + columns]
        high = highest[i + margin, margin : margin + columns]
        above, below, line = framed[i], framed[i + 1], squared[i]
        for j in range(columns):
            if low[j] != high[j]:
                elements[n] = corner_element(
                    line[j], above[j], above[j + 1], below[j], below[j + 1]
                )
                n += 1
    return elements
