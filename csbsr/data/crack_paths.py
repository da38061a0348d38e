"""Branching cracks: where they run, how wide they are, and the exact pixels they cover."""

from typing import NamedTuple

import numba
import numpy as np

from csbsr.data.noise import Field, cells, power_law

STEP = 1.0
"""Pixels between two points of a path."""
REACH = 9
"""Pixels around a crack for which the distance to it is known."""


class Path(NamedTuple):
    """A polyline with half-widths and darkness along it, all (N,)."""

    y: np.ndarray
    x: np.ndarray
    half: np.ndarray
    dark: np.ndarray


class CrackMap(NamedTuple):
    """Cracks on the pixel grid, (H, W) float32."""

    inside: np.ndarray  # pixels from the crack's edge, positive inside, at least -REACH
    dark: np.ndarray  # darkness of the nearest piece of crack, 0..1


def no_cracks(size: int) -> CrackMap:
    """The map of a surface without cracks."""
    return CrackMap(
        np.full((size, size), -float(REACH), np.float32), np.zeros((size, size), np.float32)
    )


def draw_cracks(
    rng: np.random.Generator, size: int, rough: np.ndarray, share: float, width: float
) -> CrackMap:
    """Draw branching cracks until they cover `share` of the pixels, at most twice as much.

    `rough` (size, size) of variance 1 frays the edges; `width` is the typical width in pixels.
    """
    fray = rough * np.float32(min(0.8, 0.22 * width))
    if size >= 64 and rng.random() < 0.08:
        return _network(rng, size, share, width, fray)
    field = no_cracks(size)
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)], p=[0.4, 0.4, 0.2])
    for attempt in range(60):
        trial = CrackMap(field.inside.copy(), field.dark.copy())
        for path in _crack(rng, size, width, angle + rng.normal(0, 0.2)):
            _stamp(*trial, *path)
        covered = np.count_nonzero(trial.inside + fray > 0) / rough.size
        if covered > 2 * share and attempt < 59:
            width *= 0.8
            continue
        field = trial
        if covered >= share:
            break
        if rng.random() < 0.4:  # the next crack crosses this one
            angle += np.pi / 2
    return CrackMap(field.inside + fray, field.dark)


def _network(
    rng: np.random.Generator, size: int, share: float, width: float, fray: Field
) -> CrackMap:
    """Alligator cracking: a net of cracks round plates, over a part of the surface."""
    bend = power_law(rng, size, 1.2, shortest=4)
    where, wide = power_law(rng, size, 1.5, shortest=24)
    plates = cells(rng, size, size * rng.uniform(0.12, 0.25), bend, rng.uniform(3, 6))
    half = 0.08 * wide + 0.3 * where - 0.5  # in widths; opened until enough is cracked
    inside = np.full((size, size), -float(REACH))
    while np.count_nonzero(inside > 0) < 1.2 * share * inside.size:
        half = half + np.float32(0.05)
        inside = np.minimum(half, 0.6) * width + 0.5 * fray - plates.edge
        if half.min() > 0.6:
            break
    inside = np.maximum(inside, -REACH).astype(np.float32)
    return CrackMap(inside, np.clip(0.75 + 0.1 * wide, 0.3, 1).astype(np.float32))


def _crack(rng: np.random.Generator, size: int, width: float, angle: float) -> list[Path]:
    """One crack from border to border, or ending in a tip, with its branches."""
    toward = np.array([np.sin(angle), np.cos(angle)])
    centre = rng.uniform(0.2, 0.8, 2) * size
    ends = rng.random() < 0.3
    reach = size * (rng.uniform(0.75, 1.1) if ends else 1.7)
    bend = rng.uniform(0.1, 0.3), rng.uniform(0.25, 0.75)
    trunk = _walk(rng, centre - 0.8 * size * toward, angle, reach, width, bend, ends)
    paths = [trunk]
    branches = rng.poisson(1.3)
    for _ in range(branches):
        parent = paths[rng.integers(len(paths))]
        at = rng.integers(len(parent.y) // 6, len(parent.y) * 5 // 6)
        start = np.array([parent.y[at], parent.x[at]])
        if start.min() < 0 or start.max() >= size:
            continue
        before = max(at - 25, 0)
        along = start - np.array([parent.y[before], parent.x[before]])
        heading = np.arctan2(*along) + rng.choice([-1, 1]) * rng.uniform(0.45, 1.5)
        length = size * rng.uniform(0.15, 0.9)
        half = parent.half[at] * rng.uniform(0.4, 0.85)
        paths.append(_walk(rng, start, heading, length, 2 * half, bend, True))
    return paths


def _walk(
    rng: np.random.Generator,
    start: np.ndarray,
    angle: float,
    length: float,
    width: float,
    bend: tuple[float, float],
    tip: bool,
) -> Path:
    """A jagged walk: slow drift of the heading, plus kinks at random places along the way."""
    n = max(int(length / STEP), 8)
    heading = angle + bend[0] * _slow(rng, n, 120)
    heading += bend[1] * (0.8 * _steps(rng, n, 14) + 0.6 * _steps(rng, n, 5))
    y = start[0] + np.cumsum(np.sin(heading)) * STEP
    x = start[1] + np.cumsum(np.cos(heading)) * STEP
    half = 0.5 * width * np.exp(0.3 * _slow(rng, n, 80) + 0.3 * _slow(rng, n, 9))
    if tip:
        half *= np.clip((n - np.arange(n)) / (0.8 * n), 0, 1) ** 0.7
    dark = 0.85 + 0.12 * _slow(rng, n, 40) + 0.06 * _slow(rng, n, 5)
    dark = np.clip(dark, 0.3, 1) * np.clip(half / 0.8, 0.5, 1)  # hairlines are shallow
    return Path(*(v.astype(np.float32) for v in (y, x, np.maximum(half, 0.5), dark)))


def _slow(rng: np.random.Generator, n: int, length: float) -> np.ndarray:
    """A smooth sequence (n,) of variance about 1 that varies over `length` points."""
    knots = rng.standard_normal(int(n / length) + 4)
    at = np.arange(n) / length + rng.random()
    i, f = at.astype(int), at % 1
    f = f * f * (3 - 2 * f)
    return knots[i] * (1 - f) + knots[i + 1] * f


def _steps(rng: np.random.Generator, n: int, length: float) -> np.ndarray:
    """A piecewise constant sequence (n,) of variance 1 that jumps every `length` points or so."""
    jumps = np.cumsum(rng.random(n) < 1 / length)
    return rng.standard_normal(jumps[-1] + 1)[jumps]


@numba.njit(cache=True, nogil=True)
def _stamp(
    inside: Field,
    dark: Field,
    ys: np.ndarray,
    xs: np.ndarray,
    halves: np.ndarray,
    darks: np.ndarray,
) -> None:
    """Draw one path into both maps, where it is the nearest."""
    h, w = inside.shape
    for k in range(len(ys)):
        y, x, half = ys[k], xs[k], halves[k]
        r = half + REACH
        for i in range(max(int(y - r), 0), min(int(y + r) + 2, h)):
            for j in range(max(int(x - r), 0), min(int(x + r) + 2, w)):
                value = half - np.sqrt((i - y) ** 2 + (j - x) ** 2)
                if value > inside[i, j]:
                    inside[i, j] = value
                    dark[i, j] = darks[k]
