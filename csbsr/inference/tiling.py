"""Tiles of a large picture: how it is cut, how windows are read, and arrays that live on disk.

A *cell* is the part of the picture that a tile answers for; cells lie side by side and cover it.
The network sees a *window*: the cell with a halo all round, reflected at the picture's frame, so
that no kept pixel is near a border of what the network saw.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FULL = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
"""What stands for 1 in an array of a type; floats store values in [0, 1] as they are."""


class Canvas(Protocol):
    """An array (H, W) or (H, W, C) in memory or on disk: a NumPy array or a `DiskArray`."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray: ...

    def __setitem__(self, window: tuple[slice, slice], values: NDArray) -> None: ...


class Canvases(NamedTuple):
    """Where results go; see `csbsr.inference.segmenter.Segmenter.shapes`."""

    sr: Canvas | None
    """(H, W, 3); None where the photograph itself is segmented."""
    prob: Canvas
    """(H, W)"""
    carry: Canvas | None
    """(rows, W) float32, what one row of tiles leaves to the next; None if nothing is blended."""


class DiskArray:
    """An array in a file, of which only what is being read or written is in memory.

    The space is reserved at once, so that a full disk is an OSError here and not a crash later.
    A file of the right size that is there already is kept.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self.path, self.shape, self.dtype = path, shape, np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        if path.exists() and path.stat().st_size == size:
            return
        with path.open("wb") as file:
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
            except OSError as error:
                path.unlink(missing_ok=True)
                raise OSError(error.errno, error.strerror, str(path)) from error

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray:
        return np.array(self._map("r")[window])

    def __setitem__(self, window: tuple[slice, slice], values: NDArray) -> None:
        self._map("r+")[window] = values

    def _map(self, mode: str) -> NDArray:
        # Mapped anew each time: pages of a closed map no longer count as memory of the process.
        return np.memmap(self.path, self.dtype, mode, shape=self.shape)  # type: ignore[call-overload]


class Cell(NamedTuple):
    """One tile's share of a picture: rows and columns in pixels, and its place in the grid."""

    row: int
    column: int
    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut, in pixels of the image that the network is given.

    `core` is the largest side of a cell (cells are cut evenly, at multiples of `multiple`), `halo`
    what the window adds on each side, `blend` the width of the strip round the line between two
    cells in which their results are mixed linearly.
    """

    core: int
    halo: int
    blend: int = 0
    multiple: int = 1

    def __post_init__(self) -> None:
        if self.core < 1 or self.core % self.multiple or self.halo < 0 or self.halo % self.multiple:
            raise ValueError(
                f"tiles of {self.core} pixels with a halo of {self.halo} cannot be cut; give "
                f"multiples of {self.multiple}, the core above 0"
            )
        if self.blend % 2 or not 0 <= self.blend <= min(
            2 * self.halo, max(self.core // 2 - self.multiple, 0)
        ):
            raise ValueError(
                f"{self.blend} pixels cannot be blended between tiles of {self.core} with a halo "
                f"of {self.halo}; give an even number below half the tile and two halos"
            )

    @classmethod
    def of_window(cls, window: int, halo: int, blend: int, multiple: int) -> "Tiling":
        """Tiles whose windows have a given side; ValueError when the halo leaves no cell."""
        core = window - 2 * halo
        least = max(2 * (blend + multiple) if blend else 0, multiple)
        if core < least:
            raise ValueError(
                f"a tile of {window} pixels is too small for this model; give {least + 2 * halo}"
            )
        return cls(core, halo, blend, multiple)

    def edges(self, length: int) -> list[int]:
        """Where cells begin along a side, and its end; none is shorter than about half the core."""
        count = -(-length // self.core)
        step = self.multiple
        return [round(i * length / count / step) * step for i in range(count)] + [length]

    def cells(self, height: int, width: int, start: int = 0) -> Iterator[list[Cell]]:
        """Rows of cells, from row `start` on."""
        rows, columns = self.edges(height), self.edges(width)
        for i, (top, bottom) in enumerate(pairwise(rows)):
            if i >= start:
                yield [
                    Cell(i, j, top, bottom, left, right)
                    for j, (left, right) in enumerate(pairwise(columns))
                ]

    def count(self, height: int, width: int) -> int:
        """How many cells there are."""
        return (len(self.edges(height)) - 1) * (len(self.edges(width)) - 1)


def read_window(canvas: Canvas, cell: Cell, tiling: Tiling) -> Tensor:
    """The window of a cell as (1, 3, h, w) float32 in [0, 1], reflected at the picture's frame.

    The cell's sides are rounded up to the tiling's multiple, the halo is added to each.
    """
    height, width = canvas.shape[:2]
    halo, multiple = tiling.halo, tiling.multiple
    bottom = cell.top + -(-(cell.bottom - cell.top) // multiple) * multiple + halo
    right = cell.left + -(-(cell.right - cell.left) // multiple) * multiple + halo
    top, left = cell.top - halo, cell.left - halo
    inside = canvas[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    values = inside.astype(np.float32) / np.float32(FULL.get(canvas.dtype, 1))
    pads = (
        (max(-top, 0), max(bottom - height, 0)),
        (max(-left, 0), max(right - width, 0)),
        (0, 0),
    )
    if any(map(any, pads)):
        values = np.pad(values, pads, mode="reflect")
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]


def store(canvas: Canvas, window: tuple[slice, slice], values: NDArray) -> None:
    """Write values in [0, 1] into a canvas, rounded to its type."""
    full = FULL.get(canvas.dtype)
    canvas[window] = values if full is None else np.rint(values * full).astype(canvas.dtype)


def slices(span: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a span (top, bottom, left, right)."""
    top, bottom, left, right = span
    return slice(top, bottom), slice(left, right)


