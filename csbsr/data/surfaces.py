"""Procedural surfaces of walls and roads: colour and relief before light and camera."""

from typing import NamedTuple

import numpy as np

from csbsr.data.noise import Field, another, cells, power_law, white


class Surface(NamedTuple):
    """What a wall or road looks like in even light; fields are (H, W) float32."""

    value: Field  # reflectance, about 0..1
    mix: Field  # 0..1: how much of the second colour
    colours: np.ndarray  # (2, 3) the two colours, near 1
    height: Field  # relief in pixels
    rough: Field  # variance 1; frays the edges of cracks
    crack_width: float  # typical width of its cracks in pixels


def random_surface(rng: np.random.Generator, size: int) -> Surface:
    """Return concrete, plaster, asphalt or brickwork, each as often as among photographs."""
    kind = rng.choice(4, p=[0.36, 0.24, 0.31, 0.09])
    return (concrete, plaster, asphalt, brickwork)[kind](rng, size)


def concrete(rng: np.random.Generator, size: int) -> Surface:
    """Cast concrete: mottled grey, fine grain, pores, often pebbles, sometimes brushed."""
    mottle, cloud = power_law(rng, size, 1.4, shortest=12)
    brushed = rng.random() < 0.25
    grain, rough = power_law(rng, size, rng.choice([0.4, 0.6, 0.8]), 2.4, 5.0 if brushed else 1.0)
    if brushed and rng.random() < 0.5:
        grain, rough = grain.T.copy(), rough.T.copy()
    coarse = rng.uniform(0.03, 0.08)
    value = 1 + 0.05 * mottle + coarse * grain
    height = rng.uniform(0.3, 0.9) * grain + 0.4 * mottle
    spots = cells(rng, size, rng.uniform(9, 26), (rough, grain), 0.9)
    size_of = another(spots.value, 7.13)
    pores = rng.uniform(0.02, 0.2)
    hole = (spots.value < pores) & (spots.radius < 0.8 + 2.6 * size_of**2)
    np.multiply(value, rng.uniform(0.35, 0.65), out=value, where=hole)
    height[hole] -= 1.5
    if rng.random() < 0.5:
        pebbles = (spots.value > 1 - rng.uniform(0.1, 0.5)) & (spots.edge > 1.2 + 3 * size_of)
        np.multiply(value, 0.72 + 0.6 * another(spots.value, 31.7), out=value, where=pebbles)
    mix = np.clip(0.5 + 0.22 * cloud + 0.1 * mottle, 0, 1)
    return Surface(value, mix, greys(rng, 0.03), height, rough, rng.uniform(2.0, 6.5))


def plaster(rng: np.random.Generator, size: int) -> Surface:
    """Painted plaster: bumps of a roller or trowel under an even coat of paint."""
    cloud, mottle = power_law(rng, size, 1.6, shortest=12)
    bumps, rough = power_law(rng, size, rng.choice([0.3, 0.6, 0.9]), rng.choice([3, 5, 8, 11]))
    paints = np.array(
        [(1.02, 1.0, 0.96), (1.0, 1.0, 1.0), (1.1, 1.0, 0.83), (0.97, 1.0, 1.03),
         (0.72, 0.9, 1.35), (1.2, 0.96, 0.86), (0.97, 1.03, 0.96)], np.float32
    )  # fmt: skip
    paint = paints[rng.choice(7, p=[0.3, 0.3, 0.12, 0.12, 0.04, 0.06, 0.06])]
    worn = paint * 0.4 + 0.6 * greys(rng, 0.02)[0]
    grain = white(rng, size)
    value = 1 + 0.03 * cloud + 0.015 * grain + 0.01 * bumps
    mix = np.clip(0.2 + 0.2 * mottle, 0, 1)
    height = rng.uniform(0.2, 0.9) * bumps + 0.3 * grain
    return Surface(value, mix, np.stack([paint, worn]), height, rough, rng.uniform(1.6, 5.0))


def asphalt(rng: np.random.Generator, size: int) -> Surface:
    """Asphalt: angular stones of many greys in a dark binder, fine or coarse."""
    bend = power_law(rng, size, 0.8, shortest=4)
    cloud, worn = power_law(rng, size, 1.3, shortest=12)
    pitch = rng.uniform(3.2, 6) if rng.random() < 0.6 else rng.uniform(6, 15)
    stone = cells(rng, size, pitch, bend, 0.1 * pitch)
    contrast = rng.uniform(0.35, 0.9)
    shade = another(stone.value, 5.31)
    shade *= shade if rng.random() < 0.5 else 1
    exposed = rng.uniform(0.45, 0.95) + 0.12 * worn  # traffic wears the binder off the stones
    shown = np.clip((stone.edge - 0.09 * pitch) / (0.1 * pitch), 0, 1) * (stone.value < exposed)
    grain = white(rng, size)
    value = 1 + 0.07 * cloud + 0.1 * grain + shown * contrast * (1.5 * shade - 0.3)
    height = np.minimum(stone.edge, 0.3 * pitch) * shown + 0.25 * grain + 0.4 * bend[0]
    mix = another(stone.value, 3.7)
    return Surface(value, mix, greys(rng, 0.03), height, bend[1], rng.uniform(2.5, 7.5))


def brickwork(rng: np.random.Generator, size: int) -> Surface:
    """Bricks in running bond with mortar joints, soiled and slightly out of line."""
    bend = power_law(rng, size, 1.2, shortest=12)
    grain, rough = power_law(rng, size, 0.8, shortest=3)
    long, tall = rng.uniform(110, 200), rng.uniform(36, 66)
    joint = rng.uniform(3, 7)
    axis = np.arange(size, dtype=np.float32)
    y = axis[:, None] + 1.2 * bend[0] + rng.uniform(0, tall)
    row = np.floor(y / tall)
    x = axis[None, :] + 1.5 * bend[1] + row % 2 * (long / 2) + rng.uniform(0, long)
    column = np.floor(x / long)
    dy, dx = y - row * tall, x - column * long
    edge = np.minimum(np.minimum(dy, tall - dy), np.minimum(dx, long - dx))
    edge = edge - joint / 2 + 0.5 * rough + 0.5 * bend[1]
    brick = np.clip(edge / 1.5, 0, 1)
    fired = np.sin(row * 12.9898 + column * 78.233 + rng.uniform(0, 9)) * 43758.5 % 1
    value = 1 + 0.05 * grain + 0.1 * bend[0] + brick * (0.32 * fired - 0.35)
    clays = np.array([(1.28, 0.92, 0.8), (1.18, 0.97, 0.83), (1.06, 1.0, 0.9)], np.float32)
    colours = np.stack([np.float32([1.02, 1.0, 0.95]), clays[rng.integers(3)]])
    height = np.clip(edge, -2, 1.5) + 0.5 * grain
    mix = np.clip(brick * (0.85 + 0.15 * grain), 0, 1.1)
    return Surface(value, mix, colours, height, rough, rng.uniform(2.5, 6.0))


def greys(rng: np.random.Generator, spread: float) -> np.ndarray:
    """Two nearly neutral colours (2, 3), warmer or colder."""
    warm = rng.normal(0.01, 0.6 * spread) + np.array([[-spread], [spread]])
    green = rng.normal(0, spread / 5, (2, 1))
    return np.concatenate([1 + warm, 1 + green, 1 - warm], axis=1).astype(np.float32)


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
