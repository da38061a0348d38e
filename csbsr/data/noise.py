"""Random fields (size, size) float32 from which the synthetic surfaces are made."""

import functools
from typing import NamedTuple

import numba
import numpy as np
import scipy.fft

Field = np.ndarray


class Cells(NamedTuple):
    """A field of irregular cells: for each pixel, what its nearest cell is and how far away."""

    value: Field  # in [0, 1], constant on a cell
    edge: Field  # pixels to the boundary of the cell, about
    radius: Field  # pixels to the centre of the cell


def white(rng: np.random.Generator, size: int) -> Field:
    """Independent standard normal values."""
    return rng.standard_normal((size, size), dtype=np.float32)


def power_law(
    rng: np.random.Generator, size: int, slope: float, shortest: float = 2.0, stretch: float = 1.0
) -> tuple[Field, Field]:
    """Two independent fields of mean 0 and variance 1 whose amplitude falls as frequency^-slope.

    `shortest`: wavelengths below so many pixels are damped. `stretch`: above 1, the fields are
    drawn out vertically (drips, brushed or rained-on walls).
    """
    amplitude = _amplitude(size, slope, shortest, stretch)
    n = amplitude.shape[0]
    spectrum = rng.standard_normal((n, 2 * n), dtype=np.float32).view(np.complex64)  # (n, n)
    spectrum *= amplitude
    field = scipy.fft.ifft2(spectrum, overwrite_x=True)[:size, :size]
    first, second = np.ascontiguousarray(field.real), np.ascontiguousarray(field.imag)
    return (first - first.mean()) / first.std(), (second - second.mean()) / second.std()


@functools.lru_cache(maxsize=32)
def _amplitude(size: int, slope: float, shortest: float, stretch: float) -> np.ndarray:
    n = scipy.fft.next_fast_len(size + size // 8)  # the fields are periodic; the rest is cut off
    fy = np.fft.fftfreq(n)[:, None] * stretch
    fx = np.fft.fftfreq(n)[None, :]
    radius = np.hypot(fx, fy)
    radius[0, 0] = 1.0
    amplitude = radius**-slope * np.exp(-((radius * shortest / 2) ** 4) * 8)
    amplitude[0, 0] = 0.0
    return (amplitude / np.sqrt((amplitude**2).mean()) * n).astype(np.float32)


def cells(
    rng: np.random.Generator, size: int, pitch: float, warp: tuple[Field, Field], strength: float
) -> Cells:
    """Voronoi cells about `pitch` pixels wide; `warp` times `strength` pixels bends their edges."""
    count = int(size / pitch) + 6
    centres = rng.random((count, count, 2), dtype=np.float32)
    values = rng.random((count, count), dtype=np.float32)
    return Cells(*_cells(centres, values, warp[0], warp[1], size, pitch, strength))


@numba.njit(cache=True, nogil=True, fastmath=True)
def _cells(centres, values, warp_y, warp_x, size, pitch, strength):
    value = np.empty((size, size), np.float32)
    edge = np.empty((size, size), np.float32)
    radius = np.empty((size, size), np.float32)
    last = centres.shape[0] - 2
    for i in range(size):
        for j in range(size):
            y = np.float32((i + strength * warp_y[i, j]) / pitch + 3)
            x = np.float32((j + strength * warp_x[i, j]) / pitch + 3)
            cy = min(max(int(y), 1), last)
            cx = min(max(int(x), 1), last)
            best, second = np.float32(1e9), np.float32(1e9)
            owner = np.float32(0)
            for a in range(cy - 1, cy + 2):
                for b in range(cx - 1, cx + 2):
                    dy = a + centres[a, b, 0] - y
                    dx = b + centres[a, b, 1] - x
                    d = dy * dy + dx * dx
                    if d < best:
                        second, best, owner = best, d, values[a, b]
                    elif d < second:
                        second = d
            value[i, j] = owner
            radius[i, j] = np.sqrt(best) * pitch
            edge[i, j] = (np.sqrt(second) - np.sqrt(best)) * pitch * np.float32(0.5)
    return value, edge, radius
