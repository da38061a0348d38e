"""Eqs. (5) to (8) exactly as the paper prints them, on one small mask, to see what they prefer.

These are not the losses of this package (see `csbsr.losses`): signs and sums are those of the
print, so that the inconsistencies page can show what minimising them would mean."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from csbsr.losses.loss_weights import crack_oriented_weight, fail_oriented_weight
from csbsr.metrics import threshold_curves
from csbsr.protocol import PRINTED
from csbsr.study.contrasts import Verdict
from csbsr_book.paper.printed import Parameter

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


def evaluate_parameters(
    kind: str, names: Sequence[str], parameters: Mapping[str, Parameter]
) -> Verdict:
    """Return whether the last parameter is the sum of the others, or (`equal`) equal to each."""
    *parts, total = names
    values = [float(parameters[name].value) for name in parts]  # type: ignore[arg-type]
    expected = float(parameters[total].value)  # type: ignore[arg-type]
    sign = " + " if kind == "sum" else " = "
    shown = sign.join(f"{v:g}" for v in values)
    held = (
        math.isclose(sum(values), expected)
        if kind == "sum"
        else all(math.isclose(v, expected) for v in values)
    )
    return Verdict(
        "holds" if held else "does not hold",
        f"{shown} {'=' if held else 'is not'} {expected:g}",
    )


def _verdict(held: bool, evidence: str) -> Verdict:
    return Verdict("holds" if held else "does not hold", evidence)


def _hairline(row: int) -> Array:
    line = np.zeros((40, 40))
    line[row, 5:35] = 1.0
    return line


def displaced_iou() -> Verdict:
    """A crack 1 px wide, displaced by 1 px: the IoU."""
    value = threshold_curves(_hairline(21), _hairline(20), [0.5]).iou[0]
    return _verdict(value < 0.1, f"a line 1 px wide, displaced by 1 px: IoU {value:.3f}")


def displaced_hausdorff() -> Verdict:
    """A crack 1 px wide, displaced by 1 px: the Hausdorff distance."""
    value = threshold_curves(_hairline(21), _hairline(20), [0.5]).hausdorff[0]
    return _verdict(value <= 2.0, f"a line 1 px wide, displaced by 1 px: HD95 {value:.2f} px")


def boundary_zero_at_truth() -> Verdict:
    """Eq. (5) at the truth."""
    value = printed_value("boundary", "truth")
    return _verdict(abs(value) < 1e-9, f"Eq. (5) at the truth of a crack 3 px wide: {value:.0f}")


def boundary_with_both_terms() -> Verdict:
    """Eq. (4), whose second term Eq. (5) omits, at the truth."""
    mask = small_mask()
    value = 2 * (boundary(mask, mask) - boundary(mask, mask))
    others = [2 * (boundary(p, mask) - boundary(mask, mask)) for p in predictions(mask).values()]
    return _verdict(
        value == 0 and min(others) >= 0,
        f"Eq. (4): {value:.0f} at the truth, at least {min(others):.0f} for five predictions",
    )


def dice_is_harmonic_mean() -> Verdict:
    """Eq. (6) against the harmonic mean of precision and recall of the cracks."""
    mask = small_mask()
    prediction = np.roll(mask, 1, axis=0)  # a third of the crack missed, as much invented
    hits = float((prediction * mask).sum())
    precision, recall = hits / prediction.sum(), hits / mask.sum()
    mean = 2 * precision * recall / (precision + recall)
    value = dice(prediction, mask)
    return _verdict(
        abs(value - mean) < 1e-6,
        f"a crack displaced by 1 px: Eq. (6) {value:.3f}, harmonic mean {mean:.3f}",
    )


def crack_weight_range() -> Verdict:
    """Eq. (9) over a whole image."""
    distance = torch.as_tensor(signed_distance(small_mask()), dtype=torch.float32)[None, None]
    weight = crack_oriented_weight(distance, 1.0, PRINTED)
    low, high = weight.min().item(), weight.max().item()
    return _verdict(low >= 0 and high <= 1, f"m^C = 1: between {low:.2g} and {high:.2g}")


def fail_weight_range() -> Verdict:
    """Eq. (10) over a whole image."""
    mask = torch.as_tensor(small_mask(), dtype=torch.float32)[None, None]
    prediction = torch.linspace(0, 1, mask.numel()).reshape(mask.shape)
    weight = fail_oriented_weight(prediction, mask, 1.0)
    low, high = weight.min().item(), weight.max().item()
    return _verdict(low >= 1, f"m^F = 1: between {low:.3g} and {high:.3g}")


def crack_weight_neighbours() -> Verdict:
    """Eq. (9) with the m^C of Table V, one pixel from a crack."""
    value = math.exp(-8.0)
    return _verdict(value > 0.1, f"m^C = 8: {value:.4f} one pixel from a crack, 1 inside")
