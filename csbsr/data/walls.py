"""Synthetic photographs nearer to real ones, for the model that comes with the package.

The surfaces and cracks of `csbsr.data.synthetic`, photographed as people do: from near and far,
out of focus, in any light and colour, with faint and with gaping cracks, compressed. Masks follow
the habit of annotators: smooth, and a little wider than the crack. Image i is a function of
(seed, split, i) alone. The pictures of the study stay as they are.
"""

import io
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from csbsr.data.clutter import light, soil, wire
from csbsr.data.crack_paths import CrackMap, draw_cracks, no_cracks
from csbsr.data.memory import Memory
from csbsr.data.noise import Field, power_law, white
from csbsr.data.surfaces import Surface, random_surface

VERSION = 1
SPLITS = ("train", "validation", "test")
CRACK_FREE = 0.08
"""Share of the pictures that show no crack."""


@dataclass(frozen=True)
class Look:
    """What decides how hard the pictures are."""

    margin: float
    """Pixels by which a mask is wider than its crack on each side."""
    contrast: tuple[float, float]
    """Of the Beta distribution from which the darkness of cracks is drawn."""
    gaping: float = 0.0
    """Share of the pictures whose cracks may be twice as wide."""
    specks: float = 0.0
    """Share of the pictures with dark specks, as pores and gravel make them."""


EASY = Look(margin=0.7, contrast=(2.4, 1.2))
HARD = Look(margin=0.3, contrast=(2.0, 1.4), gaping=0.3, specks=0.5)


class Walls:
    """`count` pictures of size x size with masks, generated when asked for and then kept."""

    def __init__(
        self,
        count: int,
        size: int = 448,
        seed: int = 0,
        split: str = "train",
        look: Look = HARD,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"split '{split}' is unknown; choose one of {', '.join(SPLITS)}")
        if size % 4:
            raise ValueError(f"pictures of side {size} do not divide by 4")
        self.size, self.seed, self.split, self.look = size, seed, split, look
        self.names = [f"wall_{split}_{seed}_{i:05d}" for i in range(count)]
        self._memory = Memory(self._generate, items=count)

    def __len__(self) -> int:
        return len(self.names)

    def load(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return picture `i` (3, size, size) uint8 and its mask (1, size, size) bool."""
        return self._memory(range(len(self))[i])

    def fingerprint(self) -> str:
        """Return what the pictures depend on."""
        return f"walls-{VERSION}:{self.split}:{len(self)}:{self.size}:{self.seed}:{self.look}"

    def _generate(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, 7 + SPLITS.index(self.split), i])
        return wall_photograph(rng, self.size, self.look)


class _Scene(NamedTuple):
    """A lit wall before the camera: (h, h, 3) radiance, and pixels from the cracks' edge."""

    radiance: np.ndarray
    inside: Field


def wall_photograph(
    rng: np.random.Generator, size: int, look: Look = HARD
) -> tuple[np.ndarray, np.ndarray]:
    """Return one picture (3, size, size) uint8 and its mask (1, size, size) bool."""
    near = float(np.clip(rng.lognormal(np.log(1.25), 0.45), 0.75, 3.2))  # how far it is enlarged
    side = round(size / near / 4) * 4
    scene = _scene(rng, side, look)
    factor = size / side
    picture, inside = _resized(scene.radiance, size), _resized(scene.inside, size)
    mask = gaussian_filter(inside * np.float32(factor), 1.0) > -look.margin
    if not (scene.inside > 0).any():
        mask[:] = False
    return _camera(rng, picture), mask[None]


def _scene(rng: np.random.Generator, side: int, look: Look) -> _Scene:
    surface = soil(rng, random_surface(rng, side))
    if look.specks and rng.random() < look.specks:
        surface = surface._replace(value=surface.value * (1 - _specks(rng, side)))
    crack = no_cracks(side)
    if rng.random() > CRACK_FREE:
        wide = 2 if look.gaping and rng.random() < look.gaping else 1
        width = min(surface.crack_width * wide * rng.uniform(0.7, 2.3), 0.045 * wide * side)
        crossings = rng.lognormal(np.log(0.9), 0.45)  # how often a crack crosses the picture
        share = float(np.clip(crossings * width / side, 0.003, 0.12))
        crack = draw_cracks(rng, side, surface.rough, share, width)
    brightness = light(rng, side)
    radiance = _lit(rng, surface, crack, brightness, look)
    inside = crack.inside
    if rng.random() < 0.08:
        cover, shadow = wire(rng, side)
        tone = np.float32(rng.uniform(0.05, 0.5))
        radiance *= (1 - 0.4 * shadow)[..., None]
        radiance += (cover * brightness)[..., None] * (tone - radiance)
        inside = np.where(cover > 0.5, np.float32(-9), inside)
    return _Scene(radiance, inside)


def _specks(rng: np.random.Generator, side: int) -> Field:
    """Dark specks of several sizes, some drawn out: their darkness (side, side) in 0..1."""
    specks = np.zeros((side, side), np.float32)
    for _ in range(3):
        spread = rng.uniform(0.6, 2.6, 2)
        share = np.exp(rng.uniform(np.log(2e-4), np.log(6e-3))) / spread.prod()
        drops = (rng.random((side, side), dtype=np.float32) < share).astype(np.float32)
        blurred = gaussian_filter(drops, spread) * np.float32(2 * np.pi * spread.prod())
        specks = np.maximum(specks, np.float32(rng.uniform(0.25, 0.9)) * np.clip(blurred, 0, 1))
    return specks


def _lit(
    rng: np.random.Generator, surface: Surface, crack: CrackMap, brightness: Field, look: Look
) -> np.ndarray:
    """Light the relief from one side, then darken, soil and round off the cracks: (h, h, 3)."""
    inside, height = crack.inside, surface.height
    side = len(height)
    angle, slant = rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.24)
    worn = rng.uniform(0, 0.6) * np.exp(-((inside + 0.7) ** 2))  # edges that catch the light
    slope = slant * np.sin(angle) * _step(height, 0) + slant * np.cos(angle) * _step(height, 1)
    edge = slant * np.sin(angle) * _step(inside, 0) + slant * np.cos(angle) * _step(inside, 1)
    value = surface.value * brightness
    soft = rng.uniform(0.45, 1.4)  # pixels over which an edge passes
    cover = np.clip(0.5 + inside / (2 * soft), 0, 1)
    contrast = rng.beta(*look.contrast) * 0.85 + 0.13
    deep = 0.6 + 0.4 * np.clip(0.35 * inside, 0, 1)
    filled = 0.0
    if rng.random() < 0.35:  # rubble and dirt lie in the crack: it is not evenly dark
        rubble, _ = power_law(rng, side, rng.uniform(0.5, 1.0), 2.0)
        filled = rng.uniform(0.1, 0.45) * np.clip(rubble + 0.3, 0, 2)
    patchy, _ = power_law(rng, side, 1.5, shortest=12)  # some stretches are hardly seen
    fade = np.clip(1 - rng.uniform(0, 0.5) * np.clip(patchy - 0.2, 0, 2), 0.15, 1)
    gaping = np.clip(0.2 * inside, 0, 1) * rng.uniform(0.3, 1)
    depth = np.clip(contrast * crack.dark * deep * fade * (1 - filled), 0, 1)
    depth = depth + gaping * (0.97 - depth) * (1 - filled)
    halo = rng.choice([0.0, 1.0], p=[0.4, 0.6]) * rng.uniform(-0.08, 0.22)
    value = value * (1 - halo * np.exp(np.minimum(inside, 0) / rng.uniform(1.5, 6)))
    value = value * np.clip(1 + slope - 4 * worn * edge, 0.45, 1.7)
    earth = np.array([1.1, 1.0, 0.85], np.float32) ** rng.uniform(-0.3, 1.2)
    tint = surface.colours[0] + surface.mix[..., None] * (surface.colours[1] - surface.colours[0])
    saturation = rng.choice([0.0, 1.0, rng.uniform(1.5, 4)], p=[0.15, 0.65, 0.2])
    tint = tint.mean(-1, keepdims=True) + saturation * (tint - tint.mean(-1, keepdims=True))
    dark = (cover * depth)[..., None]
    wall = np.maximum(value, 0)[..., None] * np.maximum(tint, 0.05)
    inner = wall * (1 - dark) * (1 + dark * (earth - 1))
    return (inner * (rng.triangular(0.16, 0.5, 0.8) / max(float(wall.mean()), 1e-3))).astype(
        np.float32
    )


