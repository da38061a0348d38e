"""Eqs. (5) to (8) exactly as the paper prints them, on one small mask, to see what they prefer.

These are not the losses of this package (see `csbsr.losses`): signs and sums are those of the
print, so that the inconsistencies page can show what minimising them would mean.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

Array = NDArray[np.float64]
FLOOR = 1e-8
"""Probabilities are kept this far above 0, so that Eq. (8) stays finite."""


def small_mask() -> Array:
    """Return a (40, 40) mask with a horizontal crack, 3 px wide and 16 px long (3 %)."""
    mask = np.zeros((40, 40))
    mask[18:21, 12:28] = 1.0
    return mask


def predictions(mask: Array) -> dict[str, Array]:
    """Return the probability maps that the page compares, by name."""
    return {
        "truth": mask,
        "opposite": 1 - mask,
        "nothing": np.zeros_like(mask),
        "everything": np.ones_like(mask),
        "unsure": np.full_like(mask, 0.5),
    }


def _classes(crack: Array) -> Array:
    return np.stack([crack.ravel(), 1 - crack.ravel()])  # (M=2, N)


def signed_distance(mask: Array) -> Array:
    """Return phi_G of Eq. (4) in pixels: outside > 0, inside < 0, inner boundary 0."""
    inside = mask > 0
    boundary = inside & ~binary_erosion(inside)
    distance = distance_transform_edt(~boundary)
    return np.where(inside, -distance, distance)


def boundary(prob: Array, mask: Array) -> float:
    """Eq. (5): sum over pixels of phi_G times the probability."""
    return float((signed_distance(mask) * prob).sum())


def dice(prob: Array, mask: Array) -> float:
    """Eq. (6): both classes in one quotient, and no minus sign."""
    p, g = _classes(prob), _classes(mask)
    return float(2 * (p * g).sum() / (p**2 + g**2).sum())


def gdice(prob: Array, mask: Array) -> float:
    """Eq. (7): classes weighted by the reciprocal of their pixel count, and no minus sign."""
    p, g = _classes(prob), _classes(mask)
    weight = 1 / g.sum(1, keepdims=True)  # (2, 1)
    return float(2 * (weight * p * g).sum() / (weight * (p + g)).sum())


def wce(prob: Array, mask: Array) -> float:
    """Eq. (8): weighted sum of G log P, and no minus sign; weights from this image alone."""
    p, g = _classes(prob), _classes(mask)
    weight = 1 / g.sum(1, keepdims=True)  # (2, 1)
    return float((weight * g * np.log(np.maximum(p, FLOOR))).sum())


EQUATIONS: Mapping[str, Callable[[Array, Array], float]] = {
    "boundary": boundary,
    "dice": dice,
    "gdice": gdice,
    "wce": wce,
}


def printed_value(equation: str, prediction: str) -> float:
    """Return the value of a printed equation for one of the named predictions."""
    mask = small_mask()
    return EQUATIONS[equation](predictions(mask)[prediction], mask)


def kernel_difference_sum() -> float:
    """Return the sum of K - K^P for two kernels that each sum to one (Sec. III-D)."""
    wide, narrow = (np.exp(-(np.arange(-10.0, 11.0) ** 2) / s) for s in (8.0, 6.0))
    return float((wide / wide.sum() - narrow / narrow.sum()).sum())


def softmax_of_one_channel(logit: float = 0.3) -> float:
    """Return the softmax over a single channel, whatever the logit."""
    return float(np.exp(logit) / np.exp([logit]).sum())
