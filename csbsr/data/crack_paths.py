"""Branching cracks: where they run, how wide they are, and the exact pixels they cover."""

from typing import NamedTuple

import numba
import numpy as np

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


def draw_cracks(
    rng: np.random.Generator, size: int, rough: np.ndarray, share: float, width: float
) -> CrackMap:
    """Draw branching cracks until they cover `share` of the pixels, at most twice as much.

    `rough` (size, size) of variance 1 frays the edges; `width` is the typical width in pixels.
    """
    inside = np.full((size, size), -float(REACH), np.float32)
    dark = np.zeros((size, size), np.float32)
    for _ in range(12):
        trial = inside.copy(), dark.copy()
        for path in _crack(rng, size, width):
            _stamp(*trial, *path)
        edge = trial[0] + rough * np.float32(min(0.9, 0.25 * width))
        covered = np.count_nonzero(edge > 0) / edge.size
        if covered > 2 * share:
            width *= 0.8
            continue
        inside, dark = trial
        if covered >= share:
            break
    return CrackMap(inside + rough * np.float32(min(0.9, 0.25 * width)), dark)


def _crack(rng: np.random.Generator, size: int, width: float) -> list[Path]:
    """One crack from border to border, or ending in a tip, with its branches."""
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)], p=[0.35, 0.35, 0.3])
    angle += rng.normal(0, 0.15)
    centre = rng.uniform(0.2, 0.8, 2) * size
    reach = size * 1.6
    start = centre - 0.5 * reach * np.array([np.sin(angle), np.cos(angle)])
    ends = rng.random() < 0.3
    trunk = _walk(rng, start, angle, reach * (rng.uniform(0.5, 0.7) if ends else 1.0), width, ends)
    paths = [trunk]
    for generation in range(2):
        for parent in list(paths[-3:]):
            for _ in range(rng.poisson(1.6 if generation == 0 else 0.5)):
                at = rng.integers(len(parent.y) // 6, len(parent.y) * 5 // 6)
                if not (0 <= parent.y[at] < size and 0 <= parent.x[at] < size):
                    continue
                before = max(at - 12, 0)
                heading = np.arctan2(
                    parent.y[at] - parent.y[before], parent.x[at] - parent.x[before]
                )
                turn = rng.choice([-1, 1]) * rng.uniform(0.5, 1.4)
                paths.append(
                    _walk(
                        rng,
                        np.array([parent.y[at], parent.x[at]]),
                        heading + turn,
                        size * rng.uniform(0.12, 0.6),
                        2 * parent.half[at] * rng.uniform(0.35, 0.8),
                        True,
                    )
                )
    return paths


def _walk(
    rng: np.random.Generator,
    start: np.ndarray,
    angle: float,
    length: float,
    width: float,
    tip: bool,
) -> Path:
    """A jagged walk: slow drift of the heading, plus kinks at random places along the way."""
    n = max(int(length / STEP), 8)
    jagged = rng.uniform(0.35, 0.8)
    heading = angle + 0.3 * _slow(rng, n, 90) + jagged * _steps(rng, n, rng.uniform(6, 16))
    heading += 0.35 * _steps(rng, n, 3)
    y = start[0] + np.cumsum(np.sin(heading)) * STEP
    x = start[1] + np.cumsum(np.cos(heading)) * STEP
    half = 0.5 * width * np.exp(0.35 * _slow(rng, n, 60) + 0.25 * _slow(rng, n, 10))
    if tip:
        half *= np.clip((n - np.arange(n)) / (0.7 * n), 0, 1) ** 0.6
    dark = np.clip(0.8 + 0.15 * _slow(rng, n, 40), 0.3, 1)
    return Path(*(v.astype(np.float32) for v in (y, x, np.maximum(half, 0.55), dark)))


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
def _stamp(inside, dark, ys, xs, halves, darks):
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