def _camera(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Focus, exposure, white balance, noise and compression: (3, H, W) uint8."""
    size = len(picture)
    blur = rng.uniform(0.3, 0.8) if rng.random() < 0.6 else rng.uniform(0.8, 2.2)
    picture = gaussian_filter(picture, (blur, blur, 0))
    picture = picture * np.exp(rng.normal(0, 0.04, 3)).astype(np.float32)
    sigma = rng.uniform(0.002, 0.02)
    grain = white(rng, size)
    if rng.random() < 0.5:  # noise reduction of a telephone
        grain = 1.6 * gaussian_filter(grain, 0.8)
    colour = np.roll(grain, (17, 29), (0, 1)), np.roll(grain, (5, 71), (0, 1)), grain
    noise = grain[..., None] + 0.5 * np.stack(colour, -1)
    picture = picture + np.float32(sigma) * noise * np.sqrt(np.maximum(picture, 0.05))
    low = rng.uniform(-0.04, 0.1)
    picture = np.clip((picture - low) / (1 - low), 0, None) ** np.float32(rng.uniform(0.8, 1.3))
    bright = picture > 0.8  # highlights are compressed, not clipped
    picture = np.where(bright, 1 - 0.2 * np.exp(np.minimum((0.8 - picture) * 5, 0)), picture)
    pixels = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.6:
        pixels = _compressed(pixels, int(rng.integers(45, 95)))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _compressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def _resized(field: np.ndarray, size: int) -> np.ndarray:
    """A field (h, h) or (h, h, 3) at another side."""
    if len(field) == size:
        return field
    layers = np.moveaxis(np.atleast_3d(field), -1, 0)
    parts = [
        np.asarray(Image.fromarray(np.ascontiguousarray(p, np.float32)).resize((size, size), 3))
        for p in layers
    ]
    return np.stack(parts, -1) if field.ndim == 3 else parts[0]


def _step(field: Field, axis: int) -> Field:
    """Difference to the next pixel along an axis, 0 at the end."""
    return np.diff(field, axis=axis, append=np.take(field, [-1], axis))
