"""Synthetic crack photographs with exact masks: the data set that comes with the book.

A surface (csbsr.data.surfaces) is cracked (csbsr.data.crack_paths), soiled, lit from one side and
photographed. Image i is a function of (seed, split, i) alone.
"""

import numba
import numpy as np

from csbsr.data.crack_paths import CrackMap, draw_cracks
from csbsr.data.cracks import CrackFolder
from csbsr.data.memory import Memory
from csbsr.data.surfaces import random_surface

VERSION = 1
"""Raised whenever the pictures change, because results depend on them."""
SPLITS = ("train", "test")
CRACK_FREE = 0.08


class SyntheticCracks:
    """`count` images of size x size with masks, generated when asked for."""

    def __init__(self, count: int, size: int = 448, seed: int = 0, split: str = "train"):
        if split not in SPLITS:
            raise ValueError(f"split '{split}' is unknown; choose one of {', '.join(SPLITS)}")
        if size % 4:
            raise ValueError(f"synthetic images of side {size} do not divide by 4")
        self.size, self.seed, self.split = size, seed, split
        self.names = [f"synthetic_{split}_{seed}_{i:05d}" for i in range(count)]
        self._memory = Memory(self._generate)

    def __len__(self) -> int:
        return len(self.names)

    def load(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image `i` (3, size, size) uint8 and its mask (1, size, size) bool."""
        return self._memory(range(len(self))[i])

    def check(self) -> None:
        """Nothing can be wrong with generated images."""

    def fingerprint(self) -> str:
        """Return what the images depend on."""
        return f"synthetic-{VERSION}:{self.split}:{len(self)}:{self.size}:{self.seed}"

    def _generate(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), i])
        return crack_photograph(rng, self.size)


def crack_photograph(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one picture (3, size, size) uint8 and its mask (1, size, size) bool."""
    surface = random_surface(rng, size)
    empty = rng.random() < CRACK_FREE
    share = 0.0 if empty else float(np.clip(rng.lognormal(np.log(0.014), 0.5), 0.006, 0.028))
    if empty:
        crack = CrackMap(np.full((size, size), -9, np.float32), np.zeros((size, size), np.float32))
    else:
        width = surface.crack_width * min(1.0, max(size / 448, 0.4) ** 0.5)
        crack = draw_cracks(rng, size, surface.rough, share, width)
    light = _illumination(rng, size)
    angle, slant = rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.3)
    picture = _photograph(
        surface.colour,
        surface.height.astype(np.float32),
        crack.inside,
        crack.dark,
        light,
        np.float32(slant * np.sin(angle)),
        np.float32(slant * np.cos(angle)),
        np.float32(rng.uniform(0.0, 0.25)),
    )
    noise = rng.standard_normal((size, size, 3), dtype=np.float32)
    picture = _expose(picture, noise, np.float32(rng.uniform(0.004, 0.02)))
    return picture, crack.inside[None] > 0


def open_cracks(
    data: str, split: str, count: int | None = None, size: int | None = None, seed: int = 0
) -> CrackFolder | SyntheticCracks:
    """Return the images of a split: of a folder, or generated ones when `data` is "synthetic".

    `count`: at most so many images of a folder (None: all); synthetic sets have 256 by default.
    `size`: side of synthetic images (448 by default), smallest side accepted in a folder.
    """
    if data == "synthetic":
        return SyntheticCracks(count or 256, size or 448, seed, split)
    return CrackFolder(data, split, size, count)


def _illumination(rng: np.random.Generator, size: int) -> np.ndarray:
    """Brightness (size, size): a gradient, a darker rim, now and then the edge of a shadow."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    y, x = axis[:, None], axis[None, :]
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.float32(np.sin(angle)) * y + np.float32(np.cos(angle)) * x
    light = 1 + np.float32(rng.uniform(0, 0.22)) * ramp
    light -= np.float32(rng.uniform(0, 0.12)) * (x * x + y * y)
    if rng.random() < 0.25:
        angle = rng.uniform(0, 2 * np.pi)
        ramp = np.float32(np.sin(angle)) * y + np.float32(np.cos(angle)) * x
        shadow = np.clip((ramp - rng.uniform(-0.6, 0.6)) / rng.uniform(0.02, 0.2), 0, 1)
        light *= 1 - np.float32(rng.uniform(0.25, 0.55)) * shadow
    return light


@numba.njit(cache=True, nogil=True, fastmath=True)
def _photograph(colour, height, inside, dark, light, light_y, light_x, halo):
    h, w = height.shape
    out = np.empty((h, w, 3), np.float32)
    for i in range(h):
        for j in range(w):
            a, b = min(i + 1, h - 1), min(j + 1, w - 1)
            m = inside[i, j]
            cover = min(max(0.5 + m * 0.7, 0.0), 1.0)
            slope = light_y * (height[a, j] - height[i, j]) + light_x * (
                height[i, b] - height[i, j]
            )
            if m > -3:
                deep = min(max(m, -0.5), 2.0)
                slope -= light_y * (min(max(inside[a, j], -0.5), 2.0) - deep)
                slope -= light_x * (min(max(inside[i, b], -0.5), 2.0) - deep)
            bright = light[i, j] * min(max(1 + slope, 0.4), 1.8)
            depth = min(max(m * 0.35, 0.0), 1.0)
            bright *= 1 - cover * dark[i, j] * (0.6 + 0.35 * depth)
            bright *= 1 - halo * np.exp(min(m, 0.0) * 0.4)
            for c in range(3):
                out[i, j, c] = colour[i, j, c] * bright
    return out


@numba.njit(cache=True, nogil=True, fastmath=True)
def _expose(picture, noise, sigma):
    h, w, _ = picture.shape
    out = np.empty((3, h, w), np.uint8)
    for i in range(h):
        up, down = max(i - 1, 0), min(i + 1, h - 1)
        for j in range(w):
            left, right = max(j - 1, 0), min(j + 1, w - 1)
            for c in range(3):
                side = (
                    picture[up, j, c]
                    + picture[down, j, c]
                    + picture[i, left, c]
                    + picture[i, right, c]
                )
                value = 0.6 * picture[i, j, c] + 0.1 * side
                value += sigma * noise[i, j, c] * np.sqrt(max(value, 0.05))
                out[c, i, j] = np.uint8(min(max(value, 0.0), 1.0) * 255 + 0.5)
    return out
