"""Synthetic crack photographs with exact masks: the data set that comes with the book.

A surface (csbsr.data.surfaces) is cracked (csbsr.data.crack_paths), soiled, lit from one side and
photographed. Image i is a function of (seed, split, i) alone.
"""

import numba
import numpy as np

from csbsr.data.clutter import light, soil, wire
from csbsr.data.crack_paths import CrackMap, draw_cracks, no_cracks
from csbsr.data.cracks import CrackFolder
from csbsr.data.memory import Memory
from csbsr.data.noise import Field, white
from csbsr.data.surfaces import Surface, random_surface

VERSION = 2
"""Raised whenever the pictures change, because results depend on them."""
SPLITS = ("train", "test")
CRACK_FREE_EVERY = 12
"""One image in so many has no crack (8 %), always at the same indices."""


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
        return crack_photograph(rng, self.size, cracked=i % CRACK_FREE_EVERY != 8)


def crack_photograph(
    rng: np.random.Generator, size: int, cracked: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return one picture (3, size, size) uint8 and its mask (1, size, size) bool."""
    surface = soil(rng, random_surface(rng, size))
    crack = no_cracks(size)
    if cracked:
        share = float(np.clip(rng.lognormal(np.log(0.013), 0.5), 0.006, 0.028))
        width = surface.crack_width * min(1.0, max(size / 448, 0.4) ** 0.5)
        crack = draw_cracks(rng, size, surface.rough, share, width)
    brightness = light(rng, size)
    picture = _render(rng, surface, crack, brightness)
    if rng.random() < 0.06:
        cover, shadow = wire(rng, size)
        tone = np.float32(rng.uniform(0.08, 0.3))
        picture *= (1 - 0.4 * shadow)[..., None]
        picture += (cover * brightness)[..., None] * (tone - picture)
        crack = crack._replace(inside=np.where(cover > 0.5, -1, crack.inside))
    return _camera(rng, picture), crack.inside[None] > 0


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


def _render(
    rng: np.random.Generator, surface: Surface, crack: CrackMap, brightness: Field
) -> np.ndarray:
    """Light a surface from one side and darken its cracks: (H, W, 3), mean 0.24 to 0.72."""
    level = float((surface.value * brightness).mean())
    colours = surface.colours * np.float32(rng.triangular(0.24, 0.5, 0.72) / level)
    angle, slant = rng.uniform(0, 2 * np.pi), rng.uniform(0.06, 0.24)
    toward = slant * np.array([np.sin(angle), np.cos(angle)], np.float32)
    look = np.array([rng.uniform(0.6, 1.0), rng.uniform(0, 0.2), rng.uniform(0, 0.5)], np.float32)
    fields = (surface.value, surface.mix, surface.height, *crack, brightness)
    return _shade(*(np.asarray(f, np.float32) for f in fields), colours, toward, look)


def _camera(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Slight blur of the lens, noise of the sensor, 8 bits: (3, H, W)."""
    noise = white(rng, len(picture))
    blur, sigma = rng.uniform(0.04, 0.12), rng.uniform(0.004, 0.025)
    return _expose(picture, noise, np.float32(blur), np.float32(sigma))


@numba.njit(cache=True, nogil=True, fastmath=True)
def _shade(
    value: Field,
    mix: Field,
    height: Field,
    inside: Field,
    dark: Field,
    brightness: Field,
    colours: np.ndarray,
    toward: np.ndarray,
    look: np.ndarray,
) -> np.ndarray:
    """`look`: how dark cracks are, dirt around them, relief of their edges."""
    h, w = height.shape
    out = np.empty((h, w, 3), np.float32)
    for i in range(h):
        a = min(i + 1, h - 1)
        for j in range(w):
            b = min(j + 1, w - 1)
            m = inside[i, j]
            slope = toward[0] * (height[a, j] - height[i, j])
            slope += toward[1] * (height[i, b] - height[i, j])
            light = value[i, j] * brightness[i, j]
            if m > -8:
                if m < 1:  # the edge is worn round: bright towards the light, dark behind
                    round_ = look[2] * np.exp(-((m + 0.7) ** 2))
                    slope -= 4 * round_ * toward[0] * (inside[a, j] - m)
                    slope -= 4 * round_ * toward[1] * (inside[i, b] - m)
                cover = min(max(np.float32(0.5) + m * np.float32(0.6), 0), 1)
                deep = np.float32(0.55) + np.float32(0.4) * min(max(m * np.float32(0.4), 0), 1)
                full = min(max(m * np.float32(0.25), 0), 1)  # wide cracks are black inside
                depth = dark[i, j] * deep * look[0]
                light *= 1 - cover * (depth + full * (np.float32(0.97) - depth))
                light *= 1 - look[1] * np.exp(min(m, 0) * np.float32(0.4))
            light *= min(max(1 + slope, np.float32(0.45)), np.float32(1.7))
            for c in range(3):
                tint = colours[0, c] + mix[i, j] * (colours[1, c] - colours[0, c])
                out[i, j, c] = max(light, 0) * tint
    return out


@numba.njit(cache=True, nogil=True, fastmath=True)
def _expose(picture: np.ndarray, noise: Field, blur: np.float32, sigma: np.float32) -> np.ndarray:
    h, w, _ = picture.shape
    out = np.empty((3, h, w), np.uint8)
    for i in range(h):
        up, down = max(i - 1, 0), min(i + 1, h - 1)
        for j in range(w):
            left, right = max(j - 1, 0), min(j + 1, w - 1)
            for c in range(3):
                side = picture[up, j, c] + picture[down, j, c]
                side += picture[i, left, c] + picture[i, right, c]
                v = (1 - 4 * blur) * picture[i, j, c] + blur * side
                # one noise field serves for brightness and, displaced, for colour
                n = (
                    noise[i, j]
                    + np.float32(0.5) * noise[(i + 17 * c + 5) % h, (j + 29 * c + 7) % w]
                )
                v += sigma * n * np.sqrt(max(v, np.float32(0.05)))
                if v > np.float32(0.8):  # highlights are compressed, not clipped
                    v = 1 - np.float32(0.2) * np.exp((np.float32(0.8) - v) * 5)
                out[c, i, j] = np.uint8(max(v, 0) * np.float32(255) + np.float32(0.5))
    return out
