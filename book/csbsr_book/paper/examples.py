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
from csbsr_book.paper.printed import Parameter, load_parameters, load_table

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


def boundary_second_term() -> Verdict:
    """The term of Eq. (4) that Eq. (5) omits, for five predictions."""
    mask = small_mask()
    omitted = -boundary(mask, mask)
    whole = {name: boundary(p, mask) + omitted for name, p in predictions(mask).items()}
    terms = {value - boundary(predictions(mask)[name], mask) for name, value in whole.items()}
    held = max(terms) - min(terms) < 1e-9
    return _verdict(held, f"between {min(terms):.0f} and {max(terms):.0f} for five predictions")


def _displaced_crack() -> tuple[Array, Array, float]:
    """A crack, its prediction one pixel off, and the harmonic mean of precision and recall."""
    mask = small_mask()
    prediction = np.roll(mask, 1, axis=0)  # a third of the crack missed, as much invented
    hits = float((prediction * mask).sum())
    precision, recall = hits / prediction.sum(), hits / mask.sum()
    return mask, prediction, 2 * precision * recall / (precision + recall)


def dice_of_cracks() -> Verdict:
    """Eq. (6) over the crack class alone against the harmonic mean of precision and recall."""
    mask, prediction, mean = _displaced_crack()
    value = float(2 * (prediction * mask).sum() / (prediction**2 + mask**2).sum())
    return _verdict(
        abs(value - mean) < 1e-6,
        f"a crack displaced by 1 px: of its pixels {value:.3f}, harmonic mean {mean:.3f}",
    )


def dice_of_both_classes() -> Verdict:
    """Eq. (6) as printed against the harmonic mean of precision and recall of the cracks."""
    mask, prediction, mean = _displaced_crack()
    value = dice(prediction, mask)
    return _verdict(
        abs(value - mean) < 1e-6,
        f"a crack displaced by 1 px: Eq. (6) {value:.3f}, harmonic mean {mean:.3f}",
    )


def wce_gradient_survives(logit: float = -8.0) -> Verdict:
    """Gradients of the cross entropy and of GDice where crack pixels are surely missed.

    Each against its own gradient at the logit 0, where the prediction is one half.
    """
    mask = torch.as_tensor(small_mask())
    weight = torch.stack([1 / mask.sum(), 1 / (1 - mask).sum()])

    def push(at: float) -> tuple[float, float]:
        logits = torch.full_like(mask, at, requires_grad=True)
        p = torch.stack([torch.sigmoid(logits), torch.sigmoid(-logits)])
        g = torch.stack([mask, 1 - mask])
        sums = (p * g).sum((1, 2)), (p + g).sum((1, 2))
        losses = (
            -(weight[:, None, None] * g * p.log()).sum(),
            1 - 2 * (weight * sums[0]).sum() / (weight * sums[1]).sum(),
        )
        found = (torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in losses)
        entropy, overlap = (gradient[mask > 0].abs().mean().item() for gradient in found)
        return entropy, overlap

    entropy, overlap = (far / near for far, near in zip(push(logit), push(0.0)))
    return _verdict(
        entropy > 0.5 and overlap < 0.1,
        f"logit {logit:g} on crack pixels, gradient against that at 0: "
        f"WCE {entropy:.2f}, GDice {overlap:.2g}",
    )


def crack_weight_range() -> Verdict:
    """Eq. (9) over a whole image."""
    distance = torch.as_tensor(signed_distance(small_mask()), dtype=torch.float32)[None, None]
    weight = crack_oriented_weight(distance, 1.0, PRINTED)
    low, high = weight.min().item(), weight.max().item()
    inside, outside = weight[distance <= 0].min().item(), weight[distance > 0].max().item()
    return _verdict(
        low >= 0 and high <= 1 and inside > outside,
        f"m^C = 1: between {low:.2g} and {high:.2g}, at least {inside:.2g} inside the crack and "
        f"at most {outside:.2g} outside",
    )


def fail_weight_range() -> Verdict:
    """Eq. (10) over a whole image."""
    mask = torch.as_tensor(small_mask(), dtype=torch.float32)[None, None]
    prediction = torch.linspace(0, 1, mask.numel()).reshape(mask.shape)
    weight = fail_oriented_weight(prediction, mask, 1.0)
    low, high = weight.min().item(), weight.max().item()
    by_error = weight.flatten()[(prediction - mask).abs().flatten().argsort()]
    return _verdict(
        low >= 1 and bool((by_error.diff() >= 0).all()),
        f"m^F = 1: between {low:.3g} and {high:.3g}, never smaller for a larger error",
    )


def crack_weight_neighbours() -> Verdict:
    """Eq. (9) with the m^C of Table V, one pixel from a crack."""
    value = math.exp(-8.0)
    return _verdict(value > 0.1, f"m^C = 8: {value:.4f} one pixel from a crack, 1 inside")


def crack_search_inside_grid() -> Verdict:
    """The m^C of Table V among the candidates of the search."""
    parameters = load_parameters()
    grid, chosen = sorted(parameters["weight_search"].value), parameters["m_crack"].value
    return _verdict(
        grid[0] < chosen < grid[-1],
        f"m^C = {chosen:g}, candidates {grid[0]:g} to {grid[-1]:g}",
    )


def joint_step_is_larger() -> Verdict:
    """The steps of IoU_max that Tables II and III print from SrcNet to segmentation in HR."""
    two, three = load_table("II"), load_table("III")
    before, blind, joint, bound = (
        two.value(name, "IoU_max")
        for name in ("srcnet", "kbpn+pspnet", "csbsr-pspnet", "hr-pspnet")
    )
    independent = three.value("dbpn+pspnet", "IoU_max")
    return _verdict(
        joint - blind > blind - before,
        f"SrcNet {before:.3f}, independent DBPN +{independent - before:.3f}, "
        f"blind +{blind - independent:.3f}, joint +{joint - blind:.3f}, HR +{bound - joint:.3f}",
    )
