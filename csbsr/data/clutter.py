"""What else is seen on walls and roads, and must not be taken for cracks."""

import numpy as np

from csbsr.data.noise import Field, power_law
from csbsr.data.surfaces import Surface


def soil(rng: np.random.Generator, surface: Surface) -> Surface:
    """Add stains, drips, joints and worn paint lines to a surface, each now and then."""
    size = len(surface.value)
    value, mix, height = surface.value, surface.mix, surface.height
    if rng.random() < 0.35:
        value, mix = _stain(rng, size, value, mix)
    if rng.random() < 0.15:
        value = _drips(rng, size, value)
    if rng.random() < 0.12:
        groove = _strip(rng, size, rng.uniform(2.5, 7), 0.4 * surface.rough, soft=2.5)
        value = value * (1 - rng.uniform(0.3, 0.65) * groove)
        height = height - 2 * groove
    if rng.random() < 0.05:
        line = _strip(rng, size, rng.uniform(40, 90), 1.5 * surface.rough)
        worn = np.clip(0.9 + 0.5 * surface.rough - 0.4 * height, 0, 1)
        value = value + (rng.uniform(1.5, 2.0) - value) * line * worn * 0.9
    return surface._replace(value=value, mix=mix, height=height)


def light(rng: np.random.Generator, size: int) -> Field:
    """Brightness (size, size): a gradient, a darker rim, now and then soft shadows."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    y, x = axis[:, None], axis[None, :]
    ramp = _along(rng, size) / np.float32(size / 2)
    field = 1 + np.float32(rng.uniform(0, 0.2)) * ramp
    field -= np.float32(rng.uniform(0, 0.12)) * (x * x + y * y)
    draw = rng.random()
    if draw < 0.12:  # the edge of a roof or a car
        edge = _along(rng, size) - rng.uniform(-0.35, 0.35) * size
        field *= 1 - np.float32(rng.uniform(0.2, 0.45)) * _soft(edge, rng.uniform(4, 40))
    elif draw < 0.18:  # a pole or a branch
        field *= 1 - np.float32(rng.uniform(0.2, 0.45)) * _strip(
            rng, size, rng.uniform(15, 60), 0.0, soft=rng.uniform(4, 14)
        )
    elif draw < 0.28:  # foliage
        leaves, _ = power_law(rng, size, 1.8, shortest=24)
        field *= 1 - np.float32(rng.uniform(0.15, 0.4)) * _soft(leaves - 0.2, 0.5)
    return field


def wire(rng: np.random.Generator, size: int) -> tuple[Field, Field]:
    """A cable across the picture: its cover (size, size) in 0..1 and the shadow it throws."""
    at = np.arange(size, dtype=np.float32) - size / 2
    sag = rng.uniform(-0.25, 0.25) / size
    track = rng.uniform(0.1, 0.9) * size + rng.normal(0, 0.3) * at + sag * at * at
    across = np.arange(size, dtype=np.float32)[:, None] - track[None, :].astype(np.float32)
    half = rng.uniform(1.0, 3.0)
    cover = np.clip(half + 0.5 - np.abs(across), 0, 1)
    offset, blur = rng.uniform(3, 12), rng.uniform(1, 4)
    shadow = np.clip((half + blur - np.abs(across - offset)) / (2 * blur), 0, 1)
    if rng.random() < 0.5:
        return cover.T, shadow.T
    return cover, shadow


def _stain(rng: np.random.Generator, size: int, value: Field, mix: Field) -> tuple[Field, Field]:
    shape, tone = power_law(rng, size, rng.uniform(1.2, 1.7), shortest=12)
    soft = rng.uniform(0.1, 0.3) if rng.random() < 0.15 else rng.uniform(0.8, 2.5)
    patch = _soft(shape + 0.15 * tone - rng.uniform(0.3, 1.5), soft)
    strength = rng.uniform(-0.12, 0.25) * min(1.0, 0.5 + soft / 2)  # below 0: bleached, lime
    return value * (1 - strength * patch * (1 + 0.2 * tone)), mix + rng.uniform(-0.5, 0.5) * patch


def _drips(rng: np.random.Generator, size: int, value: Field) -> Field:
    streaks, _ = power_law(rng, size, 1.1, shortest=4, stretch=24)
    fade = np.linspace(1, rng.uniform(-0.2, 0.8), size, dtype=np.float32)[:, None]
    return value * (1 - rng.uniform(0.08, 0.2) * np.clip(streaks * fade, -0.3, 2))


def _strip(
    rng: np.random.Generator, size: int, width: float, fray: Field | float, soft: float = 1.0
) -> Field:
    """A straight band, 1 inside, nearly upright or level."""
    angle = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.12)
    across = _along(rng, size, angle) - rng.uniform(-0.4, 0.4) * size
    return _soft(width / 2 - np.abs(across) + fray, soft)


def _along(rng: np.random.Generator, size: int, angle: float | None = None) -> Field:
    """Pixels from the centre along one direction."""
    angle = rng.uniform(0, 2 * np.pi) if angle is None else angle
    axis = np.arange(size, dtype=np.float32) - size / 2
    return np.float32(np.sin(angle)) * axis[:, None] + np.float32(np.cos(angle)) * axis[None, :]


def _soft(field: Field, width: float) -> Field:
    """A smooth step from 0 to 1 where the field passes 0, over `width`."""
    t = np.clip(field * np.float32(1 / width) + np.float32(0.5), 0, 1)
    return t * t * (3 - 2 * t)