def inside(
    values: NDArray[np.float32], cell: Cell, tiling: Tiling, scale: int, span: tuple[int, ...]
) -> NDArray[np.float32]:
    """Cut what `span` asks for, in pixels of the result, out of the result of a cell's window."""
    top, bottom, left, right = span
    y, x = scale * (cell.top - tiling.halo), scale * (cell.left - tiling.halo)
    return values[..., top - y : bottom - y, left - x : right - x]


def channel_sums(block: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sums of the channels of (3, H, W), of their squares, and the number of pixels."""
    flat = block.reshape(3, -1)
    first = flat.sum(1, dtype=np.float64)
    second = np.einsum("ci,ci->c", flat, flat, dtype=np.float64)
    return np.array([*first, *second, flat.shape[1]])


def channel_sums_of(photo: Canvas) -> NDArray[np.float64]:
    """`channel_sums` of a whole photograph, a few rows at a time."""
    rows = Tiling(core=256, halo=0)
    total = np.zeros(7)
    for row in rows.cells(*photo.shape[:2]):
        for cell in row:
            total += channel_sums(read_window(photo, cell, rows)[0].numpy())
    return total


class Blender:
    """Puts the overlapping results of one row of cells after the other into a canvas (H, W).

    Rows that the next row of cells will share are kept in `carry`, a canvas (2 * blend, W): two
    strips used in turn, so that a row can be repeated after a kill. `scale` is the number of the
    canvas's pixels per pixel of the tiling.
    """

    def __init__(self, canvas: Canvas, carry: Canvas | None, tiling: Tiling, scale: int) -> None:
        self.canvas, self.carry, self.tiling = canvas, carry, tiling
        self.scale, self.reach = scale, tiling.blend * scale // 2
        self._band: NDArray[np.float32] | None = None

    def span(self, cell: Cell) -> tuple[int, int, int, int]:
        """Rows and columns of the canvas that a cell contributes to: top, bottom, left, right."""
        height, width = self.canvas.shape[:2]
        s, r = self.scale, self.reach
        top, bottom = cell.top * s, cell.bottom * s
        left, right = cell.left * s, cell.right * s
        return (
            top - r * (top > 0),
            bottom + r * (bottom < height),
            left - r * (left > 0),
            right + r * (right < width),
        )

    def add(self, cell: Cell, values: NDArray[np.float32]) -> None:
        """Add a cell's result, (rows, columns) of `span`."""
        top, bottom, left, right = self.span(cell)
        if self._band is None:
            self._band = np.zeros((bottom - top, self.canvas.shape[1]), np.float32)
        height, width = self.canvas.shape[:2]
        rows = self._ramp(bottom - top, top > 0, bottom < height)
        columns = self._ramp(right - left, left > 0, right < width)
        self._band[:, left:right] += values * rows[:, None] * columns[None, :]

    def finish(self, row: list[Cell]) -> None:
        """Write what no later row of cells will change."""
        band, number = self._band, row[0].row
        assert band is not None
        top, bottom, _, _ = self.span(row[0])
        strip, height = 2 * self.reach, self.canvas.shape[0]
        if strip and top > 0:
            place = (number - 1) % 2 * strip
            band[:strip] += self.carry[place : place + strip, :]
        keep = bottom - top
        if strip and bottom < height:
            keep -= strip
            place = number % 2 * strip
            self.carry[place : place + strip, :] = band[keep:]
        store(self.canvas, (slice(top, top + keep), slice(None)), band[:keep].clip(0, 1))
        self._band = None

    def _ramp(self, length: int, before: bool, after: bool) -> NDArray[np.float32]:
        weights = np.ones(length, np.float32)
        strip = 2 * self.reach
        if strip:
            rise = (np.arange(strip, dtype=np.float32) + 0.5) / strip
            if before:
                weights[:strip] = rise
            if after:
                weights[length - strip :] *= rise[::-1]
        return weights


def receptive_radius(
    network: Callable[[Tensor], Tensor],
    size: tuple[int, int],
    device: torch.device,
    share: float = 1e-4,
) -> int | None:
    """How far from a pixel the input can lie that decides about it, in pixels of the input.

    Measured on a strip of `size` = (height, length): the gradient of the central outputs with
    respect to an input (1, 3, height, length); all but `share` of its absolute sum lies within
    the radius. None for a network with global context, where the gradient reaches the ends of the
    strip, or without any gradient.
    """
    noise = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    image = noise.to(device).requires_grad_()
    with torch.enable_grad():
        out = network(image)
        if not out.requires_grad:
            return None
        middle, around = out.shape[-1] // 2, max(out.shape[-1] // size[1], 1) * 4
        centre = out[..., middle - around : middle + around]
        (gradient,) = torch.autograd.grad(centre.sum(), image)
    influence = gradient.abs().sum((0, 1, 2)).double().cpu()  # (length,)
    distance = (torch.arange(size[1]) - size[1] // 2).abs()
    rings = torch.zeros(size[1] // 2 + 1, dtype=torch.float64)
    rings.index_add_(0, distance, influence)
    total = rings.sum()
    if not total > 0:
        return None
    outside = 1 - rings.cumsum(0) / total  # beyond each radius
    radius = int((outside > share).sum())
    return radius if radius < size[1] // 2 - 2 else None
