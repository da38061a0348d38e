"""Procedural surfaces of walls and roads: colour and relief before light and camera."""

from typing import NamedTuple

import numpy as np

from csbsr.data.noise import Field, cells, power_law, white


class Surface(NamedTuple):
    """What a wall or road is made of."""

    colour: np.ndarray  # (H, W, 3) float32, reflectance 0..1
    height: np.ndarray  # (H, W) float32, pixels
    crack_width: float  # typical width of its cracks in pixels
    rough: Field  # variance 1, frays the edges of cracks


def random_surface(rng: np.random.Generator, size: int) -> Surface:
    """Return concrete, plaster, asphalt, or brickwork, drawn by their share among photographs."""
    kind = rng.choice(4, p=[0.34, 0.24, 0.32, 0.10])
    return (concrete, plaster, asphalt, brickwork)[kind](rng, size)


def concrete(rng: np.random.Generator, size: int) -> Surface:
    """Cast concrete: mottled grey, fine grain, pores, sometimes exposed pebbles."""
    mottle, cloud = power_law(rng, size, 1.5)
    grain, rough = power_law(rng, size, 0.6, shortest=2.5)
    tone = rng.uniform(0.4, 0.72)
    value = tone * (1 + 0.045 * mottle + 0.05 * grain + 0.03 * cloud)
    height = 0.25 * grain + 0.5 * mottle
    tint = tone_tint(rng, 0.05)
    colour = value[..., None] * tint
    pores = cells(rng, size, rng.uniform(16, 40), (rough, grain), 1.5)
    hole = (pores.radius < 1 + 3.5 * np.maximum(pores.value - 0.6, 0)) & (pores.value > 0.6)
    colour[hole] *= rng.uniform(0.4, 0.7)
    height[hole] -= 1.5
    if rng.random() < 0.4:
        stone = cells(rng, size, rng.uniform(7, 14), (rough, grain), 1.2)
        shown = (stone.value < rng.uniform(0.15, 0.45)) & (stone.edge > 1)
        shade = 0.75 + 0.9 * (stone.value * 7 % 1)
        colour[shown] *= shade[shown][:, None].astype(np.float32)
    return Surface(colour, height, rng.uniform(2.0, 7.0), rough)


def plaster(rng: np.random.Generator, size: int) -> Surface:
    """Painted plaster: bumps of a roller or trowel under an even coat of paint."""
    cloud, _ = power_law(rng, size, 1.6)
    bumps, rough = power_law(rng, size, 0.4, shortest=rng.uniform(5, 12))
    grain = white(rng, size)
    paints = [
        (0.80, 0.79, 0.76),
        (0.62, 0.63, 0.63),
        (0.78, 0.72, 0.58),
        (0.42, 0.45, 0.46),
        (0.35, 0.42, 0.62),
        (0.70, 0.58, 0.52),
        (0.66, 0.70, 0.66),
    ]
    paint = np.array(paints[rng.choice(7, p=[0.3, 0.25, 0.15, 0.12, 0.05, 0.06, 0.07])])
    paint = paint * rng.uniform(0.85, 1.1) * tone_tint(rng, 0.02)
    value = 1 + 0.025 * cloud + 0.012 * grain
    colour = value[..., None] * paint.astype(np.float32)
    return Surface(colour, rng.uniform(0.4, 1.3) * bumps, rng.uniform(1.5, 5.0), rough)


def asphalt(rng: np.random.Generator, size: int) -> Surface:
    """Asphalt: angular stones of many greys in a dark binder."""
    warp = power_law(rng, size, 0.8, shortest=4)
    cloud, rough = power_law(rng, size, 1.2, shortest=3)
    pitch = rng.choice([rng.uniform(3.5, 6), rng.uniform(7, 16)], p=[0.55, 0.45])
    stone = cells(rng, size, pitch, warp, 0.08 * pitch)
    small = cells(rng, size, 3.2, warp, 0.2)
    dark, light = rng.uniform(0.16, 0.34), rng.uniform(0.45, 0.8)
    level = (stone.value * 5 % 1) ** rng.uniform(1.0, 2.5)
    shown = np.clip((stone.edge - 0.12 * pitch) / 1.2, 0, 1) * (stone.value > rng.uniform(0.0, 0.5))
    binder = dark * (0.7 + 0.7 * small.value)
    value = binder * (1 - shown) + (dark + (light - dark) * level) * shown
    value *= 1 + 0.06 * cloud
    height = np.minimum(stone.edge, 0.35 * pitch) * shown * 0.6 + 0.4 * small.edge
    tint = tone_tint(rng, 0.05) + 0.06 * (stone.value - 0.5)[..., None] * np.array([1, 0, -1])
    colour = value[..., None] * tint
    return Surface(colour.astype(np.float32), height, rng.uniform(3.0, 8.0), rough)


def brickwork(rng: np.random.Generator, size: int) -> Surface:
    """Bricks in running bond with mortar joints."""
    warp = power_law(rng, size, 1.4)
    grain, rough = power_law(rng, size, 0.7)
    long, tall = rng.uniform(110, 190), rng.uniform(38, 64)
    joint = rng.uniform(3, 6)
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    y = yy + 0.8 * warp[0] + rng.uniform(0, tall)
    row = np.floor(y / tall)
    x = xx + 0.8 * warp[1] + row % 2 * long / 2 + rng.uniform(0, long)
    column = np.floor(x / long)
    dy, dx = y - row * tall, x - column * long
    edge = (
        np.minimum(np.minimum(dy, tall - dy), np.minimum(dx, long - dx)) - joint / 2 + 0.5 * rough
    )
    brick = np.clip(edge / 1.5, 0, 1)[..., None]
    value = np.sin(row * 12.9898 + column * 78.233 + rng.uniform(0, 9)) * 43758.5 % 1
    base = np.array([(0.52, 0.28, 0.21), (0.60, 0.42, 0.30), (0.66, 0.62, 0.55)][rng.integers(3)])
    mortar = np.array([0.62, 0.60, 0.56]) * rng.uniform(0.7, 1.1)
    texture = (1 + 0.07 * grain + 0.04 * warp[0])[..., None]
    colour = (base * (0.8 + 0.4 * value[..., None]) * brick + mortar * (1 - brick)) * texture
    height = np.clip(edge, -2, 1.5) * 0.8 + 0.3 * grain
    return Surface(colour.astype(np.float32), height, rng.uniform(2.5, 6.0), rough)


def tone_tint(rng: np.random.Generator, spread: float) -> np.ndarray:
    """A nearly neutral colour (3,), warm or cold."""
    warm = rng.normal(0, spread)
    return np.array([1 + warm, 1 + rng.normal(0, spread / 4), 1 - warm], np.float32)


def natural_texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """A picture (3, size, size) uint8 with edges at many scales, to pre-train super-resolution."""
    warp = power_law(rng, size, 1.2)
    picture = np.zeros((size, size, 3), np.float32)
    for pitch in (rng.uniform(40, 120), rng.uniform(12, 40)):
        patch = cells(rng, size, pitch, warp, 0.1 * pitch)
        palette = rng.random((64, 3), dtype=np.float32)
        picture += 0.5 * palette[(patch.value * 63).astype(int)]
    picture += 0.04 * white(rng, size)[..., None] + 0.06 * warp[0][..., None]
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8).transpose(2, 0, 1)
