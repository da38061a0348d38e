"""The cracks of a mask, one by one: length along the centreline, mean and maximum width, area.

Beyond the paper: what an inspector asks of a mask.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from csbsr.metrics.centreline import skeleton
from csbsr.metrics.checks import check_mask

LEAST_AREA = 16
"""Pixels below which a piece is a speck and no crack."""
_ALL_NEIGHBOURS = np.ones((3, 3), int)


class Crack(NamedTuple):
    """One connected crack (8 neighbours), in pixels of the mask."""

    top: int
    left: int
    bottom: int
    """First row below the crack."""
    right: int
    """First column to the right of it."""
    area: int
    length: float
    """Along the centreline: 1 per straight step, sqrt(2) per diagonal one, and from each end of it
    to the crack's edge; branches add up."""
    mean_width: float
    """Area by length."""
    maximum_width: float
    """Diameter of the largest disc inside: twice the largest distance from the centreline to the
    outside, measured from pixel centres to pixel edges."""


def crack_list(mask: ArrayLike, least_area: int = LEAST_AREA) -> list[Crack]:
    """Return the cracks of a binary mask (H, W), the longest first; specks are left out.

    ValueError: see `csbsr.metrics.checks.check_mask`.
    """
    binary = check_mask(mask, "mask").astype(bool)
    labels, count = ndimage.label(binary, _ALL_NEIGHBOURS)
    areas = np.zeros(count + 1, np.int64)
    for rows in np.array_split(labels, max(1, labels.size // 4_000_000)):
        areas += np.bincount(rows.ravel(), minlength=count + 1)
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if areas[number] >= least_area:
            piece = np.pad(labels[box] == number, 1)
            found.append(_measure(piece, int(areas[number]), box))
    return sorted(found, key=lambda crack: (-crack.length, crack.top, crack.left))


def _measure(piece: NDArray[np.bool_], area: int, box: tuple[slice, slice]) -> Crack:
    line = skeleton(piece)
    inside = ndimage.distance_transform_edt(piece)
    length = line_length(line, inside)
    rows, columns = box
    return Crack(
        rows.start,
        columns.start,
        rows.stop,
        columns.stop,
        area,
        length,
        area / length,
        float(2 * inside[line].max() - 1),
    )


def line_length(line: NDArray[np.bool_], inside: NDArray[np.float64]) -> float:
    """Length in pixels of lines one pixel wide, with the way from their ends to the edge.

    `inside` is the distance of each pixel's centre to the nearest centre outside. Diagonal steps
    round a corner that straight steps already join are not counted.
    """
    straight = np.count_nonzero(line[1:] & line[:-1]) + np.count_nonzero(line[:, 1:] & line[:, :-1])
    down = line[1:, 1:] & line[:-1, :-1] & ~line[1:, :-1] & ~line[:-1, 1:]
    up = line[1:, :-1] & line[:-1, 1:] & ~line[1:, 1:] & ~line[:-1, :-1]
    diagonal = np.count_nonzero(down) + np.count_nonzero(up)
    neighbours = ndimage.convolve(line.astype(np.int8), _ALL_NEIGHBOURS, mode="constant") - line
    beyond = inside - 0.5  # to the edge of the last pixel
    ends = beyond[line & (neighbours == 1)].sum() + 2 * beyond[line & (neighbours == 0)].sum()
    return float(straight + np.sqrt(2) * diagonal + ends)
