"""Centrelines of cracks as lines of points, as maps and drawing programs take them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from csbsr.metrics.centreline import skeleton
from csbsr.metrics.checks import check_mask
from csbsr.metrics.cracks import Crack

Point = tuple[int, int]


def crack_lines(mask: ArrayLike, crack: Crack) -> list[NDArray[np.int64]]:
    """Return the centreline of one of the cracks that `crack_list` found in a mask (H, W).

    Lines (N, 2) of rows and columns, N >= 1, from end or branching to end or branching; a ring
    begins and ends at one pixel. ValueError for a crack that is none of the mask's.
    """
    binary = check_mask(mask, "mask").astype(bool)
    box = binary[crack.top : crack.bottom, crack.left : crack.right]
    labels, count = ndimage.label(box, np.ones((3, 3), int))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    whole = (slice(0, box.shape[0]), slice(0, box.shape[1]))
    boxes = ndimage.find_objects(labels)
    own = [n for n in range(1, count + 1) if areas[n] == crack.area and boxes[n - 1] == whole]
    if not own:
        raise ValueError("the crack is none of this mask's; pass what crack_list found in it")
    line = skeleton(np.pad(labels == own[0], 1))[1:-1, 1:-1]
    offset = np.array([crack.top, crack.left])
    return [np.array(points, np.int64) + offset for points in _paths(line)]


def _paths(line: NDArray[np.bool_]) -> Iterator[list[Point]]:
    """Walk every step of a line one pixel wide once."""
    near = {point: _neighbours(line, point) for point in map(tuple, np.argwhere(line).tolist())}
    walked: set[frozenset[Point]] = set()
    knots = [point for point, others in near.items() if len(others) != 2]
    for start in (*knots, *near):  # what is left after the knots are rings
        if not near[start]:
            yield [start]
        for first in near[start]:
            if frozenset((start, first)) in walked:
                continue
            path, point = [start], first
            walked.add(frozenset((start, first)))
            while len(near[point]) == 2 and point != start:
                path.append(point)
                point = next(p for p in near[point] if p != path[-2])
                walked.add(frozenset((path[-1], point)))
            yield [*path, point]


def _neighbours(line: NDArray[np.bool_], point: Point) -> list[Point]:
    """Pixels of the line beside a pixel; no diagonal round a corner that straight steps join."""

    def at(row: int, column: int) -> bool:
        return 0 <= row < line.shape[0] and 0 <= column < line.shape[1] and bool(line[row, column])

    row, column = point
    found = [(row + i, column + j) for i, j in ((0, 1), (1, 0), (0, -1), (-1, 0))]
    found = [other for other in found if at(*other)]
    for i, j in ((1, 1), (1, -1), (-1, -1), (-1, 1)):
        joined = at(row + i, column) or at(row, column + j)
        if at(row + i, column + j) and not joined:
            found.append((row + i, column + j))
    return found
