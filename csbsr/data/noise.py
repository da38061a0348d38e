"""Random fields (size, size) float32 from which the synthetic surfaces are made."""

import functools
from typing import NamedTuple

import numba
import numpy as np
import scipy.fft
from PIL import Image

Field = np.ndarray


class Cells(NamedTuple):
    """A field of irregular cells: for each pixel, what its nearest cell is and how far away."""

    value: Field  # in [0, 1], constant on a cell
    edge: Field  # pixels to the boundary of the cell, about
    radius: Field  # pixels to the centre of the cell


def white(rng: np.random.Generator, size: int) -> Field:
    """Independent values of mean 0 and variance 1, a sum of two uniform ones (fast)."""
    field = rng.random((size, size), dtype=np.float32)
    field += rng.random((size, size), dtype=np.float32)
    field -= np.float32(1)
    field *= np.float32(np.sqrt(6))
    return field


def another(value: Field, factor: float) -> Field:
    """A second random number in [0, 1) for each cell, made from its first."""
    scaled = value * np.float32(factor)
    return scaled - np.floor(scaled)


def power_law(
    rng: np.random.Generator, size: int, slope: float, shortest: float = 2.0, stretch: float = 1.0
) -> tuple[Field, Field]:
    """Two independent fields of mean 0 and variance 1 whose amplitude falls as frequency^-slope.

    `shortest`: wavelengths below so many pixels are damped; from 12 on, the fields are drawn on a
    coarser grid. `stretch`: above 1, they are drawn out vertically (drips, brush strokes).
    """
    coarse = 4 if shortest >= 12 and stretch <= 8 else 1
    small = -(-size // coarse)
    amplitude = _amplitude(small, slope, shortest / coarse, stretch)
    n = amplitude.shape[0]
    # Uniform coefficients are drawn 4 times faster than normal ones; their sums are as normal.
    spectrum = rng.random((n, 2 * n), dtype=np.float32)
    spectrum -= np.float32(0.5)
    spectrum = spectrum.view(np.complex64)  # (n, n)
    spectrum *= amplitude
    field = scipy.fft.ifft2(spectrum, overwrite_x=True)[:small, :small]
    return _standard(field.real, size), _standard(field.imag, size)


def _standard(field: np.ndarray, size: int) -> Field:
    if len(field) != size:
        image = Image.fromarray(np.ascontiguousarray(field)).resize((size, size), Image.BICUBIC)
        field = np.asarray(image)
    field = field - field.mean()
    field *= np.float32(1 / (np.sqrt(np.vdot(field, field) / field.size) + 1e-12))
    return field


@functools.lru_cache(maxsize=48)
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
    corner = np.arange(count, dtype=np.float32)
    centres = rng.random((2, count, count), dtype=np.float32)
    centres[0] += corner[:, None]
    centres[1] += corner[None, :]
    values = rng.random((count, count), dtype=np.float32)
    scale = np.float32(pitch)
    return Cells(*_cells(*centres, values, *warp, scale, np.float32(strength / pitch)))


@numba.njit(cache=True, nogil=True, fastmath=True)
def _cells(
    centre_y: np.ndarray,
    centre_x: np.ndarray,
    values: np.ndarray,
    warp_y: Field,
    warp_x: Field,
    pitch: np.float32,
    strength: np.float32,
) -> tuple[Field, Field, Field]:
    h, w = warp_y.shape
    value = np.empty((h, w), np.float32)
    edge = np.empty((h, w), np.float32)
    radius = np.empty((h, w), np.float32)
    last = values.shape[0] - 2
    step = np.float32(1) / pitch
    half = pitch * np.float32(0.5)
    for i in range(h):
        base = np.float32(i) * step + np.float32(3)
        for j in range(w):
            y = base + strength * warp_y[i, j]
            x = np.float32(j) * step + np.float32(3) + strength * warp_x[i, j]
            cy = min(max(int(y), 1), last)
            cx = min(max(int(x), 1), last)
            best, second = np.float32(1e9), np.float32(1e9)
            row, column = 0, 0
            for a in range(cy - 1, cy + 2):
                for b in range(cx - 1, cx + 2):
                    dy = centre_y[a, b] - y
                    dx = centre_x[a, b] - x
                    d = dy * dy + dx * dx
                    second = min(second, max(best, d))
                    if d < best:
                        best, row, column = d, a, b
            value[i, j] = values[row, column]
            near = np.sqrt(best)
            radius[i, j] = near * pitch
            edge[i, j] = (np.sqrt(second) - near) * half
    return value, edge, radius
